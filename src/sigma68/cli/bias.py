"""`sigma68 bias`: a file of events as the nuisance parameters change it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sigma68.errors import SettingsError

Tes = Annotated[float, typer.Option(help="Tau energy scale, 0.9 to 1.1.")]
Jes = Annotated[float, typer.Option(help="Jet energy scale, 0.9 to 1.1.")]
SoftMet = Annotated[float, typer.Option(help="Width of the soft MET noise in GeV, 0 to 5.")]
TtbarScale = Annotated[float, typer.Option(help="Factor on the ttbar weight, 0.8 to 1.2.")]
DibosonScale = Annotated[float, typer.Option(help="Factor on the diboson weight, 0 to 2.")]
BkgScale = Annotated[float, typer.Option(help="Factor on every background, 0.99 to 1.01.")]


def bias(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="Parquet file of events, its folder, or a name.")
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Parquet file to write.")],
    tes: Tes = 1.0,
    jes: Jes = 1.0,
    soft_met: SoftMet = 0.0,
    ttbar_scale: TtbarScale = 1.0,
    diboson_scale: DibosonScale = 1.0,
    bkg_scale: BkgScale = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the soft MET noise.")] = 0,
    peer_compatible: Annotated[
        bool,
        typer.Option(
            "--peer-compatible",
            help="Count jets and draw the soft MET noise as HiggsML 0.1.5 does.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite OUT if it exists.")] = False,
) -> None:
    """Bias the events of a file.

    Writes the 28 biased features, weights, labels and detailed_labels of every event that passes
    the high thresholds. The file is streamed: memory does not grow with it. For example:

        sigma68 bias in.parquet out.parquet --tes 1.02 --soft-met 1.5 --seed 7
    """
    from sigma68.cli.console import say, steps
    from sigma68.cli.sources import made_ready
    from sigma68.tasks.higgs.dataset import open_parquet
    from sigma68.tasks.higgs.files import bias_file

    refuse_to_overwrite(target, force)
    values = nuisance_values(tes, jes, soft_met, ttbar_scale, diboson_scale, bkg_scale)
    made_ready(source)
    n_rows = open_parquet(source).n_rows
    with steps("biasing") as progress:
        kept = bias_file(
            source,
            target,
            values,
            seed=seed,
            peer_compatible=peer_compatible,
            progress=progress,
        )
    say(f"{target}: {kept:,} events of {n_rows:,} pass the high thresholds")


def nuisance_values(
    tes: float,
    jes: float,
    soft_met: float,
    ttbar_scale: float,
    diboson_scale: float,
    bkg_scale: float,
) -> dict[str, float]:
    """The six options by the names of their nuisance parameters."""
    return {
        "tes": tes,
        "jes": jes,
        "soft_met": soft_met,
        "ttbar_scale": ttbar_scale,
        "diboson_scale": diboson_scale,
        "bkg_scale": bkg_scale,
    }


def refuse_to_overwrite(path: Path, force: bool) -> None:
    """Raise a SettingsError if `path` exists and is not to be replaced."""
    if path.is_dir():
        raise SettingsError(f"{path} is a folder: give the name of a file")
    if path.exists() and not force:
        raise SettingsError(f"{path} exists: give another name, or --force to overwrite it")
