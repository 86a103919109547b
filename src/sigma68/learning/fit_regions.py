"""Training of the networks of regions, one after the other; what is finished stays finished.

Every network is one of `ratios`: a classifier of processes has no nuisance parameters, a response
has one process. Those of one region differ in what events they are given (`regions.RegionPool`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.files import make_folder
from sigma68.learning.files import read_bytes, read_document, write_bytes, write_document
from sigma68.learning.inputs import Inputs
from sigma68.learning.isotonic import learn_calibration, share_closure
from sigma68.learning.ratios import RatioNetwork, RatioSettings, ratio_polynomials, train_ratios
from sigma68.learning.region_ratios import RegionRatios, Shares, silent
from sigma68.learning.regions import (
    KnownRegionPool,
    MovedEvents,
    RegionPool,
    Regions,
    grouped,
)
from sigma68.learning.response_cells import Cells
from sigma68.protocols import ComponentSource, Pool, Progress
from sigma68.types import Nuisance

__all__ = ["RegionSettings", "RegionTraining"]

_STEPS = 100
"""Batches of a pass at least, where events are few."""
_SMALLEST = 64
_CALIBRATED = 10
"""Events that calibrate the share of a process at least."""


@dataclass(frozen=True)
class RegionSettings:
    """How the networks of regions are trained.

    Attributes
    ----------
    classifier, response
        Of the two kinds of networks.
    max_train_rows, max_response_rows
        At most so many events of the pool are used for classifiers, and are moved for responses.
    rows
        Of these at most about so many are kept of each process in each region.
    points
        Of the nuisances, that responses are learned at.
    min_events
        A process with fewer simulated events in a region is not learned there.
    """

    classifier: RatioSettings
    response: RatioSettings
    max_train_rows: int | None
    max_response_rows: int | None
    rows: int | None
    points: int
    min_events: int


@dataclass
class RegionTraining:
    """A training of many networks.

    Parameters
    ----------
    train, calibration
        Pools to learn from and to calibrate with.
    regions, inputs, settings
        Regions, what of an event networks are given, and how they learn.
    total
        How many networks there will be, for `progress`.
    progress, folder
        Who is told; where finished networks and checkpoints are kept, None to keep nothing.
    """

    train: Pool
    calibration: Pool
    regions: Regions
    inputs: Inputs
    settings: RegionSettings
    total: int
    progress: Progress | None = None
    folder: Path | None = None
    closure: dict[int, npt.NDArray[np.float64]] = field(default_factory=dict)
    """Of each region, the sum of calibrated shares over that of the process, minus 1, (K,)."""

    def __post_init__(self) -> None:
        own, s = self.regions, self.settings
        places = (*own.unbinned, *own.split)
        self.off = MovedEvents(self.train, own, places, max_rows=s.max_train_rows, rows=None)
        self.moved = MovedEvents(
            self.train, own, own.unbinned, max_rows=s.max_response_rows, rows=s.rows
        )
        self.kept_out = MovedEvents(self.calibration, own, own.unbinned, max_rows=None, rows=None)
        self._begun = 0
        if self.folder is not None:
            make_folder(self.folder)

    def ratios(self, region: int, nuisances: Sequence[Nuisance]) -> RegionRatios:
        """Shares and responses of every process in a region.

        Raises
        ------
        DataError
            If there are no events to learn or calibrate with.
        FitError
            If a feature is NaN or infinite.
        """
        shares = self.shares(region)
        k = len(shares.even)
        responses = tuple(
            (self.response(region, p, nuisances),) if nuisances else () for p in range(k)
        )
        terms = len(ratio_polynomials(nuisances).exponents) if nuisances else 0
        return RegionRatios((shares,), responses, Cells.one(k, terms))

    def shares(self, region: int, groups: Sequence[Sequence[int]] | None = None) -> Shares:
        """A calibrated classifier of processes in a region, or of groups of them.

        Raises
        ------
        DataError, FitError
            As `ratios`.
        """
        events = self.kept_out.at({}, region)
        groups = groups or [[p] for p in range(len(events.process_names))]
        of = self._plenty(region, groups)
        told = [groups[g] for g in of]
        network = self._classifier(region, told)
        known = grouped(events, groups)
        totals = np.bincount(known.process, known.weights, minlength=len(groups))
        if not totals.sum() > 0:
            raise DataError(
                f"no simulated event for calibration falls into {self.regions.all[region].name}: "
                "give a larger pool"
            )
        even = totals / totals.sum()
        even[list(of)] = 0.0
        rest = [p for g, group in enumerate(groups) if g not in of for p in group]
        among = grouped(events, [*told, rest] if rest else told)
        signal = np.bincount(among.process, among.labels, minlength=len(told))[: len(told)]
        given = network.evaluate(self.inputs(among.values))[0]
        first = int(np.argmax(signal))
        calibration = learn_calibration(given, among, first, float(1 - even.sum()))
        shares = Shares(network, calibration, of, even)
        if len(groups) == len(events.process_names):
            g = shares.evaluate(self.inputs(events.values))
            self.closure[region] = share_closure(g, events)
        return shares

    def splitter(self, region: int) -> Shares:
        """A classifier of all processes in a region for equal amounts of each, not calibrated.

        Raises
        ------
        DataError, FitError
            As `ratios`.
        """
        k = len(self.off.counts(region))
        of = self._plenty(region, [[p] for p in range(k)])
        network = self._classifier(region, [[p] for p in of])
        return Shares.plain(replace(network, yields=np.ones(len(of))), of, k)

    def response(self, region: int, process: int, nuisances: Sequence[Nuisance]) -> RatioNetwork:
        """What nuisances do to a process in a region.

        Raises
        ------
        DataError, FitError
            As `ratios`.
        """
        names = self.moved.at({}, region).process_names
        if self.moved.counts(region)[process] < self.settings.min_events:
            self._begun += 1
            return silent(self.inputs.names, ratio_polynomials(nuisances))
        pool = RegionPool(self.moved, region, [[process]])
        what = f"response of {names[process]}"
        return self._network(pool, nuisances, self.settings.response, what)

    def _classifier(self, region: int, groups: Sequence[Sequence[int]]) -> RatioNetwork:
        if len(groups) < 2:
            self._begun += 1
            return silent(self.inputs.names, ratio_polynomials(()))
        known = isinstance(self.train, ComponentSource) and self.settings.classifier.taught
        every = [[p] for p in range(len(self.off.counts(region)))]
        if known and [list(g) for g in groups] == every:
            pool: RegionPool = KnownRegionPool(self.off, region)
        else:
            pool = RegionPool(self.off, region, groups)
        return self._network(pool, (), self.settings.classifier, "processes")

    def _plenty(self, region: int, groups: Sequence[Sequence[int]]) -> tuple[int, ...]:
        """Groups with enough events to learn from, or the one that has most."""
        counts = self.off.counts(region)
        n = np.array([counts[list(g)].sum() for g in groups])
        enough = n >= self.settings.min_events
        if region in self.regions.unbinned:
            aside = self.kept_out.counts(region)
            enough &= np.array([aside[list(g)].sum() for g in groups]) >= _CALIBRATED
        if not enough.any():
            enough[int(np.argmax(n))] = True
        return tuple(int(g) for g in np.flatnonzero(enough))

    def _network(
        self, pool: RegionPool, nuisances: Sequence[Nuisance], settings: RatioSettings, what: str
    ) -> RatioNetwork:
        """A network that is there already, or a trained one."""
        self._begun += 1
        together = self.settings.points if nuisances else None
        names = [n.name for n in nuisances]
        about = [pool.fingerprint, self.inputs.names, names, asdict(settings), together]
        key = hashlib.blake2b(json.dumps(about).encode(), digest_size=16).hexdigest()
        kept = None if self.folder is None else self.folder / key
        if kept is not None and kept.with_suffix(".json").is_file():
            document = read_document(kept.with_suffix(".json"))
            content = read_bytes(kept.with_suffix(".safetensors"))
            return RatioNetwork.from_parts(content, document, self.inputs.names, settings.threads)
        n = pool.labelled().n_events
        batch = min(settings.batch, max(n // _STEPS, _SMALLEST))
        words = f"network {self._begun} of {self.total}: {what}, {self._name(pool)}"

        def told(_: str, fraction: float) -> None:
            if self.progress is not None:
                self.progress(words, fraction)

        checkpoint = None if kept is None else kept.with_suffix(".checkpoint")
        own = replace(settings, batch=batch)
        network = train_ratios(pool, nuisances, self.inputs, own, told, checkpoint, together)
        if kept is not None and checkpoint is not None:
            write_bytes(kept.with_suffix(".safetensors"), network.network.to_bytes())
            write_document(kept.with_suffix(".json"), network.to_json())
            checkpoint.unlink(missing_ok=True)
        return network

    def _name(self, pool: RegionPool) -> str:
        return self.regions.all[pool.region].name
