"""Jets are FastJet's, constituents included, and those of the algorithm as it is written down."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from benchmarks.jets import Momenta, collision, momenta
from numba import njit

from sigma68.seeds import stream
from sigma68.tasks.higgs.simulate.jet_distance import azimuth, rapidity
from sigma68.tasks.higgs.simulate.jets import Workspace, cluster, workspace

Members = npt.NDArray[np.int64]
Jets = tuple[Momenta, Members]
"""Jets as (px, py, pz, E) by falling pt, shape (m, 4), and the jet of each particle or -1."""

SPACE = workspace(2048)


def ours(p: Momenta, pt_min: float = 20.0, r: float = 0.6, space: Workspace = SPACE) -> Jets:
    n = p.shape[1]
    jets, jet_of = np.full((n, 4), np.nan), np.full(n, -7)
    found = cluster(p[0].copy(), p[1].copy(), p[2].copy(), p[3].copy(), n, space, jets, jet_of, r, pt_min)  # fmt: skip
    return jets[:found], jet_of


def plain(p: Momenta, pt_min: float = 20.0, r: float = 0.6) -> Jets:
    """The algorithm, O(n^3): the smallest of all d_ij and d_iB is found anew in every step."""
    left = [(p[:, i], [i]) for i in range(p.shape[1])]
    jets: list[tuple[Momenta, list[int]]] = []
    while left:
        q = np.array([momentum for momentum, _ in left]).T
        pt2 = q[0] ** 2 + q[1] ** 2
        y, phi = 0.5 * np.log((q[3] + q[2]) / (q[3] - q[2])), np.arctan2(q[1], q[0])
        d_phi = np.abs(phi[:, None] - phi)
        d_phi = np.minimum(d_phi, 2 * math.pi - d_phi)
        d = ((y[:, None] - y) ** 2 + d_phi**2) / np.maximum(pt2[:, None], pt2) / r**2
        np.fill_diagonal(d, 1 / pt2)
        i, j = (int(k) for k in np.unravel_index(d.argmin(), d.shape))
        if i == j:
            jets.append(left.pop(i))
        else:
            left[i] = left[i][0] + left[j][0], left[i][1] + left[j][1]
            del left[j]
    hard = [jet for jet in jets if math.hypot(*jet[0][:2]) >= pt_min]
    hard.sort(key=lambda jet: -math.hypot(*jet[0][:2]))
    return numbered([jet for jet, _ in hard], [members for _, members in hard], p.shape[1])


def numbered(jets: list[Any], members: list[list[int]], n: int) -> Jets:
    jet_of = np.full(n, -1)
    for k, inside in enumerate(members):
        jet_of[inside] = k
    return np.array(jets).reshape(-1, 4), jet_of


@pytest.fixture(scope="session")
def peer() -> Callable[..., Jets]:
    """FastJet's answer."""
    fastjet = pytest.importorskip("fastjet")

    def jets(p: Momenta, pt_min: float = 20.0, r: float = 0.6) -> Jets:
        inputs = [fastjet.PseudoJet(*map(float, q)) for q in p.T]
        for i, particle in enumerate(inputs):
            particle.set_user_index(i)
        definition = fastjet.JetDefinition(fastjet.antikt_algorithm, r)
        sequence = fastjet.ClusterSequence(inputs, definition)
        found = fastjet.sorted_by_pt(sequence.inclusive_jets(pt_min))
        members = [[c.user_index() for c in jet.constituents()] for jet in found]
        momenta = [(jet.px(), jet.py(), jet.pz(), jet.E()) for jet in found]
        return numbered(momenta, members, p.shape[1])

    return jets


def assert_same(a: Jets, b: Jets) -> None:
    """The same jets of the same particles; the order may differ only within rounding of pt."""
    (jets, jet_of), (others, other_of) = a, b
    assert len(jets) == len(others)
    same = np.unique(np.stack([jet_of, other_of]), axis=1)
    assert same.shape[1] == len(np.unique(jet_of)), "the constituents differ"
    for k, other in same.T:
        assert (k < 0) == (other < 0)
        if k >= 0:
            scale = np.array([np.hypot(*jets[k][:2])] * 2 + [jets[k][3]] * 2)
            assert np.all(np.abs(jets[k] - others[other]) <= 1e-9 * scale)
            if k != other:
                assert scale[0] == pytest.approx(np.hypot(*jets[other][:2]), rel=1e-9)


def soft(rng: np.random.Generator, n: int) -> Momenta:
    flat = rng.uniform(-5, 5, n), rng.uniform(-np.pi, np.pi, n)
    return momenta(0.3 + rng.exponential(1.5, n), *flat)


