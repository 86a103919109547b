"""The files that the challenge's own programs write and read, for whoever has tools for them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigma68.errors import DataError, SettingsError
from sigma68.score.files import settings_of, task_of
from sigma68.score.intervals import score_intervals
from sigma68.types import Parameter

if TYPE_CHECKING:
    import pandas as pd

    from sigma68.protocols import Task

__all__ = ["read_peer_files", "scores_of", "write_peer_files", "write_results"]

_COLUMNS = {
    "mu_hats": "{p}_hat",
    "delta_mu_hats": "delta_{p}_hat",
    "p16": "p16",
    "p84": "p84",
}


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
    from sigma68.files import write_json
    from sigma68.run.results import read_toys

    settings = settings_of(out)
    task = task_of(settings) if task is None else task
    if task.answer != "interval":
        raise SettingsError(f"task {task.name!r} asks for no interval: the files would be empty")
    toys = read_toys(out)
    folder = out / "challenge" if folder is None else folder
    write_results(folder, toys, task, settings.nuisances)
    scores = scores_of(toys, task.parameters[0], epsilon=settings.epsilon)
    write_json(folder / "scores.json", scores)
    return folder


def write_results(folder: Path, toys: pd.DataFrame, task: Task, nuisances: Collection[str]) -> None:
    """Write a table of toys (`sigma68.run.results`) as result_<set>.json and test_settings.json.

    `nuisances` are the names of those that varied.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    from sigma68.files import make_folder, write_json

    parameter = task.parameters[0]
    make_folder(folder)
    groups = [group for _, group in toys.groupby("set", sort=True)]
    for group in groups:
        lists = {
            key: group[column.format(p=parameter.name)].to_list()
            for key, column in _COLUMNS.items()
        }
        write_json(folder / f"result_{int(group['set'].iloc[0])}.json", lists)
    write_json(
        folder / "test_settings.json",
        {
            "systematics": {n.name: n.name in nuisances for n in task.nuisances},
            "num_pseudo_experiments": max(len(group) for group in groups),
            "num_of_sets": len(groups),
            "ground_truth_mus": [float(g[parameter.name].iloc[0]) for g in groups],
        },
    )


def scores_of(
    toys: pd.DataFrame, parameter: Parameter, *, epsilon: float | None = None
) -> dict[str, Any]:
    """What scores.json holds; the duration is that of all predictions, in minutes.

    Raises
    ------
    DataError
        If the table cannot be scored.
    """
    values = score_intervals(toys, parameter, epsilon=epsilon).values
    return {
        "rmse": values["rmse_peer"],
        "mae": values["mae_peer"],
        "interval": values["interval"],
        "coverage": values["coverage"],
        "quantiles_score": values["quantiles_score"],
        "epsilon": values["epsilon"],
        "ingestion_duration": float(toys["seconds"].sum()) / 60,
    }


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
        columns = {key.format(p=parameter.name): lists[name] for name, key in _COLUMNS.items()}
        try:
            frame = pd.DataFrame({parameter.name: float(truth), **columns}, dtype=float)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{files[number]} or its truth holds what is not a number ({error})"
            ) from error
        tables.append(
            frame.assign(set=number, toy=range(len(frame)), status="ok", seconds=math.nan)
        )
    return pd.concat(tables, ignore_index=True)


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
    for key in _COLUMNS:
        values = document.get(key, document.get(f"{key}s"))
        if not isinstance(values, list):
            raise DataError(f"{path} has no list {key!r}: give what the challenge's programs wrote")
        lists[key] = values
    lengths = {key: len(values) for key, values in lists.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"the lists of {path} have different lengths: {lengths}")
    return lists
