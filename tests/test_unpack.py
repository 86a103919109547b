"""Zips of every bad kind are refused before they do harm; good ones are gone on with."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import DataError, OutputError, Sigma68Error
from sigma68.meter import HowFar
from sigma68.unpack import UnpackLimits, unpack

BYTES = np.random.default_rng(3).bytes(700_000)


def made(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


GOOD = {"events.parquet": BYTES, "folder/notes.json": b"{}", "empty.txt": b""}


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_good_zip(tmp_path: Path, method: int) -> None:
    archive = made(tmp_path / "a.zip", GOOD, method)
    reports: list[HowFar] = []
    rooms: list[int] = []
    files = unpack(archive, tmp_path / "out", report=reports.append, room=rooms.append)
    assert [str(path.relative_to(tmp_path / "out")) for path in files] == sorted(GOOD)
    assert {str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in files} == GOOD
    total = sum(map(len, GOOD.values()))
    assert rooms == [total]
    assert (reports[-1].what, reports[-1].done, reports[-1].total) == ("unpacking", total, total)


def test_zip64(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with (
        zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer,
        writer.open("big.bin", "w", force_zip64=True) as member,
    ):
        member.write(BYTES)
    assert unpack(archive, tmp_path / "out")[0].read_bytes() == BYTES


def test_what_systems_leave_behind_is_left_out(tmp_path: Path) -> None:
    clutter = {"__MACOSX/._a": b"x", ".DS_Store": b"x", "folder/": b"", "a.csv": b"1"}
    files = unpack(made(tmp_path / "a.zip", clutter), tmp_path / "out")
    assert [path.name for path in files] == ["a.csv"]


def test_finished_members_are_not_unpacked_again(tmp_path: Path) -> None:
    archive, out = made(tmp_path / "a.zip", GOOD), tmp_path / "out"
    unpack(archive, out)
    before = (out / "events.parquet").stat()
    (out / "folder/notes.json").write_bytes(b"[]")  # as long, but another content
    rooms: list[int] = []
    unpack(archive, out, room=rooms.append)
    assert rooms == [2]
    assert (out / "events.parquet").stat().st_mtime_ns == before.st_mtime_ns
    assert (out / "events.parquet").stat().st_ino == before.st_ino
    assert (out / "folder/notes.json").read_bytes() == b"{}"


SCRIPT = """
import sys, time
from pathlib import Path
from sigma68 import meter
from sigma68.unpack import unpack
meter._INTERVAL_S = 0
def report(how_far):
    if how_far.done > 3_500_000:
        Path(sys.argv[3]).touch()
        time.sleep(60)
