"""By what a comparison of two files is judged: a simulation by real events, an emulator by simulated ones.

A simulation is held against a thousand real events and published tables: what differs is found by
p-values. An emulator is held against so many simulated events that p-values find what no
measurement would notice; where a size matters, it is judged by a limit on that size, and whatever
is known worse than the limit is not judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sigma68.tasks.higgs.history import read_history

__all__ = ["EMULATOR", "JUDGEMENTS", "PARTS", "SIMULATION", "Judgement", "Verdict", "judgement_for"]

Verdict = Literal["pass", "miss", "small", "unsure", "none"]
"""Within the limit, beyond it, too few events to judge, known too badly to judge, or not there."""

PARTS: Final = (
    *("yields", "distributions", "response", "correlations"),
    *("classifier", "separation", "neighbours"),
)
"""What can be compared, in the order in which it is reported."""

PerProcess = tuple[float, float, float, float]


@dataclass(frozen=True)
class Judgement:
    """What is compared with what, and what passes.

    Attributes
    ----------
    name
        "simulation" or "emulator".
    tested, reference
        What the events of the two files are called.
    parts
        What is compared, of `PARTS`.
    high_thresholds
        Whether distributions, correlations and trees see events after the high thresholds.
    pooled
        Whether all processes are also tested together.
    fine
        Whether there are so many events on both sides that the rows of a hard event can be weighed
        by how alike they are, edges of columns looked at, and samples thinned to even weights.
    inclusive_tolerance, region_tolerance
        How far a yield of each process may be off, relative: before the high thresholds, and in a
        region after them.
    least_events
        Yields of so many expected events or fewer are shown but not judged.
    largest_error
        Yields whose ratio has a larger error are not judged.
    noise_draws
        How often the noise of soft_met is drawn for each event.
    response_tolerance, largest_response_error, least_expected
        How far a response may be off, absolute, if the error of the difference is no larger than
        this and more events are expected than that; without a tolerance responses are judged by
        p-values.
    largest_area
        The largest area under the ROC curve of trees that tell the two apart; without it areas
        are judged by p-values.
    largest_gap
        By how much the separation of signal from background may differ between the two, as a
        difference of areas; None where it is not compared.
    """

    name: Literal["simulation", "emulator"]
    tested: str
    reference: str
    parts: tuple[str, ...]
    high_thresholds: bool
    pooled: bool
    fine: bool
    inclusive_tolerance: PerProcess
    region_tolerance: PerProcess
    least_events: float
    largest_error: float
    noise_draws: int = 1
    response_tolerance: float | None = None
    largest_response_error: float = math.inf
    least_expected: float = 0.0
    largest_area: float | None = None
    largest_gap: float | None = None


SIMULATION: Final = Judgement(
    name="simulation",
    tested="simulated",
    reference="real",
    parts=PARTS[:5],
    high_thresholds=False,
    pooled=True,
    fine=False,
    inclusive_tolerance=(0.03, 0.05, 0.05, 0.10),
    region_tolerance=(0.05, 0.05, 0.05, 0.10),
    least_events=200.0,
    largest_error=math.inf,
)
"""Simulated events by published yields and real events."""

EMULATOR: Final = Judgement(
    name="emulator",
    tested="emulated",
    reference="simulated",
    parts=PARTS,
    high_thresholds=True,
    pooled=False,
    fine=True,
    inclusive_tolerance=(0.03, 0.03, 0.03, 0.03),
    region_tolerance=(0.03, 0.03, 0.03, 0.03),
    least_events=0.0,
    largest_error=0.03,
    noise_draws=8,
    response_tolerance=0.003,
    largest_response_error=0.003,
    least_expected=1000.0,
    largest_area=0.53,
    largest_gap=0.005,
)
"""Emulated events by simulated ones that the emulator was not trained on."""

JUDGEMENTS: Final[Mapping[str, Judgement]] = {own.name: own for own in (SIMULATION, EMULATOR)}

_EMULATED: Final = "emulation"


def judgement_for(tested: Path) -> Judgement:
    """The judgement that suits a file: `EMULATOR` if its history says that it was emulated.

    Raises
    ------
    DataError
        If the file's metadata cannot be read.
    """
    history = read_history(tested) or {}
    return EMULATOR if history.get("kind") == _EMULATED else SIMULATION
