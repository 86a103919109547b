"""Thinning: shares that are asked for, weights that make up for them, tries that are counted.

Pythia is replaced by hand-made processes: only what the hooks read of them is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pythia8mc", reason="the extra 'simulate' is not installed")

from sigma68.seeds import stream
from sigma68.tasks.higgs.simulate.thinning import Shares, ThinnedByBoson, ThinnedByLeptons

_BEAM_GEV = 6500.0


@dataclass
class Particle:
    """What the hooks ask of one of Pythia's."""

    pdg: int
    p_t: float = 0.0
    pseudorapidity: float = 0.0
    energy: float = 0.0
    final: bool = True

    def id(self) -> int:
        return self.pdg

    def pT(self) -> float:  # noqa: N802
        return self.p_t

    def eta(self) -> float:
        return self.pseudorapidity

    def y(self) -> float:
        return self.pseudorapidity

    def e(self) -> float:
        return self.energy

    def status(self) -> int:
        return 23 if self.final else -22

    def isFinal(self) -> bool:  # noqa: N802
        return self.final


class Listing(list[Particle]):
    """A process or an event record."""

    def size(self) -> int:
        return len(self)


class Pythia:
    """Says which process it is at."""

    def __init__(self, code: int) -> None:
        self._code = code

    def infoPython(self) -> Pythia:  # noqa: N802
        return self

    def code(self) -> int:
        return self._code


def _process(*particles: Particle, energies: tuple[float, float] = (70.0, 30.0)) -> Listing:
    beams = [Particle(90), Particle(2212), Particle(2212)]
    partons = [Particle(2, energy=energies[0]), Particle(-2, energy=energies[1])]
    return Listing([*beams, *partons, *particles])


def _rng(number: int) -> np.random.Generator:
    return stream("higgs", "test thinning", number).generator()


def _by_leptons(shares: Shares = Shares(), number: int = 1, code: int = 601) -> ThinnedByLeptons:
    return ThinnedByLeptons(Pythia(code), (601, 602), _rng(number), shares)


def _by_boson(
    acceptance: Callable[[float, float], float], *, shares: Shares, code: int, number: int
) -> ThinnedByBoson:
    hooks: Any = ThinnedByBoson
    return hooks(Pythia(code), (221, 902, 904), _rng(number), shares, acceptance)


def _weights(hooks: ThinnedByLeptons, process: Listing, n: int) -> Iterator[float]:
    """The weight of each of `n` tries, 0 where it is vetoed."""
    for _ in range(n):
        hooks.fates.clear()
        vetoed = hooks.doVetoProcessLevel(process)
        assert vetoed == (not hooks.fates)
        yield 0.0 if vetoed else hooks.fates[process[3].e()].weight


def _expect_one(weights: np.ndarray, share: float) -> None:
    """What is kept weighs one over the share of what is kept, which is `share`."""
    kept = weights[weights > 0]
    assert np.unique(kept) == pytest.approx([1 / share])
    n = len(weights)
    error = math.sqrt(share * (1 - share) / n)
    assert len(kept) / n == pytest.approx(share, abs=5 * error + 1e-12)
    assert weights.mean() == pytest.approx(1.0, abs=5 * error / share + 1e-12)


_TAU, _SOFT_TAU = Particle(15, 60.0), Particle(-15, 1.0)
_MUON, _FORWARD_MUON = Particle(-13, 40.0), Particle(13, 40.0, 4.0)
_QUARK = Particle(5, 80.0)


@pytest.mark.parametrize(
    ("particles", "share", "needs_fake"),
    [
        ((_MUON, _TAU), 1.0, False),
        ((_MUON, Particle(15, 30.0)), 1.25 * 0.335**0.5, False),
        ((_TAU, _QUARK), 0.1, False),
        ((_MUON, _QUARK), 0.12, True),
        ((_FORWARD_MUON, _QUARK), 0.12 * 0.02**0.5, True),
        ((_QUARK, _QUARK), 0.005, True),
        ((Particle(13, 15.0), _QUARK), 0.12 * 0.3**0.5, True),
        ((Particle(13, 40.0, final=False), _QUARK), 0.005, True),
        ((_SOFT_TAU, Particle(15, 2.0)), 0.1, False),  # never less than one in ten
    ],
)
def test_shares_by_leptons(particles: tuple[Particle, ...], share: float, needs_fake: bool) -> None:
    hooks = _by_leptons()
    process = _process(*particles)
    n = 6000
    weights = np.fromiter(_weights(hooks, process, n), float)
    measured = 1 / weights.max()
    assert measured == pytest.approx(share, rel=0.02)
    _expect_one(weights, measured)
    assert hooks.tries == {601: n}
    while hooks.doVetoProcessLevel(process):
        pass
    fate = hooks.fates[70.0]
    assert (fate.needs_fake, fate.quark, fate.code) == (needs_fake, 2, 601)


