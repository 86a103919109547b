"""Expected events per component and bin as smooth functions of the nuisances that move events.

For each component k and bin j, with x the coordinates of the nuisances (0 where they are off),

    N_kj(x) = N_kj(0) exp(q_kj(x)),    q_kj a polynomial without constant term:

powers one to three of each coordinate and the product of each pair, so that nothing is ever
negative. The logarithms of N(x) / N(0) are measured with the same simulated events at the points
of a design (`design`), which leaves most of the statistical error out, and fitted with errors that
come from groups of hard events (the jackknife). Where a component has too few events in a bin, its
response is that of as many neighbouring bins as it takes.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.types import Nuisance

__all__ = ["GROUPS", "Closure", "Surfaces", "closure", "coordinate", "design", "fit_surfaces"]

Floats = npt.NDArray[np.float64]

GROUPS = 10
"""Groups of hard events from which errors are estimated."""
_ENOUGH = 200.0  # effective events that a response of its own takes
_POWERS = 3


@dataclass(frozen=True)
class Surfaces:
    """Expected events and their polynomials.

    Attributes
    ----------
    shapes
        Names of the nuisances, S of them, in the order of the columns of `exponents`.
    origins, units
        A nuisance's coordinate is (value - origin) / unit; both (S,).
    exponents
        Of the monomials, (T, S), small integers.
    nominal, variance
        Expected events at x = 0 with every scale at 1 and the variance of the simulation, (K, J).
    coefficients
        Of q, (K, J, T).
    """

    shapes: tuple[str, ...]
    origins: Floats
    units: Floats
    exponents: npt.NDArray[np.int64]
    nominal: Floats
    variance: Floats
    coefficients: Floats

    def expected(self, x: Floats) -> Floats:
        """N(x), (K, J), at coordinates (S,)."""
        response: Floats = np.exp(self.coefficients @ monomials(x[None], self.exponents)[0])
        return self.nominal * response

    def of_bins(self, bins: slice | npt.NDArray[np.bool_]) -> Surfaces:
        """Those of some of the bins."""
        return replace(
            self,
            nominal=self.nominal[:, bins],
            variance=self.variance[:, bins],
            coefficients=self.coefficients[:, bins],
        )

    def summed(self, first: npt.NDArray[np.int64]) -> Surfaces:
        """Those of groups of neighbouring bins, which begin at `first`.

        A sum of exponentials of polynomials is none. A group's polynomial is the mean of its bins',
        weighted with what is expected in them, which is right for small responses.
        """
        nominal = np.add.reduceat(self.nominal, first, axis=1)
        weighted = np.add.reduceat(self.coefficients * self.nominal[:, :, None], first, axis=1)
        with np.errstate(invalid="ignore"):
            mean = np.where(nominal[:, :, None] > 0, weighted / nominal[:, :, None], 0.0)
        return replace(
            self,
            nominal=nominal,
            variance=np.add.reduceat(self.variance, first, axis=1),
            coefficients=mean,
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back bit for bit."""
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        return {"shapes": list(self.shapes), **arrays}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Surfaces:
        """The surfaces that `to_json` wrote.

        Raises
        ------
        DataError
            If the document is not one of surfaces.
        """
        try:
            shapes = tuple(str(name) for name in document["shapes"])
            arrays = {name: np.asarray(document[name], np.float64) for name in _ARRAYS}
            k, j = arrays["nominal"].shape
            powers = arrays.pop("exponents").reshape(arrays["coefficients"].shape[-1], len(shapes))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise DataError(f"the saved templates are damaged ({error!r}): train again") from error
        wanted = {
            "origins": (len(shapes),),
            "units": (len(shapes),),
            "variance": (k, j),
            "coefficients": (k, j, len(powers)),
        }
        fits = all(arrays[name].shape == shape for name, shape in wanted.items())
        if not fits or not all(np.isfinite(a).all() for a in arrays.values()):
            raise DataError("the saved templates do not fit together: train again")
        sensible = bool(np.isin(powers, range(_POWERS + 1)).all()) and len(set(shapes)) == len(
            shapes
        )
        negative = (arrays["nominal"] < 0).any() or (arrays["variance"] < 0).any()
        if not sensible or negative or not (arrays["units"] > 0).all():
            raise DataError("the saved templates make no sense: train again")
        return cls(shapes=shapes, exponents=powers.astype(np.int64), **arrays)


