"""`sigma68 simulate`: events of the same physics as the public data, made here."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigma68.cli.by_process import by_process, process_names
from sigma68.errors import SettingsError

if TYPE_CHECKING:
    from sigma68.tasks.higgs.simulate.plan import Goal, Ledger
    from sigma68.tasks.higgs.simulate.production import MakerFactory


def simulate(
    out: Annotated[Path, typer.Option(help="Folder for the shards.")],
    process: Annotated[
        str | None,
        typer.Option(
            help="Processes, of htautau, ztautau, ttbar and diboson; all if left out.",
            metavar="NAME,...",
            show_default=False,
        ),
    ] = None,
    events: Annotated[
        str | None,
        typer.Option(
            help="Selected events in all, or per process, at least: shards are whole, "
            "one per process or more.",
            metavar="N|NAME=N,...",
        ),
    ] = None,
    hours: Annotated[
        float | None, typer.Option(help="Begin new shards for this long, then end.")
    ] = None,
    shards: Annotated[
        str | None,
        typer.Option(help="Shards per process, to make a sample again.", metavar="N|NAME=N,..."),
    ] = None,
    mixture: Annotated[
        str | None,
        typer.Option(
            help="How events are shared out; ztautau=65,htautau=20,ttbar=12,diboson=3 if left out.",
            metavar="NAME=X,...",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes; one per core if left out.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed; another seed, other events.")] = 1,
    enrich: Annotated[
        bool,
        typer.Option(
            "--enrich/--no-enrich",
            help="Make more of the events that decide the measurement, with smaller weights.",
        ),
    ] = True,
    hard_events: Annotated[
        int, typer.Option(min=1, help="Hard collisions per shard: what a kill may cost.")
    ] = 5000,
    dask: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler: its workers make the shards.", metavar="ADDRESS"
        ),
    ] = None,
) -> None:
    """Simulate collision events, in shards.

    Say how much with one of --events, --hours and --shards. Each shard is a Parquet file in
    --out, whole as soon as it is there: stopped or killed at any moment and started again with
    the same command, it goes on where it was; with more --events it makes more. For example:

        sigma68 simulate --events 100000 --out simulated

        sigma68 simulate --process ttbar --hours 3 --workers 2 --seed 7 --out more-top

        sigma68 data merge simulated more-top --out pool.parquet
    """
    from sigma68.cli.console import print_table, say
    from sigma68.cli.simulation_bar import simulation_bar
    from sigma68.tasks.higgs.simulate.production import Common
    from sigma68.tasks.higgs.simulate.production import simulate as produce

    if dask is not None and workers is not None:
        raise SettingsError("a Dask cluster has its own workers: leave out --workers")
    goal = _goal(process, events, hours, shards, mixture)
    common = Common(seed, hard_events, enrich)
    cores = len(os.sched_getaffinity(0)) if workers is None else workers
    with simulation_bar("simulating") as progress:
        maker = None if dask is None else _cluster(dask)
        ledger = produce(common, goal, out, workers=cores, maker=maker, progress=progress)
    say(f"{sum(len(own) for own in ledger.done.values()):,} shards in {out}")
    print_table(
        ("process", "shards", "events", "effective events", "events per second and core"),
        _table(ledger),
    )


def _cluster(address: str) -> MakerFactory:
    from sigma68.tasks.higgs.simulate.cluster import Cluster

    return lambda folder, log: Cluster(address, folder)


def _table(ledger: Ledger) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, own in ledger.done.items():
        seconds = sum(about.seconds for about in own.values())
        events = sum(about.rows for about in own.values())
        effective = sum(about.effective_events for about in own.values())
        rate = f"{events / seconds:,.1f}" if seconds > 0 else "-"
        rows.append((name, f"{len(own):,}", f"{events:,}", f"{effective:,.0f}", rate))
    return rows


def _goal(
    process: str | None,
    events: str | None,
    hours: float | None,
    shards: str | None,
    mixture: str | None,
) -> Goal:
    from sigma68.tasks.higgs.simulate.plan import Hours, Rows, ShardCount, shared

    if sum(given is not None for given in (events, hours, shards)) != 1:
        raise SettingsError("say how much to simulate, by one of --events, --hours and --shards")
    if mixture is not None and (shards is not None or "=" in (events or "")):
        raise SettingsError("--mixture shares out --events N or --hours: leave it out here")
    chosen = process_names(process)
    shares = _mixture(mixture, chosen)
    if hours is not None:
        if not 0 < hours < math.inf:
            raise SettingsError(f"--hours must be a positive number, not {hours:g}")
        return Hours(hours, shares)
    if events is not None:
        return Rows(_counts("--events", events, chosen, lambda n: shared(n, shares)))
    every = list(shares)
    return ShardCount(_counts("--shards", str(shards), chosen, lambda n: dict.fromkeys(every, n)))


def _mixture(given: str | None, chosen: tuple[str, ...] | None) -> dict[str, float]:
    """The share of each process that is made."""
    from sigma68.tasks.higgs.simulate.plan import DEFAULT_MIXTURE

    if given is None:
        return {name: DEFAULT_MIXTURE[name] for name in chosen or DEFAULT_MIXTURE}
    shares = by_process("--mixture", given, chosen, float)
    if not all(0 < share < math.inf for share in shares.values()):
        raise SettingsError(f"the shares of --mixture must be positive numbers, not {given}")
    if lacking := [name for name in chosen or () if name not in shares]:
        raise SettingsError(f"--mixture has no share for {lacking[0]}: give one")
    return shares


def _counts(
    option: str,
    given: str,
    chosen: tuple[str, ...] | None,
    share_out: Callable[[int], dict[str, int]],
) -> dict[str, int]:
    """A number per process, from N or NAME=N,...."""
    try:
        counts = share_out(int(given))
    except ValueError:
        counts = by_process(option, given, chosen, int)
    if any(count < 1 for count in counts.values()):
        raise SettingsError(f"{option} must be 1 or more, not {given}")
    return counts
