"""`sigma68 data emulate`: as many events as anyone wants, from a model of the simulated ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigma68.errors import SettingsError

if TYPE_CHECKING:
    from sigma68.tasks.higgs.emulate.writing import Emulated


def emulate(
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    rows: Annotated[
        str, typer.Option(help="How many events: 200000, 200k, 20M, 1e6.", metavar="N")
    ],
    seed: Annotated[int, typer.Option(min=0, help="Seed; another seed, other events.")] = 1,
    mixture: Annotated[
        str | None,
        typer.Option(
            help="Shares of the processes, of htautau, ztautau, ttbar and diboson; as nature "
            "has them if left out.",
            metavar="NAME=X,...",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="The emulator's weights; those of the package if left out."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Threads; one per core if left out.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite --out if it exists.")] = False,
) -> None:
    """Write emulated events: a model of the simulated ones makes as many as you ask for.

    The file has the columns of the public data set, before the high thresholds. Without
    --mixture all events weigh the same. Row i depends on seed, mixture, weights and i alone: a
    smaller file is the beginning of a larger one, with larger weights. For example:

        sigma68 data emulate --rows 20M --seed 7 --out emulated.parquet

        sigma68 data emulate --rows 1M --mixture htautau=1,ztautau=3 --out two.parquet
    """
    from sigma68.cli.bias import refuse_to_overwrite
    from sigma68.cli.by_process import by_process
    from sigma68.cli.console import say, steps
    from sigma68.tasks.higgs.emulate.emulator import Emulator
    from sigma68.tasks.higgs.emulate.source import number_of_rows
    from sigma68.tasks.higgs.emulate.writing import emulate_file

    refuse_to_overwrite(out, force)
    try:
        number = number_of_rows(rows)
    except ValueError as error:
        raise SettingsError(f"--rows {error}, not {rows!a}") from error
    shares = None if mixture is None else by_process("--mixture", mixture, None, float)
    emulator = Emulator.load(weights)
    with steps("emulating") as progress:
        made = emulate_file(
            out, emulator, number, seed=seed, mixture=shares, threads=workers, progress=progress
        )
    say(f"{out}: {number:,} events")
    _print(made)


def _print(made: Emulated) -> None:
    from sigma68.cli.console import print_table
    from sigma68.tasks.higgs.schema import PROCESSES

    print_table(
        ("process", "events", "weight", "expected events"),
        [
            (name, f"{n:,}", f"{weight:.4g}", f"{n * weight:,.1f}")
            for name, n, weight in zip(
                PROCESSES, made.counts.tolist(), made.weights.tolist(), strict=True
            )
        ],
    )
