"""Which figures a report shows of a run, with the words that stand beside each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sigma68.report import coverage_figures, estimate_figures, strangeness_figures, toy_figures
from sigma68.report.best_words import kind_in_words
from sigma68.report.words import number, percent, with_error
from sigma68.score.best_widths import OverBest
from sigma68.score.diagnostics import coverage_curves
from sigma68.score.estimates import as_intervals
from sigma68.score.intervals import score_intervals
from sigma68.score.table import interval_toys
from sigma68.types import AnswerKind, Nuisance, Parameter, Score

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["ReportFigure", "report_figures"]


@dataclass(frozen=True)
class ReportFigure:
    """A figure to be drawn: its file's name, what to say of it, and what a blind reader hears."""

    name: str
    title: str
    caption: str
    alt: str
    draw: Callable[[], Figure]
    wide: bool = False


def report_figures(
    toys: pd.DataFrame,
    score: Score,
    answer: AnswerKind,
    parameters: Sequence[Parameter],
    nuisances: Sequence[Nuisance],
    predict_seconds: float | None = None,
    over: OverBest | None = None,
) -> Iterator[ReportFigure]:
    """The figures of a run, in the order of the page.

    `nuisances` are those that were switched on; `predict_seconds` is the limit of one prediction;
    `over` says how narrow intervals could be.
    """
    if answer == "interval":
        yield from _interval_figures(toys, score, parameters[0], nuisances, over=over)
    elif answer == "estimates":
        for p in parameters:
            table = as_intervals(toys, p, parameters)
            of_one = score_intervals(table, p, epsilon=score.values.get("epsilon"))
            yield from _interval_figures(table, of_one, p, nuisances, prefix=f"{p.name}_")
    else:
        yield from _strangeness_figures(toys, score, parameters[0])
    if nuisances:
        names = ", ".join(n.name for n in nuisances)
        yield ReportFigure(
            "nuisances",
            "Nuisance parameters",
            "The values the toys were made with, and what their priors expect. Clipped values sit "
            "in the bins at the ends.",
            f"Histograms of the nuisance parameters drawn ({names}), each beside its prior.",
            lambda: toy_figures.nuisance_distributions(toys, nuisances),
            wide=True,
        )
    n_failed = int(score.values["n_failed"] or 0)
    yield ReportFigure(
        "failures",
        "How toys ended",
        "Statuses of all toys, and failures along the true parameter.",
        f"Bars of the statuses of {len(toys):,} toys, {n_failed:,} of which failed, and the "
        "fraction of failures in bins of the true parameter.",
        lambda: toy_figures.failures(toys, parameters[0]),
        wide=True,
    )
    yield ReportFigure(
        "times",
        "Time per prediction",
        "Seconds that one prediction took.",
        f"Histogram of the time per prediction; its median is "
        f"{number(float(toys['seconds'].median()))} s.",
        lambda: toy_figures.prediction_times(toys, predict_seconds),
    )


