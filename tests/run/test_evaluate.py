"""A run from beginning to end: what it writes, what it refuses, what misbehaving methods cost."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from sigma68.errors import NuisanceError, OutputError, SettingsError, Sigma68Error
from sigma68.protocols import KnownBest, Task
from sigma68.run.evaluate import evaluate
from sigma68.run.progress import RunProgress
from sigma68.run.results import read_toys
from sigma68.run.settings import RunSettings, read_settings
from sigma68.run.truth import draw_truth, toy_stream
from sigma68.score.best_widths import read_best_widths
from sigma68.tasks.gaussian.pool import GaussianPool
from sigma68.types import PoolStatistics
from tests.run.conftest import settings_of, table

Run = Callable[..., Path]


def failures(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "failures.jsonl").read_text().splitlines()]


def n_events(task: Task, settings: RunSettings) -> list[int]:
    pool = task.open().scoring
    numbers = []
    for s in range(settings.sets):
        for t in range(settings.toys):
            truth = draw_truth(task, settings.seed, s, t, settings.nuisances)
            stream = toy_stream(task, settings.seed, s, t)
            numbers.append(task.pseudo_experiment(pool, truth, stream).n_events)
    return numbers


def test_files_of_a_run(unbroken: Path) -> None:
    toys = read_toys(unbroken)
    assert list(zip(toys["set"], toys["toy"], strict=True)) == [
        (s, t) for s in range(2) for t in range(6)
    ]
    assert (toys["status"] == "ok").all()
    assert (toys["seconds"] > 0).all()
    assert sorted(p.name for p in unbroken.iterdir()) == [
        "best_widths.json",
        "failures.jsonl",
        "lock",
        "pool.json",
        "provenance.json",
        "settings.json",
        "shards",
        "toys.parquet",
        "workers.log",
    ]
    assert sorted(p.name for p in (unbroken / "shards").iterdir()) == [
        "set-0.parquet",
        "set-1.parquet",
    ]
    assert read_settings(unbroken) == settings_of()
    provenance = json.loads((unbroken / "provenance.json").read_text())
    assert {"python", "numpy", "numba", "sigma68"} <= set(provenance["versions"])
    assert provenance["data_fingerprint"]
    assert provenance["leaves_out"] is None
    assert "b" in json.loads((unbroken / "pool.json").read_text())


def test_the_narrowest_widths_of_every_set_are_kept(
    unbroken: Path, run: Run, task: Task, models: Path
) -> None:
    pool = task.open().scoring
    assert isinstance(pool, KnownBest)
    for folder, sets, varied in (
        (unbroken, 2, ("shift", "bkg_scale")),
        (run("exact", sets=3, toys=1, nuisances=()), 3, ()),
    ):
        kept = read_best_widths(folder)
        assert kept is not None
        assert kept.known == (("shift",) if varied else ())
        for s in range(sets):
            truth = draw_truth(task, 5, s, 0, ()).parameters
            expected = pool.best_widths(truth, varied)
            assert {name: widths[s] for name, widths in kept.widths.items()} == expected
    # They grow with the run, and are written anew where they are missing.
    evaluate(settings_of("exact", sets=4, toys=1, nuisances=()), folder, models=models)
    grown = read_best_widths(folder)
    assert grown is not None
    assert grown.widths["statistics"][:3] == kept.widths["statistics"]
    assert len(grown.widths["statistics"]) == 4


def test_what_a_method_leaves_out_is_kept(run: Run) -> None:
    provenance = json.loads((run("oracle", sets=1, toys=1) / "provenance.json").read_text())
    assert "it takes shift to be off" in provenance["leaves_out"]


def test_a_method_that_reads_no_events_has_no_error_of_templates(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = np.array([[100.0, 1000.0]])
    finite = PoolStatistics(("all",), ("s", "b"), (True, False), sums, sums, 1100)
    monkeypatch.setattr(GaussianPool, "statistics", lambda self: finite)
    templates = {}
    for method in ("exact", "oracle", "counting"):
        settings = settings_of(method, sets=1, toys=1)
        folder = evaluate(settings, tmp_path / method, models=models)
        templates[method] = json.loads((folder / "pool.json").read_text())["r_template"]
    assert templates == {"exact": None, "oracle": None, "counting": pytest.approx(1.0)}


def test_truth_in_the_table_is_the_drawn_one(unbroken: Path, task: Task) -> None:
    for row in read_toys(unbroken).itertuples():
        truth = draw_truth(task, 5, row.set, row.toy, ("shift", "bkg_scale"))
        assert row.mu == truth.parameters["mu"]
        assert row.shift == truth.nuisances["shift"]
        assert row.bkg_scale == truth.nuisances["bkg_scale"]


@pytest.mark.parametrize("workers", [2, 3])
def test_number_of_workers_changes_nothing(unbroken: Path, run: Run, workers: int) -> None:
    assert_frame_equal(table(run(workers=workers)), table(unbroken), check_exact=True)


def test_seed_and_nuisances_change_the_toys(unbroken: Path, run: Run) -> None:
    toys = table(run(seed=6, nuisances=("shift",)))
    assert (toys["bkg_scale"] == 1.0).all()
    assert (toys["mu_hat"] != table(unbroken)["mu_hat"]).all()


def test_a_finished_run_is_left_as_it_is(unbroken: Path, models: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in unbroken.rglob("*") if p.is_file()}
    evaluate(settings_of(), unbroken, workers=2, models=models)
    assert {p: p.stat().st_mtime_ns for p in unbroken.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    "name",
    ["toys.parquet", "pool.json", "best_widths.json", "failures.jsonl", "provenance.json"],
)
def test_what_was_removed_from_a_finished_run_is_made_again(
    name: str, run: Run, models: Path
) -> None:
    folder = run("counting", sets=1, toys=2)
    whole = read_toys(folder)
    before = (folder / name).read_bytes()
    (folder / name).unlink()
    evaluate(settings_of(sets=1, toys=2), folder, models=models)
    assert (folder / name).read_bytes() == before
    assert_frame_equal(read_toys(folder), whole, check_exact=True)  # seconds too: nothing was run


def test_a_run_can_grow(run: Run, tmp_path: Path, models: Path) -> None:
    small = run(sets=1, toys=4)
    first = table(small)
    (small / "score.json").write_text("{}")
    grown = evaluate(settings_of(sets=2, toys=6), small, models=models)
    assert not (grown / "score.json").exists()
    whole = evaluate(settings_of(sets=2, toys=6), tmp_path / "whole", models=models)
    assert_frame_equal(table(grown), table(whole), check_exact=True)
    assert_frame_equal(table(grown).iloc[:4], first, check_exact=True)
    assert read_settings(grown) == settings_of(sets=2, toys=6)


def test_epsilon_may_change_afterwards(run: Run, models: Path) -> None:
    folder = run()
    evaluate(settings_of(epsilon=0.001), folder, models=models)
    settings = read_settings(folder)
    assert settings is not None
    assert settings.epsilon == 0.001


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 9}, "seed=5, not 9"),
        ({"nuisances": ()}, "nuisances="),
        ({"toys": 3}, "toys=6, more than the 3"),
        ({"sets": 1}, "sets=2, more than the 1"),
        ({"split_seed": 1}, "split_seed=0, not 1"),
        ({"method_settings": {"max_train_rows": 10}}, "method_settings="),
    ],
)
def test_other_settings_are_refused(
    unbroken: Path, models: Path, change: dict[str, object], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        evaluate(settings_of(**change), unbroken, models=models)
    assert read_settings(unbroken) == settings_of()


def test_another_method_is_refused(unbroken: Path, models: Path) -> None:
    with pytest.raises(SettingsError, match="method='counting', not 'exact'"):
        evaluate(settings_of("exact"), unbroken, models=models)


def test_changed_data_is_refused(run: Run, models: Path) -> None:
    folder = run(sets=1)
    path = folder / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data_fingerprint": "another"}))
    with pytest.raises(SettingsError, match="made from other data"):
        evaluate(settings_of(), folder, models=models)


def test_what_is_refused_changes_nothing(run: Run, models: Path) -> None:
    folder = run(sets=1, toys=2)
    (folder / "provenance.json").write_text(
        json.dumps(json.loads((folder / "provenance.json").read_text()) | {"data_fingerprint": "x"})
    )
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(SettingsError, match="other data"):
        evaluate(settings_of(sets=1, toys=3), folder, models=models)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_toys_without_settings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "toys.parquet").write_bytes(b"")
    with pytest.raises(SettingsError, match="holds toys but no settings"):
        evaluate(settings_of(), tmp_path)


def test_a_run_that_ended_before_its_first_toy_binds_nobody(tmp_path: Path, models: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Sigma68Error):
        evaluate(settings_of(data="misspelt"), out, models=models)
    assert not (out / "toys.parquet").exists()
    (out / "provenance.json").write_text('{"data_fingerprint": "of other data"}')
    evaluate(settings_of(sets=1, toys=2), out, models=models)
    assert read_settings(out) == settings_of(sets=1, toys=2)
    assert len(read_toys(out)) == 2


def test_scratch_folders_of_killed_runs_go_and_those_in_use_stay(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("killed", "at-work"):
        (tmp_path / f"sigma68-run-{name}").mkdir()
        (tmp_path / f"sigma68-run-{name}" / "in-use").touch()
    descriptor = os.open(tmp_path / "sigma68-run-at-work", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    evaluate(settings_of(sets=1, toys=2), tmp_path / "another-run", models=models)
    os.close(descriptor)
    assert [path.name for path in tmp_path.glob("sigma68-*")] == ["sigma68-run-at-work"]


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="another run is writing"):
            evaluate(settings_of(), tmp_path)
    assert not (tmp_path / "settings.json").exists()


def test_unknown_names_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(NuisanceError, match="'tes'"):
        evaluate(settings_of(nuisances=("tes",)), tmp_path / "run")
    with pytest.raises(SettingsError, match="there is no method"):
        evaluate(settings_of("nonsense"), tmp_path / "run")
    with pytest.raises(SettingsError, match="workers must be 1 or more"):
        evaluate(settings_of(), tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        evaluate(settings_of(), tmp_path / "file" / "run")


def test_progress_counts_every_toy(tmp_path: Path, models: Path) -> None:
    seen: list[RunProgress] = []
    evaluate(settings_of(), tmp_path / "run", models=models, progress=seen.append)
    toys = [p for p in seen if p.stage == "toys"]
    assert [p.done for p in toys] == list(range(13))
    assert {p.total for p in toys} == {12}
    assert all(p.rate > 0 for p in toys[1:])


@pytest.mark.usefixtures("trouble")
class TestMisbehavingMethods:
    def test_exceptions_cost_their_toy(self, run: Run, task: Task) -> None:
        folder = run("raising", workers=2)
        expected = ["failed" if n % 2 else "ok" for n in n_events(task, settings_of())]
        toys = read_toys(folder)
        assert set(expected) == {"failed", "ok"}
        assert list(toys["status"]) == expected
        bad = toys["status"] == "failed"
        assert toys.loc[bad, ["mu_hat", "delta_mu_hat", "p16", "p84"]].isna().all(axis=None)
        assert toys.loc[~bad].notna().all(axis=None)
        messages = {str(f["message"]) for f in failures(folder)}
        assert messages <= {"no minimum\nwas found", "ZeroDivisionError: one over none"}
        assert len(failures(folder)) == bad.sum()

    def test_answers_that_are_none(self, run: Run, task: Task) -> None:
        numbers = n_events(task, settings_of(toys=12))
        expected = {0: "invalid", 1: "invalid", 2: "invalid", 3: "failed", 4: "invalid", 5: "ok"}
        toys = read_toys(run("odd", toys=12))
        assert {n % 6 for n in numbers} == set(expected)
        assert list(toys["status"]) == [expected[n % 6] for n in numbers]
        assert (toys.loc[toys["status"] == "ok", "p84"] == 2.0).all()

    def test_printing_does_not_disturb(self, run: Run) -> None:
        folder = run("talking")
        assert (read_toys(folder)["status"] == "ok").all()
        log = (folder / "workers.log").read_bytes()
        assert log.count(b"straight to the descriptor") == 12

    def test_a_hang_is_stopped(self, run: Run, task: Task) -> None:
        expected = ["ok" if n % 3 else "timeout" for n in n_events(task, settings_of(sets=1))]
        assert set(expected) == {"timeout", "ok"}
        toys = read_toys(run("hanging", sets=1, workers=3, predict_seconds=0.2))
        assert list(toys["status"]) == expected
        assert (toys.loc[toys["status"] == "timeout", "seconds"] >= 0.2).all()

    def test_a_slow_answer_counts_as_none(self, run: Run) -> None:
        settings = {"method_settings": {"pause": 0.1}, "predict_seconds": 0.05}
        toys = read_toys(run("sized", sets=1, toys=2, **settings))
        assert list(toys["status"]) == ["timeout", "timeout"]
        assert toys["mu_hat"].isna().all()

    def test_a_death_is_recorded_and_the_run_goes_on(self, run: Run, task: Task) -> None:
        expected = ["ok" if n % 3 else "crashed" for n in n_events(task, settings_of(sets=1))]
        assert set(expected) == {"crashed", "ok"}
        folder = run("dying", sets=1, workers=2)
        toys = read_toys(folder)
        assert list(toys["status"]) == expected
        assert np.isfinite(toys["mu"]).all()
        assert {f["message"] for f in failures(folder)} == {
            "the worker was killed by SIGKILL: farewell"
        }

    def test_a_toy_that_died_once_is_tried_again(self, run: Run, tmp_path: Path) -> None:
        marker = {"marker": str(tmp_path / "died")}
        toys = read_toys(run("dying", sets=1, workers=2, method_settings=marker))
        assert (toys["status"] == "ok").all()
        assert list(tmp_path.glob("died-*"))

    def test_workers_that_never_come_up(self, run: Run) -> None:
        with pytest.raises(Sigma68Error, match=r"no worker comes up .*ended with status 7"):
            run("exhausting")
