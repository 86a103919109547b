"""`sigma68 compare`: who is better, and who cannot be told apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sigma68.score.headline_ranking import HeadlineRanking
    from sigma68.score.places import Placed
    from sigma68.score.ranking import RankedEntry, Ranking


def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Finished runs.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for comparison.html, comparison.json and figures.")
    ] = None,
    epsilon: Annotated[
        float | None,
        typer.Option(min=0.0, help="The score's epsilon; the first run's if left out."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    sets_drawn: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Also state the groups when resamples draw so many sets, not as many as were run; the organisers drew 100 of 1000.",
        ),
    ] = None,
) -> None:
    """Rank runs, with groups of ties.

    By their intervals, or by the score of a task that asks for other answers. The runs must be on the same toys. Two runs are tied if the central 95% of the difference of their bootstrapped scores contains
    0. For example:

        sigma68 compare counting-run bdt-run entry-run --out ranking
    """
    from sigma68.cli.console import print_table, say, warn
    from sigma68.score.files import rank_folders

    ranking = rank_folders(folders, epsilon=epsilon, seed=seed)
    fewer = None
    if sets_drawn is not None:
        fewer = rank_folders(folders, epsilon=epsilon, seed=seed, sets_drawn=sets_drawn)
    print_table(*_table(ranking))
    tied = [" = ".join(group) for group in ranking.groups if len(group) > 1]
    if tied:
        say(f"cannot be told apart: {'; '.join(tied)}")
    if fewer is not None:
        say(fewer.groups_in_words)
    for note in ranking.notes:
        warn(note)
    if out is not None:
        from sigma68.report.comparison import write_comparison

        say(f"comparison: {write_comparison(ranking, out, organisers=fewer)}")


def _table(ranking: Ranking | HeadlineRanking) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The columns' names, and a row for each entry."""
    from sigma68.score.ranking import Ranking

    if isinstance(ranking, Ranking):
        compared = any(entry.over_best is not None for entry in ranking.entries)
        columns = (*_COLUMNS, "over the oracle's") if compared else _COLUMNS
        return columns, [_cells(entry, compared) for entry in ranking.entries]
    from sigma68.report.comparison_headlines import beside

    found = [beside(entry, ranking) for entry in ranking.entries]
    return ("rank", "run", "score", "68% of resamples", *found[0], "failed"), [
        (*_placed(entry, entry.score_error), *said.values(), _failed(entry))
        for entry, said in zip(ranking.entries, found, strict=True)
    ]


def _placed(entry: Placed, error: float | None = None) -> tuple[str, ...]:
    """Rank, name and score of an entry, with the range of its resampled scores."""
    return (
        "-" if entry.rank is None else str(entry.rank),
        entry.name,
        f"{entry.score:.3f}" if error is None else f"{entry.score:.3f} ± {error:.3f}",
        f"{entry.score_low:.3f} to {entry.score_high:.3f}",
    )


def _failed(entry: Placed) -> str:
    return f"{entry.n_failed} of {entry.n_toys}"


_COLUMNS = ("rank", "run", "score", "68% of resamples", "width", "at 68.27%", "coverage", "failed")


def _cells(entry: RankedEntry, compared: bool) -> tuple[str, ...]:
    rescaled = "-"
    if entry.rescaled_width is not None:
        rescaled = f"{entry.rescaled_width:.4f}"
        if entry.rescaled_width_error is not None:
            rescaled += f" ± {entry.rescaled_width_error:.4f}"
    cells = (
        *_placed(entry),
        f"{entry.interval:.4f}",
        rescaled,
        f"{entry.coverage:.2%}",
        _failed(entry),
    )
    return (*cells, _over_best(entry)) if compared else cells


def _over_best(entry: RankedEntry) -> str:
    """The width at equal coverage over the narrowest possible, of each kind that is known."""
    from sigma68.report.best_words import kind_in_words

    if entry.over_best is None:
        return "-"
    known = [kind for kind in entry.over_best.kinds if kind.at_level is not None]
    return ", ".join(f"{kind.at_level:.3f} ({kind_in_words(kind)})" for kind in known) or "-"
