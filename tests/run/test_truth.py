"""Truths: functions of their numbers, shared where they should be and nowhere else."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from sigma68.errors import NuisanceError
from sigma68.protocols import Pool, Task
from sigma68.run.truth import active_nuisances, draw_truth, scored_truth, toy_stream
from sigma68.seeds import stream
from sigma68.types import Truth

ALL = ("shift", "bkg_scale")


def test_a_set_shares_its_parameters_and_nothing_else(task: Task) -> None:
    one, two = (draw_truth(task, 1, 3, toy, ALL) for toy in (0, 1))
    other = draw_truth(task, 1, 4, 0, ALL)
    assert one.parameters == two.parameters != other.parameters
    assert len({t.nuisances["shift"] for t in (one, two, other)}) == 3


def test_same_numbers_same_truth_and_another_seed_another(task: Task) -> None:
    assert draw_truth(task, 1, 2, 3, ALL) == draw_truth(task, 1, 2, 3, ALL)
    assert draw_truth(task, 1, 2, 3, ALL) != draw_truth(task, 2, 2, 3, ALL)


def test_switching_one_off_leaves_the_others(task: Task) -> None:
    everything = draw_truth(task, 1, 2, 3, ALL)
    for name, off in (("shift", 0.0), ("bkg_scale", 1.0)):
        some = draw_truth(task, 1, 2, 3, [n for n in ALL if n != name])
        assert some.parameters == everything.parameters
        assert some.nuisances == {**everything.nuisances, name: off}


def test_the_named_streams_are_used(task: Task) -> None:
    mu = stream("gaussian", "truth", 1, 2).generator().uniform(0.1, 3.0)
    z = stream("gaussian", "nuisances", 1, 2, 3).generator().standard_normal(2)
    truth = draw_truth(task, 1, 2, 3, ALL)
    assert truth.parameters == {"mu": mu}
    assert truth.nuisances == {"shift": z[0], "bkg_scale": 1.0 + 0.05 * z[1]}
    assert toy_stream(task, 1, 2, 3) == stream("gaussian", "pseudo-experiment", 1, 2, 3)


def test_distributions(task: Task) -> None:
    truths = [draw_truth(task, 7, s, 0, ALL) for s in range(2000)]
    mu = np.array([t.parameters["mu"] for t in truths])
    shift = np.array([t.nuisances["shift"] for t in truths])
    assert mu.min() >= 0.1
    assert mu.max() <= 3.0
    assert abs(mu.mean() - 1.55) < 4 * 2.9 / np.sqrt(12 * 2000)
    assert abs(shift.mean()) < 4 / np.sqrt(2000)
    assert abs(shift.std() - 1) < 4 / np.sqrt(4000)


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("all", ALL),
        ("none", ()),
        ("", ()),
        ("shift", ("shift",)),
        (" bkg_scale , shift,shift", ALL),
    ],
)
def test_choices(task: Task, choice: str, names: tuple[str, ...]) -> None:
    assert active_nuisances(task, choice) == names


def test_unknown_nuisance(task: Task) -> None:
    words = "no nuisance parameter 'tes' in task 'gaussian', which has shift, bkg_scale"
    with pytest.raises(NuisanceError, match=words):
        active_nuisances(task, "shift,tes")
    with pytest.raises(NuisanceError, match=words):
        draw_truth(task, 1, 0, 0, ["tes"])


class Held:
    """A pool with truths of its own."""

    def held_truth(self, seed: int, set: int, toy: int) -> Truth:
        return Truth({"mu": float(set)}, {"shift": float(seed), "bkg_scale": float(toy)})


def test_observations_made_elsewhere_bring_their_truths(task: Task) -> None:
    pool = cast(Pool, Held())
    truth = scored_truth(task, pool, 5, 1, 2, ALL)
    assert truth == Truth({"mu": 1.0}, {"shift": 5.0, "bkg_scale": 2.0})
    with pytest.raises(NuisanceError, match="shift cannot be switched off, give --nuisances all"):
        scored_truth(task, pool, 5, 1, 2, ("bkg_scale",))
    drawn = task.open().scoring
    assert scored_truth(task, drawn, 5, 1, 2, ALL) == draw_truth(task, 5, 1, 2, ALL)
