"""Handing in from the command line: send a zip, watch it, tell the score; safe to begin again.

What was handed in and not seen through to its score is noted in a file of the user's, so that
the same command, given again, goes on watching instead of spending another submission.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx

from sigma68.errors import EntryError, SettingsError, SubmitError
from sigma68.files import make_folder, write_json

__all__ = ["TOKEN", "Challenge", "Client", "Note", "read_token"]

TOKEN = "SIGMA68_TOKEN"  # noqa: S105 (the name of a variable)
_PATIENCE_S = 300.0
"""How long a server may be away while a submission is watched: it may be starting again."""
_ENDED = ("finished", "failed", "cancelled")

Step = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Challenge:
    """A challenge's server and its name there; `slug` is None for the only one of its server."""

    server: str
    slug: str | None

    @classmethod
    def at(cls, address: str) -> Challenge:
        """The challenge of an address such as https://host/c/higgs-uncertainty, or of a server.

        Raises
        ------
        SettingsError
            If it is no such address.
        """
        parts = urlsplit(address if "://" in address else f"https://{address}")
        path = [part for part in parts.path.split("/") if part]
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.username:
            raise SettingsError(f"{address!r} is no address of a challenge: copy it from a browser")
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise SettingsError(
                f"a token must not travel unencrypted to {parts.hostname}: use https://"
            )
        if path and path[0] != "c":
            raise SettingsError(
                f"{address!r} is no address of a challenge: it looks like https://host/c/name"
            )
        slug = path[1] if len(path) > 1 else None
        return cls(f"{parts.scheme}://{parts.netloc}", slug)


def read_token(path: Path | None) -> str:
    """The token in the file `path`, else in the variable SIGMA68_TOKEN.

    Raises
    ------
    SettingsError
        If there is none.
    """
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"no token can be read from {path} ({error})") from error
    else:
        text = os.environ.get(TOKEN, "").strip()
    if not text:
        raise SettingsError(
            f"there is no token: make one on the page of your account, then put it in {TOKEN} or "
            "give a file by --token-file"
        )
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise SettingsError(
            "that is no token: it is one word, as the page of your account shows it"
        )
    return text


