"""Methods for maps on the same pseudo-experiments: `python -m benchmarks.lensing [--toys 500]`.

Every pseudo-experiment has a cosmology of its own, uniform in the ranges and none that anything was learned at,
and nuisance parameters from their priors. For each method, trained before or shipped: bias over error,
coverage per parameter and jointly with binomial errors, the challenge's score with the error
of a bootstrap over maps, and the difference of scores to `power_spectrum` on the same maps. With `--figures
FOLDER` the figures of ranks and of expected coverage too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from sigma68.discover import load_task
from sigma68.errors import FitError
from sigma68.inference.posterior_checks import PosteriorChecks, covered, place_truth
from sigma68.inference.sampling import Posterior
from sigma68.protocols import Method, Pools, Task
from sigma68.run.models import load_model, trained
from sigma68.run.truth import draw_truth, toy_stream
from sigma68.seeds import stream
from sigma68.tasks.lensing.scores import FLOOR, map_scores
from sigma68.types import Estimate, Observation

Floats = npt.NDArray[np.float64]

METHODS = ("power_spectrum", "cnn", "cnn_posterior", "neural_posterior")
_RESAMPLES = 2000


@runtime_checkable
class _HasPosterior(Protocol):
    def posterior(self, observation: Observation) -> Posterior: ...


@dataclass(frozen=True)
class Answered:
    """Means, errors and truths (n, n_parameters) of a method; checks where it gives draws."""

    means: Floats
    errors: Floats
    truths: Floats
    checks: PosteriorChecks | None
    failed: int
    ms_per_map: float


@dataclass(frozen=True)
class Row:
    """What is said of a method; entries of lists are parameters."""

    method: str
    maps: int
    failed: int
    bias_over_sigma: list[float]
    bias_error: float
    coverage: list[float]
    joint_coverage: float
    coverage_error: float
    rmse: list[float]
    mean_error: list[float]
    score: float
    score_error: float
    ahead: float
    ahead_error: float
    ms_per_map: float


def answer(method: Method, task: Task, pools: Pools, toys: int, seed: int) -> Answered:
    """The method's answers; a map it has none for counts with the floor of the score."""
    names = [p.name for p in task.parameters]
    varied = [n.name for n in task.nuisances]
    n = len(names)
    means, errors = np.full((toys, n), np.nan), np.full((toys, n), np.nan)
    truths = np.empty((toys, n))
    places, seconds = [], 0.0
    for toy in range(toys):
        truth = draw_truth(task, seed, toy, 0, varied)
        seen = task.pseudo_experiment(pools.scoring, truth, toy_stream(task, seed, toy, 0))
        truths[toy] = [truth.parameters[name] for name in names]
        begun = time.perf_counter()
        try:
            draws, means[toy], errors[toy] = _answer(method, seen, names, toy)
        except FitError:
            continue
        finally:
            seconds += time.perf_counter() - begun
        of_toy = stream(task.name, "checks of posteriors", seed, toy)
        places.append(place_truth(draws, truths[toy], task.parameters, of_toy))
    checks = PosteriorChecks.of(task.parameters, places)
    failed = int(np.isnan(means).any(axis=1).sum())
    return Answered(means, errors, truths, checks, failed, 1e3 * seconds / toys)


def _answer(
    method: Method, seen: Observation, names: list[str], toy: int
) -> tuple[Floats, Floats, Floats]:
    """Draws, mean and error; without a posterior, draws are normal with the method's errors."""
    if isinstance(method, _HasPosterior):
        draws = method.posterior(seen).draws
        return draws, draws.mean(axis=0), draws.std(axis=0)
    prediction = method.predict(seen)
    estimates = [prediction[name] for name in names]
    if not all(isinstance(e, Estimate) for e in estimates):
        raise TypeError(f"{method.name} answers with no estimates")
    mean = np.array([e.value for e in estimates if isinstance(e, Estimate)])
    error = np.array([e.error for e in estimates if isinstance(e, Estimate)])
    normal = stream("benchmark", "normal draws", 1, toy).generator()
    return mean + error * normal.standard_normal((4000, len(names))), mean, error


