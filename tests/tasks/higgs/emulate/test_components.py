"""The oracle's food: densities of observed events, and what scales each process."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from sigma68.errors import DataError, FitError
from sigma68.inference.factors import Factors
from sigma68.inference.unbinned import MixtureLikelihood
from sigma68.protocols import KnownComponents
from sigma68.seeds import stream
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.emulate.components import EmulatedComponents
from sigma68.tasks.higgs.emulate.emulator import Emulator
from sigma68.tasks.higgs.nuisance import process_scales
from sigma68.tasks.higgs.schema import FEATURES, HAD_PT, MET, PRIMARIES, PROCESSES
from sigma68.types import Observation
from tests.tasks.higgs.emulate.small import small_emulator


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    return small_emulator(tmp_path_factory.mktemp("emulator"))


def observed(emulator: Emulator, rows: int = 5000) -> Observation:
    own = stream("higgs", "test of components", 1)
    drawn = [emulator.sample(p, np.arange(rows), own) for p in range(len(PROCESSES))]
    return Observation(FEATURES, bias_columns(np.concatenate(drawn, axis=1))[0])


def test_processes_scale_as_the_weights_of_toys_do() -> None:
    factors = Factors(EmulatedComponents().factors)
    values = {"ttbar_scale": 1.03, "diboson_scale": 0.6, "bkg_scale": 0.998}
    np.testing.assert_allclose(
        factors.scales({"mu": 1.7, **values}), process_scales(1.7, values), rtol=1e-15
    )
    assert len(factors.of_component) == len(PROCESSES)


def test_yields_are_what_survives_the_thresholds(emulator: Emulator) -> None:
    known = EmulatedComponents(emulator)
    assert isinstance(known, KnownComponents)
    assert known.fingerprint == emulator.fingerprint
    own = stream("higgs", "test of yields", 1)
    for process, expected in enumerate(known.component_yields()):
        drawn = emulator.sample(process, np.arange(40_000), own)
        share = bias_columns(drawn)[0].shape[1] / 40_000
        error = np.sqrt(share * (1 - share) / 40_000)
        assert expected / emulator.expected[process] == pytest.approx(share, abs=4 * error + 1e-4)


def test_densities_are_the_emulators_whatever_the_chunks_and_columns(emulator: Emulator) -> None:
    seen = observed(emulator, 8000)
    assert seen.n_events > 2 * 8192
    found = EmulatedComponents(emulator).log_densities(seen)
    for process in range(len(PROCESSES)):
        whole = emulator.log_density(process, seen.values)
        np.testing.assert_allclose(found[process], whole, rtol=1e-12)
    order = np.random.default_rng(1).permutation(len(FEATURES))
    names = tuple(FEATURES[i] for i in order)
    other = Observation(names, seen.values[order].astype(np.float64))
    np.testing.assert_array_equal(EmulatedComponents(emulator).log_densities(other), found)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = EmulatedComponents(emulator).log_densities(seen)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(alone, found)


def test_a_missing_column_is_named(emulator: Emulator) -> None:
    seen = observed(emulator, 10)
    some = Observation(PRIMARIES[:-1], seen.values[: len(PRIMARIES) - 1])
    with pytest.raises(DataError, match="no column 'PRI_met_phi'"):
        EmulatedComponents(emulator).log_densities(some)


def test_events_that_are_none_are_counted(emulator: Emulator) -> None:
    """A NaN is no number; a tau below its threshold is no observed event of any process."""
    likelihood = MixtureLikelihood(EmulatedComponents(emulator))
    at = {"ttbar_scale": 1.0, "diboson_scale": 1.0, "bkg_scale": 1.0}
    values = observed(emulator, 500).values.copy()
    values[MET, 3] = np.nan
    values[MET, 4] = np.inf
    with pytest.raises(FitError, match=r"2 of .* events have no density that is a number"):
        likelihood.derivatives(Observation(FEATURES, values), {"mu": 1.0}, at)
    values[MET, 3:5] = 10.0
    values[HAD_PT, :7] = 24.0
    with pytest.raises(FitError, match=r"7 of .* by none of the 4 components \(htautau, "):
        likelihood.derivatives(Observation(FEATURES, values), {"mu": 1.0}, at)
