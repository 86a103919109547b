"""The public data are fetched through every interruption, and found again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from sigma68.download import Patience
from sigma68.errors import DataError, DownloadError, OutputError, SettingsError
from sigma68.meter import HowFar
from sigma68.tasks.higgs import public
from sigma68.tasks.higgs.dataset import open_parquet
from sigma68.tasks.higgs.public import HIGGS, Copy, Record
from tests.file_server import Served, serving
from tests.tasks.higgs.archives import (
    STEM,
    events,
    metadata_bytes,
    parquet_bytes,
    public_zip,
    record_of,
    zip_bytes,
)

QUICK = Patience(tries=3, first_wait_s=0.001, longest_wait_s=0.002, timeout_s=20)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of our own, in which data go to data/."""
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path / "home"))
    return tmp_path / "home" / "data"


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Served(public_zip())) as served:
        yield served


@pytest.fixture
def record(served: Served) -> Record:
    return record_of(served.url, served.content)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


COMPLETE = {"fetch.json", f"{STEM}.parquet", f"{STEM}_metadata.json"}


def test_the_data_are_fetched_and_found(record: Record, home: Path) -> None:
    assert public.located(record) is None
    assert public.copies(record) == []
    reports: list[HowFar] = []
    path = public.fetch(record, report=reports.append, patience=QUICK)
    assert path == home / "higgs" / f"{STEM}.parquet"
    assert names(home / "higgs") == COMPLETE
    assert path.read_bytes() == parquet_bytes(events())
    assert public.located(record) == path
    assert public.copies(record) == [Copy(home / "higgs", "complete", record.sha256, path, 6_000)]
    assert {report.what for report in reports} == {"downloading", "unpacking"}
    for source in (path, path.parent):
        assert open_parquet(source).sum_weights == pytest.approx(events()["weights"].sum())


def test_it_is_not_fetched_twice(record: Record, served: Served) -> None:
    path = public.fetch(record)
    assert public.fetch(record) == path
    assert len(served.asked) == 1


def test_the_archive_is_kept_on_demand(record: Record, served: Served, home: Path) -> None:
    public.fetch(record, keep_zip=True)
    assert (home / "higgs" / f"{STEM}.zip").read_bytes() == served.content
    public.fetch(record)
    assert names(home / "higgs") == COMPLETE
    assert len(served.asked) == 1


def test_an_archive_that_was_downloaded_by_hand_is_taken(
    record: Record, served: Served, tmp_path: Path
) -> None:
    folder = tmp_path / "by-hand"
    folder.mkdir()
    (folder / f"{STEM}.zip").write_bytes(served.content)
    public.fetch(record, folder)
    assert served.asked == []
    assert names(folder) == COMPLETE
    (folder / f"{STEM}.zip").write_bytes(b"x")
    (folder / f"{STEM}.parquet").unlink()
    with pytest.raises(DownloadError, match="is not the file that was asked for"):
        public.fetch(record, folder)


def test_another_folder_is_remembered(record: Record, tmp_path: Path, home: Path) -> None:
    first = public.fetch(record, tmp_path / "first")
    second = public.fetch(record, tmp_path / "second")
    assert public.located(record) == second
    assert [copy.folder for copy in public.copies(record)] == [second.parent, first.parent]
    assert public.chosen_folder(record) == second.parent
    public.fetch(record, tmp_path / "first")  # is there, and now the last
    assert public.located(record) == first
    first.unlink()
    assert public.located(record) == second
    assert [copy.state for copy in public.copies(record)] == ["begun", "complete"]
    assert not (home / "higgs").exists()


def test_a_fetch_is_gone_on_with_where_it_was_begun(
    record: Record, served: Served, tmp_path: Path
) -> None:
    served.cuts = [100_000, 0, 0]
    with pytest.raises(DownloadError, match=r"3 times in a row, with 0\.1 MB here: SO$"):
        public.fetch(record, tmp_path / "there", patience=QUICK, go_on="SO")
    begun = Copy(tmp_path / "there", "begun", record.sha256, bytes_here=100_000)
    assert public.copies(record) == [begun]
    assert public.located(record) is None
    path = public.fetch(record)
    assert path.parent == tmp_path / "there"
    assert served.ranges_asked[-1] == "bytes=100000-"


SCRIPT = """
import sys, time
from pathlib import Path
from sigma68 import download, meter
from sigma68.tasks.higgs import gather, public
stage, folder, flag, url, sha256 = sys.argv[1:]
download._SYNC, meter._INTERVAL_S = 1 << 14, 0
def stop():
    Path(flag).touch()
    time.sleep(60)
def report(how_far):
    if how_far.what == stage and how_far.done > 200_000:
        stop()
if stage == "gathering":
    gather.open_parquet = lambda path: stop()
if stage == "clearing":
    public.shutil.rmtree = lambda *args, **more: stop()
public.fetch(public.HIGGS.elsewhere(url, sha256), Path(folder), report=report)
"""


