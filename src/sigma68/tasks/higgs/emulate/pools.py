"""The four pools of emulated events: independent streams, made when they are first asked for.

A pool is laid out in a folder of the cache under a name that says what decides its events: the
weights of the emulator, seed, role, rows. Row j of a process is event j of the stream of its role
and process, so that a pool begins, in each process, with the events of a smaller one. Whoever
comes first makes it; other processes wait, and all share its pages.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, OutputError
from sigma68.protocols import Pools, Progress
from sigma68.seeds import Stream, stream
from sigma68.tasks.higgs.emulate.components import EmulatedComponents
from sigma68.tasks.higgs.emulate.source import BYTES_PER_ROW, EmulatedSource
from sigma68.tasks.higgs.emulate.threads import in_order, threads_here
from sigma68.tasks.higgs.layout import (
    EventLayout,
    FolderStore,
    empty_layout,
    load_layout,
    save_index,
)
from sigma68.tasks.higgs.pools import HiggsPool, fingerprint_of, rows_in_words
from sigma68.tasks.higgs.schema import PROCESSES
from sigma68.tasks.higgs.split import ROLES
from sigma68.tasks.higgs.storage import cache_folder, made_once

if TYPE_CHECKING:
    from sigma68.tasks.higgs.emulate.emulator import Emulator

__all__ = ["EmulatedPool", "open_emulated"]

_VERSION: Final = "1"  # of what a name stands for: layout, streams, mixtures
_CHUNK: Final = 8192  # events of one call
_AHEAD: Final = 64  # chunks


class EmulatedPool(HiggsPool):
    """Emulated events of one role, made when first asked for.

    Attributes
    ----------
    source
        What was asked for.
    emulator
        What the events are drawn from, and what knows their density.
    folder
        Where they lie, once they are made.
    """

    def __init__(
        self, role: str, source: EmulatedSource, emulator: Emulator, split_seed: int = 0
    ) -> None:
        self.source = source
        self.emulator = emulator
        counts = source.counts(role)
        self._counts = np.array(counts, np.int64)
        self._stream = _stream_of(role, source.seed, split_seed)
        identity = f"emulated {emulator.fingerprint} {source.seed} {counts} {_VERSION}"
        fingerprint = fingerprint_of(identity, split_seed, role)
        self.folder = cache_folder() / "emulated" / fingerprint
        super().__init__(
            role,
            self._made,
            fingerprint,
            rows_in_words(role, self._counts, emulator.expected),
            n_rows=int(self._counts.sum()),
        )

    def prepare(self, progress: Progress | None = None) -> None:
        """Make the events now, unless they are there, and say how far it is.

        Raises
        ------
        OutputError
            If the cache cannot be written.
        """
        report = progress or (lambda what, fraction: None)
        what = f"emulating the {self.role} pool"
        with _explained(self):
            made_once(
                self.folder,
                lambda folder: self._make(folder, lambda fraction: report(what, fraction)),
                waiting=lambda: report(f"another program is {what}: waiting", 0.0),
            )

    def components(self) -> EmulatedComponents:
        """The processes and their densities (see `sigma68.protocols.ComponentSource`)."""
        return EmulatedComponents(self.emulator)

    def best_widths(
        self, parameters: Mapping[str, float], profiled: Collection[str]
    ) -> Mapping[str, float] | None:
        """The narrowest intervals on mu (see `sigma68.protocols.KnownBest`).

        None for another emulator than that of the package, until `best` has computed them.

        Raises
        ------
        DataError
            If mu is out of its range, or the file with the widths is damaged.
        """
        from sigma68.tasks.higgs.emulate.best import load

        known = load()
        if known is None or known.fingerprint != self.emulator.fingerprint:
            return None
        return known.widths(parameters["mu"], profiled)

    def _made(self) -> EventLayout:
        self.prepare()
        try:
            return load_layout(self.folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"the emulated events in {self.folder} are damaged ({error}): remove that folder, "
                "and they are made again"
            ) from error

    def _make(self, folder: Path, report: Callable[[float], None]) -> None:
        layout = empty_layout(
            self._counts,
            self.emulator.expected,
            np.ones(len(PROCESSES), np.bool_),
            FolderStore(folder),
        )
        layout.weights[:] = np.repeat(self.emulator.expected / self._counts, self._counts)

        def fill(chunk: tuple[int, int, int]) -> int:
            process, first, end = chunk
            events = self.emulator.sample(process, np.arange(first, end), self._stream)
            start = layout.starts[process]
            layout.rows[start + first : start + end] = events.T
            return end - first

        done = 0
        for n in in_order(fill, _chunks(self._counts), threads=threads_here(), ahead=_AHEAD):
            done += n
            report(done / layout.n_rows)
        save_index(layout, folder)


def open_emulated(
    source: EmulatedSource, *, split_seed: int = 0, emulator: Emulator | None = None
) -> Pools:
    """The four pools of a name for emulated events; none is made before it is needed.

    Nothing is split: a split seed gives other streams. Without an emulator it is the one that
    comes with the package.

    Raises
    ------
    DataError
        If the emulator's weights are missing or damaged, or a process would get no row.
    """
    if emulator is None:
        from sigma68.tasks.higgs.emulate.emulator import Emulator

        emulator = Emulator.load()
    pools = {role: EmulatedPool(role, source, emulator, split_seed) for role in ROLES}
    together = " ".join(pool.fingerprint for pool in pools.values())
    return Pools(**pools, fingerprint=fingerprint_of(together, split_seed, "all"))


def _stream_of(role: str, seed: int, split_seed: int) -> Stream:
    own = stream("higgs", f"emulated {role}", seed)
    return own if split_seed == 0 else own.child(f"split {split_seed}")


def _chunks(counts: npt.NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """(process, first, end) of the rows of each call."""
    for process, count in enumerate(counts.tolist()):
        for first in range(0, count, _CHUNK):
            yield process, first, min(first + _CHUNK, count)


@contextlib.contextmanager
def _explained(pool: EmulatedPool) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"the emulated events of the {pool.role} pool cannot be laid out in "
            f"{pool.folder.parent} ({error.strerror or error}): set SIGMA68_CACHE to a folder with "
            f"room for {pool.n_rows * BYTES_PER_ROW / 1e9:,.1f} GB, or ask for fewer rows"
        ) from error
