"""Which hard events are worth simulating in full: decided inside Pythia, made up for by weights.

Multiple interactions and hadronisation cost a hundred times what the hard process and the hard
part of its showers cost. So a hard process is thinned as soon as it can be judged: by its leptons
or by the rapidity of its boson before the showers, and by boson and jets when the showers have
come down to a pt of 15 GeV. What is kept with probability p weighs 1/p, and p is never zero.

An event that costs a time t is worth keeping in proportion to the root of the mean square of its
weight in the sample, over the root of t: then the effective number of events per time is largest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pythia8mc

from sigma68.tasks.higgs.simulate.acceptance import Acceptance

__all__ = ["Fate", "Shares", "ThinnedByBoson", "ThinnedByLeptons"]

SCALE_GEV: Final = 15.0
_LEAST_KEPT: Final = 0.1
_IN_RESONANCE: Final = 5  # where Pythia stands when it showers a resonance's decay products
# Bosons made by two partons alone: their rapidity is that of the partons.
_ALONE: Final = frozenset({221, 901, 902, 903})
# Associated production: leptons come from elsewhere too.
_ASSOCIATED: Final = frozenset({904, 905, 908, 909})
_FIRST_PRODUCT: Final = 5  # entries before are the event, the beams and the incoming partons
_BOSONS: Final = (23, 25)
_JET_GEV: Final = 10.0
_JET_ETA: Final = 5.0

# Leptons of the hard process beyond this are seldom turned into the acceptance by the showers.
_LEPTON_ETA: Final = 3.0


@dataclass(frozen=True)
class Fate:
    """Of a hard event that was kept.

    Attributes
    ----------
    code
        Pythia's code of its process.
    weight
        How many hard processes it stands for.
    needs_fake
        Whether a jet must fake the tau.
    quark
        PDG code of the parton that came in along +z.
    """

    code: int
    weight: float
    needs_fake: bool
    quark: int


@dataclass(frozen=True)
class Shares:
    """Shares of hard events to keep, by kind (1: no enrichment).

    Attributes
    ----------
    soft, medium, hard
        By boson and jets, from those that never become two hard jets or a fast boson to those
        that often do. The hardest are all kept.
    one_tau
        Of events with a single tau, which need a lepton from a hadron or a jet to fake the tau.
    one_lepton
        Of events that have a good lepton and need a jet to fake the tau.
    no_lepton
        Of events without a lepton that could be selected, at least.
    """

    soft: float = 1.0
    medium: float = 1.0
    hard: float = 1.0
    one_tau: float = 0.1
    one_lepton: float = 0.12
    no_lepton: float = 0.005


class _Thinning(pythia8mc.UserHooks):  # type: ignore[misc]
    """Counts the hard processes that Pythia tries, and remembers the fate of those kept.

    Attributes
    ----------
    tries
        Hard processes seen, by process code.
    fates
        Of events kept since they were last taken, by the energy of the first incoming parton,
        which identifies a hard process.
    """

    def __init__(self, pythia: Any, codes: tuple[int, ...], rng: np.random.Generator) -> None:
        pythia8mc.UserHooks.__init__(self)
        self.tries: dict[int, int] = {}
        self.fates: dict[float, Fate] = {}
        self._pythia = pythia
        self._only_code = codes[0] if len(codes) == 1 else None
        self._uniform = rng.random

    def _counted(self) -> int:
        """Count this try under its code, which is returned."""
        # Asking Pythia for its information copies all of it, which takes longer than a Z.
        code: int = self._only_code or self._pythia.infoPython().code()
        self.tries[code] = self.tries.get(code, 0) + 1
        return code

    def canVetoProcessLevel(self) -> bool:  # noqa: N802
        return True


class ThinnedByLeptons(_Thinning):
    """For processes whose leptons come from the hard process: top quarks and pairs of bosons."""

    def __init__(
        self, pythia: Any, codes: tuple[int, ...], rng: np.random.Generator, shares: Shares
    ) -> None:
        super().__init__(pythia, codes, rng)
        self._shares = shares

    def doVetoProcessLevel(self, process: Any) -> bool:  # noqa: N802
        code = self._counted()
        keep, needs_fake = self._judged(process)
        if keep < 1.0 and self._uniform() >= keep:
            return True
        self.fates[process[3].e()] = Fate(code, 1.0 / keep, needs_fake, process[3].id())
        return False

    def _judged(self, process: Any) -> tuple[float, bool]:
        """The share to keep, and whether a jet must fake the tau."""
        as_lepton: list[float] = []
        as_tau: list[float] = []
        for i in range(_FIRST_PRODUCT, process.size()):
            particle = process[i]
            code = abs(particle.id())
            if code in (11, 13, 15) and particle.isFinal():
                pt = particle.pT() if abs(particle.eta()) <= _LEPTON_ETA else 0.0
                as_lepton.append(_lepton_chance(pt, code == 15))
                as_tau.append(_tau_chance(pt) if code == 15 else 0.0)
        both = sum(
            lepton * tau
            for i, lepton in enumerate(as_lepton)
            for j, tau in enumerate(as_tau)
            if i != j
        )
        if both > 0.0:
            return _bounded(both**0.5), False
        shares = self._shares
        if any(as_tau):
            return shares.one_tau, False
        chance = max(as_lepton, default=0.0)
        return max(shares.no_lepton, shares.one_lepton * chance**0.5), True


def _lepton_chance(pt: float, from_tau: bool) -> float:
    """Rough chance that an electron or muon, or a tau's, comes out above 20 GeV."""
    if from_tau:
        return 0.35 * max(0.0, 1.0 - 18.0 / max(pt, 1.0)) ** 2 + 0.002
    return 1.0 if pt > 20.0 else (0.3 if pt > 14.0 else 0.02)


