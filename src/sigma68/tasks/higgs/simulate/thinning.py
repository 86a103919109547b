"""Which hard events are worth simulating in full: decided inside Pythia, made up for by weights.

Multiple interactions and hadronisation cost a hundred times what the hard process and the hard
part of its showers cost. So a hard process is thinned as soon as it can be judged: by its leptons
and by the rapidity of its boson before the showers, and by boson and jets when the showers have
come down to a pt of 15 GeV. What is kept with probability p weighs 1/p, and p is never zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pythia8mc

from sigma68.tasks.higgs.simulate.acceptance import Acceptance

__all__ = ["Fate", "Shares", "Thinning"]

SCALE_GEV: Final = 15.0
_LEAST_KEPT: Final = 0.1
_FROM_RESONANCE: Final = 5
# Associated production: leptons come from elsewhere too.
_ASSOCIATED: Final = frozenset({904, 905, 908, 909})

# Leptons that could be selected, at the level of the hard process.
_LEPTON_GEV: Final = 6.0
_ETA: Final = 3.6
_BOSONS: Final = (23, 25)


@dataclass(frozen=True)
class Fate:
    """Of a hard event that was kept: its code, its weight, and whether it needs a faked tau."""

    code: int
    weight: float
    needs_fake: bool
    quark: int


@dataclass
class Shares:
    """Shares of hard events to keep, by kind.

    Attributes
    ----------
    soft, medium, hard
        Of events by boson and jets, from those that never become two hard jets or a fast boson
        to those that often do (1: no enrichment). The hardest are all kept.
    one_tau
        Of events that have a tau and need a lepton from a hadron.
    one_lepton
        Of events that have a lepton and need a jet to fake the tau.
    no_lepton
        Of events without a lepton that could be selected.
    """

    soft: float = 1.0
    medium: float = 1.0
    hard: float = 1.0
    one_tau: float = 0.5
    one_lepton: float = 0.15
    no_lepton: float = 0.01


class Thinning(pythia8mc.UserHooks):  # type: ignore[misc]
    """Pythia's hooks: counts tries, thins, and remembers the fate of what it kept.

    Attributes
    ----------
    tries
        Hard processes seen, by process code.
    fates
        Of events kept since they were last taken, by the energy of the first incoming parton,
        which identifies a hard process.
    """

    def __init__(
        self,
        pythia: Any,
        codes: tuple[int, ...],
        rng: np.random.Generator,
        shares: Shares,
        acceptance: Acceptance | None,
    ) -> None:
        pythia8mc.UserHooks.__init__(self)
        self.tries: dict[int, int] = {}
        self.fates: dict[float, Fate] = {}
        self._pythia = pythia
        self._only_code = codes[0] if len(codes) == 1 else None
        self._uniform = rng.random
        self._shares = shares
        self._acceptance = acceptance
        self._key = 0.0
        self._kept = 1.0

    def canVetoProcessLevel(self) -> bool:  # noqa: N802
        return True

    def doVetoProcessLevel(self, process: Any) -> bool:  # noqa: N802
        # Asking Pythia for its information copies all of it, which takes longer than a Z.
        code = self._only_code or self._pythia.infoPython().code()
        self.tries[code] = self.tries.get(code, 0) + 1
        needs_fake = False
        if self._acceptance is not None:
            if code in _ASSOCIATED:
                keep = 1.0
            else:
                # The shower may push the boson into a better place: judged generously here.
                rapidity = 0.5 * math.log(process[3].e() / process[4].e())
                if code not in (221, 901, 902, 903):
                    rapidity = 0.0
                keep = max(_LEAST_KEPT, min(1.0, 1.3 * self._worth(0.0, rapidity)))
        else:
            keep, needs_fake = self._by_leptons(process)
        if keep < 1.0 and self._uniform() >= keep:
            return True
        self._key, self._kept = process[3].e(), keep
        self.fates[self._key] = Fate(code, 1.0 / keep, needs_fake, process[3].id())
        return False

    def canVetoPT(self) -> bool:  # noqa: N802
        return self._acceptance is not None

    def scaleVetoPT(self) -> float:  # noqa: N802
        return SCALE_GEV

    def doVetoPT(self, place: int, event: Any) -> bool:  # noqa: N802
        if place == _FROM_RESONANCE or self._acceptance is None:
            return False
        fate = self.fates[self._key]
        if fate.code in _ASSOCIATED:
            return False
        pt, rapidity, jets = _boson_and_jets(event)
        keep = min(1.0, self._worth(pt, rapidity) / self._kept) * self._hardness(pt, jets)
        if keep < 1.0 and self._uniform() >= keep:
            del self.fates[self._key]
            return True
        self.fates[self._key] = Fate(fate.code, 1.0 / (self._kept * keep), False, fate.quark)
        return False

    def _worth(self, pt: float, rapidity: float) -> float:
        """Share of bosons to keep: the square root of their acceptance.

        An event that costs t and yields rows of mean weight A has the least variance for its time
        if it is kept in proportion to the root of the mean square of its yield, which for few
        rows is that of A.
        """
        assert self._acceptance is not None
        return max(_LEAST_KEPT, min(1.0, math.sqrt(self._acceptance(pt, rapidity))))

    def _hardness(self, boson_pt: float, jets: list[float]) -> float:
        """Share to keep, by how likely two hard jets or a fast boson are to come out."""
        leading = jets[-1] if jets else 0.0
        subleading = jets[-2] if len(jets) > 1 else 0.0
        if boson_pt > 85.0 or (leading > 42.0 and subleading > 20.0):
            return 1.0
        if boson_pt > 60.0 or (leading > 32.0 and subleading > 12.0):
            return self._shares.hard
        if boson_pt > 40.0 or leading > 25.0:
            return self._shares.medium
        return self._shares.soft

    def _by_leptons(self, process: Any) -> tuple[float, bool]:
        leptons = taus = 0
        for i in range(5, process.size()):
            particle = process[i]
            code = abs(particle.id())
            if code not in (11, 13, 15) or not particle.isFinal():
                continue
            pt = particle.pT()
            if pt < _LEPTON_GEV or abs(particle.eta()) > _ETA:
                continue
            if code == 15:
                taus += 1
            else:
                leptons += 1
        if taus >= 1 and leptons + taus >= 2:
            return 1.0, False
        if taus == 1:
            return self._shares.one_tau, False
        if leptons >= 1:
            return self._shares.one_lepton, True
        return self._shares.no_lepton, True


def _boson_and_jets(event: Any) -> tuple[float, float, list[float]]:
    """pt and rapidity of the boson, and rising pts of the partons in the detector."""
    pt = rapidity = 0.0
    jets = []
    for i in range(5, event.size()):
        particle = event[i]
        if particle.status() <= 0:
            continue
        if particle.id() in _BOSONS:
            pt, rapidity = particle.pT(), particle.y()
        else:
            jet = particle.pT()
            if jet > 10.0 and abs(particle.eta()) < 5.0:
                jets.append(jet)
    jets.sort()
    return pt, rapidity, jets
