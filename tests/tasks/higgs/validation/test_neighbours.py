"""Distances to training events: of others, of copies, and of events near to copies."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.seeds import stream
from sigma68.tasks.higgs.validation.neighbours import (
    LEAST_ROWS,
    NEAREST,
    NeighbourTest,
    compare_neighbours,
    judged,
    one_per_hard_event,
)
from sigma68.tasks.higgs.validation.sample import Sample
from tests.tasks.higgs.validation.made_files import sample, shared_out

STREAM = stream("higgs", "test", 12)
Z = (1,)


@pytest.fixture(scope="module")
def samples() -> dict[str, Sample]:
    return {name: sample(frame).of(Z) for name, frame in shared_out(40_000, 8).items()}


def compared(samples: dict[str, Sample], tested: Sample) -> NeighbourTest:
    test = compare_neighbours("ztautau", tested, samples["held out"], samples["training"], STREAM)
    assert test is not None
    return judged([test], 0.01)[0]


def mixed_in(tested: Sample, other: Sample, share: float, noise: float = 0.0) -> Sample:
    """Some of the events replaced by others, whose momenta are changed by this fraction."""
    n = int(share * tested.n_events)
    values = tested.values.copy()
    rng = np.random.default_rng(5)
    values[:, :n] = other.values[:, rng.integers(0, other.n_events, n)]
    for column in (0, 3, 14):
        values[column, :n] *= 1 + noise * rng.normal(size=n).astype(np.float32)
    return Sample(values, tested.weights, tested.process, tested.unit)


def test_events_of_the_same_density_lie_no_nearer(samples: dict[str, Sample]) -> None:
    test = compared(samples, samples["emulated"])
    assert test.verdict == "pass"
    assert abs(test.share - NEAREST) < 3.5 * test.error
    assert test.error == pytest.approx(
        np.sqrt(0.01 * 0.99 * (1 / test.rows_tested + 1 / test.rows_reference)), rel=0.35
    )
    assert (test.copies_tested, test.copies_reference) == (0, 0)
    assert test.tested_median == pytest.approx(1, abs=0.03)
    assert test.tested.sum() == pytest.approx(1)
    assert test.reference.sum() == pytest.approx(1)
    assert test.rows_training == samples["training"].n_events


def test_copies_stand_at_zero(samples: dict[str, Sample]) -> None:
    test = compared(samples, mixed_in(samples["emulated"], samples["training"], 0.02))
    assert test.verdict == "miss"
    assert test.copies_tested == pytest.approx(0.02 * test.rows_tested, rel=0.25)
    assert test.copies_reference == 0
    assert test.tested[0] == pytest.approx(0.02, rel=0.25)
    assert test.share == pytest.approx(0.03, abs=0.006)
    # Even a few, which the share of near events does not show.
    few = compared(samples, mixed_in(samples["emulated"], samples["training"], 0.001))
    assert few.copies_tested >= 2
    assert few.verdict == "miss"


def test_events_close_to_training_events_are_no_copies_but_too_near(
    samples: dict[str, Sample],
) -> None:
    test = compared(samples, mixed_in(samples["emulated"], samples["training"], 0.05, noise=0.02))
    assert test.copies_tested < 0.1 * 0.05 * test.rows_tested
    assert test.share > 0.03
    assert test.corrected < 1e-6
    assert test.verdict == "miss"


def test_a_spread_out_density_is_not_called_a_repetition(samples: dict[str, Sample]) -> None:
    wide = samples["emulated"].values.copy()
    wide[14] *= 3
    own = samples["emulated"]
    test = compared(samples, Sample(wide, own.weights, own.process, own.unit))
    assert test.tested_median > 1.02
    assert test.verdict == "pass"


def test_one_event_is_picked_of_each_hard_event_by_weight() -> None:
    n = 3000
    unit = np.repeat(np.arange(n), 2)
    weights = np.tile([3.0, 1.0], n)
    values = np.zeros((28, 2 * n), np.float32)
    values[0] = np.tile([1.0, 0.0], n)
    both = Sample(values, weights, np.zeros(2 * n, np.int8), unit)
    single = one_per_hard_event(both, STREAM)
    assert sorted(single.unit) == list(range(n))
    assert set(single.weights) == {4.0}
    assert single.values[0].mean() == pytest.approx(0.75, abs=0.03)


def test_too_few_events_are_not_judged(samples: dict[str, Sample]) -> None:
    few = samples["training"].chosen(np.arange(LEAST_ROWS - 1))
    assert compare_neighbours("x", samples["emulated"], samples["held out"], few, STREAM) is None
    assert judged([], 0.01) == ()
