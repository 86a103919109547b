"""Runs `exact` on many toys of the gaussian task, as `sigma68 run` would draw them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sigma68.methods.exact import Exact
from sigma68.run.truth import draw_truth, toy_stream
from sigma68.tasks.gaussian.task import Gaussian
from sigma68.types import Interval

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """One entry per toy; `z_true` and `pulls` have shape (n_nuisances, n_toys)."""

    mu: FloatArray
    mu_hat: FloatArray
    delta: FloatArray
    lower: FloatArray
    upper: FloatArray
    pulls: FloatArray

    @property
    def coverage(self) -> float:
        return float(np.mean((self.lower <= self.mu) & (self.mu <= self.upper)))

    @property
    def mu_pulls(self) -> FloatArray:
        return (self.mu_hat - self.mu) / self.delta


def run_exact(
    seed: int,
    sets: int,
    toys: int,
    active: Collection[str] = ("shift", "bkg_scale"),
    profiled: Collection[str] | None = None,
) -> Answers:
    task = Gaussian()
    pools = task.open()
    method = Exact(task, profiled=profiled)
    method.fit(pools.train, pools.calibration)
    rows, pulls = [], []
    for set_ in range(sets):
        for toy in range(toys):
            truth = draw_truth(task, seed, set_, toy, active)
            observation = task.pseudo_experiment(
                pools.scoring, truth, toy_stream(task, seed, set_, toy)
            )
            answer = method.predict(observation)["mu"]
            assert isinstance(answer, Interval)
            rows.append(
                (
                    truth.parameters["mu"],
                    answer.mu_hat,
                    answer.delta_mu_hat,
                    answer.lower,
                    answer.upper,
                )
            )
            pulls.append(
                [(v - truth.nuisances[name]) / e for name, (v, e) in answer.fitted.items()]
            )
    mu, mu_hat, delta, lower, upper = np.array(rows).T
    return Answers(mu, mu_hat, delta, lower, upper, np.array(pulls).T)
