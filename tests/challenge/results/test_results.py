"""Observations are given away, results come back and are scored; truths stay where they are."""

from __future__ import annotations

import json
import math
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import delete, select

from sigma68.challenge.exchange.export import export_all
from sigma68.challenge.exchange.restore import import_all
from sigma68.challenge.queue.soundness import faults
from sigma68.challenge.results.make import make_observations
from sigma68.challenge.rules import challenges, observations, phases, submissions
from sigma68.challenge.rules.refusals import ConflictError, QuotaError, RefusedError
from sigma68.challenge.store.stores import open_store
from sigma68.challenge.store.tables import (
    Challenge,
    FailedUpload,
    LogLine,
    Observations,
    ObservationTruths,
    Phase,
    Result,
    Submission,
    User,
)
from sigma68.errors import DataError, EntryError
from sigma68.tasks.lensing.published import published_maps
from sigma68.tasks.lensing.scores import estimate_score
from tests.challenge.results.conftest import NUISANCES, N, answers, furnished, results, truths
from tests.challenge.server_world import CLOSES, OPENS, World, zipped


def no_judge(*_: Any, **__: Any) -> list[Any]:
    raise AssertionError("no code is to be run")


def result_of(world: World, submission_id: int) -> Result:
    with world.store.read() as session:
        found = session.get_one(Result, submission_id)
        assert found.document
        assert found.sums
        return found


def keys(world: World) -> tuple[str, str]:
    """Of what is given away, and of the truths."""
    with world.store.read() as session:
        given = session.get_one(Observations, world.public_id).file
        return given, session.get_one(ObservationTruths, world.public_id).file


def test_what_is_given_away_holds_no_truth(maps: World) -> None:
    given, hidden = keys(maps)
    with maps.store.files.local(given) as path:
        found, mask = published_maps(path)
        with np.load(path, allow_pickle=False) as file:
            assert sorted(file.files) == ["kappa", "mask"]
    assert (len(found), found[0].values.size) == (N, int(mask.sum()))
    table = truths(maps)
    assert set(table.columns) == {"Omega_m", "S8", *NUISANCES}
    # Every map has a truth of its own, nuisances included.
    assert len(table) == N == len(set(table["Omega_m"])) == len(set(table["f0"]))
    with maps.store.files.local(hidden) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_results_are_scored_as_the_task_scores_them(maps: World) -> None:
    good, poor = maps.submit("ann", answers(maps)), maps.submit("bob", answers(maps, off=0.3))
    assert maps.work(no_judge) == 2
    assert [maps.status(one) for one in (good, poor)] == ["finished", "finished"]
    found = result_of(maps, good)
    true = truths(maps)[["Omega_m", "S8"]].to_numpy()
    assert found.score == pytest.approx(estimate_score(true, np.full_like(true, 0.1), true))
    # Without any distance to the truth all maps have the same score.
    assert found.score_low == pytest.approx(found.score) == found.score_high
    assert (found.n_toys, found.n_failed, found.cpu_seconds, found.ranked) == (N, 0, 0.0, True)
    assert found.document["values"]["mse"] == pytest.approx(0, abs=1e-30)
    assert found.document["per_set"] == []
    with maps.store.files.local(found.toys) as path:
        assert set(pd.read_parquet(path).columns) == {
            *("observation", "Omega_m_hat", "S8_hat", "delta_Omega_m_hat", "delta_S8_hat"),
        }
    board = maps.board()
    assert [row.team for row in board.rows] == ["team ann", "team bob"]
    assert [row.rank for row in board.rows] == [1, 2]
    assert not board.indicative
    assert board.hidden is None
    assert faults(maps.store, maps.now) == []


