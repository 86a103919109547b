"""Many shards into one sample: normalised together to 10 fb^-1, streamed, with its history.

A row's weight is (weight per try) x cross-section x luminosity / tries, with the tries of its
process code summed over all shards, of whatever seed, folder or enrichment: each gives the
same expectation, so that their tries add up. What is read is never held but in pieces.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, SettingsError
from sigma68.protocols import Progress
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.history import KEY
from sigma68.tasks.higgs.regions import REGIONS, region_of
from sigma68.tasks.higgs.schema import PRIMARIES, PROCESSES
from sigma68.tasks.higgs.simulate.history import history
from sigma68.tasks.higgs.simulate.reading import read_rows
from sigma68.tasks.higgs.simulate.shards import PHYSICS, SHARDS, ShardAbout, read_about, shard_files
from sigma68.tasks.higgs.simulate.shuffle import EventRows, shuffled
from sigma68.tasks.higgs.writer import EventWriter

__all__ = ["BELOW", "Merged", "MergedProcess", "find_shards", "merge"]

BELOW: Final = "below the thresholds"
"""Beside the regions: rows that the high thresholds drop, as they are."""

_CHUNK_ROWS: Final = 1 << 18


@dataclass(frozen=True)
class MergedProcess:
    """One process of a merged file.

    `hard_events` were simulated in full; `sum_weights` and `sum_squares` have one entry per
    region and one for what is below the thresholds (weights of one hard event in one region are
    added before squaring); `effective` is that of the whole process.
    """

    rows: int
    hard_events: int
    effective: float
    seconds: float
    sum_weights: npt.NDArray[np.float64]
    sum_squares: npt.NDArray[np.float64]

    def effective_in(self, region: int) -> float:
        """The effective number of events in a region: (sum w)^2 / sum w^2."""
        squares = float(self.sum_squares[region])
        return float(self.sum_weights[region]) ** 2 / squares if squares > 0 else 0.0


@dataclass(frozen=True)
class Merged:
    """What a merged file holds; `notes` are sentences about what may be wrong with it."""

    path: Path
    rows: int
    processes: Mapping[str, MergedProcess]
    notes: Sequence[str]


@dataclass(frozen=True)
class _Found:
    """A shard's place and what it says."""

    path: Path
    about: ShardAbout


def find_shards(folders: Sequence[Path]) -> list[_Found]:
    """The shards of all folders, by process, seed and number, checked against each other.

    Raises
    ------
    DataError
        If there is none, one is damaged, or two claim the same hard events.
    SettingsError
        If one is there twice, or two were normalised with other cross-sections.
    """
    found = []
    for folder in folders:
        paths = list(shard_files(Path(folder)))
        if not paths:
            raise DataError(
                f"{folder} holds no shards: give a folder that sigma68 simulate wrote to"
            )
        found += [_Found(path, read_about(path)) for path in paths]
    found.sort(key=lambda f: (PROCESSES.index(f.about.process), f.about.seed, f.about.number))
    _refuse_twice(found)
    _refuse_other_tables(found)
    _refuse_overlaps(found)
    return found


def merge(
    folders: Sequence[Path],
    out: Path,
    *,
    shuffle_seed: int | None = None,
    progress: Progress | None = None,
) -> Merged:
    """Write the events of all shards in `folders` as one file, normalised to 10 fb^-1.

    Rows are in the order of process, seed and shard, or shuffled if there is a seed for that
    (which takes room for the rows once more, beside `out`, while it runs). Where they come from
    goes to the file's metadata, under the key `sigma68`, as JSON.

    Raises
    ------
    DataError, SettingsError
        As `find_shards`; or if there is no event at all, or `out` lies among the shards.
    OutputError
        If `out` cannot be written; nothing is left behind.
    """
    found = find_shards(folders)
    _refuse_among_shards(found, out)
    tries = _total_tries(found)
    provenance = history([f.about for f in found], shuffle_seed)
    sums = _Sums()
    n_rows = sum(f.about.rows for f in found)
    if n_rows == 0:
        raise DataError("there is not a single event in these shards: simulate more of them")
    rows = _pieces(_rows(found, tries, sums))
    if shuffle_seed is not None:
        rows = shuffled(rows, n_rows, shuffle_seed, out)
    metadata = {KEY: json.dumps(provenance)}
    with EventWriter(
        out, hard_event=True, decay=True, process_code=True, metadata=metadata
    ) as writer:
        for piece in rows:
            writer.write(
                piece.features,
                weights=piece.weights,
                process=piece.process,
                hard_event=piece.hard_event,
                decay=piece.decay,
                process_code=piece.process_code,
            )
            if progress is not None:
                progress("", writer.n_rows / n_rows)
    return Merged(out, n_rows, _processes(provenance, sums), _notes(provenance))


