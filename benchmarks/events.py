"""Made-up events with the schema and the yields of the real ones, in any number, within seconds.

The physics is NOT real: momenta come from simple distributions tuned by eye to look like each
process, and no correlation between particles can be trusted beyond "MET lies about the
lepton, the tau is opposite to it". What is right is what tests and benchmarks need:
columns, types, rounding, thresholds, undefined values, the mix of processes, the weights and the
expected yields. Results obtained on these events say nothing about the Higgs boson.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from sigma68.tasks.higgs.schema import (
    DERIVED,
    EXPECTED_EVENTS,
    PRIMARIES,
    PROCESSES,
    UNDEFINED,
)

__all__ = ["made_columns", "made_events"]

Column = npt.NDArray[np.float32]

ROW_SHARES = np.array([52_040_227, 160_383_358, 7_070_398, 605_118], dtype=np.float64)
"""Generated events per process (Table 1): the mix of rows."""

# Per process, in the order of PROCESSES.
_JET_MEANS = (1.35, 0.52, 2.9, 0.95)  # mean number of jets (Poisson, at most 8)
_JET_PT = (38.0, 30.0, 48.0, 34.0)  # GeV, scale of the exponential above the threshold
_LEP_PT = (17.0, 9.5, 42.0, 24.0)  # GeV, above 20
_HAD_PT = (12.0, 7.3, 13.5, 9.0)  # GeV, scale of a gamma of shape 2 above 23
_NEUTRINO = (0.6, 0.4, 1.0, 0.9)  # mean MET, in units of the lepton's pt
_NEUTRINO_ANGLE = (0.7, 0.7, 2.0, 1.5)  # rad, spread of its angle to the lepton
_BACK_TO_BACK = (0.55, 0.35, 1.1, 0.9)  # rad, spread of the angle between lepton and tau
# Weights within a process, relative, and how often they occur: production codes differ.
_WEIGHTS: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = (
    ((0.993, 0.996, 1.0, 1.001, 1.003), (0.05, 0.1, 0.7, 0.1, 0.05)),
    ((1.0,), (1.0,)),
    ((1.0, 0.992, 0.882), (0.9, 0.07, 0.03)),
    ((1.0, 0.97, 1.04), (0.6, 0.3, 0.1)),
)


def made_events(n: int, seed: int) -> pd.DataFrame:
    """`n` made-up events as the public file stores them, in random order of the processes.

    28 feature columns and `weights` (float32), `detailed_labels` (category), `labels` (float32).
    The weights of each process sum to its expected events at 10 fb^-1. Every process has at
    least one row.

    Raises
    ------
    ValueError
        If `n` is smaller than the number of processes.
    """
    from sigma68.tasks.higgs.derived import derive

    primaries, process, weights = made_columns(n, seed)
    columns: dict[str, object] = dict(zip(PRIMARIES, primaries, strict=True))
    columns["weights"] = weights.astype(np.float32)
    columns["detailed_labels"] = pd.Categorical.from_codes(process.tolist(), list(PROCESSES))
    columns["labels"] = (process == 0).astype(np.float32)
    columns.update(zip(DERIVED, derive(primaries), strict=True))
    return pd.DataFrame(columns, copy=False)


def made_columns(n: int, seed: int) -> tuple[Column, npt.NDArray[np.int8], npt.NDArray[np.float64]]:
    """The same events as plain arrays: primaries (16, n), process (n,), weights (n,)."""
    if n < len(PROCESSES):
        raise ValueError(f"made events need at least one row per process: {n} < {len(PROCESSES)}")
    rng = np.random.default_rng(seed)
    counts = _counts(n)
    process = np.repeat(np.arange(len(PROCESSES), dtype=np.int8), counts)
    rng.shuffle(process)
    return _primaries(rng, process), process, _weights(rng, process, counts)


def _counts(n: int) -> npt.NDArray[np.int64]:
    counts = np.maximum(1, (n * ROW_SHARES / ROW_SHARES.sum()).astype(np.int64))
    counts[1] += n - counts.sum()
    return counts


def _weights(
    rng: np.random.Generator, process: npt.NDArray[np.int8], counts: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    weights = np.empty(len(process))
    for p, (values, shares) in enumerate(_WEIGHTS):
        drawn = rng.choice(values, size=counts[p], p=shares)
        weights[process == p] = drawn * (EXPECTED_EVENTS[p] / drawn.sum())
    return weights


def _primaries(rng: np.random.Generator, process: npt.NDArray[np.int8]) -> Column:
    n = len(process)

    def exponential(scales: tuple[float, ...]) -> Column:
        scale = np.array(scales, np.float32)[process]
        return rng.standard_exponential(n, np.float32) * scale

    out = np.full((len(PRIMARIES), n), UNDEFINED, np.float32)
    column = dict(zip(PRIMARIES, out, strict=True))
    lep_pt = 20 + exponential(_LEP_PT)
    had_pt = 23 + rng.standard_gamma(2, n, np.float32) * np.array(_HAD_PT, np.float32)[process]
    lep_phi = _uniform_phi(rng, n)
    spread = np.array(_BACK_TO_BACK, np.float32)[process]
    had_phi = lep_phi + np.float32(np.pi) + rng.standard_normal(n, np.float32) * spread
    column["PRI_lep_pt"][:] = lep_pt
    column["PRI_lep_eta"][:] = _eta(rng, n, 1.2, 2.499)
    column["PRI_lep_phi"][:] = lep_phi
    column["PRI_had_pt"][:] = had_pt
    column["PRI_had_eta"][:] = _eta(rng, n, 1.2, 2.65)
    column["PRI_had_phi"][:] = _wrapped(had_phi)
    _jets(rng, process, column, exponential(_JET_PT), exponential(_JET_PT))
    neutrino = lep_pt * np.array(_NEUTRINO, np.float32)[process]
    neutrino *= rng.standard_exponential(n, np.float32)
    angle = rng.standard_normal(n, np.float32) * np.array(_NEUTRINO_ANGLE, np.float32)[process]
    met_x = neutrino * np.cos(lep_phi + angle) + 9 * rng.standard_normal(n, np.float32)
    met_y = neutrino * np.sin(lep_phi + angle) + 9 * rng.standard_normal(n, np.float32)
    column["PRI_met"][:] = np.hypot(met_x, met_y)
    column["PRI_met_phi"][:] = np.arctan2(met_y, met_x)
    return np.round(out, 3)


def _jets(
    rng: np.random.Generator,
    process: npt.NDArray[np.int8],
    column: dict[str, Column],
    first: Column,
    second: Column,
) -> None:
    """Fill the jet columns in place: the listed jets ordered in pt, further ones softer still."""
    n = len(process)
    low = np.float32(23.0)
    count = np.minimum(rng.poisson(np.array(_JET_MEANS)[process]), 8).astype(np.float32)
    one, two = count >= 1, count >= 2
    leading = low + np.where(two, np.maximum(first, second), first)
    subleading = low + np.minimum(first, second)
    further = np.maximum(count - 2, 0) * (low + (subleading - low) * rng.random(n, np.float32))
    for name, there, pt in (("leading", one, leading), ("subleading", two, subleading)):
        rounded = np.round(pt, 3)
        column[f"PRI_jet_{name}_pt"][there] = rounded[there]
        column[f"PRI_jet_{name}_eta"][there] = _eta(rng, n, 1.9, 4.7)[there]
        column[f"PRI_jet_{name}_phi"][there] = _uniform_phi(rng, n)[there]
    column["PRI_n_jets"][:] = count
    listed = np.where(one, np.round(leading, 3), 0) + np.where(two, np.round(subleading, 3), 0)
    column["PRI_jet_all_pt"][:] = listed + np.where(two, further, 0)


def _eta(rng: np.random.Generator, n: int, width: float, limit: float) -> Column:
    eta = rng.standard_normal(n, np.float32) * np.float32(width)
    # Reflected at the acceptance's edge rather than piled up on it.
    return np.abs((eta + limit) % (4 * limit) - 2 * limit) - limit


def _uniform_phi(rng: np.random.Generator, n: int) -> Column:
    return (rng.random(n, np.float32) * 2 - 1) * np.float32(np.pi)


def _wrapped(phi: Column) -> Column:
    return phi - np.float32(2 * np.pi) * np.round(phi / np.float32(2 * np.pi))
