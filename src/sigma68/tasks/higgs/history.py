"""What a file of events says of where it comes from: a JSON object in its metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from sigma68.errors import DataError

__all__ = ["KEY", "in_words", "read_history"]

KEY: Final = "sigma68"
"""The key of the Parquet file's metadata."""


def read_history(path: Path) -> dict[str, Any] | None:
    """The JSON object under `KEY`; None where a file has none.

    Raises
    ------
    DataError
        If the file cannot be read, or what stands there is no JSON object.
    """
    try:
        metadata = pq.read_schema(path).metadata or {}
        document = json.loads(metadata.get(KEY.encode(), b"null"))
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"the metadata of {path} cannot be read ({error}): get the file again"
        ) from error
    if document is not None and not isinstance(document, dict):
        raise DataError(
            f"the metadata of {path} has no JSON object under {KEY!r}: get the file again"
        )
    return document


def in_words(history: dict[str, Any] | None) -> str | None:
    """What made the events, in a few words; None where a file does not say, or not in our way."""
    kind = None if history is None else history.get("kind")
    if history is None or kind not in ("emulation", "simulation"):
        inner = None if history is None else history.get("of")
        words = in_words(inner) if isinstance(inner, dict) else None
        return None if words is None else f"a piece of {words}"
    if kind == "simulation":
        return "simulated events"
    mixture = history.get("mixture")
    shares = "in natural proportion"
    if isinstance(mixture, dict):
        shares = "mixed " + ", ".join(f"{name}={share}" for name, share in mixture.items())
    return (
        f"emulated events {shares}: seed {history.get('seed')}, "
        f"weights {str(history.get('weights'))[:12]}"
    )
