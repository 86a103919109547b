"""`bdt_profile` and `one_syst` on a task whose best interval is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma68.errors import DataError, FitError, SettingsError
from sigma68.methods.bdt_profile import BdtProfile
from sigma68.methods.exact import Exact
from sigma68.methods.one_syst import OneSyst
from sigma68.run.truth import draw_truth, toy_stream
from sigma68.tasks.gaussian.task import Gaussian
from sigma68.types import Interval, Observation, Truth

TOYS = 400
SMALL: dict[str, Any] = {"n_trees": 60, "max_depth": 4, "threads": 1}


@pytest.fixture(scope="module")
def task() -> Gaussian:
    return Gaussian()


@pytest.fixture(scope="module")
def method(task: Gaussian) -> BdtProfile:
    pools = task.open()
    made = BdtProfile(task, **SMALL)
    made.fit(pools.train, pools.calibration)
    return made


def interval(method: BdtProfile | Exact, seen: Observation) -> Interval:
    answer = method.predict(seen)["mu"]
    assert isinstance(answer, Interval)
    return answer


def test_it_covers_and_is_little_wider_than_the_exact_interval(
    task: Gaussian, method: BdtProfile
) -> None:
    pools = task.open()
    exact = Exact(task)
    exact.fit(pools.train, pools.calibration)
    covered, widths, best, pulls = 0, [], [], []
    for toy in range(TOYS):
        truth = draw_truth(task, 7, 0, toy, [n.name for n in task.nuisances])
        seen = task.pseudo_experiment(pools.scoring, truth, toy_stream(task, 7, 0, toy))
        found, mu = interval(method, seen), truth.parameters["mu"]
        covered += found.lower <= mu <= found.upper
        widths.append(found.upper - found.lower)
        pulls.append((found.mu_hat - mu) / found.delta_mu_hat)
        if toy < 50:
            other = interval(exact, seen)
            best.append(other.upper - other.lower)
    error = np.sqrt(0.6827 * 0.3173 / TOYS)
    assert abs(covered / TOYS - 0.6827) < 3 * error
    assert abs(np.mean(pulls)) < 3 / np.sqrt(TOYS)
    # A score that separates signal from background says less of the shift than x itself does.
    assert 0.97 < np.mean(widths[:50]) / np.mean(best) < 1.3


def test_templates_close_at_points_left_out(method: BdtProfile) -> None:
    assert 0 < method.measurement.closure_pull < 1.5


def test_a_nuisance_at_three_sigma_is_found(task: Gaussian, method: BdtProfile) -> None:
    pools = task.open()
    truth = Truth({"mu": 1.5}, {"shift": 3.0, "bkg_scale": 1.0})
    likelihood = method.likelihood
    asimov = method.interval(likelihood.expected(likelihood.point(1.5, {"shift": 3.0})))
    found = [
        interval(method, task.pseudo_experiment(pools.scoring, truth, toy_stream(task, 8, 0, toy)))
        for toy in range(60)
    ]
    shift = np.array([one.fitted["shift"][0] for one in found])
    mu = np.array([one.mu_hat for one in found])
    assert asimov.fitted["shift"][0] > 1.0
    assert abs(shift.mean() - asimov.fitted["shift"][0]) < 4 * shift.std() / np.sqrt(60)
    assert abs(mu.mean() - asimov.mu_hat) < 4 * mu.std() / np.sqrt(60)


def test_without_simulation_errors_intervals_are_narrower(
    task: Gaussian, method: BdtProfile
) -> None:
    other = method.measurement.likelihood(
        task.parameters[0], task.nuisances, ["shift", "bkg_scale"], mc_errors=False
    )
    counts = method.likelihood.expected(method.likelihood.point(1.0))
    _, low, high = method.likelihood.interval(counts)
    _, low_without, high_without = other.interval(counts)
    assert high_without - low_without < high - low


def test_intervals_are_cut_at_the_range_only_when_asked(
    task: Gaussian, method: BdtProfile, tmp_path: Path
) -> None:
    method.save(tmp_path)
    path = tmp_path / "bdt_profile.json"
    document = json.loads(path.read_text())
    document["settings"]["clip"] = True
    path.write_text(json.dumps(document))
    cut = BdtProfile.load(tmp_path, task)
    counts = method.likelihood.expected(method.likelihood.point(0.1))
    free, limited = method.interval(counts), cut.interval(counts)
    assert free.lower < 0.1
    assert free.note == ""
    assert limited.lower == 0.1
    assert limited.upper == free.upper
    assert f"{free.lower:.4f}" in limited.note


def test_events_that_are_not_numbers(task: Gaussian, method: BdtProfile) -> None:
    values = np.zeros((2, 10))
    values[1, 3] = np.nan
    with pytest.raises(FitError, match="y is nan in event 3"):
        method.predict(Observation(("x", "y"), values))
    with pytest.raises(DataError, match="features"):
        method.predict(Observation(("y", "x"), np.zeros((2, 10))))


def test_an_empty_observation_gets_no_interval_or_an_honest_one(
    task: Gaussian, method: BdtProfile
) -> None:
    with pytest.raises(FitError):
        method.predict(Observation(("x", "y"), np.zeros((2, 0))))


def test_damaged_models_are_refused(task: Gaussian, method: BdtProfile, tmp_path: Path) -> None:
    method.save(tmp_path)
    path = tmp_path / "bdt_profile.json"
    whole = json.loads(path.read_text())
    for part, value in (
        ("edges", [1.0, 0.0]),
        ("processes", ["one"]),
        ("factors", [["mu", "mu"], []]),
        ("surfaces", {}),
    ):
        document = json.loads(json.dumps(whole))
        document["measurement"][part] = value
        path.write_text(json.dumps(document))
        with pytest.raises(DataError, match="train again"):
            BdtProfile.load(tmp_path, task)


def test_before_training(task: Gaussian) -> None:
    for made in (BdtProfile(task), OneSyst(task)):
        with pytest.raises(FitError, match="not trained"):
            made.predict(Observation(("x", "y"), np.zeros((2, 10))))


def test_one_syst_leaves_the_others_out(task: Gaussian) -> None:
    assert [n.name for n in OneSyst(task).profiled] == ["shift"]
    assert [n.name for n in OneSyst(task, nuisance="bkg_scale").profiled] == ["bkg_scale"]
    assert OneSyst(task, profiled=["bkg_scale"]).profiled == ()
    with pytest.raises(SettingsError, match="bkg_scale"):
        OneSyst(task, nuisance="tes")
    said = OneSyst.leaves_out(task, ["shift", "bkg_scale"])
    assert said is not None
    assert "bkg_scale" in said
    assert OneSyst.leaves_out(task, ["shift"]) is None
    with pytest.raises(SettingsError, match="no nuisance parameter"):
        BdtProfile(task, profiled=["tes"])
