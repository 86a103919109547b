"""`one_syst`: the boosted trees of `bdt_profile` with a single nuisance parameter in the fit."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from sigma68.errors import SettingsError
from sigma68.learning.trees import TreeSettings
from sigma68.methods.bdt_profile import BdtProfile
from sigma68.protocols import Task
from sigma68.types import LEVEL

__all__ = ["OneSyst"]


class OneSyst(BdtProfile):
    """Trees, binned; one nuisance parameter is profiled and all others are taken to be off.

    The challenge's starting kit has such a model, with the tau energy scale. Where others vary,
    its intervals are too narrow: it shows what is lost by leaving them out.

    Parameters
    ----------
    task
        A task that asks for an interval on one parameter that scales the signal.
    nuisance
        The nuisance to fit; None for the first of the task.
    profiled
        Names of the nuisances that vary; if `nuisance` is not among them, none is fitted.
    level, mc_errors, clip, max_train_rows, max_moved_rows, seed, threads
        See `sigma68.methods.bdt_profile.BdtProfile`.

    Raises
    ------
    SettingsError
        If the task has no nuisance of that name, or none at all.
    """

    name: ClassVar[str] = "one_syst"

    def __init__(
        self,
        task: Task,
        *,
        nuisance: str | None = None,
        profiled: Collection[str] | None = None,
        level: float = LEVEL,
        mc_errors: bool = True,
        clip: bool = False,
        max_train_rows: int | None = 5_000_000,
        max_moved_rows: int | None = 20_000_000,
        seed: int = TreeSettings.seed,
        threads: int = TreeSettings.threads,
    ) -> None:
        known = [n.name for n in task.nuisances]
        if not known:
            raise SettingsError(f"the task {task.name} has no nuisance parameter to fit")
        self.nuisance = known[0] if nuisance is None else nuisance
        if self.nuisance not in known:
            raise SettingsError(
                f"the task {task.name} has no nuisance parameter {self.nuisance!r}: "
                f"choose from {', '.join(known)}"
            )
        chosen = [self.nuisance] if profiled is None or self.nuisance in profiled else []
        super().__init__(
            task,
            profiled=chosen,
            level=level,
            mc_errors=mc_errors,
            clip=clip,
            max_train_rows=max_train_rows,
            max_moved_rows=max_moved_rows,
            seed=seed,
            threads=threads,
        )

    @classmethod
    def skip(cls, task: Task) -> str | None:
        """Why this method cannot do this task; None if it can."""
        if not task.nuisances:
            return "fits one nuisance parameter"
        return super().skip(task)

    @classmethod
    def leaves_out(cls, task: Task, varied: Collection[str]) -> str | None:
        """What the method does not account for where the nuisances `varied` vary."""
        left = [n.name for n in task.nuisances[1:] if n.name in varied]
        if not left:
            return None
        return (
            f"one_syst fits one nuisance parameter ({task.nuisances[0].name}, unless it was trained "
            f"for another) and takes the others to be off. Here {', '.join(left)} vary: its intervals "
            "are too narrow and off."
        )

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that this method was made with."""
        return {
            **self.shared_settings(),
            "nuisance": self.nuisance,
            "max_train_rows": self.max_train_rows,
            "seed": self.tree_settings.seed,
            "threads": self.tree_settings.threads,
        }
