"""Colours that can be read: 4.5 to 1 for all text, in the light and in the dark (WCAG 2.2, 1.4.3)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import sigma68

CSS = Path(sigma68.__file__).parent / "challenge" / "web" / "static" / "page.css"


def colours(theme: str) -> dict[str, str]:
    blocks = re.findall(r":root \{(.*?)\}", CSS.read_text(), re.DOTALL)
    found = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[0]))
    if theme == "dark":
        found |= dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[1]))
    return found


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read(theme: str) -> None:
    found = colours(theme)
    for ground in ("paper", "wash", "mark"):
        for ink in ("ink", "soft", "accent", "good", "warn", "bad"):
            assert contrast(found[ink], found[ground]) >= 4.5, (ink, ground)
    assert contrast(found["accent-ink"], found["accent"]) >= 4.5
    # What is drawn: 3 to 1 (1.4.11).
    for ground in ("paper", "band"):
        for line in ("accent", "bad"):
            assert contrast(found[line], found[ground]) >= 3, (line, ground)
