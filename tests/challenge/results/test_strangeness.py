"""Results that are scores of strangeness: the same server, another task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma68.challenge.results.make import make_observations
from sigma68.challenge.results.score import resampled_scores
from sigma68.challenge.store.tables import Result
from sigma68.errors import DataError, EntryError
from sigma68.tasks.lensing.scores import strangeness_score
from sigma68.tasks.lensing_strange.task import LensingStrange
from tests.challenge.results.conftest import N, furnished, truths
from tests.challenge.server_world import zipped


def no_judge(*_: Any, **__: Any) -> list[Any]:
    raise AssertionError("no code is to be run")


def test_strange_maps_are_found_on_a_server(tmp_path: Path) -> None:
    world = furnished(tmp_path, "lensing_strange")
    make_observations(world.store, world.public_id, world.now)
    family = truths(world)["family"].to_numpy()
    strange = family > 1
    assert 0 < strange.sum() < N

    def sent(scores: list[float]) -> bytes:
        return zipped(json.dumps({"ood_scores": scores}), "result.json")

    with pytest.raises(EntryError, match="ood_scores"):
        world.submit("ann", zipped('{"means": []}', "result.json"))
    with pytest.raises(EntryError, match="not finite"):
        world.submit("ann", sent([float("nan")] * N))
    best = world.submit("ann", sent(family.tolist()))
    poor = world.submit("bob", sent((-family).tolist()))
    assert world.work(no_judge) == 2
    with world.store.read() as session:
        scores = [session.get_one(Result, one).score for one in (best, poor)]
    assert scores == [1.0, pytest.approx(strangeness_score(-family, strange))]
    assert [row.rank for row in world.board().rows] == [1, 2]
    world.store.close()


def test_few_strange_maps_leave_resamples_without_any_which_are_drawn_again() -> None:
    task = LensingStrange()
    scores = np.linspace(0, 1, N)
    one = {"family": np.where(np.arange(N) == N - 1, 1.5, 0.5)}
    resampled = resampled_scores(task, {"score": scores}, one, n_resamples=200)
    # The strange map is the strangest in every resample that holds it.
    np.testing.assert_array_equal(resampled, 1.0)
    again = resampled_scores(task, {"score": -scores}, one, n_resamples=200)
    assert (again < 0.5).all()
    with pytest.raises(DataError, match="one kind"):
        resampled_scores(task, {"score": scores}, {"family": np.full(N, 0.5)}, n_resamples=5)
