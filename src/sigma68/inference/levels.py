"""How far -2 ln L rises at the ends of an interval."""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

__all__ = ["z_of_level"]


@cache
def z_of_level(level: float) -> float:
    """Half the width, in standard deviations, of a normal's central interval of `level`.

    1.0000 for 0.6827. The profile rises by its square at the ends of the interval
    (Wilks, Ann. Math. Stat. 9, 60 (1938), one parameter of interest).

    Raises
    ------
    ValueError
        If `level` is not inside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not at {level}")
    return NormalDist().inv_cdf((1 + level) / 2)
