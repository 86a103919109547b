"""The coordinates in which an event is described, in the order in which they are drawn.

Events are seen in a canonical frame: the tau flies along phi = 0 with eta >= 0, the lepton has
0 <= phi <= pi. The overall angle and the two reflections are symmetries, drawn by themselves.
Rows of the arrays that `frame`, `coordinates` and `features` share are numbered by step; `CONTEXT`
says how many rows of the features the conditional of a step sees.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "CHOICES",
    "CONTEXT",
    "N_FEATURES",
    "N_STEPS",
    "STEPS",
]

STEPS: Final = (
    "tau pt",
    "tau eta",
    "lepton pt",
    "lepton eta",
    "lepton phi",
    "MET across the lepton",
    "MET along the lepton",
    "a jet",
    "leading jet pt",
    "leading jet eta",
    "leading jet turn",
    "a second jet",
    "subleading jet pt",
    "subleading jet eta",
    "subleading jet turn",
    "further jets",
    "further jets' pt",
)
"""The leading jet's turn is its angle to the recoil of all that was drawn before it, the subleading
jet's that to the leading one."""

N_STEPS: Final = len(STEPS)

# Positions in STEPS, for kernels (numba freezes module-level integers into the code).
TAU_PT: Final = 0
TAU_ETA: Final = 1
LEP_PT: Final = 2
LEP_ETA: Final = 3
LEP_PHI: Final = 4
MET_ACROSS: Final = 5
MET_ALONG: Final = 6
A_JET: Final = 7
JET1_PT: Final = 8
JET1_ETA: Final = 9
JET1_TURN: Final = 10
A_SECOND: Final = 11
JET2_PT: Final = 12
JET2_ETA: Final = 13
JET2_TURN: Final = 14
FURTHER: Final = 15
FURTHER_PT: Final = 16

MOST_FURTHER: Final = 9
"""Jets beyond the two listed ones, at most; the rare event with more is given this many."""

CHOICES: Final[dict[int, int]] = {A_JET: 2, A_SECOND: 2, FURTHER: MOST_FURTHER + 1}
"""Steps that choose among a few values, and how many."""

CONTEXT: Final = (0, 1, 2, 3, 5, 12, 15, 25, 25, 26, 34, 45, 45, 46, 59, 64, 65)
"""Rows of features that each step's conditional sees, from the first."""

N_FEATURES: Final = 65
