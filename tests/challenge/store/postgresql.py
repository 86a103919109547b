"""A PostgreSQL server for the tests alone: its own folder, loopback, an unprivileged user."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["binaries", "cluster"]

_USER = "postgres"


def binaries() -> Path | None:
    """Where `initdb` is; None if PostgreSQL is not installed."""
    places = [Path(found).parent for found in [shutil.which("initdb")] if found]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").is_file()), None)


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """The URL of a server without its database, such as postgresql://postgres@127.0.0.1:5433."""
    place = binaries()
    if place is None:
        pytest.skip("PostgreSQL is not installed")
    # It refuses to run as root.
    user = _USER if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="sigma68-pg-") as name:
        folder = Path(name)
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        _run(user, place / "initdb", "-D", data, "-U", _USER, "-A", "trust", "--no-sync")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = folder / "log"
        _run(user, place / "pg_ctl", "-D", data, "-w", "-l", log, "-o", options, "start")
        try:
            yield f"postgresql://{_USER}@127.0.0.1:{port}"
        finally:
            _run(user, place / "pg_ctl", "-D", data, "-m", "immediate", "stop")


def _run(user: str | None, *words: object) -> None:
    subprocess.run(
        [str(word) for word in words],
        check=True,
        user=user,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
