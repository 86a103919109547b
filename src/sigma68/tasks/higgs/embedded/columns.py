"""What a compact file of events looks like, and how its columns are read.

A compact file is Parquet with the 16 primary columns as integers, thousandths of the unit
(`PRI_n_jets` is the number itself), `weights` as float32, `detailed_labels`, and `hard_event` and
`decay` where the events have them. Derived columns and labels are computed when they are asked
for. A value that was rounded to 3 decimals comes back as the same float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sigma68.errors import DataError
from sigma68.tasks.higgs.schema import DERIVED, PRIMARIES

__all__ = [
    "FORMAT",
    "FORMAT_KEY",
    "SCALES",
    "check_compact",
    "completed",
    "is_compact",
    "stored_columns",
    "thousandths",
]

FORMAT_KEY: Final = b"sigma68.format"
"""The key of the file's metadata that tells a compact file from others."""
FORMAT: Final = b"compact 1"

SCALES: Final[dict[str, float]] = {
    name: 1.0 if name == "PRI_n_jets" else 1000.0 for name in PRIMARIES
}
"""What the stored integers are to be divided by."""

_LARGEST: Final = float(np.iinfo(np.int32).max)


def is_compact(schema: pa.Schema) -> bool:
    """Whether the schema says that the file is compact, in this or another version."""
    return FORMAT_KEY in (schema.metadata or {})


def check_compact(path: Path, schema: pa.Schema) -> None:
    """Look at the columns of a compact file.

    Raises
    ------
    DataError
        If the version is not ours, or a column is missing or of the wrong type.
    """
    version = (schema.metadata or {}).get(FORMAT_KEY)
    if version != FORMAT:
        told = (version or b"").decode(errors="replace")
        raise DataError(
            f"{path} is in the format {told!r}, and this version reads {FORMAT.decode()!r}: "
            "install a newer sigma68"
        )
    wanted = dict.fromkeys(PRIMARIES, pa.types.is_integer)
    wanted |= {"weights": pa.types.is_floating, "detailed_labels": _is_text}
    wanted |= {
        name: pa.types.is_integer for name in ("hard_event", "decay") if name in schema.names
    }
    for name, is_right in wanted.items():
        if schema.names.count(name) != 1 or not is_right(schema.field(name).type):
            raise DataError(
                f"the column {name} of the compact file {path} is missing or of the wrong type: "
                "make the file again, or get it again"
            )


def stored_columns(names: Sequence[str]) -> tuple[str, ...]:
    """The columns to read from a compact file for the features `names`."""
    return PRIMARIES if set(names) & set(DERIVED) else tuple(names)


def completed(values: npt.NDArray[np.float32], names: Sequence[str]) -> npt.NDArray[np.float32]:
    """The features `names`, (n_names, n), from what `stored_columns(names)` says to read."""
    if stored_columns(names) != PRIMARIES or tuple(names) == PRIMARIES:
        return values
    from sigma68.tasks.higgs.derived import derive

    features = dict(zip(PRIMARIES + DERIVED, (*values, *derive(values)), strict=True))
    return np.stack([features[name] for name in names])


def thousandths(values: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.int32]:
    """The integers that stand for the primary column `name`, (n,).

    Dividing by `SCALES[name]` and rounding to float32 gives `values` again wherever these are
    the float32 nearest to a number of 3 decimals, else they are off by 0.0005 at most.

    Raises
    ------
    DataError
        If a value is too large.
    """
    scaled = np.rint(values.astype(np.float64) * SCALES[name])
    if not (np.abs(scaled) <= _LARGEST).all():
        bad = float(values[np.argmax(np.abs(scaled))])
        raise DataError(f"{name} is {bad:g}, more than a compact file holds: remove the event")
    return scaled.astype(np.int32)


def _is_text(kind: pa.DataType) -> bool:
    text = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(text) or pa.types.is_large_string(text))
