"""The events that come with the package, in a compact file of fixed-point columns.

    make: a pool of simulated events -> sample -> pack -> events.parquet, croissant.json

`columns` says what a compact file looks like, `pack` writes one; any is opened by
`dataset.open_parquet` like every other file of events.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["CROISSANT_FILE", "LIMIT_BYTES", "PATH"]

PATH: Final = Path(__file__).with_name("events.parquet")
"""The shipped file, which the source name "embedded" stands for."""

CROISSANT_FILE: Final = "croissant.json"
"""Its description for people and machines, in the same folder."""

LIMIT_BYTES: Final = 25_000_000
"""The largest size of the shipped file."""
