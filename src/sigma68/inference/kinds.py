"""The kinds of calibration there are, for whoever only needs their names."""

from __future__ import annotations

from typing import Literal

__all__ = ["CalibrationKind"]

CalibrationKind = Literal["scale", "neyman"]
"""Stretch a method's own intervals, or build new ones about its estimate."""
