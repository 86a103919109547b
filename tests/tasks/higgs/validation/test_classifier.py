"""Areas under ROC curves with their errors, and trees that tell apart what differs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from sigma68.seeds import stream
from sigma68.tasks.higgs.schema import FEATURES
from sigma68.tasks.higgs.validation.roc import CURVE_POINTS, area, roc_curve
from sigma68.types import Labelled
from tests.tasks.higgs.validation.made_files import halves, sample, scaled

STREAM = stream("higgs", "test", 4)


def labelled(n: int, m: int, seed: int, copies: int = 1) -> Labelled:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.array([1, 0], np.int8), [n * copies, m])
    weights = np.concatenate([np.repeat(rng.lognormal(0, 0.5, n), copies), rng.random(m)])
    unit = np.concatenate([np.repeat(np.arange(n), copies), n + np.arange(m)])
    values = np.zeros((1, len(labels)), np.float32)
    return Labelled(("x",), values, weights, labels, 1 - labels, ("s", "r"), unit)


def test_the_area_counts_pairs() -> None:
    events = labelled(40, 30, 1)
    scores = np.random.default_rng(2).integers(0, 8, 70).astype(float)
    pairs = total = 0.0
    for i in range(40):
        for j in range(40, 70):
            w = events.weights[i] * events.weights[j]
            pairs += w * ((scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]))
            total += w
    assert area(scores, events)[0] == pytest.approx(pairs / total)


def test_the_error_is_the_scatter_of_many_samples_hard_events_counted_once() -> None:
    for copies in (1, 3):
        found = []
        for seed in range(300):
            events = labelled(120, 80, seed, copies)
            rng = np.random.default_rng(1000 + seed)
            scores = np.concatenate(
                [np.repeat(rng.normal(0.5, 1, 120), copies), rng.normal(size=80)]
            )
            found.append(area(scores, events))
        values, errors = np.array(found).T
        assert values.mean() == pytest.approx(0.6382, abs=0.01)
        assert values.std() == pytest.approx(errors.mean(), rel=0.12)


def test_the_curve_has_the_area() -> None:
    events = labelled(3000, 2000, 3)
    scores = np.random.default_rng(4).normal(0.7 * events.labels, 1)
    curve = roc_curve(scores, events)
    assert curve.shape == (CURVE_POINTS,)
    steps = np.linspace(0, 1, CURVE_POINTS)
    assert np.trapezoid(curve, steps) == pytest.approx(area(scores, events)[0], abs=2e-3)


xgboost = pytest.importorskip("xgboost")
from sigma68.tasks.higgs.validation.classifier import judged, tell_apart  # noqa: E402


def test_the_same_physics_cannot_be_told_apart_and_a_scaled_column_can() -> None:
    tested, reference = halves(9000, 5)
    s = sample(tested).of((1,))
    same = tell_apart("ztautau", s, sample(reference).of((1,)), STREAM)
    other = tell_apart("ztautau", s, sample(scaled(reference, "PRI_had_pt", 1.15)).of((1,)), STREAM)
    assert abs(same.auc - 0.5) < 3.5 * same.error
    assert same.error == pytest.approx(1.5 / math.sqrt(12 * same.rows_reference), rel=0.15)
    assert other.auc > 0.5 + 3.5 * other.error
    one, two = judged([same, other], 0.01)
    assert one.corrected > 0.01
    assert two.corrected < 0.01
    assert two.corrected == pytest.approx(min(2 * two.p_value, 1))
    assert one.detectable == pytest.approx(0.5 + 3.857 * one.null_error, abs=1e-3)
    # PRI_had_pt has a threshold at 23 GeV, which the scaling moves.
    assert two.columns[0][0] == "PRI_had_pt"
    assert sum(share for _, share in two.columns) <= 1


def test_what_is_learned_is_not_what_is_judged() -> None:
    """Copies of one hard event carry a mark: a leak between the folds would find it."""
    frame, reference = (sample(f).of((1,)) for f in halves(2600, 6))
    copies = frame.chosen(np.repeat(np.arange(300), 6))
    copies.values[LEAK] += np.repeat(np.random.default_rng(7).normal(0, 400, 300), 6).astype(
        np.float32
    )
    marked = reference.values.copy()
    marked[LEAK] += np.random.default_rng(8).normal(0, 400, reference.n_events).astype(np.float32)
    test = tell_apart(
        "x",
        copies,
        type(reference)(marked, reference.weights, reference.process, reference.unit),
        STREAM,
    )
    assert test.auc < 0.5 + 3.5 * test.error


LEAK = FEATURES.index("DER_sum_pt")


def test_an_area_is_judged_by_a_limit_where_it_is_known() -> None:
    tested, reference = (sample(frame).of((1,)) for frame in halves(12_000, 9))
    test = tell_apart("x", tested, reference, STREAM, even=True)
    assert abs(test.auc - 0.5) < 3.5 * test.error
    # Two rows for each effective event, and as many of what is tested again.
    assert test.rows_reference == reference.n_events
    assert test.rows_tested == pytest.approx(4 * reference.n_events, rel=0.1)
    own = [replace(test, auc=a, null_error=e) for a, e in ((0.53, 0.01), (0.54, 0.01), (0.6, 0.02))]
    assert [t.verdict for t in judged(own, 0.01, 0.53)] == ["pass", "miss", "unsure"]
    by_chance = [replace(test, p_value=p) for p in (0.2, 1e-6)]
    assert [t.verdict for t in judged(by_chance, 0.01)] == ["pass", "miss"]
