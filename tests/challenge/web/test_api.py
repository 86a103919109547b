"""The API: everything a page does, with a token."""

from __future__ import annotations

import contextlib
import hashlib
import io
import sqlite3
import tempfile
import zipfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url, select, update

from sigma68.challenge.rules import accounts, tokens
from sigma68.challenge.store.tables import Phase, Token
from sigma68.challenge.web.limits import Limiter
from tests.challenge.web.conftest import PASSWORD, START, Site, zipped


class Program:
    """A program with the token of one account."""

    def __init__(self, site: Site, name: str, role: str = "participant") -> None:
        self.http = site.person(name, role).http
        self.http.cookies.clear()
        given = {"name": name, "password": PASSWORD}
        made = self.http.post("/api/v1/tokens", json=given)
        assert made.status_code == 201, made.text
        self.token = made.json()["token"]
        self.http.headers["authorization"] = f"Bearer {self.token}"

    def __call__(self, verb: str, path: str, status: int = 200, **given: Any) -> Any:
        answer: httpx.Response = self.http.request(verb, f"/api/v1/{path}", **given)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None


def test_a_program_takes_part(site: Site) -> None:
    ann = Program(site, "ann")
    assert ann("GET", "me")["name"] == "ann"
    (challenge,) = ann("GET", "challenges")
    phase = challenge["phases"][0]["id"]
    assert ann("GET", "challenges/small")["title"] == "A small challenge"
    assert "seed" not in str(challenge)
    ann("POST", "challenges/small/submissions", 403, content=zipped())
    assert ann("POST", "challenges/small/team", 201, json={"name": "Bees"})["members"] == ["ann"]
    sheet = {"method": "counting", "code_url": "https://example.org", "licence": "MIT"}
    zip_ = zipped()
    made = ann("POST", "challenges/small/submissions?name=first", 201, content=zip_)
    assert (made["status"], made["name"], made["total"]) == ("queued", "first", 6)
    assert made["sha256"] == hashlib.sha256(zip_).hexdigest()
    path = f"submissions/{made['id']}"
    assert ann("GET", path)["address"].endswith(f"/c/small/{path}")
    assert ann("GET", f"challenges/small/submissions?sha256={made['sha256']}")[0]["id"] == 1
    assert ann("GET", "challenges/small/submissions?sha256=0") == []
    assert ann("GET", f"{path}/log") == []
    ann("GET", f"{path}/details", 404)
    assert ann("PUT", f"{path}/fact-sheet", json=sheet) == sheet
    assert ann("GET", f"{path}/fact-sheet") == sheet
    ann("PUT", f"{path}/fact-sheet", 422, json=sheet | {"code_url": "javascript:alert(1)"})
    assert ann("POST", f"{path}/choose")["id"] == made["id"]
    left = ann("GET", f"challenges/small/phases/{phase}/allowance")
    assert (left["today"], left["in_all"], left["reason"]) == (4, 99, None)
    board = ann("GET", f"challenges/small/phases/{phase}/leaderboard")
    assert (board["rows"], board["hidden"]) == ([], None)
    question = ann("POST", "challenges/small/questions", 201, json={"title": "Why", "text": "?"})
    text = {"text": "Because."}
    ann("POST", f"challenges/small/questions/{question['id']}/answers", 201, json=text)
    (found,) = ann("GET", "challenges/small/questions")
    assert [one["text"] for one in found["answers"]] == ["Because."]
    bob = Program(site, "bob")
    bob("GET", path, 404)
    code = ann("GET", "challenges/small/team")["invite_code"]
    joined = bob("POST", "challenges/small/team/join", json={"invite_code": code})
    assert joined["members"] == ["ann", "bob"]
    bob("GET", path)
    assert bob("PATCH", "challenges/small/team", json={"anonymous": True})["anonymous"] is True
    bob("POST", "challenges/small/team/invite-code")
    bob("DELETE", "challenges/small/team", 204)
    bob("GET", "challenges/small/team", 404)


def test_an_upload_does_not_mind_who_else_writes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = Program(site, "ann")
    ann("POST", "challenges/small/team", 201, json={"name": "Bees"})
    site.later(hours=1)  # the use of the token is to be noted again
    counted = Limiter.count

    def count(limiter: Limiter, name: str, key: str, now: datetime) -> None:
        if name == "upload":
            with site.store.write() as session:  # a worker, say, once the caller is known
                session.execute(update(Phase).values(version=Phase.version + 1))
        counted(limiter, name, key, now)

    monkeypatch.setattr(Limiter, "count", count)
    ann("POST", "challenges/small/submissions", 201, content=zipped())
    with site.store.read() as session:
        assert session.scalars(select(Token.last_used)).all() == [site.now]


