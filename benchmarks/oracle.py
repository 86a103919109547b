"""Is the oracle as narrow as the information says? `python -m benchmarks.oracle [--toys 20]`.

Pseudo-experiments are drawn afresh from the emulator, a Poisson number of each process, not from
a pool: rows of a pool would be drawn again and again, and the pool's own scatter would move all
estimates together. Beside the mean width of the oracle's intervals stands 2 sigma(mu) from
`sigma68.tasks.higgs.emulate.best`; beside the spread of the estimates, sigma(mu). The times are
those of one prediction: densities, shares, fit.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sigma68.inference.unbinned import MixtureLikelihood, shares_of
from sigma68.methods.oracle import Oracle
from sigma68.run.truth import draw_truth
from sigma68.seeds import stream
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.emulate.best import BestIntervals, load
from sigma68.tasks.higgs.emulate.components import EmulatedComponents
from sigma68.tasks.higgs.emulate.emulator import Emulator
from sigma68.tasks.higgs.emulate.threads import in_order, threads_here
from sigma68.tasks.higgs.nuisance import SCALES, process_scales
from sigma68.tasks.higgs.schema import FEATURES
from sigma68.tasks.higgs.task import Higgs
from sigma68.types import Interval, Observation

CHUNK = 8192


@dataclass(frozen=True)
class Agreement:
    """What some toys at one mu show, with standard errors, beside what the information says."""

    mu: float
    kind: str
    toys: int
    width: float
    width_error: float
    best_width: float
    mean: float
    spread: float
    covered: int

    @property
    def ratio(self) -> str:
        """Width over the best."""
        return f"{self.width / self.best_width:.4f} ± {self.width_error / self.best_width:.4f}"


@dataclass(frozen=True)
class Seconds:
    """Wall-clock and processor seconds of one prediction's steps."""

    events: int
    threads: int
    densities: float
    densities_cpu: float
    shares: float
    fit: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what the toys show, and how long one prediction takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toys", type=int, default=20, help="of each mu and kind")
    parser.add_argument("--mu", type=float, nargs="+", default=[0.1, 1.0, 3.0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    given = parser.parse_args(arguments)
    emulator, best = Emulator.load(), load()
    if best is None or best.fingerprint != emulator.fingerprint:
        parser.error("best.json is of other weights: run sigma68.tasks.higgs.emulate.best first")
    seconds = one_prediction(emulator)
    print(seconds)
    print("| mu | kind | toys | mean width | 2 sigma | ratio | mean estimate | spread | covered |")
    print("| --- " * 9 + "|")
    found = []
    for mu in given.mu:
        for kind, varied in (("statistics", ()), ("normalisations", SCALES)):
            a = agreement(emulator, best, mu, kind, varied, given.toys, given.seed)
            print(
                f"| {a.mu:g} | {a.kind} | {a.toys} | {a.width:.4f} ± {a.width_error:.4f} "
                f"| {a.best_width:.4f} | {a.ratio} | {a.mean:.3f} | {a.spread:.3f} "
                f"| {a.covered} |",
                flush=True,
            )
            found.append(asdict(a))
    if given.json is not None:
        given.json.write_text(json.dumps({"seconds": asdict(seconds), "toys": found}, indent=1))


def agreement(
    emulator: Emulator,
    best: BestIntervals,
    mu: float,
    kind: str,
    varied: tuple[str, ...],
    toys: int,
    seed: int,
) -> Agreement:
    """The oracle on fresh toys at one mu."""
    task = Higgs()
    oracle = Oracle(task, profiled=varied)
    oracle.fit(Fresh(emulator), Fresh(emulator))  # type: ignore[arg-type]
    answers = []
    for toy in range(toys):
        at = draw_truth(task, seed, 0, toy, varied).nuisances
        answer = oracle.predict(fresh_toy(emulator, mu, at, seed, toy))["mu"]
        assert isinstance(answer, Interval)
        answers.append((answer.mu_hat, answer.lower, answer.upper))
    hat, lower, upper = np.array(answers).T
    width = upper - lower
    return Agreement(
        mu=mu,
        kind=kind,
        toys=toys,
        width=float(width.mean()),
        width_error=float(width.std(ddof=1) / math.sqrt(toys)),
        best_width=best.widths(mu, varied)[kind],
        mean=float(hat.mean()),
        spread=float(hat.std(ddof=1)),
        covered=int(((lower <= mu) & (mu <= upper)).sum()),
    )


class Fresh:
    """A pool of nothing that knows its components."""

    role = "train"

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def components(self) -> EmulatedComponents:
        return EmulatedComponents(self.emulator)


def fresh_toy(
    emulator: Emulator, mu: float, nuisances: dict[str, float], seed: int, toy: int
) -> Observation:
    """A pseudo-experiment whose every event is new."""
    own = stream("higgs", "benchmark of the oracle", seed, 0, toy)
    counts = own.generator().poisson(emulator.expected * process_scales(mu, nuisances))
    jobs = [
        (process, first, min(first + CHUNK, int(count)))
        for process, count in enumerate(counts)
        for first in range(0, int(count), CHUNK)
    ]
    drawn = in_order(
        lambda job: emulator.sample(job[0], np.arange(job[1], job[2]), own),
        jobs,
        threads=threads_here(),
        ahead=len(jobs),
    )
    return Observation(FEATURES, bias_columns(np.concatenate(list(drawn), axis=1))[0])


def one_prediction(emulator: Emulator) -> Seconds:
    """The time of each step of one prediction, everything compiled."""
    components = EmulatedComponents(emulator)
    likelihood = MixtureLikelihood(components)
    off = {n.name: n.off for n in Higgs.nuisances}
    seen = fresh_toy(emulator, 1.0, off, 1, 10**6)
    small = Observation(FEATURES, np.ascontiguousarray(seen.values[:, :200_000]))
    shares_of(components.log_densities(small), likelihood.yields)
    begin, begin_cpu = time.perf_counter(), time.process_time()
    logs = components.log_densities(seen)
    densities, densities_cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    begin = time.perf_counter()
    shares_of(logs, likelihood.yields)
    shares = time.perf_counter() - begin
    oracle = Oracle(Higgs(), profiled=SCALES)
    oracle.fit(Fresh(emulator), Fresh(emulator))  # type: ignore[arg-type]
    oracle.predict(seen)
    begin = time.perf_counter()
    oracle.predict(seen)  # the densities of the last observation are kept
    fit = time.perf_counter() - begin
    return Seconds(seen.n_events, threads_here(), densities, densities_cpu, shares, fit)


if __name__ == "__main__":
    main()
