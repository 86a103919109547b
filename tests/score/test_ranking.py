"""Ranking: ties on constructed cases, the rule for groups, reproducibility, widths rescaled."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sigma68.errors import SettingsError
from sigma68.score.intervals import quantiles_score, score_intervals
from sigma68.score.ranking import group_by_ties, rank
from sigma68.score.resampling import resampled_counts
from sigma68.score.rescaled import rescaled_width
from sigma68.score.table import interval_toys
from tests.score.made_toys import MU, made_toys


def same_toys(**changes: Any) -> pd.DataFrame:
    """One method's answers to the common toys; its own noise with `noise_seed`."""
    return made_toys(30, 50, **changes)


def test_identical_entries_tie() -> None:
    toys = same_toys()
    ranking = rank({"one": toys, "two": toys.copy()}, MU)
    assert ranking.groups == (("one", "two"),)
    assert [e.rank for e in ranking.entries] == [1, 1]
    assert ranking.paired
    assert not ranking.is_indicative
    assert ranking.differences["one", "two"] == pytest.approx((0, 0), abs=1e-12)


def test_clearly_better_wins() -> None:
    ranking = rank(
        {
            "wide": same_toys(sigma=0.6),
            "narrow": same_toys(sigma=0.3),
            "bold": same_toys(scale=0.5),
        },
        MU,
    )
    assert ranking.groups == (("narrow",), ("wide",), ("bold",))
    low, high = ranking.differences["narrow", "wide"]
    assert low <= math.log(0.61 * 2 / 0.61) <= high + 0.1
    assert low > 0


def test_a_difference_is_the_central_95_per_cent_of_10000_common_resamples() -> None:
    entries = {"a": same_toys(), "b": same_toys(sigma=0.45, noise_seed=3)}
    ranking = rank(entries, MU)
    assert ranking.n_resamples == 10_000
    counts = np.concatenate(list(resampled_counts(30, n_resamples=10_000)))
    scores = {}
    for name, toys in entries.items():
        covers = (toys["p16"] <= toys["mu"]) & (toys["mu"] <= toys["p84"])
        width = counts @ (toys["p84"] - toys["p16"]).groupby(toys["set"]).mean() / 30
        coverage = counts @ covers.groupby(toys["set"]).mean() / 30
        scores[name] = quantiles_score(width, coverage, 1500)
    (first, second), found = next(iter(ranking.differences.items()))
    expected = np.quantile(scores[first] - scores[second], [0.025, 0.975])
    assert found == pytest.approx(tuple(expected), abs=1e-9)
    # Tied exactly if 0 is between these ends.
    assert ranking.is_tied("a", "b") == (expected[0] <= 0 <= expected[1])


def test_same_quality_with_other_noise_ties() -> None:
    ranking = rank({"a": same_toys(), "b": same_toys(noise_seed=77)}, MU)
    assert len(ranking.groups) == 1


def test_scores_and_numbers_are_those_of_score_intervals() -> None:
    toys = same_toys(failures=0.005)
    entry = rank({"one": toys}, MU).entries[0]
    values = score_intervals(toys, MU).values
    assert entry.score == values["quantiles_score"]
    assert entry.interval == values["interval"]
    assert entry.coverage == values["coverage"]
    assert entry.n_failed == values["n_failed"]
    assert entry.score_low <= entry.score_high


def test_groups_are_the_best_and_those_tied_with_it() -> None:
    # a ~ b and b ~ c but a beats c: b goes with a, and c stands alone.
    ties = {("a", "b"): True, ("b", "c"): True, ("a", "c"): False}
    assert group_by_ties(["a", "b", "c"], ties) == (("a", "b"), ("c",))
    # c is tied with the best although b, better than c, is not.
    ties = {("a", "b"): False, ("b", "c"): False, ("a", "c"): True}
    assert group_by_ties(["a", "b", "c"], ties) == (("a", "c"), ("b",))
    assert group_by_ties([], {}) == ()


