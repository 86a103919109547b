"""Judging entries on common toys: verdicts, replays, going on after a stop or a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest

from sigma68.challenge.judge import judge as module
from sigma68.challenge.judge.judge import judge
from sigma68.challenge.judge.plan import Candidate, JudgingStopped, Plan, Verdict
from sigma68.challenge.sandbox import probe
from sigma68.errors import DataError, IsolationError, NuisanceError, SettingsError
from sigma68.run.truth import draw_truth
from sigma68.tasks.gaussian.task import Gaussian
from tests.challenge.conftest import GOOD

SEED = 2**255 + 424242
PLAN = Plan(
    "gaussian", 3, 4, SEED, nuisances=("shift",), isolate="trusted", replay=6, fit_seconds=60.0
)

REMEMBERS = GOOD.replace(
    "        mu = len", "        self.k = getattr(self, 'k', 0.0) + 0.1\n        mu = self.k + len"
)
BY_CHANCE = GOOD.replace(
    "        mu = len", "        import os\n        mu = os.urandom(1)[0] / 50 + len"
)
UNFIT = GOOD.replace("        self.n = ", "        print('almost')\n        self.n = 1 / 0 + ")
SOMETIMES = GOOD.replace(
    "        mu = len",
    "        if float(test_set['data'].iloc[0, 0]) > 0:\n"
    "            raise ValueError('not this one')\n        mu = len",
)


@dataclass
class Judged:
    """What came out of one judging of several candidates."""

    folder: Path
    verdicts: dict[str, Verdict]
    progress: list[tuple[int, int]]
    log: list[tuple[str, str]]
    candidates: list[Candidate]


def _entry(folder: Path, source: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(source)
    return folder


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    place = tmp_path_factory.mktemp("judge")
    sources = {
        "good": GOOD,
        "remembers": REMEMBERS,
        "by-chance": BY_CHANCE,
        "unfit": UNFIT,
        "sometimes": SOMETIMES,
    }
    candidates = [Candidate(n, _entry(place / "entries" / n, s)) for n, s in sources.items()]
    candidates.append(Candidate("nothing", place / "nowhere"))
    progress: list[tuple[int, int]] = []
    log: list[tuple[str, str]] = []
    verdicts = judge(
        candidates,
        PLAN,
        folder=place / "out",
        workers=2,
        progress=lambda done, total: progress.append((done, total)),
        log=lambda id, text: log.append((id, text)),
    )
    assert [v.id for v in verdicts] == [c.id for c in candidates]
    return Judged(place / "out", {v.id: v for v in verdicts}, progress, log, candidates)


def _toys(verdict: Verdict) -> pd.DataFrame:
    assert verdict.toys is not None
    return pd.read_parquet(verdict.toys).drop(columns="seconds")


def test_all_candidates_see_the_same_toys(judged: Judged) -> None:
    task = Gaussian()
    good = _toys(judged.verdicts["good"])
    expected = [draw_truth(task, SEED, s, t, PLAN.nuisances) for s in range(3) for t in range(4)]
    assert list(good["mu"]) == [truth.parameters["mu"] for truth in expected]
    assert list(good["shift"]) == [truth.nuisances["shift"] for truth in expected]
    for id in ("remembers", "by-chance", "sometimes"):
        other = _toys(judged.verdicts[id])
        assert list(other["mu"]) == list(good["mu"])
        assert list(other["shift"]) == list(good["shift"])


def test_a_sound_entry_has_a_score_and_no_flags(judged: Judged) -> None:
    good = judged.verdicts["good"]
    assert good.reason is None
    assert good.flags == ()
    assert good.failures == {}
    assert good.score is not None
    assert good.score["n_toys"] == 12
    assert good.score["status"] == {"ok": 12}
    assert "fit took" in good.log_tail
    # Two lanes and a replay have started it three times.
    assert 0.1 < good.cpu_seconds < 100
    assert good.energy_joules is not None
    assert good.energy_joules > 0


def test_memory_between_toys_and_chance_are_told_apart(judged: Judged) -> None:
    assert judged.verdicts["remembers"].flags == ("order_dependent",)
    assert judged.verdicts["by-chance"].flags == ("not_repeatable",)


def test_who_cannot_be_judged_is_told_why(judged: Judged) -> None:
    unfit, nothing = judged.verdicts["unfit"], judged.verdicts["nothing"]
    assert unfit.reason == (
        "unfit: fit failed: ZeroDivisionError: division by zero (model.py, line 10, in fit)"
    )
    assert "almost" in unfit.log_tail
    assert "1 / 0" in unfit.log_tail
    assert unfit.score is None
    assert unfit.toys is None
    assert unfit.cpu_seconds > 0
    assert nothing.reason is not None
    assert "there is no entry at" in nothing.reason


def test_failed_toys_count_and_are_explained(judged: Judged) -> None:
    verdict = judged.verdicts["sometimes"]
    toys = _toys(verdict)
    failed = int((toys["status"] == "failed").sum())
    assert failed > 0
    assert dict(verdict.failures) == {"failed": failed}
    assert "not this one" in verdict.log_tail


def test_progress_ends_where_all_is_done(judged: Judged) -> None:
    done = [n for n, _ in judged.progress]
    assert done == sorted(done)
    assert {total for _, total in judged.progress} == {6 * (12 + 6)}
    assert {id for id, _ in judged.log} == set(judged.verdicts)


def test_the_secret_seed_is_in_no_file(judged: Judged) -> None:
    for path in judged.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert str(SEED).encode() not in content, path
            assert f"{SEED:x}".encode() not in content, path


def test_what_is_judged_is_not_judged_again(
    judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_entry", None)
    again = judge(judged.candidates, PLAN, folder=judged.folder)
    assert again == list(judged.verdicts.values())


def test_a_folder_is_of_one_plan(judged: Judged) -> None:
    with pytest.raises(SettingsError, match="another seed_fingerprint"):
        judge(judged.candidates, replace(PLAN, seed=SEED + 1), folder=judged.folder)
    with pytest.raises(SettingsError, match="another toys"):
        judge(judged.candidates, replace(PLAN, toys=3), folder=judged.folder)


def test_a_damaged_verdict_is_said_to_be_damaged(tmp_path: Path) -> None:
    (tmp_path / "out" / "good").mkdir(parents=True)
    (tmp_path / "out" / "good" / "verdict.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        judge([Candidate("good", tmp_path)], PLAN, folder=tmp_path / "out")


def test_a_stopped_judging_goes_on_and_asks_nothing_twice(judged: Judged, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    source = GOOD.replace(
        "        mu = len", f"        open({str(asked)!r}, 'a').write('x')\n        mu = len"
    )
    candidates = [
        Candidate("good", judged.candidates[0].path),
        Candidate("counts", _entry(tmp_path / "counts", source)),
    ]
    plan = replace(PLAN, replay=0)
    done: list[int] = []
    with pytest.raises(JudgingStopped):
        judge(
            candidates,
            plan,
            folder=tmp_path / "out",
            progress=lambda n, _: done.append(n),
            stop=lambda: len(done) >= 4,
        )
    assert not list((tmp_path / "out").rglob("verdict.json"))
    kept = len(list((tmp_path / "out" / "counts").rglob("toy-*.json")))
    before = asked.stat().st_size
    # One toy at a time: at most the last answer was not yet taken down.
    assert 0 < kept <= before
    good, counts = judge(candidates, plan, folder=tmp_path / "out", at_once=1)
    assert asked.stat().st_size - before == plan.n_toys - kept
    pd.testing.assert_frame_equal(_toys(good), _toys(judged.verdicts["good"]))
    pd.testing.assert_frame_equal(_toys(counts), _toys(good))


def test_a_stop_ends_a_long_fit_at_once(tmp_path: Path) -> None:
    endless = GOOD.replace(
        "        self.n = ", "        import time\n        time.sleep(600)\n        self.n = "
    )
    begin = time.monotonic()
    with pytest.raises(JudgingStopped):
        judge(
            [Candidate("endless", _entry(tmp_path / "endless", endless))],
            replace(PLAN, fit_seconds=900.0),
            folder=tmp_path / "out",
            workers=2,
            stop=lambda: time.monotonic() > begin + 3,
        )
    assert time.monotonic() < begin + 30
    assert not list((tmp_path / "out").rglob("verdict.json"))


def test_a_killed_judging_goes_on(judged: Judged, tmp_path: Path) -> None:
    slow = GOOD.replace(
        "        mu = len", "        import time\n        time.sleep(0.2)\n        mu = len"
    )
    entry = _entry(tmp_path / "slow", slow)
    lines = f"""
