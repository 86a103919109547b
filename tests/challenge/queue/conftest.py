from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.challenge.server_world import World, make_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A server of its own for a test."""
    made = make_world(tmp_path)
    yield made
    made.store.close()