def massive(rng: np.random.Generator, n: int) -> Momenta:
    flat = rng.uniform(-5, 5, n), rng.uniform(-np.pi, np.pi, n)
    return momenta(0.3 + rng.exponential(4, n), *flat, rng.exponential(3, n))


def sprays(rng: np.random.Generator, n: int) -> Momenta:
    """Collimated: all particles in a few cones, some of them next to each other."""
    k = rng.integers(0, 1 + n // 15, n)
    y, phi = rng.uniform(-4, 4, 1 + n // 15)[k], rng.uniform(-np.pi, np.pi, 1 + n // 15)[k]
    width = 10.0 ** rng.uniform(-9, -0.5, n)
    return momenta(0.1 + rng.pareto(1, n), y + width * rng.normal(size=n), phi + width)


def wrapped(rng: np.random.Generator, n: int) -> Momenta:
    """On both sides of phi = 0 and of phi = pi."""
    phi = np.pi * rng.integers(0, 2, n) + rng.normal(0, 0.3, n)
    return momenta(0.1 + rng.pareto(1, n), rng.uniform(-2, 2, n), phi)


def forward(rng: np.random.Generator, n: int) -> Momenta:
    y = rng.choice([-1, 1], n) * rng.uniform(4, 8, n)
    return momenta(1 + rng.pareto(1, n), y, rng.uniform(-np.pi, np.pi, n))


def crowded(rng: np.random.Generator, n: int) -> Momenta:
    """Many soft particles in a small place: mergers move far."""
    place = rng.uniform(-1, 1, n), rng.uniform(-1, 1, n)
    return momenta(0.01 + rng.exponential(1, n), *place)


def duplicates(rng: np.random.Generator, n: int) -> Momenta:
    return soft(rng, n)[:, rng.integers(0, 1 + n // 3, n)]


def equal_pt(rng: np.random.Generator, n: int) -> Momenta:
    """pt of exactly 5 GeV, in twelve directions."""
    sides = [(a, b) for a in (-5, -4, -3, 0, 3, 4, 5) for b in (-5, -4, -3, 0, 3, 4, 5)]
    directions = np.array([s for s in sides if s[0] ** 2 + s[1] ** 2 == 25], float)
    px, py = directions[rng.integers(0, len(directions), n)].T
    pz = 5 * np.sinh(rng.uniform(-4, 4, n))
    return np.array([px, py, pz, np.sqrt(25 + pz**2)])


def along_beam(rng: np.random.Generator, n: int) -> Momenta:
    """Among others some without pt: massless, massive, and nothing at all."""
    p = soft(rng, n)
    kind = rng.integers(0, 12, n)
    p[:2, kind < 3] = 0
    p[3, kind == 0] = np.abs(p[2, kind == 0])
    p[2:, kind == 1] = 0
    return p


def spacelike(rng: np.random.Generator, n: int) -> Momenta:
    """Less energy than momentum: mergers need not lie between their parents."""
    p = crowded(rng, n)
    p[3] *= rng.uniform(0.3, 1.2, n)
    return p


KINDS = (soft, massive, sprays, wrapped, forward, crowded, duplicates, equal_pt, along_beam)
KINDS = (*KINDS, spacelike, collision)
SIZES = (1, 2, 3, 5, 8, 13, 30, 60, 100)


@pytest.mark.parametrize("kind", KINDS)
def test_jets_are_those_of_fastjet(peer: Callable[..., Jets], kind: Callable[..., Momenta]) -> None:
    rng = stream("higgs", f"jets {kind.__name__}", 1).generator()
    for i in range(300):
        p = kind(rng, SIZES[i % len(SIZES)])
        pt_min = (20.0, 4.0, 0.5)[i % 3]
        assert_same(ours(p, pt_min), peer(p, pt_min))
    for n in (250, 400):
        p = kind(rng, n)
        assert_same(ours(p), peer(p))


@pytest.mark.parametrize("kind", [soft, sprays, collision])
def test_large_events_are_those_of_fastjet(
    peer: Callable[..., Jets], kind: Callable[..., Momenta]
) -> None:
    p = kind(stream("higgs", "large jets", 2).generator(), 2_000)
    assert_same(ours(p), peer(p))
    assert_same(ours(p, 2.0), peer(p, 2.0))


@pytest.mark.parametrize("r", [0.05, 0.4, 1.0, 2.5, 4.0])
def test_other_radii_are_those_of_fastjet(peer: Callable[..., Jets], r: float) -> None:
    rng = stream("higgs", "jet radii", 3).generator()
    for n in (5, 40, 150):
        p = collision(rng, n)
        assert_same(ours(p, 5.0, r), peer(p, 5.0, r))


@pytest.mark.parametrize("kind", [soft, massive, sprays, wrapped, crowded, collision])
def test_jets_are_those_of_the_plain_statement(kind: Callable[..., Momenta]) -> None:
    rng = stream("higgs", f"jets {kind.__name__}", 4).generator()
    for i in range(12):
        p = kind(rng, (1, 7, 25, 60)[i % 4])
        pt_min = (20.0, 3.0, 0.01)[i % 3]
        assert_same(ours(p, pt_min), plain(p, pt_min))


def test_rapidity_and_azimuth_are_fastjets_to_the_last_bit() -> None:
    fastjet = pytest.importorskip("fastjet")
    rng = stream("higgs", "jet distances", 5).generator()
    special = [
        *((0.0, 0.0, z, e) for z in (-7.0, 0.0, 7.0) for e in (7.0, 9.0)),
        (0.0, 0.0, 0.0, 0.0), (1.0, -0.0, 2.0, 3.0), (-1.0, -0.0, 2.0, 3.0),
        (1.0, -1e-17, 0.0, 1.0), (3.0, 4.0, 1e5, 1e5), (1e-160, 0.0, 1.0, 1.0),
        (3.0, 4.0, 12.0, 12.9),
    ]  # fmt: skip
    for px, py, pz, e in [*special, *np.hstack([soft(rng, 200), massive(rng, 200)]).T.tolist()]:
        peer = fastjet.PseudoJet(px, py, pz, e)
        assert rapidity(px * px + py * py, pz, e) == peer.rap(), (px, py, pz, e)
        assert azimuth(px, py) == peer.phi(), (px, py, pz, e)


def test_no_particle_makes_no_jet() -> None:
    jets, jet_of = ours(np.empty((4, 0)))
    assert len(jets) == len(jet_of) == 0


def test_one_particle_is_a_jet_if_hard_enough() -> None:
    p = momenta(np.array([20.5]), np.array([1.0]), np.array([2.0]))
    jets, jet_of = ours(p)
    np.testing.assert_array_equal(jets, p.T)
    assert jet_of.tolist() == [0]
    assert ours(p, 20.6)[1].tolist() == [-1]


def test_the_threshold_is_inclusive() -> None:
    p = np.array([[3.0, 0.0], [4.0, -12.0], [1.0, -2.0], [20.0, 20.0]])
    assert ours(p, 5.0)[1].tolist() == [1, 0]
    assert ours(p, 5.0 + 1e-12)[1].tolist() == [-1, 0]


def test_jets_come_by_falling_pt_and_hold_what_they_add_up_to() -> None:
    rng = stream("higgs", "jet sums", 6).generator()
    for _ in range(50):
        p = collision(rng, 200)
        jets, jet_of = ours(p, 3.0)
        assert len(jets) > 5
        assert np.all(np.diff(np.hypot(jets[:, 0], jets[:, 1])) <= 0)
        for k, jet in enumerate(jets):
            np.testing.assert_allclose(p[:, jet_of == k].sum(axis=1), jet, rtol=1e-9, atol=1e-9)


def test_a_threshold_changes_no_jet_above_it() -> None:
    """What is given up early, since no jet can come out of it, would not have become one."""
    rng = stream("higgs", "jet thresholds", 7).generator()
    above = 0
    for i in range(400):
        p = (collision, crowded, soft)[i % 3](rng, 30 + i // 3)
        everything, jet_of = ours(p, 0.0)
        for pt_min in (2.0, 8.0, 20.0):
            k = int((everything[:, 0] ** 2 + everything[:, 1] ** 2 >= pt_min**2).sum())
            jets, members = ours(p, pt_min)
            np.testing.assert_array_equal(jets, everything[:k])
            np.testing.assert_array_equal(members, np.where(jet_of < k, jet_of, -1))
            above += k
    assert above > 1000


def test_the_order_of_the_particles_does_not_matter() -> None:
    rng = stream("higgs", "jet order", 8).generator()
    for kind in (soft, sprays, collision):
        p = kind(rng, 150)
        shuffle = rng.permutation(150)
        jets, jet_of = ours(p, 2.0)
        assert_same(ours(p[:, shuffle], 2.0), (jets, jet_of[shuffle]))


def test_infinitely_soft_particles_change_nothing() -> None:
    rng = stream("higgs", "jet ghosts", 9).generator()
    p = collision(rng, 200)
    ghosts = soft(rng, 300) * 1e-60
    jets, jet_of = ours(np.hstack([p, ghosts]), 2.0)
    assert_same(ours(p, 2.0), (jets, jet_of[:200]))
    assert (jet_of[200:] >= 0).any()


def test_two_equally_near_neighbours_may_merge_in_either_order() -> None:
    p = np.array([[9.0, 9.0, 9.0], [0.0] * 3, [-4.0, 0.0, 4.0], [math.hypot(9, 4), 9.0, math.hypot(9, 4)]])  # fmt: skip
    assert sorted(ours(p, 1.0, 0.5)[1].tolist()) == [0, 0, 1]
    assert len(ours(p, 1.0, 0.5)[0]) == 2
    assert ours(p, 1.0, 0.7)[1].tolist() == [0, 0, 0]


def test_a_merger_may_be_nearer_than_the_neighbour_known_so_far() -> None:
    """The two at y = 0.55 merge first, into one that the hardest is then nearest to.

    It takes that one in before the soft one on its other side, which is then too far away.
    """
    pt, y = np.array([20.5, 10.0, 10.0, 1.0]), np.array([0.0, 0.55, 0.55, -0.557])
    p = momenta(pt, y, np.array([1.0, 0.875, 1.125, 1.0]))
    assert ours(p)[1].tolist() == plain(p)[1].tolist() == [0, 0, 0, -1]


def test_what_the_workspace_held_does_not_matter() -> None:
    rng = stream("higgs", "jet space", 10).generator()
    p = collision(rng, 100)
    expected = ours(p, 3.0)
    for fill in (0, -1, 1 << 40):
        space = workspace(100)
        for array in space:
            array[:] = fill
        space.real[:] = (np.nan, np.inf, -np.inf)[fill % 3]
        for a, b in zip(ours(p, 3.0, space=space), expected, strict=True):
            np.testing.assert_array_equal(a, b)


@njit
def _twice(p: Any, n: int, space: Any, jets: Any, jet_of: Any) -> Any:
    first = cluster(p[0], p[1], p[2], p[3], n, space, jets, jet_of)
    return first, cluster(p[0], p[1], p[2], p[3], n // 2, space, jets, jet_of, 0.4, 5.0)


def test_kernels_call_it_with_arrays_longer_than_the_event() -> None:
    rng = stream("higgs", "jet kernels", 11).generator()
    p = np.full((4, 500), np.nan)
    p[:, :120] = collision(rng, 120)
    found = _twice(p, 120, workspace(120), np.empty((120, 4)), np.empty(500, np.int64))
    assert found == (len(ours(p[:, :120])[0]), len(ours(p[:, :60], 5.0, 0.4)[0]))


@pytest.mark.parametrize(
    ("capacity", "given", "rows", "labels", "message"),
    [
        (9, 10, 10, 10, "more particles than the workspace"),
        (10, 10, 9, 10, "more particles than the workspace"),
        (10, 10, 10, 9, "more particles than the workspace"),
        (10, 9, 10, 10, "fewer momenta"),
    ],
)
def test_what_is_too_small_is_refused(
    capacity: int, given: int, rows: int, labels: int, message: str
) -> None:
    p = soft(stream("higgs", "jet room", 12).generator(), 10)
    with pytest.raises(ValueError, match=message):
        cluster(
            p[0][:given], p[1], p[2], p[3], 10,
            workspace(capacity), np.empty((rows, 4)), np.empty(labels, np.int64),
        )  # fmt: skip


@pytest.mark.parametrize("component", range(4))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_momenta_that_are_not_finite_are_refused(component: int, value: float) -> None:
    p = soft(stream("higgs", "jet values", 13).generator(), 10)
    p[component, 4] = value
    with pytest.raises(ValueError, match="finite momenta"):
        ours(p)


def test_impossible_energies_are_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        ours(np.array([[1.0], [0.0], [0.0], [-1.0]]))
    with pytest.raises(ValueError, match="finite momenta"):
        ours(np.array([[1.0], [0.0], [0.0], [0.0]]))
    opposite = np.array([[1.0, -1.0], [0.0, 0.0], [5.0, 5.0], [1.0, 1.0]])
    with pytest.raises(ValueError, match="too small for their momenta"):
        ours(opposite, r=4.0)


@pytest.mark.parametrize("r", [0.0, -0.4, math.nan])
def test_a_radius_must_be_positive(r: float) -> None:
    with pytest.raises(ValueError, match="radius"):
        ours(np.empty((4, 0)), r=r)
