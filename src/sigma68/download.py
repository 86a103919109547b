"""Fetching a large file: gone on with where it stopped, and believed by its SHA-256 alone.

What has come lies beside the target as NAME.download, with a small record of where it came from.
Connections that break are tried again, each time later; a program that was killed goes on with
what is known to be on the disk. The file gets its name once its SHA-256 is right, so that one
that has its name is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from sigma68.errors import DownloadError, OutputError
from sigma68.files import explained, make_folder, write_json
from sigma68.meter import Meter, Report
from sigma68.web_source import Answer, Interrupted, ask, check_url

__all__ = ["Patience", "download", "only_one", "partial_bytes", "sha256_of"]

_CHUNK: Final = 1 << 17
_SYNC: Final = 64 << 20
"""Bytes after which what has come is put safely on the disk."""
_HEADWAY: Final = 1 << 20
"""Bytes that must have come for a broken connection not to count as one more failure."""


@dataclass(frozen=True)
class Patience:
    """How long to go on when connections break.

    After the n-th failure in a row it waits first_wait_s * 2^n seconds, `longest_wait_s` at
    most, and longer where the server asks for it. After `tries` failures it gives up.
    """

    tries: int = 8
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    timeout_s: float = 60.0

    def wait_s(self, failures: int) -> float:
        """The wait after that many failures in a row."""
        return min(self.first_wait_s * 2.0 ** (failures - 1), self.longest_wait_s)


def download(
    url: str,
    target: Path,
    *,
    sha256: str,
    allow_http: bool = False,
    largest: int = 1 << 40,
    room: Callable[[int, int], None] | None = None,
    report: Report | None = None,
    tell: Callable[[str], None] = lambda text: None,
    patience: Patience | None = None,
    go_on: str = "run the same command again to go on",
) -> Path:
    """Fetch `url` to `target`, going on with what an earlier try has left there.

    Parameters
    ----------
    sha256
        What the whole file must hash to, as 64 hexadecimal digits.
    largest
        A file of more bytes than this is refused.
    room
        Called once with (size of the file, bytes of it that are here) before anything is
        fetched, where the server says the size; raises if there is no room.
    tell
        Called with a sentence when a connection broke or the file is begun anew.
    go_on
        The end of the sentence of an error after which one can go on.

    Raises
    ------
    SettingsError
        If the address is refused (see `web_source.check_url`).
    DownloadError
        If the server will not give the file, does not for longer than `patience`, or what it
        gives is not the file that was asked for.
    OutputError
        If the disk is full or cannot be written; what has come is kept.
    """
    check_url(url, allow_http=allow_http)
    make_folder(target.parent)
    if target.exists():
        found = sha256_of(target, report)
        if found != sha256:
            raise DownloadError(
                f"{target} is there, but is not the file that was asked for (its SHA-256 is "
                f"{found}, not {sha256}): move it away and start again"
            )
        return target
    job = _Job(url, allow_http, largest, room, report, tell, patience or Patience(), go_on)
    with _Partial(target, url, sha256) as partial:
        partial.rehash(report)
        job.fill(partial)
        partial.finish()
    return target


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Let one process at a time work in `folder`; the lock goes with the process that holds it.

    Raises
    ------
    OutputError
        If another process is at work there, or the folder cannot be written.
    """
    make_folder(folder)
    path = folder / ".lock"
    with explained(path):
        lock = path.open("a")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"another program is at work in {folder}: wait until it ends, or give another folder"
            ) from error
        yield


def sha256_of(path: Path, report: Report | None = None) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    _hash(path, size, digest, report)
    return digest.hexdigest()


def partial_bytes(target: Path) -> int | None:
    """How many bytes of `target` have come so far; None where no download was begun."""
    path = _content(target)
    return path.stat().st_size if path.exists() else None


def _content(target: Path) -> Path:
    return target.with_name(target.name + ".download")


