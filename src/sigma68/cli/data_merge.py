"""`sigma68 data merge`: simulated shards into one file, normalised together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sigma68.tasks.higgs.simulate.merge import Merged


def merge(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Folders of sigma68 simulate.")
    ],
    out: Annotated[Path, typer.Option(help="File to write.")],
    shuffle: Annotated[
        bool, typer.Option("--shuffle", help="Put the rows in random order.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite --out if it exists.")] = False,
) -> None:
    """Merge simulated shards into one file, normalised to 10 fb^-1.

    The tries of all shards are added up, so that several folders (with other seeds, from other
    machines) make one larger sample. The file's metadata says where it comes from. For example:

        sigma68 data merge simulated more-top --out pool.parquet
    """
    from sigma68.cli.bias import refuse_to_overwrite
    from sigma68.cli.console import say, steps, warn
    from sigma68.tasks.higgs.simulate import merge as merging

    refuse_to_overwrite(out, force)
    with steps("merging") as progress:
        merged = merging.merge(
            folders, out, shuffle_seed=seed if shuffle else None, progress=progress
        )
    for note in merged.notes:
        warn(note)
    say(f"{out}: {merged.rows:,} events")
    _print(merged)


def _print(merged: Merged) -> None:
    from sigma68.cli.console import print_table
    from sigma68.tasks.higgs.regions import REGIONS
    from sigma68.tasks.higgs.simulate.merge import BELOW

    print_table(
        ("process", "events", "hard events", "effective events", "expected events", "error"),
        [
            (
                name,
                f"{own.rows:,}",
                f"{own.hard_events:,}",
                f"{own.effective:,.0f}",
                f"{own.sum_weights.sum():,.1f}",
                f"{own.sum_weights.sum() / own.effective**0.5 if own.effective else 0.0:,.1f}",
            )
            for name, own in merged.processes.items()
        ],
    )
    print_table(
        ("region", *merged.processes),
        [
            (
                region,
                *(
                    f"{own.sum_weights[r]:,.1f} ± {own.sum_squares[r] ** 0.5:,.1f}"
                    for own in merged.processes.values()
                ),
            )
            for r, region in enumerate((*REGIONS, BELOW))
        ],
        title="Expected events after the thresholds, with the error of the simulation",
    )
    print_table(
        ("region", *merged.processes),
        [
            (region, *(f"{own.effective_in(r):,.0f}" for own in merged.processes.values()))
            for r, region in enumerate((*REGIONS, BELOW))
        ],
        title="Effective events after the thresholds (hard events counted once)",
    )