from pathlib import Path
from sigma68.challenge.judge.judge import judge
from sigma68.challenge.judge.plan import Candidate, Plan
plan = Plan("gaussian", 3, 4, {SEED}, nuisances=("shift",), isolate="trusted", replay=6,
            fit_seconds=60.0)
judge([Candidate("slow", Path({str(entry)!r}))], plan, folder=Path({str(tmp_path / "out")!r}))
"""
    with subprocess.Popen([sys.executable, "-c", lines]) as process:
        deadline = time.monotonic() + 60
        while len(list((tmp_path / "out").rglob("toy-*.json"))) < 2:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    (verdict,) = judge([Candidate("slow", entry)], PLAN, folder=tmp_path / "out")
    pd.testing.assert_frame_equal(_toys(verdict), _toys(judged.verdicts["good"]))
    assert verdict.flags == ()


def test_another_entry_in_a_folder_that_was_begun_is_refused(
    judged: Judged, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(JudgingStopped):
        judge(judged.candidates[:1], PLAN, folder=out, stop=lambda: True)
    with pytest.raises(SettingsError, match="toys of another entry"):
        judge([Candidate("good", judged.candidates[1].path)], PLAN, folder=out)


def test_strangers_are_refused_where_no_sandbox_can_be_made(
    judged: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "probe", lambda: "it has no walls")
    with pytest.raises(IsolationError, match=r"it has no walls.*--trusted"):
        judge(judged.candidates, replace(PLAN, isolate="sandbox"), folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_settings_that_make_no_sense_are_refused(judged: Judged, tmp_path: Path) -> None:
    good = judged.candidates[0]
    with pytest.raises(SettingsError, match="two candidates are called 'good'"):
        judge([good, good], PLAN, folder=tmp_path)
    with pytest.raises(SettingsError, match="workers and at_once"):
        judge([good], PLAN, folder=tmp_path, workers=0)
    with pytest.raises(NuisanceError, match="'tes'"):
        judge([good], replace(PLAN, nuisances=("tes",)), folder=tmp_path)