def _hash(path: Path, size: int, digest: Any, report: Report | None) -> None:
    meter = Meter("checking", size, report)
    done = 0
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(min(1 << 20, size - done)):
                digest.update(chunk)
                done += len(chunk)
                meter(done)
    except OSError as error:
        raise DownloadError(
            f"{path} cannot be read ({error.strerror or error}): make it readable, or remove it"
        ) from error


@dataclass
class _Origin:
    """Where the bytes of a partial file came from; `synced` of them are safely on the disk."""

    url: str
    sha256: str
    size: int | None = None
    etag: str = ""
    last_modified: str = ""
    synced: int = 0

    def version(self) -> str:
        """A name that a server gives to exactly these bytes, or an empty one."""
        strong = self.etag if not self.etag.startswith("W/") else ""
        return strong or self.last_modified


class _Partial:
    """What has come of a file: its bytes, their hash and their record, always in step."""

    def __init__(self, target: Path, url: str, sha256: str) -> None:
        self.target, self.path = target, _content(target)
        self._record = self.path.with_name(self.path.name + ".json")
        self.origin = self._read_record(url, sha256)
        self.have = 0
        self._digest = hashlib.sha256()

    def _read_record(self, url: str, sha256: str) -> _Origin:
        """The record of an earlier try, if it was for the same content; else a new one."""
        fresh = _Origin(url, sha256)
        try:
            origin = _Origin(**json.loads(self._record.read_text(encoding="utf-8")))
            sound = isinstance(origin.synced, int) and isinstance(origin.size, int | None)
            origin.url + origin.etag + origin.last_modified  # a TypeError unless all are text
        except (OSError, ValueError, TypeError):
            return fresh  # there is none, or it means nothing: the bytes are fetched again
        if not sound or origin.sha256 != sha256:
            return fresh
        if origin.url != url:
            # The same content from another place, which names its versions in its own way.
            return _Origin(url, sha256, size=origin.size, synced=origin.synced)
        return origin

    def __enter__(self) -> _Partial:
        with explained(self.path):
            self._file = _locked(self.path)
            there = os.fstat(self._file.fileno()).st_size
            # Beyond what was synced a power cut may have left anything.
            self.have = max(min(self.origin.synced, there), 0)
            self._file.truncate(self.have)
        return self

    def __exit__(self, *ended: object) -> None:
        try:
            if self.path.exists():
                self.sync()
        finally:
            self._file.close()

    def rehash(self, report: Report | None) -> None:
        """Hash what is on the disk."""
        _hash(self.path, self.have, self._digest, report)

    def restart(self) -> None:
        """Forget everything that has come."""
        self.origin = _Origin(self.origin.url, self.origin.sha256)
        self._digest = hashlib.sha256()
        self.have = 0
        with explained(self.path):
            self._file.truncate(0)
        self.sync()

    def append(self, chunk: bytes) -> None:
        """Add what has come; after an error only `sync` may follow."""
        with explained(self.path):
            rest = memoryview(chunk)
            try:
                while rest:
                    rest = rest[self._file.write(rest) :]
            except OSError:
                # The end of the file makes room for the record of the rest.
                self.have = max(self.have - _CHUNK, 0)
                self._file.truncate(self.have)
                raise
        self._digest.update(chunk)
        self.have += len(chunk)
        if self.have - self.origin.synced >= _SYNC:
            self.sync()

    def sync(self) -> None:
        """Put what has come safely on the disk, then say so in the record."""
        with explained(self.path):
            os.fsync(self._file.fileno())
        self.origin.synced = self.have
        write_json(self._record, asdict(self.origin))

    def finish(self) -> None:
        """Give the file its name if it is what it should be; else remove it."""
        found = self._digest.hexdigest()
        if found != self.origin.sha256:
            with explained(self.path):
                self.path.unlink()
                self._record.unlink(missing_ok=True)
            raise DownloadError(
                f"what came from {self.origin.url} is not the file that was asked for (its "
                f"SHA-256 is {found}, not {self.origin.sha256}) and was removed: start again, and "
                "if it comes out the same, give another address"
            )
        self.sync()
        with explained(self.target):
            self.path.replace(self.target)
            self._record.unlink(missing_ok=True)