def _tau_chance(pt: float) -> float:
    """Rough chance that a tau decays to a jet above 20 GeV."""
    return 0.65 * min(1.0, 1.5 * max(0.0, 1.0 - 20.0 / max(pt, 1.0))) + 0.01


def _bounded(share: float) -> float:
    return max(_LEAST_KEPT, min(1.0, 1.25 * share))


class ThinnedByBoson(_Thinning):
    """For processes in which one boson goes to two taus: by its motion, and by the jets."""

    def __init__(
        self,
        pythia: Any,
        codes: tuple[int, ...],
        rng: np.random.Generator,
        shares: Shares,
        acceptance: Acceptance,
    ) -> None:
        super().__init__(pythia, codes, rng)
        self._shares = shares
        self._acceptance = acceptance
        self._key = 0.0
        self._kept = 1.0

    def doVetoProcessLevel(self, process: Any) -> bool:  # noqa: N802
        code = self._counted()
        keep = 1.0
        if code in _ALONE:
            rapidity = 0.5 * math.log(process[3].e() / process[4].e())
            # Generous, since the shower may push the boson to a better place.
            keep = min(1.0, 1.3 * self._worth(0.0, rapidity))
        if keep < 1.0 and self._uniform() >= keep:
            return True
        self._key, self._kept = process[3].e(), keep
        self.fates[self._key] = Fate(code, 1.0 / keep, False, process[3].id())
        return False

    def canVetoPT(self) -> bool:  # noqa: N802
        return True

    def scaleVetoPT(self) -> float:  # noqa: N802
        return SCALE_GEV

    def doVetoPT(self, place: int, event: Any) -> bool:  # noqa: N802
        fate = self.fates[self._key]
        if place == _IN_RESONANCE or fate.code in _ASSOCIATED:
            return False
        pt, rapidity, jets = _boson_and_jets(event)
        keep = min(1.0, self._worth(pt, rapidity) / self._kept) * self._hardness(pt, jets)
        if keep < 1.0 and self._uniform() >= keep:
            del self.fates[self._key]
            return True
        self.fates[self._key] = Fate(fate.code, 1.0 / (self._kept * keep), False, fate.quark)
        return False

    def _worth(self, pt: float, rapidity: float) -> float:
        """Share of bosons to keep: few of their decays are selected, so the mean square of the
        weight goes as the acceptance.
        """
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


def _boson_and_jets(event: Any) -> tuple[float, float, list[float]]:
    """The boson's pt and rapidity, and the rising pts of the partons in the detector."""
    pt = rapidity = 0.0
    jets = []
    for i in range(_FIRST_PRODUCT, event.size()):
        particle = event[i]
        if particle.status() <= 0:
            continue
        if particle.id() in _BOSONS:
            pt, rapidity = particle.pT(), particle.y()
        else:
            jet = particle.pT()
            if jet > _JET_GEV and abs(particle.eta()) < _JET_ETA:
                jets.append(jet)
    jets.sort()
    return pt, rapidity, jets
