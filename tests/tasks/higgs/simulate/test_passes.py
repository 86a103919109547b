"""Passes over a hand-made event: shortcuts must not change what is expected."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sigma68.seeds import stream
from sigma68.tasks.higgs.schema import JET1_PT, N_JETS
from sigma68.tasks.higgs.simulate import tau_library
from sigma68.tasks.higgs.simulate.hard_event import BAD_PARTICLE, TOO_FAST, Record
from sigma68.tasks.higgs.simulate.passes import (
    Plan,
    Rows,
    new_rows,
    new_scratch,
    simulate_passes,
)
from sigma68.tasks.higgs.simulate.tau_library import TAU_MASS_GEV, TauDecays

_Z_GEV = 91.2


@pytest.fixture(scope="module")
def library() -> TauDecays:
    return tau_library.load()


def _entries(boson_pt: float) -> list[tuple[int, int, int, np.ndarray]]:
    """A Z of transverse momentum `boson_pt` that went to two taus, against a jet of pions."""
    energy = math.hypot(_Z_GEV, boson_pt)
    nothing = np.zeros(4)
    listing = [(90, -11, 0, nothing), (2212, -12, 0, nothing), (2212, -12, 0, nothing)]
    listing += [(2, -21, 1, nothing), (-2, -21, 2, nothing)]
    listing.append((23, -62, 3, np.array([boson_pt, 0.0, 0.0, energy])))
    half = 0.5 * _Z_GEV
    momentum = math.sqrt(half**2 - TAU_MASS_GEV**2)
    for code, sign in ((15, 1), (-15, -1)):
        along = boson_pt / _Z_GEV * half
        listing.append(
            (code, 23, 5, np.array([along, sign * momentum, 0.0, energy / _Z_GEV * half]))
        )
    rng = np.random.default_rng(1)
    for i in range(12):
        pt = boson_pt / 12
        phi, eta = math.pi + 0.1 * rng.normal(), 0.4 + 0.1 * rng.normal()
        mass = 0.13957 if i % 2 else 0.0
        p = pt * np.array([math.cos(phi), math.sin(phi), math.sinh(eta)])
        code = 22 if i % 2 == 0 else (211 if i % 4 == 1 else -211)
        listing.append((code, 1, 3, np.append(p, math.hypot(np.linalg.norm(p), mass))))
    return listing


def _record(entries: list[tuple[int, int, int, np.ndarray]], copies: int) -> Record:
    n = len(entries)
    momentum = np.tile(np.array([entry[3] for entry in entries]), (copies, 1)).T.copy()
    whole = [np.tile(np.array([entry[k] for entry in entries], np.int32), copies) for k in range(3)]
    return Record(
        np.arange(copies + 1, dtype=np.int64) * n,
        *whole,
        *momentum,
        np.full(copies * n, -1, np.int64),
        *(np.zeros(1) for _ in range(3)),
    )


def _simulated(
    record: Record, library: TauDecays, *, trials: int = 40, fakes: float = 0.05, seed: int = 1
) -> tuple[Rows, int, int]:
    n = len(record.first) - 1
    plan = Plan(
        np.ones(n),
        np.full(n, 0.6 / trials),
        np.full(n, trials),
        np.full(n, fakes),
        np.full(n, 23),
        np.full(n, 2),
    )
    rows = new_rows(n * trials)
    rng = stream("higgs", "test passes", seed).generator()
    made, problem = simulate_passes(record, plan, library, new_scratch(), rng, rows)
    return rows, made, problem


def _mean_weight(rows: Rows, made: int, events: int) -> tuple[float, float]:
    by_event = np.bincount(rows.event[:made], rows.weight[:made], minlength=events)
    return float(by_event.mean()), float(by_event.std() / events**0.5)


def test_shortcuts_leave_the_expectation_alone(library: TauDecays) -> None:
    """Following up every fake, or drawing fewer decays, gives the same weight per event."""
    events = 1500
    record = _record(_entries(60.0), events)
    means = []
    for trials, fakes, seed in ((40, 0.05, 1), (40, 1.0, 2), (7, 0.05, 3)):
        rows, made, problem = _simulated(record, library, trials=trials, fakes=fakes, seed=seed)
        assert problem == 0
        means.append(_mean_weight(rows, made, events))
    for mean, error in means[1:]:
        assert error < 0.05 * mean
        assert mean == pytest.approx(means[0][0], abs=4 * math.hypot(error, means[0][1]))


def test_the_jet_is_there_and_rows_have_equal_weights(library: TauDecays) -> None:
    rows, made, _ = _simulated(_record(_entries(80.0), 300), library)
    assert made > 200
    jets = rows.primaries[:made, N_JETS]
    assert (jets == 1).mean() > 0.85
    leading = rows.primaries[:made, JET1_PT]
    assert leading[jets == 1].mean() == pytest.approx(85.0, abs=12.0)
    weight = rows.weight[:made]
    assert made * (weight**2).sum() / weight.sum() ** 2 < 1.3
    assert rows.event[:made].max() < 300
    assert rows.decay[:made].max() < 40


def test_a_tau_from_a_photon_of_the_shower_decays_where_it_is(library: TauDecays) -> None:
    """The photon that a shower splits is massless in the record: it has no rest frame."""
    entries = _entries(60.0)
    pair = np.array([30.0, 0.0, 10.0])
    for code in (15, -15):
        if code == 15:
            entries.append((22, -51, 3, np.append(2 * pair, 2 * np.linalg.norm(pair))))
        energy = math.hypot(np.linalg.norm(pair), TAU_MASS_GEV)
        photon = len(entries) - (1 if code == 15 else 2)
        entries.append((code, 23, photon, np.append(pair, energy)))
    rows, made, problem = _simulated(_record(entries, 200), library)
    assert problem == 0
    assert np.all(np.abs(rows.primaries[:made]) < 1000.0)


def test_what_is_not_understood_is_an_error(library: TauDecays) -> None:
    unknown = [*_entries(60.0), (1000022, 1, 3, np.array([1.0, 0.0, 0.0, 2.0]))]
    assert _simulated(_record(unknown, 1), library)[2] == BAD_PARTICLE - 10 * 1000022
    fast = _entries(60.0)
    fast[5] = (23, -62, 3, np.array([2e4, 0.0, 0.0, math.hypot(2e4, _Z_GEV)]))
    assert _simulated(_record(fast, 50), library)[2] == TOO_FAST
