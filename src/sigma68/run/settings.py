"""What a run was asked to do, as DIR/settings.json keeps it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from sigma68.errors import SettingsError
from sigma68.inference.edges import AtEdges, check_edges
from sigma68.inference.kinds import CalibrationKind

__all__ = ["FILE_NAME", "CalibrationSettings", "RunSettings", "check_same", "read_settings"]

FILE_NAME = "settings.json"
_MOST_TOYS = 10_000_000
TOYS_PER_SET = 100
"""Toys of a calibration are numbered in sets of so many."""
_MAY_GROW = ("sets", "toys")
_OF_THE_SCORE = ("epsilon",)
_PATHS = ("data", "entry", "model")


@dataclass(frozen=True)
class CalibrationSettings:
    """How a method's intervals are to be corrected before the toys of a run.

    `toys` pseudo-experiments, a multiple of 100, are drawn from the calibration pool with `seed`;
    `kind`, `at_edges` and `degree` are those of `sigma68.inference.calibrate.calibrate`.

    Raises
    ------
    SettingsError
        If a setting is out of its range.
    """

    toys: int = 2000
    kind: CalibrationKind = "scale"
    at_edges: AtEdges = "extend"
    degree: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.toys < TOYS_PER_SET or self.toys % TOYS_PER_SET or self.toys > _MOST_TOYS:
            raise SettingsError(
                f"a calibration takes a multiple of {TOYS_PER_SET} toys, not {self.toys}: ask for "
                f"{max(1, round(self.toys / TOYS_PER_SET)) * TOYS_PER_SET}"
            )
        if self.kind not in get_args(CalibrationKind):
            raise SettingsError(
                f"a calibration is of the kind 'scale' or 'neyman', not {self.kind!r}"
            )
        check_edges(self.at_edges)
        least = 0 if self.kind == "scale" else 1
        if self.degree is not None and not least <= self.degree <= least + 3:
            raise SettingsError(
                f"the degree of a calibration of the kind {self.kind!r} must be {least} to "
                f"{least + 3}, not {self.degree}"
            )
        if self.seed < 0:
            raise SettingsError(f"the seed of a calibration must be 0 or more, not {self.seed}")


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides what the toys of a run are; how many workers does not.

    Exactly one of `method` (a name) and `entry` (a folder or zip) is given. `data` is a source
    that the task opens, None for its default. `nuisances` are those switched on. `model` is a
    trained model's folder to be used instead of training. `pool` is the role of the pool that
    toys are drawn from. `method_settings` are keyword arguments of the method. With `calibration`
    the method's intervals are corrected first. Times are in seconds; `epsilon` is the score's,
    None for the task's default.

    Raises
    ------
    SettingsError
        If a setting is out of its range or two contradict each other.
    """

    task: str
    method: str | None = None
    entry: str | None = None
    data: str | None = None
    sets: int = 10
    toys: int = 100
    seed: int = 0
    nuisances: tuple[str, ...] = ()
    split_seed: int = 0
    pool: str = "scoring"
    model: str | None = None
    method_settings: Mapping[str, Any] = field(default_factory=dict)
    predict_seconds: float = 20.0
    fit_seconds: float = 3600.0
    epsilon: float | None = None
    calibration: CalibrationSettings | None = None

    def __post_init__(self) -> None:
        if (self.method is None) == (self.entry is None):
            raise SettingsError("a run needs a method or an entry, and not both: give one of them")
        if self.entry is not None and (self.model is not None or self.method_settings):
            raise SettingsError(
                "an entry trains itself: leave out 'model' and 'method_settings' with 'entry'"
            )
        if self.entry is not None and self.calibration is not None:
            raise SettingsError(
                "an entry answers for its own coverage: leave 'calibration' out with 'entry'"
            )
        for name in ("sets", "toys"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if self.sets * self.toys > _MOST_TOYS:
            raise SettingsError(
                f"{self.sets} sets of {self.toys} toys are more than {_MOST_TOYS:,} toys: ask for "
                "fewer, or share them out over several runs with different seeds"
            )
        for name in ("seed", "split_seed"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} must be 0 or more, not {getattr(self, name)}")
        for name in ("predict_seconds", "fit_seconds"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise SettingsError(f"{name} must be a positive number of seconds, not {value}")
        if self.epsilon is not None and not (math.isfinite(self.epsilon) and self.epsilon > 0):
            raise SettingsError(f"epsilon must be a positive number, not {self.epsilon}")
        if self.pool not in ("scoring", "final"):
            raise SettingsError(f"pool must be 'scoring' or 'final', not {self.pool!r}")

    @property
    def subject(self) -> str:
        """The method's name, or the entry's file or folder name."""
        return self.method if self.method is not None else Path(str(self.entry)).name

    @property
    def n_toys(self) -> int:
        """All toys of the run."""
        return self.sets * self.toys

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        document = asdict(self)
        document["nuisances"] = list(self.nuisances)
        document["method_settings"] = dict(self.method_settings)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> RunSettings:
        """The settings that `to_json` wrote.

        Raises
        ------
        SettingsError
            If a setting is unknown, missing or of the wrong type.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(document) - known)
        if unknown:
            raise SettingsError(
                f"unknown setting {unknown[0]!r}: written by another version of sigma68?"
            )
        given = dict(document)
        try:
            if "nuisances" in given:
                given["nuisances"] = tuple(given["nuisances"])
            if given.get("calibration") is not None:
                given["calibration"] = CalibrationSettings(**given["calibration"])
            return cls(**given)
        except TypeError as error:
            raise SettingsError(f"the settings are incomplete or malformed: {error}") from error


def read_settings(folder: Path) -> RunSettings | None:
    """The settings of the run in `folder`; None where none was begun.

    Raises
    ------
    SettingsError
        If the file is not what a run wrote.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read ({error}): give another folder") from error
    try:
        document = json.loads(text)
        if not isinstance(document, dict):
            raise ValueError("not a JSON object")
        return RunSettings.from_json(document)
    except (ValueError, SettingsError) as error:
        raise SettingsError(
            f"{path} is not the settings of a run ({error}): give another folder"
        ) from error


def check_same(old: RunSettings, new: RunSettings, folder: Path) -> None:
    """Refuse to continue the run in `folder` with settings that would give other toys.

    `sets` and `toys` may grow: toys that are there stay as they are. `epsilon` belongs to the
    score and may change.

    Raises
    ------
    SettingsError
        Naming the first setting that differs, with both values.
    """
    before, now = old.to_json(), new.to_json()
    for name in before:
        if before[name] == now[name] or name in _OF_THE_SCORE:
            continue
        if name in _PATHS and _same_path(before[name], now[name]):
            continue
        if name in _MAY_GROW:
            if now[name] > before[name]:
                continue
            raise SettingsError(
                f"{folder} holds a run with {name}={before[name]}, more than the {now[name]} "
                f"asked for: ask for {before[name]} or more, or give another output folder"
            )
        raise SettingsError(
            f"{folder} holds a run with {name}={before[name]!r}, not {now[name]!r}: continue it "
            "with the settings it was begun with, or give another output folder"
        )


def _same_path(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and Path(one).resolve() == Path(other).resolve()
