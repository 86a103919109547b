"""Folders and zips: what opens, and what is refused in words its author understands."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

import pytest

from sigma68.challenge.entries import Limits, open_entry
from sigma68.errors import EntryError
from tests.challenge.conftest import GOOD, WriteEntry


def make_zip(path: Path, files: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_a_folder_is_copied_and_left_alone(write_entry: WriteEntry, tmp_path: Path) -> None:
    folder = write_entry(**{"weights.txt": "1 2 3"})
    entry = open_entry(folder, tmp_path / "work")
    assert entry.name == "entry"
    assert entry.model.read_text() == GOOD
    assert (entry.root / "weights.txt").read_text() == "1 2 3"
    assert entry.n_files == 2
    entry.model.write_text("changed")
    assert (folder / "model.py").read_text() == GOOD


def test_clutter_does_not_count(write_entry: WriteEntry, tmp_path: Path) -> None:
    plain = open_entry(write_entry(folder="plain"), tmp_path / "work")
    cluttered = write_entry(
        folder="cluttered",
        **{
            "__MACOSX__slash__model.py": "x",
            "__pycache____slash__model.cpython-311.pyc": "x",
            ".DS_Store": "x",
            "._model.py": "x",
        },
    )
    entry = open_entry(cluttered, tmp_path / "work")
    assert entry.n_files == 1
    assert entry.fingerprint == plain.fingerprint


def test_the_fingerprint_is_that_of_the_contents(write_entry: WriteEntry, tmp_path: Path) -> None:
    first = open_entry(write_entry(folder="a"), tmp_path / "work")
    second = open_entry(write_entry(model=GOOD + "\n# more\n", folder="b"), tmp_path / "work")
    zipped = open_entry(make_zip(tmp_path / "c.zip", {"model.py": GOOD}), tmp_path / "work")
    assert first.fingerprint == zipped.fingerprint
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("prefix", ["", "my-entry/"])
def test_model_is_found_in_a_zip_or_one_level_down(tmp_path: Path, prefix: str) -> None:
    files = {f"{prefix}model.py": GOOD, f"{prefix}data/w.txt": "1", "__MACOSX/model.py": "x"}
    entry = open_entry(make_zip(tmp_path / "e.zip", files), tmp_path / "work")
    assert entry.model.read_text() == GOOD
    assert (entry.model.parent / "data" / "w.txt").read_text() == "1"


def test_a_model_in_the_folder_itself_wins_over_helpers_of_that_name(tmp_path: Path) -> None:
    files = {"model.py": GOOD, "network/model.py": "x"}
    entry = open_entry(make_zip(tmp_path / "e.zip", files), tmp_path / "work")
    assert entry.package == Path()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"main.py": "x"}, "add model.py with a class Model"),
        ({"a/b/model.py": "x"}, "too deep, in a/b"),
        ({"a/model.py": "x", "b/model.py": "x"}, "in each of a, b"),
        ({"../model.py": "x"}, "leads out"),
        ({"a/../../model.py": "x"}, "leads out"),
        ({"/tmp/model.py": "x"}, "leads out"),
        ({"C:/model.py": "x"}, "leads out"),
        ({"..\\model.py": "x"}, "leads out"),
        ({"model.py": GOOD, "model.py/x": "x"}, "as a file and as a folder"),
        ({"model.py": GOOD, "zeros": bytes(20_000_000)}, "times its size"),
        ({"model.py": GOOD, **{f"f{i}": "x" for i in range(30)}}, "more than 20 files"),
        ({"model.py": GOOD, "big": os.urandom(50_000_001)}, "GiB"),
    ],
)
def test_bad_zips_are_refused(tmp_path: Path, files: dict[str, str | bytes], words: str) -> None:
    path = make_zip(tmp_path / "e.zip", files)
    work = tmp_path / "work"
    with pytest.raises(EntryError, match=words):
        open_entry(path, work, limits=Limits(files=20, total_bytes=50_000_000))
    outside = [p for p in tmp_path.rglob("*") if p != path and not p.is_relative_to(work)]
    assert outside == []


def test_a_zip_with_a_link_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("model.py")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/hostname")
    with pytest.raises(EntryError, match="is a link"):
        open_entry(path, tmp_path / "work")


def test_a_zip_with_one_name_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.py", GOOD)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("model.py", GOOD)
    with pytest.raises(EntryError, match="twice"):
        open_entry(path, tmp_path / "work")


@pytest.mark.parametrize("kind", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_zip_whose_chunks_may_be_bombs_is_refused(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "entry.zip"
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("model.py", GOOD)
    with pytest.raises(EntryError, match="ordinary zip"):
        open_entry(path, tmp_path / "work")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "e.zip", {"model.py": GOOD})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flags in the local header, and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(EntryError, match="encrypted"):
        open_entry(path, tmp_path / "work")


def test_a_zip_whose_sizes_lie_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "e.zip", {"model.py": "x" * 5000})
    content = bytearray(path.read_bytes())
    for at in (22, content.index(b"PK\x01\x02") + 24):
        content[at : at + 4] = (100).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(EntryError, match="make the zip again"):
        open_entry(path, tmp_path / "work")


@pytest.mark.parametrize("cut", [10, 60, 200])
def test_a_damaged_zip_is_refused(tmp_path: Path, cut: int) -> None:
    path = make_zip(tmp_path / "e.zip", {"model.py": GOOD, "more": os.urandom(1000)})
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(EntryError, match="cannot be unzipped"):
        open_entry(path, tmp_path / "work")


def test_a_zip_whose_offsets_lie_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "e.zip", {"model.py": GOOD})
    content = bytearray(path.read_bytes())
    # Where the list of members begins, in the record at the end: members would lie before the file.
    begin = int.from_bytes(content[-6:-2], "little")
    content[-6:-2] = (begin + 50).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(EntryError, match="cannot be unzipped"):
        open_entry(path, tmp_path / "work")


def test_a_name_that_no_disk_takes_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "e.zip", {"model.py": GOOD, "x" * 300: "long"})
    with pytest.raises(EntryError, match="give the file a plain name"):
        open_entry(path, tmp_path / "work")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nothing", None, "there is no entry at"),
        ("model.py", GOOD, "single file"),
        ("entry.txt", "hello", "cannot be unzipped"),
    ],
)
def test_what_is_no_entry(tmp_path: Path, name: str, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(EntryError, match=words):
        open_entry(tmp_path / name, tmp_path / "work")


def test_links_out_of_a_folder_are_refused(write_entry: WriteEntry, tmp_path: Path) -> None:
    folder = write_entry()
    secret = tmp_path / "secret.txt"
    secret.write_text("x")
    (folder / "notes.txt").symlink_to(secret)
    with pytest.raises(EntryError, match=r"notes\.txt is a link out"):
        open_entry(folder, tmp_path / "work")


def test_links_to_folders_and_pipes_are_refused(write_entry: WriteEntry, tmp_path: Path) -> None:
    folder = write_entry(folder="one")
    (folder / "all").symlink_to(tmp_path)
    with pytest.raises(EntryError, match="all is a link to a folder"):
        open_entry(folder, tmp_path / "work")
    folder = write_entry(folder="two")
    os.mkfifo(folder / "pipe")
    with pytest.raises(EntryError, match="pipe is not an ordinary file"):
        open_entry(folder, tmp_path / "work")


def test_a_folder_over_the_limits_is_refused(write_entry: WriteEntry, tmp_path: Path) -> None:
    folder = write_entry(**{f"f{i}": "x" * 100 for i in range(30)})
    with pytest.raises(EntryError, match="more than 20 files"):
        open_entry(folder, tmp_path / "work", limits=Limits(files=20))
    with pytest.raises(EntryError, match="GiB"):
        open_entry(folder, tmp_path / "work", limits=Limits(total_bytes=2000))
