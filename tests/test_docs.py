"""Documentation that is out of date, broken or untrue fails here."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

import sigma68
from sigma68.cli import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands_of_docs() -> ModuleType:
    spec = util.spec_from_file_location("docs_commands", ROOT / "docs/commands.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_of_commands_is_what_help_says() -> None:
    module = commands_of_docs()
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), (
        "docs/commands.md is stale: run python docs/commands.py"
    )


def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    # Material prints an advertisement for its successor otherwise.
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert "sigma68.types.Interval" in (tmp_path / "api/index.html").read_text()
    # Nothing is fetched from elsewhere when a page is opened.
    for page in tmp_path.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|link|img)[^>]+(?:src|href)=\"(https?://[^\"]+)", page.read_text()
        )
        assert loaded == [], page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_shown_exist_with_their_options(page: Path) -> None:
    root = get_command(app)
    blocks = "\n".join(re.findall(r"```\n(.*?)```", page.read_text(), re.S))
    for line in re.findall(r"^(sigma68 .*)$", blocks.replace("\\\n", " "), re.M):
        words = line.split()[1:]
        command = root.commands[words[0]]
        if hasattr(command, "commands"):
            command = command.commands[words[1]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_python_shown_compiles_and_uses_public_names() -> None:
    names: set[str] = set()
    for page in PAGES:
        for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S):
            names |= {
                node.attr
                for node in ast.walk(ast.parse(block))
                if isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "sigma68"
            }
    assert names
    assert names <= set(sigma68.__all__)


def test_every_decision_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    for record in (ROOT / "docs/decisions").glob("*.md"):
        assert f"decisions/{record.name}" in navigation


def test_the_citation_names_the_version() -> None:
    assert f"version: {sigma68.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_readme_names_the_two_commands_and_the_data() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
    assert "10.5281/zenodo.15131565" in readme
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", readme):
        assert (ROOT / link).exists(), link
