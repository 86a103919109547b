"""The extended unbinned likelihood of a mixture of components whose densities are known.

With c_k the scale of component k (a product of parameters and normalisations), nu_k its expected
events and p_k its density,

    -2 ln L = 2 sum_k c_k nu_k - 2 sum_i ln sum_k c_k nu_k p_k(x_i)
            = 2 sum_k (c_k - 1) nu_k - 2 sum_i ln(1 + sum_k (c_k - 1) r_ki) + constant,

where r_ki = nu_k p_k(x_i) / sum_j nu_j p_j(x_i) is the share of component k at event i when every
scale is 1. Shares are computed once for an observation; then nothing depends on how large or
small densities are, and -2 ln L is of the order of 1 near its minimum, so that a million events
cost no digits.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping

import numba
import numpy as np
import numpy.typing as npt

from sigma68.errors import FitError
from sigma68.inference.factors import Factors
from sigma68.protocols import KnownComponents
from sigma68.types import Observation

__all__ = ["MixtureLikelihood", "shares_of"]

FloatArray = npt.NDArray[np.float64]
_CHUNK = 2048
"""Events that one thread handles at a time; the sums of chunks are added in their order."""
_FEW = 16
"""Chunks that one thread does alone: waking others would take longer."""


def shares_of(
    log_densities: FloatArray, yields: FloatArray, names: tuple[str, ...] = ()
) -> FloatArray:
    """r_ki: the share of each component in the expected density at each event.

    Parameters
    ----------
    log_densities
        ln p_k at each event, shape (n_components, n_events); minus infinity for 0.
    yields
        nu_k, shape (n_components,), not negative.
    names
        Of the components, for what is said of events that none of them can give.

    Returns
    -------
    Shape (n_components, n_events); the shares of an event sum to 1.

    Raises
    ------
    FitError
        If a density is NaN or infinite, or there are events that no component can give.
    """
    shares = np.empty_like(log_densities, dtype=np.float64, order="C")
    with np.errstate(divide="ignore"):
        log_yields = np.log(yields)
    n_events = shares.shape[1]
    counts = np.zeros((_n_chunks(n_events), 2), np.int64)
    fill = _fill_all if len(counts) > _FEW else _fill_all_here
    fill(np.ascontiguousarray(log_densities, dtype=np.float64), log_yields, shares, counts)
    lost, broken = counts.sum(axis=0)
    if broken:
        raise FitError(
            f"{broken:,} of {n_events:,} events have no density that is a number: they hold values "
            "that are not finite or make no sense"
        )
    if lost:
        of = f" ({', '.join(names)})" if names else ""
        raise FitError(
            f"{lost:,} of {n_events:,} events can be given by none of the {len(shares)} "
            f"components{of}: the observation is not of the events whose densities are known"
        )
    return shares


class MixtureLikelihood:
    """-2 ln L of known components with its derivatives (see `likelihood.SmoothLikelihood`).

    Nuisances that are nobody's factor change nothing. The shares of the last observation are
    kept, since a fit asks for them many times.
    """

    def __init__(self, components: KnownComponents) -> None:
        self.components = components
        self.factors = Factors(components.factors)
        self.yields = np.asarray(components.component_yields(), dtype=np.float64)
        # A strong reference would keep the memory of the events from being used again.
        self._seen: weakref.ref[Observation] | None = None
        self._shares: FloatArray | None = None

    def expected(self, parameters: Mapping[str, float], nuisances: Mapping[str, float]) -> float:
        """The expected number of events."""
        return float(self.factors.scales({**parameters, **nuisances}) @ self.yields)

    def density(
        self,
        observation: Observation,
        parameters: Mapping[str, float],
        nuisances: Mapping[str, float],
    ) -> FloatArray:
        """The expected density at each event over that with every scale at 1, (n_events,).

        Raises
        ------
        FitError
            As `shares_of`.
        """
        scales = self.factors.scales({**parameters, **nuisances})
        density: FloatArray = 1.0 + (scales - 1.0) @ self.shares(observation)
        return density

    def derivatives(
        self,
        observation: Observation,
        parameters: Mapping[str, float],
        nuisances: Mapping[str, float],
    ) -> tuple[float, FloatArray, FloatArray]:
        """-2 ln L up to a constant, its gradient and its Hessian.

        Rows and columns follow the names in `parameters`, then in `nuisances`. The value is
        infinite, and the derivatives are NaN, where the density of an event is not positive. The
        same bits come out with any number of threads.

        Raises
        ------
        FitError
            As `shares_of`.
        """
        values = {**parameters, **nuisances}
        names = tuple(values)
        scales = self.factors.scales(values)
        first, second = self.factors.derivatives(values, names)
        log_sum, slope, curvature = _summed(self.shares(observation), scales)
        if not math.isfinite(log_sum):
            n = len(names)
            return math.inf, np.full(n, np.nan), np.full((n, n), np.nan)
        left = self.yields - slope
        value = 2 * float((scales - 1) @ self.yields) - 2 * log_sum
        hessian = 2 * (first @ curvature @ first.T + second @ left)
        return value, 2 * (first @ left), hessian

    def shares(self, observation: Observation) -> FloatArray:
        """The components' shares at each event, see `shares_of`."""
        if self._shares is None or self._seen is None or self._seen() is not observation:
            self._shares = None
            self._shares = shares_of(
                self.components.log_densities(observation),
                self.yields,
                self.components.component_names,
            )
            self._seen = weakref.ref(observation)
        return self._shares


