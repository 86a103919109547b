"""Widths over the narrowest possible: kept by a run, read by scores, right on made toys."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import DataError
from sigma68.score.best_widths import (
    FILE_NAME,
    BestWidths,
    OverBest,
    best_widths,
    over_best,
    read_best_widths,
)
from sigma68.score.files import rank_folders, read_score, score_folder
from sigma68.score.rescaled import rescaled_width
from sigma68.score.table import interval_toys
from sigma68.tasks.gaussian.pool import GaussianPool
from sigma68.tasks.gaussian.task import Gaussian
from tests.contract.small_tasks import Lump
from tests.score.made_toys import MU, made_toys
from tests.score.runs import FakeTask, made_run

BEST = BestWidths(
    "mu", ("scale",), ("shift",), {"statistics": (0.4,) * 20, "normalisations": (0.5,) * 20}
)


def test_ratios_of_intervals_as_they_are_and_at_equal_coverage() -> None:
    """Intervals half as wide as they should be: 0.4 wide, with a best of 0.4, must double."""
    table = interval_toys(made_toys(20, 200, sigma=0.4, scale=0.5), MU)
    over = over_best(BEST, table)
    assert (over.fitted, over.known) == (("scale",), ("shift",))
    assert [kind.kind for kind in over.kinds] == ["statistics", "normalisations"]
    statistics, scaled = over.kinds
    assert statistics.best == pytest.approx(0.4)
    assert statistics.ratio == pytest.approx(1.0)
    assert scaled.ratio == pytest.approx(0.8)
    plain = rescaled_width(table)
    assert plain.width is not None
    assert plain.error is not None
    assert statistics.at_level == pytest.approx(plain.width / 0.4)
    assert statistics.at_level_error == pytest.approx(plain.error / 0.4)
    assert statistics.at_level == pytest.approx(2.0, rel=0.05)


def test_a_width_that_follows_the_best_has_no_error_but_its_scatter() -> None:
    """The truth of the sets moves both widths alike, and says nothing of their ratio."""
    toys = made_toys(20, 50)
    narrowest = np.linspace(0.2, 0.9, 20)
    half = 1.25 * narrowest[toys["set"]] / 2
    toys["p16"], toys["p84"] = toys["mu_hat"] - half, toys["mu_hat"] + half
    known = replace(BEST, widths={"statistics": tuple(narrowest)})
    (kind,) = over_best(known, interval_toys(toys, MU)).kinds
    assert kind.ratio == pytest.approx(1.25)
    assert kind.ratio_error == pytest.approx(0, abs=1e-12)
    # A failed toy counts with the whole range, here as well.
    toys.loc[0, "status"] = "failed"
    (kind,) = over_best(known, interval_toys(toys, MU)).kinds
    expected = (2.9 - 2 * half[0] + 2 * half.sum()) / narrowest[toys["set"]].sum()
    assert kind.ratio == pytest.approx(expected)
    assert kind.ratio_error is not None
    assert kind.ratio_error > 1e-3


def test_one_toy_has_a_ratio_without_errors() -> None:
    (kind, _) = over_best(BEST, interval_toys(made_toys(1, 1), MU)).kinds
    assert kind.ratio > 0
    assert kind.ratio_error is None
    assert kind.at_level_error is None


def test_sets_that_are_not_known_are_refused() -> None:
    with pytest.raises(DataError, match="known for sets 0 to 19, and there are toys of set 24"):
        over_best(BEST, interval_toys(made_toys(25, 2), MU))


def test_a_run_keeps_what_its_pool_knows() -> None:
    task = Gaussian()
    pool = task.open().scoring
    assert isinstance(pool, GaussianPool)
    truths = [{"mu": 0.5}, {"mu": 2.0}]
    kept = best_widths(task, pool, truths, ("shift", "bkg_scale"))
    assert kept is not None
    assert (kept.parameter, kept.fitted, kept.known) == ("mu", ("bkg_scale",), ("shift",))
    for i, truth in enumerate(truths):
        expected = pool.best_widths(truth, ("bkg_scale",))
        assert {name: of[i] for name, of in kept.widths.items()} == expected
        assert expected["normalisations"] > 1.1 * expected["statistics"]
    alone = best_widths(task, pool, truths, ("shift",))
    assert alone is not None
    assert set(alone.widths) == {"statistics"}
    assert alone.fitted == ()


def test_what_does_not_know_keeps_nothing() -> None:
    task = Gaussian()
    pool = task.open().scoring
    assert best_widths(Lump(), pool, [{}], ()) is None

    class Plain:
        role = "scoring"

    assert best_widths(task, Plain(), [{"mu": 1.0}], ()) is None  # type: ignore[arg-type]

    class NotComputed(GaussianPool):
        def best_widths(  # type: ignore[override]
            self, parameters: Mapping[str, float], profiled: Collection[str]
        ) -> None:
            return None

    unknown = NotComputed("scoring", "", 0, task.model, task.nuisances)
    assert best_widths(task, unknown, [{"mu": 1.0}], ()) is None


def test_the_file_is_read_back_or_refused(tmp_path: Path) -> None:
    assert read_best_widths(tmp_path) is None
    path = tmp_path / FILE_NAME
    path.write_text(json.dumps(BEST.to_json()))
    assert read_best_widths(tmp_path) == BEST
    path.write_text("null")
    assert read_best_widths(tmp_path) is None
    for damaged in ("{", "[]", '{"parameter": "mu"}'):
        path.write_text(damaged)
        with pytest.raises(DataError, match=r"best_widths\.json cannot be read"):
            read_best_widths(tmp_path)


def test_score_and_ranking_hand_it_on(tmp_path: Path) -> None:
    task = FakeTask()
    known, unknown = (made_run(tmp_path / name, made_toys(20, 20)) for name in ("a", "b"))
    (known / FILE_NAME).write_text(json.dumps(BEST.to_json()))
    for folder in (known, unknown):
        score_folder(folder, task=task)
    over = OverBest.of_score(read_score(known))
    assert over == over_best(BEST, interval_toys(made_toys(20, 20), MU))
    assert OverBest.of_score(read_score(unknown)) is None
    with pytest.raises(DataError, match=r"score\.json is damaged"):
        OverBest.of_score({"over_best": {"fitted": []}})
    ranking = rank_folders([known, unknown], task=task)
    assert {e.name: e.over_best for e in ranking.entries} == {"a": over, "b": None}
    (first, _) = sorted(ranking.to_json()["entries"], key=lambda e: e["name"])
    assert first["over_best"]["kinds"][0]["best"] == pytest.approx(0.4)
