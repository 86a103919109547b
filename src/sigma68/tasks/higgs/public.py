"""The public data of the challenge: what they are, where they lie, and how they are fetched.

`fetch` downloads the archive, checks it, unpacks it and leaves one Parquet file with its metadata
in a folder of its own; `located` finds it again. A folder counts as complete once its record
(fetch.json) says so, which is written last.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from sigma68.download import Patience, download, only_one, partial_bytes
from sigma68.errors import OutputError, SettingsError
from sigma68.files import explained, make_folder, write_json
from sigma68.meter import HowFar, Report
from sigma68.unpack import UnpackLimits, unpack

__all__ = [
    "HIGGS",
    "Copy",
    "Record",
    "chosen_folder",
    "convert",
    "copies",
    "data_folder",
    "fetch",
    "located",
]

_MARK: Final = "fetch.json"
_UNPACKED: Final = "unpacked"
_LOCK: Final = ".lock"
_LARGEST_ARCHIVE: Final = 64 * 10**9
_GROWTH: Final = 1.2
"""The events as Parquet, and again in the fast layout, take at most this much for each byte of
the archive."""


@dataclass(frozen=True)
class Record:
    """A data set that can be fetched.

    Attributes
    ----------
    name
        What it is fetched by.
    source
        What it is opened by (`--data`).
    stem
        How its files are called, without their endings.
    url, sha256
        The archive, and what it must hash to.
    rows, gigabytes
        Events, and the size of the archive, about; for people.
    """

    name: str
    source: str
    title: str
    stem: str
    url: str
    sha256: str
    doi: str
    licence: str
    rows: int
    gigabytes: float

    def elsewhere(self, url: str | None, sha256: str | None) -> Record:
        """The same from another address; with `sha256` another archive of the same kind.

        Raises
        ------
        SettingsError
            If `sha256` is given without an address, or is none.
        """
        if url is None:
            if sha256 is not None:
                raise SettingsError("--sha256 goes with --url: the archive of the record is known")
            return self
        if sha256 is None:
            return replace(self, url=url)
        if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
            raise SettingsError(f"{sha256!a} is no SHA-256: give 64 hexadecimal digits")
        return replace(self, url=url, sha256=sha256.lower())


HIGGS: Final = Record(
    name="higgs",
    source="public",
    title="FAIR Universe HiggsML Uncertainty Challenge, public data",
    stem="FAIR_Universe_HiggsML_data",
    url="https://zenodo.org/records/15131565/files/FAIR_Universe_HiggsML_data.zip?download=1",
    sha256="adaa3dd81a02663051aa93f960bc1c5ee67a78d25c091015bb020b1f9cd7dcb5",
    doi="10.5281/zenodo.15131565",
    licence="CC BY 4.0",
    rows=220_099_101,
    gigabytes=16.0,
)


@dataclass(frozen=True)
class Copy:
    """What lies in a folder.

    `path` is the Parquet file of a complete copy, `rows` its events, and `sha256` that of the
    archive it was made of; a begun one has `bytes_here` of its archive.
    """

    folder: Path
    state: Literal["complete", "begun"]
    sha256: str
    path: Path | None = None
    rows: int = 0
    bytes_here: int = 0


def data_folder() -> Path:
    """Where data are kept: $SIGMA68_CACHE/data, else sigma68 in the user's data folder.

    A download of hours is not a cache, which systems may clear; but who has named a place for
    large files means these, too.
    """
    if own := os.environ.get("SIGMA68_CACHE"):
        return Path(own).absolute() / "data"
    if base := os.environ.get("XDG_DATA_HOME"):
        return Path(base).absolute() / "sigma68"
    return Path.home() / ".local" / "share" / "sigma68"


def located(record: Record = HIGGS) -> Path | None:
    """The Parquet file of the complete copy that was fetched last; None if there is none."""
    return next((copy.path for copy in copies(record) if copy.path is not None), None)


def copies(record: Record = HIGGS) -> list[Copy]:
    """The copies that are known of, the one fetched last first."""
    found = (_look(record, folder) for folder in _places(record))
    return [copy for copy in found if copy is not None]


def chosen_folder(record: Record = HIGGS, to: Path | None = None) -> Path:
    """Where to fetch to: `to`, else where a fetch was begun last, else `data_folder`."""
    if to is not None:
        return to.absolute()
    known = [copy.folder for copy in copies(record) if copy.sha256 == record.sha256]
    return known[0] if known else data_folder() / record.name


def fetch(
    record: Record = HIGGS,
    to: Path | None = None,
    *,
    keep_zip: bool = False,
    allow_http: bool = False,
    report: Report | None = None,
    tell: Callable[[str], None] = lambda text: None,
    patience: Patience | None = None,
    go_on: str = "run the same command again to go on",
) -> Path:
    """Download, check and unpack a data set, going on where an earlier try stopped; its events.

    `to` is a folder that holds nothing else, or the archive at most (downloaded by other
    means); see `chosen_folder` for None. The archive is removed at the end unless `keep_zip`.
    See `download.download` for the rest.

    Raises
    ------
    SettingsError
        If the folder holds other files or another archive's, or the address is refused.
    DownloadError
        If the archive cannot be had, or is not what it should be.
    DataError
        If what it holds is not events.
    OutputError
        If there is no room, or somebody else is fetching to the folder.
    """
    folder = chosen_folder(record, to)
    with only_one(folder):
        _check_own(record, folder)
        copy = _look(record, folder)
        path = None if copy is None else copy.path
        if path is None:
            _write_mark(record, folder, complete=False)
            _remember(record, folder)
            archive = download(
                record.url,
                folder / f"{record.stem}.zip",
                sha256=record.sha256,
                allow_http=allow_http,
                largest=_LARGEST_ARCHIVE,
                room=lambda size, have: _check_room(folder, size, have, keep_zip),
                report=report,
                tell=tell,
                patience=patience,
                go_on=go_on,
            )
            path = _take_out(record, folder, archive, report)
        with explained(folder):
            if (folder / _UNPACKED).exists():
                shutil.rmtree(folder / _UNPACKED)
            if not keep_zip:
                (folder / f"{record.stem}.zip").unlink(missing_ok=True)
        _remember(record, folder)
    return path


def convert(path: Path, report: Report | None = None) -> None:
    """Lay the events out for fast drawing, in the cache, as their first opening does.

    Raises
    ------
    DataError
        If an event is not what the task needs.
    OutputError
        If the cache has no room.
    """
    from sigma68.tasks.higgs.pools import open_pools

    if report is not None:
        report(HowFar("checking and laying out the events", 0, None, 0.0))
    open_pools(str(path))


def _check_own(record: Record, folder: Path) -> None:
    """Refuse a folder that is not empty and not this data set's."""
    mark = _read_mark(folder)
    if mark is None:
        ours = {_LOCK, f"{record.stem}.zip"}
        foreign = sorted(path.name for path in folder.iterdir() if path.name not in ours)
        if foreign:
            raise SettingsError(
                f"{folder} holds other files ({', '.join(foreign[:3])}): give an empty folder, or "
                "one that is not there yet"
            )
    elif mark["sha256"] != record.sha256 or mark["name"] != record.name:
        raise SettingsError(
            f"{folder} holds another archive's data (SHA-256 {mark['sha256'][:12]}...): give "
            "another folder, or remove that one"
        )


