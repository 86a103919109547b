"""Rounded networks: what a bfloat16 is, and that kernel and matrix units compute the same."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.errors import FitError
from sigma68.learning import rounding
from sigma68.learning.input_maps import learn_maps
from sigma68.learning.network import Layer, Network
from sigma68.learning.rounding import products, to_bfloat16
from sigma68.seeds import stream
from tests.learning.test_network import NAMES, _values, plain_inputs


def test_the_nearest_bfloat16() -> None:
    # 8 significant bits: between 1 and 2 they are 1 / 128 apart.
    step = 1 / 128
    given = [1 + 0.49 * step, 1 + 0.51 * step, 1 + 0.5 * step, 1 + 1.5 * step, -3.14159, 0.0, -0.0]
    nearest = [1.0, 1 + step, 1.0, 1 + 2 * step, -3.140625, 0.0, -0.0]
    rounded = to_bfloat16(np.array(given, np.float32))
    np.testing.assert_array_equal(rounded, np.array(nearest, np.float32))
    np.testing.assert_array_equal(np.signbit(rounded), np.signbit(nearest))


def test_it_is_what_torch_takes_for_one() -> None:
    torch = pytest.importorskip("torch")
    values = stream("learning", "test rounding", 0).generator().normal(0, 1e3, 10_000)
    seen = values.astype(np.float32)
    taken = torch.from_numpy(seen).bfloat16().float().numpy()
    np.testing.assert_array_equal(to_bfloat16(seen), taken)


@pytest.fixture(scope="module")
def wide() -> Network:
    """Two hidden layers of a width that no tile divides, two outputs."""
    rng = stream("learning", "test rounding", 1).generator()
    layers = tuple(
        Layer(
            rng.normal(0, (2 / n_in) ** 0.5, (n_out, n_in)).astype(np.float32),
            rng.normal(0, 0.5, n_out).astype(np.float32),
        )
        for n_in, n_out in ((3, 90), (90, 70), (70, 2))
    )
    maps = learn_maps(_values(5_000, 1), np.ones(5_000), NAMES)
    return Network(NAMES, maps, layers, 1, rounded=True)


def formula(network: Network, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The definition, with sums in double precision."""
    at = plain_inputs(network.maps, values)
    for layer in network.layers:
        given = to_bfloat16(at.astype(np.float32)).astype(np.float64)
        weights, bias = layer.weights, layer.bias
        if layer is network.layers[-1]:
            return np.asarray(weights.astype(np.float64) @ given + bias[:, None])
        weights, bias = to_bfloat16(weights), to_bfloat16(bias)
        at = np.maximum(weights.astype(np.float64) @ given + bias[:, None], 0.0)
    raise AssertionError("a network has layers")


@pytest.fixture(params=["kernel", "units"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both, wherever torch is: it computes the same where the processor lacks the units."""
    if request.param == "units":
        pytest.importorskip("torch")
    monkeypatch.setattr(rounding, "processor_has_units", lambda: request.param == "units")
    return str(request.param)


def test_both_compute_the_definition(wide: Network, engine: str) -> None:
    network = replace(wide)
    assert (network._products is not None) == (engine == "units")
    values = _values(3_000, 2)
    given, expected = network.outputs(values), formula(network, values)
    # A sum in another order rounds a number the other way now and then, by one part in 256.
    apart = np.abs(given - expected)
    assert apart.max() < 0.05
    assert np.sqrt((apart**2).mean()) < 2e-3
    # What is tested is not the network without rounding.
    exact = replace(wide, rounded=False).outputs(values)
    assert np.sqrt(((given - exact) ** 2).mean()) > 4e-3


@pytest.mark.usefixtures("engine")
def test_an_output_depends_on_its_event_alone(wide: Network) -> None:
    network = replace(wide)
    values = _values(20_000, 3)
    given = network.outputs(values)
    np.testing.assert_array_equal(replace(network, threads=2).outputs(values), given)
    np.testing.assert_array_equal(network.outputs(values[:, 7:]), given[:, 7:])
    np.testing.assert_array_equal(network.outputs(values[:, ::-1]), given[:, ::-1])
    np.testing.assert_array_equal(network.outputs(values[:, 9_999:10_000]), given[:, 9_999:10_000])


@pytest.mark.usefixtures("engine")
def test_what_is_no_number_is_refused(wide: Network) -> None:
    values = _values(9_000, 4)
    values[1, 8_500] = np.nan
    with pytest.raises(FitError, match="noise is nan in event 8500"):
        replace(wide).outputs(values)


def test_torch_is_left_as_it_was(wide: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(rounding, "processor_has_units", lambda: True)
    before, values = torch.get_num_threads(), _values(20_000, 5)
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(3) as executor:
            found = list(
                executor.map(lambda n: replace(wide, threads=n).outputs(values), [1, 2, 3])
            )
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_without_torch_the_kernel_does_it(wide: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "processor_has_units", lambda: True)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "sigma68.learning.bfloat16", raising=False)
    assert products(wide.layers) is None
