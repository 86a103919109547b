"""From a folder or zip to a `BundleChallenge`; what it says is checked, what it holds is never run.

The format is that of Codabench's documentation of bundles, version 2. What Codabench insists on
and we can do without (a logo, terms) may be missing here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from sigma68.challenge.exchange.bundle import (
    BundleChallenge,
    BundleColumn,
    BundleLeaderboard,
    BundlePage,
    BundlePhase,
    BundleSolution,
    BundleTask,
)
from sigma68.challenge.exchange.bundle_files import Root, open_files, read_yaml
from sigma68.challenge.exchange.fields import Fields
from sigma68.errors import ExchangeError

__all__ = ["OpenBundle", "open_bundle", "picture_kind"]

_LONGEST_DESCRIPTION: Final = 20_000
_LARGEST_PICTURE: Final = 5 << 20
_PICTURES: Final = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpg",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
}
_FLAGS: Final = (
    *("registration_auto_approve", "enable_detailed_results", "make_programs_available"),
    *("make_input_data_available", "show_detailed_results_in_submission_panel"),
    *("show_detailed_results_in_leaderboard", "auto_run_submissions", "forum_enabled"),
    "can_participants_make_submissions_public",
)
_PHASE_FLAGS: Final = (
    *("auto_migrate_to_this_phase", "hide_output", "hide_prediction_output", "hide_score_output"),
    "accepts_only_result_submissions",
)


@dataclass(frozen=True)
class OpenBundle:
    """A bundle that was opened: what it says, our own copy of its files, and what was left out.

    `notes` are sentences for the organiser.
    """

    challenge: BundleChallenge
    root: Root
    notes: tuple[str, ...] = ()


def open_bundle(path: Path, workdir: Path) -> OpenBundle:
    """Copy or unpack the bundle at `path` below `workdir`, and read it.

    Raises
    ------
    ExchangeError
        If it is not safe to unpack, is no bundle of version 2, or what it says does not fit
        together; the sentence names the place in competition.yaml.
    """
    root = open_files(Path(path), workdir)
    top = Fields(read_yaml(root), "competition.yaml")
    version = top.text("version", "1")
    if version not in ("2", "2.0"):
        raise ExchangeError(
            f"competition.yaml is of version {version}, not 2: have Codabench take it in, and dump "
            "it again"
        )
    notes: list[str] = []
    tasks = tuple(_task(fields, root, i) for i, fields in enumerate(top.items("tasks")))
    known = _distinct([task.index for task in tasks], "tasks")
    challenge = BundleChallenge(
        title=top.text("title", longest=256),
        description=top.text("description", "", longest=_LONGEST_DESCRIPTION),
        phases=_phases(top, root, known, notes),
        tasks=tasks,
        image=_picture(top, root, notes),
        terms=_terms(top, root),
        pages=tuple(_page(fields, root) for fields in top.items("pages", most=50)),
        solutions=tuple(
            _solution(fields, root, known, i) for i, fields in enumerate(top.items("solutions"))
        ),
        leaderboards=tuple(_leaderboard(fields, notes) for fields in top.items("leaderboards")),
        docker_image=top.text("docker_image", "codalab/codalab-legacy:py37"),
        competition_type=top.text("competition_type", "competition", longest=128),
        contact_email=top.text("contact_email", "", longest=256),
        reward=top.text("reward", "", longest=256),
        fact_sheet=_fact_sheet(top),
        **{name: top.flag(name, _default(name)) for name in _FLAGS},
    )
    notes += [f"competition.yaml: {key} is left out: it means nothing here" for key in top.unread()]
    return OpenBundle(challenge, root, tuple(notes))


def _default(flag: str) -> bool:
    value: bool = getattr(BundleChallenge, flag)
    return value


def picture_kind(path: Path) -> str | None:
    """The kind of a picture by what it holds: png, jpg, gif, webp; None for anything else.

    An SVG is something else: it can hold scripts.
    """
    with path.open("rb") as opened:
        head = opened.read(16)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return next((kind for magic, kind in _PICTURES.items() if head.startswith(magic)), None)


def _picture(top: Fields, root: Root, notes: list[str]) -> str | None:
    name = top.text("image", "")
    if not name:
        return None
    plain = root.path(name, "competition.yaml: image")
    path = root.folder / plain
    if not path.is_file() or path.stat().st_size > _LARGEST_PICTURE or picture_kind(path) is None:
        notes.append(
            f"the logo {plain} is left out: it is no PNG, JPEG, GIF or WebP of at most 5 MiB"
        )
        return None
    return plain


def _terms(top: Fields, root: Root) -> BundlePage | None:
    name = top.text("terms", "")
    if not name:
        return None
    file = root.path(name, "competition.yaml: terms")
    return BundlePage("Terms", file, root.text(file, "competition.yaml: terms"))


def _page(fields: Fields, root: Root) -> BundlePage:
    file = root.path(fields.text("file"), f"{fields.where}: file")
    return BundlePage(
        fields.text("title", longest=255), file, root.text(file, f"{fields.where}: file")
    )


def _phases(top: Fields, root: Root, tasks: set[int], notes: list[str]) -> tuple[BundlePhase, ...]:
    """The phases in order, counted from 0."""
    given = top.items("phases", most=50)
    if not given:
        raise ExchangeError("competition.yaml has no phases: add one")
    ordered = sorted(given, key=lambda fields: fields.whole("index", 0))
    phases = tuple(_phase(fields, root, tasks, i, notes) for i, fields in enumerate(ordered))
    for first, second in pairwise(phases):
        if first.end is None or second.start < first.end:
            raise ExchangeError(
                f"the phase {second.name!r} begins before {first.name!r} has ended: give each "
                "phase but the last an end, before the next one's start"
            )
    return phases


def _phase(
    fields: Fields, root: Root, tasks: set[int], index: int, notes: list[str]
) -> BundlePhase:
    name = fields.text("name", f"Phase {index + 1}", longest=256)
    start, end = fields.moment("start"), fields.moment("end")
    if start is None:
        raise ExchangeError(f"{fields.where} has no start: add it")
    if end is not None and end <= start:
        raise ExchangeError(f"{fields.where} ends before it starts: correct its dates")
    total = "max_submissions" if fields.has("max_submissions") else "max_submissions_per_person"
    phase = BundlePhase(
        index=index,
        name=name,
        description=fields.text("description", "", longest=_LONGEST_DESCRIPTION),
        start=start,
        end=end,
        tasks=_pointers(fields, tasks),
        max_submissions=_limit(fields, total, 100),
        max_submissions_per_day=_limit(fields, "max_submissions_per_day", 5),
        execution_time_limit=fields.whole("execution_time_limit", 600) or 600,
        starting_kit=_file(fields, "starting_kit", root),
        public_data=_file(fields, "public_data", root),
        **{flag: fields.flag(flag, False) for flag in _PHASE_FLAGS},
    )
    if not phase.tasks:
        raise ExchangeError(f"{fields.where} has no tasks: name at least one by its index")
    # A dump says which solutions belong to a phase; the solutions say so themselves.
    fields.raw("solutions")
    _note_unread(fields, notes)
    return phase


def _limit(fields: Fields, key: str, default: int) -> int | None:
    """A limit of submissions: None where there is none (null or 0)."""
    fields.raw("max_submissions_per_person")
    if key in fields and not fields.has(key):
        return None
    return fields.whole(key, default) or None


def _task(fields: Fields, root: Root, place: int) -> BundleTask:
    if fields.has("key") and not fields.has("scoring_program"):
        raise ExchangeError(
            f"{fields.where} is only the key of a task, which another server knows: dump the "
            "competition again, with its files"
        )
    index = fields.whole("index", place)
    scoring = _file(fields, "scoring_program", root)
    if scoring is None:
        raise ExchangeError(f"{fields.where} has no scoring_program: add it")
    return BundleTask(
        index=index,
        name=fields.text("name", f"Task {index}", longest=256),
        description=fields.text("description", "", longest=_LONGEST_DESCRIPTION),
        scoring_program=scoring,
        ingestion_program=_file(fields, "ingestion_program", root),
        input_data=_file(fields, "input_data", root),
        reference_data=_file(fields, "reference_data", root),
        ingestion_only_during_scoring=fields.flag("ingestion_only_during_scoring", False),
    )


def _solution(fields: Fields, root: Root, tasks: set[int], place: int) -> BundleSolution:
    path = _file(fields, "path", root)
    if path is None:
        raise ExchangeError(f"{fields.where} has no path: add it")
    return BundleSolution(
        index=fields.whole("index", place),
        path=path,
        tasks=_pointers(fields, tasks),
        name=fields.text("name", "", longest=256),
        description=fields.text("description", "", longest=_LONGEST_DESCRIPTION),
    )


def _leaderboard(fields: Fields, notes: list[str]) -> BundleLeaderboard:
    columns = tuple(_column(column, i) for i, column in enumerate(fields.items("columns")))
    if not columns:
        raise ExchangeError(f"{fields.where} has no columns: add one")
    _distinct([column.index for column in columns], f"columns of {fields.where}")
    _distinct([column.key for column in columns], f"columns of {fields.where}")
    fields.raw("index")  # every dump has one, and nothing points to it
    board = BundleLeaderboard(
        title=fields.text("title", "Results", longest=64),
        key=fields.text("key", "main", longest=36),
        columns=tuple(sorted(columns, key=lambda column: column.index)),
        submission_rule=fields.text("submission_rule", "Add", longest=40),
        hidden=fields.flag("hidden", False),
        primary_index=fields.whole("primary_index", 0),
    )
    _note_unread(fields, notes)
    return board


def _column(fields: Fields, place: int) -> BundleColumn:
    sorting = fields.text("sorting", "desc", longest=10)
    if sorting not in ("asc", "desc"):
        raise ExchangeError(f"{fields.where}: sorting must be asc or desc, not {sorting!r}")
    return BundleColumn(
        index=fields.whole("index", place),
        title=fields.text("title", longest=64),
        key=fields.text("key", longest=64),
        sorting=sorting,
        precision=fields.whole("precision", 2),
        hidden=fields.flag("hidden", False),
        computation=fields.text("computation", "", longest=10) or None,
        computation_indexes=fields.wholes("computation_indexes"),
    )


def _fact_sheet(top: Fields) -> dict[str, Any]:
    value = top.raw("fact_sheet")
    if value is None:
        return {}
    sheet = Fields(value, "competition.yaml: fact_sheet")
    found = {}
    for key in value:
        question = Fields(sheet.raw(key), f"{sheet.where}, {key}")
        found[str(key)[:100]] = {
            "key": question.text("key", str(key)[:100]),
            "type": question.text("type", "text", longest=20),
            "title": question.text("title", str(key)[:100], longest=500),
            "selection": _selection(question),
            "is_required": str(question.flag("is_required", False)).lower(),
            "is_on_leaderboard": str(question.flag("is_on_leaderboard", False)).lower(),
        }
    return found


def _selection(question: Fields) -> Any:
    value = question.raw("selection")
    if not isinstance(value, list):
        return question.text("selection", "", longest=500)
    if not all(isinstance(item, str | bool | int | float) for item in value):
        raise ExchangeError(f"{question.where}: selection must be a list of texts")
    return [item if isinstance(item, bool) else str(item)[:500] for item in value]


def _file(fields: Fields, key: str, root: Root) -> str | None:
    name = fields.text(key, "", longest=400)
    return root.path(name, f"{fields.where}: {key}") if name else None


def _pointers(fields: Fields, tasks: set[int]) -> tuple[int, ...]:
    indexes = fields.wholes("tasks")
    for index in indexes:
        if index not in tasks:
            raise ExchangeError(f"{fields.where} names a task {index}, which is not there")
    return indexes


def _distinct(values: list[Any], what: str) -> set[Any]:
    found = set(values)
    if len(found) < len(values):
        twice = next(v for v in values if values.count(v) > 1)
        raise ExchangeError(f"competition.yaml: two {what} share {twice!r}: give each its own")
    return found


def _note_unread(fields: Fields, notes: list[str]) -> None:
    notes += [
        f"{fields.where}: {key} is left out: it means nothing here" for key in fields.unread()
    ]
