"""A challenge that takes results, over HTTP: from an organiser's settings to a participant's score."""

from __future__ import annotations

import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from sigma68.challenge.queue.worker import Worker
from sigma68.challenge.store.tables import ObservationTruths
from sigma68.challenge.web.client import TOKEN
from sigma68.cli import app
from tests.challenge.web.conftest import START, Site, new_site, serving
from tests.challenge.web.test_api import Program

N = 20
NUISANCES = ["log10_T_AGN", "f0", "Delta_z"]


@dataclass
class Hosted:
    """A server whose challenge `maps` gives 20 maps away, and where it keeps everything."""

    site: Site
    folder: Path
    phase: int

    def work(self) -> int:
        """Score all that waits; nobody's code is ever run."""

        def no_judge(*_: Any, **__: Any) -> list[Any]:
            raise AssertionError("no code is to be run")

        worker = Worker(
            self.site.store,
            no_judge,
            self.folder / "work",
            isolate="trusted",
            clock=lambda: self.site.now,
        )
        return worker.work(until_empty=True)

    def truths(self) -> pd.DataFrame:
        with self.site.store.read() as session:
            key = session.get_one(ObservationTruths, self.phase).file
        with self.site.store.files.local(key) as path:
            return pd.read_parquet(path)


def organised(site: Site, folder: Path) -> int:
    """What an organiser does: the challenge and its phase by the API, observations by the command."""
    root = Program(site, "root", "organiser")
    new = {"slug": "maps", "title": "Maps", "task": "gaussian", "takes": "results"}
    assert "gaussian has no results" in root("POST", "challenges", 422, json=new)["error"]
    made = root("POST", "challenges", 201, json=new | {"task": "lensing"})
    assert made["takes"] == "results"
    phase: dict[str, Any] = {
        "name": "Public phase",
        "opens": START.isoformat(),
        "closes": (START + timedelta(days=10)).isoformat(),
        "sets": N,
        "toys": 100,
        "nuisances": NUISANCES,
    }
    assert "1 toy per set" in root("POST", "challenges/maps/phases", 422, json=phase)["error"]
    opened = root("POST", "challenges/maps/phases", 201, json=phase | {"toys": 1})
    assert opened["observations"] is None
    root("PATCH", "challenges/maps", json={"visible": True})
    root("GET", f"challenges/maps/phases/{opened['id']}/observations", 404)
    where = ["--database", site.store.database_url, "--files", site.store.files_url]
    copied = ["--copy", str(folder / "public")]
    done = CliRunner().invoke(app, ["challenge", "observations", "maps", *where, *copied])
    assert done.exit_code == 0, done.output
    assert f"{N} observations" in done.output
    assert [path.name for path in (folder / "public").iterdir()] == ["phase-1-maps.npz"]
    done = CliRunner().invoke(app, ["challenge", "observations", "maps", *where])
    assert "made already" in done.output
    return int(opened["id"])


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[Hosted]:
    site, web = new_site(tmp_path)
    with serving(web) as address:
        site.address = address
        yield Hosted(site, tmp_path, organised(site, tmp_path))
        site.close()


def zipped(document: Any, name: str = "result.json") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, document if isinstance(document, str) else json.dumps(document))
    return made.getvalue()


def answered(kappa: Any) -> dict[str, Any]:
    """What anybody could answer without a method: the middle of the ranges, and a wide error."""
    return {"means": [[0.35, 0.82]] * len(kappa), "errorbars": [[0.15, 0.08]] * len(kappa)}


