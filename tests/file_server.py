"""A web server on this machine that hands out one file and can fail in every way that is known."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Served:
    """What is handed out, and how. Lists hold one item for each request, the first one first."""

    content: bytes
    etag: str = '"v1"'
    last_modified: str = ""
    ranges: bool = True
    heed_if_range: bool = True
    statuses: list[int] = field(default_factory=list)
    """Answer with these instead of the file."""
    cuts: list[int] = field(default_factory=list)
    """Close the connection after so many bytes of the body."""
    extra: dict[str, str] = field(default_factory=dict)
    """Further headers; a Content-Length here is a lie."""
    said_length: bool = True
    gate: threading.Event | None = None
    """After the first cut, wait for this instead of closing."""
    asked: list[dict[str, str]] = field(default_factory=list)
    """The headers of the requests that came."""
    url: str = ""

    @property
    def ranges_asked(self) -> list[str]:
        return [headers.get("Range", "") for headers in self.asked]


class _Handler(BaseHTTPRequestHandler):
    served: Served

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        served = self.served
        served.asked.append(dict(self.headers.items()))
        if served.statuses:
            status = served.statuses.pop(0)
            self.send_response(status)
            for name, value in served.extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first, total = self._first(), len(served.content)
        if first and first >= total:
            self.send_response(416)
            self.end_headers()
            return
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
        if served.said_length and "Content-Length" not in served.extra:
            self.send_header("Content-Length", str(total - first))
        for name, value in (("ETag", served.etag), ("Last-Modified", served.last_modified)):
            if value:
                self.send_header(name, value)
        for name, value in served.extra.items():
            self.send_header(name, value)
        self.end_headers()
        self._body(served.content[first:])

    def _first(self) -> int:
        served = self.served
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if found is None or not served.ranges:
            return 0
        wanted = self.headers.get("If-Range")
        same = wanted in (None, served.etag, served.last_modified)
        return int(found[1]) if same or not served.heed_if_range else 0

    def _body(self, body: bytes) -> None:
        cut = self.served.cuts.pop(0) if self.served.cuts else len(body)
        try:
            self.wfile.write(body[:cut])
            self.wfile.flush()
            if self.served.gate is not None and cut < len(body):
                self.served.gate.wait(30)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client is gone
        self.close_connection = True


@contextmanager
def serving(served: Served, name: str = "data.zip") -> Iterator[Served]:
    """Hand `served` out at `served.url` until the block ends."""
    handler = type("Handler", (_Handler,), {"served": served})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        served.url = f"http://127.0.0.1:{server.server_port}/{name}"
        try:
            yield served
        finally:
            if served.gate is not None:
                served.gate.set()
            server.shutdown()
            thread.join()
