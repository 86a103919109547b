"""What a server is started with: addresses, secrets, limits; from the command line and the environment."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sigma68.errors import SettingsError
from sigma68.files import explained

__all__ = ["OidcSettings", "ServerSettings", "oidc_from", "secret_of"]

_MIB = 1 << 20


@dataclass(frozen=True)
class OidcSettings:
    """A provider of OpenID Connect that people may sign in with.

    `issuer` is the address below which the provider publishes its configuration, `label` is what
    the button says.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    label: str = "your institute"


@dataclass(frozen=True)
class ServerSettings:
    """How one server runs.

    `address` is where people reach it: cookies are marked secure where it begins with https.
    `secret` signs cookies and forms. `upload_bytes` is the largest zip that is taken.
    """

    address: str
    secret: bytes = field(repr=False)
    name: str = "sigma68"
    registration: bool = True
    upload_bytes: int = 512 * _MIB
    session_seconds: int = 14 * 24 * 3600
    oidc: OidcSettings | None = None

    @property
    def is_https(self) -> bool:
        return self.address.startswith("https://")


def secret_of(path: Path) -> bytes:
    """The server's secret in the file `path`, which is made, readable by its owner, if absent.

    Raises
    ------
    OutputError
        If it cannot be written.
    SettingsError
        If the file is there and too short to be a secret.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            text = path.read_text(encoding="ascii").strip()
        else:
            text = secrets.token_hex(32)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
    if len(text) < 32:
        raise SettingsError(
            f"{path} holds {len(text)} characters, too few for a secret: remove it, and the "
            "server makes another (everybody has to sign in again)"
        )
    return text.encode("ascii")


def oidc_from(environment: Mapping[str, str]) -> OidcSettings | None:
    """The provider that SIGMA68_OIDC_ISSUER, _CLIENT_ID, _CLIENT_SECRET and _LABEL name, if any.

    Raises
    ------
    SettingsError
        If some of them are set and others are missing, or the issuer is not reached by https
        (http is taken for this machine itself).
    """
    names = ("ISSUER", "CLIENT_ID", "CLIENT_SECRET")
    given = {name: environment.get(f"SIGMA68_OIDC_{name}", "").strip() for name in names}
    if not any(given.values()):
        return None
    missing = [f"SIGMA68_OIDC_{name}" for name, value in given.items() if not value]
    if missing:
        raise SettingsError(f"sign-in by OIDC also needs {' and '.join(missing)}: set them")
    issuer = given["ISSUER"].rstrip("/")
    at_home = issuer.startswith(("http://127.0.0.1", "http://localhost", "http://[::1]"))
    if not issuer.startswith("https://") and not at_home:
        raise SettingsError(f"SIGMA68_OIDC_ISSUER must begin with https://, not {issuer!r}")
    label = environment.get("SIGMA68_OIDC_LABEL", "").strip() or OidcSettings.label
    return OidcSettings(issuer, given["CLIENT_ID"], given["CLIENT_SECRET"], label)
