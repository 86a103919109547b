"""The generator with the real Pythia: reproducible, unbiased, and of the form of the data set."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pythia8mc", reason="the extra 'simulate' is not installed")

from sigma68.errors import SimulationError
from sigma68.seeds import stream
from sigma68.tasks.higgs.schema import (
    EXPECTED_EVENTS,
    HAD_PT,
    JET1_PT,
    JET2_PT,
    JET_ALL_PT,
    LEP_ETA,
    LEP_PHI,
    LEP_PT,
    LUMINOSITY_FB,
    MET_PHI,
    N_JETS,
    PROCESSES,
)
from sigma68.tasks.higgs.simulate import generator as generator_module
from sigma68.tasks.higgs.simulate.block import Block
from sigma68.tasks.higgs.simulate.generator import Generator
from sigma68.tasks.higgs.simulate.hard_event import (
    BAD_PARTICLE,
    NO_QUARK,
    TOO_FAST,
    TOO_MANY,
    TOO_MANY_JETS,
)
from sigma68.tasks.higgs.simulate.streams import CODES, CROSS_SECTION_FB

_HARD_EVENTS = {"htautau": 400, "ztautau": 500, "ttbar": 500, "diboson": 500}


@pytest.fixture(scope="module")
def blocks() -> dict[str, Block]:
    return {
        process: Generator(process, stream("higgs", "test generator", 1)).block(n)
        for process, n in _HARD_EVENTS.items()
    }


def _expected_events(block: Block) -> tuple[float, float]:
    """Expected events at 10 fb^-1 and their error, hard events counted once."""
    factor = {
        code: CROSS_SECTION_FB[code] * LUMINOSITY_FB / tries for code, tries in block.tries.items()
    }
    weights = block.weights * np.array([factor[int(code)] for code in block.code])
    by_event = np.bincount(block.hard_event, weights)
    return float(weights.sum()), float((by_event**2).sum() ** 0.5)


@pytest.mark.parametrize("process", PROCESSES)
def test_yields_are_those_of_the_real_data(process: str, blocks: dict[str, Block]) -> None:
    """Within four errors: a wrong normalisation or bias of thinning would be far out."""
    total, error = _expected_events(blocks[process])
    expected = EXPECTED_EVENTS[PROCESSES.index(process)]
    assert error < 0.25 * expected
    assert total == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize("process", PROCESSES)
def test_rows_have_the_form_of_the_data_set(process: str, blocks: dict[str, Block]) -> None:
    block = blocks[process]
    p = block.primaries
    assert p.dtype == np.float32
    assert p.shape == (16, block.n_rows)
    assert np.all(np.isfinite(p))
    np.testing.assert_array_equal(p, (np.rint(p.astype(float) * 1000) / 1000).astype(np.float32))
    assert np.all(p[LEP_PT] >= 20.0)
    assert np.all(p[HAD_PT] > 20.0)
    assert np.all(np.abs(p[[LEP_PHI, MET_PHI]]) <= 3.1421)
    assert np.all(np.abs(p[LEP_ETA]) < 2.701)
    n_jets = p[N_JETS]
    np.testing.assert_array_equal(n_jets >= 1, p[JET1_PT] > 0)
    np.testing.assert_array_equal(n_jets >= 2, p[JET2_PT] > 0)
    assert np.all(p[JET1_PT] >= p[JET2_PT])
    two = np.isin(n_jets, (0, 1, 2))
    listed = np.maximum(p[JET1_PT], 0) + np.maximum(p[JET2_PT], 0)
    np.testing.assert_allclose(p[JET_ALL_PT][two], listed[two], atol=2e-3)
    assert np.all(block.weights > 0)
    assert set(np.unique(block.code)) <= set(block.tries) <= set(CODES[process])
    assert block.hard_event.min() >= 0
    assert block.hard_event.max() < block.hard_events


def test_a_stream_names_its_events() -> None:
    first = Generator("ztautau", stream("higgs", "test generator", 2)).block(60)
    again = Generator("ztautau", stream("higgs", "test generator", 2)).block(60)
    np.testing.assert_array_equal(first.primaries, again.primaries)
    np.testing.assert_array_equal(first.weights, again.weights)
    assert first.tries == again.tries
    other = Generator("ztautau", stream("higgs", "test generator", 3)).block(60)
    assert not np.array_equal(first.weights, other.weights)


def test_blocks_go_on_where_the_last_ended() -> None:
    generator = Generator("htautau", stream("higgs", "test generator", 4))
    first, second = generator.block(40), generator.block(40)
    assert first.n_rows > 0
    assert not np.array_equal(first.primaries[:, :5], second.primaries[:, :5])
    assert sum(second.tries.values()) >= 40


def test_enrichment_moves_rows_and_not_yields() -> None:
    """More rows with two hard jets, and the same expected events."""
    shares, totals = [], []
    for enrich in (True, False):
        block = Generator("ztautau", stream("higgs", "test generator", 5), enrich=enrich).block(600)
        p = block.primaries
        shares.append(((p[JET1_PT] > 50) & (p[JET2_PT] > 30)).mean())
        totals.append(_expected_events(block))
    assert shares[0] > 2.5 * shares[1]
    (one, one_error), (other, other_error) = totals
    assert one == pytest.approx(other, abs=4 * np.hypot(one_error, other_error))


def test_what_goes_wrong_with_an_event_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = Generator("htautau", stream("higgs", "test generator", 6))
    said = {
        TOO_MANY: "more particles than",
        TOO_MANY_JETS: "more jets than",
        TOO_FAST: "more energy than the beams",
        NO_QUARK: "partons that are no quarks",
        BAD_PARTICLE - 10 * 1000022: "PDG code 1000022,",
        BAD_PARTICLE - 10 * 7: "PDG code 7,",
    }
    for problem, words in said.items():
        monkeypatch.setattr(generator_module, "simulate_passes", lambda *_, p=problem: (0, p))
        with pytest.raises(SimulationError, match=words):
            generator.block(2)