def test_from_an_organisers_settings_to_a_score(hosted: Hosted) -> None:
    ann = Program(hosted.site, "ann")
    ann("POST", "challenges/maps/team", 201, json={"name": "Bees"})
    (phase,) = ann("GET", "challenges/maps")["phases"]
    given = phase["observations"]
    assert (given["name"], given["n_observations"]) == ("maps.npz", N)
    path = f"challenges/maps/phases/{phase['id']}/observations"
    answer = ann.http.get(f"/api/v1/{path}")
    assert (answer.status_code, len(answer.content)) == (200, given["n_bytes"])
    assert "maps.npz" in answer.headers["content-disposition"]
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as file:
        assert set(file.files) == {"kappa", "mask"}
        kappa, mask = file["kappa"], file["mask"]
    assert kappa.shape == (N, int(mask.sum()))
    made = ann(
        "POST", "challenges/maps/submissions?name=prior", 201, content=zipped(answered(kappa))
    )
    assert (made["status"], made["total"]) == ("queued", N)
    assert hosted.work() == 1
    found = ann("GET", f"submissions/{made['id']}")
    assert found["status"] == "finished", found["reason"]
    true = hosted.truths()[["Omega_m", "S8"]].to_numpy()
    off2 = (np.array([0.35, 0.82]) - true) ** 2
    s2 = np.array([0.15, 0.08]) ** 2
    expected = -(off2 / s2 + np.log(s2) + 1000 * off2).sum(axis=1).mean()
    result = found["result"]
    assert result["score"] == pytest.approx(expected)
    assert result["score_low"] < result["score"] < result["score_high"]
    details = ann("GET", f"submissions/{made['id']}/details")
    assert set(details["values"]) == {"score", "mse", "r2", "coverage", "n_maps"}
    board = ann("GET", f"challenges/maps/phases/{phase['id']}/leaderboard")
    assert [(row["rank"], row["team"]) for row in board["rows"]] == [(1, "Bees")]
    assert not board["indicative"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no zip", "give a zip with a result.json"),
        (zipped({}, "model.py"), "0 files result.json"),
        (zipped(answered([0] * 3)), "answers for 3 maps, the test set has 20"),
        (zipped({"ood_scores": [1.0] * N}), "has no 'means'"),
        (zipped(json.dumps(answered([0] * N)).replace("0.08", "NaN")), "not finite"),
        (zipped(json.dumps(answered([0] * N)).replace("0.08", "0")), "not positive"),
        (zipped("[" * 5000), "no submission"),
        (zipped("0" * 40_000_000), "at most"),
    ],
)
def test_bad_uploads_are_told_why_and_cost_nothing(
    hosted: Hosted, content: bytes, why: str
) -> None:
    ann = Program(hosted.site, "ann")
    ann("POST", "challenges/maps/team", 201, json={"name": "Bees"})
    told = ann("POST", "challenges/maps/submissions?name=mine", 422, content=content)
    assert why in told["error"]
    assert told["error"].startswith(("mine.zip", "result.json in mine.zip", "'"))
    assert str(hosted.folder) not in told["error"]
    assert "/tmp" not in told["error"]
    left = ann("GET", f"challenges/maps/phases/{hosted.phase}/allowance")
    assert left["today"] == 5
    assert ann("GET", "challenges/maps/submissions") == []


def test_truths_cannot_be_reached(hosted: Hosted) -> None:
    site = hosted.site
    stranger, ann, root = site.visitor(), Program(site, "ann"), Program(site, "olga", "organiser")
    observations = f"challenges/maps/phases/{hosted.phase}/observations"
    assert stranger.http.get(f"/api/v1/{observations}").status_code == 401
    ann("POST", "challenges/maps/team", 201, json={"name": "Bees"})
    made = ann("POST", "challenges/maps/submissions", 201, content=zipped(answered([0] * N)))
    hosted.work()
    with site.store.read() as session:
        hidden = session.get_one(ObservationTruths, hosted.phase).file
    pages = ["", "/data", "/rules", "/leaderboard", f"/leaderboard/{made['id']}"]
    seen = [stranger.get(f"/c/maps{page}").text for page in pages]
    calls = ["challenges/maps", f"submissions/{made['id']}", f"submissions/{made['id']}/details"]
    seen += [json.dumps(caller("GET", call)) for caller in (ann, root) for call in calls]
    seen += [json.dumps(ann("GET", f"submissions/{made['id']}/log"))]
    exported = root.http.get("/api/v1/export")
    with zipfile.ZipFile(io.BytesIO(exported.content)) as archive:
        names = archive.namelist()
        seen += [archive.read(name).decode() for name in names if name.endswith((".json", ".csv"))]
    assert any(name.startswith("files/observations/") for name in names)
    assert not [name for name in names if "truths" in name]
    for value in hosted.truths().to_numpy().ravel():
        assert not [text for text in seen if repr(float(value))[:9] in text]
    for key in (hidden, hidden.removeprefix("truths/")):
        assert not [text for text in seen if key in text]
        for place in (f"/static/{key}", f"/files/{key}", f"/api/v1/{key}", f"/c/maps/{key}"):
            assert stranger.http.get(place).status_code == 404


