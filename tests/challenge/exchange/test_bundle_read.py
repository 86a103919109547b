"""What a bundle says is read in full; what it should not hold is refused in a sentence."""

from __future__ import annotations

import math
import random
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from sigma68.challenge.exchange.bundle import BundleColumn
from sigma68.challenge.exchange.bundle_read import OpenBundle, open_bundle
from sigma68.errors import ExchangeError
from tests.challenge.exchange.bundles import FILES, small, write_folder, write_zip

Edit = Callable[[dict[str, Any]], object]


def read(tmp_path: Path, document: dict[str, Any] | str | None = None) -> OpenBundle:
    folder = write_folder(tmp_path / "bundle", document)
    return open_bundle(folder, tmp_path / "work")


def test_everything_is_read(tmp_path: Path) -> None:
    bundle = open_bundle(write_zip(tmp_path / "bundle.zip"), tmp_path / "work")
    told = bundle.challenge
    assert told.title == "Compute something"
    assert told.pages[0].content.encode() == FILES["pages/overview.md"]
    assert told.terms is not None
    assert told.terms.content == "# Terms\n\nBe fair.\n"
    assert told.image == "logo.png"
    first, final = told.phases
    assert first.start == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert first.end == datetime(2026, 3, 1, tzinfo=UTC)
    assert (first.max_submissions, first.max_submissions_per_day) == (100, 5)
    assert final.end is None
    assert final.auto_migrate_to_this_phase
    assert told.task(0).scoring_program == "scoring_program"
    assert told.leaderboards[0].columns[1] == BundleColumn(1, "Mean width", "interval", "asc")
    assert bundle.notes == ()


def test_a_folder_that_was_zipped_whole_is_a_bundle_too(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bundle.zip", prefix="mine/")
    assert open_bundle(path, tmp_path / "work").challenge.title == "Compute something"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31 12:30:00", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("2026-01-31T12:30:00Z", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("2026-01-31T12:30:00+02:00", datetime(2026, 1, 31, 10, 30, tzinfo=UTC)),
        ("'2026-01-31 12:30:00 UTC'", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("'2026-01-31T12:30:00+02:00'", datetime(2026, 1, 31, 10, 30, tzinfo=UTC)),
    ],
)
def test_times_are_in_utc_however_they_are_written(
    tmp_path: Path, written: str, meant: datetime
) -> None:
    document = small()
    document["phases"] = document["phases"][:1]
    document["phases"][0]["start"] = "WHEN"
    text = yaml.safe_dump(document).replace("WHEN", written)
    assert read(tmp_path, text).challenge.phases[0].start == meant


def test_a_dump_of_codabench_is_read_without_a_note(tmp_path: Path) -> None:
    document = small()
    document["version"] = "2"
    document["phases"][0] |= {"max_submissions_per_day": None, "max_submissions": 0}
    document["phases"][0] |= {"solutions": [], "description": None}
    document["tasks"][0] |= {"is_public": False}
    document["leaderboards"][0]["index"] = 0
    document["leaderboards"][0]["columns"][0]["computation_indexes"] = []
    bundle = read(tmp_path, document)
    phase = bundle.challenge.phases[0]
    assert (phase.max_submissions, phase.max_submissions_per_day) == (None, None)
    assert bundle.notes == ()


def test_what_means_nothing_here_is_said(tmp_path: Path) -> None:
    document = small() | {"queue": "abc", "image": "pages/terms.md"}
    notes = " ".join(read(tmp_path, document).notes)
    assert "queue is left out" in notes
    assert "logo pages/terms.md is left out" in notes