def _rows(found: Sequence[_Found], tries: Mapping[int, int], sums: _Sums) -> Iterator[EventRows]:
    for shard in found:
        rows = read_rows(shard.path, shard.about)
        scale = {
            code: own.tries / tries[code] for code, own in shard.about.codes.items() if own.rows
        }
        codes, place = np.unique(rows.process_code, return_inverse=True)
        weights = rows.weights * np.array([scale[int(code)] for code in codes])[place]
        rows = rows.with_weights(weights)
        sums.add(rows, PROCESSES.index(shard.about.process))
        yield rows


def _pieces(rows: Iterator[EventRows]) -> Iterator[EventRows]:
    """The same rows in pieces that are worth a row group."""
    waiting: list[EventRows] = []
    for piece in rows:
        waiting.append(piece)
        if sum(w.n_rows for w in waiting) >= _CHUNK_ROWS:
            yield EventRows.joined(waiting)
            waiting = []
    if waiting:
        yield EventRows.joined(waiting)


class _Sums:
    """Weights, and squares of those of whole hard events, per region and process."""

    def __init__(self) -> None:
        shape = (len(REGIONS) + 1, len(PROCESSES))
        self.weights, self.squares = np.zeros(shape), np.zeros(shape)

    def add(self, rows: EventRows, process: int) -> None:
        """Count the rows of one shard; no hard event is in two."""
        features, passing = bias_columns(rows.features[: len(PRIMARIES)])
        region = np.full(rows.n_rows, len(REGIONS), np.int64)
        region[passing] = region_of(features)
        n = len(REGIONS) + 1
        # Counted from 0, so that there is room to number the regions of each.
        hard_event = rows.hard_event - rows.hard_event.min(initial=2**62)
        cells, place = np.unique(hard_event * n + region, return_inverse=True)
        together = np.bincount(place, rows.weights, minlength=len(cells))
        own = (cells % n).astype(np.int64)
        self.weights[:, process] += np.bincount(own, together, minlength=n)
        self.squares[:, process] += np.bincount(own, together**2, minlength=n)


def _processes(provenance: Mapping[str, Any], sums: _Sums) -> dict[str, MergedProcess]:
    return {
        name: MergedProcess(
            about["rows"],
            about["hard_events"],
            about["effective_events"],
            about["seconds"],
            sums.weights[:, PROCESSES.index(name)],
            sums.squares[:, PROCESSES.index(name)],
        )
        for name, about in provenance["processes"].items()
    }


def _notes(provenance: Mapping[str, Any]) -> list[str]:
    notes = [
        f"{shards} not there though later ones are: simulate would make them next"
        for shards in provenance["missing"]
    ]
    for package in PHYSICS:
        if len(found := provenance["versions"].get(package, ())) > 1:
            notes.append(f"shards of {package} {' and '.join(found)} are put together")
    return notes


def _total_tries(found: Sequence[_Found]) -> dict[int, int]:
    total: dict[int, int] = {}
    for shard in found:
        for code, sums in shard.about.codes.items():
            total[code] = total.get(code, 0) + sums.tries
    return total


def _refuse_among_shards(found: Sequence[_Found], out: Path) -> None:
    folders = {shard.path.parent.resolve() for shard in found}
    if out.match(SHARDS) and out.absolute().parent.resolve() in folders:
        raise SettingsError(
            f"{out} would lie among the shards and be taken for one: give another folder"
        )


def _refuse_twice(found: Sequence[_Found]) -> None:
    for one, other in pairwise(found):
        a, b = one.about, other.about
        if (a.process, a.seed, a.number) == (b.process, b.seed, b.number):
            raise SettingsError(
                f"{one.path} and {other.path} are the same shard (seed {a.seed}): give each "
                "folder once, and simulate with another seed on each machine"
            )


def _refuse_other_tables(found: Sequence[_Found]) -> None:
    known: dict[int, tuple[float, Path]] = {}
    luminosity = found[0].about.luminosity_fb
    for shard in found:
        if shard.about.luminosity_fb != luminosity:
            raise SettingsError(
                f"{found[0].path} is normalised to {luminosity:g} fb^-1 and {shard.path} to "
                f"{shard.about.luminosity_fb:g}: merge them apart"
            )
        for code, sums in shard.about.codes.items():
            before, where = known.setdefault(code, (sums.cross_section_fb, shard.path))
            if sums.cross_section_fb != before:
                raise SettingsError(
                    f"the cross-section of process code {code} is {before:g} fb in {where} and "
                    f"{sums.cross_section_fb:g} fb in {shard.path}: merge them apart"
                )


def _refuse_overlaps(found: Sequence[_Found]) -> None:
    ordered = sorted(found, key=lambda f: f.about.first_hard_event)
    for one, other in pairwise(ordered):
        if one.about.first_hard_event + one.about.hard_events > other.about.first_hard_event:
            raise DataError(
                f"{one.path} and {other.path} number the same hard events: leave one of them out"
            )
