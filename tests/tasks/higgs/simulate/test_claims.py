"""Shards from elsewhere: what they say of themselves, and rows that contradict it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sigma68.errors import DataError
from sigma68.tasks.higgs.history import KEY, read_history
from sigma68.tasks.higgs.simulate.history import history
from sigma68.tasks.higgs.simulate.making import make_shard
from sigma68.tasks.higgs.simulate.merge import merge
from sigma68.tasks.higgs.simulate.shards import ShardAbout, ShardSpec, read_about
from tests.tasks.higgs.simulate.made_blocks import MADE

SPEC = ShardSpec("htautau", 5, 0, 60, generator=MADE)
ODD: tuple[Any, ...] = (None, "x", -1, 1.5, float("nan"), 1e999, 10**400, [], {}, True, [[]])
TEXTS = ("process", "versions")
WHOLE = ("seed", "number", "hard_events", "first_hard_event", "rows")
REAL = ("luminosity_fb", "effective_events", "seconds")
OF_CODES = ("tries", "cross_section_fb", "rows", "hard_events", "sum_weights", "sum_squares")


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shard") / SPEC.file_name
    make_shard(SPEC, path)
    return path


@pytest.fixture
def says(shard: Path, tmp_path: Path) -> Callable[[bytes], Path]:
    """The same rows with other metadata."""

    def write(text: bytes) -> Path:
        table = pq.read_table(shard, partitioning=None)
        pq.write_table(table.replace_schema_metadata({KEY: text}), tmp_path / shard.name)
        return tmp_path / shard.name

    return write


def document_of(shard: Path) -> dict[str, Any]:
    return dict(json.loads(pq.read_metadata(shard).metadata[KEY.encode()]))


def allowed(field: str, value: object) -> bool:
    """What of `ODD` a field may be."""
    if field == "enrich":
        return value is True
    if field == "pythia_seed":
        return value is None or (type(value) is int and value >= 0)
    if field == "seed":
        return type(value) is int and value >= 0
    if field in ("versions", "codes"):
        return value == {}
    return field in (*REAL, "cross_section_fb", "sum_weights", "sum_squares") and value == 1.5


def test_no_field_is_believed_whatever_it_holds(shard: Path) -> None:
    tried = 0
    for field in document_of(shard):
        for value in ODD:
            if allowed(field, value) or (field == "format" and value is True):
                continue
            document = {**document_of(shard), field: value}
            with pytest.raises((KeyError, TypeError, ValueError)):
                ShardAbout.from_json(document)
            tried += 1
    assert tried > 120


def test_no_sum_of_a_code_is_believed_whatever_it_holds(shard: Path) -> None:
    code = next(iter(document_of(shard)["codes"]))
    for field in OF_CODES:
        for value in ODD:
            if allowed(field, value):
                continue
            document = document_of(shard)
            document["codes"][code][field] = value
            with pytest.raises((KeyError, TypeError, ValueError)):
                ShardAbout.from_json(document)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"9" * 6000,
        b'{"format": NaN}',
        b'"' + b"x" * (1 << 20) + b'"',
    ],
    ids=["empty", "no text", "deep", "deep objects", "long number", "NaN", "large"],
)
def test_metadata_that_is_none_is_refused(text: bytes, says: Callable[[bytes], Path]) -> None:
    with pytest.raises(DataError, match="is not a shard that sigma68 simulate wrote") as caught:
        read_about(says(text))
    assert len(str(caught.value)) < 600


def test_a_history_without_end_is_refused(says: Callable[[bytes], Path]) -> None:
    with pytest.raises(DataError, match=r"the metadata of .* cannot be read"):
        read_history(says(b"[" * 200_000))


def test_a_key_given_twice_is_refused(shard: Path, says: Callable[[bytes], Path]) -> None:
    document = document_of(shard)
    code, sums = next(iter(document["codes"].items()))
    text = json.dumps(document).replace(
        f'"{code}":', f'"{code}": {json.dumps({**sums, "tries": 1})}, "{code}":'
    )
    with pytest.raises(DataError, match="a key twice"):
        read_about(says(text.encode()))


def test_codes_of_other_processes_are_refused(shard: Path) -> None:
    document = document_of(shard)
    sums = next(iter(document["codes"].values()))
    for code in ("221", "-5", " 902", "9" * 5000):
        with pytest.raises(ValueError, match="no process code of htautau"):
            ShardAbout.from_json({**document, "codes": {code: sums}})


def test_a_pipe_is_not_awaited(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / SPEC.file_name)
    with pytest.raises(DataError, match="it is no file"):
        read_about(tmp_path / SPEC.file_name)


def test_a_huge_number_is_not_counted_out(shard: Path) -> None:
    about = ShardAbout.from_json({**document_of(shard), "number": 10**9})
    assert history([about])["missing"] == ["htautau shards 0-999999999 of seed 5"]


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array(values))


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("hard_event", lambda n: np.full(n, -1), "a hard event is none of its own"),
        ("hard_event", lambda n: np.full(n, 2**64 - 1, np.uint64), "hard_event is not there once"),
        ("hard_event", lambda n: ["x"] * n, "hard_event is not there once"),
        ("decay", lambda n: np.full(n, -1), "a decay has a negative number"),
        ("decay", lambda n: pa.nulls(n, pa.int64()), "decay is missing in a row"),
        ("process_code", lambda n: np.full(n, 221, np.int16), "a process code was never tried"),
        ("process_code", lambda n: np.full(n, 902, np.int64), "process_code is not there once"),
        ("weights", lambda n: np.full(n, np.nan), "a weight is no positive number"),
        ("weights", lambda n: np.full(n, -1.0), "a weight is no positive number"),
        ("weights", lambda n: np.full(n, 1e300), "not as many or heavy as it says"),
        ("PRI_met", lambda n: np.full(n, np.nan, np.float32), "PRI_met is not finite"),
        ("DER_mass_vis", lambda n: [b"x"] * n, "DER_mass_vis is not there once"),
    ],
)
def test_rows_that_contradict_it_are_refused(
    name: str, values: Callable[[int], Any], said: str, shard: Path, tmp_path: Path
) -> None:
    table = pq.read_table(shard, partitioning=None)
    changed = with_column(table, name, values(table.num_rows))
    pq.write_table(changed, tmp_path / shard.name)
    with pytest.raises(DataError, match=f"does not hold what it says .*{said}"):
        merge([tmp_path], tmp_path / "pool.parquet")


def test_a_column_that_lacks_or_is_there_twice_is_refused(shard: Path, tmp_path: Path) -> None:
    table = pq.read_table(shard, partitioning=None)
    for changed in (
        table.drop_columns(["decay"]),
        table.append_column("decay", table["decay"]),
    ):
        pq.write_table(changed, tmp_path / shard.name)
        with pytest.raises(DataError, match="decay is not there once"):
            merge([tmp_path], tmp_path / "pool.parquet")
        assert not (tmp_path / "pool.parquet").exists()
