"""From a `BundleChallenge` and its files to a zip that Codabench takes; the same in, the same bytes."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

from sigma68.challenge.exchange.bundle import BundleChallenge, BundlePhase, BundleTask
from sigma68.challenge.exchange.bundle_rules import problems
from sigma68.challenge.exchange.fields import utc
from sigma68.errors import ExchangeError
from sigma68.files import replacing

__all__ = ["competition_yaml", "write_bundle"]

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_FILE_MODE: Final = 0o100644
_AS_THEY_ARE: Final = (
    *("description", "docker_image", "registration_auto_approve", "enable_detailed_results"),
    *("show_detailed_results_in_submission_panel", "show_detailed_results_in_leaderboard"),
    *("make_programs_available", "make_input_data_available", "auto_run_submissions"),
    *("can_participants_make_submissions_public", "forum_enabled", "competition_type"),
)
_IF_THERE: Final = ("contact_email", "reward", "fact_sheet")
_TASK_FILES: Final = ("ingestion_program", "scoring_program", "input_data", "reference_data")


def write_bundle(challenge: BundleChallenge, folder: Path, out: Path) -> Path:
    """Write the challenge, with the files it names, which lie below `folder`, as the zip `out`.

    Pages are written from the challenge; only files that it names go in.

    Raises
    ------
    ExchangeError
        If Codabench would refuse the bundle, or a file is missing.
    OutputError
        If the zip cannot be written.
    """
    found = problems(challenge)
    if found:
        raise ExchangeError("Codabench would not take this challenge: " + "; ".join(found))
    files: dict[str, bytes | Path] = dict(_files(challenge, folder))
    texts = {page.file: page.content for page in challenge.pages}
    if challenge.terms is not None:
        texts[challenge.terms.file] = challenge.terms.content
    files |= {name: text.encode() for name, text in texts.items()}
    files["competition.yaml"] = competition_yaml(challenge).encode()
    with replacing(out) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as made:
        for name in sorted(files, key=lambda name: (name != "competition.yaml", name)):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = _FILE_MODE << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            content = files[name]
            if isinstance(content, bytes):
                made.writestr(info, content)
            else:
                info.file_size = content.stat().st_size
                with content.open("rb") as source, made.open(info, "w") as target:
                    while chunk := source.read(1 << 20):
                        target.write(chunk)
    return out


def competition_yaml(challenge: BundleChallenge) -> str:
    """The text of competition.yaml."""
    import yaml

    document: dict[str, Any] = {"version": 2, "title": challenge.title}
    document |= {name: getattr(challenge, name) for name in _AS_THEY_ARE}
    document |= {n: getattr(challenge, n) for n in _IF_THERE if getattr(challenge, n)}
    if challenge.image is not None:
        document["image"] = challenge.image
    if challenge.terms is not None:
        document["terms"] = challenge.terms.file
    document["pages"] = [{"title": page.title, "file": page.file} for page in challenge.pages]
    document["tasks"] = [_task(task) for task in challenge.tasks]
    document["solutions"] = [
        {
            "index": solution.index,
            "name": solution.name,
            "description": solution.description,
            "path": solution.path,
            "tasks": list(solution.tasks),
        }
        for solution in challenge.solutions
    ]
    document["phases"] = [_phase(phase) for phase in challenge.phases]
    document["leaderboards"] = [
        {
            "title": board.title,
            "key": board.key,
            "submission_rule": board.submission_rule,
            "hidden": board.hidden,
            "primary_index": board.primary_index,
            "columns": [
                {
                    "index": column.index,
                    "title": column.title,
                    "key": column.key,
                    "sorting": column.sorting,
                    "precision": column.precision,
                    "hidden": column.hidden,
                }
                | (
                    {
                        "computation": column.computation,
                        "computation_indexes": list(column.computation_indexes),
                    }
                    if column.computation
                    else {}
                )
                for column in board.columns
            ],
        }
        for board in challenge.leaderboards
    ]
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return text


def _task(task: BundleTask) -> dict[str, Any]:
    document: dict[str, Any] = {
        "index": task.index,
        "name": task.name,
        "description": task.description,
        "ingestion_only_during_scoring": task.ingestion_only_during_scoring,
    }
    return document | {n: getattr(task, n) for n in _TASK_FILES if getattr(task, n) is not None}


def _phase(phase: BundlePhase) -> dict[str, Any]:
    document: dict[str, Any] = {
        "index": phase.index,
        "name": phase.name,
        "description": phase.description,
        "start": _moment(phase.start),
        "tasks": list(phase.tasks),
        # Null would be taken for the default.
        "max_submissions": phase.max_submissions or 0,
        "max_submissions_per_day": phase.max_submissions_per_day or 0,
        "execution_time_limit": phase.execution_time_limit,
        "auto_migrate_to_this_phase": phase.auto_migrate_to_this_phase,
        "hide_output": phase.hide_output,
        "hide_prediction_output": phase.hide_prediction_output,
        "hide_score_output": phase.hide_score_output,
        "accepts_only_result_submissions": phase.accepts_only_result_submissions,
    }
    if phase.end is not None:
        document["end"] = _moment(phase.end)
    for name in ("starting_kit", "public_data"):
        if getattr(phase, name) is not None:
            document[name] = getattr(phase, name)
    return document


def _moment(moment: datetime) -> str:
    """A time as a text: Codabench moves what YAML knows as a time to the midnight before it."""
    return f"{utc(moment):%Y-%m-%d %H:%M:%S}"


def _files(challenge: BundleChallenge, folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file that the challenge names, pages left out: its name in the zip, and where it is."""
    named = [challenge.image, *(solution.path for solution in challenge.solutions)]
    named += [getattr(task, name) for task in challenge.tasks for name in _TASK_FILES]
    named += [getattr(p, n) for p in challenge.phases for n in ("starting_kit", "public_data")]
    for name in dict.fromkeys(name for name in named if name is not None):
        path = folder / name
        if path.is_file():
            yield name, path
        elif path.is_dir():
            for below in sorted(p for p in path.rglob("*") if p.is_file()):
                yield str(PurePosixPath(name) / below.relative_to(path).as_posix()), below
        else:
            raise ExchangeError(f"the challenge names {name}, which is not in {folder}: add it")
