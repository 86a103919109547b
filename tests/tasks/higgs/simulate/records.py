"""Event records written by hand, as Pythia lists them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sigma68.tasks.higgs.simulate.hard_event import Record

_MASSES_GEV = {11: 0.000511, 13: 0.105658, 15: 1.77686, 211: 0.13957, 2112: 0.93957}
Momentum = npt.NDArray[np.float64]


def momentum(pt: float, eta: float, phi: float, mass: float = 0.0) -> Momentum:
    """(px, py, pz, E) in GeV."""
    p = pt * np.array([math.cos(phi), math.sin(phi), math.sinh(eta)])
    return np.append(p, math.hypot(float(np.linalg.norm(p)), mass))


def boosted(vector: Momentum, frame: Momentum) -> Momentum:
    """A vector of the rest frame of `frame` in the laboratory, by the matrix of the boost."""
    beta = frame[:3] / frame[3]
    gamma = 1.0 / math.sqrt(1.0 - float(beta @ beta))
    matrix = np.eye(4)
    matrix[:3, :3] += (gamma - 1.0) * np.outer(beta, beta) / (beta @ beta)
    matrix[:3, 3] = matrix[3, :3] = gamma * beta
    matrix[3, 3] = gamma
    return matrix @ vector


@dataclass
class Listing:
    """An event record; entries 0 to 4 are the event, two protons and two quarks."""

    rows: list[tuple[int, int, int, Momentum, Momentum | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        nothing = np.zeros(4)
        for pdg, status, mother in (
            (90, -11, 0), (2212, -12, 0), (2212, -12, 0), (2, -21, 1), (-2, -21, 2)
        ):  # fmt: skip
            self.rows.append((pdg, status, mother, nothing, None))

    def add(
        self,
        pdg: int,
        p: Momentum,
        *,
        mother: int = 3,
        final: bool = True,
        vertex_mm: tuple[float, float, float] | None = None,
    ) -> int:
        """Its number."""
        at = None if vertex_mm is None else np.array(vertex_mm)
        self.rows.append((pdg, 1 if final else -22, mother, p, at))
        return len(self.rows) - 1

    def particle(self, pdg: int, pt: float, eta: float, phi: float, *, mother: int = 3) -> int:
        """A final particle with its mass."""
        return self.add(pdg, momentum(pt, eta, phi, _MASSES_GEV.get(abs(pdg), 0.0)), mother=mother)

    def record(self, copies: int = 1) -> Record:
        """The record, `copies` times."""
        n = len(self.rows)
        at = [row[4] for row in self.rows]
        vertices = np.array([v for v in at if v is not None] or [np.zeros(3)])
        index = np.full(n, -1, np.int64)
        index[[v is not None for v in at]] = np.arange(sum(v is not None for v in at))
        columns = [
            np.tile(np.array([row[k] for row in self.rows], np.int32), copies) for k in range(3)
        ]
        px, py, pz, e = np.tile(np.array([row[3] for row in self.rows]), (copies, 1)).T.copy()
        x, y, z = vertices.T.copy()
        return Record(
            np.arange(copies + 1, dtype=np.int64) * n,
            columns[0], columns[1], columns[2], px, py, pz, e,
            np.tile(index, copies), x, y, z,
        )  # fmt: skip