def compare(answers: Mapping[str, Answered], reference: str) -> list[Row]:
    """One row for each method; scores are compared with the reference's, map by map."""
    scores = {
        name: np.maximum(map_scores(a.means, a.errors, a.truths), FLOOR)
        for name, a in answers.items()
    }
    return [_row(name, a, scores[name], scores[reference]) for name, a in answers.items()]


def _row(name: str, a: Answered, scores: Floats, reference: Floats) -> Row:
    good = np.isfinite(a.means).all(axis=1)
    pulls = (a.means - a.truths)[good] / a.errors[good]
    draw = stream("benchmark", "bootstrap of maps", 1).generator()
    chosen = draw.integers(0, len(scores), (_RESAMPLES, len(scores)))
    ahead = scores - reference
    if a.checks is None:
        raise ValueError(f"{name} gave no draws")
    joint, error = covered(a.checks.joint)
    return Row(
        method=name,
        maps=len(scores),
        failed=a.failed,
        bias_over_sigma=pulls.mean(axis=0).tolist(),
        bias_error=float(pulls.std(axis=0).max() / np.sqrt(len(pulls))),
        coverage=(np.abs(pulls) <= 1).mean(axis=0).tolist(),
        joint_coverage=joint,
        coverage_error=error,
        rmse=np.sqrt(((a.means - a.truths)[good] ** 2).mean(axis=0)).tolist(),
        mean_error=a.errors[good].mean(axis=0).tolist(),
        score=float(scores.mean()),
        score_error=float(scores[chosen].mean(axis=1).std()),
        ahead=float(ahead.mean()),
        ahead_error=float(ahead[chosen].mean(axis=1).std()),
        ms_per_map=a.ms_per_map,
    )


def figures(answers: Mapping[str, Answered], task: Task, folder: Path) -> None:
    """Write the figures of ranks, one for each method, and of expected coverage."""
    from sigma68.report.posterior_check_figures import expected_coverage_figure, rank_figure
    from sigma68.report.style import render

    folder.mkdir(parents=True, exist_ok=True)
    checks = {name: a.checks for name, a in answers.items() if a.checks is not None}
    for name, check in checks.items():
        (folder / f"ranks-{name}.png").write_bytes(
            render(rank_figure(check, task.parameters), "png")
        )
    (folder / "coverage.png").write_bytes(render(expected_coverage_figure(checks), "png"))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("methods", nargs="*", default=list(METHODS), help="methods to compare")
    parser.add_argument("--toys", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", help="source of maps to learn from; the task's own if left out")
    parser.add_argument(
        "--model", nargs=2, action="append", default=[], metavar=("METHOD", "FOLDER")
    )
    parser.add_argument("--figures", type=Path, help="folder for figures")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    given = parser.parse_args(arguments)
    task = load_task("lensing")
    pools = task.open(given.data)
    folders = {name: Path(folder) for name, folder in given.model}
    answers = {}
    for name in given.methods:
        if name in folders:
            method = load_model(folders[name], task, pools)
        else:
            method = trained(name, task, pools)
        answers[name] = answer(method, task, pools, given.toys, given.seed)
    rows = compare(answers, given.methods[0])
    for row in rows:
        print(_line(row), flush=True)
    if given.figures is not None:
        figures(answers, task, given.figures)
    if given.json is not None:
        document: list[dict[str, Any]] = [asdict(row) for row in rows]
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _line(row: Row) -> str:
    bias = ", ".join(f"{b:+.3f}" for b in row.bias_over_sigma)
    coverage = ", ".join(f"{100 * c:.1f}" for c in row.coverage)
    rmse = ", ".join(f"{r:.4f}" for r in row.rmse)
    mean_error = ", ".join(f"{r:.4f}" for r in row.mean_error)
    return (
        f"{row.method:17s} {row.maps} maps, {row.failed} failed; bias/sigma {bias} "
        f"(±{row.bias_error:.3f}); coverage {coverage}, jointly {100 * row.joint_coverage:.1f} "
        f"(±{100 * row.coverage_error:.1f}) %; RMSE {rmse}; mean error {mean_error}; "
        f"score {row.score:.3f} ± {row.score_error:.3f}, ahead by {row.ahead:+.3f} ± "
        f"{row.ahead_error:.3f}; {row.ms_per_map:.0f} ms a map"
    )


if __name__ == "__main__":
    main()
