"""The page about a validation: OUT/index.html, whole in itself, and its figures in OUT/figures/."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sigma68.files import explained, make_folder, replacing
from sigma68.protocols import Progress
from sigma68.report import validation_figures as figures
from sigma68.report import validation_learned as learned
from sigma68.report import validation_responses as responses
from sigma68.report.style import render
from sigma68.report.validation_tables import tables_of
from sigma68.tasks.higgs.validation.result import Validation
from sigma68.tasks.higgs.validation.verdict import findings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_validation_report"]


@dataclass(frozen=True)
class _Drawing:
    """A figure to be drawn: its file's name, title, caption, and what a blind reader hears.

    A `heavy` one, of many panels, goes into the page as PNG; the PDF is there all the same.
    """

    name: str
    title: str
    caption: str
    alt: str
    draw: Callable[[], Figure]
    wide: bool = True
    heavy: bool = False


def write_validation_report(
    validation: Validation, out: Path, *, progress: Progress | None = None
) -> Path:
    """Write `out`/index.html and `out`/figures/ (PDF, and SVG or PNG); the page's path.

    The same validation gives the same bytes.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    from sigma68.report.run import page_template

    report = progress or (lambda what, fraction: None)
    folder = out / "figures"
    make_folder(folder)
    with explained(out):
        # The page is there once all its figures are.
        (out / "index.html").unlink(missing_ok=True)
    drawings = list(_drawings(validation))
    shown = []
    for i, drawing in enumerate(drawings):
        report(f"drawing {drawing.name}", i / len(drawings))
        shown.append({**drawing.__dict__, **_drawn(drawing, folder)})
    found = findings(validation)
    page = page_template("validation.html").render(
        validation=validation,
        findings=found,
        passed=all(finding.passed for finding in found),
        figures=shown,
        tables=tables_of(validation),
    )
    with replacing(out / "index.html", sync=False) as part:
        part.write_text(page, encoding="utf-8")
    return out / "index.html"


def _drawn(drawing: _Drawing, folder: Path) -> dict[str, Any]:
    """Write a figure's files; its data URI and width."""
    figure = drawing.draw()
    shown: Literal["png", "svg"] = "png" if drawing.heavy else "svg"
    for ending in ("pdf", shown):
        content = render(figure, ending)
        with replacing(folder / f"{drawing.name}.{ending}", sync=False) as part:
            part.write_bytes(content)
    kind = {"png": "png", "svg": "svg+xml"}[shown]
    return {
        "src": f"data:image/{kind};base64,{base64.b64encode(content).decode()}",
        "pixels": round(96 * float(figure.get_figwidth())),
    }


def _drawings(v: Validation) -> Iterator[_Drawing]:
    """The figures of the parts that were made, in the order of the page."""
    j = v.judgement
    if v.yields:
        yield _Drawing(
            "yields",
            "Yields",
            f"{j.tested.title()} over expected yields; bars are the statistical errors, hard events "
            "counted once, grey bands the tolerances. Triangles lie beyond the axis.",
            f"Ratios of {j.tested} to expected yields per process and region.",
            lambda: figures.yields_ratio(v.yields, v.table.name, j),
        )
    yield from _distributions(v)
    for process in dict.fromkeys(r.process for r in v.responses):
        own = [r for r in v.responses if r.process == process]
        yield _Drawing(
            f"response_{process}",
            f"Responses: {process}",
            "Change of the yield of each region after the high thresholds, under each shift. Hollow: "
            f"not judged, for want of {j.reference} events.",
            f"Responses of the yields of {process}, {j.tested} beside {j.reference}, per region and "
            "shift.",
            lambda own=own, process=process: responses.responses_plot(own, process, j),  # type: ignore[misc]
        )
    for test in v.correlations:
        yield _Drawing(
            f"correlations_{test.group}",
            f"Correlations: {test.group}",
            f"{j.tested.title()} minus {j.reference}: above the diagonal in units of the error, below it the plain "
            "difference times 10. Grey: too few events have both columns.",
            f"Matrix of differences of correlations in {test.group}; the largest is "
            f"{abs(test.largest or 0.0):.1f} sigma among {test.pairs} pairs.",
            lambda test=test: figures.correlation_pulls(test, j),  # type: ignore[misc]
        )
    yield from _learned(v)


def _learned(v: Validation) -> Iterator[_Drawing]:
    j = v.judgement
    if v.classifiers:
        said = ", ".join(f"{t.group} {t.auc:.3f}" for t in v.classifiers)
        yield _Drawing(
            "roc",
            f"Telling {j.tested} from {j.reference}",
            "Mean ROC curves of five trainings on events not seen in training.",
            f"ROC curves of a classifier of {j.tested} against {j.reference} events; areas: {said}.",
            lambda: learned.roc_curves(v.classifiers, j),
            wide=False,
        )
    if v.classifiers and j.largest_area is not None:
        yield _Drawing(
            "areas",
            "Areas and their controls",
            "Areas under these curves with their errors. The control are the same trees on training "
            f"events and others, both {j.reference}: what trees find where nothing differs.",
            f"Areas under the ROC curves, beside their controls: {said}.",
            lambda: learned.areas(v.classifiers, v.controls, j),
            wide=False,
        )
    for own in v.separations:
        yield _Drawing(
            f"separation_{own.trained_on}",
            f"Signal and background, by trees trained on {own.trained_on} events",
            f"Left: line and band, {j.tested} events; points, {j.reference} ones. Backgrounds are "
            "mixed in the same proportion. Right: the ROC curves, and the difference of the "
            "fractions of signal.",
            f"Scores and ROC curves in {j.tested} and {j.reference} events; the areas differ by "
            f"{own.gap.difference:+.4f}, with an error of {own.gap.error:.4f}.",
            lambda own=own: learned.separation_plot(own, j),  # type: ignore[misc]
        )
    if v.neighbours:
        yield _Drawing(
            "neighbours",
            "Distances to training events",
            f"Line: {j.tested} events; points: {j.reference} events of other hard collisions, one of "
            "each. Events that the emulator repeats would stand at the left end.",
            f"Distances of {j.tested} and held-out events to the nearest training event.",
            lambda: learned.neighbour_distances(v.neighbours, j),
        )


def _distributions(v: Validation) -> Iterator[_Drawing]:
    made = [test for test in v.distributions if test.p_value is not None]
    if made:
        yield _Drawing(
            "p_values",
            "All p-values",
            "Sorted p-values of the distribution tests against those expected of their rank; the "
            "band holds 90% for independent tests, which these are not.",
            f"P-values of {len(made)} tests against a uniform distribution.",
            lambda: figures.p_values(made),
            wide=False,
        )
    if not v.distributions:
        return
    j = v.judgement
    when = "after" if j.high_thresholds else "before"
    for group, processes in v.groups.items():
        histograms = [h for h in v.histograms if h.process in processes]
        tests = [test for test in v.distributions if test.group == group]
        yield _Drawing(
            f"distributions_{group}",
            f"Distributions: {group}",
            f"Line and band: {j.tested} events with their statistical error; points: {j.reference} "
            f"events. Both are normalised to 1 and stand {when} the high thresholds; p is corrected "
            "for the number of tests. The outermost bins hold what lies beyond the axis.",
            f"Distributions of all 28 columns of {group}, {j.tested} and {j.reference}, with their "
            "ratio.",
            lambda h=histograms, t=tests, g=group: figures.distributions_grid(h, t, g, j),  # type: ignore[misc]
            heavy=True,
        )
