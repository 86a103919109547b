"""The verdict on a run in words: width, coverage, where it is lost, bias, errors, failures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sigma68.score.diagnostics import CoverageCurve
from sigma68.score.pool_error import PoolError
from sigma68.types import LEVEL, Parameter, Score

__all__ = ["Verdict", "factor", "interval_verdict", "number", "percent", "with_error"]

Mood = Literal["good", "fair", "bad"]
SUSPICIOUS = 3.0
"""Standard deviations from which a single bin, pull or bias is worth a sentence."""


@dataclass(frozen=True)
class Verdict:
    """A headline, how good it is, and the sentences that say why."""

    headline: str
    mood: Mood
    sentences: tuple[str, ...]


def interval_verdict(
    score: Score,
    curves: Mapping[str, CoverageCurve],
    parameter: Parameter,
    pool: PoolError | None = None,
    more: Sequence[str] = (),
) -> Verdict:
    """What a table of interval toys says about the method that made it.

    Where the error of finite pools can move the coverage, the verdict is never "good". `more`
    are sentences to stand after those on coverage and pulls.
    """
    headline, mood = _headline(score, parameter)
    too_small = _pool(pool, score, parameter)
    sentences = (
        *too_small,
        _width_and_coverage(score, parameter),
        _penalty(score),
        _where(curves, parameter),
        *_pulls(score, parameter),
        *more,
        *_failures(score),
    )
    if mood == "good" and too_small:
        mood = "fair"
    return Verdict(headline, mood, sentences)


def number(value: float | int | None, digits: int = 3) -> str:
    """A number for reading; a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.{digits}f}".replace("-", "−")


def with_error(value: float | int | None, error: float | int | None) -> str:
    """Value +- error, rounded to two digits of the error."""
    if value is None or error is None or not math.isfinite(value) or not math.isfinite(error):
        return number(value)
    if error < 1e-6 * max(abs(value), 1e-6):  # all values equal, but for rounding
        return number(value)
    digits = min(max(1 - math.floor(math.log10(error)), 0), 6)
    return f"{value:.{digits}f} ± {error:.{digits}f}".replace("-", "−")


def percent(value: float | int | None, digits: int = 1) -> str:
    """A fraction as a percentage."""
    return "–" if value is None else f"{100 * value:.{digits}f}%"


def factor(value: float | int | None) -> str:
    """A penalty factor, which may be enormous."""
    if value is None or not math.isfinite(value):
        return number(None)
    if value < 100:
        return f"{value:.2f}"
    return f"{value:,.0f}" if value < 1e6 else f"{value:.1e}".replace("e+", "e")


def _headline(score: Score, parameter: Parameter) -> tuple[str, Mood]:
    v = score.values
    n, failed = int(v["n_toys"] or 0), int(v["n_failed"] or 0)
    c, low, high = (float(v[k] or 0.0) for k in ("coverage", "window_low", "window_high"))
    if failed == n:
        return "Every toy failed: there is nothing to judge but that", "bad"
    if not v["ranked"]:
        return f"Not ranked: {percent(failed / n)} of the toys failed, more than 1%", "bad"
    # Fewer toys than this leave a free window of more than +-9 percentage points.
    if n < 100:
        return f"Too few toys for a verdict on coverage: {n} of the 100 or more it takes", "fair"
    if c < low:
        return f"Undercovers: the intervals on {parameter.name} are too narrow or off", "bad"
    if c > high:
        return f"Overcovers: the intervals on {parameter.name} are wider than they must be", "fair"
    return "Covers as it should", "good"


def _pool(pool: PoolError | None, score: Score, parameter: Parameter) -> list[str]:
    n_toys = int(score.values["n_toys"] or 0)
    if pool is None or pool.b <= pool.b_limit(n_toys):
        return []
    sentence = (
        f"This is no test of the method: pools as small as these shift all toys together "
        f"(b = {pool.b_in_words}, and a test with so many toys needs {pool.b_limit(n_toys):.2g} or less)."
    )
    width = score.values["interval"]
    if width is None or not math.isfinite(pool.b):
        return [sentence]
    # Half an interval is about the statistical standard deviation that b counts in.
    shift = f"{pool.b * float(width) / 2:.2g}" + (f" {parameter.unit}" if parameter.unit else "")
    return [
        f"{sentence} With intervals as wide as these that is a common shift of the estimates of "
        f"{parameter.name} by about {shift} (one standard deviation, either way)."
    ]


