"""Coordinates in which events that differ by a symmetry alone are the same."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.events import made_columns

from sigma68.tasks.higgs.schema import (
    HAD_ETA,
    HAD_PHI,
    JET1_ETA,
    JET1_PHI,
    JET1_PT,
    JET2_ETA,
    JET2_PHI,
    LEP_ETA,
    LEP_PHI,
    MET,
    MET_PHI,
    UNDEFINED,
)
from sigma68.tasks.higgs.validation.canonical import JET_NUMBERS, canonical, jet_number

ANGLES = (LEP_PHI, HAD_PHI, JET1_PHI, JET2_PHI, MET_PHI)
ETAS = (LEP_ETA, HAD_ETA, JET1_ETA, JET2_ETA)


def events(n_jets: int) -> np.ndarray:
    """Made-up events; none whose tau or lepton is on no side."""
    values = made_columns(4000, 3)[0]
    sided = (values[HAD_ETA] != 0) & (values[LEP_PHI] != values[HAD_PHI])
    return values[:, sided & (jet_number(values) == n_jets)]


@pytest.mark.parametrize("n_jets", range(len(JET_NUMBERS)))
def test_what_symmetry_alone_distinguishes_is_the_same(n_jets: int) -> None:
    values = events(n_jets)
    assert values.shape[1] > 200
    base = canonical(values, n_jets)
    assert base.shape == (values.shape[1], (7, 11, 17)[n_jets])
    assert np.isfinite(base).all()
    for turn, side, end in ((2.0, 1, 1), (0.0, -1, 1), (0.0, 1, -1), (-3.0, -1, -1)):
        other = values.copy()
        for column in ANGLES:
            turned = np.remainder(side * values[column] + turn + np.pi, 2 * np.pi) - np.pi
            other[column] = np.where(values[column] == UNDEFINED, UNDEFINED, turned)
        for column in ETAS:
            defined = values[column] != UNDEFINED
            other[column] = np.where(defined, end * values[column], UNDEFINED)
        np.testing.assert_allclose(canonical(other, n_jets), base, atol=2e-5)


@pytest.mark.parametrize("column", [LEP_PHI, HAD_ETA, JET1_PT, JET1_ETA, JET1_PHI, MET, MET_PHI])
def test_whatever_else_differs_moves_an_event(column: int) -> None:
    values = events(1)
    other = values.copy()
    other[column] = values[column] * 1.1 + 0.05
    moved = np.abs(canonical(other, 1) - canonical(values, 1)).max(axis=1)
    assert (moved > 1e-3).mean() > 0.98