@pytest.mark.parametrize("stage", ["downloading", "unpacking", "gathering", "clearing"])
def test_killed_at_any_stage_it_goes_on(
    stage: str, record: Record, served: Served, tmp_path: Path
) -> None:
    folder, flag = tmp_path / "there", tmp_path / "flag"
    words = [stage, str(folder), str(flag), record.url, record.sha256]
    with subprocess.Popen([sys.executable, "-c", SCRIPT, *words]) as child:
        deadline = time.monotonic() + 60
        while not flag.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert flag.exists()
        with pytest.raises(OutputError, match="another program is at work in"):
            public.fetch(record, folder)
        os.kill(child.pid, signal.SIGKILL)
    assert (public.located(record) is not None) == (stage == "clearing")
    path = public.fetch(record, patience=QUICK)
    assert path == public.located(record) == folder / f"{STEM}.parquet"
    assert path.read_bytes() == parquet_bytes(events())
    assert names(folder) == COMPLETE
    first, *more = served.ranges_asked
    assert first == ""
    if stage == "downloading":
        assert len(more) == 1
        assert re.fullmatch(r"bytes=[1-9]\d{5,}-", more[0])
    else:
        assert more == []


def test_two_at_once_do_not_meet(record: Record, served: Served, tmp_path: Path) -> None:
    served.cuts, served.gate = [50_000], threading.Event()
    results: list[Path] = []
    thread = threading.Thread(target=lambda: results.append(public.fetch(record, patience=QUICK)))
    thread.start()
    while not served.asked:
        time.sleep(0.01)
    with pytest.raises(OutputError, match="another program is at work in"):
        public.fetch(record)
    served.gate.set()
    thread.join()
    assert results == [public.located(record)]


def test_a_wrong_archive_leaves_nothing_behind(record: Record, home: Path) -> None:
    wrong = replace(record, sha256="0" * 64)
    with pytest.raises(DownloadError, match="is not the file that was asked for"):
        public.fetch(wrong)
    assert names(home / "higgs") == {"fetch.json"}
    assert public.located(wrong) is None


def test_several_parts_and_csv(served: Served) -> None:
    rest = events().iloc[4_000:].to_csv(index=False).encode()
    members = {"a/0.parquet": parquet_bytes(events()[:4_000]), "a/1.csv": rest}
    served.content = zip_bytes({**members, "a/metadata.json": metadata_bytes()})
    path = public.fetch(record_of(served.url, served.content))
    assert names(path.parent) == COMPLETE
    assert len(pd.read_parquet(path)) == 6_000


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"../events.parquet": b""}, "leads out of its folder"),
        ({"readme.txt": b"hello"}, "no Parquet or CSV file"),
        ({"zeros.parquet": bytes(10_000_000)}, "over 50 times its size"),
        ({"a.parquet": b"PAR1"}, "cannot be read as Parquet"),
    ],
)
def test_an_archive_that_is_not_data(
    served: Served, home: Path, members: dict[str, bytes], said: str
) -> None:
    served.content = zip_bytes(members)
    record = record_of(served.url, served.content)
    with pytest.raises(DataError, match=said):
        public.fetch(record)
    assert public.located(record) is None
    assert [copy.state for copy in public.copies(record)] == ["begun"]
    assert not list(home.parent.glob("*.parquet"))


def test_a_folder_with_other_files_is_left_alone(record: Record, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / f"{STEM}.parquet").write_text("mine")
    with pytest.raises(SettingsError, match=rf"holds other files \({STEM}\.parquet\)"):
        public.fetch(record, folder)
    assert names(folder) == {f"{STEM}.parquet"}
    assert public.copies(record) == []


def test_the_folder_of_another_archive_is_left_alone(record: Record, tmp_path: Path) -> None:
    path = public.fetch(record, tmp_path / "mine")
    other = replace(record, sha256="ab" * 32)
    with pytest.raises(SettingsError, match="holds another archive's data"):
        public.fetch(other, tmp_path / "mine")
    assert path.exists()
    assert public.chosen_folder(other) == public.data_folder() / "higgs"


def test_a_copy_that_lost_bytes_is_fetched_again(record: Record, served: Served) -> None:
    path = public.fetch(record)
    path.write_bytes(path.read_bytes()[:-1])
    assert public.located(record) is None
    public.fetch(record)
    assert public.located(record) == path
    assert len(served.asked) == 2


@pytest.mark.parametrize(
    "damage", ["", "[]", "{}", '{"higgs": 5}', '{"higgs": [5, "\\u0000"]}', "\xff"]
)
def test_damaged_notes_are_as_none(record: Record, home: Path, damage: str) -> None:
    path = public.fetch(record)
    (home / "places.json").write_text(damage, encoding="latin-1")
    assert public.located(record) == path
    (path.parent / "fetch.json").write_text(damage, encoding="latin-1")
    assert public.located(record) is None
    with pytest.raises(SettingsError, match="holds other files"):
        public.fetch(record)


