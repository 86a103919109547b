"""What a run's report says of a calibrated method: the correction, and how well it is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sigma68.inference.calibrate import Calibration, Coverage
from sigma68.inference.neyman import Belt
from sigma68.inference.scale import Scale
from sigma68.learning.files import read_document
from sigma68.report.sections import ReportFigure
from sigma68.report.words import number, percent, with_error
from sigma68.run.calibrated import FILE_NAME, calibration_of
from sigma68.types import Nuisance, Parameter

if TYPE_CHECKING:
    from sigma68.protocols import Task

__all__ = ["CalibrationSection", "calibration_figures", "calibration_section", "read_calibration"]


@dataclass(frozen=True)
class CalibrationSection:
    """Sentences, and a table of rows of text under its column names."""

    sentences: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_calibration(out: Path, task: Task) -> Calibration | None:
    """The calibration of the run in `out`; None if its method was not calibrated.

    Raises
    ------
    DataError
        If it cannot be read.
    ModelMismatchError
        If it is of another task.
    """
    path = out / FILE_NAME
    return calibration_of(read_document(path), task) if path.is_file() else None


def calibration_section(calibration: Calibration, parameter: Parameter) -> CalibrationSection:
    """The calibration in words and numbers."""
    n, level = f"{calibration.n_toys:,}", percent(calibration.level, 2)
    failed = ""
    if calibration.n_failed:
        failed = f" {calibration.n_failed:,} of them failed and count as not covered."
    sentences = (
        f"The intervals of this run were corrected by {n} toys of the calibration pool, each with "
        f"a true {parameter.name} of its own.{failed} {_correction(calibration, parameter)}",
        f"On new toys from that pool the corrected intervals cover {level} ± "
        f"{percent(calibration.sigma, 2)}: {n} toys know it no better. After correction the table "
        "is cross-validated: it shows what learning itself loses, and its coverage lies closer to "
        f"{level} than that of new toys.",
        "Methods fill their templates from the same pool. The error of that pool, and that of the "
        "pool the toys of this run are drawn from, are not corrected for.",
    )
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    return CalibrationSection(
        sentences,
        ("", "coverage", "binomial interval", f"mean width{unit}"),
        (_row("before", calibration.before), _row("after", calibration.after)),
    )


def calibration_figures(
    calibration: Calibration, parameter: Parameter, nuisances: Sequence[Nuisance]
) -> Iterator[ReportFigure]:
    """The figures of a calibration, in the order of the page."""
    from sigma68.report import calibration_figures as figures

    before, after = (percent(c.coverage) for c in (calibration.before, calibration.after))
    yield ReportFigure(
        "calibration_coverage",
        "Calibration: coverage before and after",
        "Of the toys that the correction was learned from, after correction cross-validated. The "
        "average is what is calibrated, not each bin.",
        f"Coverage of the calibration's toys in bins of {', '.join(calibration.curves_after)}; "
        f"{before} before, {after} after.",
        lambda: figures.coverage_before_and_after(calibration, parameter, nuisances),
        wide=True,
    )
    yield ReportFigure(
        "calibration_correction",
        "Calibration: the correction",
        "Bands along the lines are bootstrap errors over toys.",
        _correction(calibration, parameter),
        lambda: figures.correction_figure(calibration.correction, parameter),
    )


def _correction(calibration: Calibration, parameter: Parameter) -> str:
    correction = calibration.correction
    edges = ""
    if correction.at_edges == "clip":
        edges = f" They are clipped to the range {parameter.low:g} to {parameter.high:g}."
    if isinstance(correction, Belt):
        return (
            f"They are those of the Neyman construction about the method's estimate, whose "
            f"quantiles are polynomials of degree {correction.degree} in {parameter.name}.{edges}"
        )
    if not isinstance(correction, Scale):
        return f"The correction is of the kind {correction.kind}.{edges}"
    if len(correction.low.coefficients) > 1:
        return f"Each arm grows by a factor that depends on the estimate.{edges}"
    errors = (None, None) if correction.errors is None else tuple(correction.errors[:, 0])
    left = with_error(-float(correction.low.coefficients[0]), errors[0])
    right = with_error(float(correction.high.coefficients[0]), errors[1])
    return f"Their left arms are {left} times as long, their right arms {right} times.{edges}"


def _row(name: str, coverage: Coverage) -> tuple[str, ...]:
    between = f"{percent(coverage.coverage_low, 2)} to {percent(coverage.coverage_high, 2)}"
    width = with_error(coverage.width, coverage.width_error)
    if coverage.width_error == 0:
        width = number(coverage.width)
    return (name, percent(coverage.coverage, 2), between, width)
