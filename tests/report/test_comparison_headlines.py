"""The page that compares entries whose task asks for estimates or strangeness."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sigma68.report.comparison import scores_with_ties, write_comparison
from sigma68.report.comparison_headlines import beside, coverage_and_rmse
from sigma68.score.headline_ranking import HeadlineRanking, rank_by_headline
from tests.score.made_toys import MU
from tests.score.runs import OMEGA, S8, FakeTask, two_parameters


@pytest.fixture(scope="module")
def ranking() -> HeadlineRanking:
    task = FakeTask("estimates", (OMEGA, S8), ())
    good = two_parameters().assign(set=np.arange(400) // 20)
    failing = good.assign(status=10 * ["failed"] + 390 * ["ok"])
    bold = two_parameters(scale=0.5).assign(set=good["set"])
    entries = {"good": good, "bold $x$ <b>": bold, "failing": failing}
    return rank_by_headline(entries, task, n_resamples=500)


def test_the_page_and_its_files(ranking: HeadlineRanking, tmp_path: Path) -> None:
    fewer = rank_by_headline(
        {"good": two_parameters()}, FakeTask("estimates", (OMEGA, S8), ()), sets_drawn=1
    )
    text = write_comparison(ranking, tmp_path, organisers=fewer).read_text()
    assert "good scores best" in text
    assert "quantiles score, larger being better" in text
    assert "<b>" not in text
    assert "not ranked" in text
    assert "coverage of omega" in text
    assert "Resampling 1 of 2 sets gives" in text
    document = json.loads((tmp_path / "comparison.json").read_text())
    assert document["headline"] == "quantiles_score"
    assert document["entries"][0]["values"]["omega_rmse"] > 0
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {
        "scores.svg",
        "scores.pdf",
        "coverage_and_rmse.svg",
        "coverage_and_rmse.pdf",
    }


def test_figures_of_estimates(ranking: HeadlineRanking) -> None:
    axes = scores_with_ties(ranking).axes[0]
    assert axes.get_xlabel() == "Quantiles score (larger is better)"
    assert [t.get_text() for t in axes.texts] == ["rank 1", "rank 2", "not ranked"]
    labels = [axes.get_xlabel() for axes in coverage_and_rmse(ranking).axes]
    assert labels == [
        r"Coverage of $\Omega_m$",
        "Coverage of $S_8$",
        r"RMSE of $\Omega_m$",
        "RMSE of $S_8$",
    ]


def test_what_stands_beside_the_score(ranking: HeadlineRanking) -> None:
    names = ["coverage of omega", "RMSE of omega", "coverage of s8", "RMSE of s8"]
    said = beside(ranking.entries[0], ranking)
    assert list(said) == names
    assert said["RMSE of omega"].startswith("0.4") or said["RMSE of omega"].startswith("0.5")


def test_scores_of_parts_stand_beside_a_score_of_strangeness(ranking: HeadlineRanking) -> None:
    values = {"auc": 0.7, "strangeness_score": 0.5, "strangeness_score_error": 0.1}
    parts = {"odd_ones_score": 0.25, "odd_ones_score_error": 0.02, "odd_ones": 7}
    entry = replace(ranking.entries[0], values={**values, **parts})
    of_strange = replace(ranking, answer="strangeness", headline="strangeness_score")
    assert beside(entry, of_strange) == {"AUC": "0.700", "odd ones": "0.250 ± 0.020"}


def test_strangeness_has_one_figure(tmp_path: Path) -> None:
    columns = {"set": range(40), "toy": 0, "mu": 20 * [MU.low, MU.high], "score": np.arange(40.0)}
    toys = pd.DataFrame(columns).assign(status="ok", seconds=0.1)
    found = rank_by_headline({"run": toys}, FakeTask("strangeness", (MU,), ()), n_resamples=50)
    text = write_comparison(found, tmp_path).read_text()
    assert "By the task&#39;s auc" in text
    assert {p.stem for p in (tmp_path / "figures").iterdir()} == {"scores"}
    assert beside(found.entries[0], found) == {}
