"""Events and their canonical frame, there and back; coordinates in [0, 1], there and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.seeds import stream
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
    JET1_ETA,
    JET1_PT,
    JET1_TURN,
    JET2_ETA,
    JET2_PT,
    JET2_TURN,
    LEP_ETA,
    LEP_PHI,
    LEP_PT,
    MET_ACROSS,
    MET_ALONG,
    MOST_FURTHER,
    N_FEATURES,
    N_STEPS,
    STEPS,
    TAU_ETA,
    TAU_PT,
)
from sigma68.tasks.higgs.schema import (
    HAD_ETA,
    HAD_PHI,
    JET1_PHI,
    JET_ALL_PT,
    MET_PHI,
    N_JETS,
    PRIMARIES,
)
from sigma68.tasks.higgs.schema import LEP_ETA as LEP_ETA_COLUMN
from sigma68.tasks.higgs.schema import LEP_PHI as LEP_PHI_COLUMN

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


def _wrapped(angle: Floats) -> Floats:
    return np.asarray((angle + np.pi) % (2 * np.pi) - np.pi)


def _directions(frame: Floats) -> dict[str, tuple[Floats, Floats]]:
    """Pseudorapidity and azimuth from the tau of all objects, by the formulae, (n,) each."""
    phi = frame[LEP_PHI]
    x = -(frame[TAU_PT] + (frame[LEP_PT] + frame[MET_ALONG]) * np.cos(phi))
    x -= frame[MET_ACROSS] * np.sin(phi)
    y = -(frame[LEP_PT] + frame[MET_ALONG]) * np.sin(phi) + frame[MET_ACROSS] * np.cos(phi)
    first = np.arctan2(y, x) + frame[JET1_TURN]
    return {
        "tau": (frame[TAU_ETA], np.zeros(frame.shape[1])),
        "lepton": (frame[LEP_ETA], phi),
        "jet 1": (frame[JET1_ETA], first),
        "jet 2": (frame[JET2_ETA], first + frame[JET2_TURN]),
    }


def _least_distance(step: int, frame: Floats) -> Floats:
    """How near the object of a step that is a direction is to those before it, (n,)."""
    every = _directions(frame)
    number = {LEP_PHI: 1, JET1_TURN: 2, JET2_TURN: 3}.get(step, 0)
    names = list(every)
    eta, phi = every[names[number]]
    least = np.full(frame.shape[1], np.inf)
    for name in names[:number]:
        apart = np.hypot(eta - every[name][0], _wrapped(phi - every[name][1]))
        least = np.minimum(least, apart)
    return least


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
    for row in (LEP_ETA_COLUMN, HAD_ETA, JET1_PHI - 1, JET1_PHI + 2):
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
        # The simulation has a few events with two objects nearer than the coordinates know.
        apart = _least_distance(step, own) > 0.59
        assert apart.mean() > 0.999
        difference = filled[step] - own[step]
        if step in (JET1_TURN, JET2_TURN):
            difference = _wrapped(difference)
        np.testing.assert_allclose(difference[apart], 0, atol=1e-4, err_msg=STEPS[step])
        # Hardly an event lies where the map ends: what is possible is covered.
        assert ((x < 2e-6) | (x > 1 - 2e-6)).mean() < 1e-3, STEPS[step]


def test_coordinates_ascend(frame: Floats) -> None:
    one = np.repeat(frame[:, frame[FURTHER] > 0][:, :1], 99, axis=1)
    x = np.linspace(0.01, 0.99, 99)
    for step in range(N_STEPS):
        if step not in CHOICES:
            moved = one.copy()
            from_unit(step, x, moved)
            value = np.unwrap(moved[step]) if step == JET2_TURN else moved[step]
            assert (np.diff(value) > 0).all(), STEPS[step]
            np.testing.assert_allclose(to_unit(step, moved), x, atol=1e-9)


@pytest.mark.parametrize("step", [LEP_PHI, JET1_TURN, JET2_TURN])
def test_nothing_drawn_is_too_near(frame: Floats, step: int) -> None:
    """Any coordinate is an angle that is apart from all objects, the nearest 0.59 away."""
    own = frame[:, _has(step, frame)]
    # Where the others are spread at random, gaps are met more often than in events.
    rng = stream("higgs", "test gaps", 1).generator()
    for row in (TAU_ETA, LEP_ETA, JET1_ETA, JET2_ETA):
        own[row] = rng.uniform(-1, 1, own.shape[1])
    x = rng.random(own.shape[1])
    from_unit(step, x, own)
    least = _least_distance(step, own)
    assert least.min() >= 0.59 - 1e-9
    assert np.mean(least < 0.6) > 5e-4
    np.testing.assert_allclose(to_unit(step, own), np.clip(x, 1e-6, 1 - 1e-6), atol=1e-9)


def test_frames_come_back(frame: Floats) -> None:
    """Frame, events, frame: the turns too, to the rounding of angles and momenta."""
    n = frame.shape[1]
    rng = stream("higgs", "test frames", 1).generator()
    angle = rng.uniform(-np.pi, np.pi, n)
    mirrored, backward = rng.random((2, n)) < 0.5
    again = canonical(primaries(frame, angle, mirrored, backward))
    met = 1.0 + np.hypot(frame[MET_ACROSS], frame[MET_ALONG])
    clear = (frame[TAU_ETA] > 0.01) & (np.abs(np.sin(frame[LEP_PHI])) > 0.01)
    for step, row in enumerate(frame):
        difference = again[step] - row
        if step in (JET1_TURN, JET2_TURN):
            difference = _wrapped(difference)
        own = clear & _has(step, frame)
        # An angle rounded to 0.001 moves MET by so much of itself; the recoil, to which the leading
        # jet's turn is measured, may be as small as that.
        size = met if step in (MET_ACROSS, MET_ALONG) else 1.0
        tolerance = 0.02 if step == JET1_TURN else 0.0021
        assert np.quantile((np.abs(difference) / size)[own], 0.999) < tolerance, STEPS[step]


def _features(frame: Floats) -> Floats:
    features = np.zeros((N_FEATURES, frame.shape[1]), np.float32)
    for step in range(N_STEPS):
        add_features(step, frame, features)
    return features.astype(np.float64)


def test_features_of_a_w_say_where_it_is(frame: Floats) -> None:
    """Lepton and MET, or two jets, put where the features say have the mass of a W."""
    own = np.ascontiguousarray(frame[:, frame[A_SECOND] > 0])
    features = _features(own)
    moved = own.copy()
    from_unit(MET_ALONG, 0.5 + 0.5 * features[14], moved)
    met = np.hypot(moved[MET_ALONG], moved[MET_ACROSS])
    mass = np.sqrt(2 * moved[LEP_PT] * (met - moved[MET_ALONG]))
    inside = np.abs(features[14]) < 0.99  # beyond, single precision says little of the momentum
    assert inside.mean() > 0.8
    np.testing.assert_allclose(mass[inside], 80.4, rtol=1e-2)
    apart = own[JET2_ETA] - own[JET1_ETA]
    possible = (features[56] > 0.01) & (features[56] < np.pi - 0.01)
    assert possible.mean() > 0.3
    for row in (57, 58):
        moved = own.copy()
        from_unit(JET2_TURN, features[row], moved)
        turn = moved[JET2_TURN]
        mass = np.sqrt(2 * own[JET1_PT] * own[JET2_PT] * (np.cosh(apart) - np.cos(turn)))
        there = possible & (np.abs(np.abs(turn) - features[56]) < 1e-2)
        assert there.sum() > 0.9 * possible.sum()  # the others lie in a gap
        np.testing.assert_allclose(mass[there], 80.4, rtol=5e-2)


def test_features_of_gaps_are_their_half_widths(frame: Floats) -> None:
    own = np.ascontiguousarray(frame[:, frame[A_SECOND] > 0])
    features = _features(own)
    pairs = {
        32: (JET1_ETA, TAU_ETA),
        33: (JET1_ETA, LEP_ETA),
        50: (JET2_ETA, JET1_ETA),
        51: (JET2_ETA, TAU_ETA),
        52: (JET2_ETA, LEP_ETA),
    }
    for row, (jet, other) in pairs.items():
        apart = own[jet] - own[other]
        expected = np.sqrt(np.clip(0.59**2 - apart**2, 0, None))
        np.testing.assert_allclose(features[row], expected, atol=1e-6)


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
