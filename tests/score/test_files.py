"""Scores on disk: what score.json says, ranking folders, the challenge's own files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma68.errors import DataError, OutputError, SettingsError
from sigma68.score.files import rank_folders, read_score, score_folder
from sigma68.score.intervals import score_intervals
from sigma68.score.peer_files import read_peer_files, write_peer_files
from tests.score.made_toys import MU, made_toys
from tests.score.runs import OMEGA, S8, FakeTask, made_run, two_parameters


def test_score_json_holds_score_settings_and_versions(tmp_path: Path) -> None:
    toys = made_toys(3, 20, failures=0.05)
    score = score_folder(made_run(tmp_path, toys), task=FakeTask())
    document = read_score(tmp_path)
    for key in ("quantiles_score", "interval", "coverage", "rmse", "mae", "epsilon"):
        assert document[key] == score.values[key]
    assert document["n_toys"] == 60
    assert document["n_failed"] == int((toys["status"] != "ok").sum())
    assert sum(document["status"].values()) == 60
    assert document["settings"]["seed"] == 1
    assert document["versions"] == {"python": "3.11", "sigma68": "0.0"}
    assert document["provenance"]["data_fingerprint"] == "abc"
    assert [s["set"] for s in document["per_set"]] == [0, 1, 2]
    assert set(document["coverage_against"]) == {"mu", "shift", "smear"}
    assert score == score_intervals(toys, MU)


def test_score_json_is_strict_json(tmp_path: Path) -> None:
    made_run(tmp_path, made_toys(1, 3, failures=1.1))
    score_folder(tmp_path, task=FakeTask())

    def refuse(token: str) -> None:
        raise AssertionError(token)

    document = json.loads((tmp_path / "score.json").read_text(), parse_constant=refuse)
    assert document["rmse"] is None
    assert document["ranked"] is False


def test_epsilon_comes_from_the_call_then_the_settings(tmp_path: Path) -> None:
    made_run(tmp_path, made_toys(2, 20), epsilon=0.5)
    assert score_folder(tmp_path, task=FakeTask()).values["epsilon"] == 0.5
    assert score_folder(tmp_path, task=FakeTask(), epsilon=1e-3).values["epsilon"] == 1e-3
    assert read_score(tmp_path)["epsilon"] == 1e-3


def test_a_table_with_toys_missing_is_refused(tmp_path: Path) -> None:
    toys = made_toys(3, 20)
    made_run(tmp_path, toys)
    toys.iloc[:-1].to_parquet(tmp_path / "toys.parquet")
    with pytest.raises(DataError, match="has 59 toys, the settings ask for 60"):
        score_folder(tmp_path, task=FakeTask())
    assert not (tmp_path / "score.json").exists()


def test_scoring_again_gives_the_same_file(tmp_path: Path) -> None:
    made_run(tmp_path, made_toys(3, 20))
    score_folder(tmp_path, task=FakeTask())
    first = (tmp_path / "score.json").read_bytes()
    score_folder(tmp_path, task=FakeTask())
    assert (tmp_path / "score.json").read_bytes() == first


def test_other_kinds_of_answer_are_scored_too(tmp_path: Path) -> None:
    made_run(tmp_path, two_parameters())
    score_folder(tmp_path, task=FakeTask("estimates", (OMEGA, S8), ()))
    document = read_score(tmp_path)
    assert "omega_coverage" in document
    assert "coverage_against" not in document


def test_folders_without_a_finished_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no run"):
        score_folder(tmp_path, task=FakeTask())
    made_run(tmp_path, made_toys(1, 3))
    (tmp_path / "toys.parquet").unlink()
    with pytest.raises(DataError, match="not finished"):
        score_folder(tmp_path, task=FakeTask())
    with pytest.raises(DataError, match="score the run first"):
        read_score(tmp_path)
    (tmp_path / "score.json").write_text('{"half')
    with pytest.raises(DataError, match="score the run again"):
        read_score(tmp_path)


def test_a_score_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_run(tmp_path, made_toys(1, 3))
    score_folder(tmp_path, task=FakeTask())
    before = (tmp_path / "score.json").read_text()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OutputError, match="No space left"):
        score_folder(tmp_path, task=FakeTask(), epsilon=0.3)
    assert (tmp_path / "score.json").read_text() == before


def test_rank_folders(tmp_path: Path) -> None:
    narrow = made_run(tmp_path / "narrow", made_toys(20, 50, sigma=0.3))
    wide = made_run(tmp_path / "wide", made_toys(20, 50, sigma=0.6))
    ranking = rank_folders([wide, narrow], task=FakeTask())
    assert ranking.groups == (("narrow",), ("wide",))
    assert ranking.paired
    named = rank_folders({"a": wide, "b": narrow}, task=FakeTask(), sets_drawn=5)
    assert named.entries[0].name == "b"


def test_runs_on_other_data_are_indicative_though_their_truths_agree(tmp_path: Path) -> None:
    one = made_run(tmp_path / "one", made_toys(20, 50))
    two = made_run(tmp_path / "two", made_toys(20, 50, sigma=0.5), fingerprint="of other events")
    ranking = rank_folders([one, two], task=FakeTask())
    assert ranking.is_indicative
    assert "of other events" in ranking.notes[0]


def test_the_same_data_at_another_place_are_common_toys(tmp_path: Path) -> None:
    one = made_run(tmp_path / "one", made_toys(20, 50), data="here.parquet")
    two = made_run(tmp_path / "two", made_toys(20, 50, sigma=0.5), data="there.parquet")
    assert rank_folders([one, two], task=FakeTask()).paired
    # Without a fingerprint of both, the paths are all there is to go by.
    for folder in (two, one):
        (folder / "provenance.json").unlink()
        ranking = rank_folders([one, two], task=FakeTask())
        assert ranking.is_indicative
        assert "there.parquet" in ranking.notes[0]


def test_folders_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    one = made_run(tmp_path / "one", made_toys(2, 5))
    other = made_run(tmp_path / "two", made_toys(2, 5), task="another")
    same = made_run(tmp_path / "deeper" / "one", made_toys(2, 5))
    with pytest.raises(SettingsError, match="different tasks"):
        rank_folders([one, other], task=FakeTask())
    with pytest.raises(SettingsError, match="same name"):
        rank_folders([one, same], task=FakeTask())
    with pytest.raises(SettingsError, match="nothing to rank"):
        rank_folders([], task=FakeTask())


def test_the_challenges_files_have_its_keys_and_numbers(tmp_path: Path) -> None:
    toys = made_toys(3, 20, failures=0.05)
    folder = write_peer_files(made_run(tmp_path, toys), task=FakeTask())
    assert {p.name for p in folder.iterdir()} == {
        "result_0.json",
        "result_1.json",
        "result_2.json",
        "scores.json",
        "test_settings.json",
    }
    lists = json.loads((folder / "result_1.json").read_text())
    assert set(lists) == {"mu_hats", "delta_mu_hats", "p16", "p84"}
    of_set = toys[toys["set"] == 1]
    np.testing.assert_array_equal(lists["p16"], of_set["p16"])
    settings = json.loads((folder / "test_settings.json").read_text())
    assert settings["systematics"] == {"shift": True, "smear": True}
    assert settings["num_of_sets"] == 3
    assert settings["num_pseudo_experiments"] == 20
    assert settings["ground_truth_mus"] == toys.groupby("set")["mu"].first().to_list()
    scores = json.loads((folder / "scores.json").read_text())
    values = score_intervals(toys, MU).values
    assert scores["rmse"] == values["rmse_peer"]
    assert scores["mae"] == values["mae_peer"]
    assert scores["quantiles_score"] == values["quantiles_score"]
    assert scores["epsilon"] == 0.01
    assert scores["ingestion_duration"] == pytest.approx(toys["seconds"].sum() / 60)


def test_the_challenges_files_are_read_back(tmp_path: Path) -> None:
    toys = made_toys(12, 5, failures=0.05)
    folder = write_peer_files(made_run(tmp_path, toys), task=FakeTask())
    back = read_peer_files(folder, MU)
    ours, theirs = score_intervals(toys, MU).values, score_intervals(back, MU).values
    assert theirs == ours
    # The older names of the bounds, and null for a failed toy.
    document = json.loads((folder / "result_3.json").read_text())
    document["p16s"], document["p84s"] = document.pop("p16"), document.pop("p84")
    document["p16s"][0] = None
    (folder / "result_3.json").write_text(json.dumps(document))
    again = read_peer_files(folder, MU)
    assert again.loc[(again["set"] == 3) & (again["toy"] == 0), "p16"].isna().all()
    score_intervals(again, MU)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("result_0.json", "{", "cannot be read as JSON"),
        ("result_0.json", "[]", "JSON object"),
        ("result_0.json", '{"mu_hats": [1]}', "delta_mu_hats"),
        (
            "result_0.json",
            '{"mu_hats": [1], "delta_mu_hats": [1], "p16": [1, 2], "p84": [1]}',
            "different lengths",
        ),
        (
            "result_0.json",
            '{"mu_hats": ["x"], "delta_mu_hats": [1], "p16": [1], "p84": [1]}',
            "not a number",
        ),
        ("test_settings.json", "{}", "ground_truth_mus"),
        ("test_settings.json", '{"ground_truth_mus": [1, 2]}', "ground_truth_mus"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: str, words: str) -> None:
    folder = write_peer_files(made_run(tmp_path, made_toys(1, 2)), task=FakeTask())
    (folder / name).write_text(content)
    with pytest.raises(DataError, match=words) as caught:
        read_peer_files(folder, MU)
    assert name in str(caught.value)


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="result_<set>"):
        read_peer_files(tmp_path, MU)
