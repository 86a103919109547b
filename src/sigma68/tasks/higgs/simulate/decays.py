"""Decays drawn afresh for one hard event: the boson's direction, tau helicities, tau decays.

A hard event is costly, its decays are cheap: a Z or a Higgs boson that went to two taus is decayed
again and again, each time in a new direction with the angular distribution and the polarisation
of the Born process, with what the taus radiated turned along. Taus of other origin
keep their momenta and get new decays.

Helicities: the two taus of a Z have opposite ones, those of a Higgs boson equal ones (the two are
drawn without transverse correlations), and a tau from a W is left-handed (its antiparticle
right-handed). f fbar -> Z -> tau tau is the sum of four terms, (g_q g_tau)^2 (1 +- c)^2, over the
chiralities of quark and tau, with c the angle between tau- and quark: ALEPH, DELPHI, L3, OPAL and
SLD, Phys. Rept. 427 (2006) 257.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = [
    "FROM_HIGGS",
    "FROM_OTHER",
    "FROM_W",
    "FROM_Z",
    "MAX_RADIATED",
    "MAX_TAUS",
    "Decays",
    "draw_decays",
    "fill_products",
    "new_decays",
]

MAX_TAUS: Final = 16
"""More taus than a collision has; those beyond are an error."""
MAX_RADIATED: Final = 128
"""More particles than two taus radiate; those beyond are an error."""

FROM_OTHER: Final = 0
FROM_W: Final = 1
FROM_Z: Final = 2
FROM_HIGGS: Final = 3

_SIN2_THETA: Final = 0.2315
_CHARGE: Final = (0.0, -1 / 3, 2 / 3, -1 / 3, 2 / 3, -1 / 3, 2 / 3)


class Decays(NamedTuple):
    """The taus of one hard event, and one drawing of their decays; filled by kernels.

    Attributes
    ----------
    rest
        Momentum and energy in the rest frame of the parent, (MAX_TAUS, 4), GeV.
    parent
        Momentum and energy of the parent in the laboratory, (MAX_TAUS, 4), GeV.
    sign
        1 for a tau-, -1 for a tau+, (MAX_TAUS,).
    origin
        One of the FROM_ constants, (MAX_TAUS,).
    again
        Whether the tau belongs to the boson that is decayed anew, (MAX_TAUS,).
    radiated, radiated_pdg
        What those taus radiated (photons, seldom a pair from one), in the rest frame of the boson,
        (MAX_RADIATED, 4), GeV, and the PDG codes.
    turned, turned_radiated
        `rest` and `radiated` after the boson has got its new direction.
    label, choice, spin
        Helicity list, number in it, and angle about the flight of each tau's decay, (MAX_TAUS,).
    visible
        Visible momentum and energy of each tau in the laboratory, (MAX_TAUS, 4), GeV.
    leptonic
        0, 11 or 13, as in the library, (MAX_TAUS,).
    """

    rest: npt.NDArray[np.float64]
    parent: npt.NDArray[np.float64]
    sign: npt.NDArray[np.int64]
    origin: npt.NDArray[np.int64]
    again: npt.NDArray[np.bool_]
    radiated: npt.NDArray[np.float64]
    radiated_pdg: npt.NDArray[np.int64]
    turned: npt.NDArray[np.float64]
    turned_radiated: npt.NDArray[np.float64]
    label: npt.NDArray[np.int64]
    choice: npt.NDArray[np.int64]
    spin: npt.NDArray[np.float64]
    visible: npt.NDArray[np.float64]
    leptonic: npt.NDArray[np.int64]


def new_decays() -> Decays:
    """An empty one, for kernels to fill."""
    four, whole = (MAX_TAUS, 4), np.int64
    return Decays(
        np.zeros(four),
        np.zeros(four),
        np.zeros(MAX_TAUS, whole),
        np.zeros(MAX_TAUS, whole),
        np.zeros(MAX_TAUS, np.bool_),
        np.zeros((MAX_RADIATED, 4)),
        np.zeros(MAX_RADIATED, whole),
        np.zeros(four),
        np.zeros((MAX_RADIATED, 4)),
        np.zeros(MAX_TAUS, whole),
        np.zeros(MAX_TAUS, whole),
        np.zeros(MAX_TAUS),
        np.zeros(four),
        np.zeros(MAX_TAUS, whole),
    )


@njit(cache=True, nogil=True)
def draw_decays(
    taus: Any, n_taus: int, n_radiated: int, quark: int, library: Any, rng: Any
) -> None:
    """Draw directions, helicities and decays of all taus: fills `turned` ... `leptonic`.

    `quark` is the PDG code of the parton that came in along +z (0 where it does not matter).
    """
    _draw_helicities(taus, n_taus, rng)
    _turn(taus, n_taus, n_radiated, quark, rng)
    n_library = library.leptonic.shape[1]
    for t in range(n_taus):
        label = taus.label[t]
        choice = int(rng.random() * n_library)
        taus.choice[t] = choice
        taus.spin[t] = 2.0 * math.pi * rng.random()
        taus.leptonic[t] = library.leptonic[label, choice]
        vector = library.visible[label, choice]
        _to_laboratory(taus, t, vector, taus.visible[t])


@njit(cache=True, nogil=True)
def fill_products(
    taus: Any,
    n_taus: int,
    n_radiated: int,
    library: Any,
    pdg: npt.NDArray[np.int64],
    momentum: npt.NDArray[np.float64],
) -> int:
    """Write the visible products of the drawn decays, laboratory frame, GeV.

    `pdg` has shape (room,) and `momentum` (room, 4). Returns how many there are; -1 where they
    are more than `room`.
    """
    n = 0
    for t in range(n_taus):
        first = library.first[taus.label[t], taus.choice[t]]
        last = library.first[taus.label[t], taus.choice[t] + 1]
        if n + last - first > len(pdg):
            return -1
        for i in range(first, last):
            code = library.pdg[i]
            pdg[n] = code if code == 22 or code == 130 else code * taus.sign[t]
            _to_laboratory(taus, t, library.momentum[i], momentum[n])
            n += 1
    if n + n_radiated > len(pdg):
        return -1
    boson = taus.parent[_lead(taus, n_taus)] if n_radiated > 0 else taus.parent[0]
    for i in range(n_radiated):
        pdg[n] = taus.radiated_pdg[i]
        p = taus.turned_radiated[i]
        _boosted(p[0], p[1], p[2], p[3], boson, momentum[n])
        n += 1
    return n


@njit(cache=True, nogil=True)
def _draw_helicities(taus: Any, n_taus: int, rng: Any) -> None:
    """The list that each tau decays from; those of the boson decayed anew are drawn with it."""
    polarised = rng.random()
    pair = rng.random() < 0.5
    for t in range(n_taus):
        origin = taus.origin[t]
        if origin == FROM_W:
            taus.label[t] = 0
        elif origin == FROM_Z:
            left, right = _couplings(-1.0, -0.5)
            taus.label[t] = 1 if polarised * (left + right) < right else 0
        elif origin == FROM_HIGGS:
            taus.label[t] = 1 if pair == (taus.sign[t] > 0) else 0
        else:
            taus.label[t] = 1 if rng.random() < 0.5 else 0


@njit(cache=True, nogil=True, inline="always")
def _couplings(charge: float, isospin: float) -> tuple[float, float]:
    """Squares of the Z couplings to the left- and right-handed fermion."""
    right = -charge * _SIN2_THETA
    left = isospin + right
    return left * left, right * right


@njit(cache=True, nogil=True)
def _turn(taus: Any, n_taus: int, n_radiated: int, quark: int, rng: Any) -> None:
    """Give the boson that is decayed anew a new direction, and its taus' helicities with it."""
    for t in range(n_taus):
        taus.turned[t] = taus.rest[t]
    lead = _lead(taus, n_taus)
    if lead < 0:
        return
    if taus.origin[lead] == FROM_Z:
        cosine, label = _born(quark, rng)
        for t in range(n_taus):
            if taus.again[t]:
                taus.label[t] = label
    else:
        cosine = 2.0 * rng.random() - 1.0
    old = _frame(taus.rest[lead, 0], taus.rest[lead, 1], taus.rest[lead, 2], 0.0)
    azimuth = 2.0 * math.pi * rng.random()
    sine = math.sqrt(1.0 - cosine * cosine)
    new = _frame(
        sine * math.cos(azimuth), sine * math.sin(azimuth), cosine, 2.0 * math.pi * rng.random()
    )
    for t in range(n_taus):
        if taus.again[t]:
            _rotate(taus.rest[t], old, new, taus.turned[t])
    for i in range(n_radiated):
        _rotate(taus.radiated[i], old, new, taus.turned_radiated[i])


