"""Events and densities from trained conditionals: the emulator itself.

For each process a chain of conditional densities, one for each step. Going through it with random
numbers makes an event; going through it with an event gives its density. What a jet adds comes
after everything it is conditioned on, so that an event that lost a jet to the threshold is
described by the CDF of that jet's pt: nothing is left to integrate numerically. What the chain of a
process gets wrong in a stratum of observed events (`strata`) a factor mends: an event is drawn until
it is kept, with a probability in proportion to its factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

from sigma68.learning.conditional import Conditional, ConditionalChoice, ConditionalDensity
from sigma68.seeds import Stream
from sigma68.tasks.higgs.bias import (
    JET_THRESHOLD_GEV,
    LEPTON_THRESHOLD_GEV,
    TAU_THRESHOLD_GEV,
)
from sigma68.tasks.higgs.emulate import frame as frames
from sigma68.tasks.higgs.emulate.coordinates import from_unit, to_unit, unit_of_pt
from sigma68.tasks.higgs.emulate.features import add_features
from sigma68.tasks.higgs.emulate.steps import (
    A_JET,
    A_SECOND,
    FURTHER,
    FURTHER_PT,
    JET1_ETA,
    JET1_PT,
    JET1_TURN,
    JET2_ETA,
    JET2_PT,
    JET2_TURN,
    LEP_PT,
    MET_ALONG,
    N_FEATURES,
    N_STEPS,
    TAU_PT,
)
from sigma68.tasks.higgs.emulate.strata import strata_of
from sigma68.tasks.higgs.philox import BLOCK, philox_block
from sigma68.tasks.higgs.schema import PRIMARIES, PROCESSES

__all__ = ["WEIGHTS", "Emulator"]

WEIGHTS: Final = Path(__file__).with_name("weights.npz")
"""The weights that come with the package."""

Floats = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

_CHUNK: Final = 4096  # events at a time: their features stay near the core
_PURPOSE: Final = 16  # third counter word of the random numbers, from here on
_ANGLE, _MIRRORS, _KEPT = N_STEPS, N_STEPS + 1, N_STEPS + 2
_N_UNIFORM: Final = 20
_BASE: Final = tuple(range(TAU_PT, MET_ALONG + 1))
_JET1: Final = (JET1_PT, JET1_ETA, JET1_TURN)
_JET2: Final = (JET2_PT, JET2_ETA, JET2_TURN)


@dataclass(frozen=True)
class Emulator:
    """A model of collision events, per process (in the order of `PROCESSES`).

    Attributes
    ----------
    conditionals
        For each process, one conditional for each step.
    expected
        Expected events of each process at 10 fb^-1 and mu = 1, before the high thresholds,
        float64, (4,).
    factors
        Of each process, what multiplies the density of the chain in each stratum, float64,
        (4, N_STRATA). The chain's expected number of observed events stays with them.
    history
        What made the weights: command, data, settings.
    fingerprint
        A hash of the weights file's content.
    """

    conditionals: tuple[tuple[Conditional, ...], ...]
    expected: Floats
    factors: Floats
    history: Mapping[str, Any]
    fingerprint: str

    @classmethod
    def load(cls, path: Path | None = None) -> Emulator:
        """The emulator whose weights are in a file; the one that comes with the package if None.

        Raises
        ------
        DataError
            If the file is missing or is not what `files.save` writes.
        """
        from sigma68.tasks.higgs.emulate.files import load

        return load(WEIGHTS if path is None else path)

    @property
    def acceptance(self) -> Floats:
        """The share of each process that survives the high thresholds, nuisances off, (4,).

        The lepton passes always; the tau where its pt is 26 GeV or more.
        """
        one = np.zeros((N_STEPS, 1))
        at = unit_of_pt(TAU_PT, TAU_THRESHOLD_GEV, one)
        return np.array(
            [
                1.0 - _density_of(chain, TAU_PT).cdf(_nothing(1), at)[0]
                for chain in self.conditionals
            ]
        )

    def sample(self, process: int, index: Integers, stream: Stream) -> Float32:
        """Primaries of events before the high thresholds, (16, n), rounded to 3 decimals.

        Event `index[i]` of a process in a stream is the same whatever else is asked for. The GIL
        is released in all kernels: threads with a few thousand events each use several cores.
        """
        key = stream.child(f"emulated {PROCESSES[process]}").key32
        out = np.empty((len(PRIMARIES), len(index)), np.float32)
        for first in range(0, len(index), _CHUNK):
            numbers = np.ascontiguousarray(index[first : first + _CHUNK], np.int64)
            out[:, first : first + len(numbers)] = self._kept(process, numbers, key)
        return out

    def _kept(self, process: int, numbers: Integers, key: npt.NDArray[np.uint32]) -> Float32:
        """Events drawn again until each is kept, (16, n)."""
        factors = self.factors[process]
        highest = factors.max()
        out = np.empty((len(PRIMARIES), len(numbers)), np.float32)
        left = np.arange(len(numbers))
        for attempt in count():
            events, chance = _attempt(self.conditionals[process], numbers[left], key, attempt)
            kept = chance * highest < factors[strata_of(events)]
            out[:, left[kept]] = events[:, kept]
            left = left[~kept]
            if not len(left):
                break
        return out

    def log_density(self, process: int, primaries: Float32) -> Floats:
        """Log of the density of observed events, (n,), all nuisance parameters off.

        `primaries` (16 or more, n) are after the high thresholds, and the density is normalised
        over the events that survive them. Jets lost to the threshold are integrated over. The
        measure is that of the coordinates, the same for all processes. -inf for events that
        cannot be observed: a tau below 26, a lepton below 20 GeV, or a listed jet at 26 or below.
        """
        chain = self.conditionals[process]
        accepted = np.log(self.acceptance[process])
        out = np.empty(primaries.shape[1])
        for first in range(0, len(out), _CHUNK):
            events = np.ascontiguousarray(primaries[: len(PRIMARIES), first : first + _CHUNK])
            frame = frames.canonical(events)
            factors = self.factors[process][strata_of(events)]
            out[first : first + _CHUNK] = _log_density(chain, frame) + np.log(factors) - accepted
        return out


def _attempt(
    chain: tuple[Conditional, ...], numbers: Integers, key: npt.NDArray[np.uint32], attempt: int
) -> tuple[Float32, Floats]:
    """Events of a chain, (16, n), and a uniform number of each that says whether it is kept."""
    uniform = np.empty((_N_UNIFORM, len(numbers)))
    _uniforms(numbers, key[0], key[1], _PURPOSE + attempt * (_N_UNIFORM // 4), uniform)
    mirrors = uniform[_MIRRORS]
    events = frames.primaries(
        _drawn(chain, uniform),
        2.0 * np.pi * uniform[_ANGLE] - np.pi,
        mirrors % 0.5 < 0.25,
        mirrors < 0.5,
    )
    return events, uniform[_KEPT]


def _nothing(n: int) -> Float32:
    return np.empty((0, n), np.float32)


def _chosen(array: npt.NDArray[Any], index: Integers) -> npt.NDArray[Any]:
    """Some columns, with the events contiguous: an index alone gives them in another order."""
    return np.take(array, index, axis=1)


def _density_of(chain: tuple[Conditional, ...], step: int) -> ConditionalDensity:
    conditional = chain[step]
    assert isinstance(conditional, ConditionalDensity)  # noqa: S101  checked when loaded
    return conditional


def _choice_of(chain: tuple[Conditional, ...], step: int) -> ConditionalChoice:
    conditional = chain[step]
    assert isinstance(conditional, ConditionalChoice)  # noqa: S101  checked when loaded
    return conditional


@njit(cache=True, nogil=True)
def _uniforms(index, key0, key1, purpose, out):  # type: ignore[no-untyped-def]
    """Uniform numbers in (0, 1) of each event, (20, n), from its index, the key and a purpose."""
    words = np.empty(4 * BLOCK, np.uint64)
    for first in range(0, len(index), BLOCK):
        n = min(BLOCK, len(index) - first)
        for block in range(out.shape[0] // 4):
            philox_block(words, index[first : first + n], n, purpose + block, key0, key1)
            for j in range(4):
                row = out[4 * block + j]
                for e in range(n):
                    row[first + e] = (np.float64(words[j * BLOCK + e]) + 0.5) / 4294967296.0


def _drawn(chain: tuple[Conditional, ...], uniform: Floats) -> Floats:
    """The frame, (17, n), of events drawn with `uniform` (20, n): tau, lepton, MET, then jets."""
    n = uniform.shape[1]
    frame = np.zeros((N_STEPS, n))
    features = np.empty((N_FEATURES, n), np.float32)
    _draw(chain, _BASE, uniform, frame, features)
    _with_jets(chain, uniform, frame, features)
    return frame


def _draw(
    chain: tuple[Conditional, ...],
    steps: tuple[int, ...],
    uniform: Floats,
    frame: Floats,
    features: Float32,
) -> None:
    for step in steps:
        from_unit(step, _density_of(chain, step).quantile(features, uniform[step]), frame)
        add_features(step, frame, features)


def _with_jets(
    chain: tuple[Conditional, ...], uniform: Floats, frame: Floats, features: Float32
) -> None:
    """Draw the jets of the events that have some, each time going on with those alone."""
    frame[A_JET] = _choice_of(chain, A_JET).quantile(features, uniform[A_JET])
    one = np.flatnonzero(frame[A_JET] > 0)
    u1, f1, x1 = _chosen(uniform, one), _chosen(frame, one), _chosen(features, one)
    _draw(chain, _JET1, u1, f1, x1)
    f1[A_SECOND] = _choice_of(chain, A_SECOND).quantile(x1, u1[A_SECOND])
    two = np.flatnonzero(f1[A_SECOND] > 0)
    u2, f2, x2 = _chosen(u1, two), _chosen(f1, two), _chosen(x1, two)
    _draw(chain, _JET2, u2, f2, x2)
    f2[FURTHER] = _choice_of(chain, FURTHER).quantile(x2, u2[FURTHER])
    more = np.flatnonzero(f2[FURTHER] > 0)
    u3, f3, x3 = _chosen(u2, more), _chosen(f2, more), _chosen(x2, more)
    add_features(FURTHER, f3, x3)
    _draw(chain, (FURTHER_PT,), u3, f3, x3)
    f2[:, more] = f3
    f1[:, two] = f2
    frame[:, one] = f1


def _log_density(chain: tuple[Conditional, ...], frame: Floats) -> Floats:
    """Log of the density of observed events, not yet divided by the acceptance, (n,)."""
    n = frame.shape[1]
    features = np.empty((N_FEATURES, n), np.float32)
    total = _summed(chain, _BASE, frame, features)
    a_jet = _choice_of(chain, A_JET).probabilities(features)
    none = np.flatnonzero(frame[A_JET] == 0)
    some = np.flatnonzero(frame[A_JET] > 0)
    lost = _lost(chain, JET1_PT, _chosen(frame, none), _chosen(features, none))
    total[none] += np.log(a_jet[0, none] + a_jet[1, none] * lost)
    total[some] += np.log(a_jet[1, some]) + _of_jets(
        chain, _chosen(frame, some), _chosen(features, some)
    )
    unseen = (frame[TAU_PT] < TAU_THRESHOLD_GEV) | (frame[LEP_PT] < LEPTON_THRESHOLD_GEV)
    for there, pt in ((A_JET, JET1_PT), (A_SECOND, JET2_PT)):
        unseen |= (frame[there] > 0) & (frame[pt] <= JET_THRESHOLD_GEV)
    total[unseen] = -np.inf
    return total


def _of_jets(chain: tuple[Conditional, ...], frame: Floats, features: Float32) -> Floats:
    """What the jets of events with at least one add to the log of the density."""
    total = _summed(chain, _JET1, frame, features)
    second = _choice_of(chain, A_SECOND).probabilities(features)
    one = np.flatnonzero(frame[A_SECOND] == 0)
    two = np.flatnonzero(frame[A_SECOND] > 0)
    lost = _lost(chain, JET2_PT, _chosen(frame, one), _chosen(features, one))
    total[one] += np.log(second[0, one] + second[1, one] * lost)
    f2, x2 = _chosen(frame, two), _chosen(features, two)
    added = np.log(second[1, two]) + _summed(chain, _JET2, f2, x2)
    added += _choice_of(chain, FURTHER).log_density(x2, f2[FURTHER].astype(np.int64))
    more = np.flatnonzero(f2[FURTHER] > 0)
    f3, x3 = _chosen(f2, more), _chosen(x2, more)
    add_features(FURTHER, f3, x3)
    added[more] += _summed(chain, (FURTHER_PT,), f3, x3)
    total[two] += added
    return total


def _summed(
    chain: tuple[Conditional, ...], steps: tuple[int, ...], frame: Floats, features: Float32
) -> Floats:
    total = np.zeros(frame.shape[1])
    for step in steps:
        total += _density_of(chain, step).log_density(features, to_unit(step, frame))
        add_features(step, frame, features)
    return total


def _lost(chain: tuple[Conditional, ...], step: int, frame: Floats, features: Float32) -> Floats:
    """The probability that a jet, if there is one, is at or below the threshold, (n,)."""
    at = unit_of_pt(step, JET_THRESHOLD_GEV, frame)
    return _density_of(chain, step).cdf(features, at)
