"""Calibration of coverage: what a method's intervals need to cover as often as they promise.

Given toys that a method has answered, truths and nuisances drawn from the task's priors, a
correction is learned (`scale` or `neyman`), and it is said how well it is known:

- on the toys it was learned from it covers exactly, by construction, which says nothing. So the
  coverage quoted is cross-validated: each tenth of the toys is corrected by what the other nine
  tenths taught. It shows what learning itself loses, as a search for the shortest intervals or a
  correction with many coefficients does. It does not scatter as a count would, since what one
  tenth has too much of the others miss, and so is no measure of how well coverage is known;
- that is s68(T) = sqrt(level (1 - level) / T), the standard deviation about the level of the
  coverage that the correction has on new toys, if T toys taught it;
- coverage is shown against the parameter and each nuisance that varies, since the score sees the
  average only.

It corrects what the toys show. Toys drawn from the events that filled a method's templates do
not show what the finite number of these events does to all toys together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, get_args

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, FitError, SettingsError
from sigma68.inference.edges import AtEdges
from sigma68.inference.kinds import CalibrationKind
from sigma68.inference.neyman import Belt, build_belt
from sigma68.inference.scale import Scale, Tails, learn_scale
from sigma68.score.binomial import clopper_pearson
from sigma68.score.diagnostics import CoverageCurve, coverage_curves
from sigma68.score.intervals import sigma_of_coverage
from sigma68.score.table import IntervalToys, interval_toys
from sigma68.seeds import stream
from sigma68.types import LEVEL, Interval, Parameter

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Calibration",
    "Correction",
    "Coverage",
    "calibrate",
    "correction_from_json",
    "learn",
]

FloatArray = npt.NDArray[np.float64]

_FOLDS = 10
_RESAMPLES = 30
_FEWEST = 100


class Correction(Protocol):
    """What turns a method's interval into one that covers."""

    @property
    def kind(self) -> str: ...

    @property
    def at_edges(self) -> AtEdges: ...

    def corrected(
        self, mu_hat: FloatArray, lower: FloatArray, upper: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Estimate, lower and upper ends of many intervals, shapes (n_toys,)."""
        ...

    def interval(self, given: Interval) -> Interval:
        """The corrected interval.

        Raises
        ------
        FitError
            If there is nothing to correct.
        """
        ...

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Coverage:
    """Coverage with its Clopper-Pearson interval (68.27%), and mean width with its error."""

    coverage: float
    coverage_low: float
    coverage_high: float
    width: float
    width_error: float

    @classmethod
    def of(cls, toys: IntervalToys) -> Coverage:
        """Of a table of toys; one that failed does not cover and is as wide as the range."""
        n, k = toys.n_toys, int(np.count_nonzero(toys.covered))
        low, high = clopper_pearson(k, n)
        spread = float(np.std(toys.width, ddof=1)) if n > 1 else 0.0
        return cls(k / n, float(low), float(high), float(toys.width.mean()), spread / math.sqrt(n))


@dataclass(frozen=True)
class Calibration:
    """A correction, and what is known about it.

    `before` and `after` are of the same toys, `after` cross-validated: its binomial interval is
    that of a count, which it does not scatter like. `sigma` is s68(T), how well `n_toys` toys can
    know the coverage of the correction. The curves are coverage in bins
    of the parameter and of each nuisance that varies.
    """

    correction: Correction
    n_toys: int
    n_failed: int
    level: float
    sigma: float
    before: Coverage
    after: Coverage
    curves_before: Mapping[str, CoverageCurve]
    curves_after: Mapping[str, CoverageCurve]

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {
            "correction": self.correction.to_json(),
            "n_toys": self.n_toys,
            "n_failed": self.n_failed,
            "level": self.level,
            "sigma": self.sigma,
            "before": asdict(self.before),
            "after": asdict(self.after),
            "curves_before": {k: _curve_to_json(c) for k, c in self.curves_before.items()},
            "curves_after": {k: _curve_to_json(c) for k, c in self.curves_after.items()},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], parameter: Parameter) -> Calibration:
        """The calibration that `to_json` wrote.

        Raises
        ------
        DataError
            If something is missing or of the wrong kind.
        """
        try:
            return cls(
                correction=correction_from_json(document["correction"], parameter),
                n_toys=int(document["n_toys"]),
                n_failed=int(document["n_failed"]),
                level=float(document["level"]),
                sigma=float(document["sigma"]),
                before=Coverage(**document["before"]),
                after=Coverage(**document["after"]),
                curves_before=_curves_from_json(document["curves_before"]),
                curves_after=_curves_from_json(document["curves_after"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"a calibration is damaged ({error!r})") from error


def correction_from_json(document: Mapping[str, Any], parameter: Parameter) -> Correction:
    """The correction of whichever kind that `to_json` wrote.

    Raises
    ------
    DataError
        If it is none.
    """
    kinds: dict[Any, type[Scale] | type[Belt]] = {Scale.kind: Scale, Belt.kind: Belt}
    kind = document.get("kind")
    if kind not in kinds:
        raise DataError(f"a correction of the kind {kind!r} is unknown: calibrate again")
    return kinds[kind].from_json(document, parameter)


def learn(
    toys: IntervalToys,
    parameter: Parameter,
    *,
    kind: CalibrationKind = "scale",
    level: float = LEVEL,
    at_edges: AtEdges = "extend",
    degree: int | None = None,
    tails: Tails = "central",
    resamples: int = 0,
) -> Correction:
    """The correction of one kind from toys, see `learn_scale` and `build_belt`.

    A `degree` of None is 0 for "scale" and found by cross-validation for "neyman". `tails` says
    something to "scale" only.

    Raises
    ------
    FitError
        If the toys are too few or their answers cannot be corrected.
    SettingsError
        If an option is unknown.
    """
    if kind not in get_args(CalibrationKind):
        raise SettingsError(f"a calibration is of the kind 'scale' or 'neyman', not {kind!r}")
    if kind == "neyman":
        estimate = np.where(toys.valid, toys.hat, np.nan)
        return build_belt(
            toys.truth,
            estimate,
            parameter,
            level=level,
            at_edges=at_edges,
            degree=degree,
            resamples=resamples,
        )
    lower, upper = (np.where(toys.valid, v, np.nan) for v in (toys.lower, toys.upper))
    return learn_scale(
        toys.truth,
        toys.hat,
        lower,
        upper,
        parameter,
        level=level,
        tails=tails,
        degree=degree or 0,
        at_edges=at_edges,
        resamples=resamples,
    )


def calibrate(
    toys: pd.DataFrame,
    parameter: Parameter,
    *,
    kind: CalibrationKind = "scale",
    level: float = LEVEL,
    at_edges: AtEdges = "extend",
    degree: int | None = None,
    tails: Tails = "central",
) -> Calibration:
    """Learn a correction from a table of toys and say how well it is known.

    Parameters
    ----------
    toys
        A table of toys as `sigma68.run.results` describes it, at least 100, of the method that
        is to be corrected: the truth uniform over the parameter's range in each toy by itself,
        nuisances drawn from their priors.
    kind, level, at_edges, degree, tails
        See `learn`.

    Raises
    ------
    DataError
        If the table cannot be scored.
    FitError, SettingsError
        As `learn`.
    """

    def learned(table: IntervalToys, degree: int | None, resamples: int = 0) -> Correction:
        return learn(
            table,
            parameter,
            kind=kind,
            level=level,
            at_edges=at_edges,
            degree=degree,
            tails=tails,
            resamples=resamples,
        )

    table = interval_toys(toys, parameter)
    if table.n_toys < _FEWEST:
        raise FitError(f"{table.n_toys} toys are too few to calibrate with: draw {_FEWEST} or more")
    correction = learned(table, degree, _RESAMPLES)
    # To find a belt's degree again in each fold would take ten times as long and change little.
    fixed = correction.degree if isinstance(correction, Belt) else degree
    after = _corrected_unseen(toys, table, parameter, lambda others: learned(others, fixed))
    return Calibration(
        correction=correction,
        n_toys=table.n_toys,
        n_failed=table.n_failed,
        level=level,
        sigma=float(sigma_of_coverage(table.n_toys, level)),
        before=Coverage.of(table),
        after=Coverage.of(interval_toys(after, parameter)),
        curves_before=coverage_curves(toys, parameter, level=level),
        curves_after=coverage_curves(after, parameter, level=level),
    )


def _corrected_unseen(
    toys: pd.DataFrame,
    table: IntervalToys,
    parameter: Parameter,
    learned: Callable[[IntervalToys], Correction],
) -> pd.DataFrame:
    """The toys with the answers that the others of them teach: cross-validation."""
    generator = stream("calibration", "folds", 0).generator()
    fold = generator.permutation(np.arange(table.n_toys) % _FOLDS)
    answers = np.full((3, table.n_toys), np.nan)
    for k in range(_FOLDS):
        out = (fold == k) & table.valid
        correction = learned(table.take(np.flatnonzero(fold != k)))
        answers[:, out] = correction.corrected(table.hat[out], table.lower[out], table.upper[out])
    columns = dict(zip((f"{parameter.name}_hat", "p16", "p84"), answers, strict=True))
    return toys.assign(**columns)


def _curve_to_json(curve: CoverageCurve) -> dict[str, Any]:
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in asdict(curve).items()
    }


def _curves_from_json(document: Mapping[str, Any]) -> dict[str, CoverageCurve]:
    """The curves by name; ValueError or TypeError where they are none."""
    words = ("column", "level")
    curves = {}
    for name, given in document.items():
        values: dict[str, Any] = {
            f.name: given[f.name] if f.name in words else np.array(given[f.name])
            for f in fields(CoverageCurve)
        }
        curves[name] = CoverageCurve(**values)
    return curves
