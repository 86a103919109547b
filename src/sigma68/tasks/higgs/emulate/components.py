"""What emulated events are made of, as methods see it that work with densities.

An observed event's density under each process is known: the emulator integrates over the jets
that the thresholds removed, and its densities are normalised over the events that survive. So
nu_k = expected events x acceptance, and mu and the scales of the backgrounds multiply it: no
acceptance depends on them. tes, jes and soft_met move events; of these the densities know nothing
(they are those at nominal).

Primaries are rounded to 0.001 (1 MeV, a thousandth of a radian) before they are seen. Where all
densities are flat over that, their ratios do not notice; a density with structure finer than that
is evaluated beside where its event was drawn, the integrals of `best` are then not 1, and the
oracle is off. An event within 0.5 MeV of a threshold may be rounded across it, two events in
100,000: expected numbers are off by as much.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.tasks.higgs.emulate.threads import in_order, threads_here
from sigma68.tasks.higgs.nuisance import FACTORS as BY_PROCESS
from sigma68.tasks.higgs.schema import PRIMARIES, PROCESSES
from sigma68.types import Observation

if TYPE_CHECKING:
    from sigma68.tasks.higgs.emulate.emulator import Emulator

__all__ = ["FACTORS", "EmulatedComponents", "log_densities"]

FACTORS: Final = tuple(BY_PROCESS[process] for process in PROCESSES)
"""What multiplies the expected events of each process (see `nuisance.process_scales`)."""

_CHUNK: Final = 8192  # events of one call


class EmulatedComponents:
    """The four processes of an emulator (see `sigma68.protocols.KnownComponents`).

    Without one it is that of the package, loaded when it is first needed.
    """

    component_names = PROCESSES
    factors = FACTORS

    def __init__(self, emulator: Emulator | None = None) -> None:
        self._emulator = emulator

    @property
    def emulator(self) -> Emulator:
        """What knows the densities.

        Raises
        ------
        DataError
            If the weights that come with the package are missing or damaged.
        """
        if self._emulator is None:
            from sigma68.tasks.higgs.emulate.emulator import Emulator

            self._emulator = Emulator.load()
        return self._emulator

    @property
    def fingerprint(self) -> str:
        """That of the emulator's weights."""
        return self.emulator.fingerprint

    def component_yields(self) -> npt.NDArray[np.float64]:
        """Expected events of each process at 10 fb^-1 after the high thresholds, (4,)."""
        return self.emulator.expected * self.emulator.acceptance

    def log_densities(self, observation: Observation) -> npt.NDArray[np.float64]:
        """The logarithm of each process's density at each observed event, (4, n_events).

        NaN where a primary column is not finite.

        Raises
        ------
        DataError
            If a primary column is missing.
        """
        return log_densities(self.emulator, _primaries(observation))


def log_densities(
    emulator: Emulator, primaries: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """The logarithm of each process's density at observed events, (4, n), on all cores allowed.

    `primaries` has shape (16, n) or more rows; NaN where one of the first 16 is not finite.
    """
    out = np.empty((len(PROCESSES), primaries.shape[1]))

    def fill(job: tuple[int, int]) -> None:
        process, first = job
        columns = slice(first, first + _CHUNK)
        out[process, columns] = _of_chunk(emulator, process, primaries[: len(PRIMARIES), columns])

    for _ in in_order(fill, _jobs(out.shape[1]), threads=threads_here(), ahead=64):
        pass
    return out


def _of_chunk(
    emulator: Emulator, process: int, primaries: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    finite = np.asarray(np.isfinite(primaries).all(axis=0))
    if bool(finite.all()):
        return emulator.log_density(process, primaries)
    out = np.full(primaries.shape[1], np.nan)
    out[finite] = emulator.log_density(process, np.ascontiguousarray(primaries[:, finite]))
    return out


def _jobs(n: int) -> Iterator[tuple[int, int]]:
    for first in range(0, n, _CHUNK):
        for process in range(len(PROCESSES)):
            yield process, first


def _primaries(observation: Observation) -> npt.NDArray[np.float32]:
    """The primary columns, (16 or more, n), without a copy where they stand first."""
    if observation.names[: len(PRIMARIES)] == PRIMARIES and observation.values.dtype == np.float32:
        return observation.values
    missing = [name for name in PRIMARIES if name not in observation.names]
    if missing:
        raise DataError(f"the observation has no column {missing[0]!r}")
    return np.stack([observation[name] for name in PRIMARIES]).astype(np.float32, copy=False)
