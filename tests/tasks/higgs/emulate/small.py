"""A small emulator whose conditionals are made by hand: no training, no networks to speak of."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sigma68.learning.conditional import (
    Conditional,
    ConditionalChoice,
    ConditionalDensity,
    Marginal,
)
from sigma68.learning.perceptron import Perceptron
from sigma68.tasks.higgs.emulate.emulator import Emulator
from sigma68.tasks.higgs.emulate.files import load, save
from sigma68.tasks.higgs.emulate.steps import CHOICES, N_STEPS
from sigma68.tasks.higgs.emulate.strata import N_STRATA

EXPECTED = np.array([1015.0, 1_002_395.0, 44_192.0, 3_783.0])

_JETS = ((0.4, 0.45), (0.65, 0.65), (0.1, 0.2), (0.45, 0.5))
"""Of each process: the probabilities of no jet, and of no second one."""
_MEAN_PT = (0.10, 0.05, 0.14, 0.12)


def small_weights(path: Path, variant: int = 0) -> Path:
    """Write weights to `path`; another variant, another emulator."""
    chains = [[_conditional(p, step, variant) for step in range(N_STEPS)] for p in range(4)]
    save(path, chains, EXPECTED, np.ones((4, N_STRATA)), {"command": "by hand", "variant": variant})
    return path


def small_emulator(folder: Path, variant: int = 0) -> Emulator:
    """The emulator of these weights, kept in `folder`."""
    return load(small_weights(folder / f"weights-{variant}.npz", variant))


def _conditional(process: int, step: int, variant: int) -> Conditional:
    if step in CHOICES:
        p = np.full(CHOICES[step], 0.3 / (CHOICES[step] - 1))
        p[0] = 0.7
        if CHOICES[step] == 2:
            none = _JETS[process][0 if step == 7 else 1]
            p[:] = none, 1 - none
        return ConditionalChoice(_constant(p))
    knots = np.linspace(0.0, 1.0, 9)
    falling = np.exp(-knots / _MEAN_PT[process]) + 0.01
    flat = 1.0 + 0.1 * np.sin(3.0 * knots + process + variant)
    heights = falling if step in (0, 2, 8, 12, 16) else flat
    return ConditionalDensity(Marginal(knots, heights / np.trapezoid(heights, knots)), None)


def _constant(p: np.ndarray) -> Perceptron:
    """A network of one silent unit: its probabilities are `p`, whatever it sees.

    The root of a probability is made of x as (x + sqrt(x^2 + 4)) / 2.
    """
    root = 10.0 * np.sqrt(p)
    zero = [np.zeros(shape, np.float32) for shape in (0, 0, (1, 0), 1, (1, 1), 1, (len(p), 1))]
    return Perceptron(*zero, (root - 1.0 / root).astype(np.float32))
