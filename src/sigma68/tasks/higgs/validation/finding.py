"""The verdict on one part of a validation."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Finding"]


@dataclass(frozen=True)
class Finding:
    """The verdict on one part: a sentence, and what to know about it, worst first."""

    part: str
    passed: bool
    headline: str
    details: tuple[str, ...] = ()
