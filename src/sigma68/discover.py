"""Finds tasks and methods without importing them, and imports the one that is asked for.

A task is a folder of `sigma68/tasks/` with a `task.py`, a method is a file of `sigma68/methods/`
whose name does not begin with an underscore; packages outside add theirs through the entry-point
groups `sigma68.tasks` and `sigma68.methods`. There is no register to edit.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from sigma68.errors import MissingExtraError, SettingsError

if TYPE_CHECKING:
    from sigma68.protocols import Method, Task

__all__ = ["Kind", "load_task", "method_class", "method_names", "summaries", "task_names"]

Kind = Literal["tasks", "methods"]

_PACKAGE = "sigma68"
_ROOT = Path(__file__).parent


@dataclass(frozen=True)
class _Plugin:
    """Where a task or method is: its module, its class, the file to read its docstring from."""

    name: str
    module: str
    attribute: str
    file: Path | None
    origin: str


def task_names() -> tuple[str, ...]:
    """The names of all tasks, sorted."""
    return tuple(sorted({plugin.name for plugin in _plugins("tasks")}))


def method_names() -> tuple[str, ...]:
    """The names of all methods, sorted."""
    return tuple(sorted({plugin.name for plugin in _plugins("methods")}))


def load_task(name: str) -> Task:
    """The task called `name`, ready to be opened.

    Raises
    ------
    SettingsError
        If there is no such task; the sentence lists those there are.
    MissingExtraError
        If the task needs a package that is not installed.
    """
    return cast("Task", _load("tasks", name)())


def method_class(name: str) -> type[Method]:
    """The class of the method called `name`.

    Raises
    ------
    SettingsError
        If there is no such method; the sentence lists those there are.
    MissingExtraError
        If the method needs a package that is not installed.
    """
    return cast("type[Method]", _load("methods", name))


def summaries(kind: Kind) -> dict[str, str]:
    """What each task or method says of itself: the first line of its docstring, read, not run."""
    return {
        plugin.name: _summary(plugin)
        for plugin in sorted(_plugins(kind), key=lambda plugin: plugin.name)
    }


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _plugins(kind: Kind) -> Iterator[_Plugin]:
    folder = _ROOT / kind
    if kind == "tasks":
        files = {path.parent.name: path for path in folder.glob("*/task.py")}
    else:
        files = {path.stem: path for path in folder.glob("*.py")}
    for name, path in files.items():
        if not name.startswith("_"):
            module = f"{_PACKAGE}.{kind}.{name}" + (".task" if kind == "tasks" else "")
            yield _Plugin(name, module, _class_name(name), path, _PACKAGE)
    for point in metadata.entry_points(group=f"{_PACKAGE}.{kind}"):
        file, origin = None, "an unnamed package"
        if point.dist is not None:
            origin = point.dist.name
            located = Path(str(point.dist.locate_file(point.module.replace(".", "/") + ".py")))
            file = located if located.is_file() else None
        yield _Plugin(point.name, point.module, point.attr or _class_name(point.name), file, origin)


def _load(kind: Kind, name: str) -> type[Any]:
    word = kind[:-1]
    found = [plugin for plugin in _plugins(kind) if plugin.name == name]
    if not found:
        known = ", ".join(task_names() if kind == "tasks" else method_names()) or "none"
        raise SettingsError(f"there is no {word} called {name!r}; there are: {known}")
    if len(found) > 1:
        origins = " and ".join(plugin.origin for plugin in found)
        raise SettingsError(
            f"the {word} {name!r} is defined more than once, by {origins}; uninstall all but one"
        )
    plugin = found[0]
    try:
        module = importlib.import_module(plugin.module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        own = {_PACKAGE, plugin.module.partition(".")[0]}
        # A broken import inside the plug-in's own package is its bug, not a missing extra.
        if not missing or missing in own:
            raise
        raise MissingExtraError(
            f"the {word} {name!r} needs the package {missing!r}, which is not installed: "
            f"{_remedy(missing, plugin.origin)}"
        ) from error
    cls = getattr(module, plugin.attribute, None)
    if not isinstance(cls, type):
        raise SettingsError(
            f"the {word} {name!r}: {plugin.module} must define a class named {plugin.attribute}"
        )
    return cls


def _remedy(module: str, origin: str) -> str:
    extra = _extra_of(module, origin)
    return f"install {origin}[{extra}]" if extra else f"install {module}"


def _extra_of(module: str, distribution: str) -> str | None:
    """The extra of `distribution` that brings `module`, as its installed metadata state it."""
    try:
        requirements = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return None
    wanted = module.lower().replace("_", "-")
    projects_of: dict[str, list[str]] = {}
    for requirement in requirements:
        project = re.match(r"[A-Za-z0-9._-]+", requirement)
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", requirement)
        if project and extra:
            projects_of.setdefault(extra[1], []).append(project[0].lower().replace("_", "-"))
    # "xgboost-cpu" is a build of "xgboost": the module's name begins the project's.
    bringing = [
        extra
        for extra, projects in projects_of.items()
        if any(project == wanted or project.startswith(wanted + "-") for project in projects)
    ]
    # The narrowest one: "trees" rather than "all".
    return min(bringing, key=lambda extra: (len(projects_of[extra]), extra == "all"), default=None)


def _summary(plugin: _Plugin) -> str:
    if plugin.file is None:
        return f"(from {plugin.origin})"
    tree = ast.parse(plugin.file.read_text(encoding="utf-8"), filename=str(plugin.file))
    nodes: list[ast.Module | ast.ClassDef] = [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == plugin.attribute
    ]
    for node in (*nodes, tree):
        text = ast.get_docstring(node)
        if text:
            return text.splitlines()[0].strip()
    return "(no description)"
