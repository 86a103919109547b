"""Names of events that may be given where a path is expected.

A name always means these events; a file or folder of that name is given by its full path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sigma68.errors import DataError
from sigma68.protocols import Progress
from sigma68.tasks.higgs import embedded
from sigma68.tasks.higgs.emulate.source import emulated_source

__all__ = ["DEFAULT", "NAMES", "located", "spelled"]

DEFAULT: Final = "emulated"
"""What is opened where no source is named."""

NAMES: Final[tuple[str, ...]] = (DEFAULT, "embedded", "public")
"""All names: emulated events (also as "emulated:SEED:ROWS:TRAINING", or less of it), the simulated
ones that come with the package, and the public data set, once it was fetched."""


def spelled(source: str) -> str | None:
    """The one way to write a name, with all that it leaves to defaults; None for a path.

    Raises
    ------
    DataError
        If it is a name of emulated events that asks for what cannot be.
    """
    emulated = emulated_source(source)
    if emulated is not None:
        return str(emulated)
    return source if source in NAMES else None


def located(source: str | Path, progress: Progress | None = None) -> Path:
    """Where the events of `source` lie: a name, or a path, which is returned as it is.

    Emulated events are written to a file in the cache the first time; `progress` says how far
    that is.

    Raises
    ------
    DataError
        If the events of a name are not on this machine, or the path is that of a pipe.
    SettingsError
        If so few events are to be emulated that a process would have none.
    OutputError
        If there is no room for emulated ones.
    """
    emulated = emulated_source(source)
    if emulated is not None:
        from sigma68.tasks.higgs.emulate.writing import emulated_file

        return emulated_file(emulated, progress)
    if str(source) == "embedded":
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