def test_the_pages_show_it_all(hosted: Hosted) -> None:
    site = hosted.site
    bob = site.person("bob")
    text = bob.get("/c/maps/data").text
    (link,) = re.findall(r'href="(/c/maps/phases/\d+/observations)"', text)
    assert "result.json" in text
    assert "Omega_m (from 0.09 to 0.62)" in text
    assert bob.get(link).headers["content-disposition"].endswith('filename="maps.npz"')
    stranger = site.visitor()
    assert "/sign-in" in str(stranger.get(link).url)
    assert "1000 (m - t)^2" in bob.get("/c/maps/rules").text
    assert "result.json" not in bob.get("/c/maps").text
    bob.post("/c/maps/team/new", {"name": "Bobs"})
    assert "Hand in results" in bob.get("/c/maps/submit").text
    send = f"/c/maps/phases/{hosted.phase}/submit"
    bad = bob.post(send, page="/c/maps/submit", files={"file": ("a.zip", zipped({}))})
    assert bad.status_code == 422
    assert "has no &#39;means&#39;" in bad.text
    good = bob.post(
        send, page="/c/maps/submit", files={"file": ("a.zip", zipped(answered([0] * N)))}
    )
    assert good.status_code == 200, good.text
    hosted.work()
    shown = bob.get("/c/maps/submissions/1").text
    assert "68.27% range" in shown
    assert "mse" in shown
    assert "CPU" not in shown
    mine = bob.get("/c/maps/submissions").text
    assert "1 upload that was no results" in mine
    board = bob.get("/c/maps/leaderboard").text
    assert "Bobs" in board
    assert "resampled observations" in board
    assert "Coverage" not in board
    assert bob.get("/c/maps/leaderboard/1").status_code == 200


def test_an_organiser_makes_one_on_the_pages(hosted: Hosted) -> None:
    olga = hosted.site.person("olga", "organiser")
    fields = {"slug": "more", "title": "More", "task": "lensing", "takes": "results", "source": ""}
    made = olga.post("/admin/challenges/new", fields)
    assert made.status_code == 200
    assert "sigma68 challenge observations more" in made.text
    assert "Limits of an entry" not in made.text
    kept = olga.post("/admin/challenges/more", {"title": "Yet more", "summary": "", "source": ""})
    assert "Yet more" in kept.text
    form = olga.get("/admin/challenges/more/phases/new").text
    assert "Observations" in form
    assert "final: one entry each" not in form
    refused = olga.post("/admin/challenges/new", fields | {"slug": "no", "task": "higgs"})
    assert refused.status_code == 422
    assert "higgs has no results" in refused.text
    edit = olga.get("/admin/challenges/maps").text
    assert "maps.npz" in edit


def test_a_phase_gives_nothing_away_before_it_opens(hosted: Hosted) -> None:
    ann, root = Program(hosted.site, "ann"), Program(hosted.site, "olga", "organiser")
    hosted.site.later(days=-1)
    path = f"/api/v1/challenges/maps/phases/{hosted.phase}/observations"
    # Tokens of tomorrow are none today.
    answers: list[httpx.Response] = [one.http.get(path) for one in (ann, root)]
    assert [answer.status_code for answer in answers] == [409, 200]


def test_submit_hands_results_in(hosted: Hosted, tmp_path: Path) -> None:
    ann = Program(hosted.site, "ann")
    ann("POST", "challenges/maps/team", 201, json={"name": "Bees"})
    path = tmp_path / "mine.zip"
    path.write_bytes(zipped(answered([0] * 3)))
    where = ["submit", str(path), "--to", f"{hosted.site.address}/c/maps"]
    env = {TOKEN: ann.token, "XDG_STATE_HOME": str(tmp_path / "state")}
    done = CliRunner().invoke(app, where, env=env)
    assert done.exit_code == 2
    told = " ".join((done.output + done.stderr).split())
    assert "answers for 3 maps, the test set has 20" in told
    path.write_bytes(zipped(answered([0] * N)))
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.1):
            hosted.work()

    judging = threading.Thread(target=work)
    judging.start()
    try:
        done = CliRunner().invoke(app, where, env=env)
    finally:
        ended.set()
        judging.join()
    assert done.exit_code == 0, done.output
    score = ann("GET", "submissions/1")["result"]["score"]
    assert f"{score:.3f} (" in done.output
    assert "CPU" not in done.output
