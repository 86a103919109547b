"""The data report: every figure of a data set as PDF and SVG, and a page that shows them."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, OutputError
from sigma68.files import replacing
from sigma68.protocols import Progress
from sigma68.report.data_figures import (
    correlation_figure,
    feature_figure,
    roc_figure,
    score_figure,
    shift_figure,
    yields_figure,
)
from sigma68.report.data_summary import (
    Correlations,
    Histograms,
    Regions,
    Yields,
    choose_axes,
)
from sigma68.report.style import render
from sigma68.types import Feature, Labelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DataSource", "DataSummary", "ScoredEvents", "summarise", "write_data_report"]

NOMINAL = "nominal"
_SAMPLE_ROWS = 200_000
_ENDINGS: tuple[Literal["pdf", "svg"], ...] = ("pdf", "svg")

Chunks = Callable[[Mapping[str, Mapping[str, float]]], Iterator[Mapping[str, Labelled]]]


@dataclass(frozen=True)
class DataSource:
    """Where labelled events come from, as often as asked.

    `chunks(shifts)` streams them under each of the named shifts of the nuisance parameters;
    `shifts` maps a figure's label to such a shift; `n_rows` is the number of rows read.
    """

    name: str
    features: tuple[Feature, ...]
    processes: tuple[str, ...]
    process_labels: tuple[str, ...]
    is_signal: tuple[bool, ...]
    regions: Regions
    chunks: Chunks
    n_rows: int
    shifts: Mapping[str, Mapping[str, float]]
    undefined: float | None = None


@dataclass(frozen=True)
class DataSummary:
    """The sums that the figures are drawn from."""

    source: DataSource
    nominal: Histograms
    shifted: Mapping[str, Histograms]
    correlations: Correlations
    yields: Yields

    def affected(self) -> list[int]:
        """The features that some shift changes."""
        return [
            i
            for i in range(len(self.source.features))
            if any(
                not np.array_equal(h[i].sumw, self.nominal[i].sumw) for h in self.shifted.values()
            )
        ]


@dataclass(frozen=True)
class ScoredEvents:
    """A trained method's score of labelled events, (n_events,)."""

    method: str
    scores: npt.NDArray[np.float64]
    events: Labelled


def summarise(source: DataSource, progress: Progress | None = None) -> DataSummary:
    """Read the events twice: to choose axes, then to fill everything in one pass.

    Raises
    ------
    DataError
        If no event is left, or none that weighs anything.
    """
    report = progress or (lambda what, fraction: None)
    axes = choose_axes(_sample(source, report), source.features, source.undefined)

    def empty() -> Histograms:
        return Histograms(source.features, source.processes, axes, source.undefined)

    nominal, shifted = empty(), {label: empty() for label in source.shifts}
    correlations = Correlations(source.features, source.processes, source.undefined)
    yields = Yields(source.regions, source.processes)
    for chunk in source.chunks({NOMINAL: {}, **source.shifts}):
        nominal.add(chunk[NOMINAL])
        correlations.add(chunk[NOMINAL])
        yields.add(chunk[NOMINAL])
        for label, histograms in shifted.items():
            histograms.add(chunk[label])
        report("counting", min(nominal.n_rows / max(source.n_rows, 1), 1.0))
    if not yields.sumw.any():
        raise DataError(
            f"all weights of {source.name} are 0: give events with their weights, there is nothing "
            "to draw"
        )
    return DataSummary(source, nominal, shifted, correlations, yields)