def test_errors_come_from_maps_and_ties_from_common_ones(maps: World) -> None:
    true = truths(maps)[["Omega_m", "S8"]].to_numpy()
    draw = np.random.default_rng(5)
    noise = draw.normal(0, 0.1, true.shape)
    # Nearer the truth for every other map, farther for the others.
    wiggle = 1e-3 * np.sign(noise) * np.where(np.arange(N) % 2, 1, -1)[:, None]
    one = maps.submit("ann", results(true + noise, np.full_like(true, 0.1)))
    other = maps.submit("bob", results(true + noise + wiggle, np.full_like(true, 0.1)))
    worse = maps.submit("cyd", results(true + 3 * noise, np.full_like(true, 0.1)))
    maps.work(no_judge)
    found = result_of(maps, one)
    # The error of a mean of N maps.
    off2 = noise**2
    each = -(off2 / 0.01 + math.log(0.01) + 1000 * off2).sum(axis=1)
    assert found.score == pytest.approx(each.mean())
    assert found.score_low is not None
    assert found.score_high is not None
    width = (found.score_high - found.score_low) / 2
    assert width == pytest.approx(each.std() / math.sqrt(N), rel=0.25)
    places = {row.submission_id: row.rank for row in maps.board().rows}
    assert places[one] == places[other] == 1
    assert places[worse] == 2


def test_bad_results_are_failed_uploads(maps: World) -> None:
    with pytest.raises(EntryError, match="answers for 3 maps, the test set has 20"):
        maps.submit("ann", results(np.ones((3, 2)), np.ones((3, 2))))
    bad = np.full((N, 2), 0.3)
    bad[7, 1] = np.nan
    with pytest.raises(
        EntryError, match=r"ann\.zip has a number that is not finite.*row 7"
    ) as told:
        maps.submit("ann", results(bad, np.ones((N, 2))))
    # Nothing about where it lies on the server.
    assert str(maps.folder) not in str(told.value)
    with pytest.raises(EntryError, match="0 files"):
        maps.submit("ann", zipped())
    with maps.store.read() as session:
        assert len(session.scalars(select(FailedUpload)).all()) == 3
        assert session.scalars(select(Submission)).all() == []
        team, phase = maps.team("ann"), session.get_one(Phase, maps.public_id)
        left = submissions.allowance(session, phase, team, maps.now)
    assert (left.today, left.failed_uploads, left.reason) == (5, 3, None)
    for _ in range(17):
        with pytest.raises(EntryError):
            maps.submit("ann", b"no zip")
    with pytest.raises(QuotaError, match="were no results today"):
        maps.submit("ann", answers(maps))


def test_nothing_is_handed_in_before_the_observations_are_made(tmp_path: Path) -> None:
    world = furnished(tmp_path)
    with pytest.raises(ConflictError, match="have not been made yet"):
        world.submit("ann", results(np.ones((N, 2)), np.ones((N, 2))))
    other = _code_phase(world)
    with pytest.raises(ConflictError, match="takes code"):
        make_observations(world.store, other, world.now)
    world.store.close()


def _code_phase(world: World) -> int:
    with world.store.write() as session:
        by = session.get_one(User, world.organiser_id)
        made = challenges.create(session, "code", "Code", "gaussian", world.now, by=by)
        settings = phases.PhaseSettings("Public", OPENS, CLOSES)
        return phases.add(session, made, settings, by=by, now=world.now).id


def test_who_may_have_the_observations_when(maps: World) -> None:
    before = OPENS - timedelta(hours=1)
    with maps.store.read() as session:
        phase = session.get_one(Phase, maps.public_id)
        organiser = session.get_one(User, maps.organiser_id)
        assert observations.given_away(session, phase, None, OPENS).n_observations == N
        assert observations.given_away(session, phase, organiser, before).n_observations == N
        with pytest.raises(ConflictError, match="opens at"):
            observations.given_away(session, phase, None, before)


def test_settings_that_do_not_go_with_results_are_refused(maps: World) -> None:
    with maps.store.write() as session:
        by = session.get_one(User, maps.organiser_id)
        with pytest.raises(RefusedError, match="gaussian has no results"):
            challenges.create(
                session, "other", "Other", "gaussian", maps.now, by=by, takes="results"
            )
        with pytest.raises(RefusedError, match="code or results"):
            challenges.create(session, "other", "Other", "lensing", maps.now, by=by, takes="pie")  # type: ignore[arg-type]
        challenge = session.get_one(Challenge, maps.challenge_id)
        for changed, why in (
            ({"toys": 2}, "1 toy per set"),
            ({"sets": 19}, "at least 20"),
            ({"kind": "final", "draws_from": maps.public_id}, "hidden until it closes"),
        ):
            asked = {"sets": N, "toys": 1, **changed}
            settings = phases.PhaseSettings("New", OPENS, CLOSES, **asked)  # type: ignore[arg-type]
            with pytest.raises(RefusedError, match=why):
                phases.add(session, challenge, settings, by=by, now=maps.now)
        phase = session.get_one(Phase, maps.public_id)
        with pytest.raises(ConflictError, match=r"sets cannot change any more.*observations"):
            phases.edit(
                session,
                phase,
                phases.PhaseSettings("Public", OPENS, CLOSES, sets=30, toys=1, nuisances=NUISANCES),
                by=by,
                now=maps.now,
            )


