"""What every method promises, on every task it can do."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import ModelMismatchError, Sigma68Error
from sigma68.protocols import Method
from sigma68.run.results import judge
from sigma68.run.truth import draw_truth, toy_stream
from sigma68.types import Estimate, Interval, Observation, Prediction, Strangeness
from tests.contract.cases import CASES, METHODS, TASKS, Case, build_method, build_task
from tests.contract.conftest import House

KINDS = {"interval": Interval, "estimates": Estimate, "strangeness": Strangeness}

every_case = pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.method}-{c.task}")


def observation(house: House, case: Case, toy: int = 0) -> Observation:
    task, pools = house.open(case.task)
    truth = draw_truth(task, 1, 0, toy, [n.name for n in task.nuisances])
    return task.pseudo_experiment(pools.scoring, truth, toy_stream(task, 1, 0, toy))


def as_text(prediction: Prediction) -> str:
    return json.dumps(prediction.to_json())


def test_every_method_can_do_something_and_every_task_can_be_done() -> None:
    assert {case.method for case in CASES} == set(METHODS)
    assert {case.task for case in CASES} == set(TASKS)


@pytest.mark.parametrize("method", METHODS)
def test_declaration_and_reasons_to_skip(method: str) -> None:
    cls = build_method(method)
    assert cls.name == method
    assert cls.answer in KINDS
    for name in TASKS:
        reason = cls.skip(build_task(name))
        if reason is not None:
            assert 0 < len(reason) < 200
            assert "\n" not in reason


@every_case
def test_it_is_a_method(case: Case, house: House) -> None:
    method = house.trained(case)
    assert isinstance(method, Method)
    assert isinstance(method, build_method(case.method))


@every_case
def test_prediction_is_what_the_task_asks_for(case: Case, house: House) -> None:
    task, _ = house.open(case.task)
    prediction = house.trained(case).predict(observation(house, case))
    assert judge(task, prediction) == ("ok", "")
    assert all(isinstance(a, KINDS[task.answer]) for a in prediction.answers.values())
    if task.answer != "strangeness":
        assert set(prediction.answers) == {p.name for p in task.parameters}
    for answer in prediction.answers.values():
        if isinstance(answer, Interval):
            assert answer.lower <= answer.mu_hat <= answer.upper
            assert 0 < answer.level < 1
            assert answer.delta_mu_hat > 0
            known = {n.name for n in task.nuisances}
            assert set(answer.fitted) <= known
            assert all(error > 0 for _, error in answer.fitted.values())


@every_case
def test_prediction_is_deterministic_and_sees_the_events(case: Case, house: House) -> None:
    method = house.trained(case)
    first, other = (method.predict(observation(house, case, toy)) for toy in (0, 1))
    assert method.predict(observation(house, case)) == first
    assert other != first


@every_case
def test_prediction_survives_json(case: Case, house: House) -> None:
    prediction = house.trained(case).predict(observation(house, case))
    assert Prediction.from_json(json.loads(as_text(prediction))) == prediction


@every_case
def test_the_observation_is_left_alone(case: Case, house: House) -> None:
    seen = observation(house, case)
    before = seen.values.copy()
    # Events arrive in memory that may not be written.
    seen.values.flags.writeable = False
    house.trained(case).predict(seen)
    np.testing.assert_array_equal(seen.values, before)


@every_case
def test_training_again_gives_the_same_answers(case: Case, house: House) -> None:
    _, pools = house.open(case.task)
    told: dict[str, list[float]] = {}
    again = house.untrained(case)
    again.fit(pools.train, pools.calibration, lambda what, f: told.setdefault(what, []).append(f))
    seen = observation(house, case)
    assert again.predict(seen) == house.trained(case).predict(seen)
    for fractions in told.values():
        assert all(0 <= fraction <= 1 for fraction in fractions)
        assert fractions == sorted(fractions)


@every_case
def test_a_saved_model_answers_the_same(case: Case, house: House, tmp_path: Path) -> None:
    task, _ = house.open(case.task)
    method = house.trained(case)
    method.save(tmp_path)
    again = build_method(case.method).load(tmp_path, task)
    assert isinstance(again, Method)
    for toy in range(2):
        seen = observation(house, case, toy)
        assert as_text(again.predict(seen)) == as_text(method.predict(seen))


@every_case
def test_a_saved_model_is_no_pickle(case: Case, house: House, tmp_path: Path) -> None:
    house.trained(case).save(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert path.suffix in {".json", ".ubj", ".safetensors", ".parquet", ".arrow"}, path.name
        content = path.read_bytes()
        # Protocol 2 and later begin with this byte; zip archives may hold anything.
        begins = content.startswith((pickle.PROTO, b"PK\x03\x04"))
        # The length of a header may begin with it too; the header itself follows.
        assert not begins or (path.suffix == ".safetensors" and content[8:9] == b"{"), path.name
        if path.suffix == ".json":
            json.loads(content)


@every_case
def test_a_saved_model_refuses_another_task(case: Case, house: House, tmp_path: Path) -> None:
    task, _ = house.open(case.task)
    house.trained(case).save(tmp_path)
    other = copy.copy(task)
    other.name = "another"
    with pytest.raises(ModelMismatchError):
        build_method(case.method).load(tmp_path, other)


@every_case
def test_what_is_not_a_model_is_not_loaded(case: Case, house: House, tmp_path: Path) -> None:
    task, _ = house.open(case.task)
    with pytest.raises(Sigma68Error):
        build_method(case.method).load(tmp_path, task)


@every_case
def test_no_answer_before_training(case: Case, house: House) -> None:
    task, _ = house.open(case.task)
    with pytest.raises(Sigma68Error):
        build_method(case.method)(task).predict(observation(house, case))


@every_case
def test_events_that_are_no_numbers_get_no_answer(case: Case, house: House) -> None:
    seen = observation(house, case)
    broken = seen.values.copy()
    broken[:, 0] = np.nan
    with pytest.raises(Sigma68Error):
        house.trained(case).predict(Observation(seen.names, broken))


@every_case
def test_nothing_observed_is_an_answer_or_an_error_of_ours(case: Case, house: House) -> None:
    task, _ = house.open(case.task)
    seen = observation(house, case)
    nothing = Observation(seen.names, seen.values[:, :0])
    try:
        prediction = house.trained(case).predict(nothing)
    except Sigma68Error:
        return
    status, _ = judge(task, prediction)
    assert status in ("ok", "failed")