def _take_out(record: Record, folder: Path, archive: Path, report: Report | None) -> Path:
    """Unpack the archive and make one file of events of it; marks the folder as complete."""
    from sigma68.tasks.higgs.gather import gather

    def room(size: int) -> None:
        _check_free(folder, size, "what is unpacked takes", "give another folder with --to")

    target, metadata = (folder / f"{record.stem}{end}" for end in (".parquet", "_metadata.json"))
    with explained(folder):
        # Of a try that ended just before the mark was written: the archive has it, too.
        target.unlink(missing_ok=True)
        metadata.unlink(missing_ok=True)
    limits = UnpackLimits(total_bytes=4 * _LARGEST_ARCHIVE)
    files = unpack(archive, folder / _UNPACKED, limits=limits, room=room, report=report)
    events = gather(files, folder, record.stem, room=room, report=report)
    sizes = {path.name: path.stat().st_size for path in (target, metadata) if path.exists()}
    _write_mark(record, folder, complete=True, files=sizes, rows=events.n_rows)
    return target


def _check_room(folder: Path, size: int, have: int, keep_zip: bool) -> None:
    """Whether an archive of `size` bytes, of which `have` are here, can be taken all the way."""
    from sigma68.tasks.higgs.storage import cache_folder

    download_, events, layout = size - have, int(size * _GROWTH), int(size * _GROWTH)
    cache = cache_folder()
    elsewhere = _device(cache) != _device(folder)
    if elsewhere:
        _check_free(
            cache, layout, "the fast layout takes", "set SIGMA68_CACHE to a folder with room"
        )
    # The archive makes room for the layout, unless it is kept.
    last = 0 if elsewhere else layout
    need = max(download_ + events, events + last - (0 if keep_zip else size) + download_)
    _check_free(
        folder,
        need,
        "the download and what is made of it take",
        "give another folder with --to",
    )


