"""mu and the six nuisance parameters are those of the challenge, and bad values are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sigma68.errors import NuisanceError
from sigma68.tasks.higgs.nuisance import (
    BIASES,
    MU,
    NUISANCES,
    SCALES,
    check_nuisances,
    process_scales,
)

TABLE = {
    "tes": (1.0, "normal", 1.0, 0.01, 0.9, 1.1),
    "jes": (1.0, "normal", 1.0, 0.01, 0.9, 1.1),
    "soft_met": (0.0, "lognormal", 0.0, 1.0, 0.0, 5.0),
    "ttbar_scale": (1.0, "normal", 1.0, 0.02, 0.8, 1.2),
    "diboson_scale": (1.0, "normal", 1.0, 0.25, 0.0, 2.0),
    "bkg_scale": (1.0, "normal", 1.0, 0.001, 0.99, 1.01),
}


def test_priors_and_ranges_are_those_of_the_challenge() -> None:
    assert {
        n.name: (n.off, n.prior, n.location, n.width, n.low, n.high) for n in NUISANCES
    } == TABLE
    assert (MU.low, MU.high) == (0.1, 3.0)
    assert {*BIASES, *SCALES} == set(TABLE)


def test_what_is_not_given_is_off() -> None:
    off = {name: row[0] for name, row in TABLE.items()}
    assert check_nuisances() == off
    assert check_nuisances({"jes": 1.02}) == {**off, "jes": 1.02}
    assert list(check_nuisances({"bkg_scale": 1.001})) == list(TABLE)


@pytest.mark.parametrize(("name", "row"), TABLE.items())
def test_the_ends_of_a_range_are_allowed_and_nothing_beyond(
    name: str, row: tuple[float, str, float, float, float, float]
) -> None:
    low, high = row[4:]
    for value in (low, high):
        assert check_nuisances({name: value})[name] == value
    for value in (math.nextafter(low, -9), math.nextafter(high, 9), math.nan, math.inf):
        with pytest.raises(NuisanceError, match=rf"{name} = .* from {low:g} to {high:g}"):
            check_nuisances({name: value})


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(NuisanceError, match=r"'tau_scale': choose among tes, jes, soft_met"):
        check_nuisances({"tau_scale": 1.0})


def test_scales_act_on_their_process_and_bkg_scale_on_every_background() -> None:
    assert np.array_equal(process_scales(1.0), np.ones(4))
    assert process_scales(2.5) == pytest.approx([2.5, 1, 1, 1])
    assert process_scales(1, {"ttbar_scale": 1.1}) == pytest.approx([1, 1, 1.1, 1])
    assert process_scales(1, {"diboson_scale": 0.5}) == pytest.approx([1, 1, 1, 0.5])
    both = process_scales(0.3, {"ttbar_scale": 0.9, "diboson_scale": 2, "bkg_scale": 1.01})
    assert both == pytest.approx([0.3, 1.01, 0.909, 2.02])
    assert np.array_equal(process_scales(1, {"tes": 1.05, "soft_met": 3.0}), np.ones(4))


@pytest.mark.parametrize("mu", [-0.1, math.nan, math.inf])
def test_mu_must_be_a_signal_strength(mu: float) -> None:
    with pytest.raises(NuisanceError, match="no signal strength"):
        process_scales(mu)
