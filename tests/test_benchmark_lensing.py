"""The benchmark of methods for maps, on answers whose quality is known."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.lensing import Answered, answer, compare, figures

from sigma68.inference.posterior_checks import PosteriorChecks
from sigma68.methods.power_spectrum import PowerSpectrum
from sigma68.tasks.lensing.scores import map_scores
from sigma68.tasks.lensing.task import Lensing


def answered(scatter: float, error: float, n: int = 400) -> Answered:
    rng = np.random.default_rng(68)
    truths = rng.uniform((0.1, 0.7), (0.6, 0.9), (n, 2))
    checks = PosteriorChecks(("Omega_m", "S8"), rng.random((n, 2)), rng.random(n), rng.random(n))
    means = truths + scatter * rng.normal(size=(n, 2))
    return Answered(means, np.full((n, 2), error), truths, checks, 0, 1.0)


def test_scores_are_compared_on_the_same_maps() -> None:
    given = {"wide": answered(0.04, 0.04), "narrow": answered(0.02, 0.02)}
    wide, narrow = compare(given, "wide")
    assert wide.ahead == 0
    assert wide.ahead_error == 0
    expected = [map_scores(a.means, a.errors, a.truths).mean() for a in given.values()]
    assert wide.score == pytest.approx(expected[0])
    assert narrow.ahead == pytest.approx(expected[1] - expected[0])
    assert narrow.ahead > 5 * narrow.ahead_error > 0
    assert narrow.coverage == pytest.approx([0.68, 0.68], abs=0.08)
    assert narrow.joint_coverage == pytest.approx(0.68, abs=0.08)


def test_a_bias_and_a_failure_are_seen() -> None:
    shifted = answered(0.02, 0.02)
    shifted.means[:, 0] += 0.01
    shifted.means[7] = np.nan
    row = compare({"it": shifted}, "it")[0]
    assert row.bias_over_sigma[0] == pytest.approx(0.5, abs=0.15)
    assert abs(row.bias_over_sigma[1]) < 0.15
    assert row.score < -1000


def test_a_method_is_asked_for_maps_of_other_cosmologies(tmp_path) -> None:  # type: ignore[no-untyped-def]
    task = Lensing()
    pools = task.open("embedded:20x3")
    method = PowerSpectrum(task, degree=2, covariance_degree=0)
    method.fit(pools.train, pools.calibration)
    found = answer(method, task, pools, toys=3, seed=1)
    assert found.means.shape == (3, 2)
    assert found.failed == 0
    assert len({tuple(truth) for truth in found.truths}) == 3
    figures({"power_spectrum": found}, task, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "coverage.png",
        "ranks-power_spectrum.png",
    }
