"""`counting`: the best of all cuts, and an interval from one number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import DataError, FitError, ModelMismatchError
from sigma68.inference.poisson import fit_mu
from sigma68.methods.counting import Counting, Cut, best_cut
from sigma68.protocols import Pools
from sigma68.tasks.gaussian.task import Gaussian
from sigma68.types import Labelled, Observation
from tests.learning.events import overlapping
from tests.methods.pools import FixedPool


def merit(events: Labelled, cut: Cut, min_effective: float) -> float:
    """s / sqrt(s + b + v), written out."""
    kept = cut.passes(events.values[events.names.index(cut.feature)])
    w, signal = events.weights[kept], events.labels[kept] == 1
    s, b = w[signal].sum(), w[~signal].sum()
    for total, part in ((s, w[signal]), (b, w[~signal])):
        if total == 0 or total**2 < min_effective * (part**2).sum():
            return -np.inf
    return float(s / np.sqrt(s + b + (w**2).sum()))


@pytest.mark.parametrize("flip", [1, -1])
def test_no_cut_does_better(flip: int) -> None:
    events = overlapping(300, seed=1)
    events.values[0] *= flip
    found = best_cut(events, min_effective=20)
    assert found.feature == "x"
    assert found.side == ("above" if flip == 1 else "below")
    every = [
        merit(events, Cut(name, side, float(value)), 20)
        for name, column in zip(events.names, events.values, strict=True)
        for side in ("above", "below")
        for value in np.append(column, -np.inf)
    ]
    assert merit(events, found, 20) == pytest.approx(max(every), rel=1e-12)


def test_quantiles_stand_in_for_every_value_of_a_large_pool() -> None:
    events = overlapping(100_000, seed=2)
    found = best_cut(events)
    nearby = [
        merit(events, Cut("x", "above", float(np.float32(t))), 25) for t in np.arange(0, 2, 0.01)
    ]
    assert merit(events, found, 25) >= 0.999 * max(nearby)


def test_a_few_heavy_events_do_not_decide() -> None:
    """Five signal events, far out and without background, weigh much: a trap for s / sqrt(s + b)."""
    events = overlapping(2_000, seed=3)
    events.values[1, np.flatnonzero(events.labels == 1)[:5]] = 50
    events.weights[events.values[1] == 50] = 30
    trap = Cut("noise", "above", 50.0)
    assert merit(events, trap, min_effective=0) == -np.inf  # no background at all
    events.values[1, np.flatnonzero(events.labels == 0)[0]] = 50
    cut = best_cut(events)
    assert np.count_nonzero(cut.passes(events.observation()[cut.feature])) > 100
    free = best_cut(events, min_effective=1)
    assert merit(events, free, min_effective=1) > merit(events, cut, min_effective=1)


def test_without_anything_to_gain_every_event_is_kept() -> None:
    events = overlapping(2_000, seed=4)
    useless = replace(events, values=np.zeros_like(events.values))
    cut = best_cut(useless)
    assert cut.threshold == -np.inf
    assert cut.passes(useless.values[0]).all()


def test_the_interval_is_that_of_the_count(counting: Counting) -> None:
    assert counting.cut is not None
    column = counting.cut.feature
    values = np.stack([np.linspace(-3, 3, 2_500)] * 2)
    observation = Observation(("x", "y"), values)
    n = np.count_nonzero(observation[column] >= counting.cut.threshold)
    assert 0 < n < 2_500
    expected = fit_mu([float(n)], [counting.signal], [counting.background])
    assert counting.predict(observation)["mu"] == expected


def test_yields_come_from_the_calibration_pool(counting: Counting, pools: Pools) -> None:
    assert counting.cut is not None
    events = pools.calibration.labelled()
    kept = events.observation()[counting.cut.feature] >= counting.cut.threshold
    assert counting.signal == pytest.approx(events.weights[kept & (events.labels == 1)].sum())
    assert counting.background == pytest.approx(events.weights[kept & (events.labels == 0)].sum())


def test_saved_and_loaded_it_answers_the_same(
    counting: Counting, task: Gaussian, tmp_path: Path
) -> None:
    counting.save(tmp_path)
    values = np.random.default_rng(1).normal(size=(2, 2_200))
    observation = Observation(("x", "y"), values)
    back = Counting.load(tmp_path, task)
    assert back.predict(observation) == counting.predict(observation)
    assert back.cut == counting.cut


def test_a_cut_that_keeps_everything_is_saved_too(task: Gaussian, tmp_path: Path) -> None:
    events = replace(overlapping(500, seed=5), names=("x", "y"))
    events.values[:] = 0
    method = Counting(task)
    method.fit(FixedPool("train", events), FixedPool("calibration", events))
    method.save(tmp_path)
    assert Counting.load(tmp_path, task).cut == Cut("x", "above", -np.inf)


def test_nuisances_and_rows_reach_the_pools(task: Gaussian) -> None:
    events = replace(overlapping(500, seed=6), names=("x", "y"))
    train, calibration = FixedPool("train", events), FixedPool("calibration", events)
    Counting(task, nuisances={"shift": 1.0}, max_train_rows=7).fit(train, calibration)
    assert train.asked == [({"shift": 1.0}, 7)]
    assert calibration.asked == [({"shift": 1.0}, None)]


def test_another_task_is_refused(counting: Counting, task: Gaussian, tmp_path: Path) -> None:
    counting.save(tmp_path)
    other = Gaussian()
    other.name = "another"
    with pytest.raises(ModelMismatchError, match="task 'gaussian', not 'another'"):
        Counting.load(tmp_path, other)


def test_what_cannot_be_done_is_said(counting: Counting, task: Gaussian, tmp_path: Path) -> None:
    with pytest.raises(FitError, match="not trained"):
        Counting(task).predict(Observation(("x", "y"), np.zeros((2, 3))))
    with pytest.raises(FitError, match="not trained"):
        Counting(task).save(tmp_path)
    assert counting.cut is not None
    values = np.zeros((2, 5))
    values[:, 3] = np.nan
    with pytest.raises(FitError, match=f"{counting.cut.feature} is nan in event 3"):
        counting.predict(Observation(("x", "y"), values))
    with pytest.raises(DataError, match="no feature"):
        counting.predict(Observation(("a", "b"), np.zeros((2, 5))))


def test_a_calibration_pool_without_signal_beyond_the_cut(task: Gaussian) -> None:
    events = replace(overlapping(2_000, seed=7), names=("x", "y"))
    cut = best_cut(events)
    column = events.values[("x", "y").index(cut.feature)]
    lost = replace(events, weights=np.where(cut.passes(column) & (events.labels == 1), 0, 1.0))
    with pytest.raises(DataError, match="no signal among the 2000 calibration events"):
        Counting(task).fit(FixedPool("train", events), FixedPool("calibration", lost))


def test_skip_names_the_reason(task: Gaussian) -> None:
    assert Counting.skip(task) is None
    two = Gaussian()
    two.parameters = (*task.parameters, *task.parameters)
    strange = Gaussian()
    strange.answer = "strangeness"
    assert Counting.skip(two) == Counting.skip(strange) == "measures one signal strength"
