"""Ties from sums over sets are those of a ranking of the tables themselves."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.score.ranking import group_by_ties, rank
from sigma68.score.resampling import set_sums
from sigma68.score.standings import bootstrap_scores, contains_zero, tie_groups, tie_interval
from sigma68.score.table import interval_toys
from tests.score.made_toys import MU, made_toys


def test_groups_are_those_of_the_ranking() -> None:
    tables = {
        f"entry {i}": made_toys(20, 50, sigma=sigma, noise_seed=i)
        for i, sigma in enumerate((0.2, 0.202, 0.21, 0.25, 0.26, 0.4))
    }
    ranking = rank(tables, MU, n_resamples=2000)
    sums = {name: set_sums(interval_toys(table, MU)) for name, table in tables.items()}
    together = bootstrap_scores([*sums.values()], n_resamples=2000)
    order = [entry.name for entry in ranking.entries]
    scores = dict(zip(sums, together, strict=True))
    assert tie_groups(order, scores, 20) == ranking.groups
    assert 1 < len(ranking.groups) < 6


def test_counting_decides_as_the_quantiles_do() -> None:
    rng = np.random.default_rng(3)
    names = [str(i) for i in range(40)]
    # Shifts around what separates a tie from none, and two that are equal but for rounding.
    scores = {name: rng.normal(-0.1 * i, 1.0, 200) for i, name in enumerate(names)}
    scores["1"] = scores["0"] + 1e-14
    ties = {
        (one, two): contains_zero(tie_interval(scores[one], scores[two]), 5)
        for i, one in enumerate(names)
        for two in names[i + 1 :]
    }
    groups = tie_groups(names, scores, 5)
    assert groups == group_by_ties(names, ties)
    assert groups[0][:2] == ("0", "1")
    assert len(groups) > 1


@pytest.mark.parametrize("shift", np.linspace(1.8, 2.2, 41))
def test_at_the_border_of_a_tie_both_agree(shift: float) -> None:
    difference = np.random.default_rng(1).normal(size=101) + shift
    scores = {"a": difference, "b": np.zeros(101)}
    tie = contains_zero(tie_interval(scores["a"], scores["b"]), 2)
    assert tie_groups(["a", "b"], scores, 2) == ((("a", "b"),) if tie else (("a",), ("b",)))


def test_with_one_set_all_are_tied() -> None:
    scores = {"a": np.full(10, 5.0), "b": np.zeros(10)}
    assert tie_groups(["a", "b"], scores, 1) == (("a", "b"),)
    assert tie_groups([], {}, 1) == ()