@njit(cache=True, nogil=True, inline="always")
def _lead(taus: Any, n_taus: int) -> int:
    """The tau- of the boson that is decayed anew; -1 if there is no such boson."""
    lead = -1
    for t in range(n_taus):
        if taus.again[t] and (lead < 0 or taus.sign[t] > 0):
            lead = t
    return lead


@njit(cache=True, nogil=True)
def _born(quark: int, rng: Any) -> tuple[float, int]:
    """Cosine of the tau- to +z in the rest frame of the Z, and the helicity list of both taus."""
    flavour = abs(quark)
    up = flavour % 2 == 0
    quark_left, quark_right = _couplings(_CHARGE[flavour], 0.5 if up else -0.5)
    tau_left, tau_right = _couplings(-1.0, -0.5)
    right_tau = rng.random() * (tau_left + tau_right) < tau_right
    right_quark = rng.random() * (quark_left + quark_right) < quark_right
    cosine = 2.0 * rng.random() ** (1.0 / 3.0) - 1.0  # density (1 + c)^2
    if right_tau != right_quark:
        cosine = -cosine
    if quark < 0:
        cosine = -cosine
    return cosine, 1 if right_tau else 0


@njit(cache=True, nogil=True)
def _frame(x: float, y: float, z: float, roll: float) -> tuple[float, ...]:
    """Three unit vectors, the last along (x, y, z), the others turned about it by `roll`."""
    length = math.sqrt(x * x + y * y + z * z)
    x, y, z = x / length, y / length, z / length
    across = math.hypot(x, y)
    if across < 1e-9:
        ux, uy, uz = 1.0, 0.0, 0.0
        vx, vy, vz = 0.0, math.copysign(1.0, z), 0.0
    else:
        ux, uy, uz = x * z / across, y * z / across, -across
        vx, vy, vz = -y / across, x / across, 0.0
    c, s = math.cos(roll), math.sin(roll)
    return (
        c * ux + s * vx,
        c * uy + s * vy,
        c * uz + s * vz,
        c * vx - s * ux,
        c * vy - s * uy,
        c * vz - s * uz,
        x,
        y,
        z,
    )


