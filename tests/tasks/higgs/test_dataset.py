"""Events go to Parquet and back unchanged, and every bad file is refused with a sentence."""

from __future__ import annotations

import errno
import json
import os
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks.events import made_events

from sigma68.errors import DataError, OutputError
from sigma68.tasks.higgs.dataset import EventBatch, EventFile, EventWriter, open_parquet
from sigma68.tasks.higgs.schema import FEATURES, PRIMARIES, PROCESSES

SAMPLE = Path(__file__).resolve().parents[3] / "../shared/data/higgs-sample"


@pytest.fixture(scope="module")
def made() -> pd.DataFrame:
    return made_events(1_000, seed=5)


def write(frame: pd.DataFrame, folder: Path, name: str = "events.parquet", rows: int = 300) -> Path:
    path = folder / name
    frame.to_parquet(path, row_group_size=rows)
    return path


def read(file: EventFile, columns: tuple[str, ...] = FEATURES, rows: int = 128) -> list[EventBatch]:
    return list(file.iter_batches(columns, batch_rows=rows))


def test_batches_hold_the_file_in_order(made: pd.DataFrame, tmp_path: Path) -> None:
    file = open_parquet(write(made, tmp_path))
    batches = read(file)
    assert file.n_rows == 1000
    assert all(batch.n_events <= 128 for batch in batches)
    assert [b.first_row for b in batches] == list(
        np.cumsum([0, *(b.n_events for b in batches)])[:-1]
    )
    values = np.concatenate([b.values for b in batches], axis=1)
    assert values.dtype == np.float32
    assert np.array_equal(values.T, made[list(FEATURES)].to_numpy())
    assert np.array_equal(np.concatenate([b.weights for b in batches]), made["weights"])
    process = np.concatenate([b.process for b in batches])
    assert list(np.array(PROCESSES)[process]) == list(made["detailed_labels"])


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    events = made_events(200_000, seed=1)
    peaks = []
    for n in (40_000, 200_000):
        path = write(events.iloc[:n], tmp_path, f"{n}.parquet", rows=20_000)
        before = pa.total_allocated_bytes()
        batches = open_parquet(path).iter_batches(batch_rows=10_000)
        peaks.append(max(pa.total_allocated_bytes() - before for _ in batches))
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 200_000 * 16 * 4 / 2  # half of the primaries alone


def test_other_types_of_the_same_values_are_read_alike(made: pd.DataFrame, tmp_path: Path) -> None:
    plain = read(open_parquet(write(made, tmp_path)))
    other = made.astype(dict.fromkeys(FEATURES, np.float64))
    other["labels"] = made["labels"].astype(np.int64)
    other["detailed_labels"] = made["detailed_labels"].astype(str)
    for got, want in zip(
        read(open_parquet(write(other, tmp_path, "b.parquet"))), plain, strict=True
    ):
        assert np.array_equal(got.values, want.values)
        assert np.array_equal(got.process, want.process)
    other["labels"] = made["labels"].astype(bool)
    assert len(read(open_parquet(write(other, tmp_path, "c.parquet")))) == len(plain)


