"""The loader of the public files, on small files of their form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import DataError, SettingsError
from sigma68.protocols import Pools
from sigma68.seeds import stream
from sigma68.summaries import HasKnownNoise, HasObservations, HeldObservations
from sigma68.tasks.lensing.official import (
    GRID_FILE,
    LABEL_FILE,
    MASK_FILE,
    TEST_FILE,
    OfficialPool,
    open_official,
    read_maps,
)
from sigma68.tasks.lensing.sky import COLUMNS, NOISE, ROWS
from sigma68.tasks.lensing.task import Lensing
from sigma68.types import Truth

POINTS, REALISATIONS, PIXELS = 3, 20, 400


def labels() -> np.ndarray:
    made = np.zeros((POINTS, REALISATIONS, 5))
    made[..., 0] = np.array([0.2, 0.3, 0.4])[:, None]
    made[..., 1] = 0.8
    made[..., 2] = np.linspace(7.2, 8.5, REALISATIONS)
    made[..., 3] = 0.01
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mask = np.zeros((ROWS, COLUMNS), dtype=bool)
    mask.ravel()[1000 : 1000 + PIXELS] = True
    grid = np.arange(POINTS * REALISATIONS).reshape(POINTS, REALISATIONS, 1) * 1e-3
    np.save(tmp_path / MASK_FILE, mask)
    np.save(
        tmp_path / GRID_FILE, np.broadcast_to(grid, (*grid.shape[:2], PIXELS)).astype(np.float16)
    )
    np.save(tmp_path / LABEL_FILE, labels())
    return tmp_path


def opened(folder: Path) -> Pools:
    return open_official(folder)[0]


def test_the_split_goes_along_the_realisations(folder: Path) -> None:
    pools = opened(folder)
    held = [set(pools[r].realisations) for r in ("train", "calibration", "scoring", "final")]  # type: ignore[attr-defined]
    assert [len(h) for h in held] == [12, 4, 2, 2]
    assert set.union(*held) == set(range(REALISATIONS))
    assert sum(map(len, held)) == REALISATIONS
    other = open_official(folder, split_seed=1)[0]
    assert other.fingerprint != pools.fingerprint


def test_maps_stay_on_the_disk(folder: Path) -> None:
    pool = opened(folder).train
    assert isinstance(pool, OfficialPool)
    assert isinstance(pool.maps, np.memmap)
    assert not pool.maps.flags.writeable


def test_a_map_is_the_files_with_noise_drawn_anew(folder: Path) -> None:
    pool = opened(folder).train
    assert isinstance(pool, HasObservations)
    assert isinstance(pool, OfficialPool)
    assert pool.n_observations == POINTS * 12
    number = 12 + 5
    realisation = int(pool.realisations[5])
    assert pool.point_of(number) == 1
    truth = pool.truth(number)
    assert truth.parameters == {"Omega_m": 0.3, "S8": 0.8}
    assert truth.nuisances["log10_T_AGN"] == labels()[1, realisation, 2]
    first, second = (pool.observation(number, noise=n).values[0] for n in (0, 1))
    np.testing.assert_array_equal(first, pool.observation(number).values[0])
    assert not np.array_equal(first, second)
    sky = np.float16((REALISATIONS + realisation) * 1e-3)
    assert first.mean() == pytest.approx(float(sky), abs=4 * NOISE / np.sqrt(PIXELS))
    assert (first - second).std() == pytest.approx(NOISE * np.sqrt(2), rel=0.15)


def test_a_map_without_noise_is_the_files(folder: Path) -> None:
    pool = opened(folder).train
    assert isinstance(pool, HasKnownNoise)
    assert pool.noise_sigma == NOISE
    point, realisation = divmod(13, len(pool.realisations))  # type: ignore[attr-defined]
    in_file = pool.maps[point, pool.realisations[realisation]]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(pool.noiseless(13).values[0], in_file.astype(np.float32))


def test_the_task_takes_the_files_mask(folder: Path) -> None:
    task = Lensing()
    pools = task.open(str(folder))
    assert task.mask.sum() == PIXELS
    seen = pools.train.observation(0)  # type: ignore[attr-defined]
    image = task.image(seen)
    np.testing.assert_array_equal(image[task.mask], seen.values[0])
    assert np.isfinite(task.summary(seen)).all()
    task.open()
    with pytest.raises(DataError, match="400 pixels"):
        task.image(seen)


def test_pseudo_experiments_are_maps_that_were_held_out(folder: Path) -> None:
    task = Lensing()
    pool = task.open(str(folder)).scoring
    assert isinstance(pool, HeldObservations)
    assert isinstance(pool, OfficialPool)
    truths = [[pool.held_truth(3, s, t) for t in range(2)] for s in range(POINTS)]
    # Every cosmology has a set, every realisation a toy of each.
    assert {s[0].parameters["Omega_m"] for s in truths} == {0.2, 0.3, 0.4}
    assert all(one.parameters == two.parameters for one, two in truths)
    held = {labels()[0, r, 2] for r in pool.realisations}
    assert all({t.nuisances["log10_T_AGN"] for t in s} == held for s in truths)
    truth = truths[1][0]
    number = pool.number_of(truth)
    assert pool.truth(number) == truth
    seen = task.pseudo_experiment(pool, truth, stream("lensing", "test", 0))
    noise = seen.values - pool.noiseless(number).values
    assert noise.std() == pytest.approx(NOISE, rel=0.15)
    other = task.pseudo_experiment(pool, truth, stream("lensing", "test", 1))
    assert not np.array_equal(seen.values, other.values)
    # The order of the cosmologies is the seed's, and what comes after all of them another one.
    orders = [[pool.held_truth(seed, s, 0) for s in range(POINTS)] for seed in range(6)]
    assert len({tuple(t.parameters["Omega_m"] for t in order) for order in orders}) > 1
    beyond = [pool.held_truth(3, s, 0).parameters["Omega_m"] for s in range(POINTS, 2 * POINTS)]
    assert set(beyond) == {0.2, 0.3, 0.4}


def test_truths_that_no_map_has_are_refused(folder: Path) -> None:
    task = Lensing()
    pools = task.open(str(folder))
    draw = stream("lensing", "test", 0)
    with pytest.raises(SettingsError, match=r"no map made with Omega_m = 0\.5"):
        task.pseudo_experiment(pools.scoring, Truth({"Omega_m": 0.5, "S8": 0.8}), draw)
    learnt = pools.train.truth(0)  # type: ignore[attr-defined]
    with pytest.raises(SettingsError, match="scoring pool"):
        task.pseudo_experiment(pools.scoring, learnt, draw)
    with pytest.raises(SettingsError, match="--toys 2 or fewer"):
        pools.scoring.held_truth(0, 0, 2)  # type: ignore[attr-defined]


def test_test_maps_are_mapped_too(folder: Path) -> None:
    np.save(folder / TEST_FILE, np.zeros((7, PIXELS), dtype=np.float16))
    mask = np.load(folder / MASK_FILE)
    assert isinstance(read_maps(folder / TEST_FILE, mask), np.memmap)
    np.save(folder / TEST_FILE, np.zeros((7, PIXELS + 1), dtype=np.float16))
    with pytest.raises(DataError, match="400 pixels"):
        read_maps(folder / TEST_FILE, mask)


@pytest.mark.parametrize("name", [GRID_FILE, MASK_FILE, LABEL_FILE])
def test_a_missing_or_damaged_file_is_refused(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=f"{name} has .* bytes: it was not downloaded whole"):
        opened(folder)
    (folder / name).write_bytes(b"")
    with pytest.raises(DataError, match=name):
        opened(folder)
    (folder / name).unlink()
    with pytest.raises(DataError, match=name):
        opened(folder)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        (MASK_FILE, np.ones((ROWS, COLUMNS))),
        (MASK_FILE, np.ones((COLUMNS, ROWS), dtype=bool)),
        (MASK_FILE, np.zeros((ROWS, COLUMNS), dtype=bool)),
        (GRID_FILE, np.zeros((POINTS, REALISATIONS, PIXELS + 1), dtype=np.float16)),
        (GRID_FILE, np.zeros((POINTS, PIXELS), dtype=np.float16)),
        (GRID_FILE, np.zeros((POINTS, REALISATIONS, PIXELS), dtype=np.int16)),
        (LABEL_FILE, np.zeros((POINTS, REALISATIONS, 4))),
        (LABEL_FILE, np.zeros((POINTS, REALISATIONS + 1, 5))),
        (LABEL_FILE, np.full((POINTS, REALISATIONS, 5), np.nan)),
        (LABEL_FILE, labels()[..., [1, 0, 2, 3, 4]]),
        (LABEL_FILE, labels() * [1, 1, 1, 1, 1e6] + [0, 0, 0, 0, 1]),
        (LABEL_FILE, labels().astype("U8")),
    ],
)
def test_files_of_another_form_are_refused(folder: Path, name: str, array: np.ndarray) -> None:
    np.save(folder / name, array)
    with pytest.raises(DataError, match=name):
        opened(folder)


@pytest.mark.parametrize("name", [GRID_FILE, MASK_FILE, LABEL_FILE])
def test_any_damage_of_a_header_is_one_sentence(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    draw = np.random.default_rng(3)
    said = []
    for _ in range(150):
        damaged = bytearray(content)
        for place in draw.integers(0, 128, 3):
            damaged[place] = draw.choice(list(b"(){}[]',0123456789<>fi\n\\\xff\0 #"))
        (folder / name).write_bytes(damaged)
        try:
            opened(folder)
        except DataError as error:
            said.append(str(error))
    assert len(said) > 100
    assert not any("\n" in words or len(words) > len(str(folder)) + 300 for words in said)


def test_pickled_files_are_not_loaded(folder: Path) -> None:
    np.save(folder / LABEL_FILE, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=LABEL_FILE):
        opened(folder)


def test_pixels_that_are_no_numbers_are_refused_when_read(folder: Path) -> None:
    np.save(folder / GRID_FILE, np.full((POINTS, REALISATIONS, PIXELS), np.nan, dtype=np.float16))
    with pytest.raises(DataError, match="no numbers"):
        opened(folder).train.observation(0)  # type: ignore[attr-defined]


def test_too_few_realisations_are_refused(folder: Path) -> None:
    np.save(folder / GRID_FILE, np.zeros((POINTS, 9, PIXELS), dtype=np.float16))
    np.save(folder / LABEL_FILE, np.zeros((POINTS, 9, 5)))
    with pytest.raises(DataError, match="at least 10"):
        opened(folder)
