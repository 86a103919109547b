"""`sigma68 train`: a method's training on its own, kept in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sigma68.errors import SettingsError


def train(
    method: Annotated[
        str, typer.Argument(metavar="METHOD", help="A method's name (see: sigma68 methods).")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the trained model.")],
    task: Annotated[str, typer.Option(help="The task (see: sigma68 tasks).")] = "higgs",
    data: Annotated[
        str | None,
        typer.Option(
            help="Events: a Parquet file, its folder, or a name; the task's own if left out."
        ),
    ] = None,
    nuisances: Annotated[
        str, typer.Option(help="Nuisance parameters to profile: all, none, or names: tes,jes.")
    ] = "all",
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of the method, say seed=7 or cells=40; may be repeated. The methods' "
            "pages list them.",
        ),
    ] = None,
    split_seed: Annotated[int, typer.Option(min=0, help="Seed of the split into pools.")] = 0,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train again though a model is there.")
    ] = False,
) -> None:
    """Train a method and keep it, to be used with --model.

    The same settings, data and seed give the same model on the same machine. Stopped at any
    moment and started again with the same command, a network goes on from its last pass. With a
    CUDA device torch uses it, without one the processor. For example:

        sigma68 train nsbi --data emulated:1:20M --out nsbi-model

        sigma68 train nn_profile --set units=50 --set seed=7 --out small-nn

        sigma68 run nsbi --model nsbi-model --data emulated:1:20M --out nsbi-run
    """
    from sigma68.cli.console import say, steps
    from sigma68.discover import load_task
    from sigma68.run.models import settings_in_run, train_into
    from sigma68.run.truth import active_nuisances

    chosen = load_task(task)
    active = active_nuisances(chosen, nuisances)
    settings = settings_in_run(method, _settings(values or []), active)
    with steps("training") as progress:
        pools = chosen.open(data, split_seed=split_seed)
        fresh = train_into(
            out, method, chosen, pools, settings=settings, retrain=retrain, progress=progress
        )
    say(f"{'trained model' if fresh else 'this model is there already'}: {out}")


def _settings(values: list[str]) -> dict[str, Any]:
    """NAME=VALUE pairs; values are JSON, or else text.

    Raises
    ------
    SettingsError
        If one has no name or stands twice.
    """
    settings: dict[str, Any] = {}
    for pair in values:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise SettingsError(f"--set {pair!a} is not NAME=VALUE: write for example seed=7")
        if name in settings:
            raise SettingsError(f"--set gives {name} twice")
        try:
            settings[name] = json.loads(text)
        except json.JSONDecodeError:
            settings[name] = text
    return settings
