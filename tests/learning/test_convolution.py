"""A network of images applied without torch, against torch and through a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sigma68.errors import DataError, FitError, SettingsError
from sigma68.learning.convolution import Convolution, ImageNetwork, ImageSettings
from sigma68.learning.network import Layer


def network(n_summaries: int = 2) -> ImageNetwork:
    rng = np.random.default_rng(68)

    def made(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.5, shape).astype(np.float32)

    n_in = 4 + 3 + n_summaries
    return ImageNetwork(
        block=3,
        scale=0.4,
        share=rng.integers(0, 5, (9, 6)).astype(np.float32) / 4,
        convolutions=(
            Convolution(made(4, 2, 5, 5), made(4)),
            Convolution(made(3, 4, 3, 3), made(3)),
        ),
        shift=made(n_in),
        spread=np.abs(made(n_in)) + 1,
        layers=(Layer(made(5, n_in), made(5)), Layer(made(2, 5), made(2))),
    )


def image() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(26, 17)).astype(np.float32)


def by_torch(net: ImageNetwork, picture: np.ndarray, summary: np.ndarray) -> np.ndarray:
    whole = np.zeros((27, 18), dtype=np.float32)
    whole[:26, :17] = picture
    cells = torch.nn.functional.avg_pool2d(torch.from_numpy(whole)[None], 3)[0] * 3
    x = torch.stack([cells / 0.4, torch.from_numpy(net.share)])[None]
    means = []
    for c in net.convolutions:
        weights, bias = torch.from_numpy(c.weights), torch.from_numpy(c.bias)
        x = torch.relu(
            torch.nn.functional.conv2d(x, weights, bias, stride=2, padding=c.weights.shape[2] // 2)
        )
        means.append(x.mean(dim=(2, 3))[0].numpy())
    x = (np.concatenate([*means, summary]) - net.shift) / net.spread
    x = np.maximum(net.layers[0].weights @ x + net.layers[0].bias, 0)
    out: np.ndarray = net.layers[1].weights @ x + net.layers[1].bias
    return out


def test_it_says_what_torch_says() -> None:
    net, summary = network(), np.array([0.3, -0.8])
    np.testing.assert_allclose(
        net.outputs(image(), summary), by_torch(net, image(), summary), rtol=1e-4, atol=1e-5
    )


def test_a_network_without_summaries_takes_none() -> None:
    net = network(0)
    assert net.n_summaries == 0
    assert net.outputs(image()).shape == (2,)
    with pytest.raises(FitError, match="summaries"):
        net.outputs(image(), np.zeros(1))


def test_it_survives_a_file() -> None:
    net = network()
    again = ImageNetwork.from_bytes(net.to_bytes())
    summary = np.array([0.3, -0.8])
    np.testing.assert_array_equal(again.outputs(image(), summary), net.outputs(image(), summary))


def test_images_of_another_shape_or_with_no_numbers_are_refused() -> None:
    net = network(0)
    with pytest.raises(FitError, match="blocks"):
        net.features(np.zeros((40, 17), dtype=np.float32))
    broken = image()
    broken[3, 3] = np.inf
    with pytest.raises(FitError, match="no numbers"):
        net.features(broken)


def test_summaries_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(FitError, match="finite summaries"):
        network().outputs(image(), np.array([np.nan, 0]))


def test_what_overflows_is_no_answer() -> None:
    net = network(0)
    huge = tuple(Layer(layer.weights * np.float32(1e30), layer.bias) for layer in net.layers)
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(FitError, match="NaN"):
        replace(net, layers=huge).outputs(image())


@pytest.mark.parametrize(
    "broken",
    [
        replace(network(), layers=network().layers[:1] * 2),
        replace(network(), convolutions=network().convolutions[::-1]),
        replace(network(), spread=network().spread[:-1]),
        replace(network(), shift=network().shift * np.float32(np.nan)),
    ],
)
def test_parts_that_do_not_fit_are_refused(broken: ImageNetwork) -> None:
    with pytest.raises(DataError):
        ImageNetwork.from_bytes(broken.to_bytes())


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(DataError):
        ImageNetwork.from_bytes(b"nothing of the kind")
    with pytest.raises(DataError):
        ImageNetwork.from_bytes(network().to_bytes()[:-8])


@pytest.mark.parametrize(
    "wrong",
    [{"block": 0}, {"channels": ()}, {"channels": (4, 0)}, {"passes": 0}, {"device": "abacus"}],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        ImageSettings(**wrong)  # type: ignore[arg-type]
