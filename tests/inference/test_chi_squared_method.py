"""Chi-squared at the best parameters, on summaries whose distribution is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sigma68.discover import load_task
from sigma68.errors import DataError, FitError, Sigma68Error
from sigma68.inference.chi_squared_method import (
    ChiSquaredMethod,
    fitted_by,
    least_chi_squared,
    skipped,
)
from sigma68.inference.summarised import summarised
from sigma68.inference.summary_likelihood import SummaryLikelihood, fit_summary_likelihood
from sigma68.types import Observation, Parameter

PARAMETERS = (Parameter("a", -1.0, 1.0), Parameter("b", 0.0, 4.0))
N_SUMMARIES = 6


def simulated(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Six summaries, linear in both parameters, with correlated normal errors."""
    slopes = np.array([[3.0, 1.0, 0.0, -2.0, 0.5, 0.0], [0.0, 1.0, 2.0, 0.5, -1.0, 0.3]])
    noise = rng.normal(0, 0.3, (len(points), N_SUMMARIES))
    noise[:, 3] += 0.5 * noise[:, 0]
    return points @ slopes + noise


@pytest.fixture(scope="module")
def likelihood() -> SummaryLikelihood:
    rng = np.random.default_rng(1)
    points = rng.uniform((-1, 0), (1, 4), (4000, 2))
    return fit_summary_likelihood(
        points, simulated(points, rng), PARAMETERS, degree=1, covariance_degree=0
    )


def test_it_has_as_many_degrees_of_freedom_as_are_left(likelihood: SummaryLikelihood) -> None:
    rng = np.random.default_rng(2)
    inner = rng.uniform((-0.5, 1), (0.5, 3), (800, 2))
    found = [least_chi_squared(likelihood, s) for s in simulated(inner, rng)]
    # Four of six: the mean of 800 has an error of sqrt(2 * 4 / 800) = 0.1.
    assert np.mean(found) == pytest.approx(4.0, abs=0.3)
    assert np.var(found) == pytest.approx(8.0, rel=0.25)


def test_what_no_parameters_give_is_strange(likelihood: SummaryLikelihood) -> None:
    rng = np.random.default_rng(3)
    (ordinary,) = simulated(np.array([[0.2, 2.0]]), rng)
    odd = ordinary + np.array([0, 0, 0, 0, 0, 5.0])
    assert least_chi_squared(likelihood, odd) > 100 > 30 > least_chi_squared(likelihood, ordinary)
    with pytest.raises(FitError, match="no finite"):
        least_chi_squared(likelihood, np.full(N_SUMMARIES, np.nan))


def test_which_tasks_it_is_for() -> None:
    assert "asks for interval" in (skipped(load_task("gaussian")) or "")
    strange = load_task("lensing_strange")
    assert skipped(strange) is None
    assert [p.name for p in fitted_by(strange)] == ["Omega_m", "S8"]


def test_a_pool_of_events_is_refused() -> None:
    pool = load_task("gaussian").open().train
    with pytest.raises(DataError, match="no whole observations, which mine learns from"):
        summarised(pool, [], lambda o: np.zeros(1), method="mine")


class Everything(ChiSquaredMethod):
    """All that was simulated is a summary."""

    name = "everything"

    def summary(self, observation: Observation) -> np.ndarray:
        return observation.values[0]


def test_a_saved_model_answers_the_same_and_damage_is_told(tmp_path: Path) -> None:
    task = load_task("lensing_strange")
    method = Everything(task, degree=1, covariance_degree=0)
    rng = np.random.default_rng(5)
    points = rng.uniform((0.1, 0.7), (0.6, 0.95), (300, 2))
    method.learn(points, simulated(points, rng))
    seen = Observation(("x",), simulated(points[:1], rng))
    method.save(tmp_path)
    assert Everything.load(tmp_path, task).predict(seen) == method.predict(seen)
    path = tmp_path / "everything.json"
    document = json.loads(path.read_text())
    for broken in ({**document, "learned": {}}, {**document, "settings": {"degrees": 1}}):
        path.write_text(json.dumps(broken))
        with pytest.raises(Sigma68Error, match=r"damaged|other settings"):
            Everything.load(tmp_path, task)