unpack(Path(sys.argv[1]), Path(sys.argv[2]), report=report)
"""


def test_a_killed_program_goes_on_with_the_next_member(tmp_path: Path) -> None:
    members = {f"{n}.bin": BYTES * 3 for n in range(3)}
    archive, out, flag = made(tmp_path / "a.zip", members), tmp_path / "out", tmp_path / "flag"
    words = [str(archive), str(out), str(flag)]
    with subprocess.Popen([sys.executable, "-c", SCRIPT, *words]) as child:
        deadline = time.monotonic() + 30
        while not flag.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
    assert sorted(path.name for path in out.iterdir()) == ["0.bin", "1.bin.part"]
    finished = (out / "0.bin").stat().st_ino
    rooms: list[int] = []
    unpack(archive, out, room=rooms.append)
    assert rooms == [2 * len(BYTES) * 3]
    assert sorted(path.name for path in out.iterdir()) == ["0.bin", "1.bin", "2.bin"]
    assert (out / "0.bin").stat().st_ino == finished
    assert (out / "1.bin").read_bytes() == BYTES * 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../out-of-it", "leads out of its folder"),
        ("a/../../out-of-it", "leads out of its folder"),
        ("/etc/out-of-it", "leads out of its folder"),
        ("C:/out-of-it", "leads out of its folder"),
        ("..\\out-of-it", "leads out of its folder"),
        ("a\x1b[2J", "no file should have"),
        ("a\nb", "no file should have"),
        ("a" * 300, "no file should have"),
        (".", "no file should have"),
        ("a.part", "no file should have"),
    ],
)
def test_names_that_lead_astray(tmp_path: Path, name: str, said: str) -> None:
    archive = made(tmp_path / "a.zip", {"good.csv": b"1", name: b"2"})
    with pytest.raises(DataError, match=said) as caught:
        unpack(archive, tmp_path / "out")
    assert "\x1b" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []
    assert not list(tmp_path.glob("out-of-it"))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("link.parquet")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match=r"link\.parquet is a link or a device"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_bombs(tmp_path: Path) -> None:
    bomb = made(tmp_path / "a.zip", {"zeros": bytes(50_000_000)})
    assert bomb.stat().st_size < 100_000
    with pytest.raises(DataError, match="over 50 times its size"):
        unpack(bomb, tmp_path / "out")
    with pytest.raises(DataError, match=r"would unpack to 0\.1 GB"):
        unpack(bomb, tmp_path / "out", limits=UnpackLimits(ratio=1e9, total_bytes=1_000_000))
    many = made(tmp_path / "b.zip", {f"{n}": b"" for n in range(101)})
    with pytest.raises(DataError, match="more than 100 files"):
        unpack(many, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def patched(archive: Path, old: bytes, new: bytes) -> Path:
    """The archive with every `old` (as many bytes) in it replaced."""
    content = archive.read_bytes()
    assert old in content
    assert len(old) == len(new)
    archive.write_bytes(content.replace(old, new))
    return archive


@pytest.mark.parametrize("says", [1_000, 2_000_000])
def test_sizes_that_are_not_true(tmp_path: Path, says: int) -> None:
    archive = made(tmp_path / "a.zip", {"events.parquet": BYTES})
    patched(archive, len(BYTES).to_bytes(4, "little"), says.to_bytes(4, "little"))
    with pytest.raises(DataError, match=r"not as large as the zip says|cannot be unzipped"):
        unpack(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_members_twice_and_folders_that_are_files(tmp_path: Path) -> None:
    twice = made(tmp_path / "a.zip", {"a.csv": b"1", "b.csv": b"2"})
    patched(twice, b"b.csv", b"a.csv")
    with pytest.raises(DataError, match=r"holds a\.csv twice"):
        unpack(twice, tmp_path / "out")
    both = made(tmp_path / "b.zip", {"a": b"1", "a/b": b"2"})
    with pytest.raises(DataError, match="a file that is also a folder"):
        unpack(both, tmp_path / "out")


def test_encrypted_and_strangely_compressed(tmp_path: Path) -> None:
    archive = made(tmp_path / "a.zip", {"a.csv": b"12345"}, zipfile.ZIP_STORED)
    content = bytearray(archive.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 8] |= 1
    content[6] |= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match="is encrypted"):
        unpack(archive, tmp_path / "out")
    content[entry + 8] &= 0xFE
    content[6] &= 0xFE
    content[entry + 10] = content[8] = 9  # Deflate64
    archive.write_bytes(content)
    with pytest.raises(DataError, match="unzip it with another program"):
        unpack(archive, tmp_path / "out")


def test_no_zip_and_damaged_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"<html>log in first</html>")
    with pytest.raises(DataError, match="cannot be unzipped"):
        unpack(path, tmp_path / "out")
    with pytest.raises(DataError, match="cannot be unzipped"):
        unpack(tmp_path / "nothing.zip", tmp_path / "out")
    made(path, GOOD)
    content = bytearray(path.read_bytes())
    content[1000] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be unzipped"):
        unpack(path, tmp_path / "out")
    path.write_bytes(content[:-300])
    with pytest.raises(DataError, match="cannot be unzipped"):
        unpack(path, tmp_path / "out")


def test_damage_anywhere_is_an_error_of_ours_or_does_no_harm(tmp_path: Path) -> None:
    members = {"a.csv": BYTES[:500], "b/c.json": b"{}" * 50, "d": BYTES[:100]}
    source = random.Random(1)
    sound = {}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        sound[method] = made(tmp_path / f"{method}.zip", members, method).read_bytes()
    refused = 0
    for round_ in range(400):
        content = bytearray(source.choice(list(sound.values())))
        for _ in range(source.choice([1, 1, 2, 5])):
            content[source.randrange(len(content))] = source.randrange(256)
        archive = tmp_path / "damaged.zip"
        archive.write_bytes(content)
        out = tmp_path / f"out-{round_}"
        try:
            unpack(archive, out)
        except Sigma68Error:
            refused += 1
        assert not list(out.rglob("*.part"))
        assert all(not path.is_symlink() for path in out.rglob("*"))
    assert 100 < refused <= 400
    names = {path.name for path in tmp_path.iterdir()}
    assert names <= {*(f"out-{n}" for n in range(400)), "damaged.zip", *(f"{m}.zip" for m in sound)}


def test_links_in_the_folder_lead_nowhere(tmp_path: Path) -> None:
    archive = made(tmp_path / "a.zip", {"a/b.csv": b"new"})
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "a").symlink_to(elsewhere)
    with pytest.raises(OutputError, match="is a link out of"):
        unpack(archive, out)
    assert list(elsewhere.iterdir()) == []
    (out / "a").unlink()
    (out / "a").mkdir()
    (elsewhere / "b.csv").write_bytes(b"old")
    (out / "a/b.csv").symlink_to(elsewhere / "b.csv")
    unpack(archive, out)
    assert (elsewhere / "b.csv").read_bytes() == b"old"
    assert (out / "a/b.csv").read_bytes() == b"new"


def test_a_full_disk_keeps_finished_members(tmp_path: Path, small_disk: Path) -> None:
    archive = made(tmp_path / "a.zip", {f"{n}": BYTES for n in range(4)})
    with pytest.raises(OutputError, match=r"No space left on device\): make room"):
        unpack(archive, small_disk / "out")
    assert sorted(path.name for path in (small_disk / "out").iterdir()) == ["0", "1"]


def test_no_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    def no_room(size: int) -> None:
        raise OutputError(f"{size} bytes")

    with pytest.raises(OutputError, match=f"{sum(map(len, GOOD.values()))} bytes"):
        unpack(made(tmp_path / "a.zip", GOOD), tmp_path / "out", room=no_room)
    assert list((tmp_path / "out").iterdir()) == []