def _width_and_coverage(score: Score, parameter: Parameter) -> str:
    v = score.values
    unit = f" {parameter.unit}" if parameter.unit else ""
    return (
        f"The intervals on {parameter.name} are "
        f"{with_error(v['interval'], v['interval_error'])}{unit} wide on average and contain the "
        f"truth in {percent(v['coverage'])} of {number(v['n_toys'])} toys "
        f"(binomial interval {percent(v['coverage_low'])} to {percent(v['coverage_high'])}; "
        f"{percent(v['level'], 2)} is asked for)."
    )


def _penalty(score: Score) -> str:
    v = score.values
    c, s68, f = (float(v[k] or 0.0) for k in ("coverage", "s68", "penalty"))
    level = float(v["level"] or LEVEL)
    window = f"{percent(v['window_low'])} to {percent(v['window_high'])}"
    if f == 1:
        return f"That is inside the window free of penalty for so many toys, {window}."
    side = "below" if c < level else "above"
    return (
        f"That is {abs(c - level) / s68:.1f} binomial standard deviations {side} the level, outside "
        f"of the window free of penalty ({window}): the penalty factor {factor(f)} costs "
        f"{math.log(f):.2f} of score."
    )


def _where(curves: Mapping[str, CoverageCurve], parameter: Parameter) -> str:
    """The bins of the truth and of nuisances where coverage is off, worst first."""
    found = []
    for name, curve in curves.items():
        for i, deviation in enumerate(curve.deviation):
            if abs(deviation) > SUSPICIOUS:
                found.append((abs(float(deviation)), name, i))
    if not found:
        varied = [name for name in curves if name != parameter.name]
        what = ", ".join([f"the true {parameter.name}", *varied])
        return (
            f"In bins of {what}, coverage is nowhere more than {SUSPICIOUS:g} binomial standard "
            "deviations off."
        )
    found.sort(reverse=True)
    said = []
    for kind, below in (("undercovers", True), ("overcovers", False)):
        bins = [
            _bin(curves[name], name, i, deviation, parameter)
            for deviation, name, i in found
            if (curves[name].deviation[i] < 0) == below
        ]
        if bins:
            more = f", and {len(bins) - 3} bins more" if len(bins) > 3 else ""
            said.append(f"It {kind} for {'; '.join(bins[:3])}{more}.")
    return " ".join(said)


def _bin(curve: CoverageCurve, name: str, i: int, deviation: float, parameter: Parameter) -> str:
    label = f"true {name}" if name == parameter.name else name
    return (
        f"{label} of {_range(float(curve.low[i]), float(curve.high[i]))} "
        f"({percent(float(curve.coverage[i]))} of {int(curve.n[i]):,} toys, {deviation:.1f} "
        "binomial standard deviations off)"
    )


def _pulls(score: Score, parameter: Parameter) -> list[str]:
    v = score.values
    said = []
    bias, error = v["bias"], v["bias_error"]
    if bias is not None and error and abs(bias) > SUSPICIOUS * error:
        side = "too high" if bias > 0 else "too low"
        said.append(
            f"The estimates of {parameter.name} are {side}: bias {with_error(bias, error)}."
        )
    width, error = v["pull_width"], v["pull_width_error"]
    if width is not None and error and abs(width - 1) > SUSPICIOUS * error:
        kind = "too small" if width > 1 else "too large"
        said.append(
            f"The errors given with the estimates are {kind}: pulls have a width of "
            f"{with_error(width, error)} where 1 is right."
        )
    return said


def _failures(score: Score) -> list[str]:
    failed, n = int(score.values["n_failed"] or 0), int(score.values["n_toys"] or 1)
    if not failed:
        return []
    toys, it = ("toys", "They count") if failed > 1 else ("toy", "It counts")
    return [
        f"{number(failed)} {toys} of {number(n)} failed. {it} as not covering, with the whole "
        "allowed range as the width."
    ]


def _range(low: float, high: float) -> str:
    return f"{low:.4g} to {high:.4g}".replace("-", "−")
