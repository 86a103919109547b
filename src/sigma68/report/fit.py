"""The page about one fit: OUT/fit.html, whole in itself, with figures, numbers and a workspace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sigma68.files import make_folder, replacing, write_json
from sigma68.inference.binned import BinnedLikelihood
from sigma68.inference.density_ratios import RatioLikelihood
from sigma68.inference.fit_summary import BinnedSummary, EventSummary, FitSummary
from sigma68.inference.interchange import pyhf_workspace
from sigma68.inference.ratio_closure import Closure
from sigma68.report import fit_figures as figures
from sigma68.report.closure import closure_document, closure_figures, closure_rows
from sigma68.report.run import page_template, write_figure
from sigma68.report.sections import ReportFigure
from sigma68.report.words import number
from sigma68.types import Feature, Nuisance, Parameter

__all__ = ["DOUBTFUL", "write_fit_report"]

DOUBTFUL = 0.01
"""Probability of the goodness of fit below which a fit is not to be believed."""


def write_fit_report(
    out: Path,
    summary: FitSummary,
    likelihood: BinnedLikelihood | RatioLikelihood,
    components: Sequence[str],
    about: Mapping[str, str],
    *,
    features: Sequence[Feature] = (),
    closure: Closure | None = None,
) -> Path:
    """Write fit.html, fit.json and figures/ into the folder `out`; the page's path.

    The same fit gives the same bytes. Beside a fit to counts lies workspace.json, a pyhf workspace
    of these, expanded around the fit (see `sigma68.inference.interchange`).

    Parameters
    ----------
    components
        Names of the likelihood's components.
    about
        What was fitted, in rows of a name and a few words.
    features
        The task's, whose labels stand on axes.
    closure
        Checks of what the method has learned.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    make_folder(out / "figures")
    by_name = {feature.name: feature for feature in features}
    document = {"about": dict(about), "components": list(components), **summary.to_json()}
    if closure is not None:
        document["closure"] = closure_document(closure)
    write_json(out / "fit.json", document, indent=1)
    if isinstance(summary, BinnedSummary) and isinstance(likelihood, BinnedLikelihood):
        workspace = pyhf_workspace(likelihood, summary.bins.counts, components, around=summary.fit)
        write_json(out / "workspace.json", workspace, indent=1)
    page = page_template("fit.html").render(
        label=likelihood.parameter.name,
        verdict=_verdict(summary),
        about=about,
        tiles=_tiles(summary),
        figures=_drawn(_figures(summary, likelihood, components, by_name), out),
        parts=_parts(summary),
        nuisances=_nuisances(summary, likelihood),
        closure=None if closure is None else f"{closure.n_events:,}",
        closure_figures=[] if closure is None else _drawn(closure_figures(closure, by_name), out),
        closure_rows=[] if closure is None else closure_rows(closure),
        workspace=isinstance(summary, BinnedSummary),
    )
    with replacing(out / "fit.html") as part:
        part.write_text(page, encoding="utf-8")
    return out / "fit.html"


def _drawn(given: Iterable[ReportFigure], out: Path) -> list[dict[str, Any]]:
    return [
        {k: getattr(figure, k) for k in ("title", "caption", "alt", "wide")}
        | write_figure(figure, out / "figures")
        for figure in given
    ]


def _figures(
    summary: FitSummary,
    likelihood: BinnedLikelihood | RatioLikelihood,
    components: Sequence[str],
    features: Mapping[str, Feature],
) -> Iterator[ReportFigure]:
    known: tuple[Parameter | Nuisance, ...] = (likelihood.parameter, *likelihood.profiled)
    labels = {p.name: p.label or p.name for p in known}
    p = summary.parameter
    if isinstance(summary, BinnedSummary):
        yield from _of_bins(summary, components)
    if isinstance(summary, EventSummary):
        yield from _of_events(summary, components, features)
    if summary.pulls.names:
        yield ReportFigure(
            "pulls_and_impacts",
            "Pulls and impacts",
            f"Points: fitted nuisances and their errors, where the prior is 0 ± 1. Bars: what one "
            f"standard deviation of a nuisance does to {p}.",
            f"Nuisances ranked by impact: {', '.join(summary.impacts.names)}.",
            lambda: figures.pulls_and_impacts_figure(
                summary.pulls, summary.impacts, likelihood.parameter, labels
            ),
            wide=True,
        )
    yield ReportFigure(
        "correlation",
        "Correlations",
        "Of the parameter and the nuisances in the fit. A nuisance at a limit has none.",
        f"Correlation matrix of {', '.join(summary.correlation.names)}.",
        lambda: figures.fit_correlation_figure(summary.correlation, labels),
    )
    for scan in summary.scans:
        name = labels[scan.name]
        title = name if scan.name == p else f"z of {name}"
        yield ReportFigure(
            f"scan_{scan.name}",
            f"Scan of {scan.name}",
            "All others fitted (full), and nuisances and templates known (dashed).",
            f"-2 ln L against {scan.name}, least at {scan.best:.3g}.",
            lambda scan=scan, title=title: figures.scan_figure(scan, title),  # type: ignore[misc]
        )


