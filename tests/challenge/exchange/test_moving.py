"""A server that moves while work waits goes on where it was, up to its final."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sigma68.challenge.exchange.export import export_all
from sigma68.challenge.exchange.restore import import_all
from sigma68.challenge.rules import finals
from sigma68.challenge.store.stores import open_store
from tests.challenge.server_world import CLOSES, World, template, world
from tests.challenge.trivial_judge import trivial_judge

__all__ = ["template", "world"]


def test_a_server_that_moves_goes_on(world: World, tmp_path: Path) -> None:
    for name in ("ann", "bob"):
        world.submit(name)
    world.work(trivial_judge)
    before = world.board()
    waiting = world.submit("carl")
    export_all(world.store, tmp_path / "out", world.now)
    place = tmp_path / "moved"
    store = open_store(f"sqlite:///{place}/challenge.db", str(place / "files"))
    try:
        import_all(store, tmp_path / "out")
        moved = replace(world, folder=place, store=store)
        assert moved.board().rows == before.rows
        assert len(before.rows) == 2
        assert moved.status(waiting) == "queued"
        assert moved.work(trivial_judge) == 1
        assert moved.status(waiting) == "finished"
        moved.now = CLOSES
        with store.write() as session:
            assert [phase.id for phase in finals.start_due(session, moved.now)] == [world.final_id]
        moved.work(trivial_judge)
        assert {one.status for one in moved.finalists().values()} == {"finished"}
        assert len(moved.board(final=True, viewer=world.organiser_id).rows) == 3
    finally:
        store.close()
