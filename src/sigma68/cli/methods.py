"""`sigma68 methods`: which methods there are."""

from __future__ import annotations


def methods() -> None:
    """List the methods, with what each says of itself.

    A method is a file in sigma68/methods/, or comes with another package. For example:

        sigma68 methods
    """
    from sigma68.cli.console import print_table
    from sigma68.discover import summaries

    print_table(("method", "what it does"), list(summaries("methods").items()))
