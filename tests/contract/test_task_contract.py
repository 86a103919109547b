"""What every task promises, whatever it measures."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sigma68.errors import DataError, NuisanceError
from sigma68.protocols import Pool, Pools, Task
from sigma68.run.results import row, toy_columns
from sigma68.run.truth import draw_truth, toy_stream
from sigma68.score.headline_ranking import rank_by_headline
from sigma68.seeds import stream
from sigma68.types import (
    Answer,
    Estimate,
    Interval,
    Observation,
    Prediction,
    Strangeness,
    ToyResult,
    Truth,
)
from tests.contract.cases import SMALL_TASKS, TASKS, build_task
from tests.contract.conftest import House

ROLES = ("train", "calibration", "scoring", "final")
KINDS = {"interval": Interval, "estimates": Estimate, "strangeness": Strangeness}

every_task = pytest.mark.parametrize("name", TASKS)


def all_nuisances(task: Task) -> tuple[str, ...]:
    return tuple(n.name for n in task.nuisances)


def draw(house: House, name: str, toy: int = 0, seed: int = 1) -> tuple[Truth, Observation]:
    task, pools = house.open(name)
    truth = draw_truth(task, seed, 0, toy, all_nuisances(task))
    return truth, task.pseudo_experiment(pools.scoring, truth, toy_stream(task, seed, 0, toy))


def central(task: Task, **nuisances: float) -> Truth:
    """Parameters at 1 where their range holds it, else in the middle; other nuisances off."""
    parameters = {
        p.name: 1.0 if p.low <= 1 <= p.high else (p.low + p.high) / 2 for p in task.parameters
    }
    return Truth(parameters, {**{n.name: n.off for n in task.nuisances}, **nuisances})


def test_small_tasks_add_the_kinds_of_answer_that_no_other_asks_for() -> None:
    assert {build_task(name).answer for name in TASKS} == set(KINDS)
    assert set(SMALL_TASKS) < set(TASKS)


@every_task
def test_declaration(name: str) -> None:
    task = build_task(name)
    assert isinstance(task, Task)
    assert task.name == name
    assert task.title
    assert task.answer in KINDS
    assert task.parameters
    assert task.features
    if task.answer == "interval":
        assert len(task.parameters) == 1
    features = [f.name for f in task.features]
    assert len(set(features)) == len(features)
    # One table of toys has all these columns.
    columns = toy_columns(task)
    assert len(set(columns)) == len(columns)
    for p in task.parameters:
        assert math.isfinite(p.low)
        assert p.low < p.high < math.inf


@every_task
def test_nuisances_are_consistent(name: str) -> None:
    for n in build_task(name).nuisances:
        assert n.width > 0
        assert n.low <= n.off <= n.high
        assert n.low < n.asimov < n.high
        for z in (-0.5, 0.0, 0.5):
            assert n.to_z(n.from_z(z)) == pytest.approx(z, abs=1e-9)
        for z in (-1000.0, 1000.0):
            assert n.low <= n.from_z(z) <= n.high


@every_task
def test_truths_are_in_range_and_follow_their_names(name: str) -> None:
    task = build_task(name)
    everything = all_nuisances(task)
    for set_ in range(3):
        first = draw_truth(task, 1, set_, 0, everything)
        assert first == draw_truth(task, 1, set_, 0, everything)
        other = draw_truth(task, 1, set_, 1, everything)
        assert first.parameters == other.parameters
        if task.nuisances:
            assert first.nuisances != other.nuisances
        assert first.parameters != draw_truth(task, 1, set_ + 3, 0, everything).parameters
        for p in task.parameters:
            assert p.low <= first.parameters[p.name] <= p.high
        for n in task.nuisances:
            assert n.low <= first.nuisances[n.name] <= n.high
            alone = draw_truth(task, 1, set_, 0, (n.name,))
            assert alone.nuisances[n.name] == first.nuisances[n.name]
            assert all(alone.nuisances[m.name] == m.off for m in task.nuisances if m.name != n.name)


@every_task
def test_pools_are_four_and_never_shared(name: str, house: House) -> None:
    task, pools = house.open(name)
    assert isinstance(pools, Pools)
    fingerprints = set()
    for role in ROLES:
        pool = pools[role]
        assert isinstance(pool, Pool)
        assert pool.role == role
        assert pool.n_rows > 0
        fingerprints.add(pool.fingerprint)
    assert len(fingerprints) == len(ROLES)
    again = task.open(house.source(name))
    assert again.fingerprint == pools.fingerprint
    assert [again[r].fingerprint for r in ROLES] == [pools[r].fingerprint for r in ROLES]
    _, other = house.open(name, split_seed=7)
    assert other.fingerprint != pools.fingerprint
    assert fingerprints.isdisjoint(other[r].fingerprint for r in ROLES)
    first, second = (pools[r].labelled(max_rows=200).values for r in ("train", "scoring"))
    assert not np.array_equal(first[:, :50], second[:, :50])


@every_task
def test_an_unknown_source_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        build_task(name).open(str(tmp_path / "no-such-events.parquet"))


@every_task
def test_a_toy_is_a_function_of_its_stream(name: str, house: House) -> None:
    truth, toy = draw(house, name)
    _, other = draw(house, name, toy=1)
    _, again = draw(house, name)
    np.testing.assert_array_equal(toy.values, again.values)
    assert toy.values.shape != other.values.shape or not np.array_equal(toy.values, other.values)
    task, pools = house.open(name)
    elsewhere = task.pseudo_experiment(pools.scoring, truth, toy_stream(task, 2, 0, 0))
    assert toy.values.shape != elsewhere.values.shape or not np.array_equal(
        toy.values, elsewhere.values
    )


@every_task
def test_a_toy_has_the_features_and_nothing_undefined(name: str, house: House) -> None:
    task, _ = house.open(name)
    _, toy = draw(house, name)
    assert toy.names == tuple(f.name for f in task.features)
    assert toy.n_events > 0
    assert toy.values.dtype in (np.float32, np.float64)
    assert np.isfinite(toy.values).all()
    assert all(row.flags.c_contiguous for row in toy.values)
    assert list(toy.frame().columns) == list(toy.names)


@every_task
def test_toys_can_be_drawn_from_scoring_and_final_with_everything_off(
    name: str, house: House
) -> None:
    task, pools = house.open(name)
    for role in ("scoring", "final"):
        truth = draw_truth(task, 1, 0, 0, ())
        toy = task.pseudo_experiment(pools[role], truth, toy_stream(task, 1, 0, 0))
        assert toy.n_events > 0
        # Nuisances left out of a truth are off.
        bare = Truth(truth.parameters)
        same = task.pseudo_experiment(pools[role], bare, toy_stream(task, 1, 0, 0))
        np.testing.assert_array_equal(toy.values, same.values)


@every_task
def test_every_parameter_and_nuisance_changes_the_toy(name: str, house: House) -> None:
    task, pools = house.open(name)

    def events(truth: Truth) -> np.ndarray:
        return task.pseudo_experiment(pools.scoring, truth, stream(name, "contract", 1)).values

    start = central(task)
    before = events(start)
    changed = [
        dataclasses.replace(start, parameters={**start.parameters, p.name: p.high})
        for p in task.parameters
    ]
    changed += [central(task, **{n.name: n.from_z(2.0)}) for n in task.nuisances]
    for truth in changed:
        after = events(truth)
        assert before.shape != after.shape or not np.array_equal(before, after), truth


@every_task
def test_labelled_events(name: str, house: House) -> None:
    task, pools = house.open(name)
    for role in ("train", "calibration"):
        events = pools[role].labelled()
        n = events.n_events
        assert events.names == tuple(f.name for f in task.features)
        assert events.values.shape == (len(task.features), n)
        for array in (events.weights, events.labels, events.process):
            assert array.shape == (n,)
        assert np.isfinite(events.values).all()
        assert np.isfinite(events.weights).all()
        assert (events.weights >= 0).all()
        assert set(np.unique(events.labels)) <= {0, 1}
        assert 0 <= events.process.min() <= events.process.max() < len(events.process_names)
        if events.hard_event is not None:
            assert events.hard_event.shape == (n,)
        np.testing.assert_array_equal(events.values, pools[role].labelled().values)
    with pytest.raises(NuisanceError):
        pools.train.labelled({"no such nuisance": 1.0})


@every_task
def test_fewer_labelled_events_weigh_the_same(name: str, house: House) -> None:
    _, pools = house.open(name)
    whole = pools.train.labelled()
    part = pools.train.labelled(max_rows=2000)
    assert 0 < part.n_events <= 2000
    for process in range(len(whole.process_names)):
        assert part.weights[part.process == process].sum() == pytest.approx(
            whole.weights[whole.process == process].sum(), rel=0.3, abs=1e-9
        )


@every_task
def test_weights_sum_to_what_a_toy_holds(name: str, house: House) -> None:
    task, pools = house.open(name)
    expected = pools.scoring.labelled().weights.sum()
    counts = [
        task.pseudo_experiment(pools.scoring, central(task), stream(name, "contract", toy)).n_events
        for toy in range(5)
    ]
    assert np.mean(counts) == pytest.approx(expected, abs=4.5 * math.sqrt(expected / 5))


@every_task
def test_statistics_agree_with_the_weights(name: str, house: House) -> None:
    _, pools = house.open(name)
    for role in ROLES:
        statistics = pools[role].statistics()
        if statistics is None:
            continue
        shape = (len(statistics.regions), len(statistics.processes))
        assert statistics.sumw.shape == statistics.sumw2.shape == shape
        assert len(statistics.is_signal) == len(statistics.processes)
        assert any(statistics.is_signal)
        assert (statistics.sumw2[statistics.sumw > 0] > 0).all()
        assert statistics.sumw.sum() == pytest.approx(
            pools[role].labelled().weights.sum(), rel=1e-3
        )


def answered(task: Task, off: float = 0.0) -> pd.DataFrame:
    """Forty toys in ten sets, answered right but for `off` errors; the eighth failed."""
    results = []
    for toy in range(40):
        truth = draw_truth(task, 1, toy // 4, toy, all_nuisances(task))
        failed = toy == 7
        answers: dict[str, Answer] = {}
        for p in task.parameters:
            error = (p.high - p.low) / 10
            value = truth.parameters[p.name] + off * error * (-1) ** toy
            answers[p.name] = {
                "interval": Interval(value, error, value - error, value + error),
                "estimates": Estimate(value, error),
                "strangeness": Strangeness(value),
            }[task.answer]
        results.append(
            ToyResult(
                set=toy // 4,
                toy=toy,
                truth=truth,
                prediction=None if failed else Prediction(answers),
                status="failed" if failed else "ok",
                seconds=0.1,
            )
        )
    return pd.DataFrame([row(task, result) for result in results])


@every_task
def test_score_of_right_answers_and_of_failures(name: str) -> None:
    score = build_task(name).score(answered(build_task(name)))
    assert score.headline in score.values
    assert math.isfinite(score.value)
    assert score.values["n_toys"] == 40
    assert score.values["n_failed"] == 1
    assert len(score.per_set) == 10


@every_task
def test_scores_are_ranked_whatever_is_asked_for(name: str) -> None:
    task = build_task(name)
    if task.answer == "interval":
        return  # These are ranked by their intervals, not by what the task says of them.
    tables = {"right": answered(task), "off": answered(task, off=3.0)}
    ranking = rank_by_headline(tables, task, n_resamples=50)
    assert ranking.paired
    assert {e.name: e.score for e in ranking.entries} == {
        n: task.score(toys).value for n, toys in tables.items()
    }
    first, second = ranking.entries
    assert first.score > second.score
    assert first.name == "right"
