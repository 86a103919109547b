"""A trained network: what it computes, on any threads and in any company, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load, save

from sigma68.errors import DataError, FitError
from sigma68.learning.input_maps import CHUNK, InputMaps, learn_maps
from sigma68.learning.network import Layer, Network
from sigma68.seeds import stream

Float32 = npt.NDArray[np.float32]
NAMES = ("x", "noise", "jets")


def _values(n: int, seed: int) -> Float32:
    rng = stream("learning", "test network", seed).generator()
    jets = np.where(rng.random(n) < 0.6, -25.0, 30 * rng.exponential(size=n))
    return np.stack([rng.normal(3, 2, n), rng.normal(size=n), jets]).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> Network:
    """Units of odd numbers, so that the kernel fills tiles up."""
    rng = stream("learning", "test network", 0).generator()
    sizes = (3, 30, 9, 1)
    layers = tuple(
        Layer(
            rng.normal(0, n_in**-0.5, (n_out, n_in)).astype(np.float32),
            rng.normal(0, 0.5, n_out).astype(np.float32),
        )
        for n_in, n_out in pairwise(sizes)
    )
    return Network(NAMES, learn_maps(_values(5_000, 1), np.ones(5_000), NAMES), layers, 1)


def plain_inputs(maps: InputMaps, values: Float32) -> npt.NDArray[np.float64]:
    """The formula of `InputMaps` in double precision, (n_features, n_events)."""
    x = values.astype(np.float64)[:, None, :]
    pieces = np.clip(x - maps.starts[..., None], 0.0, maps.widths[..., None])
    return maps.low[:, None] + (maps.slopes[..., None].astype(np.float64) * pieces).sum(axis=1)


def plain_scores(network: Network, values: Float32) -> npt.NDArray[np.float64]:
    at = plain_inputs(network.maps, values)
    for layer in network.layers:
        at = layer.weights.astype(np.float64) @ at + layer.bias[:, None]
        if layer is not network.layers[-1]:
            at = np.maximum(at, 0.0)
    return np.asarray(at[0])


def test_the_kernel_is_the_formula(network: Network) -> None:
    values = _values(1_000, 2)
    expected = plain_scores(network, values)
    assert expected.std() > 0.1
    np.testing.assert_allclose(network.score(values), expected, rtol=1e-5, atol=1e-5)


def test_a_score_depends_on_its_event_alone(network: Network) -> None:
    values = _values(2 * CHUNK + 77, 3)
    scores = network.score(values)
    for threads in (2, 3):
        np.testing.assert_array_equal(replace(network, threads=threads).score(values), scores)
    np.testing.assert_array_equal(network.score(values[:, 5:]), scores[5:])
    np.testing.assert_array_equal(network.score(values[:, ::-1]), scores[::-1])
    for event in (0, 130, CHUNK, 2 * CHUNK + 76):
        assert network.score(values[:, event : event + 1])[0] == scores[event]


def test_doubles_and_what_may_not_be_written_are_scored_alike(network: Network) -> None:
    values = _values(500, 4)
    scores = network.score(values)
    np.testing.assert_array_equal(network.score(values.astype(np.float64)), scores)
    values.flags.writeable = False
    np.testing.assert_array_equal(network.score(values), scores)


def test_bytes_give_the_same_scores_back(network: Network) -> None:
    values = _values(1_000, 5)
    content = network.to_bytes()
    back = Network.from_bytes(bytearray(content), NAMES, threads=2)
    np.testing.assert_array_equal(back.score(values), network.score(values))
    assert back.to_bytes() == content
    assert back.threads == 2


@pytest.mark.parametrize("cut", [0, 5, 200, -1])
def test_cut_off_bytes_are_noticed(network: Network, cut: int) -> None:
    with pytest.raises(DataError, match=r"damaged.*train again"):
        Network.from_bytes(network.to_bytes()[:cut], NAMES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("starts", None),
        ("bias1", None),
        ("stranger", np.zeros(3, np.float32)),
        ("low", np.zeros(4, np.float32)),
        ("low", np.zeros(3, np.float64)),
        ("widths", np.zeros((3, 31), np.float32)),
        ("weights0", np.zeros((30, 2), np.float32)),
        ("bias0", np.zeros(29, np.float32)),
        ("weights2", np.full((1, 9), np.nan, np.float32)),
        ("slopes", np.full((3, 32), np.inf, np.float32)),
    ],
)
def test_parts_that_do_not_fit_are_noticed(
    network: Network, name: str, value: npt.NDArray[np.floating] | None
) -> None:
    arrays = load(network.to_bytes())
    if value is None:
        del arrays[name]
    else:
        arrays[name] = value
    with pytest.raises(DataError, match=r"damaged.*train again"):
        Network.from_bytes(save(arrays), NAMES)


def test_pieces_that_are_no_fours_are_noticed(network: Network) -> None:
    arrays = load(network.to_bytes())
    for name in ("starts", "widths", "slopes"):
        arrays[name] = np.ascontiguousarray(arrays[name][:, :30])
    with pytest.raises(DataError, match="damaged"):
        Network.from_bytes(save(arrays), NAMES)


def test_another_number_of_features_is_refused(network: Network) -> None:
    with pytest.raises(DataError, match="takes 3 features, not 2"):
        Network.from_bytes(network.to_bytes(), ("x", "noise"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("event", [7, CHUNK + 200])
def test_features_that_are_no_numbers_are_named(network: Network, value: float, event: int) -> None:
    values = _values(CHUNK + 300, 6)
    values[1, event] = value
    for threads in (1, 2):
        with pytest.raises(FitError, match=f"noise is {value} in event {event}$"):
            replace(network, threads=threads).score(values)


def test_large_numbers_are_numbers(network: Network) -> None:
    for large in (3e38, -3e38):
        assert np.isfinite(network.score(np.full((3, 5), large, np.float32))).all()
    with pytest.raises(FitError, match="x is inf in event 0"):
        network.score(np.full((3, 5), 1e300))


def test_a_score_that_is_no_number_is_no_score(network: Network) -> None:
    huge = Layer(np.full((1, 9), 3e38, np.float32), np.full(1, 3e38, np.float32))
    with pytest.raises(FitError, match="gave a score"):
        replace(network, layers=(*network.layers[:-1], huge)).score(_values(10, 7))


def test_no_events_give_no_scores(network: Network) -> None:
    assert network.score(np.empty((3, 0), np.float32)).shape == (0,)
