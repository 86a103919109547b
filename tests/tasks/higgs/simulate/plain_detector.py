"""A detector pass stated plainly, step by step as the specification has it, without kernels.

It takes prompt particles only. Everything is drawn, except the tau tag: the pass returns the
chance of a selection, which is a sum over all ways to tag.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Edges = list[tuple[float, int]]  # eta edges, each with the number of phi bins below it

_RADIUS_M, _HALF_LENGTH_M = 1.15, 3.51
_METRES_PER_GEV = 1.0 / (0.299792458 * 2.0)


def _ecal_edges() -> Edges:
    fine = [round(0.0174 * i, 6) for i in range(-170, 171)]
    forward = [3.125, 3.3, 3.475, 3.65, 3.825, 4.0, 4.175, 4.35, 4.525, 4.7, 5.0]
    edges = [(-5.0, 36), *((-eta, 36) for eta in reversed(forward[:-1])), (fine[0], 36)]
    return edges + [(eta, 360) for eta in fine[1:]] + [(eta, 36) for eta in forward]


def _hcal_edges() -> Edges:
    forward = [3.3, 3.5, 3.7, 3.9, 4.1, 4.3, 4.5, 4.7, 4.9]
    edges = [(-eta, 18) for eta in reversed(forward)]
    edges += [(-3.2, 36), (-3.0, 18), (-2.8, 18), (-2.6, 18)]
    edges += [(round(0.1 * i, 6), 36) for i in range(-25, 27)]
    edges += [(2.8, 18), (3.0, 18), (3.2, 18), (3.3, 36)]
    return edges + [(eta, 18) for eta in forward[1:]]


ECAL_EDGES, HCAL_EDGES = _ecal_edges(), _hcal_edges()


@dataclass
class Track:
    """A measured charged particle; `flow_pt` is what the energy flow makes of its pt."""

    code: int
    charge: int
    pt: float
    eta: float
    phi: float
    exit_eta: float
    mass: float
    resolution: float
    tower: tuple[int, int] | None
    flow_pt: float


@dataclass
class Tower:
    """A tower of one calorimeter."""

    low: float
    high: float
    phi_low: float
    phi_high: float
    true: float = 0.0
    seen: float = 0.0
    eta: float = 0.0
    phi: float = 0.0
    neutral: float = 0.0
    tracks: list[Track] = field(default_factory=list)


Towers = dict[tuple[int, int], Tower]


def log_normal(mean: float, sigma: float, rng: np.random.Generator) -> float:
    """A log-normal number of this mean and width."""
    if mean <= 0.0:
        return 0.0
    b = math.sqrt(math.log(1.0 + (sigma / mean) ** 2))
    return float(rng.lognormal(math.log(mean) - 0.5 * b * b, b))


def leaves_at(p: Vector, charge: int) -> tuple[float, float]:
    """(eta, phi) of the point where a particle from the origin leaves the solenoid."""
    pt, phi = math.hypot(p[0], p[1]), math.atan2(p[1], p[0])
    slope = p[2] / pt
    if charge == 0:
        return math.asinh(slope), phi
    # A chord of a circle of radius r has length 2 r sin(turn / 2) and half the turn's angle.
    r = pt * _METRES_PER_GEV
    turn = 2.0 * math.asin(_RADIUS_M / (2.0 * r)) if 2.0 * r >= _RADIUS_M else math.inf
    if abs(slope) * r * turn > _HALF_LENGTH_M:
        turn = _HALF_LENGTH_M / (abs(slope) * r)
    chord = 2.0 * r * math.sin(turn / 2.0)
    eta = math.asinh(slope * r * turn / abs(chord))
    phi = phi - charge * turn / 2.0 + (math.pi if chord < 0.0 else 0.0)
    return eta, math.remainder(phi, 2.0 * math.pi)


def _tower(towers: Towers, edges: Edges, eta: float, phi: float) -> tuple[int, int] | None:
    """The key of the tower at (eta, phi), which is made if it was not hit before."""
    k = bisect_left(edges, eta, key=lambda edge: edge[0])
    if k == 0 or k == len(edges):
        return None
    n = edges[k][1]
    width = 2.0 * math.pi / n
    place = min(max(math.ceil((phi + math.pi) / width) - 1, 0), n - 1)
    low = -math.pi + width * place
    towers.setdefault((k, place), Tower(edges[k - 1][0], edges[k][0], low, low + width))
    return k, place


def _efficiency(code: int, pt: float, eta: float) -> float:
    if pt <= 0.1 or eta > 2.5:
        return 0.0
    barrel = eta <= 1.5
    if code == 11:
        steps = (0.73, 0.95, 0.99) if barrel else (0.50, 0.83, 0.90)
        return steps[(pt > 1.0) + (pt > 100.0)]
    if code == 13:
        return ((0.75, 0.99) if barrel else (0.70, 0.98))[pt > 1.0]
    return ((0.70, 0.95) if barrel else (0.60, 0.85))[pt > 1.0]


def _resolution(code: int, pt: float, eta: float) -> float:
    k = (eta > 0.5) + (eta > 1.5)
    if code == 13:
        a, b = ((0.01, 1e-4), (0.015, 1.5e-4), (0.025, 3.5e-4))[k]
    else:
        a = ((0.03, 0.05, 0.15) if code == 11 else (0.06, 0.10, 0.25))[k]
        b = (1.3e-3, 1.7e-3, 3.1e-3)[k]
    return min(1.0, math.hypot(a, b * pt))


def _sigma(electromagnetic: bool, eta: float, e: float) -> float:
    if electromagnetic:
        a, b, c = (0.0017, 0.101, 0.0) if eta <= 3.2 else (0.035, 0.285, 0.0)
    elif eta <= 1.7:
        a, b, c = 0.0302, 0.5205, 1.59
    else:
        a, b, c = (0.05, 0.706, 0.0) if eta <= 3.2 else (0.0942, 1.0, 0.0)
    return math.sqrt((a * e) ** 2 + b * b * e + c * c)


def _measure(towers: Towers, electromagnetic: bool, rng: np.random.Generator) -> None:
    """Measured energies, positions, neutral excess; rescales the tracks."""
    least = 0.5 if electromagnetic else 1.0
    for tower in towers.values():
        centre = abs(tower.low + tower.high) / 2.0
        energy = log_normal(tower.true, _sigma(electromagnetic, centre, tower.true), rng)
        sigma = _sigma(electromagnetic, centre, energy)
        if energy >= least and energy >= 2.0 * sigma:
            tower.seen = energy
        tower.eta = rng.uniform(tower.low, tower.high)
        tower.phi = rng.uniform(tower.phi_low, tower.phi_high)
        energies = [math.hypot(t.pt * math.cosh(t.eta), t.mass) for t in tower.tracks]
        variance = sum((t.resolution * e) ** 2 for t, e in zip(tower.tracks, energies, strict=True))
        excess = tower.seen - sum(energies)
        if excess > least and excess > 2.0 * math.sqrt(variance + sigma * sigma):
            tower.neutral = excess
        elif energies:
            weights = 1.0 / variance, 1.0 / sigma**2 if sigma > 0.0 else 0.0
            best = (weights[0] * sum(energies) + weights[1] * tower.seen) / sum(weights)
            for track in tower.tracks:
                track.flow_pt = track.pt * best / sum(energies)


def _delta_r(eta: float, phi: float, other: Track | Tower) -> float:
    return math.hypot(eta - other.eta, math.remainder(phi - other.phi, 2.0 * math.pi))


def _isolated(pt: float, at: Track | Tower, share: float, flow: list[tuple[float, object]]) -> bool:
    """Whether the energy flow around carries less than its share."""
    around = 0.0
    for other_pt, other in flow:
        assert isinstance(other, Track | Tower)
        if other is not at and other_pt >= 0.5 and _delta_r(at.eta, at.phi, other) <= 0.5:
            around += other_pt
    return around <= share * pt


def _identified(pt: float, eta: float, rng: np.random.Generator) -> bool:
    chance = 0.0 if pt <= 10.0 or eta > 2.5 else (0.95 if eta <= 1.5 else 0.85)
    return bool(rng.random() <= chance)


def anti_kt(inputs: list[Vector]) -> list[tuple[Vector, set[int]]]:
    """All anti-kt jets of R = 0.6, with the numbers of their constituents."""
    left = [(p, {i}) for i, p in enumerate(inputs)]
    jets = []
    while left:
        p = np.array([vector for vector, _ in left]).T
        kt2 = 1.0 / (p[0] ** 2 + p[1] ** 2)
        y, phi = np.arctanh(p[2] / p[3]), np.arctan2(p[1], p[0])
        dphi = np.abs(phi[:, None] - phi)
        gap = (y[:, None] - y) ** 2 + np.minimum(dphi, 2.0 * math.pi - dphi) ** 2
        d = np.minimum(kt2[:, None], kt2) * gap / 0.6**2
        np.fill_diagonal(d, kt2)
        i, j = divmod(int(d.argmin()), len(left))
        if i == j:
            jets.append(left.pop(i))
        else:
            merged = left[i][0] + left[j][0], left[i][1] | left[j][1]
            left = [entry for k, entry in enumerate(left) if k not in (i, j)] + [merged]
    return jets


def _jets_of(
    towers: list[Tower], muons: list[Track], claimed: list[object]
) -> tuple[list[tuple[float, float, float]], Vector]:
    """(pt, eta, phi) of the jets that nothing claims; missing momentum."""
    seen: list[Tower | Track] = [tower for tower in towers if tower.seen > 0.0]
    inputs = []
    for thing in [*seen, *muons]:
        pt = thing.seen / math.cosh(thing.eta) if isinstance(thing, Tower) else thing.pt
        mass = 0.0 if isinstance(thing, Tower) else thing.mass
        p = pt * np.array([math.cos(thing.phi), math.sin(thing.phi), math.sinh(thing.eta)])
        inputs.append(np.append(p, math.hypot(float(np.linalg.norm(p)), mass)))
    things = [*seen, *muons]
    jets = []
    for p, members in anti_kt(inputs):
        pt = math.hypot(p[0], p[1])
        if pt < 20.0 or any(things[i] is c for i in members for c in claimed):
            continue
        eta = math.asinh(p[2] / pt)
        scale = math.sqrt((3.0 - 0.2 * abs(eta)) ** 2 / pt + 1.0)
        jets.append((pt * scale, eta, math.atan2(p[1], p[0])))
    return jets, -np.sum(inputs, axis=0)[:2]


def _tagged(
    jets: list[tuple[float, float, float]],
    tracks: list[Track],
    taus: list[tuple[float, float]],
    charge: int,
) -> list[tuple[float, int]]:
    """(chance, jet) of the ways to have exactly one tag, of the right charge."""
    tags, charges = [], []
    for _, eta, phi in jets:
        near = [t for t in tracks if t.pt >= 1.0 and _delta_r(eta, phi, t) <= 0.2]
        true = any(
            math.hypot(eta - a, math.remainder(phi - b, 2.0 * math.pi)) <= 0.2 for a, b in taus
        )
        steps = (0.0, 0.70, 0.60) if true else (0.0, 0.02, 0.01)
        tags.append(steps[min(len(near), 2)])
        charges.append(sum(t.charge for t in near))
    ways = []
    for way in itertools.product((False, True), repeat=len(jets)):
        if sum(way) == 1 and charges[way.index(True)] == -charge:
            chance = math.prod(p if yes else 1.0 - p for p, yes in zip(tags, way, strict=True))
            if chance > 0.0:
                ways.append((chance, way.index(True)))
    return ways


def one_pass(
    particles: list[tuple[int, Vector]], taus: list[tuple[float, float]], rng: np.random.Generator
) -> list[tuple[float, dict[str, float]]]:
    """(chance, quantities) of every way to be selected; `taus` holds (eta, phi) of hadronic ones."""
    ecal: Towers = {}
    hcal: Towers = {}
    tracks: list[Track] = []
    for pdg, p in particles:
        code = abs(pdg)
        charge = 0 if code in (22, 130, 2112) else (1 if pdg > 0 else -1)
        charge = -charge if code in (11, 13) else charge
        eta, phi = leaves_at(p, charge)
        towers, edges = (ecal, ECAL_EDGES) if code in (11, 22) else (hcal, HCAL_EDGES)
        key = None
        if code != 13:
            key = _tower(towers, edges, eta, phi)
            if key is not None:
                towers[key].true += p[3]
        pt = math.hypot(p[0], p[1])
        if charge == 0 or rng.random() > _efficiency(code, pt, abs(eta)):
            continue
        resolution = _resolution(code, pt, abs(eta))
        seen = log_normal(pt, resolution * pt, rng)
        mass = math.sqrt(max(0.0, p[3] ** 2 - float(p[:3] @ p[:3])))
        direction = math.asinh(p[2] / pt), math.atan2(p[1], p[0])
        track = Track(code, charge, seen, *direction, abs(eta), mass, resolution, key, seen)
        tracks.append(track)
        if key is not None:
            towers[key].tracks.append(track)
    _measure(ecal, True, rng)
    _measure(hcal, False, rng)
    return _selected(ecal, hcal, tracks, taus, rng)


def _selected(
    ecal: Towers,
    hcal: Towers,
    tracks: list[Track],
    taus: list[tuple[float, float]],
    rng: np.random.Generator,
) -> list[tuple[float, dict[str, float]]]:
    flow: list[tuple[float, object]] = [(t.flow_pt, t) for t in tracks if t.code not in (11, 13)]
    towers = [*ecal.values(), *hcal.values()]
    flow += [(t.neutral / math.cosh(t.eta), t) for t in towers if t.neutral > 0.0]
    claimed: list[object] = []
    for tower in ecal.values():
        pt = tower.neutral / math.cosh(tower.eta)
        if _identified(pt, abs(tower.eta), rng) and _isolated(pt, tower, 0.12, flow):
            claimed.append(tower)
    leptons = []
    for t in tracks:
        if t.code not in (11, 13):
            continue
        tower = ecal[t.tower] if t.tower is not None else None
        if any(tower is c for c in claimed if tower is not None):
            continue
        share = 0.12 if t.code == 11 else 0.25
        if _identified(t.flow_pt, t.exit_eta, rng) and _isolated(t.flow_pt, t, share, flow):
            leptons.append(t)
    claimed += [t if t.code == 13 else ecal[t.tower] for t in leptons if t.code == 13 or t.tower]
    good = [t for t in leptons if t.flow_pt > 15.0]
    if len(good) != 1 or good[0].flow_pt < 20.0:
        return []
    jets, missing = _jets_of(towers, [t for t in tracks if t.code == 13], claimed)
    rows = []
    for chance, tau in _tagged(jets, tracks, taus, good[0].charge):
        others = sorted((jet[0] for k, jet in enumerate(jets) if k != tau), reverse=True)
        rows.append(
            (
                chance,
                {
                    "lepton pt": good[0].flow_pt,
                    "tau pt": jets[tau][0],
                    "missing": float(np.hypot(*missing)),
                    "jets": float(len(others)),
                    "sum of jets": sum(others),
                },
            )
        )
    return rows
