"""The challenge's public files, mapped into memory: the grid of 13 GB never needs 13 GB.

The grid of maps is (cosmologies, realisations, pixels inside the mask) in float16 and without
noise, the labels (cosmologies, realisations, 5). All cosmologies share nuisances and random
numbers of a realisation, so the split goes along the realisations, and nothing else is honest.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, SettingsError
from sigma68.protocols import Pool, Pools
from sigma68.seeds import Stream, stream
from sigma68.tasks.lensing.design import NUISANCES, PARAMETERS
from sigma68.tasks.lensing.pools import FEATURES, checked
from sigma68.tasks.lensing.sky import COLUMNS, NOISE, ROWS
from sigma68.types import (
    Labelled,
    Nuisance,
    Observation,
    Parameter,
    PoolStatistics,
    Truth,
)

__all__ = [
    "GRID_FILE",
    "LABEL_FILE",
    "MASK_FILE",
    "NEW_FILE",
    "NEW_LABEL_FILE",
    "STRANGE_TEST_FILE",
    "TEST_FILE",
    "OfficialPool",
    "open_official",
    "read_maps",
    "read_mask",
]

_STEM = "WIDE12H_bin2_2arcmin_"
GRID_FILE, MASK_FILE, LABEL_FILE = f"{_STEM}kappa.npy", f"{_STEM}mask.npy", "label.npy"
TEST_FILE = f"{_STEM}kappa_noisy_test.npy"
NEW_FILE, NEW_LABEL_FILE = f"{_STEM}kappa_newrealization.npy", "label_newrealization.npy"
STRANGE_TEST_FILE = f"{_STEM}kappa_test_phase2_new_v2.npy"

SHARES = {"train": 0.6, "calibration": 0.2, "scoring": 0.1, "final": 0.1}
"""Of the realisations."""

_SLACK = 0.2
"""Labels may be outside of their range by so much of it."""

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass
class OfficialPool:
    """The maps of some realisations at every cosmology, with noise drawn anew; see `MapPool`.

    `maps` (n_points, n_realisations, n_pixels) stays on the disk; `labels` (n_points,
    n_realisations, 5); `realisations` are those of this role.
    """

    role: str
    fingerprint: str
    maps: FloatArray
    labels: npt.NDArray[np.float64]
    realisations: npt.NDArray[np.int64]
    split_seed: int = 0
    n_rows: int = field(init=False)
    noise_sigma: float = NOISE

    def __post_init__(self) -> None:
        self.n_rows = len(self.labels) * len(self.realisations)

    @property
    def n_observations(self) -> int:
        """How many maps there are."""
        return self.n_rows

    def point_of(self, number: int) -> int:
        """The number of the cosmology of a map."""
        return self._place(number)[0]

    def truth(self, number: int) -> Truth:
        """What a map was made with, as its label says."""
        values = [float(v) for v in self.labels[self._place(number)]]
        names = [p.name for p in PARAMETERS]
        return Truth(
            dict(zip(names, values[:2], strict=True)),
            dict(zip((n.name for n in NUISANCES), values[2:], strict=True)),
        )

    def observation(self, number: int, *, noise: int = 0) -> Observation:
        """A map with noise; `noise` numbers independent drawings of it.

        Raises
        ------
        DataError
            If there is no such map, or a pixel of it is not finite.
        """
        point, realisation = self._place(number)
        of_map = stream("lensing", "public files", self.split_seed, point, realisation)
        return _with_noise(self.noiseless(number), of_map.child(f"noise {noise}"))

    def held(self, truth: Truth, noise: Stream) -> Observation:
        """The map that was made with `truth`, with noise that `noise` draws.

        Raises
        ------
        SettingsError
            If there is none.
        DataError
            If a pixel of it is not finite.
        """
        return _with_noise(self.noiseless(self.number_of(truth)), noise)

    def noiseless(self, number: int) -> Observation:
        """A map without noise, as it stands in the file.

        Raises
        ------
        DataError
            If there is no such map, or a pixel of it is not finite.
        """
        point, realisation = self._place(number)
        sky = np.asarray(self.maps[point, realisation], dtype=np.float32)
        if not np.isfinite(sky).all():
            raise DataError(
                f"map {realisation} of cosmology {point} has pixels that are no numbers: "
                "download the file again"
            )
        return Observation(FEATURES, sky[None])

    def held_truth(self, seed: int, set: int, toy: int) -> Truth:
        """The label of one of these maps: a cosmology for each set, a realisation for each toy.

        As many sets as there are cosmologies have one each, in an order that the seed draws; toys of
        a set are different realisations. Sets beyond that have their cosmology, and may have a map,
        that another set has too.

        Raises
        ------
        SettingsError
            If a set cannot have so many toys.
        """
        n_points, n_toys = len(self.labels), len(self.realisations)
        if toy >= n_toys:
            raise SettingsError(
                f"the {self.role} pool of the public files has {n_toys} maps of each of {n_points} "
                f"cosmologies: give --toys {n_toys} or fewer"
            )
        round_, place = divmod(set, n_points)
        points = stream("lensing", "public cosmologies", seed, round_).generator()
        toys = stream("lensing", "public realisations", seed, set).generator()
        point = int(points.permutation(n_points)[place])
        return self.truth(point * n_toys + int(toys.permutation(n_toys)[toy]))

    def number_of(self, truth: Truth) -> int:
        """The number of the map that was made with `truth`; the first of those that were.

        Raises
        ------
        SettingsError
            If there is none.
        """
        wanted = {**truth.parameters, **truth.nuisances}
        values = np.array([wanted.get(p.name, np.nan) for p in (*PARAMETERS, *NUISANCES)])
        labels = self.labels[:, self.realisations].reshape(self.n_rows, -1)
        found = np.flatnonzero((labels == values).all(axis=1))
        if not len(found):
            asked = ", ".join(f"{name} = {value:g}" for name, value in wanted.items())
            raise SettingsError(
                f"the {self.role} pool of the public files has no map made with {asked}: it holds the "
                f"truths of its {self.n_rows:,} labels, other truths are for another source"
            )
        return int(found[0])

    def labelled(
        self, nuisances: Mapping[str, float] | None = None, *, max_rows: int | None = None
    ) -> Labelled:
        """The pixels of the first map; the nuisances of these files cannot be chosen.

        Raises
        ------
        NuisanceError
            If a nuisance is unknown or out of its range.
        DataError
            If a nuisance is asked for.
        """
        checked(nuisances or {})
        if nuisances:
            raise DataError("the public files have the nuisances they have: none can be chosen")
        values = self.observation(0).values
        part = np.ascontiguousarray(values[:, :max_rows])
        n = part.shape[1]
        nothing = np.zeros(n, dtype=np.int8)
        weights = np.full(n, values.shape[1] / max(n, 1))
        return Labelled(FEATURES, part, weights, nothing, nothing, ("pixel",))

    def statistics(self) -> PoolStatistics | None:
        """None: maps are no weighted events."""
        return None

    def _place(self, number: int) -> tuple[int, int]:
        if not 0 <= number < self.n_rows:
            raise DataError(
                f"the {self.role} pool has no map {number}: they count from 0 to {self.n_rows - 1}"
            )
        point, place = divmod(number, len(self.realisations))
        return point, int(self.realisations[place])


def _with_noise(sky: Observation, noise: Stream) -> Observation:
    drawn = noise.generator().standard_normal(sky.values.shape, dtype=np.float32)
    return Observation(FEATURES, sky.values + np.float32(NOISE) * drawn)


def open_official(folder: Path, *, split_seed: int = 0) -> tuple[Pools, npt.NDArray[np.bool_]]:
    """The pools of the first phase's grid, and the mask of its maps.

    Raises
    ------
    DataError
        If a file is not there, damaged, or does not go with the others.
    """
    mask = read_mask(folder / MASK_FILE)
    maps = _mapped(folder / GRID_FILE)
    labels = np.array(_mapped(folder / LABEL_FILE))
    if maps.ndim != 3 or maps.dtype.kind != "f" or maps.shape[2] != int(mask.sum()):
        raise DataError(
            f"{folder / GRID_FILE} has {maps.dtype} of shape {maps.shape}: it must be cosmologies x "
            f"realisations x {int(mask.sum()):,} pixels of the mask, floating point"
        )
    if labels.shape != (*maps.shape[:2], 5) or labels.dtype.kind != "f":
        raise DataError(
            f"{folder / LABEL_FILE} has {labels.dtype} of shape {labels.shape}: for these maps it "
            f"must be {(*maps.shape[:2], 5)}"
        )
    if not np.isfinite(labels).all():
        raise DataError(f"{folder / LABEL_FILE} has labels that are no numbers: download it again")
    if maps.shape[1] < 10:
        raise DataError(
            f"{folder / GRID_FILE} has {maps.shape[1]} realisations: a split needs at least 10"
        )
    _check_ranges(folder / LABEL_FILE, labels)
    identity = _fingerprint(maps, labels)
    split = f"{identity}:{split_seed}"
    order = stream("lensing", "split", split_seed).generator().permutation(maps.shape[1])
    ends = np.round(np.cumsum([0, *SHARES.values()]) * maps.shape[1]).astype(int)
    pools: dict[str, Pool] = {
        role: OfficialPool(
            role=role,
            fingerprint=_hash(f"{split}:{role}"),
            maps=maps,
            labels=labels.astype(np.float64),
            realisations=np.sort(order[first:last]).astype(np.int64),
            split_seed=split_seed,
        )
        for role, first, last in zip(SHARES, ends[:-1], ends[1:], strict=True)
    }
    return Pools(**pools, fingerprint=_hash(split)), mask


def _check_ranges(path: Path, labels: npt.NDArray[Any]) -> None:
    """Raise unless every column is near the range that it has: columns could stand elsewhere."""
    ranges: list[Parameter | Nuisance] = [*PARAMETERS, *NUISANCES]
    for column, named in enumerate(ranges):
        values, slack = labels[..., column], _SLACK * (named.high - named.low)
        if values.min() < named.low - slack or values.max() > named.high + slack:
            raise DataError(
                f"{path} has labels from {values.min():.4g} to {values.max():.4g} in column "
                f"{column + 1}, which must be {named.name}, {named.low:g} to {named.high:g}: give the "
                "file as published"
            )


def read_mask(path: Path) -> npt.NDArray[np.bool_]:
    """The mask of the public maps, (1424, 176).

    Raises
    ------
    DataError
        If it is not there, or not a mask of this shape.
    """
    mask = np.array(_mapped(path))
    if mask.dtype != np.bool_ or mask.shape != (ROWS, COLUMNS) or not mask.any():
        raise DataError(
            f"{path} has {mask.dtype} of shape {mask.shape}: a mask is bool, {ROWS} x {COLUMNS}, "
            "and shows something"
        )
    shown: npt.NDArray[np.bool_] = mask
    return shown


def read_maps(path: Path, mask: npt.NDArray[np.bool_]) -> FloatArray:
    """Test maps or new realisations, (..., n_pixels), mapped into memory and read-only.

    Raises
    ------
    DataError
        If the file is not there, or its maps do not go with the mask.
    """
    maps = _mapped(path)
    if maps.ndim < 2 or maps.dtype.kind != "f" or maps.shape[-1] != int(mask.sum()):
        raise DataError(
            f"{path} has {maps.dtype} of shape {maps.shape}: its last axis must be the "
            f"{int(mask.sum()):,} pixels of the mask, floating point"
        )
    return maps


def _mapped(path: Path) -> npt.NDArray[Any]:
    """The array in a NumPy file, read-only and on the disk."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = _HEADERS[np.lib.format.read_magic(file)]
            shape, by_columns, dtype = header(file)
            offset = file.tell()
        said = offset + math.prod(shape) * dtype.itemsize
        if size < said:
            raise DataError(
                f"{path} has {size:,} of its {said:,} bytes: it was not downloaded whole, do so again"
            )
        if dtype.hasobject:
            raise DataError(f"{path} holds objects, not numbers: give the file as published")
        order: Literal["F", "C"] = "F" if by_columns else "C"
        return np.memmap(path, dtype, "r", offset, shape, order)
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there: give the folder of the public files") from error
    except OSError as error:
        reason = error.strerror or "no reason is given"
        raise DataError(f"{path} cannot be read ({reason}): see to it and try again") from error
    # Of a header that is none, NumPy's parser raises whatever Python's does.
    except (KeyError, ValueError, TypeError, SyntaxError, TokenError) as error:
        raise DataError(f"{path} is no NumPy file, or damaged: download it again") from error


_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def _fingerprint(maps: FloatArray, labels: npt.NDArray[Any]) -> str:
    """Shape, labels and some pixels of some maps: all of 13 GB would take minutes."""
    found = hashlib.sha256(repr((maps.shape, str(maps.dtype))).encode())
    found.update(np.ascontiguousarray(labels).tobytes())
    for point in range(0, maps.shape[0], max(maps.shape[0] // 8, 1)):
        found.update(np.ascontiguousarray(maps[point, -1]).tobytes())
    return found.hexdigest()[:32]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
