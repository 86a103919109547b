from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sigma68.challenge.store.files import Files, open_files
from sigma68.errors import DataError, MissingExtraError, SettingsError


@pytest.fixture(params=["folder", "file", "memory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Files]:
    """Files in a folder, by its URL, and on a system that is no disk, as a bucket is none."""
    urls = {
        "folder": str(tmp_path / "files"),
        "file": f"file://{tmp_path}/files",
        "memory": f"memory://{tmp_path.name}",
    }
    made = open_files(urls[request.param])
    yield made
    for key in made.stored():
        made.remove(key)


def test_what_is_put_comes_back(files: Files, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for content in (b"one", b"two"):
        source.write_bytes(content)
        files.put("entries/a.zip", source)
        with files.local("entries/a.zip") as path:
            assert path.read_bytes() == content
            assert path.suffix == ".zip"
    assert set(files.stored()) == {"entries/a.zip"}
    files.remove("entries/a.zip")
    files.remove("entries/a.zip")
    assert files.stored() == {}


def test_a_file_that_is_not_there_is_said_to_be_missing(files: Files) -> None:
    with pytest.raises(DataError, match="backup"), files.local("toys/none.parquet"):
        pass


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "entries/../../x", "x", "a/b.part", "a/"])
def test_a_name_that_leads_elsewhere_is_no_key(files: Files, tmp_path: Path, key: str) -> None:
    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises(ValueError, match="no key"):
        files.put(key, tmp_path / "source")


def test_a_place_that_nothing_is_known_of_is_refused() -> None:
    with pytest.raises(SettingsError, match="no place for files"):
        open_files("nonsense://x")


def test_a_bucket_whose_package_is_missing_names_it() -> None:
    with pytest.raises(MissingExtraError, match="gs://bucket"):
        open_files("gs://bucket/folder")
