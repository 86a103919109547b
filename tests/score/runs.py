"""Folders as a run leaves them, made of a table of toys; and tasks to score them with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sigma68.protocols import Pools
from sigma68.run.settings import RunSettings
from sigma68.score.estimates import score_toys
from sigma68.types import AnswerKind, Feature, Nuisance, Observation, Parameter, Score
from tests.score.made_toys import MU, NUISANCES


class FakeTask:
    """A task that can only score: what a report needs of one."""

    name = "fake"
    title = "A task for tests"
    features: tuple[Feature, ...] = ()
    default_source: str | None = None

    def __init__(
        self,
        answer: AnswerKind = "interval",
        parameters: tuple[Parameter, ...] = (MU,),
        nuisances: tuple[Nuisance, ...] = NUISANCES,
    ) -> None:
        self.answer = answer
        self.parameters = parameters
        self.nuisances = nuisances

    def open(self, source: str | None = None, *, split_seed: int = 0) -> Pools:
        raise NotImplementedError

    def pseudo_experiment(self, pool: Any, truth: Any, stream: Any) -> Observation:
        raise NotImplementedError

    def score(self, toys: pd.DataFrame, *, epsilon: float | None = None) -> Score:
        return score_toys(toys, self.answer, self.parameters, epsilon=epsilon)


def made_run(
    out: Path,
    toys: pd.DataFrame,
    *,
    pool: dict[str, Any] | None = None,
    fingerprint: str = "abc",
    **settings: Any,
) -> Path:
    """Write settings, toys, failures and pool error as a finished run does."""
    out.mkdir(parents=True, exist_ok=True)
    n_sets = int(toys["set"].nunique())
    active = tuple(n.name for n in NUISANCES if n.name in toys and toys[n.name].nunique() > 1)
    asked: dict[str, Any] = {
        "task": "fake",
        "method": "made",
        "sets": n_sets,
        "toys": len(toys) // n_sets,
        "seed": 1,
        "nuisances": active,
    }
    document = RunSettings(**{**asked, **settings}).to_json()
    (out / "settings.json").write_text(json.dumps(document))
    toys.to_parquet(out / "toys.parquet")
    made_with = {"data_fingerprint": fingerprint, "versions": {"python": "3.11", "sigma68": "0.0"}}
    (out / "provenance.json").write_text(json.dumps(made_with))
    with (out / "failures.jsonl").open("w") as file:
        for row in toys[toys["status"] != "ok"].itertuples():
            message = {"failed": "the fit did not converge <b>", "timeout": "longer than 20 s"}
            line = {"set": int(row.set), "toy": int(row.toy), "status": row.status}
            file.write(json.dumps({**line, "message": message.get(row.status, "")}) + "\n")
    if pool is not None:
        (out / "pool.json").write_text(json.dumps(pool))
    return out


def two_parameters(n: int = 400, scale: float = 1.0) -> pd.DataFrame:
    """Toys of a task with two parameters, `omega` in [0, 10] and `s8` in [0, 1]."""
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"set": np.repeat([0, 1], n // 2), "toy": np.tile(np.arange(n // 2), 2)})
    for p, sigma in ((OMEGA, 0.5), (S8, 0.02)):
        table[p.name] = rng.uniform(p.low, p.high, n)
        table[f"{p.name}_hat"] = table[p.name] + sigma * rng.standard_normal(n)
        table[f"delta_{p.name}_hat"] = scale * sigma
    return table.assign(status="ok", seconds=0.1)


OMEGA = Parameter("omega", 0.0, 10.0, label=r"$\Omega_m$")
S8 = Parameter("s8", 0.0, 1.0, label="$S_8$")