@dataclass
class Client:
    """Talks to one server with one token, in a with statement.

    `wait` sleeps that many seconds; `say` gets a line when the server cannot be reached.
    """

    challenge: Challenge
    token: str = field(repr=False)
    say: Callable[[str], None] = lambda line: None
    wait: Callable[[float], None] = time.sleep
    patience_s: float = _PATIENCE_S
    _http: httpx.Client | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        self._http = httpx.Client(
            base_url=f"{self.challenge.server}/api/v1/",
            headers={"authorization": f"Bearer {self.token}"},
            timeout=120.0,
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._http is not None:
            self._http.close()

    def slug(self) -> str:
        """The challenge's name; asked for where a server has only one.

        Raises
        ------
        SettingsError
            If the server has none, or several.
        SubmitError
            If the server does not answer as it should.
        """
        if self.challenge.slug is not None:
            return self.challenge.slug
        found = [one["slug"] for one in self._ask("GET", "challenges")]
        if len(found) != 1:
            choices = ", ".join(f"{self.challenge.server}/c/{one}" for one in found) or "none"
            raise SettingsError(f"say which challenge by --to; there are: {choices}")
        return str(found[0])

    def hand_in(self, zipped: Path, sent: Callable[[int, int], None]) -> dict[str, Any]:
        """Send a zip; the submission. `sent` is told how many bytes of how many have gone.

        Raises
        ------
        EntryError
            If there is no such file, or the server says that it is no entry.
        SubmitError
            If the server cannot be reached or refuses.
        """
        size = _size(zipped)

        def chunks() -> Iterator[bytes]:
            done = 0
            with zipped.open("rb") as file:
                while chunk := file.read(1 << 18):
                    yield chunk
                    done += len(chunk)
                    sent(done, size)

        path = f"challenges/{quote(self.slug(), safe='')}/submissions"
        headers = {"content-type": "application/zip", "content-length": str(size)}
        given = {"params": {"name": zipped.stem}, "headers": headers, "content": chunks()}
        answer: dict[str, Any] = self._ask("POST", path, **given)
        return answer

    def watch(self, number: int, step: Step) -> dict[str, Any]:
        """Follow a submission to its end; `step` gets it whenever it was asked for.

        Raises
        ------
        SubmitError
            If the server is away for too long, or refuses.
        """
        gone_since: float | None = None
        while True:
            try:
                found: dict[str, Any] = self._ask("GET", f"submissions/{number}")
            except _AwayError as error:
                gone_since = gone_since or time.monotonic()
                if time.monotonic() - gone_since > self.patience_s:
                    raise
                self.say(f"{error}; trying again")
                self.wait(5.0)
                continue
            gone_since = None
            step(found)
            if found["status"] in _ENDED:
                return found
            self.wait(1.0 if found["status"] == "running" else 2.0)

    def is_known(self, number: int) -> bool:
        """Whether the server has a submission of this number that the token may see."""
        found = self._ask("GET", f"challenges/{quote(self.slug(), safe='')}/submissions")
        return any(one["id"] == number for one in found)

    def unfinished(self, zipped: Path) -> int | None:
        """A submission of this very zip that has not ended yet: handed in, and the answer lost.

        Raises
        ------
        SubmitError
            If the server cannot be reached or refuses.
        """
        path = f"challenges/{quote(self.slug(), safe='')}/submissions"
        found = self._ask("GET", path, params={"sha256": _sha256(zipped)})
        return next((one["id"] for one in found if one["status"] not in _ENDED), None)

    def _ask(self, verb: str, path: str, **given: Any) -> Any:
        if self._http is None:
            raise RuntimeError("a client is to be used in a with statement")
        try:
            answer = self._http.request(verb, path, **given)
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise _AwayError(f"{self.challenge.server} cannot be reached ({why})") from error
        if answer.status_code in (502, 503, 504):
            raise _AwayError(f"{self.challenge.server} is not there now ({answer.status_code})")
        return _content(answer, self.challenge.server)


class _AwayError(SubmitError):
    """The server cannot be reached at the moment."""


def _content(answer: httpx.Response, server: str) -> Any:
    """What the server said, or its refusal as an error."""
    try:
        content = answer.json()
    except ValueError:
        content = None
    if answer.is_success and content is not None:
        return content
    if isinstance(content, dict) and isinstance(content.get("error"), str):
        sentence = content["error"]
    elif answer.status_code == 413:
        sentence = answer.text.strip().rstrip(".") or "the zip is too large"
    else:
        raise SubmitError(
            f"{server} gave an answer that is none of a challenge's server "
            f"(status {answer.status_code}): check the address"
        )
    if answer.status_code == 422:
        raise EntryError(sentence)
    raise SubmitError(f"{server} refuses: {sentence}")


def _size(path: Path) -> int:
    if not path.is_file():
        raise EntryError(f"there is no zip at {path}: give the one to hand in")
    return path.stat().st_size


def _sha256(path: Path) -> str:
    _size(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Note:
    """The number of a submission handed in from here, kept until it has been seen through."""

    path: Path
    key: str

    @classmethod
    def of(cls, challenge: Challenge, zipped: Path) -> Note:
        """The note of a zip at a challenge.

        Raises
        ------
        EntryError
            If there is no such zip.
        """
        base = os.environ.get("XDG_STATE_HOME")
        home = Path(base) if base else Path.home() / ".local" / "state"
        key = f"{challenge.server} {challenge.slug} {_sha256(zipped)}"
        return cls(home / "sigma68" / "submitted.json", key)

    def number(self) -> int | None:
        """The submission to go on with, if one was noted."""
        found = self._all().get(self.key)
        return found if isinstance(found, int) else None

    def write(self, number: int) -> None:
        """Note a submission.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        self._keep({**self._all(), self.key: number})

    def cross_out(self) -> None:
        """Forget it: it has been seen through."""
        self._keep({key: one for key, one in self._all().items() if key != self.key})

    def _all(self) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            # Absent or damaged, it only costs going on with what it held.
            return {}
        return found if isinstance(found, dict) else {}

    def _keep(self, notes: dict[str, Any]) -> None:
        make_folder(self.path.parent)
        write_json(self.path, notes)
