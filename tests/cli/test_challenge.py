"""`sigma68 challenge`: out of one server, into another, and as a bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from sigma68.challenge.rules import accounts
from sigma68.challenge.store.tables import Challenge, User
from sigma68.cli import app
from tests.challenge.exchange.bundles import write_zip
from tests.challenge.exchange.conftest import NOW, empty_server, exported, full_server, opened

__all__ = ["empty_server", "exported", "full_server"]


@pytest.fixture
def server(tmp_path: Path, full_server: Path) -> Path:
    return shutil.copytree(full_server, tmp_path / "server")


def call(server: Path, *words: str) -> Result:
    place = ["--database", f"sqlite:///{server}/challenge.db", "--files", f"{server}/files"]
    return CliRunner().invoke(app, ["challenge", *words, *place])


def test_everything_goes_out_and_into_an_empty_server(server: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    result = call(server, "export", out, "--formats", "parquet")
    assert result.exit_code == 0, result.output
    assert (
        "left out: hashes of passwords and of API tokens; truths of observations given away; "
        in result.stdout
    )
    copy = tmp_path / "copy"
    result = call(copy, "import", out, "--password-for", "Olga")
    assert result.exit_code == 0, result.output
    password = result.stdout.strip().rsplit(" ", 1)[1]
    store = opened(copy)
    with store.write() as session:
        user = accounts.sign_in(session, "olga", password, NOW)
        assert user is not None
        assert user.role == "organiser"
    store.close()
    again = call(copy, "import", out)
    assert again.exit_code == 2
    assert "already: import into one that has never been used" in again.stderr


def test_a_challenge_goes_out_as_a_bundle_and_comes_in(server: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "bundle.zip")
    result = call(server, "bundle", "higgs-uncertainty", out, "--image", "example/sigma68:1")
    assert result.exit_code == 0, result.output
    result = call(server, "import", out, "--slug", "again")
    assert result.exit_code == 0, result.output
    store = opened(server)
    with store.read() as session:
        slugs = session.scalars(select(Challenge.slug).order_by(Challenge.id)).all()
    store.close()
    assert slugs == ["higgs-uncertainty", "maps", "again"]


def test_what_a_bundle_loses_is_said(server: Path, tmp_path: Path) -> None:
    path = str(write_zip(tmp_path / "bundle.zip"))
    result = call(server, "import", path, "--task", "gaussian", "--by", "Olga")
    assert result.exit_code == 0, result.output
    assert "warning: the bundle's own programs are not run" in result.stderr
    assert (
        result.stdout == "challenge compute-something: organisers alone see it until it is shown\n"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["export", "OUT", "--formats", "xls"], "there is no format 'xls'"),
        (["bundle", "higgs-uncertainty", "OUT"], "name an image"),
        (["bundle", "nothing", "OUT", "--image", "x"], "no challenge 'nothing'"),
        (["import", "BUNDLE"], "does not tell which task"),
        (["import", "BUNDLE", "--password-for", "Olga"], "leave --password-for out"),
        (["import", "EXPORT", "--slug", "x"], "leave --by, --slug, --task and --source out"),
        (["import", "OUT"], "there is no bundle at"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    server: Path, exported: Path, tmp_path: Path, words: list[str], sentence: str
) -> None:
    bundle = write_zip(tmp_path / "bundle.zip")
    places = {"OUT": str(tmp_path / "out"), "BUNDLE": str(bundle), "EXPORT": str(exported)}
    result = call(server, *(places.get(word, word) for word in words))
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [("export", "out"), ("bundle", "x", "out")])
def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, words: tuple[str, ...]) -> None:
    result = call(tmp_path / "nowhere", *words)
    assert result.exit_code == 2
    assert "there is no database at" in result.stderr
    assert not (tmp_path / "nowhere").exists()


def test_a_server_without_organisers_takes_no_bundle(server: Path, tmp_path: Path) -> None:
    store = opened(server)
    with store.write() as session:
        for user in session.scalars(select(User)):
            user.role = "participant"
    store.close()
    result = call(server, "import", str(write_zip(tmp_path / "b.zip")), "--task", "gaussian")
    assert result.exit_code == 2
    assert "there is no organiser here yet" in result.stderr
