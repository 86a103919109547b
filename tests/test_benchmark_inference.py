"""The benchmark of whole answers, on the small task: what it times, and that peers agree."""

from __future__ import annotations

import pytest
from benchmarks.inference import answers, fits, unbinned

from sigma68.discover import load_task
from sigma68.methods.bdt_profile import BdtProfile


@pytest.fixture(scope="module")
def method() -> BdtProfile:
    task = load_task("gaussian")
    pools = task.open()
    made = BdtProfile(task, n_trees=20, max_train_rows=40_000, max_bins=8, threads=1)
    made.fit(pools.train, pools.calibration)
    return made


def test_the_steps_of_an_answer_are_parts_of_it(method: BdtProfile) -> None:
    pool = method.task.open().scoring
    answer, counts = answers(method, method.task, pool, 2)
    assert counts.sum() == answer.events > 0
    steps = (answer.score_ms, answer.count_ms, answer.fit_ms)
    assert all(step > 0 for step in steps)
    # What waits on a busy machine counts in its own median alone.
    assert answer.whole_ms > max(steps) / 20
    assert answer.draw_ms > 0


def test_what_has_no_bins_is_timed_whole(method: BdtProfile) -> None:
    pool = method.task.open().scoring
    events, draw_ms, whole_ms = unbinned(method, method.task, pool, 2)
    assert events == answers(method, method.task, pool, 2)[0].events
    assert draw_ms > 0
    assert whole_ms > 0


def test_peers_find_the_same_interval(method: BdtProfile) -> None:
    likelihood = method.likelihood
    ours, minos, pyhf = fits(likelihood, likelihood.expected(likelihood.point(1.2)), 1)
    assert ours.ratio == 1.0
    for peer in (minos, pyhf):
        assert peer.ratio == pytest.approx(peer.ms / ours.ms)
        assert peer.mu_hat == pytest.approx(ours.mu_hat, abs=0.01)
    width = ours.upper - ours.lower
    assert minos.upper - minos.lower == pytest.approx(width, rel=1e-3)
    assert pyhf.upper - pyhf.lower == pytest.approx(width, rel=0.05)
