"""Text that came from elsewhere (an entry, a method, a worker), made fit to be kept and shown."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: object, longest: int = 2000) -> str:
    """At most `longest` characters that any terminal, table and page can take.

    What neither prints nor ends a line (escape sequences, lone surrogates, marks that turn the
    direction of writing) becomes a space.
    """
    kept = str(text)[: longest + 1]
    shown = "".join(c if c.isprintable() or c == "\n" else " " for c in kept)
    return shown if len(shown) <= longest else shown[: longest - 3] + "..."
