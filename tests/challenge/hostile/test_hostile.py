"""Hostile entries are contained, their authors told why, and an honest one notices nothing.

Each test judges one kind of them together with the honest entry, which comes last.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest

import sigma68
from sigma68.challenge.judge.judge import judge
from sigma68.challenge.judge.plan import Candidate, Plan, Verdict
from tests.challenge.hostile.models import ENDLESS, GREEDY, HONEST, LYING, PRYING, Hostile
from tests.challenge.hostile.packs import PACKS
from tests.requirements_of_machine import need

SEED = 2**255 + 0x5EED

PLAN = Plan(
    task="gaussian",
    sets=1,
    toys=1,
    seed=SEED,
    predict_seconds=1.0,
    fit_seconds=60.0,
    memory_bytes=320 << 20,
    max_processes=24,
    disk_bytes=16 << 20,
    replay=0,
    isolate="sandbox",
)

JudgeAll = Callable[[Mapping[str, Hostile]], dict[str, Verdict]]


def _name(what: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", what).strip("-")


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    entry = tmp_path_factory.mktemp("entries") / "honest"
    entry.mkdir()
    (entry / "model.py").write_text(HONEST)
    return entry


@pytest.fixture(scope="module")
def alone(honest: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The toys of the honest entry, judged by itself."""
    need("bwrap")
    (verdict,) = judge([Candidate("alone", honest)], PLAN, folder=tmp_path_factory.mktemp("alone"))
    return _toys(verdict)


@pytest.fixture
def judge_all(honest: Path, alone: pd.DataFrame, tmp_path: Path) -> JudgeAll:
    """Judges hostile entries and then the honest one, which must not notice them."""

    def run(hostile: Mapping[str, Hostile]) -> dict[str, Verdict]:
        candidates = []
        for what, entry in hostile.items():
            folder = tmp_path / "entries" / _name(what)
            folder.mkdir(parents=True)
            (folder / "model.py").write_text(entry.model)
            for name, content in entry.files.items():
                (folder / name).write_bytes(content)
            candidates.append(Candidate(_name(what), folder))
        return _judged(candidates, honest, alone, tmp_path / "judging")

    return run


def _judged(
    candidates: list[Candidate], honest: Path, alone: pd.DataFrame, folder: Path
) -> dict[str, Verdict]:
    everybody = [*candidates, Candidate("honest", honest)]
    verdicts = judge(everybody, PLAN, folder=folder, at_once=len(everybody))
    *_, last = verdicts
    pd.testing.assert_frame_equal(_toys(last), alone)
    assert last.flags == ()
    assert last.failures == {}
    return {verdict.id: verdict for verdict in verdicts}


def _toys(verdict: Verdict) -> pd.DataFrame:
    assert verdict.toys is not None
    return pd.read_parquet(verdict.toys).drop(columns="seconds")


def _check(what: str, hostile: Hostile, verdict: Verdict) -> None:
    """What the author is told is what was meant, and fit to be shown."""
    told = verdict.reason or verdict.log_tail
    assert re.search(hostile.words, told), f"{what}: {told}"
    assert all(c.isprintable() or c == "\n" for c in verdict.log_tail)
    assert len(verdict.log_tail) <= 8000
    assert str(SEED) not in verdict.log_tail
    if hostile.status is None:
        assert verdict.reason is not None, what
        assert verdict.score is None
        return
    assert verdict.reason is None, f"{what}: {verdict.reason}"
    assert set(verdict.failures) <= {*hostile.status.split("|")}, f"{what}: {verdict.log_tail}"
    if hostile.status != "ok|failed":
        assert sum(verdict.failures.values()) == (0 if hostile.status == "ok" else PLAN.n_toys)
    assert verdict.score is not None


def test_entries_that_take_too_much(judge_all: JudgeAll) -> None:
    verdicts = judge_all(GREEDY)
    for what, hostile in GREEDY.items():
        _check(what, hostile, verdicts[_name(what)])