def test_truths_are_in_no_export_and_come_back_from_the_seed(maps: World, tmp_path: Path) -> None:
    number = maps.submit("ann", answers(maps, off=0.01))
    maps.work(no_judge)
    hidden, table = keys(maps)[1], truths(maps)
    out = tmp_path / "export"
    manifest = export_all(maps.store, out, maps.now, secrets=True)
    assert not [name for name in manifest.files if "truth" in name]
    assert "observation_truths" not in manifest.tables
    assert keys(maps)[0] in manifest.stored
    assert hidden not in manifest.stored
    exact = repr(float(table["Omega_m"][0]))
    for path in out.rglob("*.json"):
        assert exact not in path.read_text()
    elsewhere = open_store(f"sqlite:///{tmp_path}/b.db", str(tmp_path / "b"))
    import_all(elsewhere, out)
    made = make_observations(elsewhere, maps.public_id, maps.now)
    assert not made.is_new
    other = World(tmp_path, elsewhere, public_id=maps.public_id)
    pd.testing.assert_frame_equal(truths(other), table)
    assert result_of(other, number).score == result_of(maps, number).score
    with pytest.raises(ConflictError, match="made already"):
        make_observations(elsewhere, maps.public_id, maps.now)
    elsewhere.close()


def test_truths_that_do_not_go_with_what_was_given_away_are_not_kept(maps: World) -> None:
    maps.submit("ann", answers(maps))
    with maps.store.write() as session:
        session.execute(delete(ObservationTruths))
        session.get_one(Observations, maps.public_id).sha256 = "0" * 64
    with pytest.raises(DataError, match="not what the phase gave away"):
        make_observations(maps.store, maps.public_id, maps.now)
    # A server's trouble is not the team's: the job is tried again.
    assert maps.worker(no_judge).do_one()
    assert maps.status(1) == "queued"


def test_files_of_observations_are_kept_and_looked_at(maps: World) -> None:
    later = maps.now + timedelta(days=3650)
    assert maps.store.sweep(later) == []
    hidden = keys(maps)[1]
    with maps.store.files.local(hidden) as path:
        path.write_bytes(b"other")
    assert faults(maps.store, maps.now) == [f"the file {hidden} is not the one that was stored"]
    # Nobody's results are to blame: the job waits for another try, and says why.
    number = maps.submit("ann", results(np.full((N, 2), 0.5), np.full((N, 2), 0.1)))
    told: list[str] = []
    assert maps.worker(no_judge, say=told.append).do_one()
    assert maps.status(number) == "queued"
    assert [line for line in told if "truths of this phase cannot be read" in line]
    assert not [line for line in told if Path(hidden).name in line]


def test_results_that_were_cancelled_get_no_score(maps: World) -> None:
    number = maps.submit("ann", answers(maps))
    with maps.store.write() as session:
        by = session.get_one(User, maps.organiser_id)
        submissions.cancel(session, session.get_one(Submission, number), by, "asked", maps.now)
    assert maps.work(no_judge) == 0
    assert maps.status(number) == "cancelled"


def test_nothing_of_a_truth_is_told(maps: World) -> None:
    number = maps.submit("ann", answers(maps, off=0.01))
    maps.work(no_judge)
    found = result_of(maps, number)
    with maps.store.read() as session:
        log = [line.text for line in session.scalars(select(LogLine))]
    told = json.dumps([found.document, log, found.failures, found.flags])
    for value in truths(maps).to_numpy().ravel():
        assert repr(float(value))[:8] not in told
