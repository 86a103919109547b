"""A challenge goes out as a bundle, its programs work, and it comes back as it was."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session

from sigma68.challenge.exchange import ingest, scoring
from sigma68.challenge.exchange.bundle_read import open_bundle
from sigma68.challenge.exchange.from_bundle import import_bundle
from sigma68.challenge.exchange.phase_settings import PhaseSettings
from sigma68.challenge.exchange.to_bundle import export_bundle
from sigma68.challenge.new import new_entry
from sigma68.challenge.rules.refusals import ForbiddenError
from sigma68.challenge.store.stores import Store
from sigma68.challenge.store.tables import Challenge, Page, Phase, PhaseSecret
from sigma68.errors import ExchangeError
from sigma68.report import sections
from tests.challenge.exchange.bundles import PNG, small, write_folder, write_zip
from tests.challenge.exchange.conftest import AWKWARD, NOW

IMAGE = "example/sigma68:1"


def challenge_of(store: Store, slug: str) -> Challenge:
    with store.read() as session:
        found = session.scalars(select(Challenge).where(Challenge.slug == slug)).one()
        assert found.pages is not None
        assert [phase.challenge.id for phase in found.phases] == [found.id] * len(found.phases)
        return found


def _higgs(session: Session) -> Challenge:
    return session.scalars(select(Challenge).where(Challenge.slug == "higgs-uncertainty")).one()


def columns(row: Challenge | Page | Phase, *left_out: str) -> dict[str, object]:
    names = [column.name for column in row.__table__.columns]
    return {name: getattr(row, name) for name in names if name not in {"id", *left_out}}


def test_a_challenge_comes_back_from_a_bundle_as_it_was(full_store: Store, tmp_path: Path) -> None:
    slug = "higgs-uncertainty"
    logo = tmp_path / "logo"
    logo.write_bytes(PNG)
    full_store.files.put("logos/one.png", logo)
    with full_store.write() as session:
        made = _higgs(session)
        made.logo, made.summary, made.source = "logos/one.png", AWKWARD, "standard:1"
        made.phases[0].closes = made.phases[1].opens
        made.phases[0].updates, made.phases[1].parts = "daily", 3
    path = export_bundle(full_store, slug, tmp_path / "out.zip", image=IMAGE)
    imported = import_bundle(full_store, path, NOW, by="Olga")
    assert imported.slug == f"{slug}-2"
    assert imported.notes == ()
    before, after = (challenge_of(full_store, name) for name in (slug, imported.slug))
    own = ("slug", "created", "visible", "bundle", "logo")
    assert columns(after, *own) == columns(before, *own)
    assert not after.visible
    assert after.bundle["docker_image"] == IMAGE
    assert after.logo is not None
    with full_store.files.local(after.logo) as picture:
        assert picture.read_bytes() == PNG
    pages = [{page.slug: (page.title, page.text) for page in c.pages} for c in (before, after)]
    assert pages[0] == pages[1]
    tied = ("challenge_id", "draws_from", "version")
    assert [columns(p, *tied) for p in after.phases] == [columns(p, *tied) for p in before.phases]
    assert after.phases[1].draws_from == after.phases[0].id


def test_no_seed_of_the_server_is_in_a_bundle(full_store: Store, tmp_path: Path) -> None:
    with full_store.read() as session:
        seeds = session.scalars(select(PhaseSecret.seed)).all()
    path = export_bundle(full_store, "higgs-uncertainty", tmp_path / "out.zip", image=IMAGE)
    folder = open_bundle(path, tmp_path / "work").root.folder
    held = [p for p in folder.rglob("*") if p.is_file()]
    assert not [p for p in held if any(seed.encode() in p.read_bytes() for seed in seeds)]
    assert path.stat().st_mode & 0o077 == 0
    # The final's toys are the same for all: its program holds a seed, the public one none.
    assert [p.parent.name for p in held if p.name == "seed.txt"] == ["ingestion_program_1"]


def test_the_phases_are_codabenchs(full_store: Store, tmp_path: Path) -> None:
    path = export_bundle(full_store, "higgs-uncertainty", tmp_path / "out.zip", image=IMAGE)
    told = open_bundle(path, tmp_path / "work").challenge
    public, final = told.phases
    assert (public.max_submissions, public.max_submissions_per_day) == (100, 5)
    assert not public.auto_migrate_to_this_phase
    assert public.hide_prediction_output
    assert final.auto_migrate_to_this_phase
    assert final.hide_output
    assert final.hide_score_output
    assert final.max_submissions == 1
    assert final.execution_time_limit > 4 * 100 * 20
    assert told.enable_detailed_results
    assert [p.title for p in told.pages] == ["Rules"]


def test_the_programs_of_a_bundle_judge_a_submission(
    full_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with full_store.write() as session:
        for phase in session.scalars(select(Phase)):
            phase.sets, phase.toys, phase.hidden = 2, 3, False
    path = export_bundle(full_store, "higgs-uncertainty", tmp_path / "out.zip", image=IMAGE)
    bundle = open_bundle(path, tmp_path / "work")
    task = bundle.challenge.task(1)
    assert task.ingestion_program is not None
    program = bundle.root.folder / task.ingestion_program
    assert (program / "seed.txt").exists()
    entry = new_entry("entry", tmp_path)
    with (entry / "model.py").open("a") as model:
        model.write(SPY.format(seed=str(program / "seed.txt")))
    container = {
        "/app/ingested_program": entry,
        "/app/output": tmp_path / "app" / "output",
        "/app/input": tmp_path / "app" / "input",
    }
    # What a submission leaves among the results is swept away.
    (tmp_path / "app/output/run").mkdir(parents=True)
    (tmp_path / "app/output/result_7.json").write_text("{}")
    run_program(program, container)
    shutil.move(tmp_path / "app/output", tmp_path / "app/input/res")
    names = {path.name for path in (tmp_path / "app/input/res").iterdir()}
    assert names == {
        *("result_0.json", "result_1.json", "test_settings.json", "ingestion_duration.json"),
        "toys.parquet",
    }
    program = bundle.root.folder / task.scoring_program
    # In this process, and with one figure: drawing takes its time, and is tested elsewhere.
    draw = sections.report_figures
    monkeypatch.setattr(sections, "report_figures", lambda *told: islice(draw(*told), 1))
    monkeypatch.setattr(sys, "argv", command_of(program, container)[1:])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(program / "scoring.py"), run_name="__main__")
    assert ended.value.code == 0
    scores = json.loads((tmp_path / "app/output/scores.json").read_text())
    keys = {column.key for column in bundle.challenge.leaderboards[0].columns}
    assert keys <= set(scores)
    page = (tmp_path / "app/output/detailed_results.html").read_text()
    assert "6 toys in 2 sets" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    # A phase that hides its scores shows nothing here either.
    settings = PhaseSettings.from_text((program / "settings.json").read_text(), "here")
    hidden = replace(settings, server={"hidden": True})
    assert scoring.score(hidden, tmp_path / "app/input/res", tmp_path / "quiet") == scores
    page = (tmp_path / "quiet/detailed_results.html").read_text()
    assert "when it has ended" in page
    assert "toys" not in page


SPY = """
import os