def test_no_room_is_said_before_the_download(
    record: Record, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(served.content)
    usage = type(public.shutil.disk_usage("/"))
    for free, keep, enough in (
        (int(3.39 * size), True, False),  # archive, events and layout
        (int(2.39 * size), False, False),  # archive and events, then events and layout
        (int(2.41 * size), False, True),
    ):
        monkeypatch.setattr(
            public.shutil, "disk_usage", lambda path, free=free: usage(10 * size, size, free)
        )
        if enough:
            public.fetch(record)
        else:
            with pytest.raises(OutputError, match=r"has room for .* GB, but the download and what"):
                public.fetch(record, keep_zip=keep)
            assert public.copies(record)[0].bytes_here == 0


def test_a_small_cache_is_said_before_the_download(
    record: Record, tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGMA68_CACHE", str(small_disk / "cache"))
    monkeypatch.setattr(public, "_GROWTH", 50.0)
    with pytest.raises(
        OutputError, match=r"but the fast layout takes .*: make room, or set SIGMA68"
    ):
        public.fetch(record, tmp_path / "roomy")


def test_a_disk_that_fills_up_is_said_and_gone_on_with(
    record: Record, served: Served, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public, "_check_room", lambda *given: None)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes((2 << 20) - len(served.content) - (128 << 10)))
    folder = small_disk / "data"
    with pytest.raises(OutputError, match=r"has room for .* but what is unpacked takes"):
        public.fetch(record, folder)
    ballast.unlink()
    public.fetch(record, folder)
    assert names(folder) == COMPLETE
    assert len(served.asked) == 1


def test_the_layout_is_made(record: Record, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sigma68.tasks.higgs import pools

    monkeypatch.setattr(pools.open_pools, "__kwdefaults__", {"split_seed": 0, "in_memory_rows": 9})
    reports: list[HowFar] = []
    public.convert(public.fetch(record), reports.append)
    assert [report.what for report in reports] == ["checking and laying out the events"]
    folders = list((home.parent / "layouts").glob("*/scoring/layout.json"))
    assert len(folders) == 1


def test_events_that_are_damaged_inside_are_found(served: Served) -> None:
    frame = events().assign(PRI_met=float("nan"))
    served.content = zip_bytes({"a.parquet": parquet_bytes(frame)})
    path = public.fetch(record_of(served.url, served.content))
    with pytest.raises(DataError, match="PRI_met is nan in row 0"):
        public.convert(path)


def test_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert public.data_folder() == tmp_path / "home" / "data"
    monkeypatch.delenv("SIGMA68_CACHE")
    monkeypatch.setenv("XDG_DATA_HOME", "/big/share")
    assert public.data_folder() == Path("/big/share/sigma68")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert public.data_folder() == Path("/home/somebody/.local/share/sigma68")


def test_the_record_is_that_of_the_paper() -> None:
    assert HIGGS.url.startswith("https://zenodo.org/records/15131565/files/")
    assert HIGGS.sha256 == "adaa3dd81a02663051aa93f960bc1c5ee67a78d25c091015bb020b1f9cd7dcb5"
    assert HIGGS.rows == 220_099_101


def test_other_addresses() -> None:
    mirror = HIGGS.elsewhere("https://mirror.org/x.zip", None)
    assert (mirror.url, mirror.sha256) == ("https://mirror.org/x.zip", HIGGS.sha256)
    other = HIGGS.elsewhere("https://mirror.org/x.zip", "AB" * 32)
    assert other.sha256 == "ab" * 32
    assert HIGGS.elsewhere(None, None) is HIGGS
    with pytest.raises(SettingsError, match="--sha256 goes with --url"):
        HIGGS.elsewhere(None, "ab" * 32)
    for wrong in ("", "ab", "xy" * 32, "ab" * 32 + "\n"):
        with pytest.raises(SettingsError, match="is no SHA-256"):
            HIGGS.elsewhere("https://mirror.org/x.zip", wrong)


def test_the_mark_says_what_it_is(record: Record) -> None:
    path = public.fetch(record)
    mark = json.loads((path.parent / "fetch.json").read_text())
    assert mark["complete"] is True
    assert mark["rows"] == 6_000
    assert mark["doi"] == "10.5281/zenodo.15131565"
    assert mark["files"][path.name] == path.stat().st_size


def test_looking_costs_no_heavy_import() -> None:
    code = (
        "import sys; from sigma68.tasks.higgs import public; public.located()\n"
        "print([m for m in ('numpy', 'pandas', 'pyarrow', 'ssl') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("[]", "['ssl']")
