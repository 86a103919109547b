"""One file of events is made of whatever tables an archive may hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sigma68.errors import DataError, OutputError
from sigma68.tasks.higgs.dataset import open_parquet
from sigma68.tasks.higgs.gather import gather
from sigma68.tasks.higgs.schema import FEATURES
from tests.tasks.higgs.archives import STEM, events, metadata_bytes, parquet_bytes


def unpacked(folder: Path, members: dict[str, bytes]) -> list[Path]:
    for name, content in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return sorted(folder / name for name in members)


def read(path: Path) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    return frame[[*FEATURES, "weights", "labels", "detailed_labels"]]


def csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=True).encode()


def expected(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[[*FEATURES, "weights", "labels", "detailed_labels"]].reset_index(drop=True)


@pytest.mark.parametrize("inside", ["", "data/public/"])
def test_one_parquet_file_is_taken_as_it_is(tmp_path: Path, inside: str) -> None:
    content = parquet_bytes(events())
    members = {f"{inside}anything.parquet": content, f"{inside}x_metadata.json": metadata_bytes()}
    rooms: list[int] = []
    found = gather(
        unpacked(tmp_path / "in", {**members, "readme.txt": b"hello"}),
        tmp_path,
        STEM,
        room=rooms.append,
    )
    assert found == open_parquet(tmp_path / f"{STEM}.parquet")
    assert found.path.read_bytes() == content
    assert found.sum_weights == pytest.approx(events()["weights"].sum())
    assert rooms == [0]


def test_several_parquet_files_are_put_together_in_order(tmp_path: Path) -> None:
    parts = [events().iloc[:2_000], events().iloc[2_000:2_001], events().iloc[2_001:]]
    members = {f"part-{n}.parquet": parquet_bytes(part) for n, part in enumerate(parts)}
    files = unpacked(tmp_path / "in", {**members, "metadata.json": metadata_bytes()})
    rooms: list[int] = []
    found = gather(files, tmp_path, STEM, room=rooms.append)
    assert rooms == [sum(map(len, members.values()))]
    pd.testing.assert_frame_equal(read(found.path), expected(events()))
    assert list((tmp_path / "in").iterdir()) == []


def test_csv_files_become_parquet(tmp_path: Path) -> None:
    files = unpacked(tmp_path / "in", {"events.csv": csv(events())})
    found = gather(files, tmp_path, STEM)
    frame = read(found.path)
    pd.testing.assert_frame_equal(frame, expected(events()))
    assert {frame[name].dtype for name in FEATURES} == {np.dtype(np.float32)}
    assert found.sum_weights is None
    assert list((tmp_path / "in").iterdir()) == []


def test_csv_keeps_the_numbers_of_hard_events(tmp_path: Path) -> None:
    numbered = events().assign(hard_event=np.arange(6_000) // 3, decay=np.arange(6_000) % 3)
    found = gather(unpacked(tmp_path / "in", {"a.csv": csv(numbered)}), tmp_path, STEM)
    assert found.has_hard_event
    assert found.has_decay
    got = pd.read_parquet(found.path, columns=["hard_event", "decay"])
    assert (got["hard_event"] == numbered["hard_event"]).all()


def test_parquet_and_csv_together(tmp_path: Path) -> None:
    members = {"b.csv": csv(events().iloc[3_000:]), "a.parquet": parquet_bytes(events()[:3_000])}
    found = gather(unpacked(tmp_path / "in", members), tmp_path, STEM)
    pd.testing.assert_frame_equal(read(found.path), expected(events()))


def test_hard_events_of_several_files_are_not_mixed_up(tmp_path: Path) -> None:
    numbered = events().assign(hard_event=np.arange(6_000))
    members = {"a.parquet": parquet_bytes(numbered), "b.parquet": parquet_bytes(events())}
    with pytest.raises(DataError, match=r"a\.parquet numbers its hard events"):
        gather(unpacked(tmp_path / "in", members), tmp_path, STEM)


BAD = {
    "no events": ({"readme.txt": b"hello"}, r"no Parquet or CSV file \(readme\.txt\)"),
    "nothing": ({}, r"no Parquet or CSV file \(nothing\)"),
    "not Parquet": ({"a.parquet": b"PAR1 but not really PAR1"}, "cannot be read as Parquet"),
    "a column less": (
        {"a.parquet": parquet_bytes(events().drop(columns="PRI_met"))},
        "lacks the column PRI_met",
    ),
    "a CSV column less": ({"a.csv": csv(events().drop(columns="weights"))}, "weights"),
    "CSV of words": (
        {"a.csv": csv(events()).replace(b"ztautau", b"", 1).replace(b"\n1,", b"\n1,x")},
        "cannot be read as a table of events",
    ),
    "a CSV row cut": ({"a.csv": csv(events())[:-40]}, "cannot be read as a table of events"),
    "CSV in no encoding": ({"a.csv": b"\xff\xfe\x00"}, "cannot be read as a table of events"),
    "other rows": (
        {"a.parquet": parquet_bytes(events()), "a_metadata.json": metadata_bytes(5_999)},
        "holds 6,000 events, but its metadata promise 5999",
    ),
    "rows in words": (
        {"a.parquet": parquet_bytes(events()), "a_metadata.json": metadata_bytes(total_rows="x")},
        "promise 'x'",
    ),
    "two metadata": (
        {"a.parquet": b"", "a_metadata.json": b"{}", "b_metadata.json": b"{}"},
        "several metadata files",
    ),
    "metadata are no JSON": ({"a.parquet": b"", "a_metadata.json": b"{"}, "as the metadata"),
    "metadata are a list": ({"a.parquet": b"", "a_metadata.json": b"[]"}, "is not a JSON object"),
    "metadata are deep": (
        {"a.parquet": b"", "a_metadata.json": b'{"a":' * 100_000},
        "as the metadata",
    ),
    "metadata are huge": (
        {"a.parquet": b"", "a_metadata.json": b" " * 1_100_000},
        "larger than 1 MiB",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_events_is_refused(tmp_path: Path, case: str) -> None:
    members, said = BAD[case]
    with pytest.raises(DataError, match=said):
        gather(unpacked(tmp_path / "in", members), tmp_path, STEM)


def test_no_room_is_said_first(tmp_path: Path) -> None:
    def no_room(size: int) -> None:
        raise OutputError(f"{size} bytes")

    files = unpacked(tmp_path / "in", {"a.csv": b"x" * 100})
    with pytest.raises(OutputError, match="100 bytes"):
        gather(files, tmp_path, STEM, room=no_room)
    assert files[0].exists()
