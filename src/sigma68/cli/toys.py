"""`sigma68 toys`: pseudo-experiments as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sigma68.cli.bias import (
    BkgScale,
    DibosonScale,
    Jes,
    SoftMet,
    Tes,
    TtbarScale,
    nuisance_values,
)


def toys(
    data: Annotated[Path, typer.Option(help="Parquet file of events, its folder, or a name.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    mu: Annotated[float, typer.Option(min=0.0, help="Signal strength.")] = 1.0,
    tes: Tes = 1.0,
    jes: Jes = 1.0,
    soft_met: SoftMet = 0.0,
    ttbar_scale: TtbarScale = 1.0,
    diboson_scale: DibosonScale = 1.0,
    bkg_scale: BkgScale = 1.0,
    count: Annotated[int, typer.Option(min=1, help="How many pseudo-experiments.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed; another seed, other toys.")] = 0,
    split_seed: Annotated[int, typer.Option(min=0, help="Seed of the split into pools.")] = 0,
    pool: Annotated[
        str, typer.Option(help="Pool to draw from: train, calibration, scoring or final.")
    ] = "scoring",
    force: Annotated[bool, typer.Option("--force", help="Overwrite toys that are there.")] = False,
) -> None:
    """Write pseudo-experiments of a given truth.

    Each becomes toy_<n>.parquet with the 28 features only; the truth of all goes to truth.json.
    For example:

        sigma68 toys --data events.parquet --mu 1.3 --tes 1.01 --out toys
    """
    from sigma68.cli.console import say, steps
    from sigma68.discover import load_task
    from sigma68.errors import SettingsError
    from sigma68.tasks.higgs.files import TRUTH_FILE, holds_toys, write_toys
    from sigma68.tasks.higgs.nuisance import check_nuisances
    from sigma68.types import Truth

    if pool not in _POOLS:
        raise SettingsError(f"there is no pool {pool!r}: choose one of {', '.join(_POOLS)}")
    if not force and holds_toys(out):
        raise SettingsError(f"{out} holds toys already: give another folder, or --force")
    nuisances = check_nuisances(
        nuisance_values(tes, jes, soft_met, ttbar_scale, diboson_scale, bkg_scale)
    )
    task = load_task("higgs")
    with steps("drawing") as progress:
        pools = task.open(str(data), split_seed=split_seed)
        pools.prepare(pool, progress=progress)
        truth = Truth({"mu": mu}, nuisances)
        paths = write_toys(
            task,
            pools[pool],
            truth,
            out,
            count=count,
            seed=seed,
            settings={"data": str(data), "split_seed": split_seed},
            progress=progress,
        )
    say(f"{len(paths)} pseudo-experiments in {out}, their truth in {out / TRUTH_FILE}")


_POOLS = ("train", "calibration", "scoring", "final")