_ARRAYS = ("origins", "units", "exponents", "nominal", "variance", "coefficients")


@dataclass(frozen=True)
class Closure:
    """Surfaces against counts at points that they were not fitted to.

    `points` (P, S) are values of the nuisances; `difference` (P, K, J) is predicted over counted
    minus 1; `pull` the same in standard deviations of the simulation's error on the ratio to the
    nominal (0 where there are too few events to say).
    """

    points: Floats
    difference: Floats
    pull: Floats

    @property
    def rms_pull(self) -> float:
        """Root mean square of the pulls that are known; 1 for surfaces that are as good as events."""
        known = self.pull != 0
        return float(np.sqrt(np.mean(self.pull[known] ** 2))) if known.any() else 0.0


def coordinate(nuisance: Nuisance) -> tuple[float, float]:
    """Origin and unit of a nuisance's coordinate: its "off", and a width or a tenth of its range."""
    if nuisance.prior == "normal":
        return nuisance.off, nuisance.width
    return nuisance.off, (nuisance.high - nuisance.off) / 2


def design(nuisances: Sequence[Nuisance]) -> tuple[Floats, Floats]:
    """Values of the nuisances at which events are counted: to fit (D, S), and to test (P, S).

    A normal nuisance goes to 1, 2 and 3.5 standard deviations on either side with all others off,
    a lognormal one through five steps of its range; pairs go to the corners at 2 standard
    deviations or 0.6 of the range. Tests lie between, with all of them on together.
    """
    off = np.array([n.off for n in nuisances])
    fit: list[Floats] = []
    for i, nuisance in enumerate(nuisances):
        for value in _axis(nuisance):
            point = off.copy()
            point[i] = value
            fit.append(point)
    for i, j in itertools.combinations(range(len(nuisances)), 2):
        for a, b in itertools.product(_corners(nuisances[i]), _corners(nuisances[j])):
            point = off.copy()
            point[[i, j]] = a, b
            fit.append(point)
    test = []
    for t, step in enumerate((0.75, 1.5, 2.25, 3.0)):
        signs = [1 if (t >> (i % 2)) & 1 else -1 for i in range(len(nuisances))]
        test.append([_between(n, s * step) for n, s in zip(nuisances, signs, strict=True)])
    shape = (-1, len(nuisances))
    return np.array(fit).reshape(shape), np.array(test).reshape(shape)


def _axis(nuisance: Nuisance) -> list[float]:
    if nuisance.prior == "normal":
        return [nuisance.from_z(z) for z in (-3.5, -2.0, -1.0, 1.0, 2.0, 3.5)]
    span = nuisance.high - nuisance.off
    return [nuisance.off + share * span for share in (0.2, 0.4, 0.6, 0.8, 1.0)]


def _corners(nuisance: Nuisance) -> list[float]:
    if nuisance.prior == "normal":
        return [nuisance.from_z(-2.0), nuisance.from_z(2.0)]
    return [nuisance.off + 0.6 * (nuisance.high - nuisance.off)]


def _between(nuisance: Nuisance, step: float) -> float:
    if nuisance.prior == "normal":
        return nuisance.from_z(step)
    return nuisance.off + 0.3 * abs(step) * (nuisance.high - nuisance.off)


def monomials(x: Floats, exponents: npt.NDArray[np.int64]) -> Floats:
    """Products of powers, (n, T), of coordinates (n, S)."""
    product: Floats = np.prod(x[:, None, :] ** exponents[None], axis=2)
    return product


def _exponents(n: int) -> npt.NDArray[np.int64]:
    rows = [
        power * np.eye(n, dtype=np.int64)[i] for i in range(n) for power in range(1, _POWERS + 1)
    ]
    unit = np.eye(n, dtype=np.int64)
    rows += [unit[i] + unit[j] for i, j in itertools.combinations(range(n), 2)]
    return np.array(rows, np.int64).reshape(-1, n)


