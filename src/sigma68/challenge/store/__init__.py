"""What the challenge remembers: typed tables in a database, entries and toys in files."""

from __future__ import annotations

from importlib.util import find_spec

from sigma68.errors import MissingExtraError

if find_spec("sqlalchemy") is None:
    raise MissingExtraError(
        "the challenge's server needs the package 'sqlalchemy', which is not installed: "
        "install sigma68[server]"
    )
