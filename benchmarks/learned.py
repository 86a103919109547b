"""Learned likelihoods against the exact one: `python -m benchmarks.learned [--toys 400]`.

Methods are trained on the task whose likelihood is known, and answer for the same
pseudo-experiments as the exact method, with every nuisance varying: widths after both are rescaled
to the level's coverage, over the exact one's, with the error of a bootstrap over toys, and coverage
as it is. With `--model FOLDER --task TASK --data SOURCE` the seconds a toy of a trained model, feature
columns in memory to `Prediction`, wall and processor, medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.discover import load_task, method_class
from sigma68.protocols import Method, Pools, Task
from sigma68.run.models import load_model
from sigma68.run.truth import draw_truth, toy_stream
from sigma68.types import LEVEL, Interval

Floats = npt.NDArray[np.float64]

EXACT, EXACT_TASK = "exact", "gaussian"
QUICK: dict[str, dict[str, Any]] = {
    "gollum": {"units": 64, "hidden_layers": 2, "passes": 10, "response_passes": 20},
    "nsbi": {"units": 64, "hidden_layers": 2, "passes": 10},
}
_RESAMPLES = 500


@dataclass(frozen=True)
class Learned:
    """How a learned likelihood compares with the exact one."""

    method: str
    train_s: float
    toys: int
    width_over_exact: float
    width_error: float
    raw_width_over_exact: float
    coverage: float
    exact_coverage: float
    mean_pull: float
    ms_per_toy: float


@dataclass(frozen=True)
class Speed:
    """Medians of a trained model's answers."""

    method: str
    toys: int
    events: int
    wall_s: float
    processor_s: float


def answers(
    method: Method, task: Task, pools: Pools, toys: int, seed: int
) -> tuple[Floats, Floats]:
    """Rows (lower, estimate, upper, error, truth) and seconds of each toy, a truth of its own each."""
    names = [n.name for n in task.nuisances]
    parameter = task.parameters[0].name
    rows, seconds = [], []
    for toy in range(toys):
        truth = draw_truth(task, seed, toy, 0, names)
        seen = task.pseudo_experiment(pools.scoring, truth, toy_stream(task, seed, toy, 0))
        begun = time.perf_counter()
        answer = method.predict(seen)[parameter]
        seconds.append(time.perf_counter() - begun)
        if not isinstance(answer, Interval):
            raise TypeError(f"{method.name} answers with no interval")
        ends = answer.lower, answer.mu_hat, answer.upper
        rows.append((*ends, answer.delta_mu_hat, truth.parameters[parameter]))
    return np.array(rows), np.array(seconds)


def calibrated_width(rows: Floats) -> float:
    """The mean width after arms are stretched until as many toys are covered as the level says."""
    lower, centre, upper, _, truth = rows.T
    arm = np.where(truth < centre, centre - lower, upper - centre)
    needed = np.abs(truth - centre) / arm
    return float(np.quantile(needed, LEVEL) * np.mean(upper - lower))


def _width(rows: Floats) -> Floats:
    width: Floats = rows[:, 2] - rows[:, 0]
    return width


def coverage(rows: Floats) -> float:
    """The share of toys whose interval holds the truth."""
    return float(np.mean((rows[:, 0] <= rows[:, 4]) & (rows[:, 4] <= rows[:, 2])))


def compare(methods: list[str], data: str | None, toys: int, seed: int) -> list[Learned]:
    """Train the methods and hold them against the exact one on the same toys."""
    task = load_task(EXACT_TASK)
    pools = task.open(data)
    best = method_class(EXACT)(task)
    best.fit(pools.train, pools.calibration)
    exact, _ = answers(best, task, pools, toys, seed)
    rng = np.random.default_rng(seed)
    picks = rng.integers(toys, size=(_RESAMPLES, toys))
    found = []
    for name in methods:
        begun = time.perf_counter()
        method = method_class(name)(task, **QUICK.get(name, {}))
        method.fit(pools.train, pools.calibration)
        trained = time.perf_counter() - begun
        rows, seconds = answers(method, task, pools, toys, seed)
        ratios = [calibrated_width(rows[p]) / calibrated_width(exact[p]) for p in picks]
        found.append(
            Learned(
                method=name,
                train_s=trained,
                toys=toys,
                width_over_exact=calibrated_width(rows) / calibrated_width(exact),
                width_error=float(np.std(ratios)),
                raw_width_over_exact=float(np.mean(_width(rows)) / np.mean(_width(exact))),
                coverage=coverage(rows),
                exact_coverage=coverage(exact),
                mean_pull=float(np.mean((rows[:, 1] - rows[:, 4]) / rows[:, 3])),
                ms_per_toy=1000 * statistics.median(seconds),
            )
        )
    return found


def speed(folder: Path, task_name: str, data: str | None, toys: int, seed: int) -> Speed:
    """The time that a trained model's answers take."""
    task = load_task(task_name)
    pools = task.open(data)
    method = load_model(folder, task, pools)
    names = [n.name for n in task.nuisances]
    walls, processors, events = [], [], []
    for toy in range(toys + 1):
        truth = draw_truth(task, seed, 0, toy, names)
        seen = task.pseudo_experiment(pools.scoring, truth, toy_stream(task, seed, 0, toy))
        wall, processor = time.perf_counter(), time.process_time()
        method.predict(seen)
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
        events.append(seen.n_events)
    # The first answer compiles.
    medians = (statistics.median(x[1:]) for x in (events, walls, processors))
    n, wall, processor = medians
    return Speed(method.name, toys, int(n), wall, processor)


def main() -> None:
    """Print the comparison, or the speed, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=["gollum", "nsbi"])
    parser.add_argument("--toys", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--task", default="higgs")
    given = parser.parse_args()
    if given.model is not None:
        print(
            json.dumps(asdict(speed(given.model, given.task, given.data, given.toys, given.seed)))
        )
        return
    for row in compare(given.methods, given.data, given.toys, given.seed):
        print(json.dumps(asdict(row)), flush=True)


if __name__ == "__main__":
    main()