def _interval_figures(
    toys: pd.DataFrame,
    score: Score,
    parameter: Parameter,
    nuisances: Sequence[Nuisance],
    prefix: str = "",
    over: OverBest | None = None,
) -> Iterator[ReportFigure]:
    table = interval_toys(toys, parameter)
    curves = coverage_curves(toys, parameter)
    v = score.values
    p = parameter.name
    n_sets = len(table.set_numbers)
    shown = min(n_sets, 9)
    best = {} if over is None else {kind_in_words(kind): kind.best for kind in over.kinds}
    n = number(table.n_toys)
    which = "" if shown == n_sets else f" The first {shown} of {n_sets} sets are shown."
    yield ReportFigure(
        f"{prefix}coverage_plot",
        f"Intervals on {p} against the truth",
        "Every toy's interval is a horizontal line, the truth the vertical one. Failed toys leave "
        f"a gap.{which}",
        f"Coverage plot: intervals of {shown} sets against the true {p}; {percent(v['coverage'])} "
        "of all toys cover.",
        lambda: coverage_figures.coverage_plot(table, parameter),
        wide=True,
    )
    yield ReportFigure(
        f"{prefix}coverage_per_set",
        "Coverage and width per set",
        "Error bars are Clopper-Pearson intervals (coverage) and standard errors (width); bands "
        "are the windows free of penalty.",
        f"Coverage and mean width of {n_sets} sets; overall coverage {percent(v['coverage'])}, "
        f"width {with_error(v['interval'], v['interval_error'])}.",
        lambda: coverage_figures.coverage_per_set(score, parameter),
        wide=True,
    )
    yield ReportFigure(
        f"{prefix}coverage_against",
        "Where it covers",
        "Coverage in bins of the truth and of each nuisance parameter that varies. Each band is "
        "the window free of penalty for the bin's number of toys. Where a nuisance parameter is "
        "profiled, its constraint pulls the fit in the tails of its prior: coverage is lower "
        "there, higher in the centre, and right on average.",
        f"Coverage in bins of {', '.join(curves)}; the verdict above names the bins that are off.",
        lambda: coverage_figures.coverage_against(curves, parameter, nuisances),
        wide=True,
    )
    yield ReportFigure(
        f"{prefix}score_against_truth",
        f"Score against the true {p}",
        "One point per set. A set has fewer toys, so that its window free of penalty is wider than "
        "that of all toys together.",
        f"Quantiles score of {n_sets} sets against the true {p}; overall {number(score.value)}.",
        lambda: estimate_figures.score_against_truth(score, parameter),
    )
    yield ReportFigure(
        f"{prefix}estimates",
        "Estimates against the truth",
        "Above every toy, below the mean deviation of each set with its standard error.",
        f"Estimates of {p} against the truth for {n} toys; bias "
        f"{with_error(v['bias'], v['bias_error'])}.",
        lambda: estimate_figures.estimate_against_truth(table, parameter),
    )
    yield ReportFigure(
        f"{prefix}pulls",
        "Pulls",
        "(estimate − truth) / error. An honest error makes them standard normal.",
        f"Histogram of pulls: mean {with_error(v['pull_mean'], v['pull_mean_error'])}, width "
        f"{with_error(v['pull_width'], v['pull_width_error'])}; a standard normal curve beside it.",
        lambda: estimate_figures.pulls(table, parameter),
    )
    yield ReportFigure(
        f"{prefix}widths",
        "Widths of the intervals",
        "The score takes the mean, in which a failed toy counts with the whole allowed range."
        + (" Grey lines: the means of the narrowest widths possible." if best else ""),
        f"Histogram of interval widths; mean {with_error(v['interval'], v['interval_error'])}.",
        lambda: estimate_figures.width_distribution(table, parameter, best),
    )


def _strangeness_figures(
    toys: pd.DataFrame, score: Score, parameter: Parameter
) -> Iterator[ReportFigure]:
    auc = number(score.values["auc"])
    said = score.headline.replace("_", " ")
    value = with_error(score.value, score.values.get(f"{score.headline}_error"))
    if score.values["auc"] is not None:
        yield ReportFigure(
            "roc",
            "Strange toys found, by how few ordinary ones are taken for strange",
            "The ROC curve at low false-positive rates; the band holds the central 68.27% of 500 "
            "resamples of toys, at each rate by itself. Left of the dotted line, where there is one, "
            "no ordinary toy is taken for strange.",
            f"ROC curve at false-positive rates from 0.001 to 0.05, with a bootstrap band and the "
            f"line of chance; {said} {value}.",
            lambda: strangeness_figures.roc_at_low_rates(toys, parameter),
        )
    parts = strangeness_figures.scores_of_parts(score)
    if parts:
        yield ReportFigure(
            "parts",
            "Kinds of strange toys",
            "The score of each kind alone, among all ordinary toys, with its error from resampled "
            "toys; above, of all together.",
            "; ".join(f"{name}: {with_error(*part)}" for name, part in parts.items()),
            lambda: strangeness_figures.parts(score),
        )
    yield ReportFigure(
        "strangeness",
        "Strangeness",
        "The scores of ordinary and of strange toys. The bins at the ends hold what is beyond them.",
        f"Histograms of the strangeness of ordinary and strange toys; area under the ROC {auc}.",
        lambda: strangeness_figures.strangeness(toys, parameter, score),
    )
