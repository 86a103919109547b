"""A file on a web server, asked for from any of its bytes on; every way to fail has its name.

`ask` speaks HTTP with the standard library and says one of three things: here are the bytes, try
again (`Interrupted`), or this will never work (`DownloadError`). Addresses are https. Plain http
serves this machine's own addresses, and others if it is asked for.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import ipaddress
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NoReturn
from urllib.parse import SplitResult, urlsplit

from sigma68 import __version__
from sigma68.errors import DownloadError, SettingsError
from sigma68.printable import printable

__all__ = ["Answer", "Interrupted", "ask", "check_url"]

_TRY_AGAIN: Final = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_ASKED_WAIT_S: Final = 600.0


class Interrupted(Exception):  # noqa: N818 - it is a turn of events, and always caught
    """The source did not deliver, but may do so in a while (`wait_s`, where it said so).

    `another` says that the file there is not the one of which we have the beginning.
    """

    def __init__(self, reason: str, wait_s: float = 0.0, *, another: bool = False) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.another = another


@dataclass(frozen=True)
class Answer:
    """Bytes on their way.

    Attributes
    ----------
    first
        The number of the first byte that will come: what was asked for, or 0.
    total
        The size of the whole file in bytes; None if the server does not say.
    etag, last_modified
        What the server calls this version of the file; empty if it does not say.
    response
        Where to read from.
    """

    first: int
    total: int | None
    etag: str
    last_modified: str
    response: http.client.HTTPResponse

    def read(self, most: int) -> bytes:
        """The next bytes, at most `most`; none at the end.

        Raises
        ------
        Interrupted
            If the connection breaks or stalls.
        """
        try:
            return self.response.read(most)
        except (http.client.HTTPException, OSError) as error:
            raise Interrupted(f"the connection broke ({_reason(error)})") from error


def check_url(url: str, *, allow_http: bool = False) -> None:
    """Refuse an address that is not an https one.

    Plain http is accepted for this machine's own addresses and with `allow_http`.

    Raises
    ------
    SettingsError
        If the address is not one, names a user, or is plain http.
    """
    parts = _parts(url)
    if parts.scheme == "https" or (parts.scheme == "http" and (allow_http or _is_here(parts))):
        return
    if parts.scheme == "http":
        raise SettingsError(
            f"{url} is plain http, which anybody on the way can read and change: give an https "
            "address, or --allow-http"
        )
    raise SettingsError(f"{url} is not a web address: give one that begins with https://")


@contextlib.contextmanager
def ask(
    url: str, first: int = 0, *, version: str = "", allow_http: bool = False, timeout_s: float = 60
) -> Iterator[Answer]:
    """Ask for a file from byte `first` on, if it still is the `version` named.

    A server that cannot, or whose file is another one by now, answers with the whole file.

    Raises
    ------
    SettingsError
        If the address is refused (see `check_url`).
    DownloadError
        If the server will not give the file, whenever it is asked.
    Interrupted
        If it may give it later.
    """
    check_url(url, allow_http=allow_http)
    headers = {"User-Agent": f"sigma68/{__version__}", "Accept-Encoding": "identity"}
    if first:
        headers["Range"] = f"bytes={first}-"
        if version:
            headers["If-Range"] = version
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - checked above
    try:
        response = _opener(url, allow_http).open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        _refused(url, error, first)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        _unreachable(url, error)
    with response:
        yield _answer(url, response, first)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server elsewhere, but not from https to plain http, nor out of the web."""

    def __init__(self, origin: str, allow_http: bool) -> None:
        self._origin = _parts(origin)
        self._allow_http = allow_http

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: object,
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        to = _parts(newurl)
        plain = self._allow_http or (_is_here(self._origin) and _is_here(to))
        if to.scheme != "https" and not (to.scheme == "http" and plain):
            raise DownloadError(
                f"{req.full_url} sends us on to {printable(newurl, 200)}, which is not https: give another address"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _opener(url: str, allow_http: bool) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [_Redirects(url, allow_http)]
    if _is_here(_parts(url)):
        handlers.append(urllib.request.ProxyHandler({}))  # a proxy has another "here"
    return urllib.request.build_opener(*handlers)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and parts.port != 0  # reading the port checks it
    except ValueError:
        sound = False
    if not sound or re.search(r"[\s\x00-\x1f\x7f]", url) or not url.isascii():
        raise SettingsError(f"{url!a} is not a web address: give one that begins with https://")
    if parts.username is not None:
        raise SettingsError(
            f"the address of {parts.hostname} names a user: give one without a name or password"
        )
    return parts


def _is_here(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _answer(url: str, response: http.client.HTTPResponse, first: int) -> Answer:
    headers = response.headers
    if headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadError(
            f"{url} gives the file in the encoding {headers['Content-Encoding']!a}, which was not "
            "asked for: give another address"
        )
    names = (headers.get("ETag", ""), headers.get("Last-Modified", ""))
    if response.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", "").strip())
        if found is None or int(found[1]) != first:
            raise DownloadError(
                f"{url} answers with another part of the file than was asked for: "
                "give another address"
            )
        total = None if found[2] == "*" else int(found[2])
        return Answer(first, total, *names, response)
    if response.status != 200:
        raise DownloadError(
            f"{url} answers with {response.status} {response.reason!a} and not with a file: "
            "give another address"
        )
    length = headers.get("Content-Length", "").strip()
    return Answer(0, int(length) if length.isdecimal() else None, *names, response)


def _refused(url: str, error: urllib.error.HTTPError, first: int) -> NoReturn:
    if error.code == 416 and first:
        # It has no such byte.
        raise Interrupted(
            "the file at the source is not longer than what is here", another=True
        ) from None
    if error.code in _TRY_AGAIN:
        wait = _asked_wait_s(error.headers.get("Retry-After", ""))
        raise Interrupted(f"the server answers with {error.code} {_said(error)}", wait) from None
    what = {
        401: "asks for a password",
        403: "may not be read by us",
        404: "is not there",
        410: "is not there any more",
    }.get(error.code, f"cannot be had ({error.code} {_said(error)})")
    raise DownloadError(f"{url} {what}: check the address, or give another one") from None


def _said(error: urllib.error.HTTPError) -> str:
    return printable(error.reason, 200)


def _unreachable(url: str, error: Exception) -> NoReturn:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        raise DownloadError(
            f"{urlsplit(url).hostname} cannot prove that it is who it says "
            f"({cause.verify_message}): check this machine's clock and certificates"
        ) from error
    raise Interrupted(f"{urlsplit(url).hostname} cannot be reached ({_reason(cause)})") from error


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "nothing came for too long"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _asked_wait_s(text: str) -> float:
    """What Retry-After says, in seconds from now; 0 if it says nothing that we understand."""
    if text.strip().isdecimal():
        wait = float(text)
    else:
        try:
            wait = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError):
            return 0.0
    return min(max(wait, 0.0), _LONGEST_ASKED_WAIT_S)
