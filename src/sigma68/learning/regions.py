"""Events of a task's regions: which are where, and pools of one region to learn from.

An event falls into a region by what is seen of it, so a nuisance parameter may move it in or out:
regions are cut after events have moved. Networks of several regions and processes learn from the
same moved events, which are therefore made once and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.learning.balance import held_out
from sigma68.protocols import ComponentSource, HasRegions, KnownComponents, Pool, Region, Task
from sigma68.types import Labelled, Observation, PoolStatistics

__all__ = ["KnownRegionPool", "MovedEvents", "RegionPool", "Regions", "grouped"]

_EVERYWHERE = (Region("everywhere", unbinned=True),)
_OTHER_HASH = np.int64(0x2545F4914F6CDD1D)
"""Parts the choice of events from that of events kept out of training, by the same numbers."""


@dataclass(frozen=True)
class Regions:
    """The regions of a task and the function that tells them, (n_features, n) to (n,)."""

    all: tuple[Region, ...]
    region_of: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int8]]

    @classmethod
    def of(cls, task: Task) -> Regions:
        """The task's own (`HasRegions`), or one unbinned region with all events.

        Raises
        ------
        DataError
            If none of the task's regions is unbinned.
        """
        if not isinstance(task, HasRegions):
            return cls(_EVERYWHERE, _everywhere)
        if not any(region.unbinned for region in task.regions):
            raise DataError(f"the task {task.name} has no region to measure events one by one in")
        return cls(task.regions, task.region_of)

    @property
    def unbinned(self) -> tuple[int, ...]:
        """Numbers of the regions whose events are measured one by one."""
        return tuple(i for i, region in enumerate(self.all) if region.unbinned)

    @property
    def split(self) -> tuple[int, ...]:
        """Numbers of the regions that probabilities of processes split."""
        return tuple(i for i, r in enumerate(self.all) if not r.unbinned and r.part_of is not None)

    @property
    def bins(self) -> tuple[str, ...]:
        """Names of the unbinned regions, then of the bins of the others."""
        unbinned = [self.all[i].name for i in self.unbinned]
        counted = [r for r in self.all if not r.unbinned]
        return (
            *unbinned,
            *(f"{r.name}: {p}" if p else r.name for r in counted for p in r.parts or ("",)),
        )

    @property
    def first_bins(self) -> dict[int, int]:
        """The bin that each region, by its number, begins with."""
        found = {region: i for i, region in enumerate(self.unbinned)}
        at = len(found)
        for i, region in enumerate(self.all):
            if not region.unbinned:
                found[i] = at
                at += max(len(region.parts), 1)
        return found


def _everywhere(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    return np.zeros(values.shape[1], np.int8)


class MovedEvents:
    """Events of some regions of a pool at any values of the nuisances, kept once they are made.

    Parameters
    ----------
    pool
        Where they come from.
    regions
        The task's regions.
    chosen
        Numbers of the regions whose events are kept.
    max_rows
        At most so many events of the pool are moved; None for all.
    rows
        Of each process in each region about so many are kept at most, always the same ones; their
        weights stand for all. None for all.
    """

    def __init__(
        self,
        pool: Pool,
        regions: Regions,
        chosen: Sequence[int],
        *,
        max_rows: int | None,
        rows: int | None,
    ) -> None:
        self.pool, self.regions, self.chosen = pool, regions, tuple(chosen)
        self.max_rows, self.rows = max_rows, rows
        self._kept: dict[tuple[tuple[str, float], ...], dict[int, Labelled]] = {}
        self._shares: npt.NDArray[np.float64] | None = None
        self._seen = np.zeros(0)

    def at(self, nuisances: Mapping[str, float] | None, region: int) -> Labelled:
        """The events in a region where the nuisances have these values; others are off."""
        key = tuple(sorted((nuisances or {}).items()))
        if key not in self._kept:
            if key and self._shares is None:
                self.at({}, region)
            events = self.pool.labelled(nuisances, max_rows=self.max_rows)
            self._kept[key] = self._in_regions(events)
        return self._kept[key][region]

    @property
    def seen(self) -> npt.NDArray[np.float64]:
        """Expected events of each process wherever they fall with every nuisance off, (K,)."""
        self.at({}, self.chosen[0])
        return self._seen

    def counts(self, region: int) -> npt.NDArray[np.int64]:
        """Simulated events of each process in a region with every nuisance off, (K,)."""
        events = self.at({}, region)
        return np.bincount(events.process, minlength=len(events.process_names))

    def forget(self) -> None:
        """Keep nothing more."""
        self._kept.clear()

    def _in_regions(self, events: Labelled) -> dict[int, Labelled]:
        region = self.regions.region_of(events.values)
        k = len(events.process_names)
        row = np.arange(events.n_events) if events.row is None else events.row
        if self._shares is None:
            self._seen = np.bincount(events.process, events.weights, minlength=k).astype(float)
            cell = region.astype(np.int64) * k + events.process
            n = np.bincount(cell, minlength=len(self.regions.all) * k).reshape(-1, k)
            most = np.inf if self.rows is None else self.rows
            self._shares = np.minimum(1.0, most / np.maximum(n, 1))
        ids = (row if events.hard_event is None else events.hard_event).astype(np.int64)
        found = {}
        for chosen in self.chosen:
            at = np.flatnonzero(region == chosen)
            share = self._shares[chosen][events.process[at]]
            if (share < 1).any():
                taken = np.zeros(len(at), bool)
                for k_share in np.unique(share):
                    own = share == k_share
                    mixed = ids[at[own]] ^ _OTHER_HASH
                    taken[own] = held_out(int(own.sum()), mixed, float(k_share))
                at, share = at[taken], share[taken]
            found[chosen] = replace(
                events,
                values=np.ascontiguousarray(events.values[:, at], np.float32),
                weights=events.weights[at] / share,
                labels=events.labels[at],
                process=events.process[at],
                hard_event=None if events.hard_event is None else events.hard_event[at],
                row=row[at],
            )
        return found


class RegionPool:
    """A pool of one region, and of some groups of its processes.

    Parameters
    ----------
    events
        The events.
    region
        The region's number.
    groups
        Processes, by their numbers, that are to be one, group by group; None for each its own.
        Events of other processes are left out.
    """

    def __init__(
        self, events: MovedEvents, region: int, groups: Sequence[Sequence[int]] | None = None
    ) -> None:
        pool = events.pool
        self.role = pool.role
        parts = [pool.fingerprint, region, groups, events.rows, events.max_rows]
        self.fingerprint = repr(parts)
        self.n_rows = pool.n_rows
        self.events, self.region, self.groups = events, region, groups

    def labelled(
        self, nuisances: Mapping[str, float] | None = None, *, max_rows: int | None = None
    ) -> Labelled:
        """The region's events (see `Pool`); all of them, whatever `max_rows`."""
        events = self.events.at(nuisances, self.region)
        return events if self.groups is None else grouped(events, self.groups)

    def statistics(self) -> PoolStatistics | None:
        """Nothing: the whole pool knows."""
        return None


