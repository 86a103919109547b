"""Ranking by a task's own headline: estimates and strangeness, paired, with ties."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sigma68.errors import DataError, SettingsError
from sigma68.score.estimates import score_strangeness
from sigma68.score.files import rank_folders, strict
from sigma68.score.headline_ranking import (
    WHOLE_TABLES,
    HeadlineRanking,
    rank_by_headline,
)
from sigma68.score.resampled import resampled_auc, resampled_quantiles_score
from sigma68.score.resampling import N_RESAMPLES, resampled_counts
from sigma68.types import Score
from tests.score.made_toys import MU
from tests.score.runs import OMEGA, S8, FakeTask, made_run

ESTIMATES = FakeTask("estimates", (OMEGA, S8), ())
STRANGE = FakeTask("strangeness", (MU,), ())


class Resampling(FakeTask):
    """Headed by minus the mean squared error of `omega`, of resamples too."""

    def __init__(self, wrong: float = 0.0) -> None:
        super().__init__("estimates", (OMEGA, S8), ())
        self.wrong = wrong

    def score(self, toys: pd.DataFrame, *, epsilon: float | None = None) -> Score:
        off = ((toys["omega_hat"] - toys["omega"]) ** 2).to_numpy()
        return Score("minus_mse", {"minus_mse": -float(np.mean(off))})

    def score_resampled(
        self, toys: pd.DataFrame, counts: np.ndarray, *, epsilon: float | None = None
    ) -> np.ndarray:
        off = ((toys["omega_hat"] - toys["omega"]) ** 2).to_numpy()
        return -(counts @ off) / counts.sum(axis=1) + self.wrong


def estimates(
    sets: int = 30, toys: int = 4, *, sigma: float = 0.5, noise: int = 1, seed: int = 0
) -> pd.DataFrame:
    """The same truths for the same seed, answered with errors `sigma` and `sigma` / 10."""
    truths, drawn = np.random.default_rng(seed), np.random.default_rng(100 + noise)
    n = sets * toys
    table = pd.DataFrame(
        {"set": np.repeat(np.arange(sets), toys), "toy": np.tile(range(toys), sets)}
    )
    for p, s in ((OMEGA, sigma), (S8, sigma / 10)):
        table[p.name] = np.repeat(truths.uniform(p.low, p.high, sets), toys)
        table[f"{p.name}_hat"] = table[p.name] + s * drawn.standard_normal(n)
        table[f"delta_{p.name}_hat"] = s
    return table.assign(status="ok", seconds=drawn.uniform(size=n))


def strangeness(n: int = 200, *, shift: float = 1.0, noise: int = 1) -> pd.DataFrame:
    """Every second toy is strange, and scores higher by `shift` standard deviations."""
    drawn = np.random.default_rng(noise)
    mu = np.where(np.arange(n) % 2, MU.high, MU.low)
    score = drawn.standard_normal(n) + shift * (np.arange(n) % 2)
    columns = {"set": np.arange(n), "toy": 0, "mu": mu, "score": score}
    return pd.DataFrame(columns).assign(status="ok", seconds=0.1)


def test_the_better_comes_first_and_equals_tie() -> None:
    entries = {
        "wide": estimates(40, 25, sigma=0.8),
        "narrow": estimates(40, 25, noise=2),
        "twin": estimates(40, 25, noise=2),
    }
    ranking = rank_by_headline(entries, ESTIMATES)
    assert ranking.headline == "quantiles_score"
    assert ranking.groups == (("narrow", "twin"), ("wide",))
    assert ranking.paired
    assert ranking.is_tied("twin", "narrow")
    assert ranking.differences["narrow", "twin"] == (0, 0)
    first = ranking.entries[0]
    assert first.score == ESTIMATES.score(entries["narrow"]).value
    assert first.score_low < first.score < first.score_high
    assert first.values["omega_coverage"] == pytest.approx(0.68, abs=0.05)
    json.dumps(strict(ranking.to_json()), allow_nan=False)


def test_strangeness_is_ranked_over_toys_where_each_set_has_one() -> None:
    entries = {"blind": strangeness(shift=0.0, noise=3), "seeing": strangeness(shift=2.0)}
    ranking = rank_by_headline(entries, STRANGE)
    assert ranking.headline == "auc"
    assert ranking.groups == (("seeing",), ("blind",))
    # Hanley and McNeil's error, which the score itself states.
    entry = ranking.entries[0]
    stated = (float(entry.values["auc_high"] or 0) - float(entry.values["auc_low"] or 0)) / 2
    assert entry.score_error == pytest.approx(stated, rel=0.35)


class WholeTables(FakeTask):
    """Scores as `Resampling` does, and whole tables only."""

    def score(self, toys: pd.DataFrame, *, epsilon: float | None = None) -> Score:
        return Resampling().score(toys, epsilon=epsilon)


def test_resamples_of_a_task_that_scores_them_are_tables_scored_anew() -> None:
    toys = {"one": estimates(6, 3), "two": estimates(6, 3, sigma=0.55, noise=4)}
    fast = rank_by_headline(toys, Resampling(), n_resamples=20)
    slow = rank_by_headline(toys, WholeTables("estimates", (OMEGA, S8), ()), n_resamples=20)
    assert fast.headline == slow.headline == "minus_mse"
    for ours, theirs in zip(fast.entries, slow.entries, strict=True):
        assert ours.score_low == pytest.approx(theirs.score_low)
        assert ours.score_error == pytest.approx(theirs.score_error)
    (pair,) = fast.differences
    assert fast.differences[pair] == pytest.approx(slow.differences[pair])


@pytest.mark.parametrize(
    ("task", "toys"),
    [
        (ESTIMATES, estimates(8, 5, sigma=0.7)),
        # Ties among the scores, and a toy that failed.
        (STRANGE, strangeness(40).round(0).assign(status=["failed"] + 39 * ["ok"])),
    ],
)
def test_common_scores_of_resamples_are_those_of_their_tables(
    task: FakeTask, toys: pd.DataFrame
) -> None:
    counts = np.concatenate(list(resampled_counts(len(toys), n_resamples=6)))
    tables = [toys.iloc[np.repeat(np.arange(len(toys)), row.astype(int))] for row in counts]
    expected = [task.score(t.assign(toy=range(len(t))), epsilon=0.02).value for t in tables]
    if task.answer == "estimates":
        found = resampled_quantiles_score(toys, counts, task.parameters, epsilon=0.02)
    else:
        found = resampled_auc(toys, counts, task.parameters[0])
    np.testing.assert_allclose(found, expected)
    assert np.ptp(expected) > 0.01


def test_a_common_headline_that_means_something_else_is_left_to_the_task() -> None:
    class OtherThreshold(FakeTask):
        def score(self, toys: pd.DataFrame, *, epsilon: float | None = None) -> Score:
            return score_strangeness(toys, self.parameters[0], threshold=0.0)

    toys = strangeness(40).assign(mu=np.repeat([-1.0, 1.0], 20))
    ranking = rank_by_headline(
        {"run": toys}, OtherThreshold("strangeness", (MU,), ()), n_resamples=9
    )
    assert ranking.entries[0].score == score_strangeness(toys, MU, threshold=0.0).value


def test_the_error_of_a_mean_is_that_of_independent_sets() -> None:
    toys = estimates(200, 1)
    (entry,) = rank_by_headline({"run": toys}, Resampling()).entries
    off = (toys["omega_hat"] - toys["omega"]) ** 2
    assert entry.score_error == pytest.approx(off.std() / np.sqrt(200), rel=0.03)


def test_paired_resamples_see_what_each_alone_does_not() -> None:
    toys = estimates(60, 1)
    better = toys.assign(omega_hat=toys["omega"] + 0.97 * (toys["omega_hat"] - toys["omega"]))
    ranking = rank_by_headline({"plain": toys, "better": better}, Resampling())
    assert ranking.groups == (("better",), ("plain",))
    best, other = ranking.entries
    assert best.score - other.score < best.score_error
    apart = rank_by_headline({"plain": toys, "better": better}, Resampling(), notes=["elsewhere"])
    assert apart.is_indicative
    assert apart.groups == (("better", "plain"),)


def test_how_many_resamples_there_are() -> None:
    toys = {"run": estimates(10, 1)}
    assert rank_by_headline(toys, Resampling()).n_resamples == N_RESAMPLES
    assert rank_by_headline(toys, ESTIMATES, n_resamples=7).n_resamples == 7
    whole = rank_by_headline(toys, WholeTables("estimates", (OMEGA, S8), ()))
    assert whole.n_resamples == WHOLE_TABLES < N_RESAMPLES


def test_toys_of_other_truths_are_indicative() -> None:
    entries = {"one": estimates(), "two": estimates(seed=5)}
    ranking = rank_by_headline(entries, Resampling())
    assert ranking.is_indicative
    assert "other values of omega" in ranking.notes[0]
    other = {"one": estimates(), "two": estimates().assign(kind=1.0)}
    assert rank_by_headline(other, Resampling()).paired
    other["one"] = estimates().assign(kind=2.0)
    assert "other values of kind" in rank_by_headline(other, Resampling()).notes[0]
    unknown = {name: estimates().assign(kind=np.nan) for name in ("one", "two")}
    assert rank_by_headline(unknown, Resampling()).paired


def test_an_entry_that_fails_too_often_has_no_rank() -> None:
    failing = estimates(noise=2)
    failing.loc[:9, ["omega_hat", "s8_hat"]] = np.nan
    failing.loc[:9, "status"] = "failed"
    ranking = rank_by_headline(
        {"failing": failing, "wide": estimates(sigma=0.8)}, ESTIMATES, n_resamples=20
    )
    assert [e.rank for e in ranking.entries] == [1, None]
    assert ranking.entries[1].n_failed == 10
    assert ranking.groups == (("wide",),)


def test_resamples_of_one_kind_are_left_out_and_too_many_refused() -> None:
    few = strangeness(4, shift=3.0)
    ranking = rank_by_headline({"few": few}, STRANGE, n_resamples=60)
    drawn = np.concatenate(list(resampled_counts(4, n_resamples=60)))
    alike = int(np.count_nonzero((drawn[:, ::2].sum(1) == 0) | (drawn[:, 1::2].sum(1) == 0)))
    assert 0 < alike < 30
    assert f"{alike} of 60 resamples have no score" in " ".join(ranking.notes)
    with pytest.raises(DataError, match="run more sets"):
        rank_by_headline({"ordinary": few.assign(mu=MU.low)}, STRANGE, n_resamples=20)


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(SettingsError, match="nothing to rank"):
        rank_by_headline({}, ESTIMATES)
    with pytest.raises(SettingsError, match="sets_drawn must be 1 or more"):
        rank_by_headline({"run": estimates(3, 1)}, ESTIMATES, sets_drawn=0)
    with pytest.raises(DataError, match="must give its headline score"):
        rank_by_headline({"run": estimates(3, 1)}, Resampling(wrong=0.1))


def test_folders_of_runs_are_ranked(tmp_path: Path) -> None:
    folders = [
        made_run(tmp_path / name, estimates(20, 2, sigma=sigma), nuisances=())
        for name, sigma in (("wide", 0.9), ("narrow", 0.4))
    ]
    ranking = rank_folders(folders, task=Resampling(), seed=3)
    assert isinstance(ranking, HeadlineRanking)
    assert ranking.groups == (("narrow",), ("wide",))
    assert ranking.paired
    other = made_run(tmp_path / "other", estimates(20, 2), nuisances=(), fingerprint="elsewhere")
    assert rank_folders([folders[0], other], task=Resampling()).is_indicative
