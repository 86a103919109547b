"""Networks learn log odds, the same for the same seed, and need torch to do so."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from sigma68.errors import DataError, FitError, MissingExtraError
from sigma68.learning.network import Network, NetworkSettings, train
from sigma68.types import Labelled
from tests.learning.events import overlapping

torch = pytest.importorskip("torch")
QUICK = NetworkSettings(units=16, hidden_layers=2, passes=8)
FEW = replace(QUICK, passes=1)


def loss(network: Network, events: Labelled) -> float:
    """Cross entropy with signal and background weighing the same."""
    scores = network.score(events.values).astype(np.float64)
    losses = np.logaddexp(0, np.where(events.labels == 1, -scores, scores))
    sides = [events.labels == label for label in (0, 1)]
    return float(sum(np.average(losses[s], weights=events.weights[s]) for s in sides) / 2)


@pytest.fixture(scope="module")
def network() -> Network:
    return train(overlapping(20_000, seed=1), QUICK)


def test_scores_are_the_log_odds_of_signal(network: Network) -> None:
    """N(1.5, 1) against N(0, 1) at equal amounts: log odds 1.5 x - 1.125."""
    x = np.linspace(-0.5, 2, 50)  # where both classes have many events
    noise = np.random.default_rng(0).normal(size=(200, 50)).ravel()
    scores = network.score(np.stack([np.tile(x, 200), noise]))
    errors = scores.reshape(200, 50).mean(axis=0) - (1.5 * x - 1.125)
    assert abs(errors.mean()) < 0.1
    assert errors.std() < 0.15


def test_nearly_the_smallest_loss_is_reached(network: Network) -> None:
    fresh = overlapping(50_000, seed=2)
    exact = 1.5 * fresh.values[0].astype(np.float64) - 1.125
    losses = np.logaddexp(0, np.where(fresh.labels == 1, -exact, exact))
    sides = [fresh.labels == label for label in (0, 1)]
    best = sum(np.average(losses[s], weights=fresh.weights[s]) for s in sides) / 2
    assert loss(network, fresh) < best + 0.005


def test_training_is_a_function_of_its_seed() -> None:
    events = overlapping(3_000, seed=3)
    torch.manual_seed(5)
    one = train(events, FEW).to_bytes()
    torch.manual_seed(6)
    assert train(events, replace(FEW, threads=2)).to_bytes() == one
    assert train(events, replace(FEW, seed=2)).to_bytes() != one


def test_training_leaves_torch_as_it_was() -> None:
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    train(overlapping(500, seed=4), FEW)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def test_training_ends_when_nothing_is_gained() -> None:
    seen: list[float] = []
    settings = replace(QUICK, passes=60, patience=1, learning_rate=0.03)
    train(overlapping(1_000, seed=5), settings, lambda what, fraction: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert seen[-2] < 1.0


def test_steps_are_limited() -> None:
    seen: list[float] = []
    settings = replace(QUICK, steps=60)
    train(overlapping(5_000, seed=6), settings, lambda what, fraction: seen.append(fraction))
    assert 20 <= len(seen) <= 61


def test_the_layers_are_those_asked_for() -> None:
    network = train(overlapping(500, seed=7), replace(FEW, units=10, hidden_layers=3))
    assert [layer.weights.shape for layer in network.layers] == [
        (10, 2),
        (10, 10),
        (10, 10),
        (1, 10),
    ]


def test_weight_decay_makes_weights_small() -> None:
    events = overlapping(3_000, seed=8)
    free, held = (train(events, replace(QUICK, weight_decay=decay)) for decay in (0.0, 10.0))

    def size(network: Network) -> float:
        return sum(float((layer.weights**2).sum()) for layer in network.layers)

    assert size(held) < 0.8 * size(free)


def test_a_few_events_are_enough_to_train() -> None:
    events = overlapping(40, seed=7)
    assert np.isfinite(train(events, FEW).score(events.values)).all()


@pytest.mark.parametrize("label", [0, 1])
def test_a_missing_class_is_named(label: int) -> None:
    events = overlapping(100, seed=6)
    with pytest.raises(DataError, match="no background" if label else "no signal"):
        train(replace(events, labels=np.full(100, label, np.int8)), FEW)


def test_features_that_are_no_numbers_are_named() -> None:
    events = overlapping(100, seed=3)
    events.values[1, 7] = np.nan
    with pytest.raises(FitError, match="noise is nan in event 7"):
        train(events, FEW)


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sigma68.learning.fit_network", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"needs torch.*pip install 'sigma68\[torch\]'"):
        train(overlapping(100, seed=1), FEW)
