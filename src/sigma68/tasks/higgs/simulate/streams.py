"""The hard processes of each sample: how Pythia is set, and the cross-sections of the real data.

Cross-sections (fb) are those that the public data set was normalised with; they belong to
Pythia's process codes. For H and Z they hold the branching ratio to tau pairs.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CODES", "CROSS_SECTION_FB", "SETTINGS"]

CROSS_SECTION_FB: Final[dict[int, float]] = {
    221: 6_563_000.0,
    231: 7_192.0,
    232: 25_900.0,
    233: 59_810.0,
    601: 470_400.0,
    602: 68_040.0,
    603: 151_100.0,
    604: 363.0,
    605: 7_160.0,
    606: 2.784,
    901: 57.65,
    902: 1_634.0,
    903: 0.0493,
    904: 38.17,
    905: 69.79,
    906: 60.54,
    907: 162.7,
    908: 16.09,
    909: 6.577,
}

CODES: Final[dict[str, tuple[int, ...]]] = {
    "htautau": (901, 902, 903, 904, 905, 906, 907, 908, 909),
    "ztautau": (221,),
    "ttbar": (601, 602, 603, 604, 605, 606),
    "diboson": (231, 232, 233),
}

_COMMON: Final = (
    "Print:quiet = on",
    "Beams:idA = 2212",
    "Beams:idB = 2212",
    "Beams:eCM = 13000.",
    "Check:epTolErr = 1e-2",
    "15:mayDecay = off",  # taus decay from the library
)

SETTINGS: Final[dict[str, tuple[str, ...]]] = {
    "htautau": (*_COMMON, "HiggsSM:all = on", "25:onMode = off", "25:onIfMatch = 15 15"),
    "ztautau": (
        *_COMMON,
        "WeakSingleBoson:ffbar2gmZ = on",
        "WeakZ0:gmZmode = 2",
        "23:onMode = off",
        "23:onIfMatch = 15 15",
    ),
    # One by one: Top:all has a process more today (g gamma) than when the real data were made.
    "ttbar": (
        *_COMMON,
        "Top:gg2ttbar = on",
        "Top:qqbar2ttbar = on",
        "Top:qq2tq(t:W) = on",
        "Top:ffbar2ttbar(s:gmZ) = on",
        "Top:ffbar2tqbar(s:W) = on",
        "Top:gmgm2ttbar = on",
    ),
    "diboson": (*_COMMON, "WeakDoubleBoson:all = on", "WeakZ0:gmZmode = 0"),
}
"""Settings of Pythia 8 per process."""
