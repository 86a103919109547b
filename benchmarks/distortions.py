"""What a fit says of distorted data: `python -m benchmarks.distortions --model FOLDER [--toys 100]`.

A trained method that profiles answers for pseudo-experiments at mu = 1 whose nuisances are all at the
centres of their priors but one, which stands at 3 standard deviations, and for others whose leptons
are 5% harder than any nuisance can tell. For each: the mean pull of the moved nuisance and the mean
mu-hat beside those of the Asimov data set of the method's own likelihood, and how many toys have a
goodness of fit below 0.01.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.discover import load_task, method_class
from sigma68.inference.profile_method import ProfileMethod
from sigma68.run.truth import toy_stream
from sigma68.tasks.higgs import schema
from sigma68.tasks.higgs.derived import derive
from sigma68.types import Observation, Truth

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """Means over toys, with the error of the mean, and what the Asimov data set gives."""

    what: str
    pull: float
    pull_error: float
    pull_asimov: float
    mu_hat: float
    mu_error: float
    mu_asimov: float
    poor: float


def harder_leptons(values: Float32, factor: float) -> Float32:
    """Events (28, n) whose lepton has `factor` times the pt, the MET balanced, all derived anew."""
    primaries = values[: len(schema.PRIMARIES)].copy()
    pt, phi = primaries[schema.LEP_PT].astype(np.float64), primaries[schema.LEP_PHI]
    met, met_phi = primaries[schema.MET].astype(np.float64), primaries[schema.MET_PHI]
    x = met * np.cos(met_phi) - (factor - 1) * pt * np.cos(phi)
    y = met * np.sin(met_phi) - (factor - 1) * pt * np.sin(phi)
    primaries[schema.LEP_PT] = factor * pt
    primaries[schema.MET], primaries[schema.MET_PHI] = np.hypot(x, y), np.arctan2(y, x)
    return np.ascontiguousarray(np.concatenate([primaries, derive(primaries)]), np.float32)


def line(
    what: str,
    method: ProfileMethod,
    task: Any,
    pool: Any,
    moved: dict[str, float],
    toys: int,
    lepton: float = 1.0,
) -> Line:
    """One kind of distorted data."""
    likelihood = method.likelihood
    centres = {n.name: n.asimov for n in task.nuisances}
    name = next(iter(moved), None)
    nuisance = next((n for n in task.nuisances if n.name == name), None)
    asimov = likelihood.fit(likelihood.expected(likelihood.point(1.0, {**centres, **moved})))
    index = likelihood.names.index(name) if name is not None else 0
    pulls, mus, poor = [], [], 0
    for toy in range(toys):
        stream = toy_stream(task, 68, 0, toy)
        seen = task.pseudo_experiment(pool, Truth({"mu": 1.0}, {**centres, **moved}), stream)
        if lepton != 1.0:
            seen = Observation(seen.names, harder_leptons(seen.values, lepton))
        counts = method.counts(seen)
        interval = method.interval(counts)
        value = interval.fitted[name][0] if name is not None else math.nan
        pulls.append(nuisance.to_z(value) if nuisance is not None else 0.0)
        mus.append(interval.mu_hat)
        poor += interval.goodness is not None and interval.goodness < 0.01
    scale = math.sqrt(toys)
    return Line(
        what,
        float(np.mean(pulls)),
        float(np.std(pulls)) / scale,
        float(asimov.best[index]) if name is not None else 0.0,
        float(np.mean(mus)),
        float(np.std(mus)) / scale,
        float(asimov.best[0]),
        poor / toys,
    )


def main() -> None:
    """Print a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="bdt_profile")
    parser.add_argument("--model", type=Path, required=True, help="folder of the trained method")
    parser.add_argument(
        "--data", default="emulated:1:5M", help="source whose scoring pool is drawn"
    )
    parser.add_argument("--toys", type=int, default=100)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    task = load_task("higgs")
    cls: Any = method_class(given.method)
    method: ProfileMethod = cls.load(given.model, task)
    pool = task.open(given.data).scoring
    lines = [line("as simulated", method, task, pool, {}, given.toys)]
    for nuisance in method.profiled:
        at = {nuisance.name: nuisance.from_z(3.0)}
        what = f"{nuisance.name} = {at[nuisance.name]:.3g}"
        lines.append(line(what, method, task, pool, at, given.toys))
    lines.append(line("leptons 5% harder", method, task, pool, {}, given.toys, 1.05))
    print(f"{'data':22} {'pull':>14} {'Asimov':>7} {'mu-hat':>16} {'Asimov':>7} {'p < 0.01':>8}")
    for one in lines:
        print(
            f"{one.what:22} {one.pull:6.2f} ± {one.pull_error:.2f} {one.pull_asimov:9.2f} "
            f"{one.mu_hat:8.3f} ± {one.mu_error:.3f} {one.mu_asimov:7.3f} {one.poor:8.0%}"
        )
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(one) for one in lines], indent=1) + "\n")


if __name__ == "__main__":
    main()
