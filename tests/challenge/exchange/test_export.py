"""What a server knows comes out whole, without secrets, and goes back in bit for bit."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import func, select

from sigma68.challenge.exchange.export import NEVER, SECRET_TABLES, export_all
from sigma68.challenge.exchange.manifest import read_manifest
from sigma68.challenge.exchange.restore import import_all
from sigma68.challenge.rules import accounts
from sigma68.challenge.rules.refusals import RefusedError
from sigma68.challenge.store import tables
from sigma68.challenge.store.stores import Store
from sigma68.errors import ExchangeError
from tests.challenge.exchange.conftest import AWKWARD, NOW, OpenStore


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def counts(store: Store) -> dict[str, int]:
    with store.read() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in tables.Base.metadata.sorted_tables
        }


def test_the_store_of_these_tests_has_a_row_in_every_table(full_store: Store) -> None:
    assert [name for name, n in counts(full_store).items() if not n] == []


@pytest.mark.parametrize("secrets", [False, True])
def test_an_export_of_what_was_imported_is_the_same_export(
    full_store: Store, new_store: OpenStore, tmp_path: Path, secrets: bool
) -> None:
    export_all(full_store, tmp_path / "first", NOW, secrets=secrets)
    copy = new_store("copy")
    import_all(copy, tmp_path / "first")
    export_all(copy, tmp_path / "second", NOW, secrets=secrets)
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    expected = counts(full_store) | dict.fromkeys(NEVER, 0)
    # What was given away came from a seed that is not known any more.
    expected["phase_secrets"] -= not secrets
    assert counts(copy) == expected


def test_floats_times_and_bytes_come_back_as_they_were(
    full_store: Store, new_store: OpenStore, tmp_path: Path
) -> None:
    export_all(full_store, tmp_path / "out", NOW)
    copy = new_store("copy")
    import_all(copy, tmp_path / "out")
    with full_store.read() as before, copy.read() as after:
        old, new = (s.scalars(select(tables.Result)).one() for s in (before, after))
        for column in tables.Result.__table__.columns:
            name = column.name
            assert getattr(old, name) == getattr(new, name), name
        pointing = after.scalars(select(tables.Submission).order_by(tables.Submission.id)).all()
        assert pointing[0].source_id == pointing[1].id
        assert pointing[0].created == NOW
    with copy.files.local("entries/one.zip") as path:
        assert path.read_bytes() == bytes(range(256)) * 10


def test_no_hash_seed_or_code_leaves_without_being_asked_for(
    full_store: Store, tmp_path: Path
) -> None:
    with full_store.read() as session:
        seeds = session.scalars(select(tables.PhaseSecret.seed)).all()
        codes = session.scalars(select(tables.Team.invite_code)).all()
        hashes = [h for h in session.scalars(select(tables.Credential.password_hash)).all() if h]
    never = [*hashes, "d" * 64, "e" * 64, "truths/one.parquet"]
    assert len(seeds) == 3
    assert len(hashes) == 2
    for secrets, hidden in ((False, [*seeds, *codes, *never]), (True, never)):
        folder = tmp_path / f"out-{secrets}"
        export_all(full_store, folder, NOW, secrets=secrets)
        # Parquet is compressed: its columns are looked at below.
        found = {n: t for n, t in contents(folder).items() if not n.endswith("parquet")}
        for secret in hidden:
            assert [n for n, text in found.items() if secret.encode() in text] == []
        names = {path.stem for path in (folder / "tables").iterdir()}
        assert names.isdisjoint(NEVER)
        assert set(SECRET_TABLES) <= names or not secrets
        team = pd.read_parquet(folder / "tables" / "teams.parquet")
        assert ("invite_code" in team.columns) == secrets
        assert read_manifest(folder).secrets == secrets


def test_the_three_forms_say_the_same(full_store: Store, tmp_path: Path) -> None:
    export_all(full_store, tmp_path / "out", NOW)
    folder = tmp_path / "out" / "tables"
    for path in folder.glob("*.json"):
        rows = json.loads(path.read_text())
        parquet = pd.read_parquet(path.with_suffix(".parquet"))
        with path.with_suffix(".csv").open(newline="", encoding="utf-8") as opened:
            plain = list(csv.DictReader(opened))
        assert len(rows) == len(parquet) == len(plain) > 0, path
        assert list(rows[0]) == list(parquet.columns) == list(plain[0]), path
    result = json.loads((folder / "results.json").read_text())[0]
    parquet = pd.read_parquet(folder / "results.parquet").iloc[0]
    assert result["score"] == parquet["score"] == 0.1 + 0.2
    assert result["score_high"] == parquet["score_high"] == 5e-324
    assert json.loads(parquet["document"]) == result["document"]
    assert parquet["created"].to_pydatetime() == NOW


def test_no_text_is_a_formula_to_a_spreadsheet(full_store: Store, tmp_path: Path) -> None:
    export_all(full_store, tmp_path / "out", NOW)
    path = tmp_path / "out" / "tables" / "entries.csv"
    with path.open(newline="", encoding="utf-8") as opened:
        assert next(csv.DictReader(opened))["name"] == "'" + AWKWARD
    assert json.loads(path.with_suffix(".json").read_text())[0]["name"] == AWKWARD


def test_tables_of_toys_are_there_in_every_form(full_store: Store, tmp_path: Path) -> None:
    export_all(full_store, tmp_path / "out", NOW)
    toys = pd.read_parquet(tmp_path / "out" / "files" / "toys" / "one.parquet")
    written = json.loads((tmp_path / "out" / "toys" / "2.json").read_text())
    plain = pd.read_csv(tmp_path / "out" / "toys" / "2.csv")
    assert written["mu"] == list(toys["mu"]) == list(plain["mu"])
    assert written["p16"] == [0.1 + 0.2, None]
    assert math.isnan(plain["p16"][1])


def test_only_the_forms_asked_for_are_written(full_store: Store, tmp_path: Path) -> None:
    export_all(full_store, tmp_path / "out", NOW, formats=("parquet",))
    endings = {path.suffix for path in (tmp_path / "out" / "tables").iterdir()}
    assert endings == {".parquet", ".json"}
    assert not (tmp_path / "out" / "toys").exists() or not any((tmp_path / "out/toys").iterdir())


def test_an_export_is_for_its_owner_alone(exported: Path) -> None:
    assert exported.stat().st_mode & 0o077 == 0


def test_an_export_needs_an_empty_folder(full_store: Store, tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="is not empty"):
        export_all(full_store, tmp_path, NOW)


def test_an_import_needs_an_empty_server(full_store: Store, tmp_path: Path) -> None:
    export_all(full_store, tmp_path / "out", NOW)
    before = counts(full_store)
    with pytest.raises(ExchangeError, match="holds challenges already"):
        import_all(full_store, tmp_path / "out")
    assert counts(full_store) == before


def test_an_import_leaves_another_servers_files_alone(
    new_store: OpenStore, an_export: Path
) -> None:
    copy = new_store("copy")
    copy.files.put("entries/one.zip", an_export / "manifest.json")
    with pytest.raises(ExchangeError, match="of its own"):
        import_all(copy, an_export)
    assert set(copy.files.stored()) == {"entries/one.zip"}
    assert set(counts(copy).values()) == {0}


def test_passwords_are_gone_and_can_be_set(new_store: OpenStore, an_export: Path) -> None:
    copy = new_store("copy")
    import_all(copy, an_export)
    with copy.write() as session:
        assert accounts.sign_in(session, "Olga", "a long password", NOW) is None
        olga = accounts.find(session, "olga")
        assert olga is not None
        with pytest.raises(RefusedError):
            accounts.set_password(session, olga, "short")
        accounts.set_password(session, olga, "a new password")
        assert accounts.sign_in(session, "Olga", "a new password", NOW) is olga


def test_phases_get_new_seeds_but_for_what_was_shown(
    full_store: Store, new_store: OpenStore, tmp_path: Path
) -> None:
    with full_store.write() as session:
        begun = session.scalars(select(tables.Phase).where(tables.Phase.kind == "final")).one()
        begun.started = NOW
    export_all(full_store, tmp_path / "out", NOW)
    copy = new_store("copy")
    import_all(copy, tmp_path / "out")
    with full_store.read() as before, copy.read() as after:
        old, new = (
            {seed.phase_id: seed.seed for seed in session.scalars(select(tables.PhaseSecret))}
            for session in (before, after)
        )
        given_away = before.scalars(select(tables.Observations.phase_id)).one()
        assert set(new) == set(old) - {begun.id, given_away}
        assert len(new) == 1
        assert all(new[n] != old[n] and len(new[n]) == 64 for n in new)
        codes = [s.scalars(select(tables.Team.invite_code)).one() for s in (before, after)]
        assert codes[0] != codes[1]


Edit = Callable[[list[dict[str, Any]]], object]


def tampered(folder: Path, table: str, edit: Edit) -> None:
    """Change a table of an export, and its sum, as somebody would who means it."""
    path = folder / "tables" / f"{table}.json"
    rows = json.loads(path.read_text())
    edit(rows)
    path.write_text(json.dumps(rows))
    from sigma68.challenge.exchange.manifest import listed

    manifest = json.loads((folder / "manifest.json").read_text())
    file = listed(path)
    manifest["files"][f"tables/{table}.json"] = {"sha256": file.sha256, "bytes": file.n_bytes}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("table", "edit", "words"),
    [
        ("users", lambda rows: rows[0].update(name=5), "name is not what it should be"),
        ("users", lambda rows: rows[0].update(password_hash="x"), "a newer version wrote it"),
        ("users", lambda rows: rows[0].pop("created"), "has no created"),
        ("users", lambda rows: rows[0].update(name="x" * 65), "too long"),
        ("users", lambda rows: rows[0].update(created="yesterday"), "created is not"),
        ("users", lambda rows: rows[0].update(created="2026-01-01T00:00:00"), "without a zone"),
        ("users", lambda rows: rows[0].update(id=2**63), "64 bits"),
        ("users", lambda rows: rows[0].update(role="king"), "do not fit together"),
        ("users", lambda rows: rows[0].update(id=rows[1]["id"]), "do not fit together"),
        ("users", lambda rows: rows.pop(), "the manifest says 2"),
        ("users", lambda rows: rows.append(3), "must be a row"),
        ("teams", lambda rows: rows[0].update(challenge_id=99), "do not fit together"),
        ("results", lambda rows: rows[0].update(sums="***"), "sums is not"),
        ("results", lambda rows: rows[0].update(ranked=1), "ranked is not"),
        ("results", lambda rows: rows[0].update(score="many"), "score is not"),
        ("results", lambda rows: rows[0].update(flags="x"), "flags is not"),
        ("log_lines", lambda rows: rows[0].update(text="a\0b"), "zero byte"),
    ],
)
def test_an_export_that_was_changed_is_refused_and_leaves_nothing(
    new_store: OpenStore, an_export: Path, table: str, edit: Edit, words: str
) -> None:
    tampered(an_export, table, edit)
    copy = new_store("copy")
    with pytest.raises(ExchangeError, match=words):
        import_all(copy, an_export)
    assert set(counts(copy).values()) == {0}
    assert copy.files.stored() == {}


def test_files_that_changed_are_noticed(new_store: OpenStore, an_export: Path) -> None:
    copy = new_store("copy")
    path = an_export / "files" / "entries" / "one.zip"
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:-1] + b"x"):
        path.write_bytes(content)
        with pytest.raises(ExchangeError, match="not as it was exported"):
            import_all(copy, an_export)
    path.unlink()
    with pytest.raises(ExchangeError, match="is missing"):
        import_all(copy, an_export)
    path.symlink_to("/etc/hostname")
    with pytest.raises(ExchangeError, match="is missing"):
        import_all(copy, an_export)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a\\b"])
def test_a_manifest_cannot_name_files_elsewhere(an_export: Path, name: str) -> None:
    path = an_export / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][name] = {"sha256": "0" * 64, "bytes": 1}
    path.write_text(json.dumps(manifest))
    with pytest.raises(ExchangeError, match="leads out"):
        read_manifest(an_export)


def test_a_key_of_the_store_cannot_lead_out_of_it(new_store: OpenStore, an_export: Path) -> None:
    path = an_export / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["stored"] = {"../../evil": "files/entries/one.zip"}
    path.write_text(json.dumps(manifest))
    copy = new_store("copy")
    with pytest.raises(ExchangeError, match="none of a server's"):
        import_all(copy, an_export)
    assert not (an_export.parent / "evil").exists()


def test_an_export_that_was_cut_short_has_no_manifest(new_store: OpenStore, tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    with pytest.raises(ExchangeError, match="an export that was finished"):
        import_all(new_store("copy"), tmp_path / "half")
