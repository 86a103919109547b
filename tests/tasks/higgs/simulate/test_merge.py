"""Shards put together: the weights of all tries, each row once, and where they come from."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from sigma68.errors import DataError, OutputError, SettingsError
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.dataset import open_parquet
from sigma68.tasks.higgs.history import KEY
from sigma68.tasks.higgs.regions import REGIONS, region_of
from sigma68.tasks.higgs.schema import PRIMARIES
from sigma68.tasks.higgs.simulate import merge as merging
from sigma68.tasks.higgs.simulate import shuffle
from sigma68.tasks.higgs.simulate.making import make_shard
from sigma68.tasks.higgs.simulate.merge import BELOW, find_shards, merge
from sigma68.tasks.higgs.simulate.shards import ShardAbout, ShardSpec, read_about
from sigma68.tasks.higgs.simulate.streams import CODES, CROSS_SECTION_FB
from tests.tasks.higgs.simulate.made_blocks import (
    HERE,
    MADE,
    MEAN_ROWS,
    MadeGenerator,
)

SEED_1 = [ShardSpec("ttbar", 1, n, 400, generator=MADE) for n in range(3)]
SEED_1 += [ShardSpec("htautau", 1, n, 300, generator=MADE) for n in range(2)]
SEED_2 = [replace(spec, seed=2, enrich=False, hard_events=250) for spec in SEED_1[:2]]


def made(folder: Path, specs: list[ShardSpec]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for spec in specs:
        make_shard(spec, folder / spec.file_name)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    base = tmp_path_factory.mktemp("folders")
    return [made(base / "one" / "shards", SEED_1).parent, made(base / "two", SEED_2)]


@pytest.fixture(scope="module")
def merged(folders: list[Path]) -> merging.Merged:
    return merge(folders, folders[0].parent / "pool.parquet")


@pytest.fixture(scope="module")
def frame(merged: merging.Merged) -> pd.DataFrame:
    return pd.read_parquet(merged.path)


def rewritten(path: Path, change: Callable[[ShardAbout], ShardAbout]) -> None:
    """The same rows with other words about them."""
    document = json.dumps(change(read_about(path)).to_json())
    table = pq.read_table(path).replace_schema_metadata({KEY: document})
    pq.write_table(table, path)


def test_every_row_has_the_weight_of_all_tries(frame: pd.DataFrame) -> None:
    specs = [*SEED_1[3:], *SEED_1[:3], *SEED_2]
    blocks = [
        MadeGenerator(spec.process, spec.stream, enrich=spec.enrich).block(spec.hard_events)
        for spec in specs
    ]
    tries: dict[int, int] = {}
    for code, n in itertools.chain.from_iterable(block.tries.items() for block in blocks):
        tries[code] = tries.get(code, 0) + n
    expected = np.concatenate(
        [
            block.weights * [CROSS_SECTION_FB[c] * 10.0 / tries[c] for c in block.code.tolist()]
            for block in blocks
        ]
    )
    assert frame["weights"].dtype == np.float32
    # To the last digit: nothing is rounded before the end.
    np.testing.assert_array_equal(frame["weights"], expected.astype(np.float32))
    primaries = np.concatenate([block.primaries for block in blocks], axis=1)
    np.testing.assert_array_equal(frame[list(PRIMARIES)].to_numpy().T, primaries)
    np.testing.assert_array_equal(
        frame["process_code"], np.concatenate([block.code for block in blocks])
    )
    labels = np.repeat([s.process for s in specs], [block.n_rows for block in blocks])
    assert frame["detailed_labels"].tolist() == labels.tolist()


def test_the_file_is_one_that_the_task_opens(merged: merging.Merged, frame: pd.DataFrame) -> None:
    events = open_parquet(merged.path)
    assert events.n_rows == merged.rows == len(frame)
    assert events.has_hard_event
    assert events.has_decay
    assert sum(batch.n_events for batch in events.iter_batches()) == len(frame)
    assert (
        frame["hard_event"].nunique()
        == frame.groupby("detailed_labels")["hard_event"].nunique().sum()
    )


def test_enriched_or_not_the_expectation_is_the_same(tmp_path: Path) -> None:
    specs = [ShardSpec("ztautau", 9, n, 4000, enrich=n % 2 == 0, generator=MADE) for n in range(10)]
    result = merge([made(tmp_path, specs)], tmp_path / "pool.parquet")
    own = result.processes["ztautau"]
    truth = CROSS_SECTION_FB[221] * 10.0 * MEAN_ROWS
    error = own.sum_weights.sum() / own.effective**0.5
    assert error / truth < 0.02
    assert own.sum_weights.sum() == pytest.approx(truth, abs=3 * error)


def test_it_counts_regions_and_effective_events(
    merged: merging.Merged, frame: pd.DataFrame
) -> None:
    values = np.ascontiguousarray(frame[list(PRIMARIES)].to_numpy(np.float32).T)
    features, passing = bias_columns(values)
    region = np.full(len(frame), len(REGIONS))
    region[passing] = region_of(features)
    assert BELOW not in REGIONS
    for name in ("ttbar", "htautau"):
        own = merged.processes[name]
        its = frame["detailed_labels"] == name
        assert own.rows == its.sum()
        whole = frame[its].groupby("hard_event")["weights"].sum().astype(float)
        assert own.effective == pytest.approx(whole.sum() ** 2 / (whole**2).sum(), rel=1e-5)
        for r in range(len(REGIONS) + 1):
            inside = frame[its & (region == r)].groupby("hard_event")["weights"].sum()
            inside = inside.astype(float)
            assert own.sum_weights[r] == pytest.approx(inside.sum(), rel=1e-5)
            assert own.sum_squares[r] == pytest.approx((inside**2).sum(), rel=1e-5)
            if len(inside):
                effective = inside.sum() ** 2 / (inside**2).sum()
                assert own.effective_in(r) == pytest.approx(effective, rel=1e-5)
    assert merged.processes["ttbar"].hard_events == 3 * 400 + 2 * 250


def test_the_file_says_where_it_comes_from(merged: merging.Merged, frame: pd.DataFrame) -> None:
    document = json.loads(pq.read_metadata(merged.path).metadata[KEY.encode()])
    assert document["luminosity_fb"] == 10.0
    one, two = document["productions"][0], document["productions"][-1]
    assert (one["seed"], one["enrich"], one["shards"]) == (1, True, {"htautau": "0-1"})
    assert (two["seed"], two["enrich"], two["shards"]) == (2, False, {"ttbar": "0-1"})
    assert document["missing"] == merged.notes == []
    assert set(document["codes"]) == {str(c) for p in ("htautau", "ttbar") for c in CODES[p]}
    for code, sums in document["codes"].items():
        own = frame[frame["process_code"] == int(code)]
        assert sums["rows"] == len(own)
        assert sums["cross_section_fb"] == CROSS_SECTION_FB[int(code)]
        assert sums["sum_weights"] == pytest.approx(own["weights"].astype(float).sum(), rel=1e-5)
        together = own.groupby("hard_event")["weights"].sum().astype(float)
        assert sums["sum_squares"] == pytest.approx((together**2).sum(), rel=1e-5)
    top = document["processes"]["ttbar"]
    its = frame[frame["detailed_labels"] == "ttbar"]["weights"].astype(float)
    assert top["expected_events"] == pytest.approx(its.sum(), rel=1e-5)
    assert len(document["versions"]["numpy"]) == 1
    assert document["commands"] == [
        "sigma68 simulate --shards htautau=2 --seed 1 --hard-events 300 --out shards-1",
        "sigma68 simulate --shards ttbar=3 --seed 1 --hard-events 400 --out shards-2",
        "sigma68 simulate --shards ttbar=2 --seed 2 --hard-events 250 --no-enrich --out shards-3",
        "sigma68 data merge shards-1 shards-2 shards-3 --out pool.parquet",
    ]


def test_gaps_and_mixed_versions_are_noted(tmp_path: Path) -> None:
    folder = made(tmp_path, [SEED_1[0], replace(SEED_1[0], number=4), SEED_1[2]])
    rewritten(
        folder / SEED_1[2].file_name,
        lambda about: replace(about, versions={**about.versions, "sigma68": "99.0"}),
    )
    result = merge([folder], tmp_path / "pool.parquet")
    assert len(result.notes) == 2
    assert result.notes[0].startswith("ttbar shards 1,3 of seed 1 not there")
    assert "99.0 are put together" in result.notes[1]


def test_shuffled_it_is_the_same_rows_in_an_order_of_its_own(
    folders: list[Path], frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shuffle, "_BUCKET_ROWS", 100)
    monkeypatch.setattr(merging, "_CHUNK_ROWS", 150)
    frames = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        merge(folders, tmp_path / f"{name}.parquet", shuffle_seed=seed)
        frames.append(pd.read_parquet(tmp_path / f"{name}.parquet"))
    pd.testing.assert_frame_equal(frames[0], frames[1])
    assert not frames[0].equals(frames[2])
    columns = list(frame.columns)
    for other in (frames[0], frames[2]):
        pd.testing.assert_frame_equal(
            other.sort_values(columns, ignore_index=True),
            frame.sort_values(columns, ignore_index=True),
        )
    # Every stretch has its share of the signal.
    signal = (frames[0]["labels"] == 1).to_numpy()
    halves = signal[: len(signal) // 2].mean(), signal[len(signal) // 2 :].mean()
    assert abs(halves[0] - halves[1]) < 4 * (signal.std() * 2 / len(signal) ** 0.5)
    document = json.loads(pq.read_metadata(tmp_path / "a.parquet").metadata[KEY.encode()])
    assert document["commands"][-1].endswith("--shuffle --seed 1")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.parquet",
        "b.parquet",
        "c.parquet",
    ]


def test_a_shard_counts_once(folders: list[Path], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"are the same shard \(seed 1\)"):
        find_shards([folders[0], folders[0]])
    twin = made(tmp_path / "twin", [replace(SEED_1[0], enrich=False)])
    with pytest.raises(SettingsError, match="are the same shard"):
        find_shards([folders[0], twin])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: replace(a, luminosity_fb=20.0), "normalised to 10 fb.* to 20: merge them apart"),
        (
            lambda a: replace(
                a, codes={c: replace(s, cross_section_fb=1.5) for c, s in a.codes.items()}
            ),
            "cross-section of process code 601 is 470400 fb in .* and 1.5 fb in",
        ),
    ],
)
def test_other_tables_are_refused(
    change: Callable[[ShardAbout], ShardAbout], said: str, tmp_path: Path
) -> None:
    folder = made(tmp_path, SEED_1[:2])
    rewritten(folder / SEED_1[1].file_name, change)
    with pytest.raises(SettingsError, match=said):
        find_shards([folder])


def test_shards_that_number_the_same_hard_events_are_refused(tmp_path: Path) -> None:
    folder = made(tmp_path, SEED_1[:2])
    first = read_about(folder / SEED_1[0].file_name).first_hard_event
    rewritten(
        folder / SEED_1[1].file_name, lambda about: replace(about, first_hard_event=first + 399)
    )
    with pytest.raises(DataError, match="number the same hard events"):
        find_shards([folder])


def test_what_cannot_be_merged_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no shards"):
        merge([tmp_path], tmp_path / "pool.parquet")
    empty = made(tmp_path / "empty", [replace(SEED_1[0], generator=f"{HERE}:EmptyGenerator")])
    with pytest.raises(DataError, match="not a single event"):
        merge([empty], tmp_path / "pool.parquet")
    folder = made(tmp_path / "lies", SEED_1[:1])
    rewritten(folder / SEED_1[0].file_name, lambda about: replace(about, rows=about.rows + 1))
    with pytest.raises(DataError, match="does not hold what it says"):
        merge([folder], tmp_path / "pool.parquet")
    with pytest.raises(OutputError, match="cannot be written"):
        merge([made(tmp_path / "good", SEED_1[:1])], tmp_path / "nowhere" / "pool.parquet")
    assert list(tmp_path.glob("*.parquet")) == []
    assert list(tmp_path.glob(".*")) == []


def test_no_shard_is_overwritten(folders: list[Path]) -> None:
    shard = folders[0] / "shards" / SEED_1[0].file_name
    before = shard.read_bytes()
    for name in (shard, shard.with_name("my-pool.parquet")):
        with pytest.raises(SettingsError, match="would lie among the shards"):
            merge(folders, name)
    assert shard.read_bytes() == before


def test_empty_shards_count_with_their_tries(tmp_path: Path) -> None:
    folder = made(tmp_path / "a", SEED_1[:1])
    alone = merge([folder], tmp_path / "alone.parquet")
    made(folder, [replace(SEED_1[0], number=1, generator=f"{HERE}:EmptyGenerator")])
    both = merge([folder], tmp_path / "both.parquet")
    assert both.rows == alone.rows
    total = [m.processes["ttbar"].sum_weights.sum() for m in (alone, both)]
    assert total[1] == pytest.approx(total[0] / 2, rel=0.1)


@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("seed", [None, 1])
def test_a_full_disk_leaves_nothing(seed: int | None, folders: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "pool.parquet"
    with pytest.raises(OutputError, match=r"pool\.parquet cannot be written \(File too large\)"):
        merge(folders, out, shuffle_seed=seed)
    assert list(tmp_path.iterdir()) == []
