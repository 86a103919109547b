"""The challenge's front door: pages and a JSON API over `store`, `rules` and `queue`, no rule of its own."""

from __future__ import annotations

from importlib.util import find_spec

from sigma68.errors import MissingExtraError

for _package in ("fastapi", "httpx"):
    if find_spec(_package) is None:
        raise MissingExtraError(
            f"a challenge's server and `sigma68 submit` need the package {_package!r}, which is "
            "not installed: install sigma68[server]"
        )