assert not os.path.exists({seed!r})
for name in ("mem", "maps", "environ"):
    try:
        open(f"/proc/{{os.getppid()}}/{{name}}", "rb").read(1)
    except OSError:
        continue
    raise SystemExit(f"the program's {{name}} can be read")
"""


def powerless() -> list[str]:
    """What takes root's capabilities away, as a container does."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0:
        return []
    assert setpriv is not None, "root without util-linux"
    none = [f"--{kind}=-all" for kind in ("bounding-set", "inh-caps", "ambient-caps")]
    return [setpriv, *none, "--no-new-privs"]


def command_of(program: Path, container: dict[str, Path]) -> list[str]:
    """The command of a program, as Codabench gives it, with other folders."""
    command = yaml.safe_load((program / "metadata.yaml").read_text())["command"]
    words = [str(container.get(word, word)) for word in command.split()]
    assert words[0] == "python3"
    return [sys.executable, *words[1:]]


def run_program(program: Path, container: dict[str, Path]) -> None:
    done = subprocess.run(
        [*powerless(), *command_of(program, container)],
        cwd=program,
        # Without bubblewrap, as containers are: the submission runs beside the program.
        env={**os.environ, "PATH": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_a_submission_that_cannot_be_judged_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "_hide", lambda: None)
    settings = PhaseSettings("gaussian", 1, 2)
    (tmp_path / "settings.json").write_text(settings.to_text())
    (tmp_path / "entry").mkdir()
    assert ingest.main(tmp_path, tmp_path / "entry", tmp_path / "out") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["failure.json"]
    assert scoring.main(tmp_path, tmp_path / "out", tmp_path / "scored") == 1
    with pytest.raises(Exception, match=r"has no model\.py"):
        scoring.score(settings, tmp_path / "out", tmp_path / "scored")
    assert not (tmp_path / "scored" / "scores.json").exists()


def test_a_challenge_without_pages_or_logo_can_go(full_store: Store, tmp_path: Path) -> None:
    with full_store.write() as session:
        made = _higgs(session)
        made.pages.clear()
    path = export_bundle(full_store, "higgs-uncertainty", tmp_path / "out.zip", image=IMAGE)
    told = open_bundle(path, tmp_path / "work").challenge
    assert told.image == "logo.png"
    assert [page.title for page in told.pages] == ["Overview"]
    assert told.terms is not None
    assert told.terms.content


def test_what_cannot_go_is_refused(full_store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out.zip"
    with pytest.raises(ExchangeError, match="no challenge 'nothing'"):
        export_bundle(full_store, "nothing", out, image=IMAGE)
    with pytest.raises(ExchangeError, match="maps takes results"):
        export_bundle(full_store, "maps", out, image=IMAGE)
    with pytest.raises(ExchangeError, match="name an image"):
        export_bundle(full_store, "higgs-uncertainty", out)
    with full_store.write() as session:
        _higgs(session).source = str(tmp_path)
    with pytest.raises(ExchangeError, match="a container has not got"):
        export_bundle(full_store, "higgs-uncertainty", out, image=IMAGE)
    export_bundle(full_store, "higgs-uncertainty", out, image=IMAGE, source="/data/events.parquet")
    # Their place in a container means nothing here.
    notes = import_bundle(full_store, out, NOW, by="Olga").notes
    assert any("no name of a source" in note for note in notes)


def test_somebody_elses_bundle_becomes_a_challenge(full_store: Store, tmp_path: Path) -> None:
    imported = import_bundle(
        full_store, write_zip(tmp_path / "b.zip"), NOW, by="Olga", task="gaussian", slug="mine"
    )
    made = challenge_of(full_store, "mine")
    assert made.title == "Compute something"
    assert made.task == "gaussian"
    assert {page.slug for page in made.pages} == {"overview", "terms"}
    overview = next(page for page in made.pages if page.slug == "overview")
    assert overview.text == "# Overview\n\n\u00b5 <script>alert(1)</script>"
    public, final = made.phases
    assert (public.kind, final.kind) == ("public", "final")
    assert public.opens == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert final.closes == datetime(2026, 3, 2, tzinfo=UTC) + timedelta(days=3650)
    assert (public.sets, public.toys) == (10, 100)
    said = " ".join(imported.notes)
    assert "programs are not run" in said
    assert "has no end" in said
    assert "all nuisances do" in said


COMMAND = (
    b"command: python3 run.py --systematics-shift --systematics-bkg-scale "
    b"--num-pseudo-experiments 50 --num-of-sets=7 --parallel\n"
)


def test_switches_of_a_program_tell_task_nuisances_and_toys(
    full_store: Store, tmp_path: Path
) -> None:
    command = {"ingestion_program/metadata.yaml": COMMAND}
    folder = write_folder(tmp_path / "bundle", small(), **command)
    imported = import_bundle(full_store, folder, NOW, by="Olga")
    made = challenge_of(full_store, imported.slug)
    # No other task here has both.
    assert made.task == "gaussian"
    assert {(p.sets, p.toys, tuple(p.nuisances)) for p in made.phases} == {
        (7, 50, ("shift", "bkg_scale"))
    }


def test_pages_in_html_become_text(full_store: Store, tmp_path: Path) -> None:
    document = small()
    document["pages"][0]["file"] = "pages/overview.html"
    html = b"<h1>Hi</h1><p>There <b>you</b> are<script>alert(1)</script></p>"
    folder = write_folder(tmp_path / "bundle", document, **{"pages/overview.html": html})
    import_bundle(full_store, folder, NOW, by="Olga", task="gaussian", slug="mine")
    pages = {page.slug: page.text for page in challenge_of(full_store, "mine").pages}
    assert pages["overview"] == "# Hi\n\nThere **you** are"


def test_a_bundle_that_does_not_tell_its_task_needs_one(full_store: Store, tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="which task"):
        import_bundle(full_store, write_zip(tmp_path / "b.zip"), NOW, by="Olga")
    with pytest.raises(ExchangeError, match="no user 'Nobody'"):
        import_bundle(full_store, write_zip(tmp_path / "b.zip"), NOW, by="Nobody")
    with pytest.raises(ForbiddenError):
        import_bundle(full_store, write_zip(tmp_path / "b.zip"), NOW, by="Ann", task="gaussian")


def test_a_container_needs_no_server(tmp_path: Path) -> None:
    code = (
        "import sys, sigma68.challenge.exchange.ingest, sigma68.challenge.exchange.scoring; "
        "print({'sqlalchemy', 'yaml', 'fastapi'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_settings_of_a_program_are_checked() -> None:
    settings = PhaseSettings("gaussian", 2, 3, "name", ("shift",), 0.02, server={"slug": "x"})
    assert PhaseSettings.from_text(settings.to_text(), "here") == settings
    good = json.loads(settings.to_text())
    for change, words in (
        ({"format": "other"}, "not of the form"),
        ({"sets": 0}, "sets must be 1 to"),
        ({"sets": 10**7}, "more than 10,000,000 toys"),
        ({"nuisances": "shift"}, "must be a list of names"),
        ({"pool": "train"}, "pool must be"),
        ({"epsilon": -1}, "epsilon must be a positive number"),
        ({"epsilon": "1"}, "epsilon must be a number"),
        ({"predict_seconds": float("inf")}, "must be a positive number"),
    ):
        with pytest.raises(ExchangeError, match=words):
            PhaseSettings.from_text(json.dumps(good | change), "here")
    with pytest.raises(ExchangeError, match="is not JSON"):
        PhaseSettings.from_text("{", "here")
