"""Pools of simulated maps: made when asked for, from a stream of their own each.

A source `embedded:POINTSxMAPS` has MAPS maps at each of POINTS cosmologies in its training pool, and
a quarter as many maps in all in its calibration pool, every one at a cosmology of its own. Maps
of different cosmologies share nothing, unless the source ends in `:shared`.

The trap, `:shared`: there the MAPS triples of nuisances and the random numbers of the sky are the same at
every cosmology, as in the public files. Then only a split along the realisations is honest: a network
that has seen realisation 7 at 100 cosmologies knows its sky at the next one. Pools are split that way.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, NuisanceError
from sigma68.protocols import Pool, Pools
from sigma68.seeds import Stream, stream
from sigma68.tasks.lensing.design import (
    FIDUCIAL,
    NUISANCES,
    PARAMETERS,
    design,
    draw_nuisances,
    map_stream,
)
from sigma68.tasks.lensing.maps import map_maker
from sigma68.tasks.lensing.sky import NOISE, survey_mask
from sigma68.types import Labelled, Observation, PoolStatistics, Truth

__all__ = ["EMBEDDED", "FEATURES", "MapPool", "checked", "open_embedded", "simulated"]

FEATURES = ("kappa",)
EMBEDDED = "embedded"
# Many cosmologies with few maps each: what is learned must hold between them.
POINTS, MAPS = 1000, 5
_PATTERN = re.compile(r"embedded(?::(\d{1,4})x(\d{1,4}))?(:shared)?", re.ASCII)
_FEWEST_POINTS = 20


@dataclass
class MapPool:
    """Noisy maps of one role, numbered; those of one cosmology follow each other.

    `n_rows` is the number of maps. `points` (n_points, 2) are their values of (Omega_m, S8).
    """

    role: str
    fingerprint: str
    points: npt.NDArray[np.float64]
    n_maps: int
    split_seed: int = 0
    shared: bool = False
    n_rows: int = field(init=False)
    noise_sigma: float = NOISE

    def __post_init__(self) -> None:
        self.n_rows = len(self.points) * self.n_maps

    @property
    def n_observations(self) -> int:
        """How many maps there are."""
        return self.n_rows

    def point_of(self, number: int) -> int:
        """The number of the cosmology of a map."""
        return self._place(number)[0]

    def truth(self, number: int) -> Truth:
        """What a map was made with."""
        point, realisation = self._place(number)
        values = (float(v) for v in self.points[point])
        parameters = dict(zip((p.name for p in PARAMETERS), values, strict=True))
        # Shared: nuisances and skies follow the realisation alone.
        seeded = 0 if self.shared else point
        return Truth(parameters, draw_nuisances(self.role, self.split_seed, seeded, realisation))

    def observation(self, number: int, *, noise: int = 0) -> Observation:
        """A map; `noise` numbers independent drawings of the pixel noise on the same sky."""
        point, realisation = self._place(number)
        # Noise is not shared: users add it to the public files.
        drawn = map_stream(self.role, self.split_seed, point, realisation).child(f"noise {noise}")
        return simulated(self.truth(number), self._sky(number), drawn)

    def noiseless(self, number: int) -> Observation:
        """A map without noise."""
        return simulated(self.truth(number), self._sky(number), None)

    def _sky(self, number: int) -> Stream:
        point, realisation = self._place(number)
        seeded = 0 if self.shared else point
        return map_stream(self.role, self.split_seed, seeded, realisation)

    def labelled(
        self, nuisances: Mapping[str, float] | None = None, *, max_rows: int | None = None
    ) -> Labelled:
        """The pixels of one map at the fiducial cosmology, without any other label.

        Methods that read single events find nothing here; maps are asked for by number.

        Raises
        ------
        NuisanceError
            If a nuisance is unknown or out of its range.
        """
        parameters = dict(zip((p.name for p in PARAMETERS), FIDUCIAL, strict=True))
        of_role = stream("lensing", f"pixels {self.role}", self.split_seed)
        truth = Truth(parameters, checked(nuisances or {}))
        values = simulated(truth, of_role, of_role.child("noise")).values
        part = values[:, of_role.child("order").generator().permutation(values.shape[1])[:max_rows]]
        n = part.shape[1]
        return Labelled(
            names=FEATURES,
            values=np.ascontiguousarray(part),
            weights=np.full(n, values.shape[1] / max(n, 1)),
            labels=np.zeros(n, dtype=np.int8),
            process=np.zeros(n, dtype=np.int8),
            process_names=("pixel",),
        )

    def statistics(self) -> PoolStatistics | None:
        """None: pseudo-experiments come from the model, not from these maps."""
        return None

    def _place(self, number: int) -> tuple[int, int]:
        if not 0 <= number < self.n_rows:
            raise DataError(
                f"the {self.role} pool has no map {number}: they count from 0 to {self.n_rows - 1}"
            )
        return divmod(number, self.n_maps)


def simulated(truth: Truth, sky: Stream, noise: Stream | None) -> Observation:
    """One map of the embedded sky, seen through its mask: (1, n_pixels) in rows of the map.

    Without noise where there is no stream to draw it.
    """
    point = {**truth.parameters, **checked(truth.nuisances)}
    seen = map_maker(point).draw(sky.generator())[survey_mask()]
    if noise is not None:
        seen += np.float32(NOISE) * noise.generator().standard_normal(seen.size, dtype=np.float32)
    return Observation(FEATURES, seen[None])


def checked(given: Mapping[str, float]) -> dict[str, float]:
    """Every nuisance's value: as given, or off.

    Raises
    ------
    NuisanceError
        If a name is unknown or a value is outside its range.
    """
    values = {n.name: n.off for n in NUISANCES}
    for name, value in given.items():
        found = [n for n in NUISANCES if n.name == name]
        if not found:
            raise NuisanceError(
                f"there is no nuisance parameter {name!r}: choose from {', '.join(values)}"
            )
        if not found[0].low <= value <= found[0].high:
            raise NuisanceError(
                f"nuisance parameter {name} = {value:g} is outside its range "
                f"[{found[0].low:g}, {found[0].high:g}]"
            )
        values[name] = float(value)
    return values


def open_embedded(source: str, *, split_seed: int = 0) -> Pools:
    """The pools of the embedded generator.

    Raises
    ------
    DataError
        If `source` is not a name of this form, or asks for too few maps.
    """
    found = _PATTERN.fullmatch(source)
    if found is None:
        raise DataError(
            f"{source!r} is no source of maps: give {EMBEDDED!r}, {EMBEDDED + ':101x16'!r} (so many "
            "cosmologies and maps of each), the same with ':shared', or a folder of public files"
        )
    n_points, n_maps = (int(found[1] or POINTS), int(found[2] or MAPS))
    if n_points < _FEWEST_POINTS or n_maps < 2:
        raise DataError(
            f"{source!r} is too little to learn from: give at least {_FEWEST_POINTS} cosmologies "
            "and 2 maps of each"
        )
    shared = found[3] is not None
    split = f"lensing:{n_points}x{n_maps}:{shared}:{split_seed}"
    pools: dict[str, Pool] = {}
    for role in ("train", "calibration", "scoring", "final"):
        train = role == "train"
        n_other = max(n_points * n_maps // 4, 1)
        pools[role] = MapPool(
            role=role,
            fingerprint=_hash(f"{split}:{role}"),
            points=design(n_points) if train else _uniform(role, split_seed, n_other),
            n_maps=n_maps if train else 1,
            split_seed=split_seed,
            shared=shared and train,
        )
    return Pools(**pools, fingerprint=_hash(split))


def _uniform(role: str, split_seed: int, n_points: int) -> npt.NDArray[np.float64]:
    """Cosmologies drawn uniformly in the ranges of the parameters."""
    draw = stream("lensing", f"cosmologies {role}", split_seed).generator()
    low, high = ([getattr(p, end) for p in PARAMETERS] for end in ("low", "high"))
    return draw.uniform(low, high, size=(n_points, len(PARAMETERS)))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
