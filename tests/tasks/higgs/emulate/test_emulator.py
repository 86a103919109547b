"""The emulator that comes with the package: its events, and the density it states for them."""

from __future__ import annotations

import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.errors import DataError
from sigma68.seeds import stream
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.emulate.emulator import WEIGHTS, Emulator
from sigma68.tasks.higgs.emulate.files import save
from sigma68.tasks.higgs.schema import (
    HAD_ETA,
    HAD_PHI,
    HAD_PT,
    JET1_PHI,
    JET1_PT,
    JET2_PT,
    JET_ALL_PT,
    LEP_ETA,
    LEP_PHI,
    LEP_PT,
    N_JETS,
    PRIMARIES,
    PROCESSES,
    UNDEFINED,
)

STREAM = stream("higgs", "test emulator", 1)
EVERY = range(len(PROCESSES))
N = 20_000


@pytest.fixture(scope="module")
def emulator() -> Emulator:
    return Emulator.load()


@pytest.fixture(scope="module")
def made(emulator: Emulator) -> list[npt.NDArray[np.float32]]:
    """Events of each process before the high thresholds, (16, N)."""
    return [emulator.sample(p, np.arange(N), STREAM) for p in EVERY]


def _observed(events: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The primaries that a pseudo-experiment would show, nuisance parameters off."""
    features, _ = bias_columns(events, 1.0, 1.0, 0.0, STREAM.key32)
    return np.ascontiguousarray(features[: len(PRIMARIES)])


@pytest.mark.parametrize("process", EVERY)
def test_event_is_a_function_of_its_index(
    emulator: Emulator, made: list[npt.NDArray[np.float32]], process: int
) -> None:
    index = np.array([7, 5000, 4095, 4096, 3, N - 1])
    few = emulator.sample(process, index, STREAM)
    np.testing.assert_array_equal(few, made[process][:, index])
    with ThreadPoolExecutor(2) as threads:
        parts = list(
            threads.map(
                lambda first: emulator.sample(process, np.arange(first, first + 1500), STREAM),
                range(0, 6000, 1500),
            )
        )
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), made[process][:, :6000])


def test_streams_and_processes_differ(emulator: Emulator) -> None:
    one = emulator.sample(1, np.arange(100), STREAM)
    other = emulator.sample(1, np.arange(100), stream("higgs", "test emulator", 2))
    assert not np.array_equal(one, other)
    far = emulator.sample(1, np.arange(2**40, 2**40 + 100), STREAM)
    assert not np.array_equal(one, far)


@pytest.mark.parametrize("process", EVERY)
def test_events_are_possible(made: list[npt.NDArray[np.float32]], process: int) -> None:
    events = made[process]
    assert np.isfinite(events).all()
    np.testing.assert_array_equal(events, np.round(events.astype(np.float64), 3).astype(np.float32))
    assert events[LEP_PT].min() >= 20
    assert np.abs(events[LEP_ETA]).max() <= 2.501
    assert events[HAD_PT].min() > 22.7
    jets = events[N_JETS]
    for pt, number in ((JET1_PT, 1), (JET2_PT, 2)):
        assert (events[pt : pt + 3][:, jets < number] == UNDEFINED).all()
        assert (events[pt, jets >= number] > 21.8).all()
    two = jets >= 2
    assert (events[JET1_PT, two] >= events[JET2_PT, two]).all()
    listed = np.where(jets >= 1, events[JET1_PT], 0) + np.where(two, events[JET2_PT], 0)
    further = events[JET_ALL_PT] - listed
    assert (np.abs(further[jets <= 2]) < 0.002).all()
    softer = (jets - 2) * events[JET2_PT]
    assert (further[jets >= 3] <= softer[jets >= 3] + 0.02).all()


@pytest.mark.parametrize("process", EVERY)
def test_objects_are_apart(made: list[npt.NDArray[np.float32]], process: int) -> None:
    """No two of tau, lepton and jets are nearer than the radius of the clustering allows."""
    events = made[process].astype(np.float64)
    objects = [(HAD_ETA, HAD_PHI, 0), (LEP_ETA, LEP_PHI, 0)]
    objects += [(JET1_PHI - 1, JET1_PHI, 1), (JET1_PHI + 2, JET1_PHI + 3, 2)]
    for i, (eta, phi, _) in enumerate(objects):
        for other_eta, other_phi, jets in objects[i + 1 :]:
            own = events[:, events[N_JETS] >= jets]
            turn = (own[phi] - own[other_phi] + np.pi) % (2 * np.pi) - np.pi
            assert np.hypot(own[eta] - own[other_eta], turn).min() > 0.587


def test_overall_angle_and_reflections_are_uniform(made: list[npt.NDArray[np.float32]]) -> None:
    phi, eta = made[1][HAD_PHI], made[1][HAD_ETA]
    spread = np.histogram(phi, 10, (-np.pi, np.pi))[0] / N
    np.testing.assert_allclose(spread, 0.1, atol=5 * np.sqrt(0.09 / N))
    assert np.mean(eta > 0) == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(N))


def test_density_is_normalised_over_observed_events(
    emulator: Emulator, made: list[npt.NDArray[np.float32]]
) -> None:
    """The mean of p_k / (mean of all p) over events of all four processes alike is 1.

    That holds only if the events follow the densities, lost jets and lost events included.
    """
    seen = [_observed(events) for events in made]
    few = min(part.shape[1] for part in seen)
    together = np.concatenate([part[:, :few] for part in seen], axis=1)
    logs = np.array([emulator.log_density(p, together) for p in EVERY])
    ratio = np.exp(logs - np.logaddexp.reduce(logs, axis=0)) * len(PROCESSES)
    assert np.isfinite(logs).all()
    error = ratio.std(axis=1) / np.sqrt(together.shape[1])
    assert error.max() < 0.01
    np.testing.assert_array_less(np.abs(ratio.mean(axis=1) - 1), 4 * error)


@pytest.mark.parametrize("jets", [0, 1, 2, 3])
def test_density_gives_the_share_of_each_jet_number(
    emulator: Emulator, made: list[npt.NDArray[np.float32]], jets: int
) -> None:
    """The same, for observed events with a given number of jets: jets below 26 GeV are lost."""
    seen = [_observed(events) for events in made]
    few = min(part.shape[1] for part in seen)
    together = np.concatenate([part[:, :few] for part in seen], axis=1)
    own = np.minimum(together[N_JETS], 3) == jets
    logs = np.array([emulator.log_density(p, together[:, own]) for p in EVERY])
    ratio = np.exp(logs - np.logaddexp.reduce(logs, axis=0)) * len(PROCESSES)
    for p in EVERY:
        found = ratio[p].sum() / together.shape[1]
        share = np.mean(np.minimum(seen[p][N_JETS], 3) == jets)
        error = np.hypot(np.sqrt((ratio[p] ** 2).sum()) / together.shape[1], np.sqrt(share / few))
        assert found == pytest.approx(share, abs=4 * error)


def test_what_cannot_be_observed_has_no_density(
    emulator: Emulator, made: list[npt.NDArray[np.float32]]
) -> None:
    events = _observed(made[2])
    assert np.isfinite(emulator.log_density(0, events)).all()
    for row, value in ((HAD_PT, 25.9), (LEP_PT, 19.9), (JET1_PT, 26.0)):
        spoiled = events[:, events[N_JETS] == 1].copy()
        spoiled[row] = value
        assert (emulator.log_density(0, spoiled) == -np.inf).all()


def test_acceptance_is_that_of_events(
    emulator: Emulator, made: list[npt.NDArray[np.float32]]
) -> None:
    for p in EVERY:
        share = np.mean(made[p][HAD_PT] >= 26)
        assert emulator.acceptance[p] == pytest.approx(share, abs=5 * np.sqrt(0.09 / N))


def test_weights_come_back(emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "again.npz"
    save(path, emulator.conditionals, emulator.expected, emulator.factors, emulator.history)
    again = Emulator.load(path)
    np.testing.assert_array_equal(
        again.sample(0, np.arange(50), STREAM), emulator.sample(0, np.arange(50), STREAM)
    )
    assert json.dumps(again.history) == json.dumps(emulator.history)
    assert again.fingerprint != ""


def test_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size < 10e6


def _damaged(tmp_path: Path, kind: str) -> Path:
    content = WEIGHTS.read_bytes()
    path = tmp_path / "weights.npz"
    if kind == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "flipped":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes(64) + content[middle + 64 :])
    elif kind == "pickle":
        with path.open("wb") as stream:
            np.savez(stream, about=np.array([{"a": 1}], object), allow_pickle=True)
    elif kind == "no arrays":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "nothing")
    else:
        with np.load(WEIGHTS) as archive:
            arrays = {name: archive[name] for name in archive.files}
        if kind == "lacks a step":
            arrays = {k: v for k, v in arrays.items() if not k.startswith("ttbar/9/")}
        elif kind == "negative":
            arrays["expected"] = -arrays["expected"]
        elif kind == "looks ahead":
            for part in ("shift", "scale", "w1"):
                name = f"htautau/2/{part}"
                arrays[name] = np.concatenate([arrays[name]] * 4, axis=-1)
        with path.open("wb") as stream:
            np.savez(stream, **arrays)
    return path


@pytest.mark.parametrize(
    "kind",
    ["cut", "empty", "flipped", "pickle", "no arrays", "lacks a step", "negative", "looks ahead"],
)
def test_damaged_weights_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError, match=r"holds no emulator's weights"):
        Emulator.load(_damaged(tmp_path, kind))


def test_weights_of_another_format_are_refused(emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    save(path, emulator.conditionals, emulator.expected, emulator.factors, emulator.history)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    about = json.loads(arrays["about"].tobytes())
    about["format"] -= 1
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with path.open("wb") as opened:
        np.savez(opened, **arrays)
    with pytest.raises(DataError, match=r"weights.npz .*written by another version of sigma68"):
        Emulator.load(path)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        Emulator.load(tmp_path / "none.npz")
