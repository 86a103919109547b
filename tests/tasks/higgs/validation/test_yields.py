"""Yields against tables, tables from files, and numbers of events."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import DataError
from sigma68.tasks.higgs.regions import REGIONS
from sigma68.tasks.higgs.validation.judgement import EMULATOR
from sigma68.tasks.higgs.validation.ledger import CellSums, cell_sums
from sigma68.tasks.higgs.validation.tables import YieldTable, published, read_table, table_of
from sigma68.tasks.higgs.validation.yields import compare_yields, event_numbers


def sums(values: np.ndarray, n: int = 400) -> CellSums:
    """Cells with these sums of weights, of n equal rows each; none where the sum is 0."""
    cells = np.repeat(np.flatnonzero(values), n)
    return cell_sums(values[cells] / n, cells, None, len(values))


def both(inclusive: np.ndarray, regions: np.ndarray, n: int = 400) -> tuple[CellSums, CellSums]:
    return sums(inclusive, n), sums(regions.ravel(), n)


def test_every_yield_is_judged_by_its_own_tolerance() -> None:
    table = published()
    inclusive = table.inclusive * [1.031, 0.951, 1.049, 0.901]
    regions = table.regions.copy()
    regions[0] *= [1.051, 0.949, 1.049, 1.09]
    tests = compare_yields(table, both(inclusive, regions), both(inclusive, regions))
    assert len(tests) == 24
    verdicts = {(t.process, t.region): t.verdict for t in tests}
    missed = [key for key, verdict in verdicts.items() if verdict == "miss"]
    assert missed == [
        ("htautau", "inclusive"),
        ("htautau", REGIONS[0]),
        ("ztautau", REGIONS[0]),
    ]
    # 200 events or fewer in the table are not judged: three of H, two of VV.
    assert sum(v == "small" for v in verdicts.values()) == 5
    first = tests[0]
    assert first.ratio == pytest.approx(1.031)
    assert first.error == pytest.approx(1.031 / 20)
    assert first.beyond == pytest.approx(0.001 / first.error)
    assert first.reference == pytest.approx(1015 * 1.031)


def test_a_process_that_is_not_there_is_not_judged() -> None:
    table = published()
    inclusive, regions = table.inclusive.copy(), table.regions.copy()
    inclusive[2], regions[:, 2] = 0, 0
    without = both(inclusive, regions)
    tests = [t for t in compare_yields(table, without, without) if t.process == "ttbar"]
    assert {t.verdict for t in tests} == {"none"}
    assert {t.reference for t in tests} == {None}


def test_a_region_that_is_empty_though_its_process_is_there_misses() -> None:
    table = published()
    regions = table.regions.copy()
    regions[0, 1] = 0
    there = both(table.inclusive, regions)
    tests = [t for t in compare_yields(table, there, there) if t.process == "ztautau"]
    assert (tests[1].ratio, tests[1].verdict, tests[1].beyond) == (0, "miss", None)


def test_what_a_table_leaves_out_is_not_compared() -> None:
    full = published()
    table = YieldTable("part", np.array([1000.0, np.nan, np.nan, np.nan]), np.full((5, 4), np.nan))
    tests = compare_yields(
        table, both(full.inclusive, full.regions), both(full.inclusive, full.regions)
    )
    assert [(t.process, t.region) for t in tests] == [("htautau", "inclusive")]


def test_numbers_of_events_count_hard_events_once() -> None:
    weights = np.array([1.0, 1.0, 2.0, 2.0, 2.0])
    process, unit = np.array([0, 0, 1, 1, 1]), np.array([7, 7, 1, 2, 3])
    cell = np.array([0, 0, 1, 1, 5])
    numbers = event_numbers(
        cell_sums(weights, process, unit, 4), cell_sums(weights, cell, unit, 20)
    )
    assert len(numbers) == 12
    h, z = numbers[0], numbers[6]
    assert (h.rows, h.effective, h.efficiency, h.per_expected) == (2, 1, 0.5, 0.5)
    assert (z.rows, z.effective, z.efficiency, z.expected) == (3, 3, 1, 6)
    assert (h.spread, h.largest) == (0, 1)
    assert numbers[7].rows == 2
    assert (numbers[2].rows, numbers[2].effective, numbers[2].per_expected) == (0, 0, 0)


def test_the_spread_of_weights_is_that_of_numpy() -> None:
    w = np.random.default_rng(1).lognormal(0, 1, 3000)
    zeros = np.zeros(3000, int)
    number = event_numbers(cell_sums(w, zeros, None, 4), cell_sums(w, zeros, None, 20))[0]
    assert number.spread == pytest.approx(w.std() / w.mean())
    assert number.largest == pytest.approx(w.max() / w.mean())
    assert number.efficiency == pytest.approx(1 / (1 + number.spread**2))


def test_tables_from_json_and_csv_are_the_same(tmp_path: Path) -> None:
    document = {
        "inclusive": {"htautau": 1000, "diboson": 3783.5},
        "regions": {"mT<70,VBFJet": {"ttbar": 15000}},
    }
    (tmp_path / "t.json").write_text(json.dumps(document))
    (tmp_path / "t.csv").write_text(
        'region,htautau,ttbar,diboson\ninclusive,1000,,3783.5\n"mT<70, VBFJet",,15000,\n'
    )
    one, other = read_table(tmp_path / "t.json"), read_table(tmp_path / "t.csv")
    np.testing.assert_array_equal(one.inclusive, [1000, np.nan, np.nan, 3783.5])
    assert one.regions[0, 2] == 15000
    assert np.isnan(one.regions).sum() == 19
    np.testing.assert_array_equal(one.inclusive, other.inclusive)
    np.testing.assert_array_equal(one.regions, other.regions)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.json", "{", "cannot be read as a table of yields"),
        ("t.json", "[]", "cannot be read as a table of yields"),
        ("t.json", '{"yields": {}}', "unknown key 'yields'"),
        ("t.json", '{"inclusive": {"higgs": 1}}', "a column 'higgs': known processes"),
        ("t.json", '{"inclusive": {"htautau": "many"}}', "'many' for htautau in inclusive"),
        ("t.json", '{"inclusive": {"htautau": -1}}', "-1 for htautau in inclusive"),
        ("t.json", '{"inclusive": {"htautau": null}}', "holds no yields"),
        ("t.json", '{"regions": {"SR": {"htautau": 1}}}', "a region 'SR': known regions"),
        ("t.csv", "process,events\nhtautau,1\n", "cannot be read as a table of yields"),
        ("t.csv", "region,htautau\ninclusive,1,2\n", "different numbers of cells"),
        ("t.csv", "region,htautau\ninclusive,inf\n", "'inf' for htautau"),
    ],
)
def test_bad_tables_are_explained(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said):
        read_table(tmp_path / name)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_table(tmp_path / "nothing.json")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("deep.json", "[" * 100_000, "cannot be read as a table of yields"),
        ("wide.csv", "region,htautau\ninclusive," + "1" * 200_000, "field larger than"),
        ("quote.csv", 'region,htautau\n"inclusive,5', "cannot be read as a table of yields"),
        ("twice.csv", "region,htautau\ninclusive,5\ninclusive,6\n", "'inclusive' twice"),
        ("list.json", "[]", "not made of JSON objects"),
        ("row.json", '{"inclusive": []}', "not made of JSON objects"),
        ("true.json", '{"inclusive": {"ttbar": true}}', "True for ttbar in inclusive"),
        ("long.json", " " * 1_000_001, "larger than 1 MB"),
    ],
)
def test_a_hostile_table_is_refused(name: str, text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read_table(path)


def test_a_table_is_not_awaited_from_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(DataError, match="it is no file"):
        read_table(tmp_path / "pipe.json")


def test_a_table_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("region,htautau\ninclusive,5\n", encoding="utf-8-sig")
    assert read_table(path).inclusive[0] == 5


def test_an_emulator_is_judged_where_both_are_known_to_three_per_cent() -> None:
    full = published()
    reference = both(full.inclusive, full.regions, n=20_000)
    table = table_of("simulated", reference)
    assert table.regions_error[0, 1] == pytest.approx(full.regions[0, 1] / np.sqrt(20_000))
    regions = full.regions.copy()
    regions[0] *= [1.02, 1.031, 0.969, 0.971]
    tests = compare_yields(table, both(full.inclusive, regions, n=20_000), reference, EMULATOR)
    verdicts = [t.verdict for t in tests if t.region == REGIONS[0]]
    assert verdicts == ["pass", "miss", "miss", "pass"]
    assert {t.verdict for t in tests if t.region != REGIONS[0]} == {"pass"}
    # Errors of both.
    assert tests[0].error == pytest.approx(np.sqrt(2 / 20_000), rel=0.01)
    for few in (
        compare_yields(table, both(full.inclusive, regions, n=900), reference, EMULATOR),
        compare_yields(
            table_of("few", both(full.inclusive, full.regions, n=900)),
            both(full.inclusive, regions, n=20_000),
            reference,
            EMULATOR,
        ),
    ):
        assert {t.verdict for t in few} == {"unsure"}


def test_what_no_event_is_expected_of_is_not_compared() -> None:
    full = published()
    regions = full.regions.copy()
    regions[2, 0] = 0
    table = table_of("simulated", both(full.inclusive, regions))
    tests = compare_yields(table, both(full.inclusive, full.regions), both(full.inclusive, regions))
    assert len(tests) == 23
    assert ("htautau", REGIONS[2]) not in {(t.process, t.region) for t in tests}