def test_a_paired_difference_is_seen_where_unpaired_ones_drown() -> None:
    """Widths that vary much from set to set, and an entry 2% wider everywhere."""
    toys = same_toys()
    factor = np.exp(np.random.default_rng(4).normal(size=30))[toys["set"]]
    for sign, column in ((-1, "p16"), (1, "p84")):
        toys[column] = toys["mu"] + sign * 0.4 * factor
    covered = np.random.default_rng(5).uniform(size=len(toys)) < 0.6827
    toys.loc[~covered, ["p16", "p84"]] += 10.0
    wider = toys.copy()
    middle = (toys["p16"] + toys["p84"]) / 2
    for column in ("p16", "p84"):
        wider[column] = middle + 1.02 * (toys[column] - middle)
    paired = rank({"narrow": toys, "wider": wider}, MU)
    assert paired.groups == (("narrow",), ("wider",))
    shifted = wider.assign(seconds=1.0, mu=wider["mu"] + 1e-9)
    unpaired = rank({"narrow": toys, "wider": shifted}, MU)
    assert unpaired.groups == (("narrow", "wider"),)
    assert unpaired.is_indicative


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (made_toys(30, 50, seed=2), "other values of mu"),
        (made_toys(29, 50), "other sets or toys"),
        (made_toys(30, 50, active=False), "other values of shift"),
    ],
)
def test_other_toys_are_only_indicative(other: pd.DataFrame, word: str) -> None:
    ranking = rank({"one": same_toys(), "two": other}, MU)
    assert ranking.is_indicative
    assert "indicative" in ranking.notes[0]
    assert word in ranking.notes[0]


def test_order_of_rows_does_not_matter() -> None:
    toys = same_toys()
    ranking = rank({"one": toys, "two": toys.sample(frac=1, random_state=1)}, MU)
    assert ranking.paired


def test_failing_entries_are_shown_but_not_ranked() -> None:
    ranking = rank({"good": same_toys(sigma=0.6), "failing": same_toys(failures=0.05)}, MU)
    assert [e.name for e in ranking.entries] == ["good", "failing"]
    assert [e.rank for e in ranking.entries] == [1, None]
    assert ranking.groups == (("good",),)
    only = rank({"failing": same_toys(failures=0.05)}, MU)
    assert only.groups == ()


def test_reproducible_and_independent_of_the_company() -> None:
    entries = {"a": same_toys(scale=0.8), "b": same_toys(sigma=0.5), "c": same_toys(noise_seed=9)}
    one, again = rank(entries, MU, seed=3), rank(entries, MU, seed=3)
    assert one == again
    assert one.differences["b", "a"][1] > one.differences["b", "a"][0]
    assert rank(entries, MU, seed=4).differences["b", "a"] != one.differences["b", "a"]
    pair = rank({"a": entries["a"], "b": entries["b"]}, MU, seed=3)
    assert pair.differences["b", "a"] == pytest.approx(one.differences["b", "a"])


def test_counts_draw_with_replacement() -> None:
    counts = np.concatenate(list(resampled_counts(50, n_resamples=4000)))
    assert counts.shape == (4000, 50)
    assert (counts.sum(axis=1) == 50).all()
    assert counts.var() == pytest.approx(1 - 1 / 50, rel=0.02)
    fewer = np.concatenate(list(resampled_counts(50, n_resamples=100, sets_drawn=5)))
    assert (fewer.sum(axis=1) == 5).all()


def test_the_organisers_variant_separates_less() -> None:
    entries = {"a": same_toys(), "b": same_toys(sigma=0.5)}
    ours, theirs = rank(entries, MU), rank(entries, MU, sets_drawn=3)
    assert theirs.sets_drawn == 3
    ours_low, ours_high = ours.differences["a", "b"]
    their_low, their_high = theirs.differences["a", "b"]
    assert their_high - their_low > 2 * (ours_high - ours_low)


