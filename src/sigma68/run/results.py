"""The table of toys: one row per pseudo-experiment, as toys.parquet holds it.

For a task that asks for an interval on `mu`: `set, toy, mu` (the truth), `mu_hat,
delta_mu_hat, p16, p84, status, seconds`, then the nuisances by name (off ones at their "off").
For "estimates": `p, p_hat, delta_p_hat` for each parameter p. For "strangeness": the
parameters, then `score`. A toy whose status is not "ok" has NaN in the answer columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from sigma68.errors import DataError
from sigma68.protocols import Task
from sigma68.types import Estimate, Interval, Prediction, Status, Strangeness, ToyResult, Truth

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FILE_NAME",
    "answer_columns",
    "judge",
    "read_toys",
    "result_from_json",
    "result_to_json",
    "row",
    "table",
    "toy_columns",
    "write_rows",
]

FILE_NAME = "toys.parquet"
_REMAKE = "remove it and start the run again, which makes it from the toys in shards"
_STATUSES: tuple[Status, ...] = get_args(Status)


def answer_columns(task: Task) -> tuple[str, ...]:
    """The columns that a method's answer fills."""
    names = [p.name for p in task.parameters]
    if task.answer == "interval":
        return (f"{names[0]}_hat", f"delta_{names[0]}_hat", "p16", "p84")
    if task.answer == "estimates":
        return tuple(c for name in names for c in (f"{name}_hat", f"delta_{name}_hat"))
    return ("score",)


def toy_columns(task: Task) -> tuple[str, ...]:
    """The columns of the table of toys, in order."""
    names = [p.name for p in task.parameters]
    if task.answer == "estimates":
        middle = [c for n in names for c in (n, f"{n}_hat", f"delta_{n}_hat")]
    else:
        middle = [*names, *answer_columns(task)]
    return ("set", "toy", *middle, "status", "seconds", *(n.name for n in task.nuisances))


def row(task: Task, result: ToyResult) -> dict[str, Any]:
    """One toy as a row: the keys are `toy_columns(task)`, in that order."""
    values: dict[str, Any] = {
        "set": result.set,
        "toy": result.toy,
        "status": result.status,
        "seconds": result.seconds,
        **result.truth.parameters,
        **result.truth.nuisances,
        **dict.fromkeys(answer_columns(task), math.nan),
    }
    if result.status == "ok" and result.prediction is not None:
        values.update(_answers(task, result.prediction))
    return {name: values[name] for name in toy_columns(task)}


def table(task: Task, toys: Iterable[ToyResult]) -> pd.DataFrame:
    """Toys in memory as the table that toys.parquet holds, in the order given."""
    import pandas as pd

    rows = [row(task, result) for result in toys]
    return pd.DataFrame(rows, columns=list(toy_columns(task)))


def _answers(task: Task, prediction: Prediction) -> dict[str, float]:
    values: dict[str, float] = {}
    for name, answer in prediction.answers.items():
        if isinstance(answer, Interval):
            values[f"{name}_hat"] = answer.mu_hat
            values[f"delta_{name}_hat"] = answer.delta_mu_hat
            values["p16"], values["p84"] = answer.lower, answer.upper
        elif isinstance(answer, Estimate):
            values[f"{name}_hat"], values[f"delta_{name}_hat"] = answer.value, answer.error
        else:
            values["score"] = answer.score
    wanted = answer_columns(task)
    return {name: float(values[name]) for name in wanted}


