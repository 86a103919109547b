"""The factors of an emulator's strata: what the simulation has there over what the chains draw.

The chains are drawn from, and what falls into each stratum is counted. A region gets the share of
its process that all simulated events give it, as the process gets its expected events from them.
Within a region the strata follow those events that nothing is validated with, as far as these know
better than the chains: with p a stratum's share of its region as drawn, N the effective number of
simulated events there and n of those drawn, a ratio rho of the shares counts as

    1 + (rho - 1) t^2 / (t^2 + 1 / (p N) + 1 / (p n)),

which is what to expect of a true ratio if such ratios scatter about 1 by t = 0.1. The largest factor
is how often an event is drawn for each that is kept, so that of the rarest strata is cut.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.protocols import Progress
from sigma68.seeds import stream
from sigma68.tasks.higgs.dataset import EventFile
from sigma68.tasks.higgs.emulate.strata import N_STRATA, PER_REGION, strata_of
from sigma68.tasks.higgs.emulate.threads import in_order, threads_here
from sigma68.tasks.higgs.regions import REGIONS
from sigma68.tasks.higgs.schema import PRIMARIES, PROCESSES
from sigma68.tasks.higgs.split import ROLES, numbers_of, role_of

if TYPE_CHECKING:
    from sigma68.tasks.higgs.emulate.emulator import Emulator

__all__ = ["Simulated", "drawn", "factors_of", "fit_strata", "simulated"]

Floats = npt.NDArray[np.float64]

_SCATTER: Final = 0.1  # of the ratios
_RARE: Final = 1e-3  # of the events of a process: no more is left less than mended
_CHUNK: Final = 8192  # events of one call
_HELD_OUT: Final = ROLES.index("final")


@dataclass(frozen=True)
class Simulated:
    """Sums of the weights of simulated events in each stratum of each process, (4, N_STRATA).

    `total` is of all events; `kept` of those that nothing is validated with, and `squares` of
    these the sum of the squared weights.
    """

    total: Floats
    kept: Floats
    squares: Floats


def fit_strata(
    emulator: Emulator,
    file: EventFile,
    rows: int,
    *,
    seed: int = 1,
    split_seed: int = 0,
    progress: Progress | None = None,
) -> Emulator:
    """The emulator with the factors of its strata, from `rows` events drawn of each process.

    Raises
    ------
    DataError
        If a region gets no event of some process.
    """
    simulation = simulated(file, split_seed)
    bare = replace(emulator, factors=np.ones((len(PROCESSES), N_STRATA)))
    counts = drawn(bare, rows, seed=seed, progress=progress)
    return replace(emulator, factors=factors_of(simulation, counts))


def simulated(file: EventFile, split_seed: int) -> Simulated:
    """What the strata of a file of simulated events hold."""
    shape = (len(PROCESSES), N_STRATA)
    sums = [np.zeros(shape) for _ in range(3)]
    for batch in file.iter_batches(PRIMARIES):
        place = batch.process.astype(np.int64) * N_STRATA + strata_of(batch.values)
        kept = role_of(numbers_of(batch), split_seed) != _HELD_OUT
        weights = batch.weights
        for total, w in zip(sums, (weights, weights * kept, weights**2 * kept), strict=True):
            total += np.bincount(place, w, minlength=total.size).reshape(shape)
    return Simulated(*sums)


def drawn(
    emulator: Emulator, rows: int, *, seed: int = 1, progress: Progress | None = None
) -> Floats:
    """How many of `rows` events of each process fall into each stratum, (4, N_STRATA)."""
    own = stream("higgs", "emulator strata", seed)
    counts = np.zeros((len(PROCESSES), N_STRATA))

    def draw(job: tuple[int, int]) -> tuple[int, npt.NDArray[np.int64]]:
        process, first = job
        events = emulator.sample(process, np.arange(first, min(first + _CHUNK, rows)), own)
        return process, np.bincount(strata_of(events), minlength=N_STRATA)

    jobs = [(p, first) for p in range(len(PROCESSES)) for first in range(0, rows, _CHUNK)]
    for done, (process, found) in enumerate(
        in_order(draw, jobs, threads=threads_here(), ahead=64), start=1
    ):
        counts[process] += found
        if progress is not None:
            progress("drawing events for the strata", done / len(jobs))
    return counts


def factors_of(simulation: Simulated, counts: Floats) -> Floats:
    """The factors, (4, N_STRATA), with which the expected number of observed events stays.

    Raises
    ------
    DataError
        If a region has no simulated or no drawn event of some process.
    """
    factors = np.ones(counts.shape)
    for p, process in enumerate(PROCESSES):
        seen = simulation.total[p, 1:].reshape(len(REGIONS), PER_REGION)
        made = counts[p, 1:].reshape(seen.shape)
        for region, a, b in zip(REGIONS, seen.sum(axis=1), made.sum(axis=1), strict=True):
            if not (a > 0 and b > 0):
                raise DataError(
                    f"no {process} event is {'drawn' if a > 0 else 'simulated'} in {region}: give "
                    f"more {'rows' if a > 0 else 'simulated events'} for the factors of the strata"
                )
        of_region = (seen.sum(axis=1) / seen.sum()) / (made.sum(axis=1) / made.sum())
        within = _within(simulation.kept[p, 1:], simulation.squares[p, 1:], made)
        own = of_region[:, None] * within
        own = np.minimum(own, _highest(own, made))
        share = made / made.sum(axis=1, keepdims=True)
        own *= (of_region / (share * own).sum(axis=1))[:, None]
        factors[p, 1:] = own.ravel()
    return factors


def _highest(factors: Floats, made: Floats) -> float:
    """The largest factor but for the rarest strata: all others are drawn so often for them."""
    order = np.argsort(-factors, axis=None)
    above = np.cumsum(made.ravel()[order]) / made.sum()
    return float(factors.ravel()[order[np.searchsorted(above, _RARE)]])


def _within(kept: Floats, squares: Floats, made: Floats) -> Floats:
    """Factors of the strata of each region, (regions, PER_REGION), whose mean as drawn is 1."""
    kept, squares = kept.reshape(made.shape), squares.reshape(made.shape)
    n_drawn, total = made.sum(axis=1, keepdims=True), kept.sum(axis=1, keepdims=True)
    share = made / n_drawn
    effective = total**2 / squares.sum(axis=1, keepdims=True)
    there = made > 0
    ratio = np.divide(kept / total, share, out=np.ones(made.shape), where=there)
    variance = np.full(made.shape, np.inf)
    np.divide(1 / effective + 1 / n_drawn, share, out=variance, where=there)
    factor = 1 + (ratio - 1) * _SCATTER**2 / (_SCATTER**2 + variance)
    mended: Floats = factor / (share * factor).sum(axis=1, keepdims=True)
    return mended
