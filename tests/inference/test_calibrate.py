"""Corrections of coverage: right on new toys, honest about themselves, refused where hopeless."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from sigma68.errors import DataError, FitError, SettingsError
from sigma68.inference.calibrate import Calibration, calibrate, learn
from sigma68.inference.scale import Scale, learn_scale
from sigma68.score.table import interval_toys
from sigma68.types import LEVEL, Interval
from tests.inference.made_answers import MU, made_answers

N = 3000
S68 = np.sqrt(LEVEL * (1 - LEVEL) / N)

OPTIONS = [
    {"kind": "scale"},
    {"kind": "scale", "tails": "shortest"},
    {"kind": "scale", "degree": 1},
    {"kind": "scale", "at_edges": "clip"},
    {"kind": "neyman", "degree": 1},
    {"kind": "neyman", "degree": 2, "at_edges": "clip"},
]


def made(seed: int, **changes: float) -> pd.DataFrame:
    """Toys of a method that is biased and much too sure."""
    return made_answers(N, seed=seed, **({"bias": 0.1, "left": 0.6, "right": 0.4} | changes))


def covered(calibration: Calibration, toys: pd.DataFrame) -> float:
    answers = (toys[name].to_numpy() for name in ("mu_hat", "p16", "p84"))
    _, lower, upper = calibration.correction.corrected(*answers)
    return float(np.mean((lower <= toys["mu"]) & (toys["mu"] <= upper)))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_new_toys_are_covered(options: dict[str, object]) -> None:
    found = calibrate(made(1), MU, **options)  # type: ignore[arg-type]
    assert found.before.coverage < 0.45
    assert found.sigma == pytest.approx(S68)
    assert abs(found.after.coverage - LEVEL) < 3 * S68
    # What was learned and what is tested scatter alike; the shortest gives away a little more.
    allowed = 3 * np.sqrt(2) * S68 + (0.01 if "tails" in options else 0.0)
    assert abs(covered(found, made(2)) - LEVEL) < allowed


def test_cross_validation_shows_what_learning_loses() -> None:
    """On its own toys a correction covers to a toy; one that fits their noise loses on others."""
    few = made(3)[:120]
    flexible = calibrate(few, MU, degree=3, tails="shortest")
    assert covered(flexible, few) >= LEVEL - 8 / 120
    lost = np.mean(
        [
            calibrate(made(3)[k : k + 120], MU, degree=3, tails="shortest").after.coverage - LEVEL
            for k in range(0, 1200, 120)
        ]
    )
    assert lost < -0.01


def test_the_coverage_of_a_correction_is_known_to_s68() -> None:
    """200 corrections from 500 toys each, on the normal distribution that the toys were of."""
    coverages = []
    for k in range(200):
        scale = learn(interval_toys(made_answers(500, seed=100 + k), MU), MU)
        assert isinstance(scale, Scale)
        # Truth - estimate in units of the arms is standard normal here.
        coverages.append(norm.cdf(float(scale.high(1.0))) - norm.cdf(float(scale.low(1.0))))
    s68 = np.sqrt(LEVEL * (1 - LEVEL) / 500)
    assert np.std(coverages) == pytest.approx(s68, rel=3 / np.sqrt(400))
    assert np.mean(coverages) == pytest.approx(LEVEL, abs=3 * s68 / np.sqrt(200))


def test_honest_intervals_stay_as_they_are() -> None:
    found = calibrate(made_answers(N, seed=4), MU)
    scale = found.correction
    assert isinstance(scale, Scale)
    assert scale.errors is not None
    error = scale.errors[:, 0]
    # The error of a normal's quantile at one standard deviation; 30 resamples know it roughly.
    expected = np.sqrt(0.16 * 0.84 / N) / norm.pdf(1)
    assert (np.abs(np.log(error / expected)) < 0.7).all()
    assert abs(scale.low(1.0) + 1) < 3 * expected
    assert abs(scale.high(1.0) - 1) < 3 * expected


def test_arms_are_corrected_each_by_itself() -> None:
    """Pulls of the biased method end at (-1 - 0.5) / 0.6 and (1 - 0.5) / 0.4 by hand."""
    scale = learn(interval_toys(made(5), MU), MU)
    assert isinstance(scale, Scale)
    assert float(scale.low(1.0)) == pytest.approx(-1.5 / 0.6, abs=0.12)
    assert float(scale.high(1.0)) == pytest.approx(0.5 / 0.4, abs=0.12)
    corrected = scale.interval(Interval(1.5, 0.1, 1.5 - 0.12, 1.5 + 0.08, note="mine"))
    assert corrected.lower == pytest.approx(1.2, abs=0.02)
    assert corrected.upper == pytest.approx(1.6, abs=0.02)
    assert corrected.mu_hat == 1.5
    assert corrected.note == "mine"


def test_a_large_bias_leaves_the_estimate_outside_and_moves_it() -> None:
    scale = learn(interval_toys(made(6, bias=0.5), MU), MU)
    corrected = scale.interval(Interval(1.5, 0.1, 1.38, 1.58))
    assert corrected.upper < 1.38
    assert corrected.lower < corrected.mu_hat < corrected.upper
    assert corrected.mu_hat == pytest.approx(1.0, abs=0.03)


def test_a_width_that_follows_the_estimate_needs_degree_1() -> None:
    toys, new = (made_answers(N, seed=s, sigma=0.1, rise=1.0) for s in (7, 8))

    def uneven(degree: int) -> float:
        scale = learn(interval_toys(toys, MU), MU, degree=degree)
        answers = (new[name].to_numpy() for name in ("mu_hat", "p16", "p84"))
        _, lower, upper = scale.corrected(*answers)
        covers = (lower <= new["mu"]) & (new["mu"] <= upper)
        return float(covers[new["mu_hat"] < 1].mean() - covers[new["mu_hat"] > 2].mean())

    assert uneven(0) > 0.2
    assert abs(uneven(1)) < 0.05


def test_the_shortest_is_shorter_where_pulls_are_skewed() -> None:
    draw = np.random.default_rng(9)
    toys = made_answers(N, seed=9)
    skewed = toys["mu"] + 0.2 * (draw.exponential(size=N) - 1)
    toys = toys.assign(mu_hat=skewed, p16=skewed - 0.1, p84=skewed + 0.1)
    central, shortest = (calibrate(toys, MU, tails=t) for t in ("central", "shortest"))
    assert shortest.after.width < 0.9 * central.after.width
    assert abs(shortest.after.coverage - LEVEL) < 0.01 + 3 * S68


def test_failed_toys_are_made_up_for() -> None:
    toys = made(10, failures=0.1)
    found = calibrate(toys, MU)
    assert found.n_failed == (toys["status"] != "ok").sum()
    # Failed toys count as not covered, so that of all toys, these included, the level is covered.
    assert abs(found.after.coverage - LEVEL) < 3 * S68
    new = made(11, failures=0.1)
    assert abs(covered(found, new) - LEVEL) < 3 * np.sqrt(2) * S68


def test_curves_against_everything_that_varies() -> None:
    found = calibrate(made(12), MU)
    assert set(found.curves_after) == set(found.curves_before) == {"mu", "shift"}
    for curve in found.curves_after.values():
        assert (np.abs(curve.deviation) < 5).all()
    assert (found.curves_before["mu"].deviation < -5).all()


@pytest.mark.parametrize("options", [OPTIONS[2], OPTIONS[5]], ids=str)
def test_it_survives_json(options: dict[str, object]) -> None:
    found = calibrate(made(13)[:1000], MU, **options)  # type: ignore[arg-type]
    again = Calibration.from_json(json.loads(json.dumps(found.to_json())), MU)
    assert again.to_json() == found.to_json()
    given = Interval(2.9, 0.2, 2.7, 3.0)
    assert again.correction.interval(given) == found.correction.interval(given)


def test_what_is_damaged_is_refused() -> None:
    document = calibrate(made(14)[:500], MU).to_json()
    for damage in ({"correction": {"kind": "guess"}}, {"before": {}}, {"curves_after": {"mu": 1}}):
        with pytest.raises(DataError, match=r"damaged|is unknown"):
            Calibration.from_json(document | damage, MU)
    broken = document["correction"] | {"range": [1]}
    with pytest.raises(DataError, match="correction of a calibration is damaged"):
        Calibration.from_json(document | {"correction": broken}, MU)


def test_what_cannot_be_corrected() -> None:
    toys = made(15)
    with pytest.raises(FitError, match="50 toys are too few to calibrate"):
        calibrate(toys[:50], MU)
    with pytest.raises(FitError, match=r"toys have no interval: no correction .* 0.6827"):
        calibrate(made(16, failures=0.5), MU)
    point = Interval(1.0, 0.1, 1.0, 1.0)
    with pytest.raises(FitError, match="has no width"):
        calibrate(toys, MU).correction.interval(point)
    for wrong in ({"kind": "guess"}, {"tails": "none"}, {"degree": 9}, {"at_edges": "wrap"}):
        with pytest.raises(SettingsError):
            calibrate(toys, MU, **wrong)  # type: ignore[arg-type]


def test_intervals_without_width_count_as_missing() -> None:
    toys = made(17)
    flat = toys.index < 400
    toys.loc[flat, ["p16", "p84"]] = toys.loc[flat, ["mu_hat", "mu_hat"]].to_numpy()
    columns = (toys[name].to_numpy() for name in ("mu", "mu_hat", "p16", "p84"))
    scale = learn_scale(*columns, MU)
    assert scale.n_toys == N - 400
    plain = learn(interval_toys(made(17)[400:], MU), MU)
    assert isinstance(plain, Scale)
    assert scale.high(1.0) > plain.high(1.0)


def test_clipping_is_said() -> None:
    scale = replace(learn(interval_toys(made(18), MU), MU), at_edges="clip")  # type: ignore[type-var]
    found = scale.interval(Interval(2.95, 0.2, 2.8, 3.1))
    assert found.upper == MU.high
    assert found.note == "clipped to the range [0.1, 3] of mu"
