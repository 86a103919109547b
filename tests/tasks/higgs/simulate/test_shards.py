"""A shard: what it holds, what it says of itself, and that nothing but its name decides it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
import pytest

from sigma68.errors import DataError, MissingExtraError, OutputError, SettingsError, SimulationError
from sigma68.tasks.higgs.dataset import open_parquet
from sigma68.tasks.higgs.derived import derive
from sigma68.tasks.higgs.history import KEY
from sigma68.tasks.higgs.schema import DERIVED, FEATURES, PRIMARIES, PROCESSES
from sigma68.tasks.higgs.simulate import making
from sigma68.tasks.higgs.simulate.block import Block
from sigma68.tasks.higgs.simulate.making import make_shard
from sigma68.tasks.higgs.simulate.shards import (
    ShardAbout,
    ShardSpec,
    check_versions,
    first_hard_event,
    read_about,
    shard_files,
)
from sigma68.tasks.higgs.simulate.streams import CROSS_SECTION_FB
from tests.tasks.higgs.simulate.made_blocks import HERE, MADE, MadeGenerator

SPEC = ShardSpec("ttbar", seed=3, number=2, hard_events=2000, generator=MADE)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shards") / SPEC.file_name
    make_shard(SPEC, path)
    return path


@pytest.fixture(scope="module")
def block() -> Block:
    return MadeGenerator("ttbar", SPEC.stream).block(2000)


def test_a_shard_is_a_file_of_events_with_where_they_come_from(shard: Path, block: Block) -> None:
    assert shard.name == "ttbar-000002.parquet"
    events = open_parquet(shard)
    assert (events.has_hard_event, events.has_decay) == (True, True)
    frame = pd.read_parquet(shard)
    assert len(frame) == block.n_rows == events.n_rows
    np.testing.assert_array_equal(frame[list(PRIMARIES)].to_numpy().T, block.primaries)
    np.testing.assert_array_equal(frame[list(DERIVED)].to_numpy().T, derive(block.primaries))
    assert set(frame["detailed_labels"]) == {"ttbar"}
    assert set(frame["labels"]) == {0.0}
    np.testing.assert_array_equal(frame["process_code"], block.code)
    assert frame["process_code"].dtype == np.int16
    np.testing.assert_array_equal(frame["decay"], block.decay)
    first = first_hard_event("ttbar", 3, 2)
    np.testing.assert_array_equal(frame["hard_event"], first + block.hard_event)
    assert frame["hard_event"].dtype == np.int64
    assert all(frame[name].dtype == np.float32 for name in FEATURES)


def test_by_itself_it_stands_for_the_luminosity(shard: Path, block: Block) -> None:
    frame = pd.read_parquet(shard)
    assert frame["weights"].dtype == np.float64
    expected = [
        w * CROSS_SECTION_FB[int(code)] * 10.0 / block.tries[int(code)]
        for w, code in zip(block.weights, block.code, strict=True)
    ]
    np.testing.assert_allclose(frame["weights"], expected, rtol=1e-14)


def test_it_says_what_was_tried_and_with_what(shard: Path, block: Block) -> None:
    about = read_about(shard)
    frame = pd.read_parquet(shard)
    assert (about.process, about.seed, about.number, about.enrich) == ("ttbar", 3, 2, True)
    assert (about.hard_events, about.rows) == (2000, len(frame))
    assert about.luminosity_fb == 10.0
    assert about.seconds >= 0
    assert about.pythia_seed == 7
    assert {"sigma68", "numpy", "numba"} <= set(about.versions)
    assert {code: sums.tries for code, sums in about.codes.items()} == block.tries
    whole = frame.groupby("hard_event")["weights"].sum()
    assert about.effective_events == pytest.approx(whole.sum() ** 2 / (whole**2).sum())
    for code, sums in about.codes.items():
        own = frame[frame["process_code"] == code]
        together = own.groupby("hard_event")["weights"].sum()
        assert sums.cross_section_fb == CROSS_SECTION_FB[code]
        assert (sums.rows, sums.hard_events) == (len(own), len(together))
        assert sums.sum_weights == pytest.approx(own["weights"].sum())
        assert sums.sum_squares == pytest.approx((together**2).sum())


def test_it_is_a_function_of_its_name(shard: Path, tmp_path: Path) -> None:
    make_shard(SPEC, tmp_path / "again.parquet")
    assert pq.read_table(tmp_path / "again.parquet").equals(pq.read_table(shard))
    old, new = read_about(shard), read_about(tmp_path / "again.parquet")
    assert replace(new, seconds=old.seconds) == old


@pytest.mark.parametrize("change", [{"seed": 4}, {"number": 3}, {"process": "diboson"}])
def test_another_name_other_events(shard: Path, tmp_path: Path, change: dict[str, object]) -> None:
    make_shard(replace(SPEC, **change), tmp_path / "other.parquet")
    one, other = pd.read_parquet(shard), pd.read_parquet(tmp_path / "other.parquet")
    assert not set(one["PRI_lep_eta"].head(100)) >= set(other["PRI_lep_eta"].head(100))
    assert not set(one["hard_event"]) & set(other["hard_event"])


def test_hard_events_of_many_shards_do_not_overlap() -> None:
    first = sorted(
        first_hard_event(process, seed, number)
        for process in PROCESSES
        for seed in range(10)
        for number in range(500)
    )
    assert np.diff(np.array(first)).min() > 5000
    assert first[0] >= 0
    assert first[-1] < 2**62


def test_a_shard_without_rows_is_a_shard(tmp_path: Path) -> None:
    spec = replace(SPEC, generator=f"{HERE}:EmptyGenerator")
    about = make_shard(spec, tmp_path / "empty.parquet")
    assert (about.rows, about.effective_events) == (0, 0.0)
    assert read_about(tmp_path / "empty.parquet") == about
    assert sum(sums.tries for sums in about.codes.values()) == 6000
    assert pq.read_metadata(tmp_path / "empty.parquet").num_rows == 0


def nan_in(primaries: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    out = primaries.copy()
    out[3, 5] = np.nan
    return out


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda b: {"primaries": nan_in(b.primaries)}, "a primary column is not finite"),
        (lambda b: {"primaries": b.primaries.astype(np.float64)}, "primaries are float64"),
        (lambda b: {"weights": -b.weights}, "a weight is not a positive number"),
        (lambda b: {"tries": {**b.tries, 221: 5}}, "process code 221 is none of ttbar"),
        (lambda b: {"tries": {601: b.tries[601]}}, "rows of process code 602 without tries"),
        (lambda b: {"hard_events": 10}, "numbered outside the block"),
    ],
)
def test_a_broken_block_is_refused(
    changed: object, said: str, block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(block, **changed(block))  # type: ignore[operator]
    monkeypatch.setattr(MadeGenerator, "block", lambda self, hard_events: broken)
    with pytest.raises(SimulationError, match=said):
        make_shard(SPEC, tmp_path / "broken.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_generator_that_gives_up_is_told_with_its_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(self: MadeGenerator, hard_events: int) -> Block:
        raise SimulationError("Pythia gave up.")

    monkeypatch.setattr(MadeGenerator, "block", give_up)
    said = r"shard ttbar-000002\.parquet cannot be made \(Pythia gave up\): .* another seed"
    with pytest.raises(SimulationError, match=said):
        make_shard(SPEC, tmp_path / "x.parquet")


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"ttbar\.parquet cannot be written \(File too large\)"):
        make_shard(SPEC, tmp_path / "ttbar.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module", name="pythia8mc")

    monkeypatch.setattr(making, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"needs pythia8mc.*sigma68\[simulate\]"):
        make_shard(SPEC, tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("zee", 0, 0, 1), "no process 'zee': choose from htautau"),
        (("ttbar", -1, 0, 1), "count from 0"),
        (("ttbar", 0, 0, 0), "1 hard event or more"),
    ],
)
def test_a_shard_that_cannot_be(values: tuple[str, int, int, int], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        ShardSpec(*values)


def test_what_is_no_shard_is_said(shard: Path, tmp_path: Path) -> None:
    cut = tmp_path / "ttbar-000000.parquet"
    cut.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_about(cut)
    pd.DataFrame({"x": [1.0]}).to_parquet(cut)
    with pytest.raises(DataError, match="is not a shard"):
        read_about(cut)
    document = read_about(shard).to_json()
    for wrong in ({**document, "format": 99}, {"format": 1}, [], None):
        table = pq.read_table(shard).replace_schema_metadata({KEY: json.dumps(wrong)})
        pq.write_table(table, cut)
        with pytest.raises(DataError, match="is not a shard"):
            read_about(cut)


def test_other_software_is_refused(shard: Path) -> None:
    about = read_about(shard)
    check_versions(about, "here")
    other = replace(about, versions={**about.versions, "pythia8mc": "7.0"})
    with pytest.raises(SettingsError, match=r"here has pythia8mc 7\.0, and this is"):
        check_versions(other, "here")
    assert ShardAbout.from_json(json.loads(json.dumps(other.to_json()))) == other


def test_shards_are_found_in_their_folder_and_below_it(shard: Path) -> None:
    assert list(shard_files(shard.parent)) == [shard]
    inside = shard.parent / "run" / "shards"
    inside.mkdir(parents=True)
    (inside / "ttbar-000001.parquet").touch()
    (inside / ".ttbar-000003.parquet.partial").touch()
    assert [path.name for path in shard_files(inside.parent)] == ["ttbar-000001.parquet"]
