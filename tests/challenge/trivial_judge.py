"""A judge that runs nothing: it makes answers up from the plan's seed and an entry's quality."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sigma68.challenge.judge.plan import Candidate, JudgingStopped, Plan, Verdict
from sigma68.discover import load_task
from sigma68.score.files import score_document
from sigma68.seeds import stream


def trivial_judge(
    entries: Sequence[Candidate],
    plan: Plan,
    *,
    folder: Path,
    progress: Callable[[int, int], None],
    log: Callable[[str, str], None],
    stop: Callable[[], bool],
) -> list[Verdict]:
    """Intervals whose width an entry's source states as "sigma = ..."; one that says "bad" fails."""
    verdicts = []
    for number, entry in enumerate(entries):
        if stop():
            raise JudgingStopped("the judging was asked to stop")
        source = _source(entry.path)
        log(entry.id, f"{entry.id} is judged")
        if "bad" in source:
            verdicts.append(Verdict(entry.id, None, None, 0.5, reason="it is bad"))
            continue
        found = re.search(r"sigma = ([0-9.]+)", source)
        table = toys_of(plan, float(found[1]) if found else 0.4)
        path = folder / f"{entry.id}.parquet"
        table.to_parquet(path, index=False)
        _, document = score_document(table, load_task(plan.task), epsilon=plan.epsilon)
        progress((number + 1) * plan.n_toys, len(entries) * plan.n_toys)
        verdicts.append(
            Verdict(entry.id, document, path, 2.0, energy_joules=30.0, energy="estimated")
        )
    return verdicts


def toys_of(plan: Plan, sigma: float) -> pd.DataFrame:
    """Answers of an honest method: the same toys and the same noise for all entries of a plan."""
    truths = stream(plan.task, "truth", plan.seed).generator()
    noise = stream(plan.task, "noise", plan.seed).generator()
    mu = np.repeat(truths.uniform(0.5, 2.5, plan.sets), plan.toys)
    hat = mu + sigma * noise.standard_normal(mu.size)
    return pd.DataFrame(
        {
            "set": np.repeat(np.arange(plan.sets), plan.toys),
            "toy": np.tile(np.arange(plan.toys), plan.sets),
            "mu": mu,
            "mu_hat": hat,
            "delta_mu_hat": sigma,
            "p16": hat - sigma,
            "p84": hat + sigma,
            "status": "ok",
            "seconds": 0.01,
        }
    )


def _source(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return archive.read("model.py").decode()
