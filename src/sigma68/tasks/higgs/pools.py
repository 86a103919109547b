"""The four disjoint pools of a data source: what methods train on and toys are drawn from.

Weights are rescaled per process so that every pool stands for the whole file. A pool knows what
it can support: `HiggsPool.statistics` sums weights and their squares per region and process,
hard events counted once.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.protocols import Pools
from sigma68.seeds import stream
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.dataset import EventFile, open_parquet
from sigma68.tasks.higgs.emulate.source import emulated_source
from sigma68.tasks.higgs.layout import EventLayout
from sigma68.tasks.higgs.nuisance import check_nuisances, process_scales
from sigma68.tasks.higgs.regions import REGIONS, region_of
from sigma68.tasks.higgs.schema import FEATURES, IS_SIGNAL, PROCESSES
from sigma68.tasks.higgs.split import ROLES, SHARES, mixed
from sigma68.tasks.higgs.storage import (
    IN_MEMORY_ROWS,
    content_identity,
    normalisation,
    open_layouts,
)
from sigma68.types import Labelled, PoolStatistics

__all__ = ["HiggsPool", "PoolWarning", "fingerprint_of", "open_pools", "rows_in_words"]

_CHUNK: Final = 1 << 18


class PoolWarning(UserWarning):
    """A pool lacks a minor process or has an empty region: usable, but not for everything."""


class HiggsPool:
    """Events of one role (see `sigma68.protocols.Pool`).

    Where rows are made on demand, `layout` makes them, and `n_rows` says how many there will be.

    Attributes
    ----------
    note
        One sentence for people: rows, expected events, and whether weights were rescaled.
    """

    def __init__(
        self,
        role: str,
        layout: EventLayout | Callable[[], EventLayout],
        fingerprint: str,
        note: str = "",
        *,
        n_rows: int | None = None,
    ) -> None:
        self.role = role
        self._layout = layout
        self.fingerprint = fingerprint
        self.note = note
        self.n_rows = self.layout.n_rows if n_rows is None else n_rows
        self._statistics: PoolStatistics | None = None

    @property
    def layout(self) -> EventLayout:
        """The rows, as kernels read them."""
        if not isinstance(self._layout, EventLayout):
            self._layout = self._layout()
        return self._layout

    def labelled(
        self, nuisances: Mapping[str, float] | None = None, *, max_rows: int | None = None
    ) -> Labelled:
        """Events under `nuisances` (those not named are off) after the high thresholds.

        With `max_rows`, each process gives its share of rows (one at least), always the same
        ones whatever the nuisance parameters, and their weights stand for the whole process.
        The noise of soft_met is the same at each call.

        Raises
        ------
        NuisanceError
            If a nuisance parameter is unknown or out of range.
        ValueError
            If `max_rows` is smaller than the number of processes in the pool.
        """
        values = check_nuisances(nuisances)
        chosen, boost = self._selection(max_rows)
        layout = self.layout
        n = layout.n_rows if chosen is None else len(chosen)
        features = np.empty((len(FEATURES), n), np.float32)
        kept = np.empty(n, np.int64)
        m = 0
        for index, block, passed in self._biased(chosen, values):
            features[:, m : m + len(passed)] = block
            kept[m : m + len(passed)] = index[passed]
            m += len(passed)
        kept = kept[:m]
        process = (np.searchsorted(layout.starts, kept, side="right") - 1).astype(np.int8)
        factors = process_scales(1.0, values) * boost
        return Labelled(
            names=FEATURES,
            values=_trimmed(features, m),
            weights=layout.weights[kept] * factors[process],
            labels=np.array(IS_SIGNAL, np.int8)[process],
            process=process,
            process_names=PROCESSES,
            hard_event=None if layout.hard_event is None else layout.hard_event[kept],
            row=kept,
        )

    def statistics(self) -> PoolStatistics:
        """Sums over the rows that pass the high thresholds with all nuisance parameters off.

        Warns
        -----
        PoolWarning
            If no event at all falls into a region.
        """
        if self._statistics is None:
            self._statistics = self._sums()
        return self._statistics

    def _sums(self) -> PoolStatistics:
        layout, n_regions = self.layout, len(REGIONS)
        region = np.full(layout.n_rows, -1, np.int8)
        for index, block, passed in self._biased(None, check_nuisances()):
            region[index[passed]] = region_of(block)
        sumw = np.zeros((n_regions, len(PROCESSES)))
        sumw2 = np.zeros_like(sumw)
        for p in range(len(PROCESSES)):
            span = slice(layout.starts[p], layout.starts[p + 1])
            numbers = None if layout.hard_event is None else layout.hard_event[span]
            sumw[:, p], sumw2[:, p] = _region_sums(region[span], layout.weights[span], numbers)
        empty = [REGIONS[r] for r in np.flatnonzero(sumw.sum(axis=1) == 0)]
        if empty:
            warnings.warn(
                f"no event of the {self.role} pool falls into {'; '.join(empty)}: what is "
                "measured there is not described by this pool",
                PoolWarning,
                stacklevel=3,
            )
        return PoolStatistics(REGIONS, PROCESSES, IS_SIGNAL, sumw, sumw2, self.n_rows)

    def _selection(
        self, max_rows: int | None
    ) -> tuple[npt.NDArray[np.int64] | None, npt.NDArray[np.float64]]:
        """Rows to use (None for all), ascending, and the factor on each process's weights."""
        layout = self.layout
        counts = np.diff(layout.starts)
        if max_rows is None or max_rows >= layout.n_rows:
            return None, np.ones(len(counts))
        if max_rows < np.count_nonzero(counts):
            raise ValueError(f"max_rows = {max_rows} is less than one row for each process")
        taken = np.maximum(counts > 0, counts * max_rows // layout.n_rows)
        taken[np.argmax(taken)] -= max(0, taken.sum() - max_rows)
        key = stream("higgs", "labelled order", 0).key
        parts, boost = [], np.ones(len(counts))
        for p, (first, size) in enumerate(zip(layout.starts[:-1], taken, strict=True)):
            if size == 0:
                continue
            order = mixed(np.arange(counts[p], dtype=np.int64), key)
            rows = first + np.sort(np.argpartition(order, size - 1)[:size])
            total = layout.weights[rows].sum()
            boost[p] = layout.sumw[p] / total if total > 0 else 1.0
            parts.append(rows)
        return np.concatenate(parts), boost

    def _biased(
        self, chosen: npt.NDArray[np.int64] | None, values: Mapping[str, float]
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.integer]]]:
        """Blocks of (row numbers, features that pass, which of the row numbers these are)."""
        n = self.layout.n_rows if chosen is None else len(chosen)
        key32 = stream("higgs", f"labelled {self.role}", 0).key32
        for first in range(0, n, _CHUNK):
            end = min(first + _CHUNK, n)
            index = np.arange(first, end) if chosen is None else chosen[first:end]
            block = self.layout.rows[first:end] if chosen is None else self.layout.rows[index]
            features, passed = bias_columns(
                np.ascontiguousarray(block.T),
                values["tes"],
                values["jes"],
                values["soft_met"],
                key32,
                first_event=first,
            )
            yield index, features, passed


