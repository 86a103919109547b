"""Embedded pools: what is shared between maps, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.errors import DataError, NuisanceError
from sigma68.summaries import HasImages, HasKnownNoise, HasObservations, HasSummaries
from sigma68.tasks.lensing.bandpowers import bin_centres, log_bandpowers
from sigma68.tasks.lensing.pools import MapPool, open_embedded
from sigma68.tasks.lensing.sky import COLUMNS, NOISE, PIXEL, ROWS
from sigma68.tasks.lensing.task import Lensing


def train(source: str) -> MapPool:
    pool = open_embedded(source).train
    assert isinstance(pool, MapPool)
    return pool


def test_maps_are_numbered_by_cosmology() -> None:
    pool = train("embedded:20x3")
    assert isinstance(pool, HasObservations)
    assert pool.n_observations == 60
    assert pool.truth(3).parameters == pool.truth(5).parameters
    assert pool.truth(2).parameters != pool.truth(3).parameters
    assert pool.point_of(5) == 1
    with pytest.raises(DataError, match="no map 60"):
        pool.observation(60)


def test_skies_and_nuisances_are_independent_by_default() -> None:
    pool = train("embedded:20x3")
    assert pool.truth(0).nuisances != pool.truth(3).nuisances
    skies = [pool.observation(number).values[0] for number in (0, 3)]
    assert abs(np.corrcoef(skies)[0, 1]) < 0.05


def test_the_trap_shares_nuisances_and_skies_but_no_noise() -> None:
    pool = train("embedded:20x3:shared")
    assert pool.truth(0).nuisances == pool.truth(3).nuisances
    assert pool.truth(0).nuisances != pool.truth(1).nuisances
    one, two, other = (pool.observation(number).values[0] for number in (0, 3, 1))
    # Sky of deviation 0.01 under noise of 0.026: a tenth and more of the variance is common.
    assert np.corrcoef(one, two)[0, 1] > 0.1
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.05
    assert (
        open_embedded("embedded:20x3").fingerprint
        != open_embedded("embedded:20x3:shared").fingerprint
    )


def test_noise_is_drawn_anew_on_the_same_sky() -> None:
    pool = train("embedded:20x3")
    first, second = (pool.observation(4, noise=n).values[0] for n in (0, 1))
    np.testing.assert_array_equal(first, pool.observation(4).values[0])
    assert (first - second).std() == pytest.approx(NOISE * np.sqrt(2), rel=0.01)


@pytest.mark.parametrize("source", ["embedded:5x3", "embedded:20x1", "embedded:x", "elsewhere"])
def test_other_sources_are_refused(source: str) -> None:
    with pytest.raises(DataError):
        open_embedded(source)


def test_nuisances_are_checked() -> None:
    pool = train("embedded:20x3")
    with pytest.raises(NuisanceError, match="f0"):
        pool.labelled({"f0": 0.5})


def test_band_powers_of_white_noise() -> None:
    rng = np.random.default_rng(68)
    logs = np.mean([log_bandpowers(rng.normal(size=(ROWS, COLUMNS)), 1.0) for _ in range(4)], 0)
    np.testing.assert_allclose(10 ** logs[3:], PIXEL**2, rtol=0.05)
    assert np.all(np.diff(bin_centres()) > 0)


def test_band_powers_of_nothing_are_no_numbers() -> None:
    assert np.isnan(log_bandpowers(np.zeros((ROWS, COLUMNS)), 0.5)).all()


def test_noise_is_what_a_map_without_it_lacks() -> None:
    pool = train("embedded:20x3")
    assert isinstance(pool, HasKnownNoise)
    noise = pool.observation(1, noise=5).values - pool.noiseless(1).values
    assert noise.std() == pytest.approx(pool.noise_sigma, rel=0.01)
    other = pool.observation(1, noise=6).values - pool.noiseless(1).values
    assert abs(np.corrcoef(noise[0], other[0])[0, 1]) < 0.02


def test_an_image_shows_nothing_outside_the_mask() -> None:
    task = Lensing()
    assert isinstance(task, HasImages)
    seen = train("embedded:20x3").observation(0)
    image = task.image(seen)
    assert image.shape == task.image_shape == (ROWS, COLUMNS)
    assert not image[~task.image_mask].any()
    assert image[task.image_mask].std() > 0


def test_summary_of_a_map() -> None:
    task = Lensing()
    assert isinstance(task, HasSummaries)
    seen = train("embedded:20x3").observation(0)
    summary = task.summary(seen)
    assert summary.shape == (len(task.summary_names),)
    # Noise alone at the smallest scales: sigma^2 of a pixel times its area.
    assert summary[-1] == pytest.approx(np.log10(NOISE**2 * PIXEL**2), abs=0.06)
    seen.values[0, 7] = np.nan
    assert np.isnan(task.summary(seen)).all()
