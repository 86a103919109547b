"""`sigma68 data sample` and `sigma68 data export`: pieces and whole copies of a file of events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sigma68.tasks.higgs.sample import Sample


def sample(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="Parquet file of events, its folder, or a name: emulated, embedded, public.",
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Parquet file to write.")],
    rows: Annotated[int, typer.Option(min=1, help="Rows to take.")],
    strata: Annotated[
        str, typer.Option(help="What keeps its sum of weights: region, process, or both.")
    ] = "region,process",
    seed: Annotated[int, typer.Option(min=0, help="Seed; another seed, other rows.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite OUT if it exists.")] = False,
) -> None:
    """Cut a representative piece of a file of events.

    Each combination of region (rows that the high thresholds drop are one more) and process
    gives its share of rows and keeps its sum of weights. Rows of large weight are preferred and
    weigh less for it, so that the weights become more equal; rows of one hard event are thinned
    evenly. The file is streamed: memory is six bytes a row. For example:

        sigma68 data sample pool.parquet piece.parquet --rows 500000

        sigma68 data sample embedded small.parquet --rows 20000 --strata process --seed 7
    """
    from sigma68.cli.bias import refuse_to_overwrite
    from sigma68.cli.console import say, steps
    from sigma68.cli.sources import made_ready
    from sigma68.tasks.higgs.sample import sample_events

    refuse_to_overwrite(target, force)
    names = [name.strip() for name in strata.split(",") if name.strip()]
    made_ready(source)
    with steps("sampling") as progress:
        taken = sample_events(source, target, rows=rows, strata=names, seed=seed, progress=progress)
    say(f"{target}: {taken.n_rows:,} events of {taken.rows.sum():,}")
    _print(taken)


def export(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="What to write: emulated, embedded, public, or any file of events."
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="PATH", help="Parquet file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite PATH if it exists.")] = False,
) -> None:
    """Write named events as a plain Parquet file.

    It has the columns of the public data set: 16 primary and 12 derived ones, weights,
    detailed_labels and labels, and hard_event and decay where the events have them. For example:

        sigma68 data export embedded events.parquet
    """
    from sigma68.cli.bias import refuse_to_overwrite
    from sigma68.cli.console import say, steps
    from sigma68.cli.sources import made_ready
    from sigma68.tasks.higgs.export import export_events

    refuse_to_overwrite(target, force)
    made_ready(source)
    with steps("exporting") as progress:
        n_rows = export_events(source, target, progress=progress)
    say(f"{target}: {n_rows:,} events")


def _print(taken: Sample) -> None:
    from sigma68.cli.console import print_table
    from sigma68.tasks.higgs.contents import AREAS
    from sigma68.tasks.higgs.schema import PROCESSES

    print_table(
        ("region", *PROCESSES),
        [
            (
                area,
                *(
                    f"{int(n):,} of {int(of):,}"
                    for n, of in zip(taken.taken[a], taken.rows[a], strict=True)
                ),
            )
            for a, area in enumerate(AREAS)
        ],
        title="Rows taken; their weights stand for all",
    )
