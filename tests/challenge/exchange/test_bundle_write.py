"""What is written is what was read, and what Codabench insists on is insisted on here."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from sigma68.challenge.exchange.bundle import BundleColumn
from sigma68.challenge.exchange.bundle_read import OpenBundle, open_bundle
from sigma68.challenge.exchange.bundle_rules import problems
from sigma68.challenge.exchange.bundle_write import competition_yaml, write_bundle
from sigma68.errors import ExchangeError
from tests.challenge.exchange.bundles import small, write_folder


@pytest.fixture
def bundle(tmp_path: Path) -> OpenBundle:
    document = small()
    document["solutions"] = [{"index": 0, "path": "scoring_program", "tasks": [0], "name": "s"}]
    document["phases"][0] |= {"max_submissions": 0, "starting_kit": "pages", "hide_output": True}
    document["leaderboards"][0]["columns"].append(
        {
            "index": 2,
            "title": "Both",
            "key": "both",
            "computation": "avg",
            "computation_indexes": [0, 1],
        }
    )
    question = {"key": "q", "type": "select", "title": "Q", "selection": ["", "a", True]}
    document |= {"fact_sheet": {"q": question}, "contact_email": "a@example.org"}
    return open_bundle(write_folder(tmp_path / "bundle", document), tmp_path / "work")


def test_a_bundle_comes_back_as_it_was(bundle: OpenBundle, tmp_path: Path) -> None:
    path = write_bundle(bundle.challenge, bundle.root.folder, tmp_path / "out.zip")
    again = open_bundle(path, tmp_path / "work")
    assert again.challenge == bundle.challenge
    assert again.notes == ()
    score = again.root.folder / "scoring_program" / "score.py"
    assert score.read_bytes() == b"raise SystemExit('never run')\n"
    twice = write_bundle(again.challenge, again.root.folder, tmp_path / "again.zip")
    assert twice.read_bytes() == path.read_bytes()


def test_only_what_is_named_goes_in(bundle: OpenBundle, tmp_path: Path) -> None:
    (bundle.root.folder / "secret.txt").write_text("hush")
    path = write_bundle(bundle.challenge, bundle.root.folder, tmp_path / "out.zip")
    with zipfile.ZipFile(path) as opened:
        names = opened.namelist()
    assert names[0] == "competition.yaml"
    assert "secret.txt" not in names
    assert len(names) == len(set(names))


def test_times_are_texts_to_yaml(bundle: OpenBundle) -> None:
    phases = yaml.safe_load(competition_yaml(bundle.challenge))["phases"]
    assert phases[0]["start"] == "2026-01-31 12:00:00"
    assert phases[0]["max_submissions"] == 0
    assert "end" not in phases[1]


def test_a_file_that_is_missing_is_named(bundle: OpenBundle, tmp_path: Path) -> None:
    (bundle.root.folder / "logo.png").unlink()
    with pytest.raises(ExchangeError, match=r"names logo\.png, which is not in"):
        write_bundle(bundle.challenge, bundle.root.folder, tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


def spoiled(bundle: OpenBundle, what: str) -> Any:
    told = bundle.challenge
    first, final = told.phases
    board = told.leaderboards[0]
    column = BundleColumn(1, "x", "y")
    assert told.terms is not None
    return replace(
        told,
        **{
            "no logo": {"image": None},
            "no terms": {"terms": None},
            "no title": {"title": ""},
            "title has more than 256": {"title": "x" * 257},
            "docker_image has more": {"docker_image": "x" * 129},
            "is empty": {"pages": (replace(told.pages[0], content=""),)},
            "no phase": {"phases": ()},
            "no task that is there": {"phases": (replace(first, tasks=(4,)), final)},
            "needs an end": {"phases": (replace(first, end=None), final)},
            "must start after": {"phases": (first, replace(final, start=first.end))},
            "ends before it starts": {
                "phases": (replace(first, end=first.start - timedelta(1)), final)
            },
            "the first phase": {"phases": (replace(first, auto_migrate_to_this_phase=True), final)},
            "has no leaderboard": {"leaderboards": ()},
            "submission_rule": {"leaderboards": (replace(board, submission_rule="Best"),)},
            "has no columns": {"leaderboards": (replace(board, columns=()),)},
            "share their index": {"leaderboards": (replace(board, columns=(column,) * 2),)},
            "at most 36": {
                "leaderboards": (replace(board, columns=(replace(column, key="k" * 37),)),)
            },
            "computed from other": {
                "leaderboards": (replace(board, columns=(replace(column, computation="sum"),)),)
            },
        }[what],
    )


@pytest.mark.parametrize(
    "what",
    [
        *("no logo", "no terms", "no title", "title has more than 256", "docker_image has more"),
        *("is empty", "no phase", "no task that is there", "needs an end", "must start after"),
        *("ends before it starts", "the first phase", "has no leaderboard", "submission_rule"),
        *("has no columns", "share their index", "at most 36", "computed from other"),
    ],
)
def test_what_codabench_would_refuse_is_not_written(
    bundle: OpenBundle, tmp_path: Path, what: str
) -> None:
    assert problems(bundle.challenge) == []
    bad = spoiled(bundle, what)
    assert any(what in sentence for sentence in problems(bad))
    with pytest.raises(ExchangeError, match="Codabench would not take"):
        write_bundle(bad, bundle.root.folder, tmp_path / "out.zip")
