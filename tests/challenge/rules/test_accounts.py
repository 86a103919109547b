from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from sigma68.challenge.rules import accounts, tokens
from sigma68.challenge.rules.audit import audit_log
from sigma68.challenge.rules.refusals import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RefusedError,
    SignInError,
)
from sigma68.challenge.store.tables import Credential, Token, User
from tests.challenge.server_world import World

PASSWORD = "a long enough password"


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing is slow on purpose, which is argon2's affair and not that of these tests."""
    from argon2 import PasswordHasher

    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(accounts, "_hasher", lambda: cheap)


def test_a_password_is_kept_as_argon2id_and_signs_in(world: World) -> None:
    with world.store.write() as session:
        ann = accounts.create(session, "Ann", PASSWORD, world.now, email="ann@example.org")
        hashed = session.get_one(Credential, ann.id).password_hash
        assert hashed is not None
        assert hashed.startswith("$argon2id$")
        assert PASSWORD not in hashed
        assert accounts.sign_in(session, "ANN ", PASSWORD, world.now) is ann
        assert accounts.sign_in(session, "Ann", PASSWORD + "x", world.now) is None
        assert accounts.sign_in(session, "nobody", PASSWORD, world.now) is None
        assert accounts.has_password(session, ann)


def test_the_real_hasher_is_argon2s_default() -> None:
    from argon2 import PasswordHasher

    hashed = PasswordHasher().hash(PASSWORD)
    assert accounts._is_right(hashed, PASSWORD)


def test_wrong_passwords_slow_down_and_are_forgotten(world: World) -> None:
    with world.store.write() as session:
        accounts.create(session, "ann", PASSWORD, world.now)
        for _ in range(5):
            assert accounts.sign_in(session, "ann", "wrong password", world.now) is None
        with pytest.raises(SignInError, match="again in 2 s"):
            accounts.sign_in(session, "ann", PASSWORD, world.now)
        world.later(seconds=2)
        assert accounts.sign_in(session, "ann", "wrong password", world.now) is None
        with pytest.raises(SignInError, match="again in 3 s"):
            accounts.sign_in(session, "ann", PASSWORD, world.now)
        world.later(minutes=15)
        assert accounts.sign_in(session, "ann", PASSWORD, world.now) is not None
        assert accounts.sign_in(session, "ann", "wrong password", world.now) is None
        assert accounts.sign_in(session, "ann", PASSWORD, world.now) is not None


@pytest.mark.parametrize(
    ("name", "password", "email"),
    [
        ("a", PASSWORD, ""),
        ("x" * 65, PASSWORD, ""),
        ("ann\u202eevil", PASSWORD, ""),
        ("ann", "short", ""),
        ("ann", "x" * 1001, ""),
        ("ann", PASSWORD, "no address"),
        ("ann", PASSWORD, "a@b@c.org"),
    ],
)
def test_what_cannot_be_taken_is_refused(
    world: World, name: str, password: str, email: str
) -> None:
    with world.store.write() as session, pytest.raises(RefusedError):
        accounts.create(session, name, password, world.now, email=email)


def test_names_that_look_alike_are_one(world: World) -> None:
    with world.store.write() as session:
        accounts.create(session, "Ann", PASSWORD, world.now)
        for name in ("ann", "ANN", "\uff21nn"):
            with pytest.raises(ConflictError, match="taken"):
                accounts.create(session, name, PASSWORD, world.now)


def test_pseudonyms_are_given_and_may_be_changed_to_a_free_one(world: World) -> None:
    with world.store.write() as session:
        ann = accounts.create(session, "ann", PASSWORD, world.now)
        bob = accounts.create(session, "bob", PASSWORD, world.now)
        assert "ann" not in ann.pseudonym
        assert ann.pseudonym != bob.pseudonym
        accounts.set_pseudonym(session, ann, "The Boson")
        with pytest.raises(ConflictError):
            accounts.set_pseudonym(session, bob, "the boson")
        accounts.set_pseudonym(session, ann, "the boson")


