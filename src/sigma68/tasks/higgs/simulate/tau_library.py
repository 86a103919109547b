"""The library of tau decays, by helicity: made once with Pythia, read by every generator.

Decays are those of a tau- of definite helicity, in its rest frame with z along its flight, all
visible products and no neutrinos. A tau+ of helicity -h decays as the mirror image of a tau- of
helicity h, so two lists serve both. Rotated at random about the flight direction, a decay serves
many times.

Make the file again with `python -m sigma68.tasks.higgs.simulate.tau_library --seed 1`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["PATH", "TAU_MASS_GEV", "TauDecays", "load", "make"]

PATH: Final = Path(__file__).with_name("tau_decays.npz")
TAU_MASS_GEV: Final = 1.77686
MASSES_GEV: Final[dict[int, float]] = {
    11: 0.000511,
    13: 0.105658,
    22: 0.0,
    130: 0.497611,
    211: 0.139570,
    321: 0.493677,
}
"""Masses of what a tau decays to, once short-lived hadrons have decayed."""

# Momenta are kept as multiples of this, which is far below any resolution.
_STEP_GEV: Final = 1.0 / 32768.0
_GUN_ENERGY_GEV: Final = 50.0


class TauDecays(NamedTuple):
    """Decays of one library, helicity - first, then helicity +.

    Attributes
    ----------
    first
        Number of each decay's first product, int64, shape (2, n + 1).
    leptonic
        0 for hadronic decays, 11 and 13 for those to an electron and a muon, int64, shape (2, n).
    visible
        Momentum and energy of all products together, GeV, shape (2, n, 4).
    pdg
        PDG code of each product of a tau-, int64, shape (m,).
    momentum
        Momentum and energy of each product, GeV, shape (m, 4).
    """

    first: npt.NDArray[np.int64]
    leptonic: npt.NDArray[np.int64]
    visible: npt.NDArray[np.float64]
    pdg: npt.NDArray[np.int64]
    momentum: npt.NDArray[np.float64]


def load(path: Path = PATH) -> TauDecays:
    """The shipped library."""
    with np.load(path, allow_pickle=False) as stored:
        counts = stored["counts"].astype(np.int64)
        pdg = stored["pdg"].astype(np.int64)
        steps = stored["steps"].astype(np.float64)
    table = np.zeros(max(MASSES_GEV) + 1)
    for code, mass in MASSES_GEV.items():
        table[code] = mass
    momentum = np.empty((len(pdg), 4))
    momentum[:, :3] = steps * _STEP_GEV
    momentum[:, 3] = np.sqrt((momentum[:, :3] ** 2).sum(axis=1) + table[np.abs(pdg)] ** 2)
    first = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts.reshape(-1), out=first[1:])
    visible = np.add.reduceat(momentum, first[:-1], axis=0)
    lepton = np.abs(pdg[first[:-1]])
    leptonic = np.where((lepton == 11) | (lepton == 13), lepton, 0)
    n = counts.shape[1]
    return TauDecays(
        np.stack([first[: n + 1], first[n:]]),
        leptonic.reshape(2, n),
        visible.reshape(2, n, 4),
        pdg,
        momentum,
    )


def make(n_decays: int, seed: int) -> dict[str, npt.NDArray[Any]]:
    """`n_decays` decays of each helicity from Pythia's own matrix elements.

    The first product of a leptonic decay is its lepton.
    """
    import pythia8mc

    pythia = pythia8mc.Pythia("", False)
    for setting in (
        "Print:quiet = on",
        "ProcessLevel:all = off",
        "Random:setSeed = on",
        f"Random:seed = {seed}",
    ):
        pythia.readString(setting)
    pythia.init()
    counts = np.zeros((2, n_decays), np.int32)
    pdg: list[int] = []
    momenta: list[tuple[float, float, float]] = []
    for helicity in range(2):
        for decay in range(n_decays):
            products = _decayed(pythia8mc, pythia, 2.0 * helicity - 1.0)
            counts[helicity, decay] = len(products)
            pdg.extend(code for code, _ in products)
            momenta.extend(momentum for _, momentum in products)
    steps = np.rint(np.array(momenta) / _STEP_GEV).astype(np.int16)
    return {"counts": counts.astype(np.int8), "pdg": np.array(pdg, np.int16), "steps": steps}


def _decayed(
    pythia8mc: Any, pythia: Any, helicity: float
) -> list[tuple[int, tuple[float, float, float]]]:
    """Visible products of one tau- in its rest frame, a lepton of a leptonic decay first."""
    mass = pythia.particleData.m0(15)
    along = float(np.sqrt(_GUN_ENERGY_GEV**2 - mass**2))
    gamma, boost = _GUN_ENERGY_GEV / mass, along / mass
    while True:
        pythia.event.reset()
        pythia.event.append(
            pythia8mc.Particle(
                15, 1, 0, 0, 0, 0, 0, 0, 0.0, 0.0, along, _GUN_ENERGY_GEV, mass, 0.0, helicity
            )
        )
        if pythia.moreDecays():
            break
    products = []
    for i in range(2, pythia.event.size()):
        particle = pythia.event[i]
        code = particle.id()
        if not particle.isFinal() or abs(code) in (12, 14, 16):
            continue
        if abs(code) not in MASSES_GEV:
            raise ValueError(f"a tau decayed to a particle of PDG code {code}, which is not known")
        z = gamma * particle.pz() - boost * particle.e()
        products.append((code, (particle.px(), particle.py(), z)))
    # The lepton of a leptonic decay leads; those of a pi0 -> e e gamma never do.
    direct = {pythia.event[i].id() for i in pythia.event[1].daughterList()} & {11, 13}
    leptons = direct or {-13, -11, 11, 13}
    products.sort(key=lambda product: (product[0] in leptons) != bool(direct))
    return products


def _main() -> None:
    import argparse

    parser = argparse.ArgumentParser(description="Make the library of tau decays.")
    parser.add_argument("--decays", type=int, default=80_000, help="decays of each helicity")
    parser.add_argument("--seed", type=int, default=1, help="Pythia's seed")
    parser.add_argument("--out", type=Path, default=PATH)
    arguments = parser.parse_args()
    np.savez_compressed(arguments.out, **make(arguments.decays, arguments.seed))  # type: ignore[arg-type]


if __name__ == "__main__":
    _main()
