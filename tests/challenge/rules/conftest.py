from __future__ import annotations

from tests.challenge.server_world import template, world

__all__ = ["template", "world"]
