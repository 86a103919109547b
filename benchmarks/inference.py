"""How long an answer takes: `python -m benchmarks.inference [--data emulated:1:5M] [--toys 5]`.

Methods that profile are trained here (`--methods bdt_profile nn_profile`) and answer for whole
pseudo-experiments of the challenge, feature columns in memory to `Prediction`: the share of each
step, medians over `--toys`, on `--threads` threads. Drawing an event's toy stands beside it. The fit
alone is held against its peers in the same run, on the same counts: MIGRAD and MINOS of the same
function, and pyhf with its MINUIT optimiser on the exported workspace.

The challenge allows 20 seconds a toy; SAGE publishes five CPU minutes for its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.discover import load_task, method_class
from sigma68.inference.binned import BinnedLikelihood
from sigma68.inference.interchange import pyhf_workspace
from sigma68.inference.profile_method import ProfileMethod
from sigma68.run.truth import draw_truth, toy_stream

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """Medians of the steps of one method's answer, in milliseconds."""

    method: str
    events: int
    draw_ms: float
    score_ms: float
    count_ms: float
    fit_ms: float
    whole_ms: float


@dataclass(frozen=True)
class Fit:
    """Medians of a fit with interval, in milliseconds, and the interval."""

    what: str
    ms: float
    ratio: float
    mu_hat: float
    lower: float
    upper: float


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds, and what came back."""
    begin = time.perf_counter()
    result = call()
    return 1e3 * (time.perf_counter() - begin), result


def toys_of(task: Any, pool: Any, toys: int) -> Iterator[tuple[float, Any]]:
    """So many pseudo-experiments and one to warm up, each after the milliseconds it took to draw."""
    for toy in range(toys + 1):
        truth = draw_truth(task, 1, 0, toy, [n.name for n in task.nuisances])
        stream = toy_stream(task, 1, 0, toy)
        yield timed(partial(task.pseudo_experiment, pool, truth, stream))


def answers(method: ProfileMethod, task: Any, pool: Any, toys: int) -> tuple[Answer, Floats]:
    """The steps of `toys` answers, after one to warm up; and the counts of the last toy."""
    rows, events = [], 0
    counts = np.zeros(0)
    for draw, seen in toys_of(task, pool, toys):
        score, scores = timed(partial(method.score, seen.values))
        count, counts = timed(partial(method.measurement.counts, scores))
        fit, _ = timed(partial(method.interval, counts))
        whole, _ = timed(partial(method.predict, seen))
        rows.append((draw, score, count, fit, whole))
        events = seen.n_events
    medians = [statistics.median(column) for column in zip(*rows[1:], strict=True)]
    return Answer(method.name, events, *medians), counts


def unbinned(method: Any, task: Any, pool: Any, toys: int) -> tuple[int, float, float]:
    """Events, and median milliseconds of drawing and answering, of a method without bins."""
    rows, events = [], 0
    for draw, seen in toys_of(task, pool, toys):
        rows.append((draw, timed(partial(method.predict, seen))[0]))
        events = seen.n_events
    draw_ms, whole_ms = (statistics.median(column) for column in zip(*rows[1:], strict=True))
    return events, draw_ms, whole_ms


def fits(likelihood: BinnedLikelihood, counts: Floats, repeats: int) -> list[Fit]:
    """Ours, MINOS and pyhf on the same counts."""
    found: list[Fit] = []

    def add(what: str, call: Callable[[], tuple[float, float, float]], times: int) -> None:
        call()
        timings = [timed(call) for _ in range(times)]
        ms = statistics.median(t for t, _ in timings)
        found.append(Fit(what, ms, ms / found[0].ms if found else 1.0, *timings[0][1]))

    def ours() -> tuple[float, float, float]:
        fit, lower, upper = likelihood.interval(counts)
        return float(fit.best[0]), lower, upper

    def minos() -> tuple[float, float, float]:
        interval = likelihood.minos(counts)
        return float(interval.best[0]), interval.lower, interval.upper

    add("ours", ours, 20 * repeats)
    add("MIGRAD and MINOS", minos, repeats)
    add("pyhf, fit with HESSE errors", _pyhf(likelihood, counts), repeats)
    return found


def _pyhf(likelihood: BinnedLikelihood, counts: Floats) -> Callable[[], tuple[float, float, float]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyhf

        pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer())
        workspace = pyhf.Workspace(pyhf_workspace(likelihood, counts))
        model = workspace.model()
        data = workspace.data(model)

    def call() -> tuple[float, float, float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = np.asarray(pyhf.infer.mle.fit(data, model, return_uncertainties=True))
        value, error = result[model.config.poi_index]
        return float(value), float(value - error), float(value + error)

    return call


def main() -> None:
    """Train, time, print a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="emulated:1:5M", help="source of the task higgs")
    parser.add_argument("--methods", nargs="+", default=["bdt_profile", "nn_profile"])
    parser.add_argument("--models", type=Path, help="folder with trained models, one per method")
    parser.add_argument("--toys", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    task = load_task("higgs")
    pools = task.open(given.data)
    results: dict[str, Any] = {"load": os.getloadavg(), "data": given.data}
    print(
        f"{'method':12} {'events':>9} {'draw':>7} {'score':>7} {'count':>7} {'fit':>7} {'answer':>8}  ms"
    )
    for name in given.methods:
        method = _trained(name, given, task, pools)
        if not isinstance(method, ProfileMethod):
            events, draw_ms, whole_ms = unbinned(method, task, pools.scoring, given.toys)
            print(f"{name:12} {events:9,} {draw_ms:7.0f} {'':23} {whole_ms:8.0f}")
            results[name] = {"events": events, "draw_ms": draw_ms, "whole_ms": whole_ms}
            continue
        answer, counts = answers(method, task, pools.scoring, given.toys)
        print(
            f"{name:12} {answer.events:9,} {answer.draw_ms:7.0f} {answer.score_ms:7.0f} "
            f"{answer.count_ms:7.1f} {answer.fit_ms:7.2f} {answer.whole_ms:8.0f}"
        )
        alone = fits(method.likelihood, counts, given.toys)
        for fit in alone:
            print(
                f"    {fit.what:28} {fit.ms:9.2f} ms {fit.ratio:8.0f} x   mu {fit.mu_hat:.4f} "
                f"[{fit.lower:.4f}, {fit.upper:.4f}]"
            )
        results[name] = {"answer": asdict(answer), "fits": [asdict(fit) for fit in alone]}
    if given.json is not None:
        given.json.write_text(json.dumps(results, indent=1) + "\n")


def _trained(name: str, given: argparse.Namespace, task: Any, pools: Any) -> Any:
    cls: Any = method_class(name)
    if given.models is not None:
        return cls.load(given.models / name, task)
    method = cls(task, threads=given.threads)
    method.fit(pools.train, pools.calibration)
    return method


if __name__ == "__main__":
    main()
