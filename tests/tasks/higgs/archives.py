"""Archives of the public data's layout, with stand-in events in them."""

from __future__ import annotations

import hashlib
import json
import zipfile
from functools import cache
from io import BytesIO
from typing import Any

import pandas as pd
from benchmarks.events import made_events

from sigma68.tasks.higgs.public import HIGGS, Record

STEM = "FAIR_Universe_HiggsML_data"


@cache
def events(n: int = 6_000, seed: int = 8) -> pd.DataFrame:
    frame = made_events(n, seed=seed)
    return frame.assign(detailed_labels=frame["detailed_labels"].astype(str))


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    sink = BytesIO()
    frame.to_parquet(sink, row_group_size=2_500)
    return sink.getvalue()


def metadata_bytes(rows: int = 6_000, **more: Any) -> bytes:
    document = {"total_rows": rows, "sum_weights": float(events()["weights"].sum()), **more}
    return json.dumps(document).encode()


def zip_bytes(members: dict[str, bytes]) -> bytes:
    sink = BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return sink.getvalue()


@cache
def public_zip() -> bytes:
    """An archive as the public one is: one Parquet file and one metadata file."""
    members = {f"{STEM}.parquet": parquet_bytes(events())}
    return zip_bytes({**members, f"{STEM}_metadata.json": metadata_bytes()})


def record_of(url: str, content: bytes) -> Record:
    """The public record, but of this archive at this address."""
    return HIGGS.elsewhere(url, hashlib.sha256(content).hexdigest())
