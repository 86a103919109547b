"""The command `sigma68`: one file per verb, each a thin way into the library.

The top level of these files imports typer and the standard library only, so that `--help`
answers at once; what a verb needs, it imports when it runs.
"""

from __future__ import annotations

from sigma68.cli.app import app, main

__all__ = ["app", "main"]
