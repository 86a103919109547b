"""Areas of one score in two files: their values, their errors, and what they are compared for."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.tasks.higgs.validation.gap import Gap, gap, score_histogram
from sigma68.tasks.higgs.validation.roc import area
from sigma68.tasks.higgs.validation.sample import Sample
from sigma68.types import Labelled

ALL = {"backgrounds": np.array([0.0, 5.0, 1.0, 0.0])}


def made(n: int, seed: int, copies: int = 1, shift: float = 1.0) -> tuple[Sample, np.ndarray]:
    """Signal and two backgrounds of which the second looks like the signal, with scores."""
    rng = np.random.default_rng(seed)
    process = np.repeat(np.array([0, 1, 2], np.int8), [n, n, n // 2])
    centre = np.array([shift, 0.0, 0.7])[process]
    scores = rng.normal(centre, 1).astype(np.float32)
    weights = rng.lognormal(0, 0.4, len(process))
    unit = np.arange(len(process))
    own = [np.repeat(x, copies) for x in (process, weights, unit, scores)]
    values = np.zeros((28, len(own[0])), np.float32)
    return Sample(values, own[1], own[0], own[2]), own[3]


def compared(one: tuple[Sample, np.ndarray], other: tuple[Sample, np.ndarray]) -> Gap:
    return gap((one[0], other[0]), (one[1], other[1]), ALL, (1, 2))["backgrounds"]


def test_areas_count_pairs_with_the_backgrounds_in_proportion() -> None:
    one, other = made(900, 1), made(700, 2)
    found = compared(one, other)
    for (sample, scores), value in ((one, found.tested), (other, found.reference)):
        weights = sample.weights.copy()
        for p, share in ((1, 5.0), (2, 1.0)):
            weights[sample.process == p] *= share / weights[sample.process == p].sum()
        labels = (sample.process == 0).astype(np.int8)
        events = Labelled(
            ("x",), sample.values[:1], weights, labels, 1 - labels, ("s", "b"), sample.unit
        )
        assert value == pytest.approx(area(scores.astype(float), events)[0], abs=5e-4)
    assert found.difference == pytest.approx(found.tested - found.reference)
    assert found.error == pytest.approx(np.hypot(found.tested_error, found.reference_error))
    steps = np.linspace(0, 1, 101)
    assert np.trapezoid(found.tested_curve, steps) == pytest.approx(found.tested, abs=3e-3)


@pytest.mark.parametrize("copies", [1, 3])
def test_errors_are_the_scatter_of_many_samples_hard_events_counted_once(copies: int) -> None:
    found = [compared(made(250, seed, copies), made(250, 500 + seed)) for seed in range(120)]
    scatter = np.std([f.difference for f in found])
    assert np.mean([f.error for f in found]) == pytest.approx(scatter, rel=0.15)
    assert abs(np.mean([f.difference for f in found])) < 3.5 * scatter / np.sqrt(120)


def test_another_signal_has_another_area() -> None:
    found = compared(made(20_000, 3, shift=1.1), made(20_000, 4))
    assert found.difference > 5 * found.error


def test_histograms_are_fractions_of_signal_and_of_all_backgrounds() -> None:
    one, other = made(4000, 5), made(2000, 6, copies=2)
    h = score_histogram((one[0], other[0]), (one[1], other[1]))
    for part in (h.tested, h.reference):
        np.testing.assert_allclose(part.sum(axis=1), 1)
    assert h.tested.shape == (2, len(h.edges) - 1)
    pulls = (h.tested - h.reference) / np.hypot(h.tested_error, h.reference_error)
    assert np.abs(pulls).max() < 4.5
    assert 0.7 < np.std(pulls) < 1.3
