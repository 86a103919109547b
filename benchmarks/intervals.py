"""Do all kinds of intervals keep their promise? `python -m benchmarks.intervals [--toys 10000]`.

Toys of the task `gaussian`, each with a mu of its own and both nuisances drawn from their priors,
are answered by the exact profile likelihood, by MINOS on the same likelihood, by the Neyman
construction about the exact estimate, and by two calibrated methods: the exact one, and one made
bad on purpose, whose intervals are 0.6 times as wide and off by 0.3 standard deviations. What
these three learn from are other toys.

In units of sigma(mu), the error that the information at mu gives in closed form, the table shows
the bias, the coverage and the mean width. Beside bias and coverage stands the same with far less
scatter: the linear part of each toy's pull is known in closed form,

    pull = -(F^-1 g)_mu / sqrt((F^-1)_mumu) + O(1 / sqrt(n_events)),

with g half the gradient of -2 ln L at the truth and F the information. It has mean 0, variance 1
and is within +-1 in 68.27% of toys, so that only the difference of a toy to its linear part is
averaged.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt
import pandas as pd

from sigma68.inference.calibrate import Correction, learn
from sigma68.inference.likelihood import ConstrainedLikelihood
from sigma68.inference.profile import minuit_interval
from sigma68.methods.exact import Exact
from sigma68.run.truth import draw_truth, toy_stream
from sigma68.score.table import interval_toys
from sigma68.tasks.gaussian.task import Gaussian
from sigma68.types import LEVEL, Interval, Observation

FloatArray = npt.NDArray[np.float64]

NAMES = ("mu", "shift", "bkg_scale")
TASK = Gaussian()
PARAMETER = TASK.parameters[0]
STEPS = (0.2, 1.0, 1.0)
CHUNK = 250


@dataclass(frozen=True)
class Answers:
    """One entry per toy, arrays of shape (n,); `linear` is the pull's linear part."""

    mu: FloatArray
    mu_hat: FloatArray
    lower: FloatArray
    upper: FloatArray
    linear: FloatArray

    @property
    def covers(self) -> npt.NDArray[np.bool_]:
        return (self.lower <= self.mu) & (self.mu <= self.upper)

    def changed(self, correction: Correction) -> Answers:
        """The same toys with corrected intervals."""
        ends = correction.corrected(self.mu_hat, self.lower, self.upper)
        return Answers(self.mu, *ends, self.linear)

    def spoiled(self) -> Answers:
        """Intervals of a bad method: too narrow, and beside the estimate they should be about."""
        shift = 0.3 * sigma(self.mu)
        lower = self.mu_hat - 0.6 * (self.mu_hat - self.lower)
        upper = self.mu_hat + 0.6 * (self.upper - self.mu_hat)
        return Answers(self.mu, self.mu_hat + shift, lower + shift, upper + shift, self.linear)

    def frame(self) -> pd.DataFrame:
        """A table of toys."""
        return pd.DataFrame(
            {
                "set": 0,
                "toy": np.arange(len(self.mu)),
                "mu": self.mu,
                "mu_hat": self.mu_hat,
                "delta_mu_hat": (self.upper - self.lower) / 2,
                "p16": self.lower,
                "p84": self.upper,
                "status": "ok",
                "seconds": 0.0,
            }
        )


