"""Makes the shipped file: `python -m sigma68.tasks.higgs.embedded.make POOL.parquet --rows N`.

A representative piece of a merged pool, packed, with its Croissant metadata. The same pool,
number of rows and seed give the same file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
import typer

from sigma68.errors import DataError, Sigma68Error
from sigma68.tasks.higgs import embedded

if TYPE_CHECKING:
    from sigma68.tasks.higgs.dataset import EventFile

__all__ = ["app", "make"]

_COLLISION_GEV: Final = 13_000.0
_MOMENTA: Final = (
    *("PRI_lep_pt", "PRI_had_pt", "PRI_jet_leading_pt", "PRI_jet_subleading_pt"),
    *("PRI_jet_all_pt", "PRI_met"),
)

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def make(
    pool: Path,
    folder: Path,
    *,
    rows: int,
    seed: int,
    published: date,
    limit_bytes: int = embedded.LIMIT_BYTES,
) -> dict[str, Any]:
    """Write events.parquet and croissant.json to `folder`; a report of what is in them.

    The report (a JSON object) has `bytes`, `bytes_per_row`, and per area and process the `rows`,
    `expected` and `effective` events of the file, with those of the `pool`.

    Raises
    ------
    DataError
        If the pool cannot be read, does not say where its events come from, has a momentum
        beyond the energy of the collisions, or the file would be larger than `limit_bytes`. What
        was there stays.
    SettingsError
        If `rows` or `seed` cannot be.
    OutputError
        If the folder cannot be written.
    """
    from sigma68.files import explained, make_folder, write_json
    from sigma68.tasks.higgs.contents import take_contents
    from sigma68.tasks.higgs.dataset import open_parquet
    from sigma68.tasks.higgs.embedded.croissant import croissant
    from sigma68.tasks.higgs.embedded.pack import pack
    from sigma68.tasks.higgs.history import read_history
    from sigma68.tasks.higgs.sample import sample_events

    source = open_parquet(pool)
    origin = read_history(source.path)
    if origin is None:
        raise DataError(
            f"{pool} does not say where its events come from: give a file that sigma68 data merge "
            "wrote"
        )
    _refuse_impossible(source)
    make_folder(folder)
    with explained(folder), tempfile.TemporaryDirectory(dir=folder, prefix=".making") as scratch:
        piece, packed = Path(scratch) / "piece.parquet", Path(scratch) / embedded.PATH.name
        sample_events(pool, piece, rows=rows, seed=seed)
        size = pack(piece, packed, history=_history(read_history(piece) or {}, rows, seed))
        if size > limit_bytes:
            raise DataError(
                f"{rows:,} rows take {size / 1e6:.1f} MB, more than {limit_bytes / 1e6:g} MB: ask "
                f"for {int(rows * limit_bytes / size * 0.99):,} rows"
            )
        document = croissant(packed, published=published)
        contents = take_contents(open_parquet(packed))
        whole = take_contents(source)
        packed.replace(folder / packed.name)
        write_json(folder / embedded.CROISSANT_FILE, document)
    return {
        "bytes": size,
        "bytes_per_row": size / rows,
        "rows": rows,
        "seed": seed,
        "file": _by_area(contents),
        "pool": _by_area(whole),
    }


def _refuse_impossible(file: EventFile) -> None:
    for batch in file.iter_batches(_MOMENTA):
        if not (batch.values <= _COLLISION_GEV).all():
            column, row = np.argwhere(batch.values > _COLLISION_GEV)[0]
            raise DataError(
                f"{_MOMENTA[column]} is {batch.values[column, row]:g} GeV in row "
                f"{batch.first_row + row} of {file.path} (rows count from 0), and a collision "
                f"has {_COLLISION_GEV:g}: find out why, and simulate again"
            )


def _history(sampled: Mapping[str, Any], rows: int, seed: int) -> dict[str, Any]:
    """The history of the sample, with all commands that make it again in one list."""
    before = list(sampled["of"].get("commands", ()))
    own = f"python -m sigma68.tasks.higgs.embedded.make pool.parquet --rows {rows} --seed {seed}"
    return {"commands": [*before, own], **sampled}


def _by_area(contents: Any) -> dict[str, dict[str, dict[str, float]]]:
    from sigma68.tasks.higgs.contents import AREAS
    from sigma68.tasks.higgs.schema import PROCESSES

    return {
        area: {
            process: {
                "rows": int(contents.rows[a, p]),
                "expected": float(contents.sumw[a, p]),
                "effective": float(contents.effective[a, p]),
            }
            for p, process in enumerate(PROCESSES)
        }
        for a, area in enumerate(AREAS)
    }


@app.command()
def command(
    pool: Annotated[Path, typer.Argument(help="A file that sigma68 data merge wrote.")],
    rows: Annotated[int, typer.Option(help="Rows to take.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is taken.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = embedded.PATH.parent,
    report: Annotated[Path | None, typer.Option(help="Also write the numbers, as JSON.")] = None,
    published: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Date of the file; today's.")
    ] = None,
) -> None:
    """Make the sample that comes with the package."""
    from sigma68.cli.console import print_table, say
    from sigma68.files import write_json

    day = published or datetime.now(UTC)
    try:
        made = make(pool, out, rows=rows, seed=seed, published=day.date())
        if report is not None:
            write_json(report, made)
    except Sigma68Error as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    size = made["bytes"]
    say(f"{out / embedded.PATH.name}: {rows:,} rows, {size / 1e6:.2f} MB, {size / rows:.2f} a row")
    print_table(
        ("region", "process", "rows", "expected events", "effective events", "of the pool's"),
        [
            (
                area,
                process,
                f"{own['rows']:,}",
                f"{own['expected']:,.1f}",
                f"{own['effective']:,.0f}",
                f"{made['pool'][area][process]['effective']:,.0f}",
            )
            for area, processes in made["file"].items()
            for process, own in processes.items()
        ],
    )


if __name__ == "__main__":
    app()
