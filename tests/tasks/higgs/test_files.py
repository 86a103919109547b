"""Whole files biased and toys on disk: equal to the kernels, however the file is cut."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.events import made_events

from sigma68.discover import load_task
from sigma68.errors import DataError, NuisanceError, OutputError, SettingsError
from sigma68.seeds import stream
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.dataset import open_parquet
from sigma68.tasks.higgs.files import (
    PeerNoise,
    bias_file,
    holds_toys,
    labelled_chunks,
    write_toys,
)
from sigma68.tasks.higgs.schema import FEATURES, PRIMARIES, PROCESSES
from sigma68.tasks.higgs.writer import EventWriter
from sigma68.types import Truth

SHIFT = {
    "tes": 1.02,
    "jes": 0.99,
    "soft_met": 1.5,
    "ttbar_scale": 1.1,
    "diboson_scale": 0.8,
    "bkg_scale": 1.001,
}
FACTORS = {"htautau": 1.0, "ztautau": 1.001, "ttbar": 1.1 * 1.001, "diboson": 0.8 * 1.001}


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "made.parquet"
    made_events(12_000, seed=2).to_parquet(path, row_group_size=2500)
    return path


def test_the_file_is_what_the_kernel_gives_with_scaled_weights(
    events: Path, tmp_path: Path
) -> None:
    frame = pd.read_parquet(events)
    values = np.ascontiguousarray(frame[list(PRIMARIES)].to_numpy(np.float32).T)
    key = stream("higgs", "bias", 7).key32
    features, rows = bias_columns(values, 1.02, 0.99, 1.5, key)
    told: list[float] = []
    n = bias_file(
        events,
        tmp_path / "out.parquet",
        SHIFT,
        seed=7,
        progress=lambda what, fraction: told.append(fraction),
    )
    biased = pd.read_parquet(tmp_path / "out.parquet")
    assert n == len(biased) == len(rows) < len(frame)
    assert told[-1] == 1.0
    np.testing.assert_array_equal(biased[list(FEATURES)].to_numpy().T, features)
    kept = frame.iloc[rows]
    assert biased["detailed_labels"].tolist() == kept["detailed_labels"].astype(str).tolist()
    np.testing.assert_array_equal(biased["labels"], kept["labels"])
    factors = kept["detailed_labels"].astype(str).map(FACTORS).to_numpy()
    np.testing.assert_allclose(biased["weights"], kept["weights"] * factors, rtol=1e-6)


@pytest.mark.parametrize("peer_compatible", [False, True])
def test_the_result_does_not_depend_on_how_the_file_is_cut(
    events: Path, tmp_path: Path, peer_compatible: bool
) -> None:
    frames = []
    for batch_rows in (100_000, 1024, 501):
        out = tmp_path / f"{batch_rows}.parquet"
        bias_file(
            events, out, SHIFT, seed=3, peer_compatible=peer_compatible, batch_rows=batch_rows
        )
        frames.append(pd.read_parquet(out))
    pd.testing.assert_frame_equal(frames[0], frames[1])
    pd.testing.assert_frame_equal(frames[0], frames[2])


def test_another_seed_gives_other_noise_and_nothing_else(events: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        bias_file(events, tmp_path / f"{seed}.parquet", {"soft_met": 2.0}, seed=seed)
    one, two = (pd.read_parquet(tmp_path / f"{seed}.parquet") for seed in (1, 2))
    assert (one["PRI_met"] != two["PRI_met"]).mean() > 0.9
    pd.testing.assert_series_equal(one["PRI_had_pt"], two["PRI_had_pt"])


def test_the_peers_noise_in_pieces_is_its_noise_as_a_whole() -> None:
    # The peer's generator and order of draws, as a statement of what it does.
    generator = np.random.RandomState(31415)
    expected = np.stack([generator.normal(0, 1.5, 1001), generator.normal(0, 1.5, 1001)])
    noise = PeerNoise(1.5, 1001)
    pieces = np.concatenate([noise(1), noise(333), noise(667)], axis=1)
    np.testing.assert_array_equal(pieces, expected)


def test_bad_input_leaves_nothing_behind(events: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    with pytest.raises(NuisanceError, match=r"tes = 1\.3 is outside"):
        bias_file(events, out, {"tes": 1.3})
    broken = made_events(2000, seed=3)
    broken.loc[1500, "PRI_met"] = np.nan
    broken.to_parquet(tmp_path / "broken.parquet")
    with pytest.raises(DataError, match="PRI_met is nan in row 1500"):
        bias_file(tmp_path / "broken.parquet", out, batch_rows=1000)
    (tmp_path / "broken.parquet").unlink()
    with pytest.raises(SettingsError, match="is the input itself"):
        bias_file(events, events)
    assert list(tmp_path.iterdir()) == []


def test_chunks_hold_the_same_events_under_every_shift(events: Path) -> None:
    shifts = {"nominal": {}, "up": {"tes": 1.05}, "scaled": {"ttbar_scale": 1.2}}
    chunks = list(labelled_chunks(events, shifts, batch_rows=4000))
    assert len(chunks) > 1
    one = chunks[0]
    assert one["up"].n_events > one["nominal"].n_events  # harder taus: more pass
    np.testing.assert_array_equal(one["scaled"].values, one["nominal"].values)
    ttbar = one["nominal"].process == PROCESSES.index("ttbar")
    ratio = one["scaled"].weights / one["nominal"].weights
    np.testing.assert_allclose(ratio, np.where(ttbar, 1.2, 1.0))
    np.testing.assert_array_equal(one["nominal"].labels == 1, one["nominal"].process == 0)


def test_toys_on_disk_are_the_pseudo_experiments_of_their_stream(
    events: Path, tmp_path: Path
) -> None:
    task = load_task("higgs")
    pool = task.open(str(events)).scoring
    truth = Truth({"mu": 2.0}, {n.name: n.off for n in task.nuisances} | {"tes": 1.01})
    (tmp_path / "toy_9.parquet").write_text("left by an earlier command")
    paths = write_toys(task, pool, truth, tmp_path, count=2, seed=4, settings={"data": "x"})
    assert [path.name for path in paths] == ["toy_0.parquet", "toy_1.parquet"]
    expected = task.pseudo_experiment(pool, truth, stream("higgs", "toys", 4, 0, 1))
    toy = pd.read_parquet(paths[1])
    assert tuple(toy.columns) == FEATURES
    np.testing.assert_array_equal(toy.to_numpy().T, expected.values)
    document = json.loads((tmp_path / "truth.json").read_text())
    assert document["fingerprint"] == pool.fingerprint
    assert (document["mu"], document["tes"], document["data"]) == (2.0, 1.01, "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "toy_0.parquet",
        "toy_1.parquet",
        "truth.json",
    ]


def test_toys_that_cannot_be_written_are_refused(events: Path, tmp_path: Path) -> None:
    task = load_task("higgs")
    pool = task.open(str(events)).scoring
    truth = Truth({"mu": 1.0}, {n.name: n.off for n in task.nuisances})
    with pytest.raises(SettingsError, match="count must be 1 or more"):
        write_toys(task, pool, truth, tmp_path, count=0, seed=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_toys(task, pool, truth, tmp_path / "file", count=1, seed=1)


def test_toys_that_were_interrupted_are_told_from_finished_ones(
    events: Path, tmp_path: Path
) -> None:
    task = load_task("higgs")
    pool = task.open(str(events)).scoring
    truth = Truth({"mu": 1.0}, {n.name: n.off for n in task.nuisances})

    def interrupt(name: str, fraction: float) -> None:
        raise KeyboardInterrupt

    assert not holds_toys(tmp_path / "nowhere")
    with pytest.raises(KeyboardInterrupt):
        write_toys(task, pool, truth, tmp_path, count=3, seed=1, progress=interrupt)
    (tmp_path / ".toy_1.parquet.partial").write_text("of a killed program")
    assert not (tmp_path / "truth.json").exists()
    assert not holds_toys(tmp_path)
    write_toys(task, pool, truth, tmp_path, count=1, seed=1)
    assert holds_toys(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toy_0.parquet", "truth.json"]
    (tmp_path / "truth.json").unlink()  # kept elsewhere: the toys are finished all the same
    assert holds_toys(tmp_path)


def test_two_programs_do_not_write_toys_to_one_folder(events: Path, tmp_path: Path) -> None:
    task = load_task("higgs")
    pool = task.open(str(events)).scoring
    truth = Truth({"mu": 1.0}, {n.name: n.off for n in task.nuisances})

    def meanwhile(name: str, fraction: float) -> None:
        with pytest.raises(OutputError, match="another program is writing toys"):
            write_toys(task, pool, truth, tmp_path, count=1, seed=2)

    assert len(write_toys(task, pool, truth, tmp_path, count=2, seed=1, progress=meanwhile)) == 2
    assert json.loads((tmp_path / "truth.json").read_text())["seed"] == 1


def test_what_a_killed_program_left_is_used_again(events: Path, tmp_path: Path) -> None:
    left = tmp_path / ".out.parquet.partial"
    left.write_text("half of an earlier file, longer than nothing")
    bias_file(events, tmp_path / "out.parquet", SHIFT)
    bias_file(events, tmp_path / "clean.parquet", SHIFT)
    assert not left.exists()
    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "clean.parquet").read_bytes()


def test_two_programs_do_not_write_one_file(tmp_path: Path) -> None:
    values = np.zeros((len(FEATURES), 3), np.float32)
    with EventWriter(tmp_path / "out.parquet", origin=False) as writer:
        with pytest.raises(OutputError, match="another program is writing"):
            EventWriter(tmp_path / "out.parquet", origin=False)
        writer.write(values)
    assert len(pd.read_parquet(tmp_path / "out.parquet")) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def test_an_interrupt_while_the_file_is_finished_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt), EventWriter(tmp_path / "a.parquet", origin=False) as w:
        w.write(np.zeros((len(FEATURES), 3), np.float32))
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_leads_nowhere_is_said(tmp_path: Path) -> None:
    (tmp_path / "link.parquet").symlink_to(tmp_path / "gone.parquet")
    with pytest.raises(DataError, match=r"link.parquet does not exist \(it is a link that leads"):
        open_parquet(tmp_path / "link.parquet")


def test_the_file_read_is_not_changed(events: Path, tmp_path: Path) -> None:
    before = events.read_bytes()
    bias_file(events, tmp_path / "out.parquet", SHIFT)
    assert events.read_bytes() == before
    assert open_parquet(tmp_path / "out.parquet").n_rows > 0
