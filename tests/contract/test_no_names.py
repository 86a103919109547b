"""The stages that serve every task name none of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import sigma68
from sigma68.discover import task_names

ROOT = Path(sigma68.__file__).parent
FOLDERS = ("methods", "inference", "learning", "run", "score")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def words(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name, module and string of a file with its line, docstrings left out."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        found: str | None = None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = None if id(node) in docstrings else node.value
        elif isinstance(node, ast.Name):
            found = node.id
        elif isinstance(node, ast.Attribute):
            found = node.attr
        elif isinstance(node, ast.alias):
            found = f"{node.name} {node.asname or ''}"
        elif isinstance(node, ast.ImportFrom):
            found = node.module
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found = node.name
        elif isinstance(node, ast.arg | ast.keyword):
            found = node.arg
        if found is not None:
            yield getattr(node, "lineno", 0), found


def test_the_folders_are_there() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(FOLDERS)
    assert {"gaussian", "higgs"} <= set(task_names())


def test_a_name_would_be_found() -> None:
    tree = ast.parse('"""About higgs."""\nfrom sigma68.tasks.higgs import x\nif n == "higgs": pass')
    assert [line for line, word in words(tree) if "higgs" in word] == [2, 3]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_task_is_named(path: Path) -> None:
    names = re.compile("|".join(re.escape(n) for n in (*task_names(), "lensing")), re.IGNORECASE)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = [f"line {line}: {word!r}" for line, word in words(tree) if names.search(word)]
    assert not named, f"{path.relative_to(ROOT)} names a task at {', '.join(named)}"
