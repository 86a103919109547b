"""Learned density ratios, against those of normal distributions, which are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.errors import DataError
from sigma68.learning.inputs import Inputs
from sigma68.learning.ratios import RatioNetwork, RatioSettings, ratio_polynomials, train_ratios
from sigma68.seeds import stream
from sigma68.types import Labelled, Nuisance, PoolStatistics

SHIFT = Nuisance("shift", prior="normal", location=0.0, width=0.2, low=-2.0, high=2.0, off=0.0)
SMEAR = Nuisance("smear", prior="lognormal", location=0.0, width=1.0, low=0.0, high=2.0, off=0.0)
PLACES, FOLLOWS = (1.0, -0.5), (1.0, 0.5)
N = 20_000
EXPECTED = (100.0, 900.0)
INPUTS = Inputs(("x", "noise"), lambda values: values)
QUICK = RatioSettings(units=24, hidden_layers=2, passes=16, batch=1024, seed=3)


class NormalPool:
    """Two processes, normal in x: a shift moves them, each its own way; what leaves [-4, 5] is lost."""

    role, fingerprint, n_rows = "train", "made", 2 * N

    def labelled(
        self, nuisances: Mapping[str, float] | None = None, *, max_rows: int | None = None
    ) -> Labelled:
        values = nuisances or {}
        rng = stream("tests", "ratios pool", 1).generator()
        process = np.repeat(np.array([0, 1], np.int8), N)
        x = np.asarray(PLACES)[process] + rng.standard_normal(2 * N)
        x += np.asarray(FOLLOWS)[process] * values.get("shift", 0.0)
        noise, blur = rng.standard_normal((2, 2 * N))
        x += values.get("smear", 0.0) * blur
        seen = np.flatnonzero((x > -4) & (x < 5))
        return Labelled(
            names=INPUTS.names,
            values=np.stack([x, noise]).astype(np.float32)[:, seen],
            weights=(np.asarray(EXPECTED) / N)[process][seen],
            labels=(process[seen] == 0).astype(np.int8),
            process=process[seen],
            process_names=("signal", "background"),
            row=seen,
        )

    def statistics(self) -> PoolStatistics | None:
        return None


@cache
def trained() -> RatioNetwork:
    return train_ratios(NormalPool(), (SHIFT,), INPUTS, QUICK)


def at(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return np.stack([x, np.zeros_like(x)]).astype(np.float32)


X = np.linspace(-2.0, 2.5, 40)


def test_shares_are_those_of_the_densities() -> None:
    shares, _ = trained().evaluate(at(X))
    density = np.array(
        [e * np.exp(-0.5 * (X - p) ** 2) for e, p in zip(EXPECTED, PLACES, strict=True)]
    )
    np.testing.assert_allclose(shares.sum(axis=0), 1.0, rtol=1e-5)
    np.testing.assert_allclose(shares[0], density[0] / density.sum(axis=0), atol=0.03)


@pytest.mark.parametrize("z", [-2.0, 2.0])
def test_responses_are_ratios_of_densities(z: float) -> None:
    network = trained()
    _, responses = network.evaluate(at(X))
    p = network.polynomials
    m = p.monomials(p.coordinates({"shift": z * SHIFT.width}))
    learned = np.einsum("t,ktn->kn", m, responses)
    for k, (place, follows) in enumerate(zip(PLACES, FOLLOWS, strict=True)):
        step = follows * z * SHIFT.width
        exact = (X - place) * step - 0.5 * step**2
        near = np.abs(X - place) < 1.8
        np.testing.assert_allclose(learned[k][near], exact[near], atol=0.12)


def test_the_same_seed_gives_the_same_network() -> None:
    settings = replace(QUICK, passes=2)
    first, again = (train_ratios(NormalPool(), (SHIFT,), INPUTS, settings) for _ in range(2))
    assert first.network.to_bytes() == again.network.to_bytes()
    other = train_ratios(NormalPool(), (SHIFT,), INPUTS, replace(settings, seed=4))
    assert first.network.to_bytes() != other.network.to_bytes()


def test_without_nuisances_there_are_shares_alone() -> None:
    network = train_ratios(NormalPool(), (), INPUTS, replace(QUICK, passes=3))
    shares, responses = network.evaluate(at(X))
    assert responses.shape == (2, 0, len(X))
    assert shares[0, -1] > shares[0, 0]


def test_noise_enters_by_its_square() -> None:
    p = ratio_polynomials([SHIFT, SMEAR])
    np.testing.assert_array_equal(p.exponents, [[1, 0], [0, 2], [2, 0], [0, 4], [1, 2]])
    x = p.coordinates({"shift": 0.4, "smear": 0.5})
    np.testing.assert_allclose(p.monomials(x), [2.0, 0.25, 4.0, 0.0625, 0.5])


def test_it_comes_back_from_its_parts() -> None:
    network = trained()
    content, document = network.network.to_bytes(), network.to_json()
    again = RatioNetwork.from_parts(content, document, INPUTS.names, 1)
    for a, b in zip(again.evaluate(at(X)), network.evaluate(at(X)), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "damage",
    [
        {"yields": [1.0]},
        {"yields": [-1.0, 2.0]},
        {"units": [0.0]},
        {"exponents": [[1], [9]]},
        {"shapes": None},
        {"origins": ["x"]},
    ],
)
def test_damaged_parts_are_refused(damage: dict[str, Any]) -> None:
    network = trained()
    content, document = network.network.to_bytes(), {**network.to_json(), **damage}
    with pytest.raises(DataError, match="train again"):
        RatioNetwork.from_parts(content, document, INPUTS.names, 1)


def test_a_process_without_events_is_missed() -> None:
    class Lacking(NormalPool):
        def labelled(self, *args: Any, **kwargs: Any) -> Labelled:
            events = super().labelled(*args, **kwargs)
            return replace(events, weights=events.weights * (events.process == 1))

    with pytest.raises(DataError, match="too few signal events"):
        train_ratios(Lacking(), (SHIFT,), INPUTS, QUICK)


def test_a_training_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    settings = replace(QUICK, passes=4)
    whole = train_ratios(NormalPool(), (SHIFT,), INPUTS, settings)
    checkpoint = tmp_path / "training"

    def killed(what: str, fraction: float) -> None:
        if fraction > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_ratios(NormalPool(), (SHIFT,), INPUTS, settings, killed, checkpoint)
    assert checkpoint.is_file()
    seen: list[float] = []
    again = train_ratios(
        NormalPool(), (SHIFT,), INPUTS, settings, lambda _, f: seen.append(f), checkpoint
    )
    assert min(f for f in seen if f > 0) > 0.5
    assert again.network.to_bytes() == whole.network.to_bytes()


def test_a_checkpoint_of_other_settings_is_not_taken_up(tmp_path: Path) -> None:
    settings, checkpoint = replace(QUICK, passes=1), tmp_path / "training"
    train_ratios(NormalPool(), (SHIFT,), INPUTS, settings, checkpoint=checkpoint)
    other = replace(settings, seed=9)
    fresh = train_ratios(NormalPool(), (SHIFT,), INPUTS, other)
    mixed = train_ratios(NormalPool(), (SHIFT,), INPUTS, other, checkpoint=checkpoint)
    assert fresh.network.to_bytes() == mixed.network.to_bytes()


def test_a_damaged_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    checkpoint = tmp_path / "training"
    checkpoint.write_bytes(b"\x00" * 100)
    with pytest.raises(DataError, match="remove it to train from the beginning"):
        train_ratios(NormalPool(), (SHIFT,), INPUTS, QUICK, checkpoint=checkpoint)
