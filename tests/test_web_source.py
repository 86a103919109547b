"""Which addresses are asked, where their servers may send us, and what is said when it fails."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from http.client import HTTPMessage as Message
from pathlib import Path

import pytest

from sigma68.errors import DownloadError, SettingsError
from sigma68.web_source import Interrupted, _Redirects, ask, check_url
from tests.file_server import Served, serving


@pytest.mark.parametrize(
    "url",
    [
        "https://zenodo.org/records/1/files/a.zip?download=1",
        "http://127.0.0.1:8000/x",
        "http://127.3.2.1/x",
        "http://[::1]:80/x",
        "http://localhost/x",
    ],
)
def test_addresses_that_are_asked(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://zenodo.org/x", "is plain http, which anybody on the way"),
        ("http://127.0.0.1.example.org/x", "is plain http"),
        ("http://localhost.example.org/x", "is plain http"),
        ("http://10.0.0.1/x", "is plain http"),
        ("ftp://zenodo.org/x", "is not a web address"),
        ("file:///etc/passwd", "is not a web address"),
        ("data:text/plain,x", "is not a web address"),
        ("zenodo.org/x", "is not a web address"),
        ("", "is not a web address"),
        ("https://", "is not a web address"),
        ("https://a:b/x", "is not a web address"),
        ("https://a:99999/x", "is not a web address"),
        ("https://[::1/x", "is not a web address"),
        ("https://a.org/x y", "is not a web address"),
        ("https://a.org/x\r\nHost: b", "is not a web address"),
        ("https://a.org/\x1b[31m", "is not a web address"),
        ("https://ä.org/", "is not a web address"),
        ("https://me:secret@a.org/x", "names a user: give one without"),
    ],
)
def test_addresses_that_are_refused(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        check_url(url)
    assert "secret" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_plain_http_can_be_asked_for() -> None:
    check_url("http://zenodo.org/x", allow_http=True)
    with pytest.raises(SettingsError):
        check_url("ftp://zenodo.org/x", allow_http=True)


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Served(b"0123456789")) as served:
        yield served


def test_a_file_and_a_part_of_it(served: Served) -> None:
    with ask(served.url) as answer:
        assert (answer.first, answer.total, answer.etag) == (0, 10, '"v1"')
        assert answer.read(100) == b"0123456789"
        assert answer.read(100) == b""
    with ask(served.url, 4, version='"v1"') as answer:
        assert (answer.first, answer.total) == (4, 10)
        assert answer.read(3) == b"456"
    with ask(served.url, 4, version='"v0"') as answer:
        assert answer.first == 0


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirections_are_followed_with_the_range(served: Served, code: int) -> None:
    with serving(Served(b"", statuses=[code], extra={"Location": served.url})) as first:
        with ask(first.url, 4) as answer:
            assert answer.read(10) == b"456789"
        assert first.ranges_asked == served.ranges_asked == ["bytes=4-"]


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("http://example.org/x", "which is not https"),
        ("ftp://example.org/x", "which is not https"),
        ("file:///etc/passwd", "cannot be had"),
        ("https://a:b@example.org/", "names a user"),
    ],
)
def test_redirections_that_lead_astray_are_refused(to: str, said: str) -> None:
    with (
        serving(Served(b"", statuses=[302], extra={"Location": to})) as first,
        pytest.raises((DownloadError, SettingsError), match=said),
        ask(first.url),
    ):
        pass


def test_redirections_from_https_to_this_machine_stay_https() -> None:
    handler = _Redirects("https://example.org/x", allow_http=False)
    request = urllib.request.Request("https://example.org/x")
    with pytest.raises(DownloadError, match="which is not https"):
        handler.redirect_request(request, None, 302, "", Message(), "http://127.0.0.1/x")
    again = handler.redirect_request(request, None, 302, "", Message(), "https://b.org/x")
    assert again is not None
    assert again.full_url == "https://b.org/x"


def test_redirections_in_a_circle_end(served: Served) -> None:
    served.statuses, served.extra = [302] * 50, {"Location": served.url}
    with pytest.raises(DownloadError, match="cannot be had"), ask(served.url):
        pass
    assert len(served.asked) <= 11


def test_proxies_are_not_asked_for_this_machine(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    with ask(served.url) as answer:
        assert answer.read(10) == b"0123456789"
    with (
        pytest.raises(Interrupted, match="cannot be reached"),
        ask("http://example.org/x", allow_http=True),
    ):
        pass


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500,
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    ],
)
def test_what_is_no_http_breaks_the_connection_only(reply: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        with pytest.raises((Interrupted, DownloadError)), ask(url) as body:
            assert list(iter(lambda: body.read(10), b"")) == [b"abc"]
        thread.join()


def test_terminal_sequences_of_a_server_do_not_reach_the_terminal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(b"HTTP/1.1 404 \x1b[2Jgone\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with (
            pytest.raises(DownloadError, match="is not there") as caught,
            ask(f"http://127.0.0.1:{server.getsockname()[1]}/x"),
        ):
            pass
        thread.join()
    assert "\x1b" not in str(caught.value)


@pytest.fixture
def unproven(tmp_path: Path) -> Iterator[int]:
    """The port of a server whose certificate nobody has signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not here to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection, pytest.raises(ssl.SSLError):
                context.wrap_socket(connection, server_side=True)

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_a_server_that_cannot_prove_its_name_is_not_trusted(unproven: int) -> None:
    with (
        pytest.raises(DownloadError, match="localhost cannot prove that it is who it says"),
        ask(f"https://localhost:{unproven}/x"),
    ):
        pass
