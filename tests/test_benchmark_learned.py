"""The benchmark of learned likelihoods: what it makes of intervals."""

from __future__ import annotations

import numpy as np
from benchmarks.learned import answers, calibrated_width, coverage

from sigma68.discover import load_task
from sigma68.methods.exact import Exact


def test_widths_are_those_at_the_right_coverage() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.5, 2.5, 20_000)
    centre = truth + 0.1 * rng.standard_normal(len(truth))
    for arm in (0.05, 0.1, 0.2):
        ends = centre - arm, centre, centre + arm
        rows = np.stack([*ends, np.full_like(truth, 0.1), truth], axis=1)
        np.testing.assert_allclose(calibrated_width(rows), 0.2, rtol=0.03)
        if arm == 0.1:
            assert 0.67 < coverage(rows) < 0.70


def test_every_toy_has_a_truth_of_its_own() -> None:
    task = load_task("gaussian")
    pools = task.open()
    exact = Exact(task)
    exact.fit(pools.train, pools.calibration)
    rows, seconds = answers(exact, task, pools, 4, 1)
    assert rows.shape == (4, 5)
    assert len(set(rows[:, 4])) == 4
    assert (rows[:, 0] < rows[:, 1]).all()
    assert (rows[:, 1] < rows[:, 2]).all()
    assert (seconds > 0).all()