def test_an_organiser_s_program(site: Site) -> None:
    olga, ann = Program(site, "olga", "organiser"), Program(site, "ann")
    new = {"slug": "by-program", "title": "By program", "task": "gaussian"}
    ann("POST", "challenges", 403, json=new)
    assert olga("POST", "challenges", 201, json=new)["visible"] is False
    ann("GET", "challenges/by-program", 404)
    changed = olga("PATCH", "challenges/by-program", json={"visible": True, "replay": 3})
    assert changed["visible"] is True
    olga("PATCH", "challenges/by-program", 422, json={"title": None})
    olga("PATCH", "challenges/by-program", 422, json={"seed": 3})
    page = {"title": "Overview", "text": "# Hello"}
    assert olga("PUT", "challenges/by-program/pages/overview", json=page)["slug"] == "overview"
    times = {"opens": START.isoformat(), "closes": START.replace(month=7).isoformat()}
    phase = {"name": "Public", "sets": 2, "toys": 2, "nuisances": ["shift"], **times}
    made = olga("POST", "challenges/by-program/phases", 201, json=phase)
    where = f"challenges/by-program/phases/{made['id']}"
    naive = phase | {"opens": "2030-01-01T00:00:00"}
    assert "zone" in olga("PUT", where, 422, json=naive)["error"]
    assert olga("PUT", where, json=phase | {"sets": 3})["sets"] == 3
    ann("POST", "challenges/by-program/team", 201, json={"name": "Bees"})
    sent = ann("POST", "challenges/by-program/submissions", 201, content=zipped())
    assert [one["id"] for one in olga("GET", f"{where}/submissions")] == [sent["id"]]
    assert olga("GET", "queue") == {"queued": 1, "running": 0}
    path = f"submissions/{sent['id']}"
    ann("POST", f"{path}/cancel", 403, json={"reason": "mine"})
    cancelled = olga("POST", f"{path}/cancel", json={"reason": "a test"})
    assert (cancelled["status"], cancelled["counts"]) == ("cancelled", False)
    olga("POST", f"{path}/restart", 409)
    marks = {"novel": 7, "practical": None, "frugal": 10, "notes": "Small."}
    olga("PUT", f"{path}/marks", json=marks)
    assert olga("GET", f"{path}/marks") == {"olga": marks}
    ann("GET", f"{path}/marks", 403)
    users = {one["name"]: one for one in olga("GET", "users")}
    changed = olga("PATCH", f"users/{users['ann']['id']}", json={"role": "juror"})
    assert changed["role"] == "juror"
    assert ann("GET", f"{path}/marks") == {"olga": marks}
    assert olga("GET", "audit")[0]["action"] == "set_role"
    text = {"title": "Soon", "text": "It **ends**."}
    number = olga("POST", "challenges/by-program/announcements", 201, json=text)["id"]
    assert ann("GET", "challenges/by-program/announcements")[0]["title"] == "Soon"
    olga("DELETE", f"challenges/by-program/announcements/{number}", 204)
    olga("DELETE", where, 409)


def test_tokens_are_the_only_way_in(site: Site) -> None:
    ann = Program(site, "ann")
    visitor = site.person("bob")
    # A cookie means nothing here, so that another site can make a browser do nothing.
    assert visitor.get("/api/v1/me").status_code == 401
    (token,) = ann("GET", "tokens")
    assert "token" not in token
    ann("DELETE", f"tokens/{token['id']}", 204)
    ann("GET", "me", 401)
    wrong = {"authorization": "Bearer s68_nothing"}
    statuses = [visitor.http.get("/api/v1/me", headers=wrong).status_code for _ in range(31)]
    assert statuses[:29] == [401] * 29
    assert statuses[-1] == 429


def test_a_token_ends_with_its_days(site: Site) -> None:
    ann = Program(site, "ann")
    site.later(days=179)
    ann("GET", "me")
    site.later(days=2)
    ann("GET", "me", 401)


