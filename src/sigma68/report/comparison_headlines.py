"""What a page says that compares entries by the headline score of their task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma68.report.comparison_parts import ComparedFigure, Comparison, look, name_axis
from sigma68.report.style import GREY, SKY, new_figure, styled, title_of
from sigma68.report.words import number, percent, with_error
from sigma68.score.headline_ranking import HeadlineEntry, HeadlineRanking
from sigma68.score.intervals import sigma_of_coverage
from sigma68.types import LEVEL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["beside", "comparison", "coverage_and_rmse", "headline_in_words", "more_figures"]


def headline_in_words(ranking: HeadlineRanking) -> str:
    """The headline as a reader says it."""
    return ranking.headline.replace("_", " ")


def beside(entry: HeadlineEntry, ranking: HeadlineRanking) -> dict[str, str]:
    """What stands beside an entry's score, by the names of the columns.

    For estimates: coverage of +- 1 error and RMSE of each parameter. For strangeness: the area under
    the ROC curve, and every other score that comes with an error.
    """
    values = entry.values
    said = {}
    if ranking.answer == "estimates":
        for p in ranking.parameters:
            said[f"coverage of {p.name}"] = percent(values.get(f"{p.name}_coverage"))
            said[f"RMSE of {p.name}"] = number(values.get(f"{p.name}_rmse"), 4)
        return said
    if "auc" in values and ranking.headline != "auc":
        said["AUC"] = number(values["auc"])
    for name, value in values.items():
        if name != ranking.headline and name.endswith("_score") and f"{name}_error" in values:
            what = name.removesuffix("_score").replace("_", " ")
            said[what] = with_error(value, values[f"{name}_error"])
    return said


def comparison(ranking: HeadlineRanking) -> Comparison:
    """The words and the table of the page."""
    about = f"By the task's {headline_in_words(ranking)}, larger being better."
    found = [beside(entry, ranking) for entry in ranking.entries]
    names = list(dict.fromkeys(name for said in found for name in said))
    rows = tuple(
        (
            "not ranked" if entry.rank is None else str(entry.rank),
            entry.name,
            with_error(entry.score, entry.score_error),
            f"{number(entry.score_low)} to {number(entry.score_high)}",
            *(said.get(name, number(None)) for name in names),
            number(entry.n_toys),
            number(entry.n_failed),
        )
        for entry, said in zip(ranking.entries, found, strict=True)
    )
    columns = ("rank", "entry", "score", "central 68.27%", *names, "toys", "failed")
    note = "Errors of the scores are standard deviations over the resamples."
    return Comparison(about, columns, rows, note)


def more_figures(ranking: HeadlineRanking) -> list[ComparedFigure]:
    """What else can be drawn of the entries: something where their task asks for estimates."""
    if ranking.answer != "estimates":
        return []
    figure = ComparedFigure(
        "coverage_and_rmse",
        "Coverage and RMSE",
        "Above, how often value ± error contains the truth, with binomial errors and two binomial "
        "standard deviations about 68.27%. Below, the RMSE.",
        "; ".join(
            f"{e.name}: {name} {said}"
            for e in ranking.entries
            for name, said in beside(e, ranking).items()
        ),
        coverage_and_rmse(ranking),
    )
    return [figure]


def coverage_and_rmse(ranking: HeadlineRanking) -> Figure:
    """Coverage of +- 1 error and RMSE of every parameter, one column of axes each."""
    entries, n = ranking.entries, len(ranking.parameters)
    sigma = float(sigma_of_coverage(max(e.n_toys for e in entries)))
    with styled():
        figure = new_figure(2.4 + 3.4 * n, 2.2 + 0.8 * len(entries))
        grid = figure.subplots(2, n, sharey=True, squeeze=False)
        for column, p in enumerate(ranking.parameters):
            above, below = grid[0][column], grid[1][column]
            above.axvspan(LEVEL - 2 * sigma, LEVEL + 2 * sigma, color=SKY, alpha=0.3, lw=0)
            above.axvline(LEVEL, color=GREY, lw=1, ls="--")
            for row, entry in enumerate(entries):
                color, marker = look(entry)
                at, low, high, rmse = (
                    entry.values.get(f"{p.name}_{what}")
                    for what in ("coverage", "coverage_low", "coverage_high", "rmse")
                )
                if at is not None and low is not None and high is not None:
                    errors = [[at - low], [high - at]]
                    above.errorbar(at, row, xerr=errors, fmt=marker, color=color, ms=6)
                if rmse is not None:
                    below.plot(rmse, row, marker, color=color, ms=6)
            above.set_xlabel(f"Coverage of {p.label or p.name}")
            below.set_xlabel(f"RMSE of {title_of(p)}")
            found = [e.values.get(f"{p.name}_rmse") for e in entries]
            below.set_xlim(0, 1.15 * max((r for r in found if r is not None), default=1.0) or 1.0)
            for axes in (above, below):
                axes.locator_params(axis="x", nbins=5)
                name_axis(axes, entries)
    return figure
