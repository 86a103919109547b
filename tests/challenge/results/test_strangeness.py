"""Results that are scores of strangeness: the same server, another task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sigma68.challenge.results.make import make_observations
from sigma68.challenge.store.tables import Result
from sigma68.errors import EntryError
from sigma68.tasks.lensing.scores import strangeness_score
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
