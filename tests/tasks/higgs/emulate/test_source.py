"""Names of emulated events: what they mean, how they are written, and what is no name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import DataError
from sigma68.tasks.higgs.emulate.source import (
    EVEN_MIXTURE,
    MOST_ROWS,
    TRAIN_MIXTURE,
    TRAIN_ROWS,
    EmulatedSource,
    emulated_source,
    in_short,
    number_of_rows,
    shares_of,
)
from sigma68.tasks.higgs.schema import PROCESSES


@pytest.mark.parametrize(
    ("name", "seed", "rows", "spelled"),
    [
        ("emulated", 1, 5_000_000, "emulated:1:5M"),
        ("emulated:1", 1, 5_000_000, "emulated:1:5M"),
        ("emulated:007", 7, 5_000_000, "emulated:7:5M"),
        ("emulated:0:20M", 0, 20_000_000, "emulated:0:20M"),
        ("emulated:7:2e5", 7, 200_000, "emulated:7:200k"),
        ("emulated:7:1.5m", 7, 1_500_000, "emulated:7:1500k"),
        ("emulated:9223372036854775807:1_001", 2**63 - 1, 1001, f"emulated:{2**63 - 1}:1001"),
    ],
)
def test_a_name_has_a_meaning_and_one_spelling(
    name: str, seed: int, rows: int, spelled: str
) -> None:
    for given in (name, Path(name)):
        source = emulated_source(given)
        assert source == EmulatedSource(seed, rows)
        assert str(source) == spelled
        assert emulated_source(str(source)) == source


def test_a_training_pool_may_have_its_own_size() -> None:
    source = emulated_source("emulated:7:20M:6M")
    assert source == EmulatedSource(7, 20_000_000, 6_000_000)
    assert str(source) == "emulated:7:20M:6M"
    assert sum(source.counts("train")) == source.rows_of("train") == 6_000_000
    assert source.counts("scoring") == EmulatedSource(7, 20_000_000).counts("scoring")
    # What it has anyway needs no saying, so that one pool has one name.
    assert emulated_source("emulated:7:20M:1M") == emulated_source("emulated:7:20M")
    assert str(emulated_source("emulated:7:20k:20k")) == "emulated:7:20k"


@pytest.mark.parametrize(
    "path", ["embedded", "public", "emulated.parquet", "data/emulated", "/emulated:1", "emulate"]
)
def test_anything_else_is_none(path: str) -> None:
    assert emulated_source(path) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("emulated:abc", "SEED of 'emulated:abc' must be a whole number"),
        ("emulated:-1", "SEED of 'emulated:-1' must be a whole number from 0"),
        ("emulated:", "SEED of 'emulated:' must"),
        ("emulated:9223372036854775808", "SEED .* from 0 to 9223372036854775807"),
        ("emulated:1.5", "SEED"),
        ("emulated:²", "SEED"),
        ("emulated:1:0", "ROWS of 'emulated:1:0' must be a whole number from 1"),
        ("emulated:1:0.5", "ROWS .* whole number from 1"),
        ("emulated:1:-5", "ROWS .* number such as 200000, 200k, 20M or 1e6"),
        ("emulated:1:", "ROWS"),
        ("emulated:1:nan", "ROWS"),
        ("emulated:1:" + "9" * 5000, "ROWS"),
        ("emulated:1:1e99", "ROWS .* whole number from 1 to 1,000,000,000,000,000,000"),
        ("emulated:1:2:0", "TRAINING of 'emulated:1:2:0' must be a whole number from 1"),
        ("emulated:1:2:x", "TRAINING"),
        ("emulated:1:2:1e15", "would take 72,000,000 GB of disk each"),
        ("emulated:1:2:3:4", "no name of emulated events: write emulated, emulated:SEED, "),
        ("emulated:1:1e15", "1,000,000,000,000,000 rows would take 72,000,000 GB of disk each"),
        ("emulated:1:4294967296", "4,294,967,295 rows .309 GB. are the most"),
    ],
)
def test_what_is_no_name_is_told(name: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as error:
        emulated_source(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("1", 1), ("200000", 200_000), (" 200k ", 200_000), ("20M", 20_000_000), ("1e6", 10**6)),
        *(("1.5e+3", 1500), ("2.5G", 2_500_000_000), ("0.001k", 1), ("1e18", 10**18)),
    ],
)
def test_numbers_as_people_write_them(text: str, number: int) -> None:
    assert number_of_rows(text) == number
    assert number_of_rows(in_short(number)) == number


@pytest.mark.parametrize("text", ["", "M", "1.5", "1e-3", "1 000", "1MM", "0x10", "inf", "1e19"])
def test_what_is_no_number_of_rows(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a"):
        number_of_rows(text)


def test_rows_are_shared_out_between_processes() -> None:
    source = EmulatedSource(1, 3_000_000)
    assert source.rows_of("train") == TRAIN_ROWS == 1_000_000
    assert EmulatedSource(1, 5_000).rows_of("train") == 5_000
    for role, mixture in (("train", TRAIN_MIXTURE), ("scoring", EVEN_MIXTURE)):
        assert sum(mixture.values()) == pytest.approx(1)
        counts = source.counts(role)
        assert sum(counts) == source.rows_of(role)
        assert counts == pytest.approx([mixture[p] * source.rows_of(role) for p in PROCESSES])
        assert np.all(np.array(EmulatedSource(1, 4_000_000).counts(role)) >= counts)
    assert source.counts("final") == source.counts("scoring") == source.counts("calibration")
    assert sum(EmulatedSource(1, MOST_ROWS).counts("final")) == MOST_ROWS


def test_every_process_gets_a_row_or_too_few_are_told() -> None:
    assert min(EmulatedSource(1, 34).counts("scoring")) == 1
    with pytest.raises(DataError, match=r"no diboson events in its scoring pool.*34 or more"):
        EmulatedSource(1, 33).counts("scoring")


def test_shares_sum_to_one_and_may_be_left_out() -> None:
    assert shares_of({"ztautau": 3, "htautau": 1}) == (0.25, 0.75, 0.0, 0.0)


def test_reading_a_name_imports_nothing_heavy() -> None:
    code = (
        "import sys; from sigma68.tasks.higgs.emulate.source import emulated_source\n"
        "emulated_source('emulated:1')\n"
        "print([m for m in ('numba', 'pyarrow', 'pandas', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"
