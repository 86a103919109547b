"""How parameters and normalisations scale the components of what is observed.

A component's scale c_k is the product of the named factors it depends on (mu; or the background's
scale times its own), as in HistFactory's "normfactor" (Cranmer et al., CERN-OPEN-2012-016). So c
is linear in each factor, and its derivatives are products of the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sigma68.types import Nuisance

__all__ = ["Factors", "normalisations"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Factors:
    """The names whose values multiply to the scale of each component.

    Raises
    ------
    ValueError
        If a component has a name twice.
    """

    of_component: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for names in self.of_component:
            if len(set(names)) < len(names):
                raise ValueError(f"a factor stands twice in {names}: each may enter once")

    def scales(self, values: Mapping[str, float]) -> FloatArray:
        """c, shape (n_components,); `values` may hold more names than are needed."""
        return np.array([_product(names, values) for names in self.of_component])

    def derivatives(
        self, values: Mapping[str, float], names: Sequence[str]
    ) -> tuple[FloatArray, FloatArray]:
        """dc/da (n_names, n_components) and d2c/dadb (n_names, n_names, n_components).

        A name that is nobody's factor has zeros.
        """
        n, k = len(names), len(self.of_component)
        first, second = np.zeros((n, k)), np.zeros((n, n, k))
        for at, own in enumerate(self.of_component):
            for i, a in enumerate(names):
                if a not in own:
                    continue
                rest = [name for name in own if name != a]
                first[i, at] = _product(rest, values)
                for j, b in enumerate(names):
                    if b in rest:
                        second[i, j, at] = _product([x for x in rest if x != b], values)
        return first, second


def normalisations(
    factors: Sequence[Sequence[str]], nuisances: Sequence[Nuisance], chosen: Collection[str]
) -> tuple[Nuisance, ...]:
    """Those of the nuisances called `chosen` that scale a component, in the task's order."""
    scaling = {name for names in factors for name in names}
    return tuple(n for n in nuisances if n.name in chosen and n.name in scaling)


def _product(names: Collection[str], values: Mapping[str, float]) -> float:
    product = 1.0
    for name in names:
        product *= values[name]
    return product
