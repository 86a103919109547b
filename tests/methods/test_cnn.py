"""The methods of images, on pictures whose answer is known."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from sigma68.errors import (
    DataError,
    FitError,
    MissingExtraError,
    ModelMismatchError,
    SettingsError,
)
from sigma68.inference.box_density import BoxDensity
from sigma68.inference.posterior_checks import PosteriorChecks, covered, place_truth
from sigma68.learning.image_method import ImageMethod, _split
from sigma68.methods.cnn import Cnn
from sigma68.methods.cnn_posterior import CnnPosterior
from sigma68.methods.neural_posterior import NeuralPosterior
from sigma68.seeds import stream
from sigma68.types import Estimate, Observation, Parameter
from tests.learning.images_toy import NOISE, Album, Pictures, mask

SMALL: dict[str, Any] = {
    "block": 1,
    "channels": [4, 4],
    "units": 16,
    "hidden_layers": 1,
    "passes": 10,
    "batch": 20,
    "learning_rate": 0.01,
}
METHODS = (Cnn, CnnPosterior, NeuralPosterior)
MORE: dict[type[ImageMethod], dict[str, Any]] = {
    Cnn: {},
    CnnPosterior: {"degree": 2, "covariance_degree": 0},
    NeuralPosterior: {"degree": 2},
}
every = pytest.mark.parametrize("cls", METHODS, ids=lambda c: c.name)


def task() -> Any:
    return cast(Any, Pictures())


def pools() -> tuple[Any, Any]:
    train, calibration = Album(n_observations=500), Album("calibration", n_observations=400)
    return cast(Any, train), cast(Any, calibration)


@pytest.fixture(scope="module")
def fitted() -> dict[type[ImageMethod], Any]:
    methods = {}
    for cls in METHODS:
        method = cast(Any, cls)(task(), **SMALL, **MORE[cls])
        method.fit(*pools())
        methods[cls] = method
    return methods


@pytest.mark.parametrize("cls", [Cnn, NeuralPosterior], ids=lambda c: c.name)
def test_errors_cover_and_are_nearly_as_small_as_can_be(
    cls: type[ImageMethod], fitted: dict[type[ImageMethod], Any]
) -> None:
    other = Album("evaluation", n_observations=250)
    off, errors = [], []
    for i in range(other.n_observations):
        answer, truth = fitted[cls].predict(other.observation(i)), other.truth(i).parameters
        estimates = [answer[name] for name in ("level", "ripple")]
        assert all(isinstance(e, Estimate) for e in estimates)
        off.append([e.value - truth[n] for e, n in zip(estimates, truth, strict=True)])
        errors.append([e.error for e in estimates])
    pulls = np.array(off) / np.array(errors)
    covers = (np.abs(pulls) < 1).mean(axis=0)
    # Three binomial errors of these 250, and one of the calibration's 300.
    assert np.abs(covers - 0.6827).max() < 0.1
    assert np.abs(pulls.mean(axis=0)).max() < 0.35
    best = NOISE / np.sqrt(mask().sum())
    assert np.mean(errors, axis=0).max() < 3 * best


def test_draws_are_of_the_posterior_that_is_answered(fitted: dict[type[ImageMethod], Any]) -> None:
    other, method = Album("evaluation", n_observations=60), fitted[NeuralPosterior]
    places = []
    for i in range(other.n_observations):
        seen = other.observation(i)
        draws, answer = method.posterior(seen).draws, method.predict(seen)
        assert draws[:, 0].mean() == pytest.approx(answer["level"].value, abs=0.01)
        assert draws[:, 1].std() == pytest.approx(answer["ripple"].error, rel=0.1)
        truth = other.truth(i).parameters
        at = np.array([truth["level"], truth["ripple"]])
        places.append(place_truth(draws, at, Pictures.parameters, stream("test", "tarp", 1, i)))
    share, error = covered(PosteriorChecks.of(Pictures.parameters, places).joint)
    assert abs(share - 0.6827) < 3.5 * error


def test_the_networks_means_are_summaries_of_a_likelihood(
    fitted: dict[type[ImageMethod], Any],
) -> None:
    method = fitted[CnnPosterior]
    assert method.network.to_bytes() == fitted[Cnn].network.to_bytes()
    seen = Album("evaluation").observation(5)
    grid = BoxDensity.of(Pictures.parameters).grid
    summary = method.summary(seen)
    assert summary.shape == (2,)
    weights = np.exp(-0.5 * method.likelihood.nll(summary, grid))
    mean = weights @ grid / weights.sum()
    answer = method.predict(seen)
    for name, at, spread in zip(("level", "ripple"), mean, (0.01, 0.02), strict=True):
        assert answer[name].value == pytest.approx(at, abs=spread)


@every
def test_a_saved_method_answers_the_same(
    cls: type[ImageMethod], fitted: dict[type[ImageMethod], Any], tmp_path: Path
) -> None:
    fitted[cls].save(tmp_path)
    seen = Album("evaluation").observation(3)
    again = cast(Any, cls).load(tmp_path, task())
    assert again.predict(seen) == fitted[cls].predict(seen)
    assert again.settings == fitted[cls].settings


@every
def test_damaged_models_are_refused(
    cls: type[ImageMethod], fitted: dict[type[ImageMethod], Any], tmp_path: Path
) -> None:
    fitted[cls].save(tmp_path)
    (tmp_path / "network.safetensors").write_bytes(b"damaged")
    with pytest.raises(DataError):
        cast(Any, cls).load(tmp_path, task())
    (tmp_path / "method.json").write_text("{}")
    with pytest.raises(ModelMismatchError):
        cast(Any, cls).load(tmp_path, task())


@every
def test_torch_is_needed_to_train_and_said_so(
    cls: type[ImageMethod], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "sigma68.learning.fit_images", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"sigma68\[torch\]"):
        cast(Any, cls)(task(), **SMALL).fit(*pools())


@every
def test_what_they_cannot_do(cls: type[ImageMethod]) -> None:
    class Blind:
        answer = "estimates"
        name = "blind"
        parameters = (Parameter("a", 0, 1),)

    class Other(Pictures):
        answer = "strangeness"

    assert "images" in str(cls.skip(cast(Any, Blind())))
    assert "strangeness" in str(cls.skip(cast(Any, Other())))
    assert cls.skip(task()) is None


def test_densities_of_many_parameters_are_left_to_others() -> None:
    class Many(Pictures):
        parameters = tuple(Parameter(f"p{i}", 0, 1) for i in range(4))  # type: ignore[assignment]

    assert "parameters" in str(NeuralPosterior.skip(cast(Any, Many())))


def test_degrees_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SettingsError):
        CnnPosterior(task(), degree=0)
    with pytest.raises(SettingsError):
        NeuralPosterior(task(), degree=9)


@every
def test_pixels_that_are_no_numbers_get_no_answer(
    cls: type[ImageMethod], fitted: dict[type[ImageMethod], Any]
) -> None:
    seen = Album("evaluation").observation(0)
    seen.values[0, 5] = np.nan
    with pytest.raises(FitError):
        fitted[cls].predict(seen)


@every
def test_no_answer_before_training(cls: type[ImageMethod], tmp_path: Path) -> None:
    method = cast(Any, cls)(task(), **SMALL)
    with pytest.raises(ModelMismatchError, match="not trained"):
        method.predict(Observation(("x",), np.zeros((1, int(mask().sum())), dtype=np.float32)))
    with pytest.raises(ModelMismatchError, match="nothing to save"):
        method.save(tmp_path)


def test_too_little_to_learn_from_is_said() -> None:
    train, calibration = Album(n_observations=30), Album("calibration", n_observations=1)
    with pytest.raises(DataError, match="too few"):
        Cnn(task(), **SMALL).fit(cast(Any, train), cast(Any, calibration))


def test_what_stops_a_training_is_at_places_that_it_has_not_seen() -> None:
    rng = np.random.default_rng(1)
    train, calibration = rng.random((50, 2)), rng.random((20, 2))
    learned, stopping, left = _split(train, calibration)
    assert len(learned) == 50
    assert sorted([*stopping, *left]) == list(range(20))
    assert len(stopping) == 5
    # The same thirty places in both pools, as where files have a grid of them.
    grid = rng.random((30, 2))
    train, calibration = np.repeat(grid, 4, axis=0), np.repeat(grid, 2, axis=0)
    learned, stopping, left = _split(train, calibration)
    seen = {tuple(p) for p in train[learned]}
    apart = {tuple(p) for p in calibration[stopping]}
    assert len(apart) == 3
    assert not seen & apart
    assert len(seen) == 27
    assert sorted([*stopping, *left]) == list(range(60))