@dataclass(frozen=True)
class Promise:
    """What one kind of interval shows, with standard errors; bias and width over sigma(mu).

    `bias` and `coverage` are plain averages; those `_less_linear` have the linear part of the
    toys taken out of their scatter. `learned` is the standard deviation of the coverage for the
    toys that it was learned from; 0 if from none.
    """

    kind: str
    toys: int
    bias: float
    bias_error: float
    bias_less_linear: float
    bias_less_linear_error: float
    coverage: float
    s68: float
    coverage_less_linear: float
    coverage_less_linear_error: float
    width: float
    learned: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toys", type=int, default=10_000)
    parser.add_argument(
        "--learn", type=int, default=40_000, help="toys that corrections learn from"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args(arguments)
    names = (
        "kind", "bias / sigma", "the same, less linear part", "coverage - 68.27%",
        "the same, less linear part", "+- s68 of toys", "+- of those learned from", "width / 2 sigma",
    )  # fmt: skip
    print(f"| {' | '.join(names)} |")
    print("| --- " * len(names) + "|")
    for p in promises(given.toys, given.learn, given.seed, given.workers):
        print(
            f"| {p.kind} | {p.bias:+.4f} ± {p.bias_error:.4f} "
            f"| {p.bias_less_linear:+.4f} ± {p.bias_less_linear_error:.4f} "
            f"| {100 * (p.coverage - LEVEL):+.2f}% "
            f"| {100 * (p.coverage_less_linear - LEVEL):+.2f}% "
            f"± {100 * p.coverage_less_linear_error:.2f}% "
            f"| {100 * p.s68:.2f}% | {100 * p.learned:.2f}% | {p.width:.4f} |"
        )


def promises(toys: int, learned: int, seed: int, workers: int) -> list[Promise]:
    """All kinds on the same toys; corrections from `learned` toys of the next seed."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [(seed, first, min(first + CHUNK, toys), True) for first in range(0, toys, CHUNK)]
        jobs += [
            (seed + 1, first, min(first + CHUNK, learned), False)
            for first in range(0, learned, CHUNK)
        ]
        rows = list(pool.map(_answered, *zip(*jobs, strict=True)))
    n = -(-toys // CHUNK)
    new, old = np.concatenate(rows[:n]).T, np.concatenate(rows[n:]).T
    exact, minos = Answers(*new[:4], new[7]), Answers(new[0], *new[4:7], new[7])
    taught = Answers(*old[:4], old[7])
    neyman = learn(interval_toys(taught.frame(), PARAMETER), PARAMETER, kind="neyman")
    scale = learn(interval_toys(taught.frame(), PARAMETER), PARAMETER)
    repair = learn(interval_toys(taught.spoiled().frame(), PARAMETER), PARAMETER)
    return [
        promise("profile likelihood", exact),
        promise("MINOS", minos),
        promise("Neyman", exact.changed(neyman), learned),
        promise("calibrated", exact.changed(scale), learned),
        promise("made bad", exact.spoiled()),
        promise("made bad, calibrated", exact.spoiled().changed(repair), learned),
    ]


def promise(kind: str, answers: Answers, learned: int = 0) -> Promise:
    """How far the answers keep what an interval promises."""
    n = len(answers.mu)
    away = (answers.mu_hat - answers.mu) / sigma(answers.mu)
    rest = away - answers.linear
    covers = answers.covers.astype(float) - (np.abs(answers.linear) <= 1)
    spread = math.sqrt(LEVEL * (1 - LEVEL))
    return Promise(
        kind=kind,
        toys=n,
        bias=float(away.mean()),
        bias_error=float(away.std() / math.sqrt(n)),
        bias_less_linear=float(rest.mean()),
        bias_less_linear_error=float(rest.std() / math.sqrt(n)),
        coverage=float(answers.covers.mean()),
        s68=spread / math.sqrt(n),
        coverage_less_linear=float(LEVEL + covers.mean()),
        coverage_less_linear_error=float(covers.std() / math.sqrt(n)),
        width=float(np.mean((answers.upper - answers.lower) / (2 * sigma(answers.mu)))),
        learned=spread / math.sqrt(learned) if learned else 0.0,
    )


def sigma(mu: FloatArray) -> FloatArray:
    """The standard error of mu in closed form, both nuisances fitted."""
    at, rows = _closed_form()
    return np.interp(mu, at, np.sqrt(rows[:, 0]))


def _answered(seed: int, first: int, last: int, with_minos: bool) -> FloatArray:
    """Toys first to last: mu; estimate and ends by the exact method, by MINOS; the linear part."""
    pools = TASK.open()
    method = Exact(TASK)
    method.fit(pools.train, pools.calibration)
    rows = []
    for number in range(first, last):
        truth = draw_truth(TASK, seed, number, 0, NAMES[1:])
        observation = TASK.pseudo_experiment(
            pools.scoring, truth, toy_stream(TASK, seed, number, 0)
        )
        target = ConstrainedLikelihood(
            TASK.likelihood(), observation, NAMES[:1], TASK.nuisances, {}
        )
        answer = method.predict(observation)["mu"]
        assert isinstance(answer, Interval)
        ends = [math.nan] * 3
        if with_minos:
            minos = minuit_interval(target.value, [(1.5, 0.0, 0.0)], STEPS, NAMES)
            ends = [float(minos.best[0]), minos.lower, minos.upper]
        mu = truth.parameters["mu"]
        z = [n.to_z(truth.nuisances[n.name]) for n in TASK.nuisances]
        gradient = target.derivatives(np.array([mu, *z]))[1] / 2
        at, covariance = _closed_form()
        row = np.array([np.interp(mu, at, column) for column in covariance.T])
        linear = -float(row @ gradient) / math.sqrt(row[0])
        rows.append((mu, answer.mu_hat, answer.lower, answer.upper, *ends, linear))
    return np.array(rows)


@cache
def _closed_form() -> tuple[FloatArray, FloatArray]:
    """Values of mu, and mu's row of the inverse information there, (n, 3).

    The information is the integral over the plane of (d lambda / dp)(d lambda / dq) / lambda with
    p and q among mu and the z of the nuisances, and 1 for each constraint.
    """
    axis, step = np.linspace(-7, 7, 281, retstep=True)
    x, y = (coordinate.ravel() for coordinate in np.meshgrid(axis, axis))
    plane = Observation(("x", "y"), np.stack([x, y]))

    def density(mu: float, shift: float = 0.0) -> FloatArray:
        return TASK.model.density(plane, {"mu": mu}, {"shift": shift, "bkg_scale": 1.0})

    background = density(0.0)
    signal = density(1.0) - background
    h, rows = 1e-3, []
    mus = np.linspace(PARAMETER.low, PARAMETER.high, 59)
    for mu in mus:
        moved = (density(mu, h) - density(mu, -h)) / (2 * h)
        slopes = np.array([signal, moved, TASK.model.bkg_scale_error * background])
        information = (slopes / density(mu)) @ slopes.T * float(step) ** 2
        rows.append(np.linalg.inv(information + np.diag([0.0, 1.0, 1.0]))[0])
    return mus, np.array(rows)


if __name__ == "__main__":
    main()
