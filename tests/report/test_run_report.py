"""The page about a run: whole in itself, says what it must, refuses what is stale or damaged."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sigma68.errors import DataError, SettingsError
from sigma68.report.run import write_report
from sigma68.score.files import score_folder
from sigma68.score.pool_error import pool_error
from sigma68.types import Parameter, PoolStatistics
from tests.score.made_toys import made_toys
from tests.score.runs import OMEGA, S8, FakeTask, made_run, two_parameters

SUMW = np.array([[10.0, 90.0], [1.0, 900.0], [0.0, 0.0]])
SMALL_POOL = pool_error(
    PoolStatistics(("high", "low", "none"), ("sig", "bkg"), (True, False), SUMW, SUMW * 50, 20),
    None,
).to_json()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    made_run(out, made_toys(3, 40, failures=0.1), pool=SMALL_POOL)
    score_folder(out, task=FakeTask())
    write_report(out, task=FakeTask())
    return out


def page(out: Path) -> str:
    return (out / "report.html").read_text(encoding="utf-8")


def test_the_page_is_whole_in_itself(run: Path) -> None:
    text = page(run)
    assert not re.search(r'(src|href)="(?!data:image/)', text)
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)
    assert "<script" not in text


def test_every_figure_has_words_and_files(run: Path) -> None:
    text = page(run)
    alts = [html.unescape(alt) for alt in re.findall(r'<img [^>]*alt="([^"]*)"', text)]
    assert len(alts) == 10
    assert all(len(alt) > 30 for alt in alts)
    names = {p.stem for p in (run / "figures").glob("*.pdf")}
    assert names == {p.stem for p in (run / "figures").glob("*.svg")}
    assert len(names) == 10
    assert not list(run.rglob("*.part"))


def test_the_page_says_what_score_json_says(run: Path) -> None:
    text, score = page(run), json.loads((run / "score.json").read_text())
    assert f"{100 * score['coverage']:.1f}%" in text
    assert f"{score['n_failed']:,} of 120" in text
    assert "ε = 0.01" in text
    for row in score["per_set"]:
        assert f"<td>{row['quantiles_score']:.3f}".replace("-", "−") in text
    assert "Not ranked" in text


def test_pool_warning_stands_on_top(run: Path) -> None:
    text = page(run)
    assert "20 rows cannot measure mu" in text
    assert text.index("20 rows cannot") < text.index("Not ranked")
    assert "<td>empty</td>" in text


def test_messages_of_failures_are_escaped_and_counted(run: Path) -> None:
    text = page(run)
    assert "the fit did not converge &lt;b&gt;" in text
    assert "<b>" not in text


def test_settings_and_versions_are_there(run: Path) -> None:
    text = page(run)
    assert "data fingerprint" in text
    assert ">3.11<" in text
    assert "shift, smear" in text


def test_the_same_run_gives_the_same_bytes(run: Path) -> None:
    before = {p: p.read_bytes() for p in [run / "report.html", *(run / "figures").iterdir()]}
    write_report(run, task=FakeTask())
    for path, content in before.items():
        assert path.read_bytes() == content, path.name


@pytest.mark.parametrize(
    ("toys", "words"),
    [
        (made_toys(1, 1, active=False), ["Too few toys", "all systematics off", "1 set<"]),
        (made_toys(2, 5, failures=1.1), ["Every toy failed", "10 of 10"]),
    ],
)
def test_odd_runs(tmp_path: Path, toys: pd.DataFrame, words: list[str]) -> None:
    made_run(tmp_path, toys)
    score_folder(tmp_path, task=FakeTask())
    text = write_report(tmp_path, task=FakeTask()).read_text()
    for word in words:
        assert word in text
    assert "The pool is too small" not in text


def test_several_parameters(tmp_path: Path) -> None:
    task = FakeTask("estimates", (OMEGA, S8), ())
    made_run(tmp_path, two_parameters(60))
    score_folder(tmp_path, task=task)
    text = write_report(tmp_path, task=task).read_text()
    assert "Omega: coverage" in text
    assert "S8: coverage" in text
    assert (tmp_path / "figures" / "s8_pulls.pdf").is_file()


def test_strangeness(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    odd = rng.uniform(size=50)
    toys = pd.DataFrame(
        {"set": 0, "toy": range(50), "odd": odd, "score": odd + rng.normal(size=50)}
    )
    task = FakeTask("strangeness", (Parameter("odd", 0, 1),), ())
    made_run(tmp_path, toys.assign(status="ok", seconds=0.1))
    score_folder(tmp_path, task=task)
    assert "Area under the ROC" in write_report(tmp_path, task=task).read_text()


def test_what_is_stale_or_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no run"):
        write_report(tmp_path, task=FakeTask())
    made_run(tmp_path, made_toys(2, 5))
    with pytest.raises(DataError, match="score the run first"):
        write_report(tmp_path, task=FakeTask())
    score_folder(tmp_path, task=FakeTask())
    made_run(tmp_path, made_toys(2, 6))
    with pytest.raises(DataError, match="score the run again"):
        write_report(tmp_path, task=FakeTask())
    (tmp_path / "score.json").write_text("{}")
    with pytest.raises(DataError, match="not a score"):
        write_report(tmp_path, task=FakeTask())
    score_folder(tmp_path, task=FakeTask())
    (tmp_path / "pool.json").write_text('{"b": 1}')
    with pytest.raises(DataError, match=r"pool\.json"):
        write_report(tmp_path, task=FakeTask())
    (tmp_path / "pool.json").unlink()
    (tmp_path / "failures.jsonl").write_text("half a li")
    with pytest.raises(DataError, match=r"failures\.jsonl"):
        write_report(tmp_path, task=FakeTask())
    assert not (tmp_path / "report.html").exists()


def test_where_it_is_not_known_nothing_is_said_of_the_best_possible(run: Path) -> None:
    assert "oracle" not in page(run)
    assert "narrowest" not in page(run)


def test_how_far_from_the_best_possible(tmp_path: Path) -> None:
    made_run(tmp_path, made_toys(4, 30))
    kept = {"parameter": "mu", "fitted": ["shift"], "known": ["smear"], "widths": {
        "statistics": [0.4] * 4, "normalisations": [0.5] * 4}}  # fmt: skip
    (tmp_path / "best_widths.json").write_text(json.dumps(kept))
    provenance = tmp_path / "provenance.json"
    made_with = json.loads(provenance.read_text())
    provenance.write_text(json.dumps({**made_with, "leaves_out": "It leaves out <everything>."}))
    score_folder(tmp_path, task=FakeTask())
    text = write_report(tmp_path, task=FakeTask()).read_text()
    assert "those here are 2.000 times as wide" in text
    assert "those here are 1.600 times as wide" in text
    assert "but smear varies too" in text
    assert text.count("Width over the oracle&#39;s") == 2
    assert "the means of the narrowest widths possible" in text
    assert text.count("It leaves out &lt;everything&gt;.") == 1
    figure = (tmp_path / "figures" / "widths.svg").read_text()
    assert "best possible, statistics only 0.4" in figure
