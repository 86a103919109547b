"""`sigma68 data`: look at a file of events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigma68.cli import (
    data_emulate,
    data_fetch,
    data_merge,
    data_observe,
    data_sample,
    data_validate,
)
from sigma68.errors import SettingsError

if TYPE_CHECKING:
    from sigma68.protocols import Progress
    from sigma68.report.data import DataSource, ScoredEvents

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look at a file of events: numbers and figures.",
)

app.command("merge")(data_merge.merge)

app.command("validate")(data_validate.validate)

app.command("fetch")(data_fetch.fetch)

app.command("emulate")(data_emulate.emulate)

app.command("sample")(data_sample.sample)
app.command("export")(data_sample.export)
app.command("observe")(data_observe.observe)

Source = Annotated[
    Path,
    typer.Argument(
        metavar="PATH", help="Parquet file, its folder, or a name: emulated, embedded, public."
    ),
]


@app.command()
def plot(
    path: Source,
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    method: Annotated[
        str | None, typer.Option(help="Also draw the score of this method (trained if need be).")
    ] = None,
    shift: Annotated[
        float, typer.Option(min=0.0, help="Size of the shifts, in sigmas of the prior.")
    ] = 1.0,
) -> None:
    """Draw every feature by process, shifted features, correlations and yields.

    Figures are written as PDF and SVG, with an index.html that shows them. For example:

        sigma68 data plot events.parquet --out data-report --method bdt
    """
    from sigma68.cli.console import say, steps
    from sigma68.cli.sources import made_ready
    from sigma68.report.data import summarise, write_data_report

    made_ready(path)
    source = _source(path, shift)
    with steps(str(path)) as progress:
        scored = None if method is None else _scored(path, method, progress)
        summary = summarise(source, progress)
        index = write_data_report(summary, out, scored=scored, progress=progress)
    say(f"figures of {source.n_rows:,} events: {index}")


@app.command()
def describe(path: Source) -> None:
    """Print rows, expected events per process and region, and the sizes of the pools.

    For example:

        sigma68 data describe events.parquet
    """
    from sigma68.cli.console import print_table, say
    from sigma68.cli.sources import made_ready
    from sigma68.discover import load_task
    from sigma68.report.data import NOMINAL
    from sigma68.report.data_summary import Yields

    made_ready(path)
    source = _source(path, 0.0)
    before = {name: [0, 0.0] for name in source.processes}
    yields = Yields(source.regions, source.processes)
    for chunk in source.chunks({NOMINAL: {}}):
        yields.add(chunk[NOMINAL])
    for name, (rows, events) in _file_totals(path).items():
        before[name] = [rows, events]
    say(f"{path}: {source.n_rows:,} rows")
    origin = _origin(path)
    if origin is not None:
        say(origin)
    print_table(
        ("process", "rows", "expected events", "after the thresholds"),
        [
            (name, f"{before[name][0]:,}", f"{before[name][1]:,.1f}", f"{total:,.1f}")
            for name, total in zip(source.processes, yields.sumw.sum(axis=0), strict=True)
        ],
    )
    print_table(
        ("region", *source.processes),
        [
            (region, *(f"{v:,.1f} ± {e:,.1f}" for v, e in zip(row, row2**0.5, strict=True)))
            for region, row, row2 in zip(
                yields.regions.names, yields.sumw, yields.sumw2, strict=True
            )
        ],
        title="Expected events after the thresholds, with the error of the simulation",
    )
    pools = load_task("higgs").open(str(path))
    print_table(
        ("pool", "rows"),
        [(r, f"{pools[r].n_rows:,}") for r in ("train", "calibration", "scoring", "final")],
        title="Pools (default split)",
    )


def _origin(path: Path) -> str | None:
    """What made the file, as far as it says so itself."""
    from sigma68.tasks.higgs.dataset import open_parquet
    from sigma68.tasks.higgs.history import in_words, read_history

    return in_words(read_history(open_parquet(path).path))


def _file_totals(path: Path) -> dict[str, tuple[int, float]]:
    """Rows and sum of weights per process, as the file has them."""
    import numpy as np

    from sigma68.tasks.higgs.dataset import open_parquet
    from sigma68.tasks.higgs.schema import PROCESSES

    n = len(PROCESSES)
    rows, sums = np.zeros(n, np.int64), np.zeros(n)
    for batch in open_parquet(path).iter_batches(()):
        rows += np.bincount(batch.process, minlength=n)
        sums += np.bincount(batch.process, weights=batch.weights, minlength=n)
    return {name: (int(rows[p]), float(sums[p])) for p, name in enumerate(PROCESSES)}


def _source(path: Path, shift: float) -> DataSource:
    from sigma68.report.data import DataSource
    from sigma68.report.data_summary import Regions
    from sigma68.tasks.higgs import schema
    from sigma68.tasks.higgs.dataset import open_parquet
    from sigma68.tasks.higgs.files import labelled_chunks
    from sigma68.tasks.higgs.nuisance import BIASES, NUISANCES
    from sigma68.tasks.higgs.regions import REGIONS, region_of

    shifts = {
        f"{nuisance.name} = {nuisance.from_z(z):.3g}": {nuisance.name: nuisance.from_z(z)}
        for nuisance in NUISANCES
        if nuisance.name in BIASES
        for z in (shift, -shift)
    }
    return DataSource(
        name=str(path),
        features=schema.FEATURE_TABLE,
        processes=schema.PROCESSES,
        process_labels=schema.PROCESS_LABELS,
        is_signal=schema.IS_SIGNAL,
        regions=Regions(REGIONS, lambda events: region_of(events.values)),
        chunks=lambda shifts: labelled_chunks(path, shifts),
        n_rows=open_parquet(path).n_rows,
        shifts=shifts,
        undefined=schema.UNDEFINED,
    )


def _scored(path: Path, name: str, progress: Progress) -> ScoredEvents:
    """The score of the trained method on events that it was not trained on."""
    from sigma68.discover import load_task
    from sigma68.report.data import ScoredEvents
    from sigma68.run.models import trained

    task = load_task("higgs")
    pools = task.open(str(path))
    method = trained(name, task, pools, progress=progress)
    scores = getattr(method, "scores", None)
    if scores is None:
        raise SettingsError(f"the method {name!r} gives single events no score: leave out --method")
    pools.prepare("scoring", progress=progress)
    events = pools.scoring.labelled()
    return ScoredEvents(name, scores(events.observation()), events)
