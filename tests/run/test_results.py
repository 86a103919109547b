"""Rows of toys.parquet for every kind of task, and the judgement of answers."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from sigma68.errors import DataError
from sigma68.run.results import (
    judge,
    read_toys,
    result_from_json,
    result_to_json,
    row,
    toy_columns,
    write_rows,
)
from sigma68.types import (
    Estimate,
    Interval,
    Nuisance,
    Parameter,
    Prediction,
    Strangeness,
    ToyResult,
    Truth,
)

TWO = (Parameter("omega_m", 0.1, 0.5), Parameter("s8", 0.6, 1.0))
NUISANCE = Nuisance("bias", 0.0, "normal", 0.0, 1.0, -5.0, 5.0)


@dataclass
class Declared:
    """As much of a task as a table of toys needs."""

    answer: Any
    parameters: tuple[Parameter, ...]
    nuisances: tuple[Nuisance, ...] = (NUISANCE,)


INTERVAL = Declared("interval", (Parameter("mu", 0.1, 3.0),))
ESTIMATES = Declared("estimates", TWO)
STRANGENESS = Declared("strangeness", ())


def made(prediction: Prediction | None, truth: dict[str, float], status: Any = "ok") -> ToyResult:
    return ToyResult(1, 2, Truth(truth, {"bias": 0.25}), prediction, status, 0.5, "words")


@pytest.mark.parametrize(
    ("task", "truth", "prediction", "expected"),
    [
        (
            INTERVAL,
            {"mu": 1.5},
            Prediction.interval("mu", Interval(1.4, 0.2, 1.2, 1.6)),
            "set=1 toy=2 mu=1.5 mu_hat=1.4 delta_mu_hat=0.2 p16=1.2 p84=1.6 status=ok "
            "seconds=0.5 bias=0.25",
        ),
        (
            ESTIMATES,
            {"omega_m": 0.3, "s8": 0.8},
            Prediction({"s8": Estimate(0.81, 0.02), "omega_m": Estimate(0.29, 0.01)}),
            "set=1 toy=2 omega_m=0.3 omega_m_hat=0.29 delta_omega_m_hat=0.01 s8=0.8 s8_hat=0.81 "
            "delta_s8_hat=0.02 status=ok seconds=0.5 bias=0.25",
        ),
        (
            STRANGENESS,
            {},
            Prediction({"strangeness": Strangeness(7.0)}),
            "set=1 toy=2 score=7.0 status=ok seconds=0.5 bias=0.25",
        ),
    ],
)
def test_rows(
    task: Any, truth: dict[str, float], prediction: Prediction, expected: str, tmp_path: Path
) -> None:
    assert judge(task, prediction) == ("ok", "")
    got = row(task, made(prediction, truth))
    assert " ".join(f"{k}={v}" for k, v in got.items()) == expected
    assert tuple(got) == toy_columns(task)
    write_rows(task, [got], tmp_path / "toys.parquet")
    assert pq.read_table(tmp_path / "toys.parquet").to_pylist() == [got]


@pytest.mark.parametrize("status", ["failed", "invalid", "timeout", "crashed"])
def test_no_numbers_of_a_toy_that_is_not_ok(status: str) -> None:
    prediction = Prediction.interval("mu", Interval(1.4, 0.2, 1.2, 1.6))
    got = row(INTERVAL, made(prediction, {"mu": 1.5}, status))  # type: ignore[arg-type]
    assert all(math.isnan(got[name]) for name in ("mu_hat", "delta_mu_hat", "p16", "p84"))
    assert (got["mu"], got["bias"], got["status"]) == (1.5, 0.25, status)


NAN = float("nan")


@pytest.mark.parametrize(
    ("task", "prediction", "status"),
    [
        (INTERVAL, Prediction({}), "invalid"),
        (INTERVAL, Prediction({"other": Interval(1, 1, 0, 2)}), "invalid"),
        (INTERVAL, Prediction({"mu": Estimate(1, 1)}), "invalid"),
        (INTERVAL, Prediction({"mu": Interval(1, 1, NAN, 2)}), "invalid"),
        (INTERVAL, Prediction({"mu": Interval(1, 1, 0, math.inf)}), "invalid"),
        (INTERVAL, Prediction({"mu": Interval(1, 1, 2, 1)}), "invalid"),
        (INTERVAL, Prediction({"mu": Interval(1, 1, 1, 1)}), "ok"),
        (INTERVAL, Prediction({"mu": Interval(NAN, NAN, 0, 2)}), "ok"),
        (INTERVAL, Prediction({"mu": Interval(1, 1, 0, 2, status="failed")}), "failed"),
        (ESTIMATES, Prediction({"s8": Estimate(1, 1)}), "invalid"),
        (ESTIMATES, Prediction({"s8": Estimate(1, 1), "omega_m": Estimate(1, 0)}), "invalid"),
        (STRANGENESS, Prediction({}), "invalid"),
        (STRANGENESS, Prediction({"s": Strangeness(NAN)}), "invalid"),
    ],
)
def test_judgement(task: Any, prediction: Prediction, status: str) -> None:
    got, why = judge(task, prediction)
    assert got == status
    assert bool(why) == (status != "ok")


def test_json_round_trip() -> None:
    for prediction in (None, Prediction.interval("mu", Interval(1 / 3, 0.1, 0.2, 0.4))):
        result = made(prediction, {"mu": 1.5})
        assert result_from_json(json.loads(json.dumps(result_to_json(result)))) == result


@pytest.mark.parametrize("change", [{"status": "fine"}, {"set": "x"}, {"prediction": {"mu": {}}}])
def test_json_that_is_no_result(change: dict[str, Any]) -> None:
    document = result_to_json(made(None, {"mu": 1.5}))
    with pytest.raises((ValueError, KeyError, TypeError)):
        result_from_json(document | change)


def test_a_table_with_words_for_numbers_is_refused(tmp_path: Path) -> None:
    (table := pd.DataFrame({"set": [0], "toy": [0], "p16": ["x"], "status": ["ok"]})).to_parquet(
        tmp_path / "toys.parquet"
    )
    with pytest.raises(DataError, match=r"the column 'p16' of .*toys\.parquet holds no numbers"):
        read_toys(tmp_path)
    table.assign(p16=0.5).to_parquet(tmp_path / "toys.parquet")
    assert read_toys(tmp_path)["p16"].tolist() == [0.5]
