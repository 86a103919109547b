"""What people type: trimmed, normalised, bounded, free of what cannot be printed."""

from __future__ import annotations

import unicodedata

from sigma68.challenge.rules.refusals import RefusedError

__all__ = ["line", "login_of", "paragraphs"]


def line(text: str, what: str, *, most: int = 64, least: int = 1) -> str:
    """`text` as one line of `least` to `most` characters, in Unicode's form NFKC.

    Raises
    ------
    RefusedError
        If it is shorter or longer, or holds control or invisible characters.
    """
    clean = " ".join(unicodedata.normalize("NFKC", text).split())
    if not least <= len(clean) <= most:
        raise RefusedError(f"{what} must have {least} to {most} characters, not {len(clean)}")
    if not clean.isprintable():
        raise RefusedError(f"{what} holds characters that cannot be printed: leave them out")
    return clean


def paragraphs(text: str, what: str, *, most: int = 20_000, least: int = 1) -> str:
    """`text` of several lines, at most `most` characters, line ends made one kind.

    Raises
    ------
    RefusedError
        If it is shorter or longer, or holds control characters other than tabs and line ends.
    """
    clean = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not least <= len(clean) <= most:
        raise RefusedError(f"{what} must have {least:,} to {most:,} characters, not {len(clean):,}")
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in clean):
        raise RefusedError(f"{what} holds control characters: leave them out")
    return clean


def login_of(name: str) -> str:
    """A name as it is compared: "Ann" and "ann" are one."""
    return unicodedata.normalize("NFKC", name).strip().casefold()
