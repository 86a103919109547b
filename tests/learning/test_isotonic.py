"""Calibrated shares: what they mean, what they sum to, what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sigma68.errors import DataError
from sigma68.learning.isotonic import Calibration, learn_calibration, share_closure
from sigma68.seeds import stream
from sigma68.types import Labelled
from tests.learning.regions_toy import EXPECTED, PLACES, WIDTHS, MadePool

EVENTS = MadePool("calibration", 20_000, 3).labelled()


def true_shares(events: Labelled) -> np.ndarray:
    x = events.values[0].astype(float)
    density = np.stack(
        [
            e / w * np.exp(-0.5 * ((x - p) / w) ** 2)
            for e, p, w in zip(EXPECTED, PLACES, WIDTHS, strict=True)
        ]
    )
    return (density / density.sum(axis=0)).astype(np.float32)


def distorted(shares: np.ndarray) -> np.ndarray:
    """Too sure of the first, with noise."""
    noise = stream("tests", "isotonic", 1).generator().standard_normal(shares.shape)
    log = np.log(np.maximum(shares, 1e-7)) * np.array([1.6, 1.0, 0.8])[:, None] + 0.05 * noise
    out = np.exp(log)
    return (out / out.sum(axis=0)).astype(np.float32)


GIVEN = distorted(true_shares(EVENTS))
LEARNED = learn_calibration(GIVEN, EVENTS, 0)


def test_shares_mean_what_they_say() -> None:
    calibrated = LEARNED.apply(GIVEN)
    np.testing.assert_allclose(calibrated.sum(axis=0), 1.0, rtol=1e-5)
    other = MadePool("other", 20_000, 3).labelled()
    g = LEARNED.apply(distorted(true_shares(other)))
    for p, tolerance in enumerate((0.02, 0.03, 0.03)):
        place = np.digitize(g[p], np.quantile(g[p], [0.2, 0.4, 0.6, 0.8]))
        total = np.bincount(place, other.weights)
        found = np.bincount(place, other.weights * (other.process == p)) / total
        said = np.bincount(place, other.weights * g[p]) / total
        np.testing.assert_allclose(said, found, atol=tolerance)
    assert (
        np.abs(GIVEN[0] - true_shares(EVENTS)[0]).mean()
        > 3 * np.abs(calibrated[0] - true_shares(EVENTS)[0]).mean()
    )


def test_sums_are_those_of_simulation() -> None:
    assert np.abs(share_closure(GIVEN, EVENTS)).max() > 0.05
    np.testing.assert_allclose(share_closure(LEARNED.apply(GIVEN), EVENTS), 0.0, atol=1e-5)


def test_it_rises_and_keeps_events_apart() -> None:
    lonely = np.stack([np.linspace(1e-6, 0.999, 500), 1 - np.linspace(1e-6, 0.999, 500)])
    two = replace(EVENTS, process=np.minimum(EVENTS.process, 1), process_names=("a", "b"))
    given = np.stack([GIVEN[0], 1 - GIVEN[0]])
    out = learn_calibration(given, two, 0).apply(lonely.astype(np.float32))
    assert (np.diff(out[0]) >= -1e-7).all()
    assert 0 < out[0, 0] < out[0, -1] < 1


def test_few_events_give_one_knot() -> None:
    few = MadePool("few", 60, 3).labelled()
    calibration = learn_calibration(distorted(true_shares(few)), few, 0)
    assert all(len(x) == 1 for x in calibration.given)


def test_a_process_without_events_is_missed() -> None:
    none = replace(EVENTS, weights=EVENTS.weights * (EVENTS.process != 2))
    with pytest.raises(DataError, match="no other events"):
        learn_calibration(GIVEN, none, 0)


def test_it_comes_back_from_json() -> None:
    again = Calibration.from_json(LEARNED.to_json(), 3)
    np.testing.assert_array_equal(again.apply(GIVEN), LEARNED.apply(GIVEN))


@pytest.mark.parametrize(
    "damage",
    [
        {"first": 3},
        {"given": [[0.0]]},
        {"given": [[1.0, 0.0]] * 3, "meant": [[0.0, 1.0]] * 3},
        {"given": [[0.0, 1.0]] * 3, "meant": [[1.0, 0.0]] * 3},
        {"factors": [0.0]},
        {"meant": None},
    ],
)
def test_damage_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="train again"):
        Calibration.from_json({**LEARNED.to_json(), **damage}, 3)