def test_entries_that_do_not_end_or_end_too_early(judge_all: JudgeAll) -> None:
    verdicts = judge_all(ENDLESS)
    for what, hostile in ENDLESS.items():
        _check(what, hostile, verdicts[_name(what)])
    assert verdicts["busy-loop"].cpu_seconds > 0.5


def test_entries_that_lie(judge_all: JudgeAll) -> None:
    verdicts = judge_all(LYING)
    for what, hostile in LYING.items():
        _check(what, hostile, verdicts[_name(what)])
        assert not Path("/entry/owned").exists()


def test_entries_that_pry(
    judge_all: JudgeAll, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGMA68_TEST_SECRET", "seed-of-the-judge")
    package = Path(sigma68.__file__).parent
    paths = [
        tmp_path / "judging",
        tmp_path,
        package / "tasks" / "higgs" / "embedded" / "events.parquet",
        package / "tasks" / "higgs" / "emulate" / "weights.npz",
        package.parents[1] / ".git" / "HEAD",
        Path.home() / ".cache",
        Path("/etc/shadow"),
        Path("/var/lib"),
    ]
    if os.geteuid() == 0:  # else the sandbox's own first process is the entry's user's
        paths += [Path("/proc/1/environ"), Path("/proc/1/root/etc")]
    local = f"@sigma68-hostile-{os.getpid()}"
    with socket.socket() as server, socket.socket(socket.AF_UNIX) as listener:
        server.bind(("127.0.0.1", 0))
        server.listen()
        listener.bind(local.replace("@", "\0"))
        listener.listen()
        tokens = {
            "__PORT__": str(server.getsockname()[1]),
            "__LOCAL__": local,
            "__PID__": str(os.getpid()),
            "__PATHS__": repr([str(path) for path in paths]),
        }
        filled = {}
        for what, hostile in PRYING.items():
            text = hostile.model
            for token, value in tokens.items():
                text = text.replace(token, value)
            filled[what] = Hostile(text, hostile.status, hostile.words, hostile.files)
        verdicts = judge_all(filled)
    for what, hostile in filled.items():
        _check(what, hostile, verdicts[_name(what)])
        assert "GOT" not in verdicts[_name(what)].log_tail.replace('"GOT', ""), what
    truth = _toys(verdicts["honest"])["mu"]
    assert not any(repr(mu) in verdict.log_tail for mu in truth for verdict in verdicts.values())


def test_archives(honest: Path, alone: pd.DataFrame, tmp_path: Path) -> None:
    packs = tmp_path / "packs"
    packs.mkdir()
    candidates = [Candidate(_name(what), make(packs)) for what, (make, _) in PACKS.items()]
    verdicts = _judged(candidates, honest, alone, tmp_path / "judging")
    for what, (_, reason) in PACKS.items():
        verdict = verdicts[_name(what)]
        if reason is None:
            assert verdict.reason is None
            pd.testing.assert_frame_equal(_toys(verdict), alone)
        else:
            assert verdict.reason is not None, what
            assert re.search(reason, verdict.reason), f"{what}: {verdict.reason}"
            assert verdict.cpu_seconds == 0
    assert not list(tmp_path.parent.rglob("escaped*"))
    assert not Path("/etc/cron.d/escaped").exists()


def test_a_loop_at_import_ends_with_the_time_for_fit(tmp_path: Path, honest: Path) -> None:
    need("bwrap")
    entry = tmp_path / "loop"
    entry.mkdir()
    (entry / "model.py").write_text("while True:\n    pass\n")
    from dataclasses import replace

    plan = replace(PLAN, fit_seconds=1.0)
    (verdict,) = judge([Candidate("loop", entry)], plan, folder=tmp_path / "judging")
    assert verdict.reason is not None
    assert re.search(r"loading model\.py took longer than 1 s", verdict.reason)
    assert verdict.score is None
