"""Sources that have to be made before they can be read."""

from __future__ import annotations

from pathlib import Path

__all__ = ["made_ready"]


def made_ready(source: str | Path) -> None:
    """Write the events of a name such as "emulated:7" to the cache, behind a bar.

    Whatever reads the source afterwards finds them there; other sources are left alone.

    Raises
    ------
    InputError
        As `sigma68.tasks.higgs.sources.located`.
    """
    from sigma68.tasks.higgs.emulate.source import emulated_source

    if emulated_source(source) is None:
        return
    from sigma68.cli.console import steps
    from sigma68.tasks.higgs.sources import located

    with steps("preparing") as progress:
        located(source, progress)
