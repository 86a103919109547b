"""Names of events that may be given where a path is expected.

A name always means these events; a file or folder of that name is given by its full path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sigma68.errors import DataError
from sigma68.tasks.higgs import embedded

__all__ = ["DEFAULT", "NAMES", "located"]

DEFAULT: Final = "embedded"
"""The events that come with the package."""

NAMES: Final[tuple[str, ...]] = (DEFAULT, "public")
"""All names; "public" is the public data set, once it was fetched."""


def located(source: str | Path) -> Path:
    """Where the events of `source` lie: a name of `NAMES`, or a path, which is returned as it is.

    Raises
    ------
    DataError
        If the events of a name are not on this machine, or the path is that of a pipe.
    """
    if str(source) == DEFAULT:
        return _embedded()
    if str(source) == "public":
        return _public()
    path = Path(source)
    if path.is_fifo() or path.is_socket():
        raise DataError(f"{path} is a pipe, and events cannot be read from one: give a file")
    return path


def _embedded() -> Path:
    if not embedded.PATH.is_file():
        raise DataError(
            f"the events that come with the package are not where they should be "
            f"({embedded.PATH}): install sigma68 again, or name a Parquet file of events, or its "
            "folder, with --data PATH"
        )
    return embedded.PATH


def _public() -> Path:
    from sigma68.tasks.higgs import public

    path = public.located()
    if path is None:
        raise DataError(
            "the public data set is not on this machine: run 'sigma68 data fetch higgs' first "
            "(16 GB), or name a Parquet file of events, or its folder, with --data PATH"
        )
    return path
