"""The interval is what its definition says: by brute force, by MINOS, by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import brentq, minimize

from sigma68.errors import DataError, FitError, ModelMismatchError, SettingsError
from sigma68.inference.levels import z_of_level
from sigma68.inference.likelihood import ConstrainedLikelihood, SmoothLikelihood
from sigma68.inference.profile import minuit_interval, newton_interval
from sigma68.methods.exact import Exact
from sigma68.protocols import KnownLikelihood
from sigma68.run.truth import draw_truth, toy_stream
from sigma68.tasks.gaussian.task import Gaussian
from sigma68.types import LEVEL, Interval, Observation, Truth

TASK = Gaussian()
POOLS = TASK.open()
NAMES = ("shift", "bkg_scale")


def toy(seed: int, number: int) -> tuple[Truth, Observation]:
    truth = draw_truth(TASK, seed, number, 0, NAMES)
    return truth, TASK.pseudo_experiment(POOLS.scoring, truth, toy_stream(TASK, seed, number, 0))


def fitted(**settings: object) -> Exact:
    method = Exact(TASK, **settings)  # type: ignore[arg-type]
    method.fit(POOLS.train, POOLS.calibration)
    return method


def interval(method: Exact, observation: Observation) -> Interval:
    answer = method.predict(observation)["mu"]
    assert isinstance(answer, Interval)
    return answer


def constrained(observation: Observation) -> ConstrainedLikelihood:
    assert isinstance(POOLS.train, KnownLikelihood)
    return ConstrainedLikelihood(POOLS.train, observation, ("mu",), TASK.nuisances, {})


def textbook(observation: Observation, mu: float, shift: float, scale: float) -> float:
    """-2 ln L written out from the task's docstring."""
    x, y = observation["x"] - 0.05 * shift, observation["y"]
    s = np.exp(-((x - 1) ** 2 + (y - 0.5) ** 2) / (2 * 0.49)) / (2 * math.pi * 0.49)
    b = np.exp(-(x**2 + y**2) / 2) / (2 * math.pi)
    density = mu * 200 * s + scale * 2000 * b
    return float(
        2 * (mu * 200 + scale * 2000)
        - 2 * np.log(density).sum()
        + shift**2
        + ((scale - 1) / 0.05) ** 2
    )


@pytest.mark.parametrize("number", range(3))
def test_interval_is_where_the_brute_force_profile_rises_by_one(number: int) -> None:
    _, observation = toy(4, number)
    found = interval(fitted(), observation)

    def profile(mu: float) -> float:
        return float(
            minimize(
                lambda p: textbook(observation, mu, p[0], 1 + 0.05 * p[1]),
                [0.0, 0.0],
                method="Nelder-Mead",
                options={"xatol": 1e-7, "fatol": 1e-9, "maxiter": 2000},
            ).fun
        )

    scan = np.linspace(
        found.mu_hat - 2 * found.delta_mu_hat, found.mu_hat + 2 * found.delta_mu_hat, 9
    )
    values = np.array([profile(mu) for mu in scan])
    best = profile(found.mu_hat)
    assert values.min() > best - 1e-6
    target = best + z_of_level(LEVEL) ** 2
    lower = brentq(lambda m: profile(m) - target, scan[0], found.mu_hat, xtol=1e-6)
    upper = brentq(lambda m: profile(m) - target, found.mu_hat, scan[-1], xtol=1e-6)
    assert found.lower == pytest.approx(lower, abs=2e-5)
    assert found.upper == pytest.approx(upper, abs=2e-5)


@pytest.mark.parametrize("number", range(8))
def test_newton_agrees_with_minos(number: int) -> None:
    _, observation = toy(5, number)
    target = constrained(observation)
    newton = newton_interval(target.derivatives, [1.5, 0.0, 0.0])
    minos = minuit_interval(target.value, [[1.5, 0.0, 0.0]], [0.2, 1.0, 1.0], target.names)
    assert newton.minimum == pytest.approx(minos.minimum, abs=1e-5)
    sigma = newton.errors[0]
    for a, b in ((newton.lower, minos.lower), (newton.upper, minos.upper)):
        assert abs(a - b) < 1e-4 * sigma
    np.testing.assert_allclose(newton.best, minos.best, atol=1e-3)
    np.testing.assert_allclose(newton.errors, minos.errors, rtol=1e-2)