def test_roles_are_given_by_organisers_and_one_is_always_left(world: World) -> None:
    bob_id = world.person("bob")
    with world.store.write() as session:
        organiser, bob = (session.get_one(User, i) for i in (world.organiser_id, bob_id))
        with pytest.raises(ForbiddenError):
            accounts.set_role(session, bob, "organiser", bob, world.now)
        with pytest.raises(ConflictError, match="last organiser"):
            accounts.set_role(session, organiser, "participant", organiser, world.now)
        with pytest.raises(ConflictError, match="last organiser"):
            accounts.set_disabled(session, organiser, True, organiser, world.now)
        with pytest.raises(RefusedError, match="no role"):
            accounts.set_role(session, bob, "king", organiser, world.now)  # type: ignore[arg-type]
        accounts.set_role(session, bob, "organiser", organiser, world.now)
        accounts.set_role(session, organiser, "juror", bob, world.now)
        lines = [line for line in audit_log(session) if line.action == "set_role"]
        assert [line.detail["new"] for line in lines] == ["juror", "organiser"]
        assert lines[0].user is bob


def test_who_is_shut_out_can_neither_sign_in_nor_use_tokens(world: World) -> None:
    with world.store.write() as session:
        organiser = session.get_one(User, world.organiser_id)
        ann = accounts.create(session, "ann", PASSWORD, world.now)
        _, text = tokens.new_token(session, ann, "laptop", world.now)
        epoch = accounts.session_epoch(session, ann.id)
        accounts.set_disabled(session, ann, True, organiser, world.now)
        assert accounts.sign_in(session, "ann", PASSWORD, world.now) is None
        assert tokens.by_token(session, text, world.now) is None
        assert accounts.session_epoch(session, ann.id) == epoch + 1
        accounts.set_disabled(session, ann, False, organiser, world.now)
        assert tokens.by_token(session, text, world.now) is ann


def test_a_new_password_ends_all_sessions(world: World) -> None:
    with world.store.write() as session:
        ann = accounts.create(session, "ann", PASSWORD, world.now)
        epoch = accounts.session_epoch(session, ann.id)
        accounts.set_password(session, ann, "another password")
        assert accounts.session_epoch(session, ann.id) == epoch + 1
        assert accounts.sign_in(session, "ann", "another password", world.now) is ann


def test_of_a_token_only_the_hash_is_kept(world: World) -> None:
    bob_id = world.person("bob")
    with world.store.write() as session:
        bob = session.get_one(User, bob_id)
        token, text = tokens.new_token(session, bob, "laptop", world.now)
        assert text not in repr([vars(one) for one in session.scalars(select(Token))])
        assert tokens.by_token(session, text, world.now) is bob
        assert token.last_used == world.now
        assert tokens.by_token(session, text + "x", world.now) is None
        assert [one.name for one in tokens.tokens_of(session, bob)] == ["laptop"]
        tokens.revoke_token(session, bob, token.id)
        assert tokens.by_token(session, text, world.now) is None
        with pytest.raises(NotFoundError):
            tokens.revoke_token(session, bob, token.id)


def test_a_token_expires(world: World) -> None:
    bob_id = world.person("bob")
    with world.store.write() as session:
        bob = session.get_one(User, bob_id)
        _, text = tokens.new_token(session, bob, "x", world.now, lifetime=timedelta(days=1))
        assert tokens.by_token(session, text, world.now + timedelta(hours=23)) is bob
        assert tokens.by_token(session, text, world.now + timedelta(days=1)) is None


def test_an_identity_has_one_account_and_no_password(world: World) -> None:
    with world.store.write() as session:
        accounts.create(session, "ann", PASSWORD, world.now)
        made = accounts.create_for_identity(session, "https://id.org", "42", "ann", world.now)
        assert made.name == "ann-2"
        assert accounts.by_identity(session, "https://id.org", "42") is made
        assert accounts.by_identity(session, "https://other.org", "42") is None
        assert accounts.sign_in(session, "ann-2", PASSWORD, world.now) is None
        assert not accounts.has_password(session, made)
        with pytest.raises(ConflictError):
            accounts.create_for_identity(session, "https://id.org", "42", "bob", world.now)
