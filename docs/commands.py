"""Writes commands.md from the command line's own help: `python docs/commands.py`."""

from __future__ import annotations

from pathlib import Path

from typer.main import get_command
from typer.testing import CliRunner

from sigma68.cli import app

PAGE = Path(__file__).with_suffix(".md")

_INTRODUCTION = """# Commands

This page is the output of `--help`. Every command ends with exit code 0, or with 2 and one
sentence on stderr if something the user gave cannot be used, or with 130 if it was stopped.
`sigma68 --debug COMMAND` shows the traceback of an error as well.
"""


def page() -> str:
    """The whole page, as it should be on disk."""
    return _INTRODUCTION + "".join(_section(path) for path in _commands())


def _commands() -> list[tuple[str, ...]]:
    root = get_command(app)
    paths: list[tuple[str, ...]] = [()]
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        children = getattr(command, "commands", None)
        paths += [(name,)] if children is None else [(name, child) for child in children]
    return paths


def _section(path: tuple[str, ...]) -> str:
    result = CliRunner(env={"TERMINAL_WIDTH": "96", "COLUMNS": "96", "NO_COLOR": "1"}).invoke(
        app, [*path, "--help"], prog_name="sigma68"
    )
    if result.exit_code:
        raise RuntimeError(f"{' '.join(path)} --help failed: {result.output}")
    lines = "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())
    return f"\n## {' '.join(('sigma68', *path))}\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