def open_pools(source: str, *, split_seed: int = 0, in_memory_rows: int = IN_MEMORY_ROWS) -> Pools:
    """The four pools of a Parquet file of events (or of a folder with one), or of a name.

    Raises
    ------
    DataError
        If the file is not what the task needs, a pool has no signal or no background, or the
        name asks for what cannot be.
    OutputError
        If the cache cannot be written.

    Warns
    -----
    PoolWarning
        If a pool lacks one of the minor backgrounds.
    """
    emulated = emulated_source(source)
    if emulated is not None:
        from sigma68.tasks.higgs.emulate.pools import open_emulated

        return open_emulated(emulated, split_seed=split_seed)
    file = open_parquet(source)
    identity = content_identity(file)
    layouts, sumw = open_layouts(file, identity, split_seed, in_memory_rows=in_memory_rows)
    _check_classes(file, sumw)
    factor = normalisation(file, sumw)
    pools = {
        role: HiggsPool(
            role,
            layouts[role],
            fingerprint_of(identity, split_seed, role),
            _note(file, role, layouts[role], factor),
        )
        for role in ROLES
    }
    return Pools(**pools, fingerprint=fingerprint_of(identity, split_seed, "all"))


def fingerprint_of(identity: str, split_seed: int, role: str) -> str:
    """What identifies the pool of a role, or "all" pools, of data with this identity."""
    name = f"{identity} {split_seed} {SHARES} {role}"
    return hashlib.blake2b(name.encode(), digest_size=16, person=b"sigma68-pool").hexdigest()


