"""The oracle is what its docstring says."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.integrate import dblquad

from sigma68.errors import DataError, NuisanceError, SettingsError
from sigma68.inference.likelihood import ClosedForm, SmoothLikelihood
from sigma68.protocols import KnownLikelihood
from sigma68.seeds import stream
from sigma68.tasks.gaussian.model import GaussianModel
from sigma68.tasks.gaussian.task import Gaussian
from sigma68.types import Observation, Truth

TASK = Gaussian()
POOLS = TASK.open()
MODEL = TASK.model
SOMEWHERE = {"mu": 1.3}, {"shift": 0.7, "bkg_scale": 1.04}


def some_events(mu: float = 1.3, shift: float = 0.7, bkg_scale: float = 1.04) -> Observation:
    truth = Truth({"mu": mu}, {"shift": shift, "bkg_scale": bkg_scale})
    return TASK.pseudo_experiment(POOLS.scoring, truth, stream("gaussian", "test", 1))


def test_it_says_what_it_knows() -> None:
    assert isinstance(TASK, ClosedForm)
    assert isinstance(POOLS.train, KnownLikelihood)
    assert isinstance(POOLS.train, SmoothLikelihood)
    assert isinstance(TASK.likelihood(), SmoothLikelihood)


def test_density_integrates_to_the_expectation() -> None:
    def density(y: float, x: float) -> float:
        events = Observation(("x", "y"), np.array([[x], [y]]))
        return float(MODEL.density(events, *SOMEWHERE)[0])

    integral, _ = dblquad(density, -7, 7, -7, 7, epsabs=1e-3, epsrel=1e-6)
    assert integral == pytest.approx(MODEL.expected(*SOMEWHERE), rel=1e-6)
    assert MODEL.expected(*SOMEWHERE) == pytest.approx(1.3 * 200 + 1.04 * 2000)


def test_density_at_a_point_by_hand() -> None:
    # At the unshifted signal's centre: 200 / (2 pi 0.49) + 2000 exp(-1.25/2) / (2 pi).
    events = Observation(("x", "y"), np.array([[1.0], [0.5]]))
    by_hand = 200 / (2 * math.pi * 0.49) + 2000 * math.exp(-0.625) / (2 * math.pi)
    found = MODEL.density(events, {"mu": 1.0}, {"shift": 0.0, "bkg_scale": 1.0})
    assert found == pytest.approx([by_hand], rel=1e-12)


def test_derivatives_equal_the_plain_formula_and_its_differences() -> None:
    events = some_events()
    names = ("mu", "shift", "bkg_scale")
    at = np.array([1.1, -0.4, 0.97])

    def value(point: np.ndarray) -> float:
        parameters, nuisances = {"mu": point[0]}, {"shift": point[1], "bkg_scale": point[2]}
        density = MODEL.density(events, parameters, nuisances)
        return float(2 * MODEL.expected(parameters, nuisances) - 2 * np.log(density).sum())

    def slopes(point: np.ndarray) -> np.ndarray:
        found = MODEL.derivatives(
            events, {"mu": point[0]}, {"shift": point[1], "bkg_scale": point[2]}
        )
        return found[1]

    found = MODEL.derivatives(events, {"mu": at[0]}, {"shift": at[1], "bkg_scale": at[2]})
    assert found[0] == pytest.approx(value(at), rel=1e-12)
    step = 1e-5
    for i, _ in enumerate(names):
        move = np.eye(3)[i] * step
        numeric = (value(at + move) - value(at - move)) / (2 * step)
        assert found[1][i] == pytest.approx(numeric, rel=1e-5, abs=1e-3)
        rows = (slopes(at + move) - slopes(at - move)) / (2 * step)
        np.testing.assert_allclose(found[2][i], rows, rtol=1e-5, atol=1e-3)


def test_derivatives_follow_the_order_of_the_names() -> None:
    events = some_events()
    one = MODEL.derivatives(events, {"mu": 1.0}, {"shift": 0.1, "bkg_scale": 1.0})
    two = MODEL.derivatives(events, {"mu": 1.0}, {"bkg_scale": 1.0, "shift": 0.1})
    assert one[0] == two[0]
    np.testing.assert_array_equal(one[1][[0, 2, 1]], two[1])
    np.testing.assert_array_equal(one[2][np.ix_([0, 2, 1], [0, 2, 1])], two[2])


def test_impossible_densities_are_infinitely_unlikely() -> None:
    value, gradient, hessian = MODEL.derivatives(
        some_events(), {"mu": -30.0}, {"shift": 0.0, "bkg_scale": 1.0}
    )
    assert value == math.inf
    assert np.isnan(gradient).all()
    assert np.isnan(hessian).all()


def test_density_stays_positive_far_below_the_smallest_truth() -> None:
    grid = np.linspace(-6, 6, 121)
    x, y = (a.ravel() for a in np.meshgrid(grid, grid))
    events = Observation(("x", "y"), np.stack([x, y]))
    assert (MODEL.density(events, {"mu": -1.4}, {"shift": 0.0, "bkg_scale": 1.0}) > 0).all()


def test_toys_follow_the_truth() -> None:
    n, mean_x, mean_y, square = [], [], [], []
    for toy in range(200):
        truth = Truth({"mu": 2.0}, {"shift": 4.0, "bkg_scale": 0.9})
        events = TASK.pseudo_experiment(POOLS.scoring, truth, stream("gaussian", "test", 2, 0, toy))
        n.append(events.n_events)
        mean_x.append(events["x"].sum())
        mean_y.append(events["y"].sum())
        square.append(((events["x"] - 0.2) ** 2 + events["y"] ** 2).sum())
    expected = 2.0 * 200 + 0.9 * 2000
    assert np.mean(n) == pytest.approx(expected, abs=4 * math.sqrt(expected / 200))
    assert np.var(n) == pytest.approx(expected, rel=0.4)
    total = np.sum(n)
    # Every event moves by 0.05 * 4; 400 of 2200 sit about (1, 0.5).
    assert np.sum(mean_x) / total == pytest.approx(0.2 + 400 / 2200, abs=0.01)
    assert np.sum(mean_y) / total == pytest.approx(0.5 * 400 / 2200, abs=0.01)
    variance = (1800 * 2 + 400 * (2 * 0.49 + 1.25)) / 2200
    assert np.sum(square) / total == pytest.approx(variance, rel=0.01)


def test_toys_are_shuffled() -> None:
    events = some_events(mu=3.0)
    half = events.n_events // 2
    first, second = events["x"][:half].mean(), events["x"][half:].mean()
    assert abs(first - second) < 4 * math.sqrt(2 / half)


def test_labelled_events_follow_the_model() -> None:
    events = POOLS.train.labelled({"shift": 2.0, "bkg_scale": 1.1})
    signal = events.labels == 1
    assert events.n_events == POOLS.train.n_rows
    assert events.weights[signal].sum() == pytest.approx(200)
    assert events.weights[~signal].sum() == pytest.approx(2200)
    assert events.values[:, signal].mean(axis=1) == pytest.approx([1.1, 0.5], abs=0.01)
    assert events.values[:, signal].std(axis=1) == pytest.approx([0.7, 0.7], abs=0.01)
    assert events.values[:, ~signal].mean(axis=1) == pytest.approx([0.1, 0.0], abs=0.015)
    assert events.values[:, ~signal].std(axis=1) == pytest.approx([1.0, 1.0], abs=0.01)
    assert [events.process_names[p] for p in events.process[:50]] == [
        "signal" if label else "background" for label in events.labels[:50]
    ]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(DataError, match="no data source 'events"):
        TASK.open("events.parquet")
    with pytest.raises(DataError, match=r"max_rows=1 leaves no (signal|background)"):
        POOLS.train.labelled(max_rows=1)
    with pytest.raises(NuisanceError, match="no nuisance parameter 'jes'"):
        POOLS.train.labelled({"jes": 1.0})
    for value in (2.0, math.nan):
        with pytest.raises(NuisanceError, match="outside its range"):
            TASK.pseudo_experiment(
                POOLS.scoring, Truth({"mu": 1.0}, {"bkg_scale": value}), stream("gaussian", "t", 1)
            )
    for mu in (-0.5, math.nan):
        with pytest.raises(SettingsError, match="must not be negative"):
            TASK.pseudo_experiment(POOLS.scoring, Truth({"mu": mu}), stream("gaussian", "t", 1))


def test_fingerprint_knows_every_constant() -> None:
    fingerprints = {GaussianModel().fingerprint}
    for field in dataclasses.fields(GaussianModel):
        changed = dataclasses.replace(GaussianModel(), **{field.name: 0.123})
        fingerprints.add(changed.fingerprint)
    assert len(fingerprints) == 1 + len(dataclasses.fields(GaussianModel))
    assert TASK.open(split_seed=1).fingerprint != POOLS.fingerprint
    assert TASK.open("exact") == POOLS


def test_clipping_never_bites() -> None:
    for nuisance in TASK.nuisances:
        for side in (-1, 1):
            assert nuisance.from_z(9.9 * side) == pytest.approx(
                nuisance.location + 9.9 * side * nuisance.width
            )


def test_a_source_says_how_many_rows_a_pool_holds() -> None:
    larger = TASK.open("exact:300k")
    assert larger.train.n_rows == 300_000
    assert larger.fingerprint != POOLS.fingerprint == TASK.open("exact:200k").fingerprint
    weights = larger.calibration.labelled().weights
    assert weights.sum() == pytest.approx(POOLS.calibration.labelled().weights.sum())


@pytest.mark.parametrize("source", ["exact:", "exact:10", "exact:99M", "exact:2m", "exact:-1"])
def test_sources_that_make_no_sense_say_so(source: str) -> None:
    with pytest.raises(DataError, match=r"gaussian has no data source|held in memory"):
        TASK.open(source)
