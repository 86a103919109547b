"""The page that compares entries: scores with tie groups, coverage, and widths at equal coverage."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigma68.report import comparison_headlines as headlines
from sigma68.report.best_words import KINDS, listed, ratio_in_words
from sigma68.report.comparison_parts import ComparedFigure, Comparison, look, name_axis
from sigma68.report.style import GREY, SKY, new_figure, render, styled, title_of
from sigma68.report.words import number, percent, with_error
from sigma68.score.headline_ranking import HeadlineRanking
from sigma68.score.intervals import sigma_of_coverage
from sigma68.score.places import Placed
from sigma68.score.ranking import RankedEntry, Ranking

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["coverage_and_width", "scores_with_ties", "write_comparison"]

_BEST_STYLES = ("--", ":")


def write_comparison(
    ranking: Ranking | HeadlineRanking,
    out: Path,
    *,
    organisers: Ranking | HeadlineRanking | None = None,
) -> Path:
    """Write `out`/comparison.html, comparison.json and `out`/figures/; returns the page's path.

    `organisers` is the ranking of the same entries by the organisers' resampling of fewer sets
    (`sets_drawn=100`), to be stated beside it.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    from sigma68.files import make_folder, replacing, write_json
    from sigma68.report.run import page_template
    from sigma68.score.files import strict

    if isinstance(ranking, Ranking):
        said, more = _of_intervals(ranking), [_coverage_and_width(ranking)]
    else:
        said, more = headlines.comparison(ranking), headlines.more_figures(ranking)
    make_folder(out / "figures")
    shown = [_shown(out, figure) for figure in (_scores(ranking), *more)]
    page = page_template("comparison.html").render(
        ranking=ranking,
        verdict=_in_words(ranking),
        variant=None if organisers is None else organisers.groups_in_words,
        said=said,
        differences=_difference_rows(ranking),
        figures=shown,
    )
    document = ranking.to_json()
    if organisers is not None:
        document["organisers"] = organisers.to_json()
    write_json(out / "comparison.json", strict(document))
    with replacing(out / "comparison.html") as part:
        part.write_text(page, encoding="utf-8")
    return out / "comparison.html"


def _shown(out: Path, given: ComparedFigure) -> dict[str, Any]:
    """Write a figure's files; what the page needs to show it."""
    from sigma68.files import replacing

    svg = render(given.figure, "svg")
    for kind, content in (("svg", svg), ("pdf", render(given.figure, "pdf"))):
        with replacing(out / "figures" / f"{given.name}.{kind}", sync=False) as part:
            part.write_bytes(content)
    return {
        "title": given.title,
        "caption": given.caption,
        "alt": given.alt,
        "src": f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}",
        "pixels": round(96 * float(given.figure.get_figwidth())),
    }


def _scores(ranking: Ranking | HeadlineRanking) -> ComparedFigure:
    return ComparedFigure(
        "scores",
        "Scores",
        f"Bars are the central 68.27% of {ranking.n_resamples:,} resamples of "
        f"{ranking.sets_drawn:,} sets. Entries of one colour and marker are one tie group.",
        "; ".join(f"{e.name}: {number(e.score)}" for e in ranking.entries),
        scores_with_ties(ranking),
    )


def scores_with_ties(ranking: Ranking | HeadlineRanking) -> Figure:
    """The score of every entry with its bootstrap error, tie groups by colour and marker."""
    entries = ranking.entries
    with styled():
        figure = new_figure(7.2, 1.3 + 0.42 * len(entries))
        axes = figure.subplots()
        for row, entry in enumerate(entries):
            color, marker = look(entry)
            errors = [[entry.score - min(entry.score_low, entry.score)],
                      [max(entry.score_high, entry.score) - entry.score]]  # fmt: skip
            axes.errorbar(entry.score, row, xerr=errors, fmt=marker, color=color, ms=6, capsize=3)
        for rank, first, last in _runs(entries):
            place = f"rank {rank}" if rank is not None else "not ranked"
            axes.axhspan(first - 0.42, last + 0.42, color=GREY, alpha=0.09, lw=0)
            axes.text(
                1.02, (first + last) / 2, place, transform=axes.get_yaxis_transform(), va="center"
            )
        name_axis(axes, entries)
        what = "Quantiles score"
        if not isinstance(ranking, Ranking):
            what = headlines.headline_in_words(ranking).capitalize()
        axes.set_xlabel(f"{what} (larger is better)")
        if ranking.is_indicative:
            axes.set_title("indicative: not on common toys", loc="left")
    return figure


def _coverage_and_width(ranking: Ranking) -> ComparedFigure:
    return ComparedFigure(
        "coverage_and_width",
        "Coverage, and width at equal coverage",
        "Left, the coverage as it is, with the window free of penalty. Right, the mean width "
        f"as it is (open) and after rescaling to {percent(ranking.level, 2)} coverage (full).",
        "; ".join(f"{e.name}: coverage {percent(e.coverage)}" for e in ranking.entries),
        coverage_and_width(ranking),
    )


