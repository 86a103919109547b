"""What the scoring program of a bundle does: from the answers to scores.json and a page."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sigma68.challenge.exchange.ingest import FAILURE, TOYS
from sigma68.challenge.exchange.phase_settings import SETTINGS, PhaseSettings
from sigma68.errors import DataError, EntryError, Sigma68Error
from sigma68.files import make_folder, replacing, write_json
from sigma68.printable import printable

if TYPE_CHECKING:
    import pandas as pd

    from sigma68.protocols import Task

__all__ = ["DETAILS", "main", "score"]

DETAILS: Final = "detailed_results.html"
_NOT_YET: Final = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Detailed results</title></head>
<body><p>The results of this phase are shown when it has ended.</p></body>
</html>
"""
_LARGEST: Final = 1e10
"""Codabench keeps ten digits before the decimal point."""


def main(program: Path, given: Path, output: Path) -> int:
    """Score what the ingestion program left in `given`/res (or `given`); the exit code."""
    try:
        text = (program / SETTINGS).read_text(encoding="utf-8")
        results = given / "res" if (given / "res").is_dir() else given
        scores = score(PhaseSettings.from_text(text, SETTINGS), results, output)
    except (Sigma68Error, OSError) as error:
        print(f"nothing was scored: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print(json.dumps(scores))  # noqa: T201
    return 0


def score(settings: PhaseSettings, results: Path, output: Path) -> dict[str, Any]:
    """Write `output`/scores.json and `output`/detailed_results.html; what scores.json says.

    A number that a leaderboard cannot take (none, not finite, or too large) is left out. The page
    of a phase whose scores are hidden until its end says that and nothing else.

    Raises
    ------
    EntryError
        If the submission could not be judged; the reason is that of the ingestion program.
    DataError
        If the answers are missing, or do not belong together.
    OutputError
        If a file cannot be written.
    """
    from sigma68.discover import load_task
    from sigma68.score.peer_files import scores_of

    if (results / FAILURE).is_file():
        reason = json.loads((results / FAILURE).read_text(encoding="utf-8"))["reason"]
        raise EntryError(printable(reason))
    task = load_task(settings.task)
    toys = _toys(results, task)
    if len(toys) != settings.sets * settings.toys:
        raise DataError(
            f"there are {len(toys):,} toys, and the phase asks for "
            f"{settings.sets * settings.toys:,}: run the submission again"
        )
    values = scores_of(toys, task.parameters[0], epsilon=settings.epsilon)
    values["n_failed"] = int((toys["status"] != "ok").sum())
    scores = {name: value for name, value in values.items() if _can_be_shown(value)}
    make_folder(output)
    write_json(output / "scores.json", scores)
    is_hidden = settings.server.get("hidden") is True
    page = _NOT_YET if is_hidden else _page(settings, task, toys)
    with replacing(output / DETAILS) as part:
        part.write_text(page, encoding="utf-8")
    return scores


def _toys(results: Path, task: Task) -> pd.DataFrame:
    import pandas as pd

    from sigma68.run.results import toy_columns
    from sigma68.score.peer_files import read_peer_files

    if not (results / TOYS).is_file():
        return read_peer_files(results, task.parameters[0])
    try:
        toys = pd.read_parquet(results / TOYS)
    except (OSError, ValueError) as error:
        raise DataError(f"{TOYS} cannot be read ({error}): run the submission again") from error
    missing = sorted(set(toy_columns(task)) - set(toys.columns))
    if missing:
        raise DataError(f"{TOYS} has no column {missing[0]!r}: run the submission again")
    return toys


def _can_be_shown(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and abs(value) < _LARGEST


def _page(settings: PhaseSettings, task: Task, toys: pd.DataFrame) -> str:
    """The detailed results: the report's figures and its table of sets, whole in itself."""
    import tempfile

    from sigma68.report.run import page_template, score_tiles, sets_of, verdict_of, write_figure
    from sigma68.report.sections import report_figures

    scored = task.score(toys, epsilon=settings.epsilon)
    active = [n for n in task.nuisances if n.name in settings.nuisances and n.name in toys]
    figures = []
    with tempfile.TemporaryDirectory(prefix="sigma68-figures-") as scratch:
        for figure in report_figures(
            toys, scored, task.answer, task.parameters, active, settings.predict_seconds, None
        ):
            shown = {name: getattr(figure, name) for name in ("title", "caption", "alt", "wide")}
            figures.append(shown | write_figure(figure, Path(scratch)))
    page: str = page_template("detailed.html").render(
        task=task,
        settings=settings,
        n_toys=len(toys),
        nuisances=", ".join(n.name for n in active) or "none, all systematics off",
        figures=figures,
        verdict=verdict_of(toys, scored, task),
        tiles=score_tiles(scored, task, toys),
        per_set=sets_of(scored),
        statuses=sorted(toys["status"].value_counts().items()),
    )
    return page
