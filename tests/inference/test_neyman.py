"""The Neyman construction: against the closed form of a normal estimate, and at its edges."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from sigma68.errors import DataError, FitError, SettingsError
from sigma68.inference.neyman import Belt, build_belt
from sigma68.types import LEVEL, Interval
from tests.inference.made_answers import MU, made_answers

TOYS = made_answers(10_000, seed=1, sigma=0.2, rise=0.3, bias=0.15)
NEW = made_answers(10_000, seed=2, sigma=0.2, rise=0.3, bias=0.15)
S68 = np.sqrt(LEVEL * (1 - LEVEL) / 10_000)


@pytest.fixture(scope="module")
def belt() -> Belt:
    return build_belt(TOYS["mu"], TOYS["mu_hat"], MU, degree=2, resamples=10)


def test_the_belt_is_that_of_the_estimate(belt: Belt) -> None:
    sigma = 0.2 * (1 + 0.3 * belt.mu)
    assert belt.errors is not None
    assert (belt.errors < 0.02).all()
    for found, error, z in zip(
        (belt.low, belt.middle, belt.high), belt.errors, (-1, 0, 1), strict=True
    ):
        pulls = (found - (belt.mu + 0.15 + z * sigma)) / error
        assert np.sqrt(np.mean(pulls**2)) < 3


def test_intervals_are_those_of_the_closed_form(belt: Belt) -> None:
    """x = mu + b + z s (1 + r mu) is solved by mu = (x - b - z s) / (1 + z s r)."""
    x = np.linspace(0.8, 2.6, 7)
    mu_hat, lower, upper = belt.ends(x)
    for found, z in ((mu_hat, 0), (lower, 1), (upper, -1)):
        np.testing.assert_allclose(found, (x - 0.15 - 0.2 * z) / (1 + 0.06 * z), atol=0.03)


def test_new_toys_are_covered_on_average_and_everywhere(belt: Belt) -> None:
    _, lower, upper = belt.ends(NEW["mu_hat"])
    covers = (lower <= NEW["mu"]) & (NEW["mu"] <= upper)
    # The belt's own toys and the new ones scatter alike.
    assert abs(covers.mean() - LEVEL) < 3 * np.sqrt(2) * S68
    for low, high in ((0.1, 0.6), (0.6, 2.5), (2.5, 3.0)):
        here = (NEW["mu"] >= low) & (NEW["mu"] < high)
        assert abs(covers[here].mean() - LEVEL) < 4 * S68 * np.sqrt(10_000 / here.sum())


def test_the_interval_is_the_set_of_all_mu_that_accept(belt: Belt) -> None:
    for x in (0.8, 1.4, 2.4):
        accepts = belt.mu[(belt.low <= x) & (x <= belt.high)]
        _, lower, upper = belt.ends(x)
        step = belt.mu[1] - belt.mu[0]
        assert 0 <= accepts[0] - lower < step
        assert 0 <= upper - accepts[-1] < step


def test_clipping_covers_the_same_toys_with_less_width(belt: Belt) -> None:
    clipped = replace(belt, at_edges="clip")
    ends = [b.ends(NEW["mu_hat"]) for b in (belt, clipped)]
    covers = [(low <= NEW["mu"]) & (NEW["mu"] <= high) for _, low, high in ends]
    assert (covers[0] == covers[1]).all()
    widths = [float(np.mean(high - low)) for _, low, high in ends]
    assert widths[1] < 0.97 * widths[0]
    for values in ends[1]:
        assert values.min() >= MU.low
        assert values.max() <= MU.high
    for values in ends:
        assert (values[1] <= values[0]).all()
        assert (values[0] <= values[2]).all()


def test_what_an_interval_says_of_itself(belt: Belt) -> None:
    given = Interval(2.0, 0.3, 1.7, 2.3, fitted={"shift": (0.1, 0.9)}, note="no shift")
    inside = belt.interval(given)
    assert inside.fitted == given.fitted
    assert inside.note == "no shift"
    assert inside.delta_mu_hat == pytest.approx((inside.upper - inside.lower) / 2, rel=1e-4)
    beyond = belt.interval(replace(given, mu_hat=3.1))
    assert beyond.upper > MU.high
    assert beyond.note == (
        "no shift; the belt is extrapolated beyond the range [0.1, 3], where there were no toys"
    )
    clipped = replace(belt, at_edges="clip").interval(replace(given, mu_hat=3.1, note=""))
    assert clipped.upper == MU.high
    assert clipped.note == "clipped to the range [0.1, 3] of mu"
    assert clipped.delta_mu_hat == beyond.delta_mu_hat


@pytest.mark.parametrize(("x", "end"), [(9.0, 3.0), (-4.0, 0.1)])
def test_an_estimate_that_no_mu_accepts(belt: Belt, x: float, end: float) -> None:
    """An interval without width misses every truth inside the range, as an empty one does."""
    given = Interval(x, 0.3, x - 0.3, x + 0.3)
    whole = belt.interval(given)
    assert whole.lower < whole.mu_hat < whole.upper
    found = replace(belt, at_edges="clip").interval(given)
    assert found.lower == found.upper == found.mu_hat == end
    assert found.delta_mu_hat > 0
    assert "lies outside the range [0.1, 3] of mu" in found.note


def test_flat_and_crossing_curves_still_have_one_interval() -> None:
    estimate = np.clip(TOYS["mu_hat"], 0.5, 2.5)
    belt = build_belt(TOYS["mu"], estimate, MU, degree=4)
    mu_hat, lower, upper = belt.ends(np.array([0.5, 1.5, 2.5]))
    assert np.isfinite([mu_hat, lower, upper]).all()
    assert (lower <= mu_hat).all()
    assert (mu_hat <= upper).all()
    assert (lower < upper).all()


def test_it_survives_json(belt: Belt) -> None:
    again = Belt.from_json(json.loads(json.dumps(belt.to_json())), MU)
    for one, two in zip(again.ends(NEW["mu_hat"]), belt.ends(NEW["mu_hat"]), strict=True):
        assert (one == two).all()
    assert again.to_json() == belt.to_json()


@pytest.mark.parametrize(
    "damage", [{"low": [1.0]}, {"high": None}, {"at_edges": "wrap"}, {"mu": [3.0, 1.0]}]
)
def test_a_damaged_belt_is_refused(belt: Belt, damage: dict[str, object]) -> None:
    with pytest.raises(DataError, match="belt of a calibration is damaged"):
        Belt.from_json(belt.to_json() | damage, MU)


def test_what_no_belt_can_be_built_of() -> None:
    with pytest.raises(FitError, match=r"50 toys leave 8 in either tail.*: draw 64 or more"):
        build_belt(TOYS["mu"][:50], TOYS["mu_hat"][:50], MU)
    with pytest.raises(FitError, match="does not rise with mu"):
        build_belt(TOYS["mu"], -TOYS["mu_hat"], MU, degree=1)
    with pytest.raises(SettingsError, match="'extend' or 'clip', not 'wrap'"):
        build_belt(TOYS["mu"], TOYS["mu_hat"], MU, at_edges="wrap")  # type: ignore[arg-type]


def test_toys_without_an_estimate_are_left_out() -> None:
    estimate = TOYS["mu_hat"].to_numpy().copy()
    estimate[::7] = np.nan
    belt = build_belt(TOYS["mu"], estimate, MU, degree=1)
    assert belt.n_toys == np.isfinite(estimate).sum()
    with pytest.raises(FitError, match="gave no estimate"):
        belt.interval(Interval(np.nan, 0.1, 1.0, 1.2))


def test_estimates_of_skewed_toys_are_without_bias() -> None:
    rng = np.random.default_rng(68)
    mu = rng.uniform(MU.low, MU.high, 40_000)
    # A long tail above, and a bias of a tenth of the scatter.
    estimate = mu + 0.02 + 0.2 * (rng.gamma(4.0, 0.5, len(mu)) - 2.0)
    half = len(mu) // 2
    belt = build_belt(mu[:half], estimate[:half], MU, degree=1)
    mu_hat, lower, upper = belt.ends(estimate[half:])
    pulls = (mu_hat - mu[half:]) / 0.2
    # The toys of the belt and the new ones scatter alike; the median is 0.17 away.
    assert abs(pulls.mean()) < 4 * np.sqrt(2 / half)
    assert abs(np.median(pulls)) > 0.1
    covered = ((lower <= mu[half:]) & (mu[half:] <= upper)).mean()
    assert covered == pytest.approx(LEVEL, abs=4 * np.sqrt(2 * LEVEL * (1 - LEVEL) / half))
