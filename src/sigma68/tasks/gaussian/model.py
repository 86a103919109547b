"""The closed form of the `gaussian` task: density, expectation and derivatives.

Signal and background are round Gaussians in the plane (x, y). With s = `shift`, k = `bkg_scale`
and a = `SHIFT_STEP`, the expected density of events is

    lambda(x, y) = mu S N(x - a s, y; m, sigma_s) + k B N(x - a s, y; 0, sigma_b)

where N(.; m, sigma) is the normal density of width sigma in both directions about m. Every
event moves by a s along x and none is lost, so nu = mu S + k B events are expected.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numba
import numpy as np
import numpy.typing as npt

from sigma68.types import Observation

__all__ = ["GaussianModel"]

FloatArray = npt.NDArray[np.float64]
_ORDER = ("mu", "shift", "bkg_scale")
_COMPONENTS = ("background", "signal")
_FACTORS = (("bkg_scale",), ("mu",))


@dataclass(frozen=True)
class GaussianModel:
    """The constants of the model and what follows from them in closed form.

    Chosen so that profiling matters (the error of mu is about 1.4 times the one with the
    nuisances known, and mu is correlated by about -0.6 with either), that counts are high
    enough for asymptotic formulae, and that the density stays positive down to mu = -1.4,
    eight standard deviations below the smallest truth.
    """

    signal_events: float = 200.0
    background_events: float = 2000.0
    signal_x: float = 1.0
    signal_y: float = 0.5
    signal_width: float = 0.7
    background_width: float = 1.0
    shift_step: float = 0.05
    bkg_scale_error: float = 0.05

    @property
    def fingerprint(self) -> str:
        """A hash of every constant."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]

    def expected(self, parameters: Mapping[str, float], nuisances: Mapping[str, float]) -> float:
        """The expected number of events, mu S + k B."""
        return (
            parameters["mu"] * self.signal_events + nuisances["bkg_scale"] * self.background_events
        )

    def density(
        self,
        observation: Observation,
        parameters: Mapping[str, float],
        nuisances: Mapping[str, float],
    ) -> FloatArray:
        """lambda(x, y), expected events per unit of area, at each event: (n_events,)."""
        x = np.asarray(observation["x"], dtype=np.float64) - self.shift_step * nuisances["shift"]
        y = np.asarray(observation["y"], dtype=np.float64)
        signal = _normal(x - self.signal_x, y - self.signal_y, self.signal_width)
        background = _normal(x, y, self.background_width)
        density: FloatArray = (
            parameters["mu"] * self.signal_events * signal
            + nuisances["bkg_scale"] * self.background_events * background
        )
        return density

    @property
    def component_names(self) -> tuple[str, ...]:
        """Background and signal, for methods that know densities but no `shift`."""
        return _COMPONENTS

    @property
    def factors(self) -> tuple[tuple[str, ...], ...]:
        """What multiplies the expected events of each component."""
        return _FACTORS

    def component_yields(self) -> FloatArray:
        """Expected events of background and signal with all factors 1, (2,)."""
        return np.array([self.background_events, self.signal_events])

    def log_densities(self, observation: Observation) -> FloatArray:
        """The logarithms of the two normal densities at each event with no shift, (2, n_events)."""
        x = np.asarray(observation["x"], dtype=np.float64)
        y = np.asarray(observation["y"], dtype=np.float64)
        background = _log_normal(x, y, self.background_width)
        signal = _log_normal(x - self.signal_x, y - self.signal_y, self.signal_width)
        return np.stack([background, signal])

    def derivatives(
        self,
        observation: Observation,
        parameters: Mapping[str, float],
        nuisances: Mapping[str, float],
    ) -> tuple[float, FloatArray, FloatArray]:
        """-2 ln L without constraints, its gradient and its Hessian.

        Rows and columns follow the names in `parameters`, then in `nuisances`. The value is
        infinite, and the derivatives are NaN, where the density of an event is not positive.
        """
        value, gradient, hessian = _derivatives(
            np.ascontiguousarray(observation["x"], dtype=np.float64),
            np.ascontiguousarray(observation["y"], dtype=np.float64),
            np.array([parameters["mu"], nuisances["shift"], nuisances["bkg_scale"]]),
            np.array(
                [
                    self.signal_events,
                    self.background_events,
                    self.signal_x,
                    self.signal_y,
                    self.signal_width,
                    self.background_width,
                    self.shift_step,
                ]
            ),
        )
        order = [_ORDER.index(name) for name in (*parameters, *nuisances)]
        return float(value), gradient[order], hessian[np.ix_(order, order)]


def _normal(x: FloatArray, y: FloatArray, width: float) -> FloatArray:
    density: FloatArray = np.exp(_log_normal(x, y, width))
    return density


def _log_normal(x: FloatArray, y: FloatArray, width: float) -> FloatArray:
    log: FloatArray = -(x**2 + y**2) / (2 * width**2) - math.log(2 * math.pi * width**2)
    return log


@numba.njit(cache=True)  # type: ignore[untyped-decorator,unused-ignore]
def _derivatives(
    x: FloatArray, y: FloatArray, point: FloatArray, constants: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """One pass over the events: value (3,) gradient and (3, 3) Hessian in mu, shift, bkg_scale.

    With R the ratio of the two normal densities, lambda = N_b (k B + mu S R), so that one
    exponential and one logarithm are all an event costs.
    """
    mu, shift, scale = point
    signal, background, signal_x, signal_y, signal_width, background_width, step = constants
    inv_s, inv_b = 1 / signal_width**2, 1 / background_width**2
    norm = inv_s / inv_b
    log_area = math.log(2 * math.pi * background_width**2)
    log_sum = 0.0
    g_mu = g_shift = g_scale = 0.0
    h_mm = h_ms = h_mk = h_ss = h_sk = h_kk = 0.0
    for i in range(x.size):
        u = x[i] - step * shift
        du, dy = u - signal_x, y[i] - signal_y
        r2_b = (u * u + y[i] * y[i]) * inv_b
        ratio = norm * math.exp(0.5 * (r2_b - (du * du + dy * dy) * inv_s))
        total = scale * background + mu * signal * ratio
        if not total > 0.0:
            return math.inf, np.full(3, np.nan), np.full((3, 3), np.nan)
        log_sum += math.log(total) - 0.5 * r2_b - log_area
        # Derivatives of lambda over lambda.
        d_mu, d_scale = signal * ratio / total, background / total
        p = mu * d_mu
        slope_s, slope_b = step * du * inv_s, step * u * inv_b
        d_shift = p * slope_s + (1 - p) * slope_b
        g_mu += d_mu
        g_shift += d_shift
        g_scale += d_scale
        h_mm += d_mu * d_mu
        h_mk += d_mu * d_scale
        h_kk += d_scale * d_scale
        h_ms += d_mu * (d_shift - slope_s)
        h_sk += d_scale * (d_shift - slope_b)
        h_ss += (
            d_shift * d_shift
            - p * (slope_s * slope_s - step * step * inv_s)
            - (1 - p) * (slope_b * slope_b - step * step * inv_b)
        )
    value = 2 * (mu * signal + scale * background) - 2 * log_sum
    gradient = 2 * np.array([signal - g_mu, -g_shift, background - g_scale])
    hessian = 2 * np.array([[h_mm, h_ms, h_mk], [h_ms, h_ss, h_sk], [h_mk, h_sk, h_kk]])
    return value, gradient, hessian
