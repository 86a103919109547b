"""Training of networks of images on ones whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from sigma68.errors import FitError
from sigma68.inference.box_density import BoxDensity
from sigma68.learning.convolution import ImageNetwork, ImageSettings
from sigma68.learning.fit_images import ImageTraining, density_loss, estimate_loss, train_images
from sigma68.learning.image_sets import ImageSet, gather_images
from tests.learning.images_toy import Album, Pictures

SMALL = ImageSettings(
    block=1, channels=(4, 4), units=16, hidden_layers=1, passes=12, batch=20, learning_rate=0.01
)
FAMILY = BoxDensity.of(Pictures.parameters, degree=2, cells=20)


@pytest.fixture(scope="module")
def sets() -> tuple[ImageSet, ImageSet]:
    task = cast(Any, Pictures())
    train, aside = Album(n_observations=600), Album("aside", n_observations=150)
    made = gather_images(task, cast(Any, train), block=1, drawings=2)
    other = gather_images(task, cast(Any, aside), block=1, drawings=1, scale=made.scale)
    return made, other


def side(images: ImageSet, key: str = "data", *, beside: bool = False) -> ImageTraining:
    return ImageTraining(images, FAMILY.unit(images.points), np.ones(images.n), beside, key)


def outputs(network: ImageNetwork, images: ImageSet) -> np.ndarray:
    pictures = images.images(np.arange(images.n), np.zeros(images.n, dtype=np.int64))
    beside = images.summaries[:, 0] if network.n_summaries else [None] * images.n
    return np.array(
        [
            network.outputs_of_features(network.features_of_blocks(picture), summary)
            for picture, summary in zip(pictures, beside, strict=True)
        ]
    )


def test_means_and_errors_are_learned(sets: tuple[ImageSet, ImageSet]) -> None:
    train, aside = sets
    network = train_images(side(train), side(aside), estimate_loss(2), 4, SMALL)
    found, unit = outputs(network, aside), FAMILY.unit(aside.points)
    off = found[:, :2] - unit
    assert off.std(axis=0).max() < 0.25
    pulls = off / np.exp(found[:, 2:])
    assert pulls.std(axis=0).min() > 0.6
    assert pulls.std(axis=0).max() < 1.5


def test_densities_are_learned_with_summaries_beside(sets: tuple[ImageSet, ImageSet]) -> None:
    train, aside = sets
    network = train_images(
        side(train, beside=True),
        side(aside, beside=True),
        density_loss(FAMILY),
        FAMILY.n_terms,
        SMALL,
    )
    assert network.n_summaries == 1
    logs = FAMILY.log_density(outputs(network, aside), aside.points)
    # A flat density has 0; errors of a tenth of each range about 3.
    assert logs.mean() > 1.5


def test_a_training_that_was_stopped_ends_as_if_it_had_not_been(
    sets: tuple[ImageSet, ImageSet], tmp_path: Path
) -> None:
    train, aside = (s.part(np.arange(60)) for s in sets)
    settings = ImageSettings(block=1, channels=(3,), units=4, passes=3, batch=20)
    straight = train_images(side(train), side(aside), estimate_loss(2), 4, settings)

    class Killed(Exception):  # noqa: N818
        pass

    def kill(_: str, fraction: float) -> None:
        if fraction > 0.5:
            raise Killed

    file = tmp_path / "checkpoint"
    with pytest.raises(Killed):
        train_images(
            side(train),
            side(aside),
            estimate_loss(2),
            4,
            settings,
            checkpoint=file,
            progress=kill,
        )
    assert file.is_file()
    told: list[float] = []
    resumed = train_images(
        side(train),
        side(aside),
        estimate_loss(2),
        4,
        settings,
        checkpoint=file,
        progress=lambda _, fraction: told.append(fraction),
    )
    assert told[0] > 1 / 3
    assert resumed.to_bytes() == straight.to_bytes()


def test_a_checkpoint_of_other_data_is_not_taken_up(
    sets: tuple[ImageSet, ImageSet], tmp_path: Path
) -> None:
    train, aside = (s.part(np.arange(40)) for s in sets)
    settings = ImageSettings(block=1, channels=(3,), units=4, passes=1, batch=20)
    file = tmp_path / "checkpoint"
    for key in ("one", "other"):
        told: list[float] = []
        train_images(
            side(train, key),
            side(aside),
            estimate_loss(2),
            4,
            settings,
            checkpoint=file,
            progress=lambda _, fraction: told.append(fraction),  # noqa: B023
        )
        assert len(told) == 2 + 1


def test_the_best_pass_is_kept_and_patience_ends(sets: tuple[ImageSet, ImageSet]) -> None:
    train, aside = (s.part(np.arange(20)) for s in sets)
    # Truths that have nothing to do with the images: what is learned is wrong elsewhere.
    told: list[float] = []
    settings = ImageSettings(
        block=1, channels=(8,), units=64, passes=200, batch=10, learning_rate=0.01, patience=2
    )
    mixed = ImageTraining(
        train, FAMILY.unit(train.points)[::-1].copy(), np.ones(train.n), False, "mixed"
    )
    train_images(
        mixed,
        side(aside),
        estimate_loss(2),
        4,
        settings,
        progress=lambda _, fraction: told.append(fraction),
    )
    assert len(told) < 200


def test_weights_move_what_is_learned(sets: tuple[ImageSet, ImageSet]) -> None:
    train = sets[0].part(np.arange(100))
    unit = np.zeros((100, 2))
    unit[50:] = 1.0
    settings = ImageSettings(
        block=1, channels=(2,), units=4, passes=40, batch=50, learning_rate=0.02
    )
    means = []
    for weights in (np.ones(100), np.repeat([0.2, 1.8], 50)):
        given = ImageTraining(train, unit, weights, False, "weighted")
        network = train_images(given, given, estimate_loss(2), 4, settings)
        means.append(outputs(network, train)[:, 0].mean())
    assert means[1] > means[0] + 0.08


def test_a_loss_that_is_no_number_ends_the_training(sets: tuple[ImageSet, ImageSet]) -> None:
    train, aside = (s.part(np.arange(40)) for s in sets)

    def broken(given: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
        return given.sum(dim=1) * float("nan")

    with pytest.raises(FitError, match="finite"):
        train_images(side(train), side(aside), broken, 4, SMALL)


def test_the_loss_of_densities_is_minus_their_logarithm() -> None:
    rng = np.random.default_rng(2)
    coefficients = rng.normal(0, 1, (7, FAMILY.n_terms)).astype(np.float32)
    unit = rng.uniform(-1, 1, (7, 2)).astype(np.float32)
    loss = density_loss(FAMILY)(torch.from_numpy(coefficients), torch.from_numpy(unit)).numpy()
    fine = BoxDensity.of(Pictures.parameters, degree=2, cells=200)
    logs = fine.log_density(coefficients, fine.points(unit.astype(np.float64)))
    np.testing.assert_allclose(loss, -logs, atol=0.06)