class KnownRegionPool(RegionPool):
    """A region of a pool that knows the densities of its events."""

    def components(self) -> KnownComponents:
        """Densities normalised over the region's events."""
        pool = self.events.pool
        if not isinstance(pool, ComponentSource):
            raise DataError("the densities of the pool's events are not known")
        here = self.labelled()
        inside = np.bincount(here.process, here.weights, minlength=len(here.process_names))
        return _Inside(pool.components(), inside / self.events.seen)


@dataclass(frozen=True)
class _Inside:
    """Components of events in a region, which holds a share (K,) of each."""

    everywhere: KnownComponents
    shares: npt.NDArray[np.float64]

    @property
    def fingerprint(self) -> str:
        return self.everywhere.fingerprint

    @property
    def component_names(self) -> tuple[str, ...]:
        return self.everywhere.component_names

    @property
    def factors(self) -> tuple[tuple[str, ...], ...]:
        return self.everywhere.factors

    def component_yields(self) -> npt.NDArray[np.float64]:
        yields: npt.NDArray[np.float64] = self.everywhere.component_yields() * self.shares
        return yields

    def log_densities(self, observation: Observation) -> npt.NDArray[np.float64]:
        density = self.everywhere.log_densities(observation)
        with np.errstate(divide="ignore"):
            inside: npt.NDArray[np.float64] = density - np.log(self.shares)[:, None]
        return inside


def grouped(events: Labelled, groups: Sequence[Sequence[int]]) -> Labelled:
    """Events of the processes in `groups`, with the number of their group as their process."""
    number = np.full(len(events.process_names), -1, np.int8)
    for g, group in enumerate(groups):
        number[list(group)] = g
    at = np.flatnonzero(number[events.process] >= 0)

    def of(array: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
        return None if array is None else array[at]

    return replace(
        events,
        values=np.ascontiguousarray(events.values[:, at]),
        weights=events.weights[at],
        labels=events.labels[at],
        process=number[events.process[at]],
        process_names=tuple(" and ".join(events.process_names[p] for p in g) for g in groups),
        hard_event=of(events.hard_event),
        row=of(events.row),
    )
