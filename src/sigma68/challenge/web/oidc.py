"""Signing in with an account of elsewhere: OpenID Connect, authorization code with PKCE.

References: OpenID Connect Core 1.0, section 3.1; RFC 7636 (PKCE); RFC 9207 (issuer in the answer).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from sigma68.challenge.rules.refusals import RefusedError
from sigma68.challenge.web.settings import OidcSettings

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

__all__ = ["OidcError", "Person", "Provider", "Question"]

_ALGORITHMS = ["RS256", "ES256", "PS256", "EdDSA"]
_SECONDS = 10.0


class OidcError(RefusedError):
    """The other side gave no answer, or one that does not hold."""

    status = 401


@dataclass(frozen=True)
class Question:
    """What a sign-in was begun with, to be found again in the answer."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def fresh(cls) -> Question:
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))

    @property
    def code_challenge(self) -> str:
        """The S256 challenge of RFC 7636, section 4.2."""
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


@dataclass(frozen=True)
class Person:
    """Who signed in: `subject` is unique and lasting at its issuer, the rest is what they said."""

    issuer: str
    subject: str
    name: str
    email: str | None


class Provider:
    """One provider, whose configuration and keys are fetched when first needed."""

    def __init__(self, settings: OidcSettings, back: str) -> None:
        self._settings = settings
        self._back = back
        self._found: dict[str, Any] | None = None
        self._keys: KeySet | None = None
        self._lock = threading.Lock()

    def address(self, question: Question) -> str:
        """Where to send somebody who wants to sign in.

        Raises
        ------
        OidcError
            If the provider does not say.
        """
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._back,
            "scope": "openid profile email",
            "state": question.state,
            "nonce": question.nonce,
            "code_challenge": question.code_challenge,
            "code_challenge_method": "S256",
        }
        start = self._endpoint("authorization_endpoint")
        return f"{start}{'&' if '?' in start else '?'}{urlencode(asked)}"

    def person(self, question: Question, answer: Mapping[str, str], now: datetime) -> Person:
        """Who came back with `answer`, the parameters of the address they came back to.

        Raises
        ------
        OidcError
            If they were refused, or anything of the answer does not hold.
        """
        if not secrets.compare_digest(answer.get("state", "").encode(), question.state.encode()):
            raise OidcError("this answer belongs to no sign-in begun here: begin again")
        if "error" in answer:
            raise OidcError(
                f"{self._settings.label} refused the sign-in: begin again, or ask there"
            )
        if answer.get("iss", self._settings.issuer).rstrip("/") != self._settings.issuer:
            raise OidcError("the answer comes from another provider: begin again")
        tokens = self._post(
            self._endpoint("token_endpoint"),
            {
                "grant_type": "authorization_code",
                "code": answer.get("code", ""),
                "redirect_uri": self._back,
                "code_verifier": question.verifier,
            },
        )
        claims = self._claims(str(tokens.get("id_token", "")), now)
        if not secrets.compare_digest(
            str(claims.get("nonce", "")).encode(), question.nonce.encode()
        ):
            raise OidcError("the provider's answer is not to this sign-in: begin again")
        name = claims.get("preferred_username") or claims.get("name") or "someone"
        email = claims.get("email") if claims.get("email_verified") is True else None
        return Person(
            self._settings.issuer, str(claims["sub"]), str(name), str(email) if email else None
        )

    def _claims(self, token: str, now: datetime) -> dict[str, Any]:
        """The claims of an ID token, with signature, issuer, audience and time checked."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        at = int(now.timestamp())
        wanted = jwt.JWTClaimsRegistry(
            now=at,
            leeway=60,
            iss={"essential": True, "value": str(self._configuration()["issuer"])},
            sub={"essential": True},
            aud={"essential": True, "value": self._settings.client_id},
            exp={"essential": True},
        )
        for fresh in (False, True):
            try:
                claims = dict(jwt.decode(token, self._key_set(fresh=fresh), _ALGORITHMS).claims)
                break
            except (JoseError, ValueError) as error:
                # Providers change their keys: look once more before refusing.
                if fresh:
                    raise OidcError(f"the provider's answer does not hold ({error})") from error
        try:
            wanted.validate(claims)
        except JoseError as error:
            raise OidcError(f"the provider's answer does not hold ({error})") from error
        audience = claims["aud"]
        if isinstance(audience, list) and claims.get("azp") != self._settings.client_id:
            raise OidcError("the provider's answer is for another program")
        return claims

    def _configuration(self) -> dict[str, Any]:
        with self._lock:
            if self._found is None:
                path = "/.well-known/openid-configuration"
                found = self._fetch("GET", self._settings.issuer + path)
                if str(found.get("issuer", "")).rstrip("/") != self._settings.issuer:
                    raise OidcError(
                        "the provider calls itself by another address: check the issuer"
                    )
                self._found = found
            return self._found

    def _endpoint(self, name: str) -> str:
        found = self._configuration().get(name)
        if not isinstance(found, str):
            raise OidcError(f"the provider names no {name}")
        return found

    def _key_set(self, *, fresh: bool) -> KeySet:
        from joserfc.jwk import KeySet

        if self._keys is None or fresh:
            self._keys = KeySet.import_key_set(self._fetch("GET", self._endpoint("jwks_uri")))  # type: ignore[arg-type]
        return self._keys

    def _post(self, address: str, form: Mapping[str, str]) -> dict[str, Any]:
        known = (self._settings.client_id, self._settings.client_secret)
        return self._fetch("POST", address, data=dict(form), auth=known)

    def _fetch(self, verb: str, address: str, **given: Any) -> dict[str, Any]:
        import httpx

        try:
            answer = httpx.request(verb, address, timeout=_SECONDS, **given)
            answer.raise_for_status()
            document = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise OidcError(
                f"{self._settings.label} cannot be asked now ({type(error).__name__}): try later"
            ) from error
        if not isinstance(document, dict):
            raise OidcError(f"{self._settings.label} gave an answer that makes no sense: try later")
        return document
