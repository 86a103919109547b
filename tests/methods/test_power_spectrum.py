"""The method on a task with summaries whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sigma68.discover import load_task
from sigma68.errors import DataError, FitError, ModelMismatchError, SettingsError
from sigma68.methods.power_spectrum import PowerSpectrum
from sigma68.protocols import Task
from sigma68.types import Estimate, Observation, Parameter, Truth


class Line:
    """Two numbers, of which the mean is the parameters: errors are 0.1 and 0.2."""

    name = "line"
    answer = "estimates"
    parameters = (Parameter("a", -1.0, 1.0), Parameter("b", -1.0, 1.0))
    summary_names = ("first", "second")

    def summary(self, observation: Observation) -> np.ndarray:
        return observation.values.mean(axis=1)


@dataclass
class Points:
    role: str = "train"
    n_observations: int = 600

    def truth(self, number: int) -> Truth:
        a, b = np.random.default_rng(number).uniform(-1, 1, 2)
        return Truth({"a": float(a), "b": float(b)})

    def observation(self, number: int, *, noise: int = 0) -> Observation:
        rng = np.random.default_rng((number, noise + 1))
        truth = self.truth(number).parameters
        values = np.array([[truth["a"]], [truth["b"]]]) + [[0.1], [0.2]] * rng.standard_normal(
            (2, 1)
        )
        return Observation(("x", "y"), values)


def task() -> Task:
    return Line()  # type: ignore[return-value]


@pytest.fixture(scope="module")
def fitted() -> PowerSpectrum:
    method = PowerSpectrum(task(), degree=1)
    method.fit(Points(), Points("calibration"))  # type: ignore[arg-type]
    return method


def test_mean_and_error_are_those_of_the_posterior(fitted: PowerSpectrum) -> None:
    answer = fitted.predict(Observation(("x", "y"), np.array([[0.2], [0.1]])))
    a, b = answer["a"], answer["b"]
    assert isinstance(a, Estimate)
    assert isinstance(b, Estimate)
    assert a.value == pytest.approx(0.2, abs=0.03)
    assert a.error == pytest.approx(0.1, rel=0.12)
    assert b.value == pytest.approx(0.1, abs=0.06)
    assert b.error == pytest.approx(0.2, rel=0.12)


def test_it_is_told_how_far_the_fit_is() -> None:
    told: list[float] = []
    PowerSpectrum(task(), degree=1).fit(
        Points(n_observations=100),  # type: ignore[arg-type]
        Points(),  # type: ignore[arg-type]
        lambda _, fraction: told.append(fraction),
    )
    assert told == sorted(told)
    assert told[-1] == 1


def test_a_map_that_is_none_gets_no_answer(fitted: PowerSpectrum) -> None:
    with pytest.raises(FitError):
        fitted.predict(Observation(("x", "y"), np.array([[np.nan], [0.1]])))


def test_saved_and_loaded(fitted: PowerSpectrum, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    seen = Points().observation(3)
    assert PowerSpectrum.load(tmp_path, task()).predict(seen) == fitted.predict(seen)
    (tmp_path / "power_spectrum.json").write_text("{}")
    with pytest.raises(DataError):
        PowerSpectrum.load(tmp_path, task())


def test_what_it_cannot_do_it_says() -> None:
    gaussian = load_task("gaussian")
    assert PowerSpectrum.skip(gaussian) == "it gives estimates, the task asks for interval"
    assert PowerSpectrum.skip(load_task("lensing")) is None
    with pytest.raises(DataError, match="whole observations"):
        PowerSpectrum(task()).fit(gaussian.open().train, gaussian.open().train)
    with pytest.raises(SettingsError, match="degree=0"):
        PowerSpectrum(task(), degree=0)
    with pytest.raises(ModelMismatchError):
        PowerSpectrum(task()).predict(Points().observation(0))