def judge(task: Task, prediction: Prediction) -> tuple[Status, str]:
    """Whether a prediction is the answer that the task asks for, and if not, why.

    "ok"; the status the method gave itself ("failed"); or "invalid" for NaN, infinite or
    reversed bounds and for answers that are missing or of another kind.
    """
    kind = {"interval": Interval, "estimates": Estimate, "strangeness": Strangeness}[task.answer]
    if task.answer == "strangeness":
        answers = list(prediction.answers.items())[:1]
        if not answers:
            return "invalid", "no score was given"
    else:
        wanted = [p.name for p in task.parameters]
        missing = [name for name in wanted if name not in prediction.answers]
        if missing:
            return "invalid", f"no answer for {missing[0]!r}"
        answers = [(name, prediction[name]) for name in wanted]
    for name, answer in answers:
        if not isinstance(answer, kind):
            return "invalid", f"the answer for {name!r} is of the kind {type(answer).__name__}"
        if answer.status != "ok":
            return answer.status, f"the method gave up on {name!r}"
        if not answer.is_valid:
            return "invalid", f"the answer for {name!r} is not finite or reversed: {_short(answer)}"
    return "ok", ""


def _short(answer: Interval | Estimate | Strangeness) -> str:
    if isinstance(answer, Interval):
        return f"[{answer.lower}, {answer.upper}]"
    if isinstance(answer, Estimate):
        return f"{answer.value} +- {answer.error}"
    return str(answer.score)


def result_to_json(result: ToyResult) -> dict[str, Any]:
    """A JSON object (NaN and Infinity as Python writes them) that `result_from_json` reads."""
    return {
        "set": result.set,
        "toy": result.toy,
        "parameters": dict(result.truth.parameters),
        "nuisances": dict(result.truth.nuisances),
        "prediction": None if result.prediction is None else result.prediction.to_json(),
        "status": result.status,
        "seconds": result.seconds,
        "message": result.message,
    }


def result_from_json(document: Mapping[str, Any]) -> ToyResult:
    """The result that `result_to_json` wrote.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the document is not one.
    """
    if document["status"] not in _STATUSES:
        raise ValueError(f"status {document['status']!r}")
    given = document["prediction"]
    return ToyResult(
        set=int(document["set"]),
        toy=int(document["toy"]),
        truth=Truth(dict(document["parameters"]), dict(document["nuisances"])),
        prediction=None if given is None else Prediction.from_json(given),
        status=document["status"],
        seconds=float(document["seconds"]),
        message=str(document["message"]),
    )


def write_rows(
    task: Task, rows: Iterable[Mapping[str, Any]], path: Path, *, extra: tuple[str, ...] = ()
) -> None:
    """Write rows of toys to the Parquet file `path`, sorted by set and toy.

    `extra` names further columns of text.

    Not atomic by itself: callers give a temporary name and rename.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    ordered = sorted(rows, key=lambda r: (r["set"], r["toy"]))
    types = {"set": pa.int64(), "toy": pa.int64(), "status": pa.string()}
    types.update(dict.fromkeys(extra, pa.string()))
    columns = (*toy_columns(task), *extra)
    schema = pa.schema([(name, types.get(name, pa.float64())) for name in columns])
    pq.write_table(pa.Table.from_pylist([dict(r) for r in ordered], schema=schema), path)


def read_toys(folder: Path) -> pd.DataFrame:
    """The toys of the finished run in `folder`, sorted by set and toy.

    Raises
    ------
    DataError
        If the run has not finished, or the file is not a table of toys.
    """
    import pandas as pd
    from pandas.api.types import is_numeric_dtype

    path = folder / FILE_NAME
    if not path.is_file():
        begun = (folder / "settings.json").is_file()
        raise DataError(
            f"{path} does not exist: "
            + ("the run is not finished, start it again" if begun else "no run was made there")
        )
    try:
        toys = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors derive from these
        reason = str(error).rstrip(".")
        raise DataError(
            f"{path} cannot be read as a table of toys ({reason}): {_REMAKE}"
        ) from error
    missing = [c for c in ("set", "toy", "status") if c not in toys.columns]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}: it is not a table of toys")
    words = [c for c in toys.columns if c != "status" and not is_numeric_dtype(toys[c])]
    if words:
        raise DataError(f"the column {words[0]!r} of {path} holds no numbers: {_REMAKE}")
    return toys.sort_values(["set", "toy"], ignore_index=True)