def _locked(path: Path) -> io.FileIO:
    """`path`, opened to append by this program alone, whatever it holds."""
    while True:
        file = open(path, "a+b", buffering=0, opener=_own)  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except BlockingIOError as error:
            file.close()
            raise OutputError(
                f"another program is fetching {path}: wait until it ends, or give another folder"
            ) from error
        except BaseException:
            file.close()
            raise
        file.close()  # whoever fetched it has just finished, and it has its name


def _own(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


@dataclass
class _Job:
    """The way from a broken connection to the next one."""

    url: str
    allow_http: bool
    largest: int
    room: Callable[[int, int], None] | None
    report: Report | None
    tell: Callable[[str], None]
    patience: Patience
    go_on: str
    _asked: bool = field(default=False, init=False)

    def fill(self, partial: _Partial) -> None:
        """Fetch until nothing is missing."""
        failures, furthest = 0, partial.have
        while True:
            try:
                return self._once(partial)
            except Interrupted as interruption:
                # A server that begins anew each time and breaks off makes no headway.
                if partial.have >= furthest + _HEADWAY:
                    failures, furthest = 0, partial.have
                if interruption.another:
                    self.tell(f"{interruption}: beginning anew")
                    partial.restart()
                failures += 1
                if failures >= self.patience.tries:
                    raise DownloadError(
                        f"{interruption}, {failures} times in a row, with "
                        f"{partial.have / 1e6:,.1f} MB here: {self.go_on}"
                    ) from interruption
                wait = max(self.patience.wait_s(failures), interruption.wait_s)
                self.tell(f"{interruption}: trying again in {wait:.0f} s")
                time.sleep(wait)

    def _once(self, partial: _Partial) -> None:
        origin = partial.origin
        if origin.size is not None and 0 < partial.have == origin.size:
            return  # the last byte came, but not the end
        with ask(
            self.url,
            partial.have,
            version=origin.version(),
            allow_http=self.allow_http,
            timeout_s=self.patience.timeout_s,
        ) as answer:
            self._settle(partial, answer)
            origin = partial.origin
            meter = Meter("downloading", origin.size, self.report)
            while chunk := answer.read(_CHUNK):
                if partial.have + len(chunk) > (origin.size or self.largest):
                    self._too_large()
                partial.append(chunk)
                meter(partial.have)
        if origin.size is not None and partial.have < origin.size:
            raise Interrupted("the connection ended too early")

    def _settle(self, partial: _Partial, answer: Answer) -> None:
        """Make what we have and what will come fit together."""
        origin = partial.origin
        if partial.have:
            changed = (
                origin.etag not in ("", answer.etag)
                or origin.last_modified not in ("", answer.last_modified)
                or origin.size not in (None, answer.total)
            )
            if changed:
                self.tell("the file at the source has changed: beginning anew")
            elif answer.first != partial.have:
                self.tell("the server gives files from their beginning only: beginning anew")
            if changed or answer.first != partial.have:
                partial.restart()
                origin = partial.origin
        if answer.first != partial.have:
            raise Interrupted("the server gave the end of another file")
        origin.size, origin.etag = answer.total, answer.etag
        origin.last_modified = answer.last_modified
        if (origin.size or 0) > self.largest:
            self._too_large()
        if self.room is not None and origin.size is not None and not self._asked:
            self.room(origin.size, partial.have)
        self._asked = True

    def _too_large(self) -> None:
        raise DownloadError(
            f"{self.url} gives more than it should ({self.largest / 1e9:,.0f} GB at most, and no "
            "more than it says): give another address"
        )