@njit(cache=True, nogil=True)
def _rotate(
    vector: npt.NDArray[np.float64],
    old: tuple[float, ...],
    new: tuple[float, ...],
    out: npt.NDArray[np.float64],
) -> None:
    """Turn `vector` by the rotation that takes one frame to the other."""
    x, y, z = vector[0], vector[1], vector[2]
    a = x * old[0] + y * old[1] + z * old[2]
    b = x * old[3] + y * old[4] + z * old[5]
    c = x * old[6] + y * old[7] + z * old[8]
    out[0] = a * new[0] + b * new[3] + c * new[6]
    out[1] = a * new[1] + b * new[4] + c * new[7]
    out[2] = a * new[2] + b * new[5] + c * new[8]
    out[3] = vector[3]


@njit(cache=True, nogil=True)
def _to_laboratory(
    taus: Any, t: int, vector: npt.NDArray[np.float64], out: npt.NDArray[np.float64]
) -> None:
    """A vector of the rest frame of tau `t`, z along its flight, in the laboratory."""
    x, y, z, e = vector[0], vector[1], vector[2], vector[3]
    p = taus.turned[t]
    momentum = math.sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2])
    mass = math.sqrt(max(p[3] * p[3] - momentum * momentum, 1e-12))
    gamma, boost = p[3] / mass, momentum / mass
    along, energy = gamma * z + boost * e, gamma * e + boost * z
    f = _frame(p[0], p[1], p[2], taus.spin[t])
    _boosted(
        x * f[0] + y * f[3] + along * f[6],
        x * f[1] + y * f[4] + along * f[7],
        x * f[2] + y * f[5] + along * f[8],
        energy,
        taus.parent[t],
        out,
    )


@njit(cache=True, nogil=True)
def _boosted(
    x: float,
    y: float,
    z: float,
    e: float,
    frame: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
) -> None:
    """A vector given in the rest frame of `frame` (a momentum and energy), in the laboratory."""
    px, py, pz, energy = frame[0], frame[1], frame[2], frame[3]
    mass = math.sqrt(max(energy * energy - px * px - py * py - pz * pz, 1e-12))
    dot = px * x + py * y + pz * z
    new_e = (energy * e + dot) / mass
    factor = (e + new_e) / (energy + mass)
    out[0], out[1], out[2] = x + px * factor, y + py * factor, z + pz * factor
    out[3] = new_e
