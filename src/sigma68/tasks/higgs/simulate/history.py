"""Where a merged sample comes from: its shards in few words, and the commands that made them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sigma68.tasks.higgs.schema import PROCESSES
from sigma68.tasks.higgs.simulate.shards import ShardAbout

__all__ = ["history"]

_FORMAT: Final = 1


def history(shards: Sequence[ShardAbout], shuffle_seed: int | None = None) -> dict[str, Any]:
    """A JSON object about a file that `shards` were merged into.

    productions
        Per seed, enrichment and shard length: the numbers of the shards of each process.
    missing
        Shards that are not there though later ones are.
    codes
        Per process code: tries, cross-section, rows, hard events with rows, sum of weights and
        of squared weights of hard events, all normalised together.
    processes
        Per process: rows, hard events simulated in full, expected and effective events, and
        the seconds of processor time.
    versions
        Per package: all that took part.
    commands
        What makes the file again.
    """
    productions = _productions(shards)
    codes = _codes(shards)
    return {
        "kind": "simulation",
        "format": _FORMAT,
        "luminosity_fb": shards[0].luminosity_fb,
        "productions": [_brief(p) for p in productions],
        "missing": [
            f"{name} shards {gaps} of seed {p['seed']}"
            for p in productions
            for name, numbers in p["shards"].items()
            if (gaps := _gaps(numbers))
        ],
        "codes": codes,
        "processes": _processes(shards, codes),
        "versions": {
            package: sorted({s.versions[package] for s in shards if package in s.versions})
            for package in sorted({package for s in shards for package in s.versions})
        },
        "shuffle_seed": shuffle_seed,
        "commands": _commands(productions, shuffle_seed),
    }


def _productions(shards: Sequence[ShardAbout]) -> list[dict[str, Any]]:
    found: dict[tuple[int, bool, int], dict[str, list[int]]] = {}
    for shard in shards:
        key = (shard.seed, shard.enrich, shard.hard_events)
        found.setdefault(key, {}).setdefault(shard.process, []).append(shard.number)
    return [
        {"seed": seed, "enrich": enrich, "hard_events": hard_events, "shards": numbers}
        for (seed, enrich, hard_events), numbers in sorted(found.items())
    ]


def _brief(production: dict[str, Any]) -> dict[str, Any]:
    numbers = {name: _ranges(sorted(own)) for name, own in production["shards"].items()}
    return {**production, "shards": numbers}


def _codes(shards: Sequence[ShardAbout]) -> dict[str, dict[str, Any]]:
    tries: dict[int, int] = {}
    for shard in shards:
        for code, own in shard.codes.items():
            tries[code] = tries.get(code, 0) + own.tries
    found: dict[str, dict[str, Any]] = {}
    for code in sorted(tries):
        with_it = [s.codes[code] for s in shards if code in s.codes]
        scales = [own.tries / tries[code] if tries[code] else 0.0 for own in with_it]
        found[str(code)] = {
            "tries": tries[code],
            "cross_section_fb": with_it[0].cross_section_fb,
            "rows": sum(own.rows for own in with_it),
            "hard_events": sum(own.hard_events for own in with_it),
            "sum_weights": sum(own.sum_weights * f for own, f in zip(with_it, scales, strict=True)),
            "sum_squares": sum(
                own.sum_squares * f * f for own, f in zip(with_it, scales, strict=True)
            ),
        }
    return found


def _processes(
    shards: Sequence[ShardAbout], codes: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    found = {}
    for name in PROCESSES:
        own = [shard for shard in shards if shard.process == name]
        if not own:
            continue
        its_codes = {str(code) for shard in own for code in shard.codes}
        total = sum(codes[code]["sum_weights"] for code in its_codes)
        squares = sum(codes[code]["sum_squares"] for code in its_codes)
        found[name] = {
            "rows": sum(shard.rows for shard in own),
            "hard_events": sum(shard.hard_events for shard in own),
            "expected_events": total,
            "effective_events": total**2 / squares if squares > 0 else 0.0,
            "seconds": round(sum(shard.seconds for shard in own), 3),
        }
    return found


def _commands(productions: Sequence[dict[str, Any]], shuffle_seed: int | None) -> list[str]:
    commands, folders = [], []
    for n, production in enumerate(productions, start=1):
        folders.append(f"shards-{n}")
        counts = ",".join(f"{name}={max(own) + 1}" for name, own in production["shards"].items())
        enrich = "" if production["enrich"] else " --no-enrich"
        commands.append(
            f"sigma68 simulate --shards {counts} --seed {production['seed']} "
            f"--hard-events {production['hard_events']}{enrich} --out {folders[-1]}"
        )
    shuffle = "" if shuffle_seed is None else f" --shuffle --seed {shuffle_seed}"
    return [*commands, f"sigma68 data merge {' '.join(folders)} --out pool.parquet{shuffle}"]


def _gaps(numbers: Iterable[int]) -> str:
    """What lacks below the largest of `numbers`, in few words, without counting it out."""
    spans, free = [], 0
    for number in sorted(set(numbers)):
        if number > free:
            spans.append([free, number - 1])
        free = number + 1
    return _words(spans)


def _ranges(numbers: Iterable[int]) -> str:
    """Increasing numbers in few words: 0-4,7."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return _words(spans)


def _words(spans: Iterable[Sequence[int]]) -> str:
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
