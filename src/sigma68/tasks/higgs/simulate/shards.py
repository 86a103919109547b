"""The pieces of a simulated sample: what a shard is, and what it says of itself.

A shard is a function of (process, seed, number, hard events, enrichment) and of the software
alone: not of the time, the machine, or how many workers there were (the seconds it took are
noted). It is a Parquet file of the task's columns with `hard_event`, `decay` and
`process_code`; its weights (float64) are normalised so that it stands for 10 fb^-1 by itself.
The key-value metadata has a JSON object under the key `sigma68`: the fields of `ShardAbout`.

`hard_event` is unique over all processes, seeds and shards: a 62-bit hash of (process, seed,
shard) plus the number of the hard event within the shard. Two shards could overlap only if
their hashes lay within one shard's length, which merging checks.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from sigma68 import __version__
from sigma68.errors import DataError, SettingsError
from sigma68.seeds import Stream, stream
from sigma68.tasks.higgs.history import KEY
from sigma68.tasks.higgs.schema import PROCESSES
from sigma68.tasks.higgs.simulate.claims import check_claims, loads

__all__ = [
    "GENERATOR",
    "GO_ON",
    "PHYSICS",
    "SHARDS",
    "CodeSums",
    "ShardAbout",
    "ShardSpec",
    "check_versions",
    "first_hard_event",
    "read_about",
    "shard_files",
    "shard_name",
    "versions",
]

GENERATOR: Final = "sigma68.tasks.higgs.simulate.generator:Generator"

GO_ON: Final = (
    "what is finished is kept, and another seed in another folder adds to it (merge takes both)"
)
"""What to do where a shard cannot be made."""

PHYSICS: Final = ("sigma68", "pythia8mc")
"""The packages whose version decides what a shard holds."""

SHARDS: Final = "*-*.parquet"
"""What the names of shards are like."""

_FORMAT: Final = 1
_PACKAGES: Final = ("pythia8mc", "numpy", "numba")


@dataclass(frozen=True)
class ShardSpec:
    """Everything that decides what a shard holds.

    `hard_events` are simulated in full; `generator` is "module:class" of what makes them.
    """

    process: str
    seed: int
    number: int
    hard_events: int
    enrich: bool = True
    generator: str = GENERATOR

    def __post_init__(self) -> None:
        if self.process not in PROCESSES:
            raise SettingsError(
                f"there is no process {self.process!r}: choose from {', '.join(PROCESSES)}"
            )
        if self.seed < 0 or self.number < 0 or self.hard_events < 1:
            raise SettingsError(
                "seed and shard number count from 0 and a shard has 1 hard event or more, not "
                f"{self.seed}, {self.number} and {self.hard_events}"
            )

    @property
    def file_name(self) -> str:
        """Its file's name, unique within a folder of one seed."""
        return shard_name(self.process, self.number)

    @property
    def stream(self) -> Stream:
        """The random numbers of this shard."""
        return stream("higgs", "simulate", self.seed, PROCESSES.index(self.process), self.number)

    def to_json(self) -> dict[str, Any]:
        """A JSON object with the fields."""
        return asdict(self)


@dataclass(frozen=True)
class CodeSums:
    """One process code in a shard or a merged file.

    `sum_squares` adds the weights of one hard event before squaring; weights are those of the
    file, for its luminosity.
    """

    tries: int
    cross_section_fb: float
    rows: int
    hard_events: int
    sum_weights: float
    sum_squares: float


@dataclass(frozen=True)
class ShardAbout:
    """What a shard says of itself.

    `codes` has an entry per process code that was tried; `first_hard_event` is the `hard_event`
    of the first one; `pythia_seed` is what Pythia was begun with (None for a generator without
    it); `seconds` of processor time; `versions` by package.
    """

    process: str
    seed: int
    number: int
    hard_events: int
    enrich: bool
    first_hard_event: int
    pythia_seed: int | None
    luminosity_fb: float
    codes: Mapping[int, CodeSums]
    rows: int
    effective_events: float
    seconds: float
    versions: Mapping[str, str]
    format: int = _FORMAT

    @property
    def file_name(self) -> str:
        """Its file's name, unique within a folder of one seed."""
        return shard_name(self.process, self.number)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ShardAbout:
        """What `to_json` wrote; raises KeyError, TypeError or ValueError for anything else."""
        if document["format"] != _FORMAT or set(document) != {f.name for f in fields(cls)}:
            raise ValueError("written by another version of sigma68")
        check_claims(document)
        codes = {int(code): CodeSums(**sums) for code, sums in document["codes"].items()}
        return cls(**{**document, "codes": codes})


def shard_name(process: str, number: int) -> str:
    """The name of a shard's file."""
    return f"{process}-{number:06d}.parquet"


def first_hard_event(process: str, seed: int, number: int) -> int:
    """The `hard_event` of a shard's first hard event, from 0 to 2^62 - 1."""
    name = f"{process} {seed} {number}".encode()
    digest = hashlib.blake2b(name, digest_size=8, person=b"sigma68-hard").digest()
    return int.from_bytes(digest, "little") >> 2


def read_about(path: Path) -> ShardAbout:
    """What the shard at `path` says of itself.

    Raises
    ------
    DataError
        If it is no shard, or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is no file")  # to open a pipe would be to wait for ever
        found = pq.read_metadata(path).metadata or {}
        return ShardAbout.from_json(loads(found[KEY.encode()]))
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet ({_first_line(error)}): remove it, and it is made "
            "again"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} is not a shard that sigma68 simulate wrote ({_first_line(error)}): remove it "
            "from the folder"
        ) from error


def check_versions(about: ShardAbout, where: str) -> None:
    """Refuse a shard of other software than this.

    Raises
    ------
    SettingsError
        If the versions of sigma68 or Pythia differ.
    """
    here = versions()
    for package in PHYSICS:
        before, now = about.versions.get(package), here.get(package)
        if before != now:
            raise SettingsError(
                f"{where} has {package} {before}, and this is {now}: use the same version "
                "everywhere, or simulate into another folder (data merge takes both)"
            )


def shard_files(folder: Path) -> Iterator[Path]:
    """The shards in a folder of `sigma68 simulate`, by name; `folder/shards` where there is one."""
    inside = folder / "shards"
    yield from sorted((inside if inside.is_dir() else folder).glob(SHARDS))


def versions() -> dict[str, str]:
    """The versions of what decides, or could decide, what a shard holds."""
    found = {"sigma68": __version__}
    for name in _PACKAGES:
        # A generator may do without it.
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).split("\n", 1)[0].rstrip(".")
