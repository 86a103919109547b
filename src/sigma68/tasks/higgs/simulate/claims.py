"""What a shard says of itself, taken with distrust: folders come from other machines, and others.

Nothing here knows a shard; it tells whether a JSON document could be one's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from sigma68.printable import printable
from sigma68.tasks.higgs.schema import PROCESSES
from sigma68.tasks.higgs.simulate.streams import CODES

__all__ = ["check_claims", "loads"]

_LONGEST: Final = 1 << 20
_LARGEST: Final = 2**62
_MOST_SHARDS: Final = 10**9
_MOST_VERSIONS: Final = 20


def loads(text: bytes | str) -> Any:
    """A JSON document of other people's making.

    Raises
    ------
    ValueError
        If it is no JSON, longer than 1 MiB, nested without end, has a key twice, or a number
        that is none (NaN and infinities are not JSON).
    """
    if len(text) > _LONGEST:
        raise ValueError(f"{len(text):,} bytes of metadata")
    try:
        return json.loads(text, object_pairs_hook=_each_once, parse_constant=_refused)
    except RecursionError as error:
        raise ValueError("metadata nested too deeply") from error


def check_claims(document: Mapping[str, Any]) -> None:
    """Whether the fields of `ShardAbout.to_json` have types and ranges that a shard can have.

    Raises
    ------
    KeyError, ValueError
        At the first that has not.
    """
    if document["process"] not in PROCESSES:
        raise ValueError(f"no process is called {_shown(document['process'])}")
    for name, least, most in _WHOLE:
        _check(document, name, partial(_is_whole, least=least, most=most))
    _check(document, "seed", lambda v: _is_whole(v, 0, None))
    _check(document, "enrich", lambda v: isinstance(v, bool))
    _check(document, "pythia_seed", lambda v: v is None or _is_whole(v, 0, None))
    _check(document, "luminosity_fb", lambda v: _is_real(v) and v > 0)
    for name in ("effective_events", "seconds"):
        _check(document, name, lambda v: _is_real(v) and v >= 0)
    _check(document, "versions", _are_versions)
    _check(document, "codes", lambda v: isinstance(v, Mapping))
    known = {str(code) for code in CODES[document["process"]]}
    for code, sums in document["codes"].items():
        if str(code) not in known:
            raise ValueError(f"no process code of {document['process']} is {_shown(code)}")
        _check_code(sums)


def _check_code(sums: Any) -> None:
    if not isinstance(sums, Mapping):
        raise ValueError(f"a process code has {_shown(sums)}")
    for name in ("tries", "rows", "hard_events"):
        _check(sums, name, lambda v: _is_whole(v, 0, _LARGEST))
    _check(sums, "cross_section_fb", lambda v: _is_real(v) and v > 0)
    for name in ("sum_weights", "sum_squares"):
        _check(sums, name, lambda v: _is_real(v) and v >= 0)
    if sums["rows"] > 0 and sums["tries"] == 0:
        raise ValueError("it has rows without tries")


def _check(document: Mapping[str, Any], name: str, is_right: Callable[[Any], bool]) -> None:
    if not is_right(document[name]):
        raise ValueError(f"its {name} is {_shown(document[name])}")


_WHOLE: Final = (
    ("number", 0, _MOST_SHARDS),
    ("hard_events", 1, _LARGEST),
    ("first_hard_event", 0, _LARGEST),
    ("rows", 0, _LARGEST),
)


def _is_whole(value: Any, least: int, most: int | None) -> bool:
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return value >= least and (most is None or value <= most)


def _is_real(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) < 1e300 and math.isfinite(value)


def _are_versions(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) <= _MOST_VERSIONS
        and all(
            isinstance(word, str) and len(word) <= 100 and word.isprintable()
            for pair in value.items()
            for word in pair
        )
    )


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("metadata with a key twice")
    return found


def _refused(word: str) -> None:
    raise ValueError(f"metadata with {word}")


def _shown(value: Any) -> str:
    if isinstance(value, int) and abs(value) > _LARGEST:
        return "a number beyond all measure"
    return printable(repr(value), 40)
