"""From what an entry's `predict` returns to an interval: believe numbers, name everything else.

`describe` runs in the entry's process and turns the answer into JSON; `to_interval` runs in
ours and trusts nothing of it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from sigma68.challenge.failures import EntryInvalid
from sigma68.printable import printable
from sigma68.types import Interval

__all__ = ["KEYS", "describe", "plain_number", "to_interval"]

KEYS = ("mu_hat", "delta_mu_hat", "p16", "p84")
_DECIDING = ("p16", "p84")


def describe(answer: Any) -> dict[str, Any]:
    """The answer as JSON: `{"numbers": {key: float}, "problems": {key: words}}`."""
    if not isinstance(answer, Mapping):
        words = f"predict returned {_kind(answer)}, not a dictionary with {', '.join(KEYS)}"
        return {"numbers": {}, "problems": {"": words}}
    numbers: dict[str, float] = {}
    problems: dict[str, str] = {}
    for key in KEYS:
        if key not in answer:
            problems[key] = "is missing"
            continue
        value = _number(answer[key])
        if value is None:
            problems[key] = f"is {_kind(answer[key])}, not a number"
        else:
            numbers[key] = value
    return {"numbers": numbers, "problems": problems}


def to_interval(described: Mapping[str, Any]) -> Interval:
    """The interval that an entry described.

    Only p16 and p84 decide; a `mu_hat` or `delta_mu_hat` that is no number becomes NaN.

    Raises
    ------
    EntryInvalid
        If p16 or p84 is missing, not a finite number, or they are reversed.
    """
    numbers, problems = described.get("numbers"), described.get("problems")
    if not isinstance(numbers, dict) or not isinstance(problems, dict):
        raise EntryInvalid("the answer of predict came in a form that is none")
    if "" in problems:
        raise EntryInvalid(printable(problems[""]))
    values: dict[str, float] = {}
    for key in KEYS:
        values[key] = plain_number(numbers.get(key))
        if key in _DECIDING and not math.isfinite(values[key]):
            what = problems.get(key) or f"is {values[key]}"
            raise EntryInvalid(f"{key} {printable(what)}: predict must return finite p16 and p84")
    if values["p16"] > values["p84"]:
        raise EntryInvalid(
            f"the interval is reversed: p16 = {values['p16']:g} lies above p84 = {values['p84']:g}"
        )
    return Interval(values["mu_hat"], values["delta_mu_hat"], values["p16"], values["p84"])


def plain_number(value: Any) -> float:
    """A number that came as JSON; NaN for whatever else came."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def _number(value: Any) -> float | None:
    """A float from a Python number, a NumPy scalar, or an array (tensor) of one element."""
    import numpy as np

    if isinstance(value, str | bytes | bool | np.bool_) or value is None:
        return None
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        return math.inf if value > 0 else -math.inf
    try:
        array = np.asarray(value)
        if array.size != 1 or array.dtype.kind not in "iuf":
            return None
        return float(array.reshape(()))
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, str):
        return f"the string {value[:40]!r}"
    kind = type(value).__name__
    article = "an" if kind[:1].lower() in "aeiou" else "a"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and len(shape):
        return f"{article} {kind} of shape {shape}"
    return f"{article} {kind}"
