"""Who may send how much, told before it is read; and when it counts as handed in."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sigma68.challenge.rules import uploads
from sigma68.challenge.store.tables import Submission
from sigma68.challenge.web.app import _takes_files
from sigma68.challenge.web.limits import Limiter
from sigma68.challenge.web.uploads import sweep_temporary
from tests.challenge.web.conftest import Site, zipped
from tests.challenge.web.test_api import Program

MIB = 1 << 20
SUBMIT = "/c/small/phases/1/submit"


def test_only_uploads_may_be_large(site: Site) -> None:
    assert _takes_files(SUBMIT)
    assert _takes_files("/api/v1/challenges/small/submissions")
    for path in (
        *("/submit", "/sign-in/submit", "/api/v1/challenges/small/pages/submit"),
        *("/api/v1/challenges/small/phases/1/submissions", f"/x{SUBMIT}", f"{SUBMIT}/submit"),
    ):
        assert not _takes_files(path), path
    # A page may be called so; it is read whole before anybody asks who sends it.
    visitor = site.visitor()
    answer = visitor.http.put("/api/v1/challenges/small/pages/submit", content=b"x" * (2 * MIB))
    assert answer.status_code == 413


def test_nothing_is_kept_of_a_stranger_s_upload(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    spooled: list[Any] = []
    monkeypatch.setattr(
        "starlette.formparsers.SpooledTemporaryFile", lambda *a, **k: spooled.append(a) or 1 / 0
    )
    visitor = site.visitor()
    visitor.get("/register")  # brings a cookie with a form's token
    answer = visitor.http.post(SUBMIT, files={"file": ("a.zip", b"x" * (4 * MIB))})
    assert answer.url.path == "/sign-in"
    api = visitor.http.post("/api/v1/challenges/small/submissions", content=b"x" * (4 * MIB))
    assert api.status_code == 401
    assert spooled == []


def test_uploads_are_counted_before_they_are_read(site: Site) -> None:
    ann = site.person("ann")
    for _ in range(30):
        # Without the token of a form it is refused, and counts.
        assert ann.http.post(SUBMIT, files={"file": ("a.zip", b"x")}).status_code == 403
    answer = ann.http.post(SUBMIT, files={"file": ("a.zip", b"x")})
    assert answer.status_code == 429
    assert "too many uploads" in answer.text.lower()


def test_an_upload_counts_when_it_has_come(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = Program(site, "ann")
    ann("POST", "challenges/small/team", 201, json={"name": "Bees"})
    content, known = zipped(), threading.Event()
    monkeypatch.setattr(Limiter, "count", lambda *given: known.set())

    def slowly() -> Iterator[bytes]:
        yield content[:10]
        assert known.wait(20)  # who sends it has been asked
        site.later(days=3650)  # the phase closes while it is sent
        yield content[10:]

    answer = ann.http.post("/api/v1/challenges/small/submissions", content=slowly())
    assert answer.status_code == 409
    assert "closed at" in answer.json()["error"]
    with site.store.read() as session:
        assert session.scalars(select(Submission)).all() == []


def test_few_uploads_are_unpacked_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = Program(site, "ann")
    ann("POST", "challenges/small/team", 201, json={"name": "Bees"})
    monkeypatch.setattr(uploads, "_UNPACKING", threading.BoundedSemaphore(1))
    monkeypatch.setattr(uploads, "_UNPACKING_S", 0.0)
    with uploads._UNPACKING:
        told = ann("POST", "challenges/small/submissions", 503, content=zipped())
    assert "other uploads" in told["error"]
    ann("POST", "challenges/small/submissions", 422, content=b"no zip")
    ann("POST", "challenges/small/submissions", 201, content=zipped())


def test_what_killed_servers_left_in_tmp_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    now = datetime.now(UTC)
    names = ("sigma68-upload-a", "sigma68-unpacked-b", "sigma68-export-c")
    for name in (*names, "sigma68-judging", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"x")
    (tmp_path / "sigma68-upload-link").symlink_to(tmp_path / "other")
    assert sweep_temporary(now) == 0  # all are young
    assert sweep_temporary(now + timedelta(hours=3)) == 3
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["other", "sigma68-judging", "sigma68-upload-link"]
    assert (tmp_path / "other" / "file").exists()
