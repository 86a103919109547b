"""Bins in a score: optimal by the stated measure, above their floors, the same every time."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from sigma68.errors import DataError
from sigma68.learning.binning import (
    BinChoice,
    Templates,
    choose_edges,
    count,
    fill_templates,
)
from sigma68.types import Labelled
from tests.learning.events import overlapping


def chosen(events: Labelled, choice: BinChoice | None = None) -> Templates:
    of_events = (events.values[0], events.weights, events.labels, events.hard_event)
    return fill_templates(*of_events, choose_edges(*of_events, choice))


def information(templates: Templates) -> float:
    """sum S^2 / (S + B + V), as the module states it."""
    t = templates
    variance = t.signal + t.background + t.signal_variance + t.background_variance
    return float((t.signal**2 / variance).sum())


def test_no_merging_of_the_start_bins_does_better() -> None:
    events = overlapping(400, seed=1)
    choice = BinChoice(max_bins=4, start_bins=10, min_background=30, min_signal=30, loss=0.0)
    of_events = (events.values[0], events.weights, events.labels, events.hard_event)
    free = BinChoice(max_bins=10, start_bins=10, min_background=0, min_signal=0, loss=0.0)
    start = choose_edges(*of_events, free)
    assert start.size == 9  # nothing to lose by keeping all: these are the start bins

    best = -np.inf
    for k in range(choice.max_bins):
        for inner in combinations(range(start.size), k):
            t = fill_templates(*of_events, start[list(inner)])
            enough = (t.background**2 >= 30 * t.background_variance) & (
                t.signal**2 >= 30 * t.signal_variance
            )
            if enough.all():
                best = max(best, information(t))
    found = chosen(events, choice)
    assert information(found) == pytest.approx(best, rel=1e-12)
    assert found.edges.size > 0


def test_every_bin_holds_enough_effective_events() -> None:
    t = chosen(overlapping(20_000, seed=2))
    assert t.edges.size >= 5
    assert (t.background**2 / t.background_variance >= 50).all()
    assert (t.signal**2 / t.signal_variance >= 10).all()


def test_bins_keep_nearly_all_the_information_that_the_score_has() -> None:
    events = overlapping(200_000, seed=3)
    x = np.linspace(-6, 8, 20_001)
    signal = 100 * np.exp(-0.5 * (x - 1.5) ** 2) / np.sqrt(2 * np.pi)
    background = 2000 * np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    exact = float((signal**2 / (signal + background)).sum() * (x[1] - x[0]))
    t = chosen(events)
    assert (t.signal**2 / (t.signal + t.background)).sum() == pytest.approx(exact, rel=0.03)
    # Fewer bins than the most allowed: the last ones bring less than the tolerated loss.
    assert 5 <= t.signal.size < BinChoice.max_bins


def test_templates_hold_all_events_and_a_score_on_an_edge_goes_up() -> None:
    events = overlapping(5_000, seed=4)
    t = chosen(events)
    assert t.signal.sum() == pytest.approx(100)
    assert t.background.sum() == pytest.approx(2000)
    assert (np.diff(t.edges) > 0).all()
    edges = np.array([0.0, 1.0], np.float32)
    np.testing.assert_array_equal(
        count(np.array([-1, 0, 0.5, 1, 2], np.float32), edges), [1.0, 2.0, 2.0]
    )
    np.testing.assert_array_equal(count(np.empty(0, np.float32), edges), [0.0, 0.0, 0.0])


@pytest.mark.parametrize("n_edges", [0, 1, 2, 7, 8, 29, 199])
@pytest.mark.parametrize("n_events", [0, 1, 4096, 10_001])
def test_counts_are_those_of_a_plain_search(n_edges: int, n_events: int) -> None:
    rng = np.random.default_rng(n_edges)
    edges = np.sort(rng.normal(size=n_edges)).astype(np.float32)
    scores = rng.normal(size=n_events).astype(np.float32)
    scores[: n_events // 3] = rng.choice(np.append(edges, np.float32(0)), n_events // 3)
    scores[n_events // 2 : n_events // 2 + 3] = np.array([np.inf, -np.inf, np.nan])[:n_events]
    weights = rng.normal(size=n_events)
    index = np.searchsorted(edges, scores, side="right")
    for w in (None, weights):
        plain = np.bincount(index, w, minlength=n_edges + 1)
        np.testing.assert_array_equal(count(scores, edges, w), plain)
    np.testing.assert_array_equal(
        count(scores[::2], edges, weights[::2]),
        count(scores[::2].copy(), edges, weights[::2].copy()),
    )


def test_each_score_needs_its_weight() -> None:
    with pytest.raises(ValueError, match="weights of shape"):
        count(np.zeros(3, np.float32), np.zeros(1, np.float32), np.ones(2))


def test_rows_of_one_hard_event_do_not_count_twice() -> None:
    single, double = overlapping(20_000, seed=5), overlapping(20_000, seed=5, hard_events=True)
    a, b = chosen(single), chosen(double)
    np.testing.assert_array_equal(a.edges, b.edges)
    np.testing.assert_allclose(a.background_variance, b.background_variance, rtol=1e-12)
    ignorant = chosen(replace(double, hard_event=None))
    np.testing.assert_allclose(
        ignorant.background_variance.sum(), b.background_variance.sum() / 2, rtol=1e-12
    )


@pytest.mark.parametrize("n_events", [4, 10, 60])
def test_tiny_pools_get_few_bins_but_never_none(n_events: int) -> None:
    t = chosen(overlapping(n_events, seed=6))
    assert 1 <= t.signal.size <= 5
    assert (t.signal > 0).all()
    assert (t.background > 0).all()


def test_a_score_with_few_values_is_binned_between_them() -> None:
    events = overlapping(5_000, seed=7)
    stepped = replace(events, values=np.round(events.values))
    t = chosen(stepped)
    assert t.edges.size >= 2
    assert set(t.edges) <= set(np.unique(stepped.values[0]))
    constant = replace(events, values=np.zeros_like(events.values))
    assert chosen(constant).edges.size == 0


def test_the_choice_does_not_depend_on_the_order_of_events() -> None:
    events = overlapping(3_000, seed=8)
    order = np.random.default_rng(0).permutation(events.n_events)
    shuffled = replace(
        events,
        values=events.values[:, order],
        weights=events.weights[order],
        labels=events.labels[order],
    )
    np.testing.assert_array_equal(chosen(events).edges, chosen(shuffled).edges)


@pytest.mark.parametrize("label", [0, 1])
def test_a_missing_class_is_named(label: int) -> None:
    events = overlapping(100, seed=9)
    lonely = replace(events, labels=np.full(100, label, np.int8))
    with pytest.raises(DataError, match="no background" if label else "no signal"):
        chosen(lonely)


def test_templates_survive_json_and_damage_is_noticed() -> None:
    t = chosen(overlapping(3_000, seed=10))
    document = t.to_json()
    back = Templates.from_json(document)
    for name in t.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(t, name), getattr(back, name))
        assert getattr(back, name).dtype == getattr(t, name).dtype
    with pytest.raises(DataError, match="do not fit their edges"):
        Templates.from_json({**document, "signal": document["signal"][:-1]})
    with pytest.raises(DataError, match="damaged"):
        Templates.from_json({name: v for name, v in document.items() if name != "edges"})