def test_optional_columns_are_read_where_they_are(made: pd.DataFrame, tmp_path: Path) -> None:
    numbered = made.assign(hard_event=np.arange(1000) // 3, decay=np.arange(1000) % 3)
    file = open_parquet(write(numbered, tmp_path))
    batch = read(file, (), 1000)[0]
    assert file.has_hard_event
    assert batch.values.shape == (0, batch.n_events)
    assert batch.hard_event is not None
    assert batch.decay is not None
    assert np.array_equal(batch.hard_event, np.arange(batch.n_events) // 3)
    assert np.array_equal(batch.decay, np.arange(batch.n_events) % 3)
    assert read(open_parquet(write(made, tmp_path, "b.parquet")))[0].hard_event is None


def test_the_real_sample_comes_through_writer_and_reader_unchanged(tmp_path: Path) -> None:
    if not SAMPLE.exists():
        pytest.skip("the real sample is not beside this checkout")
    file = open_parquet(SAMPLE)
    assert file.sum_weights == 1051433.0
    target = tmp_path / "copy.parquet"
    counts = np.zeros(4, np.int64)
    with EventWriter(target) as writer:
        for batch in file.iter_batches(FEATURES, batch_rows=300):
            counts += np.bincount(batch.process, minlength=4)
            writer.write(batch.values, weights=batch.weights, process=batch.process)
    assert counts.tolist() == [336, 634, 26, 4]
    original, copy = pq.read_table(file.path), pq.read_table(target)
    assert copy.equals(original.replace_schema_metadata())


# Files that are refused: what is done to good events, and what the sentence must say.


def with_value(column: str, row: int, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy()
        frame["detailed_labels"] = frame["detailed_labels"].astype(object)
        frame.loc[row, column] = value
        return frame

    return spoil


BAD = {
    "a missing feature": (lambda f: f.drop(columns="PRI_met"), "lacks the column PRI_met:"),
    "missing columns": (
        lambda f: f.drop(columns=["weights", "DER_pt_h"]),
        "lacks the columns DER_pt_h, weights:",
    ),
    "text for a number": (
        lambda f: f.assign(PRI_had_pt=f.PRI_had_pt.astype(str)),
        "the column PRI_had_pt of .* has type (large_)?string: it must be float32",
    ),
    "integers for a pt": (
        lambda f: f.assign(PRI_lep_pt=f.PRI_lep_pt.astype(int)),
        "the column PRI_lep_pt of .* has type int64",
    ),
    "half precision weights": (
        lambda f: f.assign(weights=f.weights.astype(np.float16)),
        "the column weights of .* has type halffloat",
    ),
    "text for a label": (
        lambda f: f.assign(labels=f.labels.astype(str)),
        "the column labels of .* it must be a number",
    ),
    "numbers for a process": (
        lambda f: f.assign(detailed_labels=1),
        "the column detailed_labels of .* it must be text, one of htautau",
    ),
    "fractional hard events": (
        lambda f: f.assign(hard_event=0.5),
        "the column hard_event of .* must be an integer",
    ),
    "NaN": (with_value("PRI_met", 777, np.nan), "PRI_met is nan in row 777 of .*: remove"),
    "infinity": (with_value("PRI_jet_all_pt", 300, np.inf), "PRI_jet_all_pt is inf in row 300 of"),
    "a negative weight": (with_value("weights", 5, -2.0), "weights is -2 in row 5 of"),
    "a huge weight": (
        lambda f: f.assign(weights=1e300),
        r"weights is 1e\+300 in row 0 of .* between 0 and 1e\+30",
    ),
    "a NaN weight": (with_value("weights", 999, np.nan), "weights is nan in row 999 of"),
    "an unknown process": (
        with_value("detailed_labels", 400, "wjets"),
        "detailed_labels is 'wjets' in row 400 of .*: known processes are htautau, ztautau",
    ),
    "no process": (with_value("detailed_labels", 2, None), "detailed_labels is None in row 2 of"),
    "a contradicting label": (
        lambda f: f.assign(labels=np.where(np.arange(1000) == 600, 1 - f.labels, f.labels)),
        "labels is .* while detailed_labels is .* in row 600 of",
    ),
    "no label": (with_value("labels", 0, np.nan), "labels is nan while .* in row 0 of"),
    "a missing hard event": (
        lambda f: f.assign(hard_event=pd.array([1] * 350 + [None] + [2] * 649, "Int64")),
        "hard_event is missing in row 350 of",
    ),
    "no rows": (lambda f: f.iloc[:0], "holds no events"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_events_are_refused(case: str, made: pd.DataFrame, tmp_path: Path) -> None:
    spoil, sentence = BAD[case]
    path = write(spoil(made), tmp_path)
    with pytest.raises(DataError, match=sentence) as caught:
        read(open_parquet(path))
    assert "events.parquet" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_column_given_twice_is_refused(made: pd.DataFrame, tmp_path: Path) -> None:
    table = pa.Table.from_pandas(made)
    path = tmp_path / "events.parquet"
    pq.write_table(table.append_column("PRI_met", table["PRI_met"]), path)
    with pytest.raises(DataError, match="PRI_met more than once"):
        open_parquet(path)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.999])
def test_a_truncated_file_is_refused(kept: float, made: pd.DataFrame, tmp_path: Path) -> None:
    path = write(made, tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(DataError, match="truncated or damaged, get it again"):
        open_parquet(path)


def test_a_file_damaged_in_its_middle_is_refused(made: pd.DataFrame, tmp_path: Path) -> None:
    path = write(made, tmp_path)
    data = bytearray(path.read_bytes())
    data[2_000:40_000] = bytes(38_000)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"events\.parquet"):
        read(open_parquet(path))


def test_what_is_not_there_is_said(made: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist: give a Parquet file"):
        open_parquet(tmp_path / "nothing.parquet")
    with pytest.raises(DataError, match="holds no Parquet file"):
        open_parquet(tmp_path)
    write(made, tmp_path, "a.parquet")
    assert open_parquet(tmp_path).path.name == "a.parquet"
    write(made, tmp_path, "b.parquet")
    with pytest.raises(DataError, match=r"several Parquet files \(a\.parquet, b\.parquet\)"):
        open_parquet(tmp_path)
    (tmp_path / "c.csv").write_text("PRI_met\n1\n")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        open_parquet(tmp_path / "c.csv")


def test_metadata_is_read_or_refused(made: pd.DataFrame, tmp_path: Path) -> None:
    path = write(made, tmp_path)
    assert open_parquet(path).sum_weights is None
    beside = tmp_path / "other_metadata.json"
    beside.write_text(json.dumps({"luminosity": 10}))
    assert open_parquet(path).sum_weights is None
    beside.write_text(json.dumps({"sum_weights": 5e5}))
    assert open_parquet(path).sum_weights == 5e5
    own = tmp_path / "events_metadata.json"
    own.write_text(json.dumps({"sum_weights": 7e5}))
    assert open_parquet(path).sum_weights == 7e5
    for text, sentence in (
        ("{", "cannot be read as the metadata"),
        ("[1]", "cannot be read as the metadata"),
        ('{"sum_weights": "many"}', "cannot be read as the metadata"),
        ('{"sum_weights": -1}', "must be a positive number"),
        ('{"sum_weights": NaN}', "must be a positive number"),
    ):
        own.write_text(text)
        with pytest.raises(DataError, match=sentence):
            open_parquet(path)


# Writing.


def features(n: int) -> np.ndarray:
    return np.arange(28 * n, dtype=np.float32).reshape(28, n)


def test_only_columns_of_few_values_get_a_dictionary(made: pd.DataFrame, tmp_path: Path) -> None:
    few = {"weights", "labels", "detailed_labels", "PRI_n_jets", "process_code"}
    n = len(made)
    with EventWriter(tmp_path / "a.parquet", hard_event=True, process_code=True) as writer:
        writer.write(
            np.ascontiguousarray(made[list(FEATURES)].to_numpy(np.float32).T),
            weights=np.ones(n),
            process=np.zeros(n, np.int8),
            hard_event=np.arange(n),
            process_code=np.zeros(n, np.int16),
        )
    group = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    found = {c.path_in_schema for c in columns if c.has_dictionary_page}
    assert found == few


def test_the_writer_writes_features_alone_or_with_origin(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "toy.parquet", origin=False) as writer:
        writer.write(features(3))
        writer.write(features(2))
    table = pq.read_table(tmp_path / "toy.parquet")
    assert tuple(table.column_names) == FEATURES
    assert table["PRI_lep_pt"].to_pylist() == [0, 1, 2, 0, 1]
    assert {field.type for field in table.schema} == {pa.float32()}
    with EventWriter(tmp_path / "all.parquet", hard_event=True, decay=True) as writer:
        writer.write(
            features(3),
            weights=np.array([1.0, 2.0, 3.0]),
            process=np.array([0, 3, 1], np.int8),
            hard_event=np.array([7, 7, 8]),
            decay=np.array([0, 1, 0]),
        )
    batch = read(open_parquet(tmp_path / "all.parquet"))[0]
    assert batch.process.tolist() == [0, 3, 1]
    assert batch.hard_event is not None
    assert batch.hard_event.tolist() == [7, 7, 8]
    assert np.array_equal(batch.values, features(3))


def test_columns_that_do_not_belong_are_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="detailed_labels, labels"),
        EventWriter(tmp_path / "a.parquet") as writer,
    ):
        writer.write(features(2), weights=np.ones(2))
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_an_interrupted_file(tmp_path: Path) -> None:
    target = tmp_path / "toy.parquet"
    target.write_text("what was there")

    def interrupted() -> None:
        with EventWriter(target, origin=False) as writer:
            writer.write(features(10))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in tmp_path.iterdir()] == ["toy.parquet"]
    assert target.read_text() == "what was there"


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be written .* choose a folder"):
        EventWriter(tmp_path / "nowhere" / "toy.parquet")


def test_a_disk_that_fills_while_writing_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).random((28, 20_000), np.float32)
    target = tmp_path / "toy.parquet"

    def fill() -> None:
        with EventWriter(target, origin=False) as writer:
            for _ in range(5):
                writer.write(noise)

    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"toy.parquet cannot be written .File too large."):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_values_beyond_float32_are_infinite(made: pd.DataFrame, tmp_path: Path) -> None:
    huge = made.astype(dict.fromkeys(FEATURES, np.float64))
    huge.loc[3, "PRI_met"] = 1e300
    with pytest.raises(DataError, match="PRI_met is inf in row 3"):
        read(open_parquet(write(huge, tmp_path)))


def test_an_unreadable_file_is_said(
    made: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(made, tmp_path)

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(pq, "ParquetFile", refuse)
    with pytest.raises(DataError, match=r"permission denied.: make it readable"):
        open_parquet(path)


def test_a_full_disk_at_the_end_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(OutputError, match="No space left on device"),
        EventWriter(tmp_path / "toy.parquet", origin=False) as writer,
    ):
        writer.write(features(10))
    assert list(tmp_path.iterdir()) == []


def test_primaries_are_the_default_columns(made: pd.DataFrame, tmp_path: Path) -> None:
    batch = next(open_parquet(write(made, tmp_path)).iter_batches())
    assert batch.names == PRIMARIES
