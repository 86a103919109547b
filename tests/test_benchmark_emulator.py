"""The benchmark of the emulator still runs, and divides what it should."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import emulator
from benchmarks.emulator import Row, markdown, measure, rates, timed

from tests.tasks.higgs.emulate.small import small_emulator


def test_rates_are_those_of_the_median_round() -> None:
    assert rates(100, [(1.0, 0.5), (10.0, 5.0), (2.0, 0.25)]) == (50.0, 200.0)


def test_the_first_round_does_not_count() -> None:
    seen: list[str] = []
    jobs = [
        emulator.Job(name, "events", 1, 1, lambda name=name: seen.append(name)) for name in "ab"
    ]
    assert [row.what for row in timed(jobs, 2)] == ["a", "b"]
    assert "".join(seen) == "ababab"


def test_ratios_are_of_one_thread_by_processor_time() -> None:
    rows = [
        Row("Z", "events", 1, 10, 1.0, 400.0),
        Row("natural mixture", "events", 2, 10, 150_000.0, 110_000.0),
        Row("zuko, 7 dimensions, coupling", "events", 1, 10, 7.0, 100.0),
        Row("Z", "densities", 1, 10, 3.0, 300.0),
        Row("zuko, 7 dimensions, coupling", "densities", 1, 10, 7.0, 200.0),
    ]
    table = markdown(rows, 2)
    assert "| 4.0 (Z) |" in table
    assert "| 1.5 (Z) |" in table
    assert "150,000 by the clock, 220,000 in two seconds" in table


def test_it_measures_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("zuko")
    monkeypatch.setenv("SIGMA68_CACHE", str(tmp_path))
    monkeypatch.setattr(emulator, "SIZES", (16,))
    monkeypatch.setattr(emulator, "FLOWS", {"7 dimensions": (7, 1, 4), "13 dimensions": (13, 1, 4)})
    threads = torch.get_num_threads()
    try:
        rows = measure(small_emulator(tmp_path), 2_000, 32, 4_000, 1, tmp_path)
    finally:
        torch.set_num_threads(threads)
    assert {row.kind for row in rows} == {"events", "densities", "whole"}
    assert all(row.per_second > 0 for row in rows)
    assert {row.events for row in rows if row.kind == "whole"} == {4_000}
    drawn = [row for row in rows if row.kind == "events" and row.what == "natural mixture"]
    assert all(1_990 <= row.events <= 2_003 for row in drawn)
    table = markdown(rows, 2)
    assert table.count("(Z) |") == 3
    assert table.count("(ttbar) |") == 2