def _summed(shares: FloatArray, scales: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """Sums over events: ln d, r_k / d (K,), r_j r_k / d^2 (K, K); d is the density at each."""
    k, n_events = shares.shape
    chunks = np.zeros((_n_chunks(n_events), 1 + k + k * k))
    sums = _sum_all if len(chunks) > _FEW else _sum_all_here
    sums(shares, scales - 1.0, chunks)
    total = chunks.sum(axis=0)
    return float(total[0]), total[1 : 1 + k], total[1 + k :].reshape(k, k)


def _n_chunks(n_events: int) -> int:
    return -(-n_events // _CHUNK)


@numba.njit(cache=True)
def _fill_chunk(log_densities, log_yields, shares, chunk, counts):  # type: ignore[no-untyped-def]
    """Write the shares of a chunk; count the events no component gives, and those that are none."""
    k, n = log_densities.shape
    for i in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, n)):
        largest = -math.inf
        wrong = False
        for j in range(k):
            at = log_densities[j, i] + log_yields[j]
            shares[j, i] = at
            wrong = wrong or math.isnan(at) or at == math.inf
            largest = max(largest, at)
        if wrong or largest == -math.inf:
            counts[chunk, 0] += not wrong
            counts[chunk, 1] += wrong
            continue
        total = 0.0
        for j in range(k):
            shares[j, i] = math.exp(shares[j, i] - largest)
            total += shares[j, i]
        for j in range(k):
            shares[j, i] /= total


@numba.njit(cache=True)
def _fill_all_here(log_densities, log_yields, shares, counts):  # type: ignore[no-untyped-def]
    for chunk in range(len(counts)):
        _fill_chunk(log_densities, log_yields, shares, chunk, counts)


@numba.njit(cache=True, parallel=True)
def _fill_all(log_densities, log_yields, shares, counts):  # type: ignore[no-untyped-def]
    for chunk in numba.prange(len(counts)):
        _fill_chunk(log_densities, log_yields, shares, chunk, counts)


@numba.njit(cache=True, fastmath={"reassoc"})
def _dot(a, b, m):  # type: ignore[no-untyped-def]
    """Sum of a b over the first m: several partial sums at a time, always the same ones."""
    total = 0.0
    for e in range(m):
        total += a[e] * b[e]
    return total


@numba.njit(cache=True)
def _log_sum(density, m):  # type: ignore[no-untyped-def]
    """Sum of the logarithms of the first m, four by four; minus infinity unless all are > 0."""
    positive = True
    for e in range(m):
        positive = positive and density[e] > 0.0
    if not positive:
        return -math.inf
    total = 0.0
    for e in range(0, m - m % 4, 4):
        total += math.log(density[e] * density[e + 1] * density[e + 2] * density[e + 3])
    for e in range(m - m % 4, m):
        total += math.log(density[e])
    return total


@numba.njit(cache=True, error_model="numpy")
def _sum_chunk(shares, moved, chunk, own):  # type: ignore[no-untyped-def]
    """Sums over the events of a chunk; `moved` is c - 1. A density <= 0 gives -infinity."""
    k, n = shares.shape
    first = chunk * _CHUNK
    m = min(first + _CHUNK, n) - first
    density = np.empty(_CHUNK)
    over = np.empty((k, _CHUNK))
    for e in range(m):
        density[e] = 1.0
    for j in range(k):
        row = shares[j, first : first + m]
        for e in range(m):
            density[e] += moved[j] * row[e]
    own[0] = _log_sum(density, m)
    for e in range(m):
        density[e] = 1.0 / density[e]
    for j in range(k):
        row = shares[j, first : first + m]
        for e in range(m):
            over[j, e] = row[e] * density[e]
        own[1 + j] = _dot(row, density, m)
        for q in range(j + 1):
            total = _dot(over[j], over[q], m)
            own[1 + k + j * k + q] = total
            own[1 + k + q * k + j] = total


@numba.njit(cache=True)
def _sum_all_here(shares, moved, chunks):  # type: ignore[no-untyped-def]
    for chunk in range(len(chunks)):
        _sum_chunk(shares, moved, chunk, chunks[chunk])


@numba.njit(cache=True, parallel=True)
def _sum_all(shares, moved, chunks):  # type: ignore[no-untyped-def]
    for chunk in numba.prange(len(chunks)):
        _sum_chunk(shares, moved, chunk, chunks[chunk])
