"""The page that compares entries."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest

from sigma68.report.best_words import ratio_in_words
from sigma68.report.comparison import coverage_and_width, scores_with_ties, write_comparison
from sigma68.score.best_widths import BestWidths, over_best
from sigma68.score.ranking import Ranking, rank
from sigma68.score.table import interval_toys
from tests.score.made_toys import MU, made_toys

NAME = "a long name with $x$ and <b> in it.zip"


@pytest.fixture(scope="module")
def ranking() -> Ranking:
    return rank(
        {
            "good": made_toys(20, 50),
            "also good": made_toys(20, 50, noise_seed=8),
            NAME: made_toys(20, 50, sigma=0.8),
            "failing": made_toys(20, 50, failures=0.05),
        },
        MU,
        n_resamples=2000,
    )


def test_the_page_and_its_files(ranking: Ranking, tmp_path: Path) -> None:
    text = write_comparison(ranking, tmp_path).read_text()
    assert "good and also good" in text or "also good and good" in text
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert "not ranked" in text
    assert not re.search(r'(src|href)="(?!data:image/)', text)
    document = json.loads((tmp_path / "comparison.json").read_text())
    assert document["entries"][0]["rank"] == 1
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {
        "scores.svg",
        "scores.pdf",
        "coverage_and_width.svg",
        "coverage_and_width.pdf",
    }


def test_groups_stand_in_the_figure(ranking: Ranking) -> None:
    axes = scores_with_ties(ranking).axes[0]
    assert [t.get_text() for t in axes.texts] == ["rank 1", "rank 2", "not ranked"]
    names = [t.get_text() for t in axes.get_yticklabels()]
    assert names[3] == "failing"
    assert names[2].startswith(r"a long name with \$x\$")


def test_indicative_and_the_organisers_variant_are_said(tmp_path: Path) -> None:
    entries = {"one": made_toys(12, 20), "two": made_toys(12, 20, seed=2)}
    ours = rank(entries, MU, n_resamples=500)
    theirs = rank(entries, MU, n_resamples=500, sets_drawn=4)
    text = write_comparison(ours, tmp_path, organisers=theirs).read_text()
    assert "Indicative only" in text
    assert "Resampling 4 of 12 sets" in text
    assert json.loads((tmp_path / "comparison.json").read_text())["organisers"]["sets_drawn"] == 4


def test_one_entry_and_none_ranked(tmp_path: Path) -> None:
    alone = write_comparison(rank({"one": made_toys(5, 20)}, MU, n_resamples=100), tmp_path)
    assert "is alone" in alone.read_text()
    failing = rank({"bad": made_toys(5, 20, failures=0.9)}, MU, n_resamples=100)
    assert "No entry can be ranked" in write_comparison(failing, tmp_path).read_text()


def test_how_far_each_entry_is_from_the_best_possible(tmp_path: Path) -> None:
    entries = {name: made_toys(12, 20, sigma=s) for name, s in (("one", 0.4), ("two", 0.8))}
    kept = BestWidths("mu", (), ("shift",), {"statistics": (0.5,) * 12})
    over = {name: over_best(kept, interval_toys(t, MU)) for name, t in entries.items()}
    ranking = rank(entries, MU, n_resamples=100, over_best={**over, "two": None})
    text = unescape(write_comparison(ranking, tmp_path).read_text())
    assert "over the oracle's, statistics only" in text
    assert f"<td>{ratio_in_words(over['one'].kinds[0])[1]}</td>" in text
    assert "<td>–</td>" in text
    assert "take the value of shift as known" in text
    entry = json.loads((tmp_path / "comparison.json").read_text())["entries"][0]
    assert entry["over_best"]["kinds"][0]["best"] == 0.5
    plain = write_comparison(rank(entries, MU, n_resamples=100), tmp_path).read_text()
    assert "oracle" not in plain


def test_the_best_possible_is_a_line_if_it_is_the_same_for_all() -> None:
    entries = {name: made_toys(12, 20, sigma=s) for name, s in (("one", 0.4), ("two", 0.8))}

    def lines(*best: float) -> int:
        over = {
            name: over_best(
                BestWidths("mu", (), (), {"statistics": (b,) * 12}), interval_toys(t, MU)
            )
            for (name, t), b in zip(entries.items(), best, strict=True)
        }
        ranking = rank(entries, MU, n_resamples=100, over_best=over)
        right = coverage_and_width(ranking).axes[1]
        return sum(list(line.get_xdata()) == [0.5, 0.5] for line in right.lines)

    assert lines(0.5, 0.5) == 1
    assert lines(0.5, 0.6) == 0