def _of_bins(summary: BinnedSummary, components: Sequence[str]) -> Iterator[ReportFigure]:
    g = summary.goodness
    yield ReportFigure(
        "post_fit",
        "Bins after the fit",
        "Components stacked from the smallest; points are counts with central Poisson intervals. "
        "The hatched band is the error of the fit: nuisances with their correlations, and the "
        "finite simulation.",
        f"Stack of {', '.join(components)} in {len(summary.bins.counts)} bins with the counts.",
        lambda: figures.post_fit_figure(summary.bins, components),
        wide=True,
    )
    yield ReportFigure(
        "goodness",
        "Goodness of fit",
        "The likelihood ratio to a model that predicts every count. The shaded tail is the "
        "probability of a worse fit.",
        f"Statistic {g.value:.1f} for {g.degrees} degrees of freedom, p = {g.probability:.2g}.",
        lambda: figures.goodness_figure(g, summary.toys),
    )


def _of_events(
    summary: EventSummary, components: Sequence[str], features: Mapping[str, Feature]
) -> Iterator[ReportFigure]:
    for shown in summary.distributions:
        feature = features.get(shown.feature)
        unit = f" [{feature.unit}]" if feature is not None and feature.unit else ""
        axis = (shown.feature if feature is None else feature.label or feature.name) + unit
        yield ReportFigure(
            f"post_fit_{shown.feature}",
            f"{shown.feature} after the fit",
            "Events that are fitted one by one, in all their regions. Components are simulated "
            "events weighted with the fitted density ratios, stacked from the smallest; points are "
            "the observed ones. The hatched band is the error of the fit and of the simulation.",
            f"Stack of {', '.join(components)} over {shown.feature} with the observed events.",
            lambda shown=shown, axis=axis: figures.post_fit_figure(  # type: ignore[misc]
                shown.bins, components, shown.edges, axis
            ),
        )


def _verdict(summary: FitSummary) -> dict[str, Any]:
    """Whether the fit describes what is observed, in words."""
    sentences = []
    at_limit = [
        name for name, at in zip(summary.pulls.names, summary.pulls.at_limit, strict=True) if at
    ]
    if at_limit:
        sentences.append(f"At a limit of its range: {', '.join(at_limit)}.")
    if not isinstance(summary, BinnedSummary):
        sentences.insert(
            0,
            "A likelihood of single events has no goodness of fit: look at what features are "
            "distributed like after the fit.",
        )
        headline = f"{summary.parameter} lies between {summary.lower:.3f} and {summary.upper:.3f}"
        return {"headline": headline, "mood": "neutral", "sentences": sentences}
    p = summary.goodness.probability if summary.toys is None else summary.toys.probability
    source = "chi-square" if summary.toys is None else f"{len(summary.toys.values):,} toys"
    sentences.insert(0, f"Probability of a worse fit: {p:.2g} ({source}).")
    doubtful = p < DOUBTFUL
    if doubtful:
        sentences.append("Something is in the counts that the model does not know.")
    headline = (
        "The fit does not describe the counts" if doubtful else "The fit describes the counts"
    )
    return {"headline": headline, "mood": "bad" if doubtful else "good", "sentences": sentences}


def _tiles(summary: FitSummary) -> list[dict[str, str]]:
    s, b = summary, summary.breakdown
    tiles = [
        {
            "name": s.parameter,
            "value": f"{s.fit.best[0]:.3f} ± {s.fit.errors[0]:.3f}",
            "note": f"{b.statistical:.3f} statistical, {b.systematic:.3f} systematic",
        },
        {
            "name": "Interval",
            "value": f"{s.lower:.3f} to {s.upper:.3f}",
            "note": f"profile likelihood, {100 * s.level:.2f}%",
        },
    ]
    if isinstance(s, BinnedSummary):
        tiles.append(
            {
                "name": "−2 ln L",
                "value": number(s.goodness.value),
                "note": f"{s.goodness.degrees} degrees of freedom",
            }
        )
    return tiles


def _parts(summary: FitSummary) -> list[tuple[str, str]]:
    """Parts of the error, the largest first."""
    b = summary.breakdown
    parts = {"statistical": b.statistical, "finite simulation": b.simulation, **b.groups}
    return [(name, f"{part:.4f}") for name, part in sorted(parts.items(), key=lambda x: -x[1])]


def _nuisances(
    summary: FitSummary, likelihood: BinnedLikelihood | RatioLikelihood
) -> list[tuple[str, ...]]:
    values = likelihood.nuisance_values(summary.fit)
    rows: list[tuple[str, ...]] = []
    for i, name in enumerate(summary.pulls.names):
        z, error = summary.pulls.best[i], summary.pulls.errors[i]
        value, own_error = values[name]
        fitted = "at its limit" if summary.pulls.at_limit[i] else f"{z:+.2f} ± {error:.2f}"
        low, high = summary.impacts.after[summary.impacts.names.index(name)]
        row = (name, f"{value:.4g} ± {own_error:.2g}", fitted, f"{low:+.4f}", f"{high:+.4f}")
        rows.append(tuple(cell.replace("-", "−") for cell in row))
    return rows