def fit_surfaces(
    nuisances: Sequence[Nuisance],
    points: Floats,
    off_counts: Floats,
    counts: Floats,
    nominal: Floats,
    variance: Floats,
) -> Surfaces:
    """Surfaces through counts at the points of a design.

    Parameters
    ----------
    nuisances
        The S nuisances.
    points
        Their values at the D points, (D, S).
    off_counts
        Weighted counts with all nuisances off in groups of hard events, (G, K, J).
    counts
        The same at the points, of the same events, (D, G, K, J).
    nominal, variance
        Expected events with all nuisances off, from as many events as there are, and their
        variance, (K, J).

    Raises
    ------
    DataError
        If a component that is expected in a bin has no events near it at some point.
    """
    origins, units = (np.array(v) for v in zip(*map(coordinate, nuisances), strict=True))
    exponents = _exponents(len(nuisances))
    basis = monomials((points - origins) / units, exponents)
    n_effective = np.divide(
        nominal**2, variance, out=np.zeros_like(nominal), where=(variance > 0) & (nominal > 0)
    )
    k, j = nominal.shape
    coefficients = np.zeros((k, j, len(exponents)))
    for component in range(k):
        windows = [_window(n_effective[component], bin_) for bin_ in range(j)]
        log_ratio, error = _responses(off_counts[:, component], counts[:, :, component], windows)
        for bin_ in range(j):
            if nominal[component, bin_] <= 0:
                continue
            if not np.isfinite(log_ratio[:, bin_]).all():
                raise DataError(
                    f"component {component} has no simulated events near bin {bin_} at some "
                    "values of the nuisance parameters: give a larger pool or fewer bins"
                )
            weight = 1 / error[:, bin_]
            solution = np.linalg.lstsq(
                basis * weight[:, None], log_ratio[:, bin_] * weight, rcond=None
            )
            coefficients[component, bin_] = solution[0]
    return Surfaces(
        tuple(n.name for n in nuisances), origins, units, exponents, nominal, variance, coefficients
    )


def closure(surfaces: Surfaces, points: Floats, off_counts: Floats, counts: Floats) -> Closure:
    """How well surfaces predict counts (P, G, K, J) at points (P, S) they were not fitted to."""
    k, j = surfaces.nominal.shape
    difference, pull = np.zeros((len(points), k, j)), np.zeros((len(points), k, j))
    x = (points - surfaces.origins) / surfaces.units
    with np.errstate(divide="ignore"):
        predicted = np.log(
            np.stack([surfaces.expected(row) for row in x]) / np.maximum(surfaces.nominal, 1e-300)
        )
    for component in range(k):
        alone = [slice(bin_, bin_ + 1) for bin_ in range(j)]
        log_ratio, error = _responses(off_counts[:, component], counts[:, :, component], alone)
        known = np.isfinite(log_ratio) & (surfaces.nominal[component] > 0)
        apart = np.where(known, predicted[:, component] - np.where(known, log_ratio, 0.0), 0.0)
        difference[:, component] = np.expm1(apart)
        sums = off_counts[:, component].sum(axis=0)
        spread = off_counts[:, component].std(axis=0) * np.sqrt(len(off_counts))
        many = known & (sums**2 > _ENOUGH * np.maximum(spread, 1e-300) ** 2)
        pull[:, component] = np.where(many, apart / error, 0.0)
    return Closure(points, difference, pull)


def _window(n_effective: Floats, bin_: int) -> slice:
    """Neighbouring bins around one that hold enough effective events, or all of them."""
    low, high = bin_, bin_ + 1
    while n_effective[low:high].sum() < _ENOUGH and (low > 0 or high < len(n_effective)):
        low, high = max(low - 1, 0), min(high + 1, len(n_effective))
    return slice(low, high)


def _responses(off: Floats, at: Floats, windows: Sequence[slice]) -> tuple[Floats, Floats]:
    """Logarithms of the ratio of counts at the points to those off, and its error, both (D, J).

    `off` (G, J) and `at` (D, G, J) are counts in groups. Errors come from leaving out one group
    after the other; of a point they are made alike in all bins but for the events in them, since
    ten groups say little of one bin's.
    """
    off_in = np.stack([off[:, w].sum(axis=1) for w in windows], axis=1)
    at_in = np.stack([at[:, :, w].sum(axis=2) for w in windows], axis=2)
    total_off, total_at = off_in.sum(axis=0), at_in.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_ratio = np.log(total_at / total_off)
        left = np.log((total_at[:, None] - at_in) / (total_off - off_in)[None])
        groups = len(off)
        variance = (
            (groups - 1) / groups * ((left - left.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
        )
        per_event = variance * total_off
        usable = np.isfinite(per_event)
    common = np.array(
        [row[ok].mean() if ok.any() else 1.0 for row, ok in zip(per_event, usable, strict=True)]
    )
    error = np.sqrt(np.maximum(common, 1e-12)[:, None] / np.maximum(total_off, 1e-300)[None])
    return log_ratio, error
