"""The small tasks run the whole way, from truth to score."""

from __future__ import annotations

import time

import pandas as pd
import pytest

from sigma68.run.results import judge, row
from sigma68.run.truth import draw_truth, toy_stream
from sigma68.types import Score, ToyResult
from tests.contract.cases import Case
from tests.contract.conftest import House


def run(house: House, case: Case, sets: int, toys: int) -> Score:
    task, pools = house.open(case.task)
    method = house.trained(case)
    rows = []
    for set_ in range(sets):
        for toy in range(toys):
            truth = draw_truth(task, 1, set_, toy, [n.name for n in task.nuisances])
            seen = task.pseudo_experiment(pools.scoring, truth, toy_stream(task, 1, set_, toy))
            start = time.perf_counter()
            prediction = method.predict(seen)
            status, message = judge(task, prediction)
            seconds = time.perf_counter() - start
            result = ToyResult(set_, toy, truth, prediction, status, seconds, message)
            rows.append(row(task, result))
    return task.score(pd.DataFrame(rows))


def test_two_parameters_are_estimated_with_honest_errors(house: House) -> None:
    score = run(house, Case("moments", "peak"), sets=20, toys=50)
    for parameter in ("rate", "place"):
        # Three binomial errors of 1,000 toys.
        assert score.values[f"{parameter}_coverage"] == pytest.approx(0.6827, abs=0.044)
        assert score.values[f"{parameter}_bias"] == pytest.approx(0, abs=0.02)
    assert score.values["n_failed"] == 0


def test_lumps_are_found_strange(house: House) -> None:
    score = run(house, Case("lumpiness", "lump"), sets=100, toys=5)
    assert score.headline == "auc"
    assert 0.8 < score.value <= 1.0
