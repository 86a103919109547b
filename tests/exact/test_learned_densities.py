"""Densities learned from events, put through the oracle, give the exact answer.

Signal and background of the gaussian task, 80,000 events each to learn from, as p(x) and
p(y + x / 2 | x): sheared, so that there is something to condition on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.learning.conditional import Conditional
from sigma68.methods.exact import Exact
from sigma68.methods.oracle import Oracle
from sigma68.run.truth import draw_truth, toy_stream
from sigma68.tasks.gaussian.task import Gaussian
from sigma68.types import Interval, Observation

torch = pytest.importorskip("torch")

N_TOYS = 60
FloatArray = npt.NDArray[np.float64]


def unit(value: FloatArray) -> FloatArray:
    """A real number as one in (0, 1)."""
    scaled = value / 2
    return 0.5 + 0.5 * scaled / np.sqrt(1 + scaled**2)


def coordinates(events: Observation) -> tuple[FloatArray, FloatArray]:
    x = np.asarray(events["x"], dtype=np.float64)
    return unit(x), unit(np.asarray(events["y"], dtype=np.float64) + x / 2)


class Learned:
    """Background and signal as chains of two learned conditionals."""

    fingerprint = "learned"
    component_names = ("background", "signal")
    factors = (("bkg_scale",), ("mu",))

    def __init__(self, task: Gaussian, chains: list[tuple[Conditional, Conditional]]) -> None:
        self.task, self.chains = task, chains

    def component_yields(self) -> FloatArray:
        return self.task.model.component_yields()

    def log_densities(self, observation: Observation) -> FloatArray:
        u, v = coordinates(observation)
        none, given = np.empty((0, len(u)), np.float32), u[None].astype(np.float32)
        return np.stack(
            [first.log_density(none, u) + then.log_density(given, v) for first, then in self.chains]
        )


def learned(task: Gaussian) -> Learned:
    from sigma68.learning.fit_conditional import Sample, TrainingSettings, fit_density

    torch.set_num_threads(1)
    settings = TrainingSettings(hidden=16, bins=8, batch=512, passes=5, averaging=0.99)
    events = task.open().train.labelled()
    u, v = coordinates(events.observation())
    chains = []
    for label in (0, 1):
        own = events.labels == label
        aside = np.arange(own.sum()) % 5 == 0
        weights = np.ones(own.sum())
        nothing = np.empty((0, own.sum()), np.float32)
        first = fit_density(Sample(nothing, u[own], weights, aside), settings, seed=1)
        given = u[own][None].astype(np.float32)
        then = fit_density(Sample(given, v[own], weights, aside), settings, seed=1)
        chains.append((first.conditional, then.conditional))
    return Learned(task, chains)


def test_the_exact_width_and_estimate_from_learned_densities() -> None:
    """Width within 1%, estimates within what 80,000 events leave open: some 0.1 of an error."""
    task = Gaussian()
    pools = task.open()
    components = learned(task)

    class Pool:
        role = "train"

        def components(self) -> Learned:
            return components

    for varied in ((), ("bkg_scale",)):
        exact, oracle = Exact(task, profiled=varied), Oracle(task, profiled=varied)
        exact.fit(pools.train, pools.calibration)
        oracle.fit(Pool(), Pool())  # type: ignore[arg-type]
        ratios, shifts = [], []
        for number in range(N_TOYS):
            truth = draw_truth(task, 5, number, 0, varied)
            stream = toy_stream(task, 5, number, 0)
            seen = task.pseudo_experiment(pools.scoring, truth, stream)
            wanted, found = exact.predict(seen)["mu"], oracle.predict(seen)["mu"]
            assert isinstance(wanted, Interval)
            assert isinstance(found, Interval)
            ratios.append((found.upper - found.lower) / (wanted.upper - wanted.lower))
            shifts.append((found.mu_hat - wanted.mu_hat) / wanted.delta_mu_hat)
        assert np.mean(ratios) == pytest.approx(1, abs=0.01)
        assert np.std(ratios) < 0.01
        assert abs(np.mean(shifts)) < 0.15
        assert np.std(shifts) < 0.15
