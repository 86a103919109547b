"""`sigma68 data validate` from outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sigma68.cli import app
from tests.tasks.higgs.validation.made_files import halves, shared_out, write


def sigma68(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="sigma68")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("events")
    tested, reference = halves(8000, 41)
    reference = reference[reference["detailed_labels"] == "ztautau"]
    return write(tested, folder / "simulated.parquet"), write(reference, folder / "real.parquet")


def test_it_prints_tables_and_verdicts_and_writes_the_numbers(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "report"
    words = ["data", "validate", files[0], "--against", files[1], "--out", out]
    done = sigma68(*words, "--parts", "yields, distributions,response")
    assert done.exit_code == 0, done.output
    text = done.stdout
    for title in ("Yields at 10 fb^-1", "hard events counted once", "least alike of", "Responses"):
        assert title in text
    assert "MISSES  yields: " in text
    assert "passes  distributions: none of " in text
    assert f"report: {out / 'index.html'}" in text
    document = json.loads((out / "validation.json").read_text())
    assert document["parts"] == ["yields", "distributions", "response"]
    assert (out / "index.html").is_file()
    assert (out / "figures/yields.pdf").is_file()


def test_strict_ends_with_1_if_something_misses(files: tuple[Path, Path], tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    words = ["data", "validate", files[0], "--against", files[1], "--out", tmp_path / "r"]
    words += ["--parts", "yields", "--yields", table, "--strict"]
    table.write_text("region,ztautau\ninclusive,1002395\n")
    assert sigma68(*words).exit_code == 0
    table.write_text("region,ztautau\ninclusive,500000\n")
    done = sigma68(*words)
    assert done.exit_code == 1
    assert "0 of 1 yields are within their tolerance" in done.stdout
    assert (tmp_path / "r/index.html").is_file()
    assert sigma68(*words[:-1]).exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("{s}", "--against", "{tmp}/none"), "{tmp}/none does not exist"),
        (("{tmp}/none", "--against", "{r}"), "{tmp}/none does not exist"),
        (("{tmp}", "--against", "{r}"), "sigma68 data merge"),
        (("{s}", "--against", "{r}", "--parts", "all"), "choose among yields"),
        (("{s}", "--against", "{r}", "--yields", "{tmp}/t.json"), "{tmp}/t.json cannot be read"),
    ],
)
def test_bad_input_is_one_sentence(
    words: tuple[str, ...], said: str, files: tuple[Path, Path], tmp_path: Path
) -> None:
    names = {"s": str(files[0]), "r": str(files[1]), "tmp": str(tmp_path)}
    done = sigma68("data", "validate", *(w.format(**names) for w in words), "--out", tmp_path / "o")
    assert done.exit_code == 2
    assert said.format(**names) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_help_teaches_with_an_example() -> None:
    text = " ".join(sigma68("data", "validate", "--help").stdout.split())
    assert "For example: sigma68 data validate pool.parquet --against real.parquet" in text


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("emulated")
    frames = shared_out(12_000, 43)
    return {name: write(frame, folder / f"{name}.parquet") for name, frame in frames.items()}


def test_an_emulator_is_judged_by_simulated_events(
    emulated: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "report"
    words = ["data", "validate", emulated["emulated"], "--for", "emulator", "--out", out]
    words += ["--against", emulated["held out"], "--training", emulated["training"]]
    words += ["--yields", emulated["training"], "--parts", "yields,response,neighbours"]
    done = sigma68(*words)
    assert done.exit_code == 0, done.output
    text = done.stdout
    assert "against the events of training.parquet" in text
    assert "Emulated events, hard events counted once" in text
    assert "passes  neighbours: emulated events lie no nearer" in text
    document = json.loads((out / "validation.json").read_text())
    assert document["judgement"]["name"] == "emulator"
    assert document["expected"] == "training.parquet"
    assert (out / "figures/neighbours.pdf").is_file()


def test_one_simulation_may_be_shared_out_on_the_way(
    emulated: dict[str, Path], tmp_path: Path
) -> None:
    words = ["data", "validate", emulated["emulated"], "--for", "emulator", "--out", tmp_path]
    words += ["--against", emulated["held out"], "--split-seed", "5", "--parts", "neighbours"]
    done = sigma68(*words)
    assert done.exit_code == 0, done.output
    document = json.loads((tmp_path / "validation.json").read_text())
    assert document["reference"]["name"] == "held out.parquet, final"
    assert document["seed"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--training", "{training}"), "leave out --training and --split-seed, or say --for"),
        (("--for", "emulator", "--parts", "neighbours"), "give them with --training"),
        (("--for", "emulator", "--training", "{held out}"), "share"),
        (("--for", "emulator", "--yields", "{training}x.parquet"), "x.parquet does not exist"),
        (
            ("--for", "emulator", "--split-seed", "1", "--yields", "{training}"),
            "leave out --training and events in --yields",
        ),
    ],
)
def test_what_an_emulator_cannot_be_judged_by_is_one_sentence(
    words: tuple[str, ...], said: str, emulated: dict[str, Path], tmp_path: Path
) -> None:
    names = {name: str(path) for name, path in emulated.items()}
    done = sigma68(
        *("data", "validate", emulated["emulated"], "--against", emulated["held out"]),
        *(word.format(**names) for word in words),
        *("--out", tmp_path / "o"),
    )
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