def change(*path: Any, to: Any) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        place: Any = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (change("version", to=1), "version 1, not 2"),
        (change("title", to=None), "has no title"),
        (change("title", to="x" * 257), "shorten it"),
        (change("title", to=["a"]), "title must be a text, not a list"),
        (change("tasks", to=None), "names a task 0, which is not there"),
        (change("tasks", to={"a": 1}), "tasks must be a list"),
        (change("tasks", 0, to="x"), "must be a list of 'key: value'"),
        (change("tasks", 0, "scoring_program", to=None), "has no scoring_program"),
        (change("tasks", 0, "scoring_program", to="gone"), "not in the bundle"),
        (change("tasks", 0, "scoring_program", to="../x"), "leads out of the bundle"),
        (change("tasks", 0, "scoring_program", to="/etc"), "leads out of the bundle"),
        (change("tasks", 0, "scoring_program", to="a\\b"), "leads out of the bundle"),
        (change("tasks", 0, to={"index": 0, "key": "0b2f"}), "only the key of a task"),
        (change("tasks", 0, "index", to=True), "index must be a whole number, not True"),
        (change("pages", 0, "file", to="logo.png"), "not UTF-8 text"),
        (change("pages", 0, "file", to="/etc/passwd"), "leads out of the bundle"),
        (change("terms", to="pages"), "must be a text file"),
        (change("phases", to=[]), "has no phases"),
        (change("phases", 0, "start", to=None), "has no start"),
        (change("phases", 0, "start", to="soon"), "must be a time such as"),
        (change("phases", 0, "end", to="2026-01-01"), "ends before it starts"),
        (change("phases", 0, "end", to=None), "begins before 'Development' has ended"),
        (change("phases", 1, "start", to="2026-02-01"), "begins before 'Development' has ended"),
        (change("phases", 0, "tasks", to=[3]), "names a task 3"),
        (change("phases", 0, "tasks", to=[]), "has no tasks"),
        (change("phases", 0, "max_submissions", to=-1), "max_submissions must be 0 to"),
        (change("phases", 0, "max_submissions", to=10**30), "a number that is too large"),
        (change("phases", 0, "hide_output", to="perhaps"), "must be true or false"),
        (change("leaderboards", 0, "columns", to=[]), "has no columns"),
        (change("leaderboards", 0, "columns", 1, "index", to=0), "two columns of"),
        (change("leaderboards", 0, "columns", 1, "sorting", to="up"), "must be asc or desc"),
        (change("solutions", to=[{"path": "gone.zip"}]), "not in the bundle"),
        (change("fact_sheet", to=["a"]), "fact_sheet must be a list of 'key: value'"),
        (change("phases", to=[{}] * 60), "more than 50"),
        (change("pages", to=[1] * 21_000), "more than 20,000 values"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(
    tmp_path: Path, edit: Edit, words: str
) -> None:
    document = small()
    edit(document)
    with pytest.raises(ExchangeError, match=words):
        read(tmp_path, document)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title: [", "cannot be read as YAML"),
        ("- a\n- b", "must be a list of 'key: value'"),
        ("", "must be a list of 'key: value', not nothing"),
        ("!!python/object/apply:os.system ['touch /tmp/pwned']", "cannot be read as YAML"),
        ("version: !!python/name:os.system x", "cannot be read as YAML"),
        ("1: 2", "a key that is no text"),
        ("version: " + "9" * 5000, "cannot be read as YAML"),
        ("version: 0x" + "f" * 5000, "a number that is too large"),
        ("version: 2026-99-99", "cannot be read as YAML"),
        ("version: " + "[" * 5_000, "cannot be read as YAML"),
        ("version: &a [*a, *a]", "more than 20,000 values"),
        ("x: " + "y" * (150 << 10), "larger than 128 KiB"),
        (
            "\n".join(
                ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
                + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
            ),
            "more than 20,000 values",
        ),
        ("a: &a [" + "1," * 15_000 + " &b [*a]]", "more than 20,000 values"),
    ],
)
def test_yaml_that_means_harm_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ExchangeError, match=words):
        read(tmp_path, text)


def test_text_keeps_no_character_that_does_not_print(tmp_path: Path) -> None:
    document = small() | {"title": "a\u202ebc\x1b[31m"}
    assert read(tmp_path, document).challenge.title == "a bc [31m"


def test_zips_that_mean_harm_are_refused(tmp_path: Path) -> None:
    cases: dict[str, Callable[[zipfile.ZipFile], object]] = {
        "leads out of the bundle's folder": lambda z: z.writestr("../evil", "x"),
        "no bundle needs that": lambda z: z.writestr("zeros", b"\0" * (64 << 20)),
        "is a link": lambda z: z.writestr(linked("pages/link"), "/etc/passwd"),
        "as a file and as a folder": lambda z: z.writestr("logo.png/x", "x"),
    }
    for words, spoil in cases.items():
        path = write_zip(tmp_path / "bundle.zip")
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as made:
            spoil(made)
        with pytest.raises(ExchangeError, match=words):
            open_bundle(path, tmp_path / "work")
    assert not (tmp_path / "evil").exists()


def linked(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


def test_a_link_in_a_folder_cannot_show_what_is_outside(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "bundle")
    (folder / "pages" / "overview.md").unlink()
    (folder / "pages" / "overview.md").symlink_to("/etc/passwd")
    with pytest.raises(ExchangeError, match="a link out of the folder"):
        open_bundle(folder, tmp_path / "work")


@pytest.mark.parametrize("name", ["nothing.zip", "text.zip", "empty"])
def test_what_is_no_bundle_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.zip").write_text("no zip at all")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExchangeError):
        open_bundle(tmp_path / name, tmp_path / "work")


ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**31, 2**70, 1.5, math.nan, "", " ", "x" * 300, "a\nb", "../x", "."),
    *("pages/", "pages/terms.md//", "~", [], [[]], {}, {"a": 1}, {1: 2}, {"x", "y"}, b"bytes"),
    *(date(2026, 1, 1), datetime(1, 1, 1), "0001-01-01T00:00:00+23:00", "9999-12-31T23:00-23:00"),
)


def test_whatever_a_value_is_there_is_an_answer_or_a_refusal(tmp_path: Path) -> None:
    choose = random.Random(7)
    folder = write_folder(tmp_path / "bundle")
    sentences = []
    for _ in range(60):
        document = small()
        place, key = choose.choice(list(places(document)))
        place[key] = choose.choice(ODD)
        (folder / "competition.yaml").write_text(yaml.safe_dump(document))
        try:
            open_bundle(folder, tmp_path / "work")
        except ExchangeError as error:
            sentences.append(str(error))
    assert 20 < len(sentences) < 60
    assert max(map(len, sentences)) < 600


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a document that a value can stand in: its container, and its key there."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, below in inner:
        yield value, key
        if isinstance(below, dict | list):
            yield from places(below)


def test_whatever_byte_of_a_zip_is_wrong_there_is_an_answer_or_a_refusal(tmp_path: Path) -> None:
    choose = random.Random(8)
    path = write_zip(tmp_path / "bundle.zip")
    whole = path.read_bytes()
    refused = 0
    for _ in range(80):
        content = bytearray(whole)
        for _ in range(choose.choice((1, 2, 5))):
            content[choose.randrange(len(content))] = choose.randrange(256)
        path.write_bytes(content)
        try:
            open_bundle(path, tmp_path / "work")
        except ExchangeError:
            refused += 1
    assert refused > 50