def test_a_pair_of_good_leptons_is_judged_by_the_better_way_round() -> None:
    """Either may be the lepton; nothing is kept more than always."""
    shares = [
        1 / max(_weights(_by_leptons(), _process(*taus), 400))
        for taus in ((_TAU, _SOFT_TAU), (_TAU, _TAU), (_TAU, _TAU, _MUON, _MUON))
    ]
    assert shares == sorted(shares)
    assert shares[2] == 1.0


def test_shares_are_those_that_are_asked_for() -> None:
    shares = Shares(one_tau=0.5, one_lepton=0.4, no_lepton=0.25)
    for particles, share in (((_TAU,), 0.5), ((_MUON,), 0.4), ((_QUARK,), 0.25)):
        weights = np.fromiter(_weights(_by_leptons(shares), _process(*particles), 2000), float)
        _expect_one(weights, share)


def test_tries_are_counted_by_process() -> None:
    hooks = _by_leptons(code=602)
    for _ in range(7):
        hooks.doVetoProcessLevel(_process(_MUON))
    assert hooks.tries == {602: 7}


def _twice(hooks: ThinnedByBoson, process: Listing, event: Listing, n: int) -> np.ndarray:
    """Weights of `n` tries at both places."""
    weights = np.zeros(n)
    for i in range(n):
        hooks.fates.clear()
        if hooks.doVetoProcessLevel(process):
            assert not hooks.fates
            continue
        if hooks.doVetoPT(0, event):
            assert not hooks.fates
            continue
        assert not hooks.doVetoPT(5, event), "a shower in a resonance is no second chance to fail"
        weights[i] = hooks.fates[process[3].e()].weight
    return weights


@pytest.mark.parametrize(
    ("acceptance", "boson_pt", "jets", "share"),
    [
        (1.0, 5.0, (), 0.1),
        (1.0, 50.0, (), 0.3),
        (1.0, 5.0, (30.0,), 0.3),
        (1.0, 65.0, (), 0.6),
        (1.0, 5.0, (35.0, 15.0), 0.6),
        (1.0, 90.0, (), 1.0),
        (1.0, 5.0, (50.0, 25.0), 1.0),
        (1.0, 5.0, (50.0,), 0.3),
        (0.25, 5.0, (), 0.05),
        (0.25, 90.0, (), 0.5),
        (0.0001, 90.0, (), 0.1),
        (9.0, 5.0, (), 0.1),
    ],
)
def test_shares_by_boson_and_jets(
    acceptance: float, boson_pt: float, jets: tuple[float, ...], share: float
) -> None:
    """Shares multiply: the root of the acceptance, at least a tenth, times that by hardness."""
    hooks = _by_boson(lambda pt, y: acceptance, shares=Shares(0.1, 0.3, 0.6), code=221, number=2)
    boson = Particle(23, boson_pt)
    event = _process(boson, *(Particle(21, pt) for pt in jets), Particle(21, 99.0, 6.0))
    n = 4000
    _expect_one(_twice(hooks, _process(Particle(23)), event, n), share)
    assert hooks.tries == {221: n}


def test_a_boson_that_the_shower_moves_still_has_the_right_weight() -> None:
    """Judged at rapidity 2.5 first, then at 0.5, or the other way round."""
    for first, second, share in ((0.16, 1.0, 0.52), (1.0, 0.16, 0.4), (0.16, 0.01, 0.1)):
        asked: list[tuple[float, float]] = []

        def acceptance(pt: float, y: float, first: float = first, second: float = second) -> float:
            asked.append((pt, y))  # noqa: B023
            return second if pt > 0.0 else first

        hooks = _by_boson(acceptance, shares=Shares(), code=902, number=3)
        process = _process(Particle(25), energies=(400.0, 400.0 * math.exp(-5.0)))
        event = _process(Particle(25, 20.0, 0.5))
        _expect_one(_twice(hooks, process, event, 4000), share)
        assert asked[0] == pytest.approx((0.0, 2.5))
        assert (20.0, 0.5) in asked


def test_associated_production_is_kept() -> None:
    hooks = _by_boson(lambda pt, y: 0.0, shares=Shares(0.1, 0.1, 0.1), code=904, number=4)
    weights = _twice(hooks, _process(Particle(25)), _process(Particle(25, 10.0)), 50)
    np.testing.assert_array_equal(weights, 1.0)


def test_pythia_is_told_where_to_ask() -> None:
    hooks = _by_boson(lambda pt, y: 1.0, shares=Shares(), code=221, number=5)
    assert hooks.canVetoProcessLevel()
    assert hooks.canVetoPT()
    assert 0.0 < hooks.scaleVetoPT() < _BEAM_GEV
    assert not _by_leptons().canVetoPT()


def test_one_code_needs_no_question() -> None:
    """Where there is a single process, Pythia is not asked, which would be slow."""
    hooks: Any = ThinnedByBoson
    made = hooks(None, (221,), _rng(6), Shares(), lambda pt, y: 1.0)
    assert not made.doVetoProcessLevel(_process(Particle(23)))
    assert made.tries == {221: 1}
