"""Images as networks learn from them: blocks, noise, weights."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from sigma68.errors import DataError, SettingsError
from sigma68.learning.image_sets import blocks, equal_area_weights, gather_images, seen_share
from sigma68.types import Observation, Truth
from tests.learning.images_toy import COLUMNS, NOISE, ROWS, Album, Pictures, Scrapbook, mask


def test_blocks_keep_the_noise_of_a_pixel() -> None:
    rng = np.random.default_rng(68)
    assert blocks(rng.normal(0, 0.3, (600, 600)), 3).std() == pytest.approx(0.3, rel=0.02)


def test_blocks_are_sums_of_their_pixels_and_end_with_the_image() -> None:
    image = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)
    made = blocks(image, 4)
    assert made.shape == (6, 4)
    assert made[1, 2] == pytest.approx(image[4:8, 8:12].sum() / 4)
    assert made[5, 3] == pytest.approx(image[20:, 12:].sum() / 4)


def test_share_is_what_is_seen_of_a_block() -> None:
    share = seen_share(mask(), 3)
    assert share[0].max() == 0
    assert share[1, 0] == 1
    assert share[3, 1] == pytest.approx(7 / 9)


def test_images_come_back_as_they_were_put_in() -> None:
    task, pool = cast(Any, Pictures()), cast(Any, Album(n_observations=5))
    made = gather_images(task, pool, block=1, drawings=3)
    assert made.cells.shape == (5, 3, mask().sum())
    image = made.images(np.array([2]), np.array([1]))[0] * made.scale
    assert not image[~mask()].any()
    clean = task.image(pool.noiseless(2))
    assert (image - clean)[mask()].std() == pytest.approx(NOISE, rel=0.15)
    np.testing.assert_allclose(made.summaries[2, 1, 0], image[mask()].mean(), atol=2e-3)
    truth = pool.truth(2).parameters
    np.testing.assert_allclose(made.points[2], [truth["level"], truth["ripple"]])


def test_drawings_differ_by_their_noise_alone() -> None:
    task, pool = cast(Any, Pictures()), cast(Any, Album(n_observations=40))
    made = gather_images(task, pool, block=1, drawings=2)
    difference = (made.cells[:, 0].astype(float) - made.cells[:, 1]) * made.scale
    assert difference.std() == pytest.approx(NOISE * np.sqrt(2), rel=0.03)


def test_pools_that_do_not_say_their_noise_draw_it_themselves() -> None:
    album = Album(n_observations=4)
    made = gather_images(cast(Any, Pictures()), cast(Any, Scrapbook(album)), block=1, drawings=2)
    own = album.observation(3, noise=1).values[0]
    np.testing.assert_allclose(made.cells[3, 1] * made.scale, own, rtol=2e-3, atol=2e-3)


def test_progress_is_told() -> None:
    told: list[float] = []
    gather_images(
        cast(Any, Pictures()),
        cast(Any, Album(n_observations=40)),
        block=2,
        drawings=1,
        progress=lambda _, fraction: told.append(fraction),
    )
    assert told == sorted(told)
    assert told[-1] == 1


def test_what_is_no_number_is_refused() -> None:
    class Broken(Album):
        def noiseless(self, number: int) -> Observation:
            return Observation(("x",), super().noiseless(number).values * np.float32(np.nan))

    with pytest.raises(DataError, match="no numbers"):
        gather_images(cast(Any, Pictures()), cast(Any, Broken()), block=1, drawings=1, scale=1.0)


def test_pools_and_tasks_without_images_are_refused() -> None:
    class Events:
        role = "train"

    class Other:
        name = "other"

    with pytest.raises(DataError, match="no whole observations"):
        gather_images(cast(Any, Pictures()), cast(Any, Events()), block=1, drawings=1)
    with pytest.raises(SettingsError, match="no images"):
        gather_images(cast(Any, Other()), cast(Any, Album()), block=1, drawings=1)


def test_weights_make_a_dense_corner_stand_for_its_area() -> None:
    rng = np.random.default_rng(1)
    low, high = np.array([0.0, 10.0]), np.array([1.0, 30.0])
    even = rng.uniform(low, high, (3000, 2))
    corner = rng.uniform(low, (low + high) / 2, (9000, 2))
    points = np.concatenate([even, corner])
    weights = equal_area_weights(points, low, high)
    assert weights.mean() == pytest.approx(1)
    in_corner = (points < (low + high) / 2).all(axis=1)
    assert weights[in_corner].sum() / weights.sum() == pytest.approx(0.25, abs=0.03)


def test_copies_at_one_place_share_its_weight() -> None:
    places = np.array([[0.25], [0.75]])
    points = np.repeat(places, [1, 3], axis=0)
    weights = equal_area_weights(points, np.zeros(1), np.ones(1))
    np.testing.assert_allclose(weights, [2, 2 / 3, 2 / 3, 2 / 3], rtol=0.02)


def test_a_truth_is_taken_in_the_order_of_the_tasks_parameters() -> None:
    class Swapped(Album):
        def truth(self, number: int) -> Truth:
            both = super().truth(number).parameters
            return Truth({"ripple": both["ripple"], "level": both["level"]})

    task, few = cast(Any, Pictures()), 3
    made = gather_images(task, cast(Any, Swapped(n_observations=few)), block=1, drawings=1)
    same = gather_images(task, cast(Any, Album(n_observations=few)), block=1, drawings=1)
    np.testing.assert_array_equal(made.points, same.points)
