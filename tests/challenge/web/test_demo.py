"""What `sigma68 serve --demo` begins with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from sigma68.challenge.judge.plan import Candidate, Verdict
from sigma68.challenge.queue.soundness import faults
from sigma68.challenge.queue.worker import Worker
from sigma68.challenge.rules import accounts, challenges
from sigma68.challenge.rules.leaderboards import leaderboard
from sigma68.challenge.store.stores import open_store
from sigma68.challenge.store.tables import Challenge, Submission
from sigma68.challenge.web.demo import add_demo
from tests.challenge.web.conftest import PASSWORD, START


def judge_nothing(entries: Sequence[Candidate], *_: Any, **__: Any) -> list[Verdict]:
    return [Verdict(one.id, None, None, 0.0, reason="code is not run here") for one in entries]


def test_code_waits_to_be_judged_and_results_to_be_scored(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/challenge.db", str(tmp_path / "files"))
    with store.write() as session:
        accounts.create(session, "root", PASSWORD, START, role="organiser")
    add_demo(store, "root", START)
    with store.read() as session:
        found = {one.slug: one for one in challenges.listing(session)}
        assert [one.takes for one in found.values()] == ["code", "code", "results"]
        assert [one.kind for one in found["weak-lensing"].phases] == ["public"]
        assert len(session.scalars(select(Submission)).all()) == 9
    now = START + timedelta(minutes=1)
    worker = Worker(store, judge_nothing, tmp_path / "work", isolate="trusted", clock=lambda: now)
    assert worker.work(until_empty=True) == 9
    with store.read() as session:
        challenge = session.scalars(select(Challenge).where(Challenge.takes == "results")).one()
        board = leaderboard(session, challenge.phases[0], now)
    assert len(board.rows) == 3
    # An error half as large as it should be is found out.
    assert [row.team for row in board.rows][-1] == "Counting, bold"
    assert board.rows[-1].rank is not None
    assert board.rows[-1].rank > 1
    assert faults(store, now) == []
    store.close()
