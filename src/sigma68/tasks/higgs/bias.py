"""The three biases that change events: tau energy scale, jet energy scale, soft MET.

Appendix D of the paper, in the specification's order: scale the pts and correct MET by
(1 - tes) p_had + (1 - jes) p_jet for the two listed jets, with p the unbiased momentum; add
normal(0, soft_met) GeV to each component of MET; round the primaries to 3 decimals; apply the
high thresholds; compute the derived columns. One pass over blocks of events, in double
precision, several events per instruction.

The peer counts jets differently in one case (`peer_compatible`): with three or more jets whose
subleading one falls to the threshold, it lowers the count by one and keeps the rest.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from sigma68.tasks.higgs.derived import (
    CHUNK,
    COS_HAD,
    COS_JET1,
    COS_JET2,
    COS_MET,
    N_FEATURES,
    N_PRIMARY,
    NOISE_X,
    NOISE_Y,
    SIN_HAD,
    SIN_JET1,
    SIN_JET2,
    SIN_MET,
    SLOTS,
    derive_block,
    directions,
)
from sigma68.tasks.higgs.elementary import arctan2, round_to_thousandths, sin_cos
from sigma68.tasks.higgs.philox import BLOCK, SOFT_MET, philox_block
from sigma68.tasks.higgs.schema import (
    HAD_ETA,
    HAD_PHI,
    HAD_PT,
    JET1_ETA,
    JET1_PHI,
    JET1_PT,
    JET2_ETA,
    JET2_PHI,
    JET2_PT,
    JET_ALL_PT,
    LEP_ETA,
    LEP_PHI,
    LEP_PT,
    MET,
    MET_PHI,
    N_JETS,
    UNDEFINED,
)
from sigma68.tasks.higgs.streaming_store import store_column

__all__ = [
    "JET_THRESHOLD_GEV",
    "LEPTON_THRESHOLD_GEV",
    "TAU_THRESHOLD_GEV",
    "bias_block",
    "bias_columns",
    "passes",
    "soft_met_noise",
    "store_block",
]

TAU_THRESHOLD_GEV = 26.0
"""An event whose tau is softer is dropped."""
LEPTON_THRESHOLD_GEV = 20.0
"""An event whose lepton is softer is dropped."""
JET_THRESHOLD_GEV = 26.0
"""A listed jet that is not harder is removed from its event."""

_UNIT = 1.0 / 4294967296.0
_LOG_2, _LOG_1_5 = math.log(2.0), math.log(1.5)
_MANTISSA = np.int64((1 << 52) - 1)
_ONE = np.int64(1023 << 52)


@njit(cache=True, error_model="numpy")
def soft_met_noise(w, words, events, n, soft_met, key0, key1):  # type: ignore[no-untyped-def]
    """Normal noise of width `soft_met` for both MET components (Box-Muller), by event number."""
    philox_block(words, events, n, SOFT_MET, key0, key1)
    bits = w.view(np.int64)
    at = NOISE_X * BLOCK
    for e in range(n):
        w[at + e] = np.float64(words[e] + np.uint64(1))
    # Logarithm of (word + 1) / 2^32: the exponent from the bits, the mantissa m from [1, 2) by
    # log m = 2 artanh((m - 1) / (m + 1)), about 1.5.
    for e in range(n):
        exponent = (bits[at + e] >> 52) - 1023
        w[NOISE_Y * BLOCK + e] = np.float64(exponent)
        bits[at + e] = (bits[at + e] & _MANTISSA) | _ONE
    for e in range(n):
        t = (w[at + e] - 1.5) / (w[at + e] + 1.5)
        z = t * t
        series = 1.0 / 13.0 + z * (1.0 / 15.0 + z * (1.0 / 17.0))
        series = 1.0 / 7.0 + z * (1.0 / 9.0 + z * (1.0 / 11.0 + z * series))
        series = 1.0 + z * (1.0 / 3.0 + z * (1.0 / 5.0 + z * series))
        log = (w[NOISE_Y * BLOCK + e] - 32.0) * _LOG_2 + _LOG_1_5 + 2.0 * t * series
        radius = soft_met * math.sqrt(max(-2.0 * log, 0.0))
        s, c = sin_cos(2.0 * math.pi * _UNIT * np.float64(words[BLOCK + e]))
        w[at + e] = radius * c
        w[NOISE_Y * BLOCK + e] = radius * s


@njit(inline="always")
def passes(lep_pt, had_pt, tes):  # type: ignore[no-untyped-def]
    """Whether an event with these unbiased pts survives the high thresholds."""
    return (round_to_thousandths(tes * had_pt) >= TAU_THRESHOLD_GEV) & (
        round_to_thousandths(lep_pt) >= LEPTON_THRESHOLD_GEV
    )


@njit(cache=True, error_model="numpy")
def bias_block(w, n, tes, jes, thresholds, peer_compatible):  # type: ignore[no-untyped-def]
    """Bias the primaries in slots 0 to 15 and fill the derived slots.

    Noise stands in the NOISE slots. Events that do not pass were left out before (`passes`);
    without `thresholds` soft jets are kept.
    """
    _round_what_stays(w, n)
    directions(w, n)
    _scale(w, n, tes, jes)
    _new_met(w, n)
    if thresholds:
        _drop_soft_jets(w, n, peer_compatible)
    derive_block(w, n)


@njit(cache=True, error_model="numpy")
def _round_what_stays(w, n):  # type: ignore[no-untyped-def]
    # No loop over the slots: the compiler vectorises with the offsets written out.
    for e in range(n):
        w[LEP_PT * BLOCK + e] = round_to_thousandths(w[LEP_PT * BLOCK + e])
        w[LEP_ETA * BLOCK + e] = round_to_thousandths(w[LEP_ETA * BLOCK + e])
        w[LEP_PHI * BLOCK + e] = round_to_thousandths(w[LEP_PHI * BLOCK + e])
        w[HAD_ETA * BLOCK + e] = round_to_thousandths(w[HAD_ETA * BLOCK + e])
        w[HAD_PHI * BLOCK + e] = round_to_thousandths(w[HAD_PHI * BLOCK + e])
    for e in range(n):
        w[JET1_ETA * BLOCK + e] = round_to_thousandths(w[JET1_ETA * BLOCK + e])
        w[JET1_PHI * BLOCK + e] = round_to_thousandths(w[JET1_PHI * BLOCK + e])
        w[JET2_ETA * BLOCK + e] = round_to_thousandths(w[JET2_ETA * BLOCK + e])
        w[JET2_PHI * BLOCK + e] = round_to_thousandths(w[JET2_PHI * BLOCK + e])


@njit(cache=True, error_model="numpy")
def _scale(w, n, tes, jes):  # type: ignore[no-untyped-def]
    """Scale tau and jets; leave the new MET components in the slots of its direction."""
    for e in range(n):
        n_jets = w[N_JETS * BLOCK + e]
        had = w[HAD_PT * BLOCK + e]
        jet1 = w[JET1_PT * BLOCK + e]
        jet2 = w[JET2_PT * BLOCK + e]
        lost_had = (1.0 - tes) * had
        lost_jet1 = (1.0 - jes) * jet1 if n_jets >= 1.0 else 0.0
        lost_jet2 = (1.0 - jes) * jet2 if n_jets >= 2.0 else 0.0
        met = w[MET * BLOCK + e]
        w[COS_MET * BLOCK + e] = (
            met * w[COS_MET * BLOCK + e]
            + lost_had * w[COS_HAD * BLOCK + e]
            + lost_jet1 * w[COS_JET1 * BLOCK + e]
            + lost_jet2 * w[COS_JET2 * BLOCK + e]
            + w[NOISE_X * BLOCK + e]
        )
        w[SIN_MET * BLOCK + e] = (
            met * w[SIN_MET * BLOCK + e]
            + lost_had * w[SIN_HAD * BLOCK + e]
            + lost_jet1 * w[SIN_JET1 * BLOCK + e]
            + lost_jet2 * w[SIN_JET2 * BLOCK + e]
            + w[NOISE_Y * BLOCK + e]
        )
        w[HAD_PT * BLOCK + e] = round_to_thousandths(tes * had)
        w[JET1_PT * BLOCK + e] = round_to_thousandths(jes * jet1 if n_jets >= 1.0 else jet1)
        w[JET2_PT * BLOCK + e] = round_to_thousandths(jes * jet2 if n_jets >= 2.0 else jet2)
        w[JET_ALL_PT * BLOCK + e] = round_to_thousandths(jes * w[JET_ALL_PT * BLOCK + e])


@njit(cache=True, error_model="numpy")
def _new_met(w, n):  # type: ignore[no-untyped-def]
    """MET and its azimuth from the components, rounded; and the direction of the rounded azimuth."""
    for e in range(n):
        x = w[COS_MET * BLOCK + e]
        y = w[SIN_MET * BLOCK + e]
        met = math.sqrt(x * x + y * y)
        phi = arctan2(y, x)
        rounded = round_to_thousandths(phi)
        w[MET * BLOCK + e] = round_to_thousandths(met)
        w[MET_PHI * BLOCK + e] = rounded
        # Rounding turns by at most 0.0005, where these series are exact.
        turn = rounded - phi
        s = turn * (1.0 - turn * turn * (1.0 / 6.0))
        c = 1.0 - 0.5 * turn * turn
        safe = met if met > 0.0 else 1.0
        cos_phi = x / safe if met > 0.0 else 1.0
        sin_phi = y / safe
        w[COS_MET * BLOCK + e] = cos_phi * c - sin_phi * s
        w[SIN_MET * BLOCK + e] = sin_phi * c + cos_phi * s


@njit(cache=True, error_model="numpy")
def _drop_soft_jets(w, n, peer_compatible):  # type: ignore[no-untyped-def]
    for e in range(n):
        n_jets = w[N_JETS * BLOCK + e]
        jet1 = w[JET1_PT * BLOCK + e]
        jet2 = w[JET2_PT * BLOCK + e]
        all_pt = w[JET_ALL_PT * BLOCK + e]
        lose1 = (n_jets >= 1.0) & (jet1 <= JET_THRESHOLD_GEV)
        lose2 = (n_jets >= 2.0) & (jet2 <= JET_THRESHOLD_GEV)
        if peer_compatible:
            all_pt = all_pt - (jet2 if lose2 else 0.0) - (jet1 if lose1 else 0.0)
            n_jets = n_jets - (1.0 if lose2 else 0.0) - (1.0 if lose1 else 0.0)
        else:
            # Every further jet is softer than the subleading one: it is gone as well.
            lose2 = lose2 | ((n_jets >= 2.0) & lose1)
            n_jets = 1.0 if lose2 else n_jets
            all_pt = jet1 if lose2 else all_pt
            n_jets = 0.0 if lose1 else n_jets
            all_pt = 0.0 if lose1 else all_pt
        w[N_JETS * BLOCK + e] = n_jets
        w[JET_ALL_PT * BLOCK + e] = all_pt
        w[JET1_PT * BLOCK + e] = UNDEFINED if lose1 else jet1
        w[JET2_PT * BLOCK + e] = UNDEFINED if lose2 else jet2
        w[JET1_ETA * BLOCK + e] = UNDEFINED if lose1 else w[JET1_ETA * BLOCK + e]
        w[JET1_PHI * BLOCK + e] = UNDEFINED if lose1 else w[JET1_PHI * BLOCK + e]
        w[JET2_ETA * BLOCK + e] = UNDEFINED if lose2 else w[JET2_ETA * BLOCK + e]
        w[JET2_PHI * BLOCK + e] = UNDEFINED if lose2 else w[JET2_PHI * BLOCK + e]
        # The peer's events with two or more jets and an undefined second one do use it.
        w[COS_JET2 * BLOCK + e] = _COS_UNDEFINED if lose2 else w[COS_JET2 * BLOCK + e]
        w[SIN_JET2 * BLOCK + e] = _SIN_UNDEFINED if lose2 else w[SIN_JET2 * BLOCK + e]
        w[COS_JET1 * BLOCK + e] = _COS_UNDEFINED if lose1 else w[COS_JET1 * BLOCK + e]
        w[SIN_JET1 * BLOCK + e] = _SIN_UNDEFINED if lose1 else w[SIN_JET1 * BLOCK + e]


_COS_UNDEFINED, _SIN_UNDEFINED = math.cos(UNDEFINED), math.sin(UNDEFINED)


@njit(cache=True)
def store_block(w, n, narrow, out, at):  # type: ignore[no-untyped-def]
    """Write the features of a block to ``out[:, at : at + n]``; `narrow` (BLOCK,) is scratch."""
    for column in range(N_FEATURES):
        for e in range(n):
            narrow[e] = np.float32(w[column * BLOCK + e])
        store_column(narrow, n, out, column, at)


@njit(cache=True, parallel=True, error_model="numpy")
def _passing(values, tes, thresholds, rows):  # type: ignore[no-untyped-def]
    """Rows that pass, chunk by chunk at the front of each chunk of `rows`; their numbers."""
    n = values.shape[1]
    counts = np.zeros((n + CHUNK - 1) // CHUNK, np.int64)
    for chunk in prange(counts.size):
        at = chunk * CHUNK
        for row in range(chunk * CHUNK, min((chunk + 1) * CHUNK, n)):
            rows[at] = row
            at += np.int64((not thresholds) | passes(values[LEP_PT, row], values[HAD_PT, row], tes))
        counts[chunk] = at - chunk * CHUNK
    return counts


@njit(cache=True, parallel=True, error_model="numpy")
def _bias(  # type: ignore[no-untyped-def]
    values, rows, noise, tes, jes, soft_met, key, first_event, thresholds, peer_compatible, out
):
    n = rows.size
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        w = np.zeros(SLOTS * BLOCK, np.float64)
        words = np.empty(4 * BLOCK, np.uint64)
        events = np.empty(BLOCK, np.int64)
        narrow = np.empty(BLOCK, np.float32)
        for first in range(chunk * CHUNK, min((chunk + 1) * CHUNK, n), BLOCK):
            m = min(BLOCK, n - first)
            for column in range(N_PRIMARY):
                for e in range(m):
                    w[column * BLOCK + e] = values[column, np.uintp(rows[first + e])]
            if noise.shape[1] > 0:
                for e in range(m):
                    w[NOISE_X * BLOCK + e] = noise[0, rows[first + e]]
                    w[NOISE_Y * BLOCK + e] = noise[1, rows[first + e]]
            elif soft_met > 0.0:
                for e in range(m):
                    events[e] = first_event + rows[first + e]
                soft_met_noise(w, words, events, m, soft_met, key[0], key[1])
            bias_block(w, m, tes, jes, thresholds, peer_compatible)
            store_block(w, m, narrow, out, first)


def bias_columns(
    values: npt.NDArray[np.float32],
    tes: float = 1.0,
    jes: float = 1.0,
    soft_met: float = 0.0,
    key32: npt.NDArray[np.uint32] | None = None,
    *,
    first_event: int = 0,
    peer_compatible: bool = False,
    noise: npt.NDArray[np.float64] | None = None,
    keep_low: bool = False,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Biased events: all 28 features, and which rows they come from.

    Parameters
    ----------
    values
        Primary columns in the order of `schema.PRIMARIES`, float32, shape (16, n) or more rows
        (the first 16 are read), all finite.
    tes, jes, soft_met
        The nuisance parameters (soft_met in GeV).
    key32
        Key of the soft-MET noise (`Stream.key32`); needed if soft_met > 0 and no `noise`.
    first_event
        Number of the first event in its stream: pieces of one data set, biased one after the
        other with their row numbers, get the noise of the whole.
    peer_compatible
        Count jets as the peer does (see the module's docstring).
    noise
        The noise itself in GeV, float64, shape (2, n), instead of drawing it.
    keep_low
        Leave out the high thresholds: no event and no jet is removed.

    Returns
    -------
    features, rows
        float32, shape (28, m), in the order of `schema.FEATURES`; int64, shape (m,), increasing.

    Raises
    ------
    ValueError
        If a shape or dtype is not as above, or noise is wanted and neither key nor noise given.
    """
    if values.ndim != 2 or values.shape[0] < N_PRIMARY or values.dtype != np.float32:
        raise ValueError(
            f"values must be float32 of shape ({N_PRIMARY}, n), "
            f"not {values.dtype} of shape {values.shape}"
        )
    n = values.shape[1]
    if noise is None:
        if soft_met > 0 and key32 is None:
            raise ValueError("soft_met > 0 needs the key of a stream, or the noise itself")
        noise = np.empty((2, 0))
    elif noise.shape != (2, n):
        raise ValueError(f"noise must have shape (2, {n}), not {noise.shape}")
    key = np.zeros(2, np.uint32) if key32 is None else key32
    rows = np.empty(n, np.int64)
    counts = _passing(values, tes, not keep_low, rows)
    rows = np.concatenate(
        [rows[chunk * CHUNK :][:count] for chunk, count in enumerate(counts)] or [rows]
    )
    out = np.empty((N_FEATURES, rows.size), np.float32)
    _bias(
        values,
        rows,
        noise,
        tes,
        jes,
        soft_met,
        key,
        first_event,
        not keep_low,
        peer_compatible,
        out,
    )
    return out, rows
