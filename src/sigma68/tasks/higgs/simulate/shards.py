"""The pieces of a simulated sample: what a shard is, how it is made, and what it says of itself.

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
import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from sigma68 import __version__
from sigma68.errors import DataError, MissingExtraError, SettingsError, Sigma68Error
from sigma68.seeds import Stream, stream
from sigma68.tasks.higgs.schema import LUMINOSITY_FB, PROCESSES
from sigma68.tasks.higgs.simulate.streams import CODES, CROSS_SECTION_FB

if TYPE_CHECKING:
    from sigma68.tasks.higgs.simulate.block import Block

__all__ = [
    "GENERATOR",
    "KEY",
    "CodeSums",
    "ShardAbout",
    "ShardSpec",
    "first_hard_event",
    "make_shard",
    "read_about",
    "shard_files",
    "shard_name",
]

KEY: Final = "sigma68"
"""The key of a file's metadata that holds where it comes from, as JSON."""

GENERATOR: Final = "sigma68.tasks.higgs.simulate.generator:Generator"

_FORMAT: Final = 1
_PACKAGES: Final = ("pythia8mc", "numpy", "numba")


class EventSource(Protocol):
    """What makes events: see `sigma68.tasks.higgs.simulate.generator`."""

    def block(self, hard_events: int) -> Block:
        """The selected events of the next `hard_events` hard events."""
        ...


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
    of the first one; `seconds` of processor time; `versions` by package.
    """

    process: str
    seed: int
    number: int
    hard_events: int
    enrich: bool
    first_hard_event: int
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


def make_shard(spec: ShardSpec, path: Path) -> ShardAbout:
    """Simulate one shard and write it to `path`, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    MissingExtraError
        If a package that the generator needs is not installed.
    Sigma68Error
        If the generator gives something that is no block of events.
    """
    from sigma68.tasks.higgs.derived import derive
    from sigma68.tasks.higgs.writer import EventWriter

    began = time.process_time()
    module, _, name = spec.generator.partition(":")
    try:
        factory = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"simulating needs {error.name}, which is not installed: pip install 'sigma68[simulate]'"
        ) from error
    source: EventSource = factory(spec.process, spec.stream, enrich=spec.enrich)
    block = source.block(spec.hard_events)
    _check(block, spec)
    weights = block.weights * _per_try(block, spec)
    features = np.concatenate([block.primaries, derive(block.primaries)])
    codes = _sums(block, weights, spec)
    first = first_hard_event(spec.process, spec.seed, spec.number)
    squares = sum(sums.sum_squares for sums in codes.values())
    about = ShardAbout(
        spec.process,
        spec.seed,
        spec.number,
        block.hard_events,
        spec.enrich,
        first,
        LUMINOSITY_FB,
        codes,
        block.n_rows,
        float(weights.sum()) ** 2 / squares if squares > 0 else 0.0,
        round(time.process_time() - began, 3),
        _versions(),
    )
    options = {"hard_event": True, "decay": True, "process_code": True, "double_weights": True}
    with EventWriter(path, **options, metadata={KEY: json.dumps(about.to_json())}) as writer:
        writer.write(
            features,
            weights=weights,
            process=np.full(block.n_rows, PROCESSES.index(spec.process), np.int8),
            hard_event=first + block.hard_event,
            decay=block.decay.astype(np.int64),
            process_code=block.code,
        )
    return about


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
        found = pq.read_metadata(path).metadata or {}
        return ShardAbout.from_json(json.loads(found[KEY.encode()]))
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


def shard_files(folder: Path) -> Iterator[Path]:
    """The shards in a folder of `sigma68 simulate`, by name; `folder/shards` where there is one."""
    inside = folder / "shards"
    yield from sorted((inside if inside.is_dir() else folder).glob("*-*.parquet"))


def _per_try(block: Block, spec: ShardSpec) -> npt.NDArray[np.float64]:
    """What turns expected events per try into events at 10 fb^-1, for each row."""
    factor = {
        code: CROSS_SECTION_FB[code] * LUMINOSITY_FB / tries
        for code, tries in block.tries.items()
        if tries > 0
    }
    lacking = sorted(set(np.unique(block.code).tolist()) - set(factor))
    if lacking:
        raise Sigma68Error(f"{spec.file_name}: rows of process code {lacking[0]} without tries")
    codes, place = np.unique(block.code, return_inverse=True)
    return np.array([factor[int(code)] for code in codes], np.float64)[place]


def _check(block: Block, spec: ShardSpec) -> None:
    """Refuse what would be found out only when somebody opens the sample."""
    n = block.n_rows
    wrong = ""
    if block.primaries.shape != (16, n) or block.primaries.dtype != np.float32:
        wrong = f"primaries are {block.primaries.dtype} of shape {block.primaries.shape}"
    elif not np.isfinite(block.primaries).all():
        wrong = "a primary column is not finite"
    elif not (np.isfinite(block.weights) & (block.weights > 0)).all():
        wrong = "a weight is not a positive number"
    elif unknown := set(block.tries) - set(CODES[spec.process]):
        wrong = f"process code {min(unknown)} is none of {spec.process}"
    elif n and not (block.hard_event.min() >= 0 and block.hard_event.max() < block.hard_events):
        wrong = "hard events are numbered outside the block"
    if wrong:
        raise Sigma68Error(f"the generator of {spec.file_name} is broken: {wrong}")


def _sums(block: Block, weights: npt.NDArray[np.float64], spec: ShardSpec) -> dict[int, CodeSums]:
    found = {}
    for code in sorted(block.tries):
        own = block.code == code
        together = np.bincount(block.hard_event[own], weights[own])
        found[code] = CodeSums(
            tries=int(block.tries[code]),
            cross_section_fb=CROSS_SECTION_FB[code],
            rows=int(own.sum()),
            hard_events=int(np.count_nonzero(together)),
            sum_weights=math.fsum(weights[own]),
            sum_squares=float(together @ together),
        )
    return found


def _versions() -> dict[str, str]:
    found = {"sigma68": __version__}
    for name in _PACKAGES:
        # A generator may do without it.
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).split("\n", 1)[0].rstrip(".")