def _sample(source: DataSource, report: Progress) -> Labelled:
    """About `_SAMPLE_ROWS` rows, spread evenly over the data, which may be sorted."""
    step = max(1, source.n_rows // _SAMPLE_ROWS)
    parts, seen = [], 0
    for chunk in source.chunks({NOMINAL: {}}):
        events = chunk[NOMINAL]
        parts.append((events.values[:, ::step], events.weights[::step], events.process[::step]))
        seen += events.n_events
        report("looking", min(seen / max(source.n_rows, 1), 1.0))
    if seen == 0:
        raise DataError(
            f"no event of {source.name} passes the thresholds: there is nothing to draw"
        )
    values, weights, process = (np.concatenate(p, axis=-1) for p in zip(*parts, strict=True))
    labels = np.array(source.is_signal, np.int8)[process]
    names = tuple(feature.name for feature in source.features)
    return Labelled(names, values, weights, labels, process, source.processes)


def write_data_report(
    summary: DataSummary,
    out: Path,
    *,
    scored: ScoredEvents | None = None,
    progress: Progress | None = None,
) -> Path:
    """Draw everything into `out`: figures/*.pdf, figures/*.svg and index.html, which is returned.

    Raises
    ------
    OutputError
        If `out` cannot be written.
    """
    report = progress or (lambda what, fraction: None)
    sections: dict[str, list[str]] = {}
    jobs = list(_figures(summary, scored))
    try:
        (out / "figures").mkdir(parents=True, exist_ok=True)
        index = out / "index.html"
        index.unlink(missing_ok=True)  # the page is there once all its figures are
        for i, (section, name, draw) in enumerate(jobs):
            _save(draw(), out / "figures", name)
            sections.setdefault(section, []).append(name)
            report(f"drawing {name}", (i + 1) / len(jobs))
        with replacing(index, sync=False) as part:
            part.write_text(_page(summary, sections), encoding="utf-8")
    except OSError as error:  # of the folder
        raise OutputError(
            f"{out} cannot be written ({error.strerror or error}): choose another folder"
        ) from error
    return index


def _figures(
    summary: DataSummary, scored: ScoredEvents | None
) -> Iterator[tuple[str, str, Callable[[], Figure]]]:
    """Section, file name and recipe of each figure, in the order of the page."""
    source, labels = summary.source, summary.source.process_labels
    yield "Yields per region", "yields", lambda: yields_figure(summary.yields, labels)
    if scored is not None:
        events, scores = scored.events, scored.scores
        section = f"Score of {scored.method}"
        yield (
            section,
            f"score_{scored.method}",
            lambda: score_figure(scores, events.weights, events.process, labels, scored.method),
        )
        yield (
            section,
            f"roc_{scored.method}",
            lambda: roc_figure(scores, events.weights, events.labels, scored.method),
        )
    for i, feature in enumerate(source.features):
        yield (
            "Features by process",
            f"feature_{feature.name}",
            lambda i=i: feature_figure(summary.nominal[i], labels),  # type: ignore[misc]
        )
    signal = [p for p, is_signal in enumerate(source.is_signal) if is_signal]
    background = [p for p, is_signal in enumerate(source.is_signal) if not is_signal]
    for title, part in (("Signal", signal), ("Background", background)):
        for i in summary.affected():
            yield (
                f"Nominal against shifted: {title.lower()}",
                f"shift_{title.lower()}_{source.features[i].name}",
                lambda i=i, part=part, title=title: shift_figure(  # type: ignore[misc]
                    summary.nominal[i],
                    {label: h[i] for label, h in summary.shifted.items()},
                    part,
                    title,
                ),
            )
    for p, (process, label) in enumerate(zip(source.processes, labels, strict=True)):
        yield (
            "Correlations",
            f"correlation_{process}",
            lambda p=p, label=label: correlation_figure(  # type: ignore[misc]
                summary.correlations, p, label
            ),
        )


def _save(figure: Figure, folder: Path, name: str) -> None:
    for ending in _ENDINGS:
        with replacing(folder / f"{name}.{ending}", sync=False) as part:
            part.write_bytes(render(figure, ending))


def _page(summary: DataSummary, sections: Mapping[str, list[str]]) -> str:
    parts = [
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f"<title>{html.escape(summary.source.name)}</title><style>{_CSS}</style></head><body>",
        f"<h1>{html.escape(summary.source.name)}</h1>",
        f"<p>{summary.source.n_rows:,} rows, of which {summary.nominal.n_rows:,} pass the "
        "thresholds. All figures show events that pass; outermost bins include what lies beyond "
        "the axis; bands and bars are the statistical error of the simulation.</p>",
    ]
    for section, names in sections.items():
        parts.append(f"<h2>{html.escape(section)}</h2>")
        if names == ["yields"]:
            parts.append(_yields_table(summary))
        parts.append("<div class='grid'>")
        parts += [
            f"<figure><a href='figures/{n}.pdf'><img loading='lazy' src='figures/{n}.svg' "
            f"alt='{n}'></a><figcaption>{n}</figcaption></figure>"
            for n in map(html.escape, names)
        ]
        parts.append("</div>")
    return "\n".join([*parts, "</body></html>", ""])


def _yields_table(summary: DataSummary) -> str:
    yields = summary.yields
    head = "".join(f"<th>{html.escape(p)}</th>" for p in yields.processes)
    rows = [f"<table><tr><th>Region</th>{head}</tr>"]
    for r, region in enumerate(yields.regions.names):
        cells = "".join(
            f"<td>{value:,.1f} &plusmn; {error:,.1f}</td>"
            for value, error in zip(yields.sumw[r], np.sqrt(yields.sumw2[r]), strict=True)
        )
        rows.append(f"<tr><td>{html.escape(region)}</td>{cells}</tr>")
    return "\n".join([*rows, "</table>"])


_CSS = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(24rem, 1fr)); gap: 1rem }
figure { margin: 0 } img { width: 100% } figcaption { font-size: .8rem; color: #555 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .2rem .8rem }
td + td, th + th { text-align: right; font-variant-numeric: tabular-nums }
tr:nth-child(even) { background: #f4f4f4 }
"""
