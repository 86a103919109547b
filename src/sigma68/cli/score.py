"""`sigma68 score`: the verdict on toys that are there already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def score(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run.")],
    epsilon: Annotated[
        float | None, typer.Option(min=0.0, help="The score's epsilon; the run's if left out.")
    ] = None,
    challenge_files: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Also write result_<set>.json, test_settings.json and scores.json here.",
        ),
    ] = None,
) -> None:
    """Score a run again and write its report again.

    For example, with the epsilon that the challenge's program used, and its files:

        sigma68 score first-run --epsilon 0.001 --challenge-files for-the-challenge
    """
    from sigma68.cli.console import say
    from sigma68.cli.verdict import print_verdict
    from sigma68.report.run import write_report
    from sigma68.score.files import score_folder

    result = score_folder(folder, epsilon=epsilon)
    report = write_report(folder)
    print_verdict(folder, result)
    say(f"report: {report}")
    if challenge_files is not None:
        from sigma68.score.peer_files import write_peer_files

        say(f"the challenge's files: {write_peer_files(folder, challenge_files)}")
