"""Every verb from outside: what it prints, what it writes, how it ends."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from benchmarks.events import made_events
from typer.main import get_command
from typer.testing import CliRunner, Result

from sigma68 import __version__
from sigma68.cli import app, console
from sigma68.report.data import DataSummary, ScoredEvents
from sigma68.run.progress import RunProgress
from sigma68.types import Observation

VERBS = tuple(get_command(app).commands)
OURS = tuple(verb for verb in VERBS if verb not in ("entry", "data", "challenge"))


def sigma68(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="sigma68")


def sentence(result: Result) -> str:
    """The one sentence of a command that ended with exit code 2."""
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("sigma68: ")
    assert result.stdout == ""
    return lines[0]


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "made.parquet"
    made_events(4000, seed=1).to_parquet(path, row_group_size=1500)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "exact-run"
    result = sigma68(
        *[
            "run",
            "exact",
            "--task",
            "gaussian",
            "--sets",
            "2",
            "--toys",
            "3",
            "--seed",
            "5",
            "--workers",
            "1",
            "--nuisances",
            "none",
            "--out",
        ],
        out,
    )
    assert result.exit_code == 0, result.output
    return out


def test_all_verbs_of_the_specification_are_there() -> None:
    assert set(VERBS) == {
        *("run", "score", "fit", "compare", "methods", "tasks", "bias", "toys", "simulate"),
        *("data", "entry", "challenge", "serve", "submit", "train", "worker"),
    }


@pytest.mark.parametrize(
    "words",
    [*[(verb,) for verb in OURS], ("data", "plot"), ("data", "describe"), ("data", "merge")],
)
def test_help_teaches_with_an_example(words: tuple[str, ...]) -> None:
    result = sigma68(*words, "--help")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert "For example" in text
    assert text.count(f"sigma68 {' '.join(words)}") >= 2  # in the usage and in an example


def test_version() -> None:
    assert sigma68("--version").stdout == f"sigma68 {__version__}\n"


def test_help_answers_at_once_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['sigma68', '--help']\n"
        "from sigma68.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('numpy', 'pandas', 'pyarrow', 'numba', 'scipy', 'matplotlib', 'rich')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Processor time, which a busy machine does not stretch.
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.stdout.splitlines()[-1] == b"[]"
    assert min(seconds) < 0.3


def test_methods_and_tasks_are_listed() -> None:
    listed = sigma68("methods").stdout
    assert all(name in listed for name in ("exact", "counting", "bdt"))
    listed = sigma68("tasks").stdout
    assert all(name in listed for name in ("gaussian", "higgs"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run exact", "--out FOLDER"),
        ("run --out {tmp}/r", "either a METHOD"),
        ("run exact --entry x.zip --out {tmp}/r", "either a METHOD"),
        (
            "run exakt --out {tmp}/r",
            "no method called 'exakt'; there are: ",
        ),
        ("run exact --task nowhere --out {tmp}/r", "no task called 'nowhere'"),
        ("run exact --task gaussian --nuisances tes --out {tmp}/r", "tes"),
        ("run exact --task gaussian --sets 0 --out {tmp}/r", "sets must be 1 or more"),
        ("run exact --task gaussian --epsilon -1 --out {tmp}/r", "epsilon"),
        ("run exact --task gaussian --out {tmp}/file", "{tmp}/file"),
        ("run exact --data {events} --out {tmp}/r", "'exact' cannot do the task 'higgs'"),
        ("run counting --data {tmp}/nothing --out {tmp}/r", "{tmp}/nothing does not exist"),
        ("run --entry {tmp}/nothing --task gaussian --out {tmp}/r", "{tmp}/nothing"),
        ("score {tmp}", "holds no run"),
        ("compare {tmp}", "holds no run"),
        ("bias {tmp}/nothing {tmp}/out.parquet", "{tmp}/nothing does not exist"),
        ("bias {events} {tmp}/out.parquet --tes 1.2", "tes = 1.2 is outside its range"),
        ("bias {events} {tmp}/out.parquet --soft-met nan", "soft_met = nan is outside its range"),
        ("bias {events} {tmp}/file", "{tmp}/file exists"),
        ("bias {events} {tmp}", "{tmp} is a folder"),
        ("bias {events} {tmp}/no/out.parquet", "{tmp}/no/out.parquet cannot be written"),
        ("bias {events} {events} --force", "is the input itself"),
        ("bias {tmp}/file {tmp}/out.parquet", "{tmp}/file cannot be read as Parquet"),
        ("toys --data {events} --jes 2 --out {tmp}/t", "jes = 2 is outside its range"),
        ("toys --data {events} --pool best --out {tmp}/t", "there is no pool 'best'"),
        ("data describe {tmp}/nothing", "{tmp}/nothing does not exist"),
        ("data plot {events} --method exact --out {tmp}/d", "exact"),
    ],
)
def test_bad_input_is_one_sentence(words: str, said: str, tmp_path: Path, events: Path) -> None:
    (tmp_path / "file").write_text("not Parquet, not a folder")
    names = {"tmp": str(tmp_path), "events": str(events)}
    before = sorted(tmp_path.iterdir())
    result = sigma68(*(word.format(**names) for word in words.split()))
    assert said.format(**names) in sentence(result)
    assert list(tmp_path.rglob("*.parquet")) == []
    assert before[0] in tmp_path.iterdir()


def test_an_unwritable_folder_is_said(tmp_path: Path, events: Path) -> None:
    result = sigma68("data", "plot", events, "--out", "/proc/no-such-place")
    assert "/proc/no-such-place cannot be written" in sentence(result)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space", "x.parquet"),
            2,
            "cannot write x.parquet: the disk is f",
        ),
        (PermissionError(errno.EACCES, "no", "y"), 2, "cannot write y: permission denied"),
        (KeyboardInterrupt(), 130, "stopped; run the same command again to go on"),
        (MemoryError("for 8 TiB"), 2, "there is not enough memory (for 8 TiB): ask for less"),
    ],
)
def test_what_ends_a_command(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr("sigma68.discover.summaries", fail)
    result = sigma68("methods")
    assert result.exit_code == code
    assert result.stderr.startswith(f"sigma68: {said}")
    assert "Traceback" not in result.stderr
    assert "Traceback" in sigma68("--debug", "methods").stderr


def test_a_bug_is_not_disguised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("sigma68.discover.summaries", fail)
    assert isinstance(sigma68("methods").exception, ZeroDivisionError)


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", "from sigma68.cli import main; main()", "methods"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_run_writes_toys_score_and_report(finished: Path) -> None:
    toys = pd.read_parquet(finished / "toys.parquet")
    assert len(toys) == 6
    assert (toys["shift"] == 0).all()
    score = json.loads((finished / "score.json").read_text())
    assert score["n_toys"] == 6
    assert score["settings"]["seed"] == 5
    assert (finished / "report.html").stat().st_size > 10_000


def test_a_finished_run_is_found_finished_and_other_settings_are_refused(finished: Path) -> None:
    words = [
        "run",
        "exact",
        "--task",
        "gaussian",
        "--sets",
        "2",
        "--toys",
        "3",
        "--workers",
        "1",
        "--nuisances",
        "none",
        "--out",
    ]
    before = (finished / "toys.parquet").read_bytes()
    again = sigma68(*words, finished, "--seed", 5)
    assert again.exit_code == 0
    assert "6 toys, 0 without a valid answer" in again.stdout
    assert f"report: {finished / 'report.html'}" in again.stdout
    assert (finished / "toys.parquet").read_bytes() == before
    assert "seed=5, not 6" in sentence(sigma68(*words, finished, "--seed", 6))


def test_score_takes_another_epsilon(finished: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished, tmp_path / "copy")
    result = sigma68("score", copy, "--epsilon", "0.001")
    assert result.exit_code == 0
    assert "epsilon 0.001" in result.stdout
    old, new = (json.loads((f / "score.json").read_text()) for f in (finished, copy))
    assert new["epsilon"] == 0.001
    assert new["quantiles_score"] > old["quantiles_score"]


def test_score_writes_the_challenges_files(finished: Path, tmp_path: Path) -> None:
    result = sigma68("score", finished, "--challenge-files", tmp_path / "theirs")
    assert result.exit_code == 0
    written = sorted(path.name for path in (tmp_path / "theirs").iterdir())
    toys = pd.read_parquet(finished / "toys.parquet")
    expected = [f"result_{n}.json" for n in sorted(toys["set"].unique())]
    assert written == [*expected, "scores.json", "test_settings.json"]
    first = json.loads((tmp_path / "theirs" / "result_0.json").read_text())
    assert first["p16"] == toys.loc[toys["set"] == 0, "p16"].to_list()


def test_compare_ranks_and_says_who_is_tied(finished: Path, tmp_path: Path) -> None:
    wide = shutil.copytree(finished, tmp_path / "wide")
    toys = pd.read_parquet(wide / "toys.parquet")
    toys["p84"] += 50.0
    toys.to_parquet(wide / "toys.parquet")
    twin = shutil.copytree(finished, tmp_path / "twin")
    result = sigma68("compare", wide, finished, twin, "--out", tmp_path / "ranking")
    assert result.exit_code == 0, result.output
    lines = [
        line.split()[:2] for line in result.stdout.splitlines() if "-run" in line or "w" in line
    ]
    assert ["1", "exact-run"] in lines
    assert "exact-run = twin" in result.stdout
    assert f"comparison: {tmp_path / 'ranking/comparison.html'}" in result.stdout
    document = json.loads((tmp_path / "ranking/comparison.json").read_text())
    assert document["entries"][-1]["name"] == "wide"


def test_compare_states_the_groups_of_fewer_sets_beside_its_own(
    finished: Path, tmp_path: Path
) -> None:
    twin = shutil.copytree(finished, tmp_path / "twin")
    words = ("compare", finished, twin, "--sets-drawn", "1", "--out", tmp_path / "ranking")
    result = sigma68(*words)
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    assert "Resampling 1 of" in said
    assert "1. exact-run = twin" in said
    document = json.loads((tmp_path / "ranking/comparison.json").read_text())
    assert document["organisers"]["sets_drawn"] == 1
    assert document["sets_drawn"] == document["n_sets"] > 1


def test_compare_states_no_error_where_none_is_known() -> None:
    from sigma68.cli.compare import _cells
    from sigma68.score.ranking import rank
    from tests.score.made_toys import MU, made_toys

    for sets, stated in ((1, False), (20, True)):
        (entry,) = rank({"run": made_toys(sets, 50)}, MU).entries
        assert any("±" in cell for cell in _cells(entry, False)) is stated


def test_bias_writes_what_it_says_and_refuses_to_overwrite(tmp_path: Path, events: Path) -> None:
    out = tmp_path / "out.parquet"
    options = [
        "--tes",
        "1.02",
        "--jes",
        "0.99",
        "--soft-met",
        "1.5",
        "--ttbar-scale",
        "1.1",
        "--seed",
        "7",
    ]
    result = sigma68("bias", events, out, *options)
    assert result.exit_code == 0, result.output
    biased = pd.read_parquet(out)
    assert f"{len(biased):,} events of 4,000 pass" in result.stdout
    assert biased.shape[1] == 31
    assert biased["PRI_had_pt"].min() >= 26
    first = out.read_bytes()
    assert "--force to overwrite" in sentence(sigma68("bias", events, out, *options))
    assert sigma68("bias", events, out, *options, "--force").exit_code == 0
    assert out.read_bytes() == first


def test_toys_hold_features_only_and_their_truth_lies_apart(tmp_path: Path, events: Path) -> None:
    out = tmp_path / "toys"
    words = ("toys", "--data", events, "--mu", 1.3, "--tes", 1.01, "--count", 2, "--out", out)
    assert sigma68(*words, "--seed", 1).exit_code == 0
    assert sorted(p.name for p in out.iterdir()) == [
        "toy_0.parquet",
        "toy_1.parquet",
        "truth.json",
    ]
    names = pq.read_schema(out / "toy_0.parquet").names
    assert len(names) == 28
    assert not {"weights", "labels", "detailed_labels"} & set(names)
    truth = json.loads((out / "truth.json").read_text())
    assert (truth["mu"], truth["tes"], truth["jes"], truth["seed"]) == (1.3, 1.01, 1.0, 1)
    one, two = (pd.read_parquet(out / f"toy_{n}.parquet") for n in (0, 1))
    assert not one.head(50).equals(two.head(50))
    assert "holds toys already" in sentence(sigma68(*words))
    before = (out / "toy_0.parquet").read_bytes()
    assert sigma68(*words, "--seed", 1, "--force").exit_code == 0
    assert (out / "toy_0.parquet").read_bytes() == before


def test_describe_counts_what_is_there(events: Path) -> None:
    text = sigma68("data", "describe", events).stdout
    frame = pd.read_parquet(events)
    assert "4,000 rows" in text
    for name, rows in frame["detailed_labels"].value_counts().items():
        (line,) = (x for x in text.splitlines() if x.split()[:1] == [name])
        assert line.split()[1] == f"{rows:,}"
    assert all(pool in text for pool in ("train", "calibration", "scoring", "final"))
    assert max(map(len, text.splitlines())) > 80  # not broken to fit a terminal that is not there


def test_plot_draws_the_file_and_the_score_of_a_trained_method(
    tmp_path: Path, events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Scorer:
        def scores(self, observation: Observation) -> np.ndarray:
            return observation["PRI_had_pt"].astype(float)

    seen = {}

    def write(summary: DataSummary, out: Path, *, scored: ScoredEvents, progress: object) -> Path:
        seen.update(summary=summary, scored=scored)
        return out / "index.html"

    monkeypatch.setattr("sigma68.run.models.trained", lambda name, task, pools, progress: Scorer())
    # Drawing all of it takes half a minute and is tested with the figures.
    monkeypatch.setattr("sigma68.report.data.write_data_report", write)
    result = sigma68("data", "plot", events, "--method", "bdt", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert f"figures of 4,000 events: {tmp_path / 'index.html'}" in result.stdout
    summary, scored = seen["summary"], seen["scored"]
    assert set(summary.shifted) == {
        *("tes = 1.01", "tes = 0.99", "jes = 1.01", "jes = 0.99"),
        *("soft_met = 2.72", "soft_met = 0.368"),
    }
    names = [summary.source.features[i].name for i in summary.affected()]
    assert {"PRI_had_pt", "PRI_met", "PRI_jet_leading_pt", "DER_mass_vis"} <= set(names)
    assert scored.method == "bdt"
    np.testing.assert_array_equal(scored.scores, scored.events.values[3])


def test_plain_progress_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_PLAIN_INTERVAL_S", 0.0)
    with console.run_bar("exact on gaussian") as report:
        report(RunProgress("training: trees", 40, 100))
        report(RunProgress("toys", 30, 100, failed=2, rate=5.0))
    with console.steps("biasing") as step:
        step("", 0.5)
    assert capsys.readouterr().err.splitlines() == [
        "exact on gaussian: training: trees 40/100",
        "exact on gaussian: toys 30/100 2 failed, 5 toys/s, 0:00:14 left",
        "biasing: 50%",
    ]


def test_tables_set_numbers_flush_right(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table(("name", "n"), [("a", "1"), ("b", "1,000")])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[-2].endswith("    1")
    assert lines[-1].endswith("1,000")