class Plain:
    """A likelihood that knows its density and no derivatives."""

    role, fingerprint, n_rows = "train", "plain", 0

    def labelled(self, *_: object, **__: object) -> None: ...

    def statistics(self) -> None: ...

    def expected(self, parameters: Mapping[str, float], nuisances: Mapping[str, float]) -> float:
        return TASK.model.expected(parameters, nuisances)

    def density(
        self,
        observation: Observation,
        parameters: Mapping[str, float],
        nuisances: Mapping[str, float],
    ) -> npt.NDArray[np.float64]:
        return TASK.model.density(observation, parameters, nuisances)


def test_a_likelihood_without_derivatives_gives_the_same_interval() -> None:
    plain = Plain()
    assert not isinstance(plain, SmoothLikelihood)
    method = Exact(TASK)
    method.fit(plain, plain)  # type: ignore[arg-type]
    _, observation = toy(6, 0)
    slow, fast = interval(method, observation), interval(fitted(), observation)
    assert slow.lower == pytest.approx(fast.lower, abs=1e-4)
    assert slow.upper == pytest.approx(fast.upper, abs=1e-4)
    for name in NAMES:
        assert slow.fitted[name] == pytest.approx(fast.fitted[name], rel=2e-2, abs=1e-3)


def test_level_and_profiled_are_respected() -> None:
    _, observation = toy(7, 0)
    narrow, wide = interval(fitted(), observation), interval(fitted(level=0.95), observation)
    assert wide.upper - wide.lower == pytest.approx(1.96 * (narrow.upper - narrow.lower), rel=0.05)
    assert wide.delta_mu_hat == pytest.approx(narrow.delta_mu_hat, rel=0.05)
    one = interval(fitted(profiled=("shift",)), observation)
    assert set(one.fitted) == {"shift"}
    assert one.delta_mu_hat < narrow.delta_mu_hat
    with pytest.raises(SettingsError, match="no nuisance parameter 'scale'"):
        Exact(TASK, profiled=("scale",))


def test_save_and_load(tmp_path: Path) -> None:
    method = fitted(profiled=("shift",), level=0.9)
    method.save(tmp_path)
    _, observation = toy(8, 0)
    again = Exact.load(tmp_path, TASK)
    assert interval(again, observation) == interval(method, observation)
    with pytest.raises(DataError, match="cannot read"):
        Exact.load(tmp_path / "nowhere", TASK)
    (tmp_path / "exact.json").write_text((tmp_path / "exact.json").read_text()[:20])
    with pytest.raises(DataError, match="is not a trained model's JSON"):
        Exact.load(tmp_path, TASK)


def test_a_pool_without_likelihood_is_refused() -> None:
    class Rows:
        role = "train"

    with pytest.raises(DataError, match="does not know its likelihood"):
        Exact(TASK).fit(Rows(), Rows())  # type: ignore[arg-type]


def test_no_answer_is_made_up() -> None:
    method = fitted()
    with pytest.raises(FitError):
        method.predict(Observation(("x", "y"), np.empty((2, 0))))
    _, observation = toy(9, 0)
    broken = observation.values.copy()
    broken[0, 5] = math.nan
    with pytest.raises(FitError):
        method.predict(Observation(("x", "y"), broken))
    with pytest.raises(DataError, match="no column 'y'"):
        method.predict(Observation(("x",), observation.values[:1]))
    with pytest.raises(ModelMismatchError, match="has not been fitted"):
        Exact(TASK).predict(observation)


class Stubborn(Plain):
    """A likelihood whose derivatives are of no use: Newton fails, MINUIT does not."""

    def derivatives(
        self,
        observation: Observation,
        parameters: Mapping[str, float],
        nuisances: Mapping[str, float],
    ) -> tuple[float, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        n = len(parameters) + len(nuisances)
        return 0.0, np.ones(n), np.full((n, n), math.nan)


def test_minuit_takes_over_where_newton_fails() -> None:
    stubborn = Stubborn()
    assert isinstance(stubborn, SmoothLikelihood)
    method = Exact(TASK)
    method.fit(stubborn, stubborn)  # type: ignore[arg-type]
    _, observation = toy(6, 0)
    slow, fast = interval(method, observation), interval(fitted(), observation)
    assert slow.lower == pytest.approx(fast.lower, abs=1e-4)
    assert slow.upper == pytest.approx(fast.upper, abs=1e-4)