def _check_free(folder: Path, need: int, what: str, advice: str) -> None:
    free = shutil.disk_usage(_existing(folder)).free
    if free < need:
        raise OutputError(
            f"{folder} has room for {free / 1e9:,.2f} GB, but {what} {need / 1e9:,.2f} GB: "
            f"make room, or {advice}"
        )


def _device(folder: Path) -> int:
    return _existing(folder).stat().st_dev


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _look(record: Record, folder: Path) -> Copy | None:
    mark = _read_mark(folder)
    if mark is None or mark["name"] != record.name:
        return None
    path = folder / f"{record.stem}.parquet"
    if mark["complete"] and _as_marked(folder, mark.get("files"), path.name):
        return Copy(folder, "complete", mark["sha256"], path, mark.get("rows", 0))
    archive = folder / f"{record.stem}.zip"
    here = archive.stat().st_size if archive.exists() else partial_bytes(archive)
    return Copy(folder, "begun", mark["sha256"], bytes_here=here or 0)


def _as_marked(folder: Path, files: Any, needed: str) -> bool:
    """Whether the files of a complete copy are there, and as large as they were."""
    if not isinstance(files, dict) or needed not in files:
        return False
    with contextlib.suppress(OSError):
        return all(
            (folder / Path(name).name).stat().st_size == size for name, size in files.items()
        )
    return False


def _read_mark(folder: Path) -> dict[str, Any] | None:
    """What a fetch wrote of itself; None where there was none, or it cannot be read."""
    try:
        mark = json.loads((folder / _MARK).read_text(encoding="utf-8"))
        known = {"name": str, "sha256": str, "complete": bool}
        sound = all(isinstance(mark[key], kind) for key, kind in known.items())
        sound = sound and isinstance(mark.get("rows", 0), int)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return mark if sound else None


def _write_mark(record: Record, folder: Path, **content: Any) -> None:
    about = {key: getattr(record, key) for key in ("name", "title", "doi", "licence", "url")}
    write_json(folder / _MARK, {**about, "sha256": record.sha256, **content})


def _places(record: Record) -> list[Path]:
    """The folders that fetches went to, the last one first, then the usual one."""
    found = [Path(place) for place in _remembered().get(record.name, [])]
    return list(dict.fromkeys([*found, data_folder() / record.name]))


def _remember(record: Record, folder: Path) -> None:
    """Note where a fetch goes, so that `located` finds it."""
    others = [place for place in _places(record) if place != folder and (place / _MARK).exists()]
    places = {**_remembered(), record.name: [str(place) for place in (folder, *others)]}
    make_folder(data_folder())
    write_json(data_folder() / "places.json", places)


def _remembered() -> dict[str, list[str]]:
    """The folders by the name of their data set."""
    try:
        known = json.loads((data_folder() / "places.json").read_text(encoding="utf-8"))
        return {str(name): [str(place) for place in places] for name, places in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # none was remembered, or in a way that says nothing
