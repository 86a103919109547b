"""The verdict on a run, as a terminal shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sigma68.cli.console import print_table, say, warn
from sigma68.score.best_widths import OverBest
from sigma68.score.files import read_score
from sigma68.types import Score

__all__ = ["print_verdict"]

_WORDS = {
    "quantiles_score": "quantiles score",
    "interval": "mean width of the interval",
    "coverage": "coverage",
    "rmse": "RMSE",
    "mae": "MAE",
    "bias": "bias",
    "pull_mean": "mean of the pulls",
    "pull_width": "width of the pulls",
}


def print_verdict(out: Path, score: Score) -> None:
    """Print the score of the run in `out`, and what its pools cannot support."""
    values = score.values
    names = [score.headline, *(name for name in _WORDS if name != score.headline)]
    rows = [
        (_WORDS.get(name, name), _number(value))
        for name in names
        if (value := values.get(name)) is not None
    ]
    document = read_score(out)
    over = OverBest.of_score(document)
    print_table(("", str(out)), [*rows, *_over_best(over)])
    say(_verdict(values))
    if over is not None:
        from sigma68.report.best_words import best_in_words

        say(best_in_words(over))
    left_out = document.get("provenance", {}).get("leaves_out")
    if left_out:
        warn(str(left_out))
    warning = pool_warning(out, int(values.get("n_toys") or 0))
    if warning:
        warn(warning)


def _over_best(over: OverBest | None) -> list[tuple[str, str]]:
    """The rows of the table that say how far the widths are from the narrowest possible."""
    from sigma68.report.best_words import kind_in_words, ratio_in_words

    rows = []
    for kind in () if over is None else over.kinds:
        ratio, at_level = ratio_in_words(kind)
        rows.append((f"width over the oracle's, {kind_in_words(kind)}", ratio))
        rows.append(("    the same at equal coverage", at_level))
    return rows


def pool_warning(out: Path, n_toys: int) -> str | None:
    """What the finite pools of the run in `out` cost, if it is more than the toys' own error."""
    path = out / "pool.json"
    if not path.is_file():
        return None
    from sigma68.score.pool_error import PoolError

    return PoolError.from_json(json.loads(path.read_text(encoding="utf-8"))).warning(n_toys)


def _verdict(values: Mapping[str, float | int | None]) -> str:
    n_toys, n_failed = int(values.get("n_toys") or 0), int(values.get("n_failed") or 0)
    toys = f"{n_toys:,} {'toy' if n_toys == 1 else 'toys'}, {n_failed:,} without a valid answer"
    coverage, epsilon = values.get("coverage"), values.get("epsilon")
    if coverage is None or not n_toys:
        return toys
    from sigma68.score.intervals import sigma_of_coverage
    from sigma68.types import LEVEL

    s68 = float(sigma_of_coverage(n_toys))
    off = coverage - LEVEL
    if abs(off) <= 2 * s68:
        word = f"agrees with {LEVEL:.2%}"
    else:
        word = f"{'over' if off > 0 else 'under'}covers: {abs(off) / s68:.1f} sigma off {LEVEL:.2%}"
    return f"{toys}; coverage {coverage:.2%} ± {s68:.2%} {word}" + (
        "" if epsilon is None else f"; epsilon {epsilon:g}"
    )


def _number(value: float | int) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
