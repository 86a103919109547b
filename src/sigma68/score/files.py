"""Scores on disk: DIR/score.json of a run, and the files that the challenge's programs write."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigma68.errors import DataError, SettingsError
from sigma68.score.diagnostics import coverage_curves
from sigma68.score.intervals import score_intervals
from sigma68.score.ranking import Ranking, rank
from sigma68.types import Parameter, Score

if TYPE_CHECKING:
    import pandas as pd

    from sigma68.protocols import Task
    from sigma68.run.settings import RunSettings

__all__ = [
    "rank_folders",
    "read_peer_files",
    "read_score",
    "score_folder",
    "write_peer_files",
]

FILE_NAME = "score.json"
_PEER_COLUMNS = {
    "mu_hats": "{p}_hat",
    "delta_mu_hats": "delta_{p}_hat",
    "p16": "p16",
    "p84": "p84",
}


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
    from sigma68.run.provenance import read_provenance
    from sigma68.run.provenance import versions as versions_here
    from sigma68.run.results import read_toys
    from sigma68.run.writing import write_json

    settings = _settings(out)
    task = _task(settings) if task is None else task
    toys = read_toys(out)
    score = task.score(toys, epsilon=settings.epsilon if epsilon is None else epsilon)
    document: dict[str, Any] = {**score.values, "headline": score.headline}
    if task.answer == "interval":
        curves = coverage_curves(toys, task.parameters[0])
        document["coverage_against"] = {name: c.to_json() for name, c in curves.items()}
    made_with = read_provenance(out) or {}
    document |= {
        "status": {str(k): int(v) for k, v in toys["status"].value_counts().sort_index().items()},
        "per_set": list(score.per_set),
        "settings": settings.to_json(),
        # What the toys were made with; who scores them again may have other versions.
        "versions": made_with.get("versions", versions_here()),
        "provenance": {k: v for k, v in made_with.items() if k != "versions"},
    }
    write_json(out / FILE_NAME, _strict(document))
    return score


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
) -> Ranking:
    """Rank finished runs by the toys in their folders; a list takes the folders' own names.

    Runs on other data, seeds or splits are not on common toys, even where their truths agree:
    the ranking is then indicative.

    Raises
    ------
    SettingsError
        If the runs are of different tasks, two have one name, or the task asks for no interval.
    DataError
        If a run is not finished.
    """
    from sigma68.run.results import read_toys

    named = dict(folders) if isinstance(folders, Mapping) else _by_name(folders)
    if not named:
        raise SettingsError("there is nothing to rank: give at least one folder of a run")
    settings = {name: _settings(folder) for name, folder in named.items()}
    tasks = sorted({s.task for s in settings.values()})
    if len(tasks) > 1:
        raise SettingsError(
            f"runs of different tasks cannot be compared: {', '.join(tasks)}; give runs of one"
        )
    (first, *others) = settings.items()
    task = _task(first[1]) if task is None else task
    if task.answer != "interval":
        raise SettingsError(f"task {task.name!r} asks for no interval, which a ranking needs")
    notes = []
    for name, other in others:
        for what in ("data", "seed", "split_seed", "pool"):
            one, two = getattr(first[1], what), getattr(other, what)
            if one != two:
                notes.append(
                    f"indicative only: {name!r} was run with {what}={two!r}, {first[0]!r} with "
                    f"{one!r}, so that their toys are not the same"
                )
                break
    return rank(
        {name: read_toys(folder) for name, folder in named.items()},
        task.parameters[0],
        epsilon=first[1].epsilon if epsilon is None else epsilon,
        seed=seed,
        sets_drawn=sets_drawn,
        notes=notes[:1],
    )


def write_peer_files(out: Path, folder: Path | None = None, *, task: Task | None = None) -> Path:
    """Write a finished run as the challenge's programs do, into `folder` (`out`/challenge).

    `result_<set>.json` with the lists mu_hats, delta_mu_hats, p16 and p84 in the order of toys
    (NaN for failed ones, as Python writes it); `test_settings.json` with the truths;
    `scores.json`, whose rmse and mae are the challenge's variants.

    Raises
    ------
    DataError, SettingsError
        If the run is not finished, or its task asks for no interval.
    OutputError
        If a file cannot be written.
    """
    from sigma68.run.results import read_toys
    from sigma68.run.writing import make_folder, write_json

    settings = _settings(out)
    task = _task(settings) if task is None else task
    if task.answer != "interval":
        raise SettingsError(f"task {task.name!r} asks for no interval: the files would be empty")
    parameter = task.parameters[0]
    toys = read_toys(out)
    folder = out / "challenge" if folder is None else folder
    make_folder(folder)
    groups = dict(iter(toys.groupby("set", sort=True)))
    for number, group in groups.items():
        lists = {
            key: group[column.format(p=parameter.name)].to_list()
            for key, column in _PEER_COLUMNS.items()
        }
        write_json(folder / f"result_{number}.json", lists)
    write_json(
        folder / "test_settings.json",
        {
            "systematics": {n.name: n.name in settings.nuisances for n in task.nuisances},
            "num_pseudo_experiments": settings.toys,
            "num_of_sets": len(groups),
            "ground_truth_mus": [float(g[parameter.name].iloc[0]) for g in groups.values()],
        },
    )
    values = score_intervals(toys, parameter, epsilon=settings.epsilon).values
    write_json(
        folder / "scores.json",
        {
            "rmse": values["rmse_peer"],
            "mae": values["mae_peer"],
            "interval": values["interval"],
            "coverage": values["coverage"],
            "quantiles_score": values["quantiles_score"],
            "epsilon": values["epsilon"],
            "ingestion_duration": float(toys["seconds"].sum()) / 60,
        },
    )
    return folder


def read_peer_files(folder: Path, parameter: Parameter) -> pd.DataFrame:
    """The toys in files that the challenge's programs wrote, as a table that can be scored.

    Takes the lists p16 and p84 also under the names p16s and p84s. Truths come from
    test_settings.json, one per result file in the order of set numbers; times are unknown (NaN).

    Raises
    ------
    DataError
        If a file is missing, is not JSON, or its lists do not fit together.
    """
    import pandas as pd

    pattern = re.compile(r"result_(\d+)\.json")
    files = {
        int(match[1]): path
        for path in folder.glob("result_*.json")
        if (match := pattern.fullmatch(path.name))
    }
    if not files:
        raise DataError(f"{folder} has no result_<set>.json: give the folder of the results")
    truths = _load(folder / "test_settings.json").get("ground_truth_mus")
    if not isinstance(truths, list) or len(truths) != len(files):
        raise DataError(
            f"{folder / 'test_settings.json'} must list ground_truth_mus, one for each of the "
            f"{len(files)} result files"
        )
    tables = []
    for truth, number in zip(truths, sorted(files), strict=True):
        lists = _lists(files[number])
        n = len(lists["p16"])
        frame = pd.DataFrame(
            {column.format(p=parameter.name): lists[key] for key, column in _PEER_COLUMNS.items()},
            dtype=float,
        )
        tables.append(
            frame.assign(
                **{"set": number, "toy": range(n), parameter.name: float(truth)},
                status="ok",
                seconds=math.nan,
            )
        )
    return pd.concat(tables, ignore_index=True)


def _settings(out: Path) -> RunSettings:
    from sigma68.run.settings import read_settings

    settings = read_settings(out)
    if settings is None:
        raise SettingsError(f"{out} holds no run (there is no settings.json): give its folder")
    return settings


def _task(settings: RunSettings) -> Task:
    from sigma68.discover import load_task

    return load_task(settings.task)


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


def _load(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error})") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} must hold a JSON object, not a {type(document).__name__}")
    return document


def _lists(path: Path) -> dict[str, list[float]]:
    """The four lists of one result file, of one length."""
    document = _load(path)
    lists = {}
    for key in _PEER_COLUMNS:
        values = document.get(key, document.get(f"{key}s"))
        if not isinstance(values, list):
            raise DataError(f"{path} has no list {key!r}: give what the challenge's programs wrote")
        lists[key] = values
    lengths = {key: len(values) for key, values in lists.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"the lists of {path} have different lengths: {lengths}")
    return lists


def _strict(value: Any) -> Any:
    """The value with NaN and infinity, which JSON does not have, as None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value
