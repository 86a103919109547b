"""Events and their canonical frame, there and back; coordinates in [0, 1], there and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.tasks.higgs import embedded
from sigma68.tasks.higgs.dataset import open_parquet
from sigma68.tasks.higgs.emulate.coordinates import from_unit, to_unit, unit_of_pt
from sigma68.tasks.higgs.emulate.features import add_features
from sigma68.tasks.higgs.emulate.frame import canonical, primaries
from sigma68.tasks.higgs.emulate.steps import (
    A_JET,
    A_SECOND,
    CHOICES,
    CONTEXT,
    FURTHER,
    FURTHER_PT,
    JET1_PT,
    JET2_PT,
    LEP_PHI,
    MOST_FURTHER,
    N_FEATURES,
    N_STEPS,
    STEPS,
    TAU_ETA,
)
from sigma68.tasks.higgs.schema import (
    HAD_ETA,
    HAD_PHI,
    JET1_PHI,
    JET_ALL_PT,
    LEP_ETA,
    MET_PHI,
    N_JETS,
    PRIMARIES,
)
from sigma68.tasks.higgs.schema import (
    LEP_PHI as LEP_PHI_COLUMN,
)

Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def events() -> npt.NDArray[np.float32]:
    """Primaries of some embedded events, (16, n), all processes."""
    file = open_parquet(str(embedded.PATH))
    every = np.concatenate([b.values[:, ::25] for b in file.iter_batches(PRIMARIES)], axis=1)
    return np.ascontiguousarray(every[:, every[N_JETS] <= MOST_FURTHER + 2])


@pytest.fixture(scope="module")
def frame(events: npt.NDArray[np.float32]) -> Floats:
    return canonical(events)


def _has(step: int, frame: Floats) -> npt.NDArray[np.bool_]:
    if step < JET1_PT:
        return np.ones(frame.shape[1], np.bool_)
    given = FURTHER if step == FURTHER_PT else A_SECOND if step >= JET2_PT else A_JET
    return np.asarray(frame[given] > 0)


def test_frame_is_canonical(frame: Floats) -> None:
    assert frame[TAU_ETA].min() >= 0
    assert frame[LEP_PHI].min() >= 0
    assert frame[LEP_PHI].max() <= np.pi


def test_turns_and_reflections_change_nothing(
    events: npt.NDArray[np.float32], frame: Floats
) -> None:
    moved = events.copy()
    phis = [LEP_PHI_COLUMN, HAD_PHI, MET_PHI, JET1_PHI, JET1_PHI + 3]
    for row in phis:
        there = moved[row] > -20
        moved[row, there] = (-moved[row, there] + 1.0 + np.pi) % (2 * np.pi) - np.pi
    for row in (LEP_ETA, HAD_ETA, JET1_PHI - 1, JET1_PHI + 2):
        there = moved[row] > -20
        moved[row, there] *= -1
    again = canonical(moved)
    # An event whose angles lie at 0 or pi may be reflected either way.
    inside = (frame[LEP_PHI] > 0.01) & (frame[LEP_PHI] < np.pi - 0.01) & (frame[TAU_ETA] > 0.01)
    inside &= np.abs(np.abs(frame[10]) - np.pi) > 0.01
    inside &= np.abs(np.abs(frame[14]) - np.pi) > 0.01
    np.testing.assert_allclose(again[:, inside], frame[:, inside], atol=2e-3, rtol=1e-4)


def test_primaries_come_back(events: npt.NDArray[np.float32], frame: Floats) -> None:
    angle = events[HAD_PHI].astype(np.float64)
    lepton = (events[LEP_PHI_COLUMN] - angle + np.pi) % (2 * np.pi) - np.pi
    again = primaries(frame, angle, lepton < 0, events[HAD_ETA] < 0)
    for row, name in enumerate(PRIMARIES):
        difference = np.abs(again[row].astype(np.float64) - events[row])
        if name.endswith("phi"):
            difference = np.minimum(difference, np.abs(difference - 2 * np.pi))
        assert difference.max() < (0.0021 if row == JET_ALL_PT else 0.0011), name


def test_coordinates_come_back(frame: Floats) -> None:
    again = frame.copy()
    for step in range(N_STEPS):
        if step in CHOICES:
            continue
        here = np.flatnonzero(_has(step, frame))
        own, filled = frame[:, here], again[:, here]
        x = to_unit(step, own)
        assert ((x > 0) & (x < 1)).all()
        filled[step] = -1
        from_unit(step, x, filled)
        np.testing.assert_allclose(filled[step], own[step], atol=1e-4, err_msg=STEPS[step])
        # Hardly an event lies where the map ends: what is possible is covered.
        assert ((x < 2e-6) | (x > 1 - 2e-6)).mean() < 1e-3, STEPS[step]


def test_coordinates_ascend(frame: Floats) -> None:
    one = np.repeat(frame[:, frame[FURTHER] > 0][:, :1], 99, axis=1)
    x = np.linspace(0.01, 0.99, 99)
    for step in range(N_STEPS):
        if step not in CHOICES:
            moved = one.copy()
            from_unit(step, x, moved)
            assert (np.diff(moved[step]) > 0).all(), STEPS[step]
            np.testing.assert_allclose(to_unit(step, moved), x, atol=1e-9)


def test_unit_of_pt_leaves_the_frame_alone(frame: Floats) -> None:
    before = frame[:, :100].copy()
    at = unit_of_pt(JET1_PT, 26.0, before)[before[A_JET] > 0]
    np.testing.assert_array_equal(before, frame[:, :100])
    own = before[:, before[A_JET] > 0]
    np.testing.assert_array_equal(at < to_unit(JET1_PT, own), own[JET1_PT] > 26.0)


def test_features_are_added_in_the_order_they_are_seen(frame: Floats) -> None:
    """A conditional sees rows that were filled before its step, and all of those."""
    both = frame[:, frame[FURTHER] > 0][:, :50]
    features = np.full((N_FEATURES, both.shape[1]), np.nan, np.float32)
    for step in range(N_STEPS):
        assert np.isfinite(features[: CONTEXT[step]]).all(), STEPS[step]
        assert np.isnan(features[CONTEXT[step] :]).all(), STEPS[step]
        add_features(step, both, features)
    assert np.isfinite(features).all()


def test_features_do_not_look_ahead(frame: Floats) -> None:
    both = frame[:, frame[FURTHER] > 0][:, :50]
    for step in range(N_STEPS):
        features = np.zeros((2, N_FEATURES, both.shape[1]), np.float32)
        changed = both.copy()
        changed[step + 1 :] += 0.5
        for past in range(step + 1):
            add_features(past, both, features[0])
            add_features(past, changed, features[1])
        np.testing.assert_array_equal(features[0], features[1])
