"""`sigma68 run`: a method or an entry, on many pseudo-experiments, with a verdict."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigma68.errors import SettingsError

if TYPE_CHECKING:
    from sigma68.protocols import Task
    from sigma68.run.settings import CalibrationSettings


def run(
    method: Annotated[
        str | None,
        typer.Argument(metavar="METHOD", help="A method's name (see: sigma68 methods)."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.")] = None,
    entry: Annotated[
        Path | None, typer.Option(help="A challenge entry, folder or zip, instead of METHOD.")
    ] = None,
    task: Annotated[str, typer.Option(help="The task (see: sigma68 tasks).")] = "higgs",
    data: Annotated[
        str | None,
        typer.Option(
            help="Events: a Parquet file, its folder, or a name; the task's own if left out."
        ),
    ] = None,
    sets: Annotated[int, typer.Option(help="Sets: values of mu.")] = 10,
    toys: Annotated[int, typer.Option(help="Pseudo-experiments per set.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed; another seed, other toys.")] = 1,
    nuisances: Annotated[
        str, typer.Option(help="Nuisance parameters that vary: all, none, or names: tes,jes.")
    ] = "all",
    workers: Annotated[
        int | None, typer.Option(help="Processes; one per core if left out.", show_default=False)
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Folder of a trained model to use instead of training.")
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train again though a trained model is there.")
    ] = False,
    epsilon: Annotated[
        float | None, typer.Option(help="The score's epsilon; the task's own if left out.")
    ] = None,
    split_seed: Annotated[int, typer.Option(help="Seed of the split into pools.")] = 0,
    predict_seconds: Annotated[
        float, typer.Option(help="Time limit of one prediction, in seconds.")
    ] = 20.0,
    calibrate: Annotated[
        int | None,
        typer.Option(
            help="Correct the method's intervals by so many toys of the calibration pool, so "
            "that they cover; say 2000.",
            show_default=False,
        ),
    ] = None,
    calibration: Annotated[
        str,
        typer.Option(
            help="How: scale (stretch the method's intervals) or neyman (build new ones about its "
            "estimate)."
        ),
    ] = "scale",
    edges: Annotated[
        str,
        typer.Option(
            help="Corrected intervals that reach beyond the range of mu: extend (leave them) or "
            "clip (end them there)."
        ),
    ] = "extend",
    sandbox: Annotated[
        bool,
        typer.Option(
            "--sandbox/--trusted",
            help="With --entry: shut it in, as a challenge does (anybody's), or let it do what you "
            "may do (your own).",
        ),
    ] = False,
) -> None:
    """Run a method or an entry on many toys.

    Writes toys.parquet, score.json and report.html to the folder --out. Stopped at any moment
    and started again with the same command, it goes on where it was. For example:

        sigma68 run counting --sets 10 --toys 100 --out first-run

        sigma68 run exact --task gaussian --sets 10 --toys 100 --out exact-run

        sigma68 run bdt --data events.parquet --nuisances tes,jes --out bdt-run

        sigma68 run bdt --data emulated:7:20M --out large-pools

        sigma68 run bdt --calibrate 2000 --out bdt-calibrated

        sigma68 run --entry entry.zip --data events.parquet --out entry-run

        sigma68 run --entry strangers.zip --sandbox --out strangers-run
    """
    if out is None:
        raise SettingsError("say where the results go: --out FOLDER")
    if (method is None) == (entry is None):
        raise SettingsError("give either a METHOD (see: sigma68 methods) or --entry, and not both")
    if sandbox and entry is None:
        raise SettingsError("--sandbox is for an --entry: methods run as part of this program")

    from sigma68.cli.console import run_bar, say
    from sigma68.cli.verdict import print_verdict
    from sigma68.discover import load_task
    from sigma68.report.run import write_report
    from sigma68.run.evaluate import evaluate
    from sigma68.run.settings import RunSettings
    from sigma68.run.truth import active_nuisances
    from sigma68.score.files import score_folder

    chosen = load_task(task)
    settings = RunSettings(
        task=chosen.name,
        method=method,
        entry=None if entry is None else str(entry.resolve()),
        data=_recorded(data, chosen),
        sets=sets,
        toys=toys,
        seed=seed,
        nuisances=active_nuisances(chosen, nuisances),
        split_seed=split_seed,
        model=None if model is None else str(model.resolve()),
        predict_seconds=predict_seconds,
        epsilon=epsilon,
        calibration=_calibration(calibrate, calibration, edges),
    )
    cores = len(os.sched_getaffinity(0)) if workers is None else workers
    with run_bar(f"{settings.subject} on {chosen.name}") as progress:
        evaluate(settings, out, workers=cores, progress=progress, retrain=retrain, sandbox=sandbox)
    score = score_folder(out)
    report = write_report(out)
    print_verdict(out, score)
    say(f"report: {report}")


def _calibration(toys: int | None, kind: str, edges: str) -> CalibrationSettings | None:
    from sigma68.run.settings import CalibrationSettings

    if toys is not None:
        return CalibrationSettings(toys=toys, kind=kind, at_edges=edges)  # type: ignore[arg-type]
    if (kind, edges) != ("scale", "extend"):
        raise SettingsError(
            "--calibration and --edges say how intervals are corrected: give --calibrate TOYS too"
        )
    return None


def _recorded(data: str | None, task: Task) -> str | None:
    """A source as a run writes it down, so that it means the same events ever after.

    The task's default by its name, a name in its one spelling, a path independent of the working
    folder.
    """
    source = task.default_source if data is None else data
    if source is None:
        return None
    spelled = getattr(task, "spelled", None)
    name = source if source == task.default_source else None
    if spelled is not None:
        name = spelled(source)
    if name is not None:
        return str(name)
    path = Path(source)
    return str(path.resolve()) if path.exists() else source
