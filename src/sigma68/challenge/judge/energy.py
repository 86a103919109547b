"""How much energy CPU time has cost: from the machine's counters, or estimated and called so.

Reference: linux/Documentation/power/powercap/powercap.rst (RAPL).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sigma68.challenge.judge.plan import Energy

__all__ = ["WATTS_PER_BUSY_CORE", "EnergyMeter", "Price"]

WATTS_PER_BUSY_CORE: Final = 10.0
"""What a core at work is taken to draw where no counter says it, in W: servers of the 2020s have
200 W to 350 W for 24 to 64 cores, memory and losses included."""

_ROOT = Path("/sys/class/powercap")
_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Price:
    """Joules for a second of CPU time, and how that is known."""

    joules_per_cpu_second: float
    known: Energy


class EnergyMeter:
    """Measures the machine from its making on, and shares the energy out by CPU time.

    The counters are those of the whole machine: idle power and what else ran meanwhile are shared
    out like the rest.
    """

    def __init__(self, root: Path = _ROOT, stat: Path = Path("/proc/stat")) -> None:
        self._stat = stat
        self._packages = [p for p in sorted(root.glob("intel-rapl:*")) if p.name.count(":") == 1]
        self._last = self._counters()
        self._joules = 0.0
        self._busy = _busy_seconds(stat)

    def look(self) -> None:
        """Read the counters; more often than they run over, which takes minutes."""
        now = self._counters()
        if now is None or self._last is None:
            self._last = None
            return
        for path, before, after in zip(self._packages, self._last, now, strict=True):
            if after < before:
                after += int((path / "max_energy_range_uj").read_text("ascii"))
            self._joules += (after - before) / 1e6
        self._last = now

    def price(self) -> Price:
        """What CPU time has cost since the beginning."""
        self.look()
        busy = _busy_seconds(self._stat) - self._busy
        if self._last is None or busy <= 0:
            return Price(WATTS_PER_BUSY_CORE, "estimated")
        return Price(self._joules / busy, "measured")

    def _counters(self) -> list[int] | None:
        """The packages' counters in microjoules; None where they are not there or not for us."""
        try:
            counters = [int((p / "energy_uj").read_text("ascii")) for p in self._packages]
        except OSError:
            return None
        return counters or None


def _busy_seconds(stat: Path) -> float:
    """CPU time of everything on the machine since it started, in s (proc_stat(5))."""
    fields = stat.read_text("ascii").splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) * _TICK_S
