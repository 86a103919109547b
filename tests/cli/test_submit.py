"""`sigma68 submit` against a server on loopback: handed in, watched, gone on with, refused."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sigma68.challenge.rules import submissions, tokens, views
from sigma68.challenge.store.tables import User
from sigma68.challenge.web.app import create_app
from sigma68.challenge.web.client import Challenge, Client
from sigma68.challenge.web.settings import ServerSettings
from sigma68.cli import app
from sigma68.errors import SettingsError, SubmitError
from tests.challenge.server_world import World, make_world, zipped
from tests.challenge.trivial_judge import trivial_judge
from tests.challenge.web.conftest import serving


@dataclass
class Server:
    world: World
    address: str
    token: str

    def count(self) -> int:
        with self.world.store.read() as session:
            return len(views.of_phase(session, self.world.public_id))

    def judge_when_there(self, number: int = 1, noted: Path | None = None) -> threading.Thread:
        """Judge as soon as so many submissions are there, and one is `noted` by who watches it."""

        def work() -> None:
            while self.count() < number or (noted is not None and not noted.exists()):
                time.sleep(0.02)
            self.world.work(trivial_judge)

        thread = threading.Thread(target=work)
        thread.start()
        return thread


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    world = make_world(tmp_path)
    world.team("ann")
    with world.store.write() as session:
        user = session.get_one(User, world.people["ann"])
        _, token = tokens.new_token(session, user, "a test", world.now)
    monkeypatch.setenv("SIGMA68_TOKEN", token)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    settings = ServerSettings("http://127.0.0.1", secrets.token_bytes(32))
    with serving(create_app(settings, world.store, clock=lambda: world.now)) as address:
        yield Server(world, address, token)
    world.store.close()


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    path = tmp_path / "my-entry.zip"
    path.write_bytes(zipped())
    return path


def submit(entry: Path, to: str, *words: str) -> Result:
    return CliRunner().invoke(app, ["submit", str(entry), "--to", to, *words], prog_name="sigma68")


def test_an_entry_is_handed_in_and_watched_to_its_score(server: Server, entry: Path) -> None:
    judging = server.judge_when_there()
    done = submit(entry, f"{server.address}/c/toys")
    judging.join()
    assert done.exit_code == 0, done.output
    assert "submission 1: http://127.0.0.1/c/toys/submissions/1" in done.stdout
    for words in ("score", "mean width", "coverage", "CPU time"):
        assert words in done.stdout
    # The only challenge need not be named; what was seen through is handed in anew.
    judging = server.judge_when_there(2)
    done = submit(entry, server.address)
    judging.join()
    assert "submission 2: " in done.stdout


def test_an_interrupted_watch_goes_on(server: Server, entry: Path, tmp_path: Path) -> None:
    challenge = Challenge.at(f"{server.address}/c/toys")
    with Client(challenge, server.token) as client:
        number = client.hand_in(entry, lambda done, total: None)["id"]
    # Nobody noted it, as when the answer was lost: the zip is known by its contents, until it is
    # judged.
    note = tmp_path / "state" / "sigma68" / "submitted.json"
    judging = server.judge_when_there(noted=note)
    done = submit(entry, f"{server.address}/c/toys")
    judging.join()
    assert f"submission {number} of this zip goes on" in done.stdout
    assert server.count() == 1
    # Judged while nobody watched, but noted: its score is told, at no cost.
    (known,) = (f"{server.address} toys {key}" for key in [_sha256(entry)])
    note.write_text(json.dumps({known: number}))
    done = submit(entry, f"{server.address}/c/toys")
    assert "goes on" in done.stdout
    assert "score" in done.stdout
    assert server.count() == 1
    assert json.loads(note.read_text()) == {}
    # A note of a server that was begun anew is of no use.
    note.write_text(json.dumps({known: 77}))
    judging = server.judge_when_there(2)
    done = submit(entry, f"{server.address}/c/toys")
    judging.join()
    assert "submission 2: " in done.stdout


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_zip_may_be_handed_in_again(server: Server, entry: Path) -> None:
    with Client(Challenge.at(f"{server.address}/c/toys"), server.token) as client:
        client.hand_in(entry, lambda done, total: None)
    judging = server.judge_when_there(2)
    done = submit(entry, f"{server.address}/c/toys", "--again")
    judging.join()
    assert "submission 2: " in done.stdout


def test_an_entry_that_fails_says_why(server: Server, tmp_path: Path) -> None:
    bad = tmp_path / "bad.zip"
    bad.write_bytes(zipped("# bad\nclass Model: pass"))
    judging = server.judge_when_there()
    done = submit(bad, f"{server.address}/c/toys")
    judging.join()
    assert done.exit_code == 2
    assert done.stderr.strip().endswith("sigma68: it is bad")


def test_what_is_refused_is_told_in_a_sentence(
    server: Server, entry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = f"{server.address}/c/toys"
    no_zip = tmp_path / "text.zip"
    no_zip.write_text("text")
    cases = [
        (submit(tmp_path / "none.zip", there), "there is no zip at"),
        (submit(no_zip, there), "text.zip cannot be unzipped"),
        (submit(entry, f"{server.address}/c/none"), "there is no challenge 'none'"),
        (submit(entry, f"{server.address}/x/y"), "is no address of a challenge"),
        (submit(entry, "http://challenge.example/c/toys"), "use https://"),
        (submit(entry, "ftp://challenge.example"), "is no address of a challenge"),
        (submit(entry, there, "--token-file", str(tmp_path / "none")), "no token can be read"),
    ]
    monkeypatch.setenv("SIGMA68_TOKEN", "s68_wrong")
    cases.append((submit(entry, there), "this token is not valid"))
    monkeypatch.delenv("SIGMA68_TOKEN")
    cases.append((submit(entry, there), "make one on the page of your account"))
    for done, sentence in cases:
        assert done.exit_code == 2, done.output
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1
    assert server.count() == 0


def test_the_limit_of_a_day_is_told(server: Server, entry: Path) -> None:
    for _ in range(5):
        server.world.submit("ann")
    done = submit(entry, f"{server.address}/c/toys", "--again")
    assert done.exit_code == 2
    assert "refuses" in done.stderr
    assert "today" in done.stderr or "day" in done.stderr


def test_a_server_that_is_away_is_waited_for(server: Server, entry: Path) -> None:
    said: list[str] = []
    waits: list[float] = []
    with Client(Challenge.at(server.address), server.token) as client:
        number = client.hand_in(entry, lambda done, total: None)["id"]
    server.world.work(trivial_judge)
    gone = Client(
        Challenge.at("http://127.0.0.1:9"),
        server.token,
        say=said.append,
        wait=waits.append,
        patience_s=0.05,
    )
    with gone, pytest.raises(SubmitError, match="cannot be reached"):
        gone.watch(number, lambda found: None)
    assert said
    assert set(waits) == {5.0}
    # Away for a moment only.
    with Client(Challenge.at("http://127.0.0.1:9"), server.token) as moment:
        http = moment._http
        assert http is not None

        def return_at_once(seconds: float) -> None:
            http.base_url = f"{server.address}/api/v1/"

        moment.wait = return_at_once
        assert moment.watch(number, lambda found: None)["status"] == "finished"


def test_a_token_comes_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sigma68.challenge.web.client import read_token

    path = tmp_path / "token"
    path.write_text("s68_abc\n")
    assert read_token(path) == "s68_abc"
    monkeypatch.setenv("SIGMA68_TOKEN", "two words")
    with pytest.raises(SettingsError, match="one word"):
        read_token(None)


def test_an_organiser_s_reason_is_told(server: Server, entry: Path) -> None:
    number = server.world.submit("ann", entry.read_bytes())
    with server.world.store.write() as session:
        by = session.get_one(User, server.world.organiser_id)
        found = views.submission(session, number, by)
        submissions.cancel(session, found, by, "the disk was full", server.world.now)
    with Client(Challenge.at(server.address), server.token) as client:
        found_now = client.watch(number, lambda one: None)
    assert found_now["status"] == "cancelled"
    assert "the disk was full" in found_now["reason"]
