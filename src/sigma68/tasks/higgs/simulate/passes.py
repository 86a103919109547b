"""Decay and detector passes over a batch of hard events: where rows of the data set are made.

Of every hard event, `trials` sets of decays are drawn. A set that could be selected goes through
the detector; one that needs a jet to fake the tau does so with a small probability and a larger
weight, since the weight of the fake itself is small. Rows end with about equal weights: one that
weighs less than its share is kept in proportion, and then weighs its share.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.tasks.higgs.simulate.calorimeter import MAX_HITS, clear_from, measure
from sigma68.tasks.higgs.simulate.decays import FROM_OTHER, MAX_TAUS, draw_decays, fill_products
from sigma68.tasks.higgs.simulate.hard_event import (
    BAD_PARTICLE,
    NO_QUARK,
    TOO_FAST,
    TOO_MANY,
    TOO_MANY_JETS,
    Detector,
    add_particle,
    new_detector,
    read_event,
)
from sigma68.tasks.higgs.simulate.objects import (
    LEPTON_GEV,
    Objects,
    find_leptons,
    find_photons,
    lepton_possible,
    new_objects,
)
from sigma68.tasks.higgs.simulate.response import HADRON
from sigma68.tasks.higgs.simulate.selection import Jets, find_jets, new_jets, select
from sigma68.tasks.higgs.simulate.tracks import track_all

__all__ = ["Plan", "Rows", "Scratch", "new_rows", "new_scratch", "simulate_passes"]

# True leptons below this never reach 20 GeV in the detector; those up to the second seldom do.
_LEPTON_LEAST_GEV: Final = 14.0
_LEPTON_SURE_GEV: Final = 17.0
_LEPTON_SELDOM: Final = 0.25
# A hadronic tau below these (visible pt) makes a jet of 20 GeV less and less often.
_TAU_SURE_GEV: Final = 18.0
_TAU_LEAST_GEV: Final = 12.0
_TAU_SELDOM: Final = 0.35
# A tau from a hadron, however soft, makes its jet a tau jet.
_TAU_IN_JET_GEV: Final = 1.0
_ACCEPTANCE: Final = 2.75
_TRIALS_WITHOUT_TAUS: Final = 4
_BEAM_GEV: Final = 6500.0
_PASS_PRODUCTS: Final = 512
_TOP: Final = 6
_Z: Final = 23


class Plan(NamedTuple):
    """What is to be done with each event of a batch, shapes (n_events,).

    Attributes
    ----------
    weight
        How many hard processes the event stands for, float64.
    share
        Least weight of a row: lighter ones are kept in proportion, float64.
    trials
        Sets of decays drawn; each weighs one over this, int64.
    fakes
        Probability to follow up a set of decays that needs a jet to fake the tau, float64.
    redecay
        PDG code of the boson that is decayed anew (25 or 23, 0 for none), int64.
    quark
        PDG code of the parton that came in along +z, int64.
    """

    weight: npt.NDArray[np.float64]
    share: npt.NDArray[np.float64]
    trials: npt.NDArray[np.int64]
    fakes: npt.NDArray[np.float64]
    redecay: npt.NDArray[np.int64]
    quark: npt.NDArray[np.int64]


class Scratch(NamedTuple):
    """Room for one event at a time.

    Attributes
    ----------
    detector, objects, jets
        What the modules of these names fill.
    pdg, momentum
        Products of the decays of one pass, int64, shape (512,), and float64, shape (512, 4), GeV.
    hadronic
        (eta, phi) of the taus that decay to hadrons, float64, shape (MAX_TAUS, 2).
    """

    detector: Detector
    objects: Objects
    jets: Jets
    pdg: npt.NDArray[np.int64]
    momentum: npt.NDArray[np.float64]
    hadronic: npt.NDArray[np.float64]


class Rows(NamedTuple):
    """Rows made, and room for more.

    Attributes
    ----------
    primaries
        float32, shape (capacity, 16).
    weight
        float64, shape (capacity,).
    event, decay
        Number of the event in the batch and of the trial in the event, int64, (capacity,).
    """

    primaries: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float64]
    event: npt.NDArray[np.int64]
    decay: npt.NDArray[np.int64]


def new_scratch() -> Scratch:
    """Room for an event."""
    return Scratch(
        new_detector(),
        new_objects(),
        new_jets(),
        np.zeros(_PASS_PRODUCTS, np.int64),
        np.zeros((_PASS_PRODUCTS, 4)),
        np.zeros((MAX_TAUS, 2)),
    )


def new_rows(capacity: int) -> Rows:
    """Room for `capacity` rows."""
    return Rows(
        np.zeros((capacity, 16), np.float32),
        np.zeros(capacity),
        np.zeros(capacity, np.int64),
        np.zeros(capacity, np.int64),
    )


@njit(cache=True, nogil=True)
def simulate_passes(
    record: Any,
    plan: Any,
    library: Any,
    scratch: Any,
    rng: Any,
    rows: Any,
) -> tuple[int, int]:
    """All passes over all events of `record`: (number of rows, 0 or what went wrong).

    What goes wrong is one of the codes of `hard_event`; the scratch may be used again.

    Raises
    ------
    ValueError
        If `plan` is not as long as `record`, or `rows` has no room for the sum of `plan.trials`.
    """
    n_events, detector = len(record.first) - 1, scratch.detector
    if len(plan.trials) != n_events:
        raise ValueError("the plan is not for as many events as there are")
    if plan.trials.sum() > len(rows.weight):
        raise ValueError("the rows have no room for all trials")
    n_rows = 0
    for event in range(n_events):
        if plan.redecay[event] == _Z and not 1 <= abs(plan.quark[event]) <= _TOP:
            return n_rows, NO_QUARK
        problem = read_event(record, event, detector, plan.redecay[event])
        if problem == 0:
            n_rows, problem = _all_trials(event, plan, library, scratch, rng, rows, n_rows)
        if problem != 0:
            detector.ecal.slot[:] = -1
            detector.hcal.slot[:] = -1
            return n_rows, problem
        clear_from(detector.ecal, 0, detector.counts[0])
        clear_from(detector.hcal, 0, detector.counts[1])
    return n_rows, 0


@njit(cache=True, nogil=True)
def _all_trials(
    event: int, plan: Any, library: Any, scratch: Any, rng: Any, rows: Any, n_rows: int
) -> tuple[int, int]:
    detector = scratch.detector
    n_taus, n_radiated = detector.counts[3], detector.counts[4]
    # Without a tau to decay, trials differ in the detector alone.
    trials = plan.trials[event] if n_taus > 0 else min(plan.trials[event], _TRIALS_WITHOUT_TAUS)
    fakes, quark = plan.fakes[event], plan.quark[event]
    unit, share = plan.weight[event] / trials, plan.share[event]
    for trial in range(trials):
        draw_decays(detector.taus, n_taus, n_radiated, quark, library, rng)
        chance = _follow_up(detector, n_taus, fakes)
        if chance < 1.0 and rng.random() >= chance:
            continue
        n = fill_products(detector.taus, n_taus, n_radiated, library, scratch.pdg, scratch.momentum)
        if n < 0:
            return n_rows, TOO_MANY
        weight, problem = _detector_pass(scratch, n, n_taus, rng, rows.primaries[n_rows])
        if problem != 0:
            return n_rows, problem
        weight *= unit / chance
        if weight <= 0.0 or (weight < share and rng.random() * share >= weight):
            continue
        rows.weight[n_rows] = max(weight, share)
        rows.event[n_rows] = event
        rows.decay[n_rows] = trial
        n_rows += 1
    return n_rows, 0


@njit(cache=True, nogil=True)
def _follow_up(detector: Any, n_taus: int, fakes: float) -> float:
    """Probability to send the drawn decays through the detector, from their true momenta."""
    taus, tracks = detector.taus, detector.tracks
    lepton = tau = 0.0
    for i in range(detector.counts[2]):
        if tracks.kind[i] != HADRON:
            lepton = max(lepton, tracks.pt[i])
    for t in range(n_taus):
        p = taus.visible[t]
        pt = math.hypot(p[0], p[1])
        if abs(p[2]) > math.sinh(_ACCEPTANCE) * pt:
            continue
        if taus.leptonic[t] != 0:
            lepton = max(lepton, pt)
        elif taus.origin[t] == FROM_OTHER and pt > _TAU_IN_JET_GEV:
            tau = max(tau, _TAU_SURE_GEV)
        else:
            tau = max(tau, pt)
    if lepton < _LEPTON_LEAST_GEV:
        return 0.0
    chance = 1.0 if lepton >= _LEPTON_SURE_GEV else _LEPTON_SELDOM
    if tau >= _TAU_SURE_GEV:
        return chance
    return chance * (max(_TAU_SELDOM, fakes) if tau >= _TAU_LEAST_GEV else fakes)


@njit(cache=True, nogil=True)
def _detector_pass(
    scratch: Any, n_products: int, n_taus: int, rng: Any, row: npt.NDArray[np.float32]
) -> tuple[float, int]:
    """Add the decay products to the recoil, measure, select: (weight, 0 or what went wrong)."""
    detector = scratch.detector
    ecal, hcal = detector.ecal, detector.hcal
    base_ecal, base_hcal = detector.counts[0], detector.counts[1]
    n_ecal, n_hcal, n_tracks = base_ecal, base_hcal, detector.counts[2]
    if max(n_ecal, n_hcal, n_tracks) + n_products > MAX_HITS:
        return 0.0, TOO_MANY
    ecal.true[:n_ecal] = ecal.recoil[:n_ecal]
    hcal.true[:n_hcal] = hcal.recoil[:n_hcal]
    for i in range(n_products):
        if not scratch.momentum[i, 3] <= _BEAM_GEV:
            return 0.0, TOO_FAST
        n_ecal, n_hcal, n_tracks = add_particle(
            detector, scratch.pdg[i], scratch.momentum[i], 0.0, 0.0, 0.0, n_ecal, n_hcal, n_tracks,
            ecal.true, hcal.true,
        )  # fmt: skip
        if n_ecal < 0:
            return 0.0, BAD_PARTICLE - 10 * abs(scratch.pdg[i])
    weight, problem = _measured(scratch, n_ecal, n_hcal, n_tracks, n_taus, rng, row)
    clear_from(ecal, base_ecal, n_ecal)
    clear_from(hcal, base_hcal, n_hcal)
    return weight, problem


@njit(cache=True, nogil=True)
def _measured(
    scratch: Any, n_ecal: int, n_hcal: int, n_tracks: int, n_taus: int, rng: Any,
    row: npt.NDArray[np.float32],
) -> tuple[float, int]:  # fmt: skip
    detector, objects, jets = scratch.detector, scratch.objects, scratch.jets
    ecal, hcal, tracks = detector.ecal, detector.hcal, detector.tracks
    track_all(tracks, n_tracks, ecal, n_ecal, hcal, n_hcal, rng)
    if not lepton_possible(tracks, n_tracks, objects, rng):
        return 0.0, 0
    measure(ecal, detector.ecal_rings, n_ecal, True, rng)
    measure(hcal, detector.hcal_rings, n_hcal, False, rng)
    find_photons(ecal, n_ecal, hcal, n_hcal, tracks, n_tracks, objects, rng)
    count, lepton, pt = find_leptons(ecal, n_ecal, hcal, n_hcal, tracks, n_tracks, objects)
    if count != 1 or pt < LEPTON_GEV:
        return 0.0, 0
    n_jets, missing_x, missing_y = find_jets(
        jets, ecal, n_ecal, hcal, n_hcal, tracks, n_tracks, objects
    )
    if n_jets < 0:
        return 0.0, TOO_MANY_JETS
    n_hadronic = 0
    for t in range(n_taus):
        p = detector.taus.visible[t]
        pt_visible = math.hypot(p[0], p[1])
        if detector.taus.leptonic[t] == 0 and pt_visible > 0.0:
            scratch.hadronic[n_hadronic, 0] = math.asinh(p[2] / pt_visible)
            scratch.hadronic[n_hadronic, 1] = math.atan2(p[1], p[0])
            n_hadronic += 1
    weight = select(
        jets, n_jets, tracks, n_tracks, scratch.hadronic, n_hadronic, lepton, pt,
        missing_x, missing_y, rng, row,
    )  # fmt: skip
    return weight, 0
