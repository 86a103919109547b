"""What a physicist asks of a fit before believing it: scans, pulls, impacts, correlations.

Everything is computed from a likelihood (`binned` or `density_ratios`) and what it is fitted to
(counts, or events), as plain frozen data; `sigma68.report.fit_figures` draws it. Nuisances stand as
z, in standard deviations of their priors, so that the prior's error is 1. `fit_quality` holds what
is about bins, `post_fit_events` what is about features of events that no bin stands for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sigma68.errors import FitError
from sigma68.inference.vector import Fit, ProfiledLikelihood

__all__ = [
    "Breakdown",
    "Correlation",
    "Impacts",
    "ProfileScan",
    "Pulls",
    "correlation",
    "error_breakdown",
    "impacts",
    "profile_scan",
    "pulls",
]

Floats = npt.NDArray[np.float64]
Data = TypeVar("Data")


@dataclass(frozen=True)
class ProfileScan:
    """-2 ln L along one coordinate of the vector, above its minimum.

    Attributes
    ----------
    name
        The parameter, or a nuisance (then `values`, `best` and `error` are z).
    values
        Where it is held, (n,).
    profiled
        The rise with everything else fitted, (n,); infinite where a bin expects no events, and
        negative where the fit has missed a lower minimum.
    statistical
        The rise with every other nuisance and the simulation's factors kept at the best fit, (n,).
    best, error
        The fit's, with the error from the Hessian; 0 at a limit.
    """

    name: str
    values: Floats
    profiled: Floats
    statistical: Floats
    best: float
    error: float


@dataclass(frozen=True)
class Pulls:
    """Fitted nuisances, N of them.

    Attributes
    ----------
    names
        Of the nuisances, in the order of the vector.
    best
        z at the minimum, (N,); 0 is the centre of the prior.
    errors
        Errors from the Hessian, (N,). The prior's is 1, so this is the constraint as well: well
        below 1 where the data know more than the prior.
    at_limit
        Which ended at a limit of their range, (N,); their errors are 0.
    """

    names: tuple[str, ...]
    best: Floats
    errors: Floats
    at_limit: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Impacts:
    """Shifts of the parameter's estimate by nuisances, the strongest first.

    Attributes
    ----------
    names
        Of the N nuisances, by falling size of the larger shift after the fit.
    after, before
        The shift, (N, 2), with a nuisance held one standard error of the fit (or of the prior)
        below and above its best value, and all else fitted again. One that would leave its range
        goes to the limit; one that ended at a limit, where the fit has no error, moves by the
        prior's.
    best, error
        The parameter's estimate and its error.
    statistical
        The error with every nuisance and the simulation's factors kept at the best fit.
    """

    names: tuple[str, ...]
    after: Floats
    before: Floats
    best: float
    error: float
    statistical: float


@dataclass(frozen=True)
class Correlation:
    """Linear correlations of the fit: `names` of the vector (P), `matrix` (P, P).

    A nuisance that ended at a limit has no correlation with anything: 0.
    """

    names: tuple[str, ...]
    matrix: Floats


@dataclass(frozen=True)
class Breakdown:
    """What the parameter's error is made of.

    Attributes
    ----------
    total
        The error of the fit.
    statistical
        With every nuisance and the simulation's factors kept at the best fit.
    systematic
        What the two differ by in quadrature.
    simulation
        In quadrature, what knowing the templates exactly would take away.
    groups
        The same for knowing a group of nuisances, by its name. Groups that are correlated in the
        fit do not add up to `systematic`.
    """

    total: float
    statistical: float
    systematic: float
    simulation: float
    groups: Mapping[str, float]


def profile_scan(
    likelihood: ProfiledLikelihood[Data],
    observed: Data,
    name: str,
    values: npt.ArrayLike | None = None,
    *,
    span: float = 3.0,
    points: int = 41,
    thorough: bool = True,
) -> ProfileScan:
    """Scan the parameter or a nuisance.

    Parameters
    ----------
    observed
        Counts (J,) of a binned likelihood, or events of an unbinned one.
    name
        Of the parameter or of a profiled nuisance.
    values
        Where to hold it, z for a nuisance; None for `points` values from `span` errors below the
        minimum to as many above. Nuisances stay in their range.
    thorough
        Whether each point is fitted from the usual places too, and not only from the minima of its
        neighbours: five times the work, which single events make felt.

    Raises
    ------
    FitError
        If a fit does not converge.
    ValueError
        If the likelihood has no such name.
    """
    i = _index(likelihood, name)
    found = likelihood.fit(observed)
    best = float(found.best[i])
    if values is None:
        reach = span * (float(found.errors[i]) or 1.0)
        values = np.linspace(best - reach, best + reach, points)
    at = np.unique(
        np.clip(np.asarray(values, np.float64), likelihood.lower[i], likelihood.upper[i])
    )
    known = likelihood.known(observed, found)
    others = {n: float(found.best[k]) for k, n in enumerate(likelihood.names) if k > 0 and k != i}
    profiled = _profile(likelihood, observed, found, [{name: float(v)} for v in at], i, thorough)
    alone = _profile(known, observed, found, [{**others, name: float(v)} for v in at], i, False)
    floor = known.fit(observed, {**others, name: best}).value
    return ProfileScan(
        name,
        at,
        _above(profiled, found.value),
        _above(alone, floor),
        best,
        float(found.errors[i]),
    )


def pulls(likelihood: ProfiledLikelihood[Data], observed: Data) -> Pulls:
    """The fitted nuisances for what is observed.

    Raises
    ------
    FitError
        If the fit does not converge.
    """
    found = likelihood.fit(observed)
    return Pulls(likelihood.names[1:], found.best[1:], found.errors[1:], found.errors[1:] == 0)


def impacts(likelihood: ProfiledLikelihood[Data], observed: Data) -> Impacts:
    """How far each nuisance can shift the estimate, for what is observed.

    Raises
    ------
    FitError
        If a fit does not converge.
    """
    found = likelihood.fit(observed)
    best, errors = found.best, found.errors

    def shifts(i: int, error: float) -> tuple[float, float]:
        low, high = np.clip(
            [best[i] - error, best[i] + error], likelihood.lower[i], likelihood.upper[i]
        )
        name = likelihood.names[i]
        below, above = (
            _lowest_fit(likelihood, observed, {name: float(z)}, best).best[0] for z in (low, high)
        )
        return float(below - best[0]), float(above - best[0])

    places = range(1, len(best))
    after = np.array([shifts(i, float(errors[i]) or 1.0) for i in places]).reshape(-1, 2)
    before = np.array([shifts(i, 1.0) for i in places]).reshape(-1, 2)
    order = np.argsort(-np.abs(after).max(axis=1), kind="stable")
    return Impacts(
        tuple(likelihood.names[1 + k] for k in order),
        after[order],
        before[order],
        float(best[0]),
        float(errors[0]),
        error_breakdown(likelihood, observed).statistical,
    )


def correlation(likelihood: ProfiledLikelihood[Data], observed: Data) -> Correlation:
    """The correlations of the fit to what is observed.

    Raises
    ------
    FitError
        If the fit does not converge.
    """
    found = likelihood.fit(observed)
    scale = np.where(found.errors > 0, found.errors, 1.0)
    matrix = found.covariance / np.outer(scale, scale)
    np.fill_diagonal(matrix, 1.0)
    return Correlation(likelihood.names, matrix)


def error_breakdown(
    likelihood: ProfiledLikelihood[Data],
    observed: Data,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> Breakdown:
    """What the parameter's error is made of, for what is observed.

    A part is the quadrature difference of the total error and the one with what belongs to it
    kept at the best fit. This moves no minimum, so that all come from one Hessian.

    Parameters
    ----------
    groups
        Names of nuisances by the name of their group; None for each on its own.

    Raises
    ------
    FitError
        If the fit does not converge.
    ValueError
        If a group names what is not profiled.
    """
    found = likelihood.fit(observed)
    known = likelihood.known(observed, found)
    hessian = likelihood.derivatives(found.best, observed)[2]
    exact = known.derivatives(found.best, observed)[2]
    # What ended at a limit is held there already.
    free = found.errors > 0
    total = _error(hessian, free)
    statistical = _error(exact, np.arange(len(free)) == 0)
    chosen = {n: (n,) for n in likelihood.names[1:]} if groups is None else groups
    parts = {}
    for group, names in chosen.items():
        places = [_index(likelihood, name) for name in names]
        if 0 in places:
            raise ValueError(f"{likelihood.names[0]} is measured: a group holds nuisances only")
        others = free.copy()
        others[places] = False
        parts[group] = _difference(total, _error(hessian, others))
    return Breakdown(
        total,
        statistical,
        _difference(total, statistical),
        _difference(total, _error(exact, free)),
        parts,
    )


def _index(likelihood: ProfiledLikelihood[Data], name: str) -> int:
    if name not in likelihood.names:
        raise ValueError(f"the fit has no {name!r}: choose from {', '.join(likelihood.names)}")
    return likelihood.names.index(name)


def _profile(
    likelihood: ProfiledLikelihood[Data],
    observed: Data,
    found: Fit,
    held: Sequence[Mapping[str, float]],
    i: int,
    thorough: bool,
) -> Floats:
    """Conditional minima along a scan of coordinate `i`, (n,), the lowest that is found of each.

    Where there are two, as a lognormal nuisance can make them, a fit from one place sees only one:
    so each point is fitted from its neighbours' minima as well, from either side. Infinite where
    the minimum, moved there, expects nothing in a bin.
    """
    fits: list[Fit | None] = [None] * len(held)
    onward = list(range(len(held)))
    for order in (onward, onward[::-1]):
        start = found.best
        for k in order:
            moved = found.best.copy()
            moved[i] = held[k][likelihood.names[i]]
            try:
                if thorough:
                    fit = _lowest_fit(likelihood, observed, held[k], start)
                else:
                    fit = likelihood.fit(observed, held[k], start)
            except FitError:
                if math.isinf(likelihood.value(moved, observed)):
                    continue
                raise
            before = fits[k]
            if before is None or fit.value < before.value:
                fits[k] = fit
            start = fit.best
    return np.array([math.inf if fit is None else fit.value for fit in fits])


def _above(values: Floats, floor: float) -> Floats:
    """Rises, with those below 0 by rounding alone at 0."""
    rise = values - floor
    return np.where((rise < 0) & (rise > -1e-7), 0.0, rise)


def _lowest_fit(
    likelihood: ProfiledLikelihood[Data], observed: Data, held: Mapping[str, float], start: Floats
) -> Fit:
    """The lower of the conditional minima downhill from `start` and from the usual place."""
    near = likelihood.fit(observed, held, start)
    try:
        usual = likelihood.fit(observed, held)
    except FitError:
        return near  # A minimum all the same: from the usual place a bin may expect nothing.
    return near if near.value <= usual.value else usual


def _error(hessian: Floats, free: npt.NDArray[np.bool_]) -> float:
    """The parameter's error with all that is not free kept where it is."""
    return math.sqrt(float(2 * np.linalg.inv(hessian[np.ix_(free, free)])[0, 0]))


def _difference(total: float, without: float) -> float:
    """In quadrature; 0 where rounding makes the whole the smaller."""
    return math.sqrt(max(total**2 - without**2, 0.0))