def rows_in_words(role: str, counts: npt.NDArray[np.int64], sumw: npt.NDArray[np.float64]) -> str:
    """Rows of each process and expected events of a pool, for people."""
    rows = ", ".join(f"{n} {name}" for name, n in zip(PROCESSES, counts, strict=True))
    return f"{role}: {counts.sum()} rows ({rows}) for {sumw.sum():.0f} expected events"


def _note(file: EventFile, role: str, layout: EventLayout, factor: float) -> str:
    note = rows_in_words(role, np.diff(layout.starts), layout.sumw)
    if factor != 1:
        note += (
            f"; all weights times {factor:.6g}, since the metadata of {file.path.name} promises "
            f"a sum of {file.sum_weights:g}"
        )
    return note


def _check_classes(file: EventFile, sumw: npt.NDArray[np.float64]) -> None:
    signal = np.array(IS_SIGNAL)
    for name, own in (("signal (htautau)", signal), ("background", ~signal)):
        by_role = sumw[:, own].sum(axis=1)
        if not by_role.any():
            raise DataError(
                f"{file.path} has no {name} events with a positive weight: "
                "a measurement needs signal and background"
            )
        if not by_role.all():
            role = ROLES[int(np.argmin(by_role))]
            raise DataError(
                f"the {role} pool of {file.path} has no {name} events, so few are in the file: "
                "give more events (or another split seed)"
            )
    lacking = {
        name: [role for r, role in enumerate(ROLES) if sumw[r, p] == 0]
        for p, name in enumerate(PROCESSES)
    }
    told = [f"{name} (pools: {', '.join(roles)})" for name, roles in lacking.items() if roles]
    if told:
        warnings.warn(
            f"{file.path.name} has too few events for every pool to hold each process; "
            f"missing: {'; '.join(told)}",
            PoolWarning,
            stacklevel=4,
        )


def _trimmed(features: npt.NDArray[np.float32], m: int) -> npt.NDArray[np.float32]:
    """The first `m` columns, contiguous, moved up in the same memory."""
    k, n = features.shape
    if m == n:
        return features
    flat = features.reshape(-1)
    for row in range(1, k):
        flat[row * m : (row + 1) * m] = flat[row * n : row * n + m]
    return flat[: k * m].reshape(k, m)


def _region_sums(
    region: npt.NDArray[np.int8],
    weights: npt.NDArray[np.float64],
    hard_event: npt.NDArray[np.int64] | None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum of weights and of squared hard-event weights in each region; dropped rows are -1."""
    n_regions = len(REGIONS)
    passed = region >= 0
    own, w = region[passed].astype(np.int64), weights[passed]
    cell, together = own, w
    if hard_event is not None:
        _, number = np.unique(hard_event[passed], return_inverse=True)
        cells, place = np.unique(number * np.int64(n_regions) + own, return_inverse=True)
        cell = cells % n_regions
        together = np.bincount(place, w, minlength=len(cells)).astype(np.float64)
    return (
        np.bincount(own, w, minlength=n_regions).astype(np.float64),
        np.bincount(cell, together * together, minlength=n_regions).astype(np.float64),
    )
