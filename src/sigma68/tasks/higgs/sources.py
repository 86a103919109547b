"""Names of data that may be given where a path of events is expected.

A name always means the data; a file or folder of that name is given by its full path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sigma68.errors import DataError
from sigma68.tasks.higgs import embedded

__all__ = ["DEFAULT", "NAMES", "located"]

DEFAULT: Final = "embedded"
NAMES: Final[tuple[str, ...]] = (DEFAULT,)


def located(source: str | Path) -> Path:
    """Where the events of `source` lie: a name of `NAMES`, or a path, which is returned as it is.

    Raises
    ------
    DataError
        If the events of a name are not on this machine.
    """
    if str(source) != DEFAULT:
        return Path(source)
    if not embedded.PATH.is_file():
        raise DataError(
            f"the events that come with the package are not where they should be "
            f"({embedded.PATH}): install sigma68 again, or name a Parquet file of events, or its "
            "folder, with --data PATH"
        )
    return embedded.PATH
