"""`nsbi` on the exact task: what it counts, what it keeps, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma68.discover import load_task
from sigma68.errors import DataError, FitError
from sigma68.inference.diagnostics import pulls
from sigma68.methods.nsbi import Nsbi
from sigma68.run.truth import draw_truth, toy_stream
from sigma68.types import Observation

TASK = load_task("gaussian")
POOLS = TASK.open()
NAME = TASK.parameters[0].name
QUICK: dict[str, Any] = {
    "refined": 0.2,
    "refined_units": 24,
    "refined_layers": 2,
    "refined_passes": 2,
    "refined_copies": 2,
}


@pytest.fixture(scope="module")
def method() -> Nsbi:
    made = Nsbi(TASK, passes=4, units=24, hidden_layers=2, cells=24, batch=4096, threads=1, **QUICK)
    made.fit(POOLS.train, POOLS.calibration)
    return made


def seen(toy: int) -> Observation:
    truth = draw_truth(TASK, 1, 0, toy, [n.name for n in TASK.nuisances])
    return TASK.pseudo_experiment(POOLS.scoring, truth, toy_stream(TASK, 1, 0, toy))


def test_an_answer_knows_every_nuisance(method: Nsbi) -> None:
    observation = seen(1)
    answer = method.predict(observation)[NAME]
    assert answer.lower < answer.mu_hat < answer.upper
    assert set(answer.fitted or ()) == {n.name for n in TASK.nuisances}
    counts = method.counts(observation)
    assert counts.shape == (24,)
    assert counts.sum() == observation.n_events
    assert pulls(method.likelihood, counts).names == tuple(n.name for n in TASK.nuisances)


def test_its_error_is_near_the_smallest_there_is(method: Nsbi) -> None:
    """Four passes of a small network, on a task whose best interval is known."""
    from sigma68.methods.exact import Exact

    exact = Exact(TASK)
    exact.fit(POOLS.train, POOLS.calibration)
    errors = []
    for toy in range(12):
        ours, best = (m.predict(seen(toy))[NAME] for m in (method, exact))
        errors.append((ours.upper - ours.lower) / (best.upper - best.lower))
    assert 0.9 < np.mean(errors) < 1.15


def test_an_event_is_scored_alike_in_any_company(method: Nsbi) -> None:
    values = seen(2).values
    whole = method.score(values)
    np.testing.assert_array_equal(method.score(values[:, 100:317]), whole[100:317])
    assert set(np.unique(whole)) <= set(range(24))


def test_it_comes_back_from_its_folder(method: Nsbi, tmp_path: Path) -> None:
    method.save(tmp_path)
    again = Nsbi.load(tmp_path, TASK)
    np.testing.assert_array_equal(again.counts(seen(3)), method.counts(seen(3)))
    assert again.settings() == method.settings()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("efficient", [1.0]),
        ("efficient", None),
        ("factors", [["mu"]]),
        ("partition", {}),
        ("ratios", {}),
    ],
)
def test_damaged_cells_are_refused(method: Nsbi, tmp_path: Path, part: str, value: object) -> None:
    method.save(tmp_path)
    path = tmp_path / "cells.json"
    document = json.loads(path.read_text())
    document[part] = value
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="train again"):
        Nsbi.load(tmp_path, TASK)


def test_nothing_is_answered_before_training() -> None:
    with pytest.raises(FitError, match="not trained yet"):
        Nsbi(TASK).predict(seen(1))
    with pytest.raises(FitError, match="not trained yet"):
        Nsbi(TASK).score(seen(1).values)


def test_values_that_are_no_numbers_are_refused(method: Nsbi) -> None:
    values = seen(1).values.copy()
    values[0, 5] = np.nan
    with pytest.raises(FitError, match="in event 5"):
        method.score(values)


def test_without_nuisances_it_measures_all_the_same() -> None:
    made = Nsbi(
        TASK, profiled=(), passes=1, units=8, hidden_layers=1, cells=6, batch=8192, refined=0.0
    )
    made.fit(POOLS.train, POOLS.calibration)
    answer = made.predict(seen(1))[NAME]
    assert answer.lower < answer.mu_hat < answer.upper