def test_every_call_is_described(site: Site) -> None:
    visitor = site.visitor()
    document = visitor.get("/api/openapi.json").json()
    calls = [(path, verb) for path, verbs in document["paths"].items() for verb in verbs]
    assert len(calls) > 45
    assert all(path.startswith("/api/v1/") for path, _ in calls)
    page = visitor.get("/api/docs").text
    for path, verb in calls:
        call = document["paths"][path][verb]
        assert call["description"], (path, verb)
        assert path in page
    assert "HTTPBearer" in document["components"]["securitySchemes"]
    send = document["paths"]["/api/v1/challenges/{slug}/submissions"]["post"]
    assert "application/zip" in send["requestBody"]["content"]


def test_an_organiser_takes_everything_along(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    olga, ann = Program(site, "olga", "organiser"), Program(site, "ann")
    ann("POST", "challenges/small/team", 201, json={"name": "Bees"})
    ann("POST", "challenges/small/submissions", 201, content=zipped())
    ann("GET", "export", 403)
    answer = olga.http.get("/api/v1/export", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = set(archive.namelist())
        assert {"manifest.json", "tables/users.json", "tables/submissions.csv"} <= names
        assert sum(name.startswith("files/entries/") for name in names) == 1
        assert not any("phase_secrets" in name or "credentials" in name for name in names)
    assert olga("GET", "audit")[0]["action"] == "export"
    assert not list(tmp_path.glob("sigma68-export-*"))
    for _ in range(5):
        assert olga.http.get("/api/v1/export").status_code == 200
    olga("GET", "export", 429)


def test_a_stranger_reads_what_is_public(site: Site) -> None:
    visitor = site.visitor()
    assert len(visitor.get("/api/v1/challenges").json()) == 1
    assert visitor.get("/api/v1/challenges/small/phases/1/leaderboard").status_code == 200
    assert visitor.get("/api/v1/challenges/small/phases/2/leaderboard").json()["hidden"]
    assert visitor.get("/api/v1/challenges/small/phases/9/leaderboard").status_code == 404
    for path in ("me", "tokens", "users", "audit", "queue", "challenges/small/submissions"):
        answer = visitor.get(f"/api/v1/{path}")
        assert answer.status_code == 401, path
        assert set(answer.json()) == {"error"}
    assert visitor.get("/api/v1/none").json() == {"error": "there is no such page"}
    huge = visitor.get(f"/api/v1/submissions/{10**30}")
    assert huge.status_code in (401, 404, 422)


def test_nobody_waits_for_the_database_while_a_password_is_hashed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, visitor = Program(site, "ann"), site.person("bob")
    hashing, known = [], accounts.hashed

    def hashed(password: str) -> accounts.Hashed:
        # Raises "database is locked" where somebody writes.
        database = make_url(site.store.database_url).database
        assert database
        with contextlib.closing(sqlite3.connect(database, timeout=0.1)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.rollback()
        hashing.append(password)
        return known(password)

    monkeypatch.setattr(accounts, "hashed", hashed)
    new = "another password"
    ann("PUT", "me/password", 204, json={"old": PASSWORD, "password": new})
    ann("POST", "accounts", 201, json={"name": "eve", "password": new + "1"})
    form = {"old": PASSWORD, "password": new + "2", "again": new + "2"}
    assert visitor.post("/account/password", form).status_code == 200
    form = {"name": "ida", "password": new + "3", "again": new + "3"}
    assert site.visitor().post("/register", form, page="/register").status_code == 200
    assert hashing == [new, new + "1", new + "2", new + "3"]
    for name, password in (
        ("ann", new),
        ("eve", new + "1"),
        ("bob", new + "2"),
        ("ida", new + "3"),
    ):
        answer = site.visitor().post("/sign-in", {"name": name, "password": password})
        assert answer.status_code == 200


def test_a_token_gives_no_password_to_an_account_without_one(site: Site) -> None:
    with site.store.write() as session:
        user = accounts.create_for_identity(session, "https://id.org", "7", "ida", site.now)
        _, token = tokens.new_token(session, user, "mine", site.now, lifetime=timedelta(days=9))
    answer = httpx.put(
        f"{site.address}/api/v1/me/password",
        json={"password": "another password", "old": ""},
        headers={"authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 403
    assert "a token cannot give it one" in answer.text
    with site.store.read() as session:
        assert not accounts.has_password(session, user)
