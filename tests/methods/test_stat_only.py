"""The stat-only methods on the task whose answer is known: honest without systematics, not with.

Without nuisances the narrowest interval possible is known from the density lambda: its error is
(integral of lambda_s^2 / lambda)^(-1/2), with lambda_s the density of signal at mu = 1.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pytest

from sigma68.methods.bdt import Bdt
from sigma68.methods.counting import Counting
from sigma68.seeds import stream
from sigma68.tasks.gaussian.task import Gaussian
from sigma68.types import LEVEL, Interval, Observation, Truth

N_TOYS = 2_000
BINOMIAL = math.sqrt(LEVEL * (1 - LEVEL) / N_TOYS)


class Verdict(NamedTuple):
    coverage: float
    error: float  # mean half width
    best_error: float  # mean of the smallest error possible
    pull: float


def best_error(task: Gaussian, mu: float) -> float:
    off = {n.name: n.off for n in task.nuisances}
    axis, step = np.linspace(-6, 6, 241, retstep=True)
    x, y = np.meshgrid(axis, axis)
    plane = Observation(("x", "y"), np.stack([x.ravel(), y.ravel()]))
    model = task.likelihood()
    background = model.density(plane, {"mu": 0.0}, off)
    signal = model.density(plane, {"mu": 1.0}, off) - background
    return float((signal**2 / (background + mu * signal)).sum() * step**2) ** -0.5


def judge(task: Gaussian, method: Bdt | Counting, *, systematics: bool) -> Verdict:
    pool = task.open().scoring
    covered, errors, pulls, truths = 0, [], [], []
    for toy in range(N_TOYS):
        rng = stream("gaussian", "test of stat-only methods", 1, 0, toy).generator()
        mu = rng.uniform(0.1, 3)
        z = rng.standard_normal(len(task.nuisances))
        nuisances = {
            n.name: n.from_z(float(at)) if systematics else n.off
            for n, at in zip(task.nuisances, z, strict=True)
        }
        events = stream("gaussian", "pseudo-experiment of the test", 1, 0, toy)
        observation = task.pseudo_experiment(pool, Truth({"mu": mu}, nuisances), events)
        interval = method.predict(observation)["mu"]
        assert isinstance(interval, Interval)
        covered += interval.lower <= mu <= interval.upper
        errors.append((interval.upper - interval.lower) / 2)
        pulls.append((interval.mu_hat - mu) / interval.delta_mu_hat)
        truths.append(mu)
    grid = np.linspace(0.1, 3, 9)
    best = np.interp(truths, grid, [best_error(task, float(mu)) for mu in grid])
    return Verdict(covered / N_TOYS, np.mean(errors), best.mean(), np.mean(pulls))


@pytest.fixture(scope="module")
def without(task: Gaussian, bdt: Bdt, counting: Counting) -> dict[str, Verdict]:
    return {m.name: judge(task, m, systematics=False) for m in (bdt, counting)}


@pytest.fixture(scope="module")
def with_all(task: Gaussian, bdt: Bdt, counting: Counting) -> dict[str, Verdict]:
    return {m.name: judge(task, m, systematics=True) for m in (bdt, counting)}


@pytest.mark.parametrize("name", ["bdt", "counting"])
def test_without_systematics_coverage_is_right(without: dict[str, Verdict], name: str) -> None:
    assert abs(without[name].coverage - LEVEL) < 3 * BINOMIAL


@pytest.mark.parametrize("name", ["bdt", "counting"])
def test_without_systematics_the_bias_is_the_pools(without: dict[str, Verdict], name: str) -> None:
    """The templates' own error, about 1/sqrt(50) of a standard deviation, shifts all toys."""
    assert abs(without[name].pull) < 3 * (1 / math.sqrt(50) + 1 / math.sqrt(N_TOYS))


def test_the_bias_of_counting_is_that_of_its_yields(
    task: Gaussian, counting: Counting, without: dict[str, Verdict]
) -> None:
    """What passes the cut is known in closed form, and so is what the finite pool does to pulls."""
    cut, model = counting.cut, task.likelihood()
    assert cut is not None
    assert cut.side == "above"
    middle = {"x": model.signal_x, "y": model.signal_y}[cut.feature]
    signal, background = (
        events * NormalDist(at, width).cdf(2 * at - cut.threshold)
        for events, at, width in (
            (model.signal_events, middle, model.signal_width),
            (model.background_events, 0.0, model.background_width),
        )
    )
    # Sums of equal weights: errors of 1 / sqrt(500 S) and 1 / sqrt(50 B), relatively.
    assert counting.signal == pytest.approx(signal, rel=3 / math.sqrt(500 * signal))
    assert counting.background == pytest.approx(background, rel=3 / math.sqrt(50 * background))
    mu = np.linspace(0.1, 3, 291)
    n = mu * signal + background
    # The second term is the mean of (n - nu) / sqrt(n).
    pulls = (n - mu * counting.signal - counting.background) / np.sqrt(n) - 0.5 / np.sqrt(n)
    assert without["counting"].pull == pytest.approx(pulls.mean(), abs=3 / math.sqrt(N_TOYS))


def test_bdt_is_as_narrow_as_the_exact_likelihood_and_counting_is_not(
    without: dict[str, Verdict],
) -> None:
    bdt, counting = without["bdt"], without["counting"]
    assert bdt.error == pytest.approx(bdt.best_error, rel=0.05)
    assert bdt.error > 0.98 * bdt.best_error
    assert counting.error > 1.1 * bdt.error


@pytest.mark.parametrize("name", ["bdt", "counting"])
def test_with_systematics_ignoring_them_undercovers(
    with_all: dict[str, Verdict], without: dict[str, Verdict], name: str
) -> None:
    assert with_all[name].coverage < LEVEL - 10 * BINOMIAL
    assert with_all[name].error == pytest.approx(without[name].error, rel=0.02)
