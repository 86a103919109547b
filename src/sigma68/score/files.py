"""Scores of runs on disk: DIR/score.json, and a ranking of several folders."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigma68.errors import DataError, SettingsError
from sigma68.score.best_widths import OverBest, over_best, read_best_widths
from sigma68.score.diagnostics import coverage_curves
from sigma68.score.headline_ranking import HeadlineRanking, rank_by_headline
from sigma68.score.ranking import Ranking, rank
from sigma68.score.table import interval_toys
from sigma68.types import Score

if TYPE_CHECKING:
    import pandas as pd

    from sigma68.protocols import Task
    from sigma68.run.settings import RunSettings

__all__ = [
    "rank_folders",
    "read_score",
    "score_document",
    "score_folder",
    "settings_of",
    "strict",
    "task_of",
]

FILE_NAME = "score.json"


def score_folder(out: Path, *, epsilon: float | None = None, task: Task | None = None) -> Score:
    """Score the finished run in `out` and write `out`/score.json.

    `epsilon` replaces that of the run's settings; `task` is found by the settings' name when
    it is not given.

    Raises
    ------
    DataError
        If the run is not finished or its table of toys cannot be scored.
    SettingsError
        If there is no run in `out`.
    OutputError
        If score.json cannot be written.
    """
    from sigma68.files import write_json
    from sigma68.run.provenance import read_provenance
    from sigma68.run.provenance import versions as versions_here
    from sigma68.run.results import FILE_NAME as TOYS
    from sigma68.run.results import read_toys

    settings = settings_of(out)
    task = task_of(settings) if task is None else task
    toys = read_toys(out)
    if len(toys) != settings.n_toys:
        raise DataError(
            f"{out / TOYS} has {len(toys):,} toys, the settings ask for {settings.n_toys:,}: "
            "delete it and give the command of the run again, which makes it from the shards"
        )
    score, document = score_document(
        toys, task, epsilon=settings.epsilon if epsilon is None else epsilon
    )
    if task.answer == "interval":
        over = _over_best(out, toys, task)
        document["over_best"] = None if over is None else over.to_json()
    made_with = read_provenance(out) or {}
    document |= {
        "settings": settings.to_json(),
        # What the toys were made with; who scores them again may have other versions.
        "versions": made_with.get("versions", versions_here()),
        "provenance": {k: v for k, v in made_with.items() if k != "versions"},
    }
    write_json(out / FILE_NAME, strict(document))
    return score


def score_document(
    toys: pd.DataFrame, task: Task, *, epsilon: float | None = None
) -> tuple[Score, dict[str, Any]]:
    """The score of a table of toys, and what score.json says of the toys alone.

    `epsilon` replaces the task's own. The document may hold NaN: see `strict`.

    Raises
    ------
    DataError
        If the table cannot be scored.
    """
    score = task.score(toys, epsilon=epsilon)
    document: dict[str, Any] = {**score.values, "headline": score.headline}
    if task.answer == "interval":
        curves = coverage_curves(toys, task.parameters[0])
        document["coverage_against"] = {name: c.to_json() for name, c in curves.items()}
    document |= {
        "status": {str(k): int(v) for k, v in toys["status"].value_counts().sort_index().items()},
        "per_set": list(score.per_set),
    }
    return score, document


def read_score(out: Path) -> dict[str, Any]:
    """The document in `out`/score.json.

    Raises
    ------
    DataError
        If it is not there or not readable.
    """
    path = out / FILE_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: score the run first (sigma68 score)") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): score the run again") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} is not a score: score the run again (sigma68 score)")
    return document


def rank_folders(
    folders: Mapping[str, Path] | Sequence[Path],
    *,
    epsilon: float | None = None,
    seed: int = 0,
    sets_drawn: int | None = None,
    task: Task | None = None,
) -> Ranking | HeadlineRanking:
    """Rank finished runs by the toys in their folders; a list takes the folders' own names.

    By their intervals where the task asks for one, else by its headline score. Runs on other data,
    seeds or splits are not on common toys, even where their truths agree: the ranking is then
    indicative.

    Raises
    ------
    SettingsError
        If the runs are of different tasks, or two have one name.
    DataError
        If a run is not finished, or its toys cannot be ranked.
    """
    from sigma68.run.results import read_toys

    named = dict(folders) if isinstance(folders, Mapping) else _by_name(folders)
    if not named:
        raise SettingsError("there is nothing to rank: give at least one folder of a run")
    settings = {name: settings_of(folder) for name, folder in named.items()}
    tasks = sorted({s.task for s in settings.values()})
    if len(tasks) > 1:
        raise SettingsError(
            f"runs of different tasks cannot be compared: {', '.join(tasks)}; give runs of one"
        )
    (first, *others) = settings.items()
    task = task_of(first[1]) if task is None else task
    made_from = {name: _origin(folder, settings[name]) for name, folder in named.items()}
    origin = made_from[first[0]]
    notes = [
        f"indicative only: {name!r} was run with {what}={made_from[name][what]!r}, {first[0]!r} "
        f"with {origin[what]!r}, so that their toys are not the same"
        for name, _ in others
        for what in _differing(origin, made_from[name])
    ]
    tables = {name: read_toys(folder) for name, folder in named.items()}
    epsilon = first[1].epsilon if epsilon is None else epsilon
    if task.answer != "interval":
        return rank_by_headline(
            tables, task, epsilon=epsilon, seed=seed, sets_drawn=sets_drawn, notes=notes[:1]
        )
    return rank(
        tables,
        task.parameters[0],
        over_best={name: _over_best(folder, tables[name], task) for name, folder in named.items()},
        epsilon=epsilon,
        seed=seed,
        sets_drawn=sets_drawn,
        notes=notes[:1],
    )


def _over_best(out: Path, toys: pd.DataFrame, task: Task) -> OverBest | None:
    """How far the intervals of the run in `out` are from the narrowest, where these are known."""
    known = read_best_widths(out)
    return None if known is None else over_best(known, interval_toys(toys, task.parameters[0]))


def settings_of(out: Path) -> RunSettings:
    """The settings of the run in `out`.

    Raises
    ------
    SettingsError
        If there is none.
    """
    from sigma68.run.settings import read_settings

    settings = read_settings(out)
    if settings is None:
        raise SettingsError(f"{out} holds no run (there is no settings.json): give its folder")
    return settings


def task_of(settings: RunSettings) -> Task:
    """The task that a run was made for."""
    from sigma68.discover import load_task

    return load_task(settings.task)


def _origin(folder: Path, settings: RunSettings) -> dict[str, Any]:
    """What the toys of a run were made from, as far as their table does not show it."""
    from sigma68.run.provenance import read_provenance

    return {
        "seed": settings.seed,
        "split_seed": settings.split_seed,
        "pool": settings.pool,
        "data": settings.data,
        "data_fingerprint": (read_provenance(folder) or {}).get("data_fingerprint"),
    }


def _differing(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[str]:
    """What differs between two origins.

    Data go by their fingerprint where it is known of both: a path may hold other events than it
    did, and two paths the same.
    """
    known = None not in (one["data_fingerprint"], two["data_fingerprint"])
    unread = "data" if known else "data_fingerprint"
    return [what for what in one if what != unread and one[what] != two[what]]


def _by_name(folders: Sequence[Path]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for folder in folders:
        name = folder.resolve().name
        if name in named:
            raise SettingsError(
                f"{named[name]} and {folder} have the same name {name!r}: give folders whose "
                "names differ"
            )
        named[name] = folder
    return named


def strict(value: Any) -> Any:
    """The value with NaN and infinity, which JSON does not have, as None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return value
