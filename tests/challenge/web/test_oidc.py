"""Signing in by OpenID Connect, with a provider on loopback that can be told to misbehave."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from sigma68.challenge.rules import accounts
from sigma68.challenge.web.settings import OidcSettings, oidc_from
from sigma68.errors import SettingsError
from tests.challenge.web.conftest import PASSWORD, Site, Visitor, new_site, serving

CLIENT, SECRET = "the-client", "the-client-secret"
KEY, OTHER_KEY = (RSAKey.generate_key(2048, {"kid": "a", "use": "sig"}) for _ in range(2))


@dataclass
class Provider:
    """Signs everybody in as `person`; `claims` and `key` change what it says."""

    address: str = ""
    person: dict[str, Any] = field(
        default_factory=lambda: {"sub": "person-1", "preferred_username": "Ada"}
    )
    claims: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: KEY)
    signs_with: RSAKey | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)

    def token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {"iss": self.address, "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": nonce}
        key = self.signs_with or self.key
        return jwt.encode({"alg": "RS256", "kid": "a"}, claims | self.person | self.claims, key)


def application(provider: Provider) -> FastAPI:
    app = FastAPI()

    @app.get("/.well-known/openid-configuration")
    def configuration() -> dict[str, str]:
        at = provider.address
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token"}
        found = {name: f"{at}/{path}" for name, path in names.items()}
        return {"issuer": at, "jwks_uri": f"{at}/keys", **found}

    @app.get("/keys")
    def keys() -> Any:
        return KeySet([provider.key]).as_dict(private=False)

    @app.get("/authorize")
    def authorize(request: Request) -> RedirectResponse:
        asked = dict(request.query_params)
        provider.asked.append(asked)
        code = secrets.token_urlsafe(8)
        provider.codes[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?code={code}&state={asked['state']}")

    @app.post("/token")
    async def token(request: Request) -> JSONResponse:
        import base64
        import hashlib

        fields = {k: v[0] for k, v in parse_qs((await request.body()).decode()).items()}
        asked = provider.codes.pop(fields["code"], None)
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        digest = hashlib.sha256(fields["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or challenge != asked["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        if request.headers["authorization"] != f"Basic {basic}":
            return JSONResponse({"error": "invalid_client"}, 401)
        return JSONResponse({"id_token": provider.token(asked["nonce"])})

    return app


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    with serving(application(made)) as address:
        made.address = address
        yield made


@pytest.fixture
def joined(provider: Provider, tmp_path: Path) -> Iterator[Site]:
    """A server that lets people sign in by the provider."""
    oidc = OidcSettings(provider.address, CLIENT, SECRET, "the institute")
    site, app = new_site(tmp_path, oidc=oidc)
    site.clock[0] = datetime.now(UTC)
    house = app._app.app._app.state.house
    with serving(app) as address:
        site.address = address
        house.provider._back = f"{address}/oidc/back"
        yield site
        site.close()


def sign_in(site: Site) -> tuple[Visitor, httpx.Response]:
    visitor = site.visitor()
    return visitor, visitor.get("/oidc/start?next=/account")


def test_somebody_new_gets_an_account_and_keeps_it(joined: Site, provider: Provider) -> None:
    assert "the institute" in joined.visitor().get("/sign-in").text
    visitor, answer = sign_in(joined)
    assert answer.url.path == "/account", answer.text
    assert "Ada" in answer.text
    assert provider.asked[0]["code_challenge_method"] == "S256"
    provider.person["preferred_username"] = "Another name"
    _, again = sign_in(joined)
    assert "Ada" in again.text
    with joined.store.read() as session:
        assert [user.name for user in accounts.listing(session)] == ["Ada"]
    # No password was ever set: one can be, without an old one.
    form = {"password": PASSWORD, "again": PASSWORD}
    assert visitor.post("/account/password", form).status_code == 200
    assert joined.visitor().post("/sign-in", {"name": "ada", "password": PASSWORD}).is_success


def test_a_name_that_is_taken_is_not_taken_over(joined: Site, provider: Provider) -> None:
    joined.person("Ada", "organiser")
    visitor, answer = sign_in(joined)
    assert answer.url.path == "/account"
    assert visitor.get("/admin").status_code == 403
    with joined.store.read() as session:
        assert [user.name for user in accounts.listing(session)] == ["Ada", "Ada-2"]


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"exp": 1_000_000_000},
        {"nonce": "of another sign-in"},
        {"sub": None},
    ],
)
def test_an_answer_that_does_not_hold_is_refused(
    joined: Site, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    visitor, answer = sign_in(joined)
    assert answer.status_code == 401
    assert not visitor.signed_in()


def test_a_token_by_another_key_is_refused(joined: Site, provider: Provider) -> None:
    provider.signs_with = OTHER_KEY
    assert sign_in(joined)[1].status_code == 401


def test_a_provider_may_change_its_keys(joined: Site, provider: Provider) -> None:
    assert sign_in(joined)[1].status_code == 200
    provider.key = OTHER_KEY
    assert sign_in(joined)[1].status_code == 200


def test_an_answer_to_somebody_else_is_refused(joined: Site, provider: Provider) -> None:
    stranger = joined.visitor()
    assert stranger.get("/oidc/back?code=x&state=y").status_code == 401
    stranger.http.follow_redirects = False
    begun = stranger.get("/oidc/start")
    state = parse_qs(urlsplit(begun.headers["location"]).query)["state"][0]
    assert stranger.get("/oidc/back?code=x&state=another").status_code == 401
    assert stranger.get(f"/oidc/back?error=access_denied&state={state}").status_code == 401
    other = joined.visitor()
    assert other.get(f"/oidc/back?code=x&state={state}").status_code == 401


def test_without_a_provider_there_is_no_such_page(site: Site) -> None:
    assert site.visitor().get("/oidc/start").status_code == 404


def test_settings_come_from_the_environment() -> None:
    given = {"SIGMA68_OIDC_ISSUER": "https://id.example/", "SIGMA68_OIDC_CLIENT_ID": "a"}
    assert oidc_from({}) is None
    with pytest.raises(SettingsError, match="CLIENT_SECRET"):
        oidc_from(given)
    found = oidc_from(given | {"SIGMA68_OIDC_CLIENT_SECRET": "known to two"})
    assert found == OidcSettings("https://id.example", "a", "known to two")
    assert "known to two" not in repr(found)
    with pytest.raises(SettingsError, match="https"):
        oidc_from(
            given | {"SIGMA68_OIDC_CLIENT_SECRET": "b", "SIGMA68_OIDC_ISSUER": "http://id.example"}
        )
