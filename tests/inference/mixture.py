"""Three overlapping components on a line, with a signal, two backgrounds and two scales."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from sigma68.types import Nuisance, Observation

FloatArray = npt.NDArray[np.float64]
NUISANCES = (
    Nuisance("own", 1.0, "normal", 1.0, 0.2, 0.0, 2.0),
    Nuisance("shape", 0.0, "normal", 0.0, 1.0, -5.0, 5.0),
    Nuisance("all", 1.0, "normal", 1.0, 0.05, 0.5, 1.5),
)
YIELDS = np.array([60.0, 900.0, 150.0])
CENTRES, WIDTHS = (2.0, 0.0, -1.5), (0.4, 1.0, 0.5)


class Line:
    """Signal, a broad background and a narrow one; counts how often it is asked for densities."""

    fingerprint = "a line"
    component_names = ("signal", "broad", "narrow")
    factors = (("mu",), ("all",), ("own", "all"))

    def __init__(self) -> None:
        self.asked = 0

    def component_yields(self) -> FloatArray:
        return YIELDS.copy()

    def log_densities(self, observation: Observation) -> FloatArray:
        self.asked += 1
        x = np.asarray(observation["x"], dtype=np.float64)
        return np.stack([norm.logpdf(x, c, w) for c, w in zip(CENTRES, WIDTHS, strict=True)])


def drawn(mu: float, own: float = 1.0, all_: float = 1.0, seed: int = 1) -> Observation:
    draw = np.random.default_rng(seed)
    counts = draw.poisson(YIELDS * np.array([mu, all_, own * all_]))
    parts = [draw.normal(c, w, n) for c, w, n in zip(CENTRES, WIDTHS, counts, strict=True)]
    return Observation(("x",), draw.permutation(np.concatenate(parts))[None, :])