def test_one_set_tells_nobody_apart() -> None:
    entries = {"a": made_toys(1, 50), "b": made_toys(1, 50, sigma=1.0)}
    ranking = rank(entries, MU)
    assert len(ranking.groups) == 1
    assert "one set" in ranking.notes[0]


def test_rescaled_width_undoes_a_wrong_scale() -> None:
    reference = rescaled_width(interval_toys(same_toys(), MU))
    for scale in (0.5, 2.0):
        table = interval_toys(same_toys(scale=scale), MU)
        found = rescaled_width(table)
        assert found.width == pytest.approx(reference.width)
        assert found.error == pytest.approx(reference.error)
        assert (found.factor or 0) * scale == pytest.approx(reference.factor)
    assert reference.factor == pytest.approx(1.0, abs=0.06)


def test_rescaling_reaches_the_level_and_no_less() -> None:
    toys = same_toys(scale=0.7, failures=0.02)
    table = interval_toys(toys, MU)
    factor = rescaled_width(table).factor or 0
    centre, half = (toys["p16"] + toys["p84"]) / 2, (toys["p84"] - toys["p16"]) / 2
    for f, reached in ((factor * (1 + 1e-9), True), (factor * (1 - 1e-9), False)):
        coverage = ((toys["mu"] - centre).abs() <= f * half).mean()
        assert (coverage >= 0.6827) == reached


def test_error_of_the_rescaled_width_is_its_spread_over_runs() -> None:
    found = [
        rescaled_width(interval_toys(made_toys(20, 50, seed=s, scale=0.8), MU)) for s in range(60)
    ]
    widths, errors = np.array([(f.width, f.error) for f in found], dtype=float).T
    assert errors.mean() == pytest.approx(widths.std(), rel=0.25)


def test_rescaling_of_many_toys_agrees_with_direct_resampling() -> None:
    table = interval_toys(made_toys(40, 100, scale=0.9), MU)
    fast = rescaled_width(table, n_resamples=200)
    counts = np.concatenate(list(resampled_counts(40, n_resamples=200)))
    centre = (table.lower + table.upper) / 2
    needed = np.abs(table.truth - centre) / (table.width / 2)
    widths = []
    for count in counts:
        drawn = np.sort(np.repeat(needed, count[table.set_index].astype(int)))
        widths.append(drawn[math.ceil(0.6827 * len(drawn) - 1e-9) - 1] * table.width[0])
    assert fast.error == pytest.approx(float(np.std(widths)), rel=0.01)


def test_rescaling_that_cannot_reach_the_level_says_so() -> None:
    found = rescaled_width(interval_toys(same_toys(failures=0.5), MU))
    assert (found.width, found.error, found.factor) == (None, None, None)
    one = rescaled_width(interval_toys(made_toys(1, 50), MU))
    assert one.width is not None
    assert one.error is None


def test_json_is_strict_and_whole() -> None:
    ranking = rank({"a": same_toys(), "b": same_toys(sigma=0.5)}, MU)
    document = json.loads(json.dumps(ranking.to_json(), allow_nan=False))
    assert document["groups"] == [["a"], ["b"]]
    assert document["indicative"] is False
    assert document["differences"][0]["entries"] == ["a", "b"]


def test_nothing_to_rank_and_bad_numbers_are_refused() -> None:
    with pytest.raises(SettingsError, match="nothing to rank"):
        rank({}, MU)
    with pytest.raises(SettingsError, match="sets_drawn"):
        rank({"a": same_toys()}, MU, sets_drawn=0)


def test_the_final_phase_is_ranked_in_seconds() -> None:
    """1000 sets of 100, four entries, 10,000 resamples; a generous limit for slow machines."""
    entries = {f"entry {i}": made_toys(1000, 100, noise_seed=i) for i in range(4)}
    start = time.perf_counter()
    rank(entries, MU)
    assert time.perf_counter() - start < 20