def coverage_and_width(ranking: Ranking) -> Figure:
    """Coverage with binomial errors; mean width before and after rescaling to equal coverage."""
    entries = ranking.entries
    with styled():
        figure = new_figure(9.2, 1.5 + 0.42 * len(entries))
        left, right = figure.subplots(1, 2, sharey=True)
        n = max(e.n_toys for e in entries)
        sigma = float(sigma_of_coverage(n, ranking.level))
        left.axvspan(
            ranking.level - 2 * sigma, ranking.level + 2 * sigma, color=SKY, alpha=0.3, lw=0
        )
        left.axvline(ranking.level, color=GREY, lw=1, ls="--")
        for row, entry in enumerate(entries):
            color, marker = look(entry)
            errors = [[entry.coverage - entry.coverage_low], [entry.coverage_high - entry.coverage]]
            left.errorbar(entry.coverage, row, xerr=errors, fmt=marker, color=color, ms=6)
            right.plot(entry.interval, row, marker, mec=color, mfc="none", ms=6)
            if entry.rescaled_width is not None:
                right.errorbar(
                    entry.rescaled_width,
                    row,
                    xerr=entry.rescaled_width_error,
                    fmt=marker,
                    color=color,
                    ms=6,
                    capsize=3,
                )
        best = _common_best(entries)
        for style, width in zip(_BEST_STYLES, best.values(), strict=False):
            right.axvline(width, color=GREY, lw=1.2, ls=style)
        name_axis(left, entries)
        left.set_xlabel("Coverage")
        right.set_xlabel(f"Mean width of {title_of(ranking.parameter)}")
        handles = _width_legend(best)
        figure.legend(handles=handles, loc="outside upper right", ncols=3, frameon=False)
    return figure


def _common_best(entries: Sequence[RankedEntry]) -> dict[str, float]:
    """The mean of the narrowest widths by kind, if they are the same for all entries."""
    found = {tuple((k.kind, k.best) for k in e.over_best.kinds) for e in entries if e.over_best}
    return dict(found.pop()) if len(found) == 1 else {}


def _width_legend(best: Mapping[str, float]) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    free = Patch(color=SKY, alpha=0.3, label="free window")
    as_it_is = Line2D([], [], ls="none", marker="o", ms=6, mec="black", mfc="none")
    rescaled = Line2D([], [], ls="none", marker="o", ms=6, mec="black", mfc="black")
    as_it_is.set_label("width as it is")
    rescaled.set_label("at equal coverage")
    lines = [
        Line2D(
            [], [], color=GREY, lw=1.2, ls=style, label=f"best possible, {KINDS.get(kind, kind)}"
        )
        for style, kind in zip(_BEST_STYLES, best, strict=False)
    ]
    return [free, as_it_is, rescaled, *lines]


def _runs(entries: Sequence[Placed]) -> list[tuple[int | None, int, int]]:
    """Rank, first and last row of entries of one rank, which stand together."""
    runs: list[tuple[int | None, int, int]] = []
    for row, entry in enumerate(entries):
        if runs and runs[-1][0] == entry.rank:
            runs[-1] = (entry.rank, runs[-1][1], row)
        else:
            runs.append((entry.rank, row, row))
    return runs


def _in_words(ranking: Ranking | HeadlineRanking) -> str:
    if not ranking.groups:
        return "No entry can be ranked: each failed on more than 1% of its toys."
    best = ranking.groups[0]
    if len(ranking.entries) == 1:
        return f"{best[0]} is alone: there is nothing to compare it with."
    said = f"{best[0]} scores best"
    if len(best) > 1:
        said = (
            f"{', '.join(best[:-1])} and {best[-1]} cannot be told apart and share the first rank"
        )
    return said + (", but this is indicative only." if ranking.is_indicative else ".")


def _kinds(ranking: Ranking) -> list[str]:
    """The kinds of narrowest intervals that some entry is compared with."""
    found = [e.over_best.kinds for e in ranking.entries if e.over_best is not None]
    return list(dict.fromkeys(kind.kind for kinds in found for kind in kinds))


def _best(ranking: Ranking) -> str | None:
    """What the columns of ratios mean."""
    if not _kinds(ranking):
        return None
    said = (
        "Width over the oracle's: the mean width at equal coverage over that of the narrowest "
        "intervals that the events allow, which the oracle has. At 1 nothing is left to gain."
    )
    known = [e.over_best.known for e in ranking.entries if e.over_best and e.over_best.known]
    if known:
        said += f" The narrowest intervals take the value of {listed(known[0])} as known."
    return said


def _over_best(entry: RankedEntry, ranking: Ranking) -> list[str]:
    own = {} if entry.over_best is None else {k.kind: k for k in entry.over_best.kinds}
    return [ratio_in_words(own[k])[1] if k in own else number(None) for k in _kinds(ranking)]


def _of_intervals(ranking: Ranking) -> Comparison:
    about = (
        f"Intervals on {ranking.parameter.name} at {percent(ranking.level, 2)}, "
        f"ε = {ranking.epsilon}."
    )
    columns = (
        "rank",
        "entry",
        "score",
        "central 68.27%",
        "mean width",
        "coverage",
        "binomial",
        "width at equal coverage",
        *(f"over the oracle's, {KINDS.get(kind, kind)}" for kind in _kinds(ranking)),
        "toys",
        "failed",
    )
    rows = tuple(_row(entry, ranking) for entry in ranking.entries)
    return Comparison(about, columns, rows, _best(ranking))


def _row(entry: RankedEntry, ranking: Ranking) -> tuple[str, ...]:
    return (
        "not ranked" if entry.rank is None else str(entry.rank),
        entry.name,
        number(entry.score),
        f"{number(entry.score_low)} to {number(entry.score_high)}",
        number(entry.interval, 4),
        percent(entry.coverage, 2),
        f"{percent(entry.coverage_low, 2)} to {percent(entry.coverage_high, 2)}",
        with_error(entry.rescaled_width, entry.rescaled_width_error),
        *_over_best(entry, ranking),
        number(entry.n_toys),
        number(entry.n_failed),
    )


def _difference_rows(ranking: Ranking | HeadlineRanking) -> list[dict[str, str]]:
    return [
        {
            "pair": f"{first} − {second}",
            "low": number(low),
            "high": number(high),
            "tied": "tied" if ranking.is_tied(first, second) else "differ",
        }
        for (first, second), (low, high) in ranking.differences.items()
    ]
