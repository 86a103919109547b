"""`sigma68 fit`: one fit and everything a physicist asks of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigma68.errors import DataError, NuisanceError, SettingsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from sigma68.protocols import HasLikelihood, Pools, Progress, Task
    from sigma68.types import Observation


def fit(
    method: Annotated[
        str, typer.Argument(metavar="METHOD", help="A method that profiles: bdt_profile, say.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the report.")],
    task: Annotated[str, typer.Option(help="The task (see: sigma68 tasks).")] = "higgs",
    data: Annotated[
        str | None,
        typer.Option(
            help="Events: a Parquet file, its folder, or a name; the task's own if left out."
        ),
    ] = None,
    observed: Annotated[
        Path | None,
        typer.Option(help="Fit this Parquet file of features instead of drawing events."),
    ] = None,
    mu: Annotated[float, typer.Option(help="True signal strength of what is drawn.")] = 1.0,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="True value of a nuisance parameter, say tes=1.02; may be repeated. The others "
            "stand at the centres of their priors.",
        ),
    ] = None,
    asimov: Annotated[
        bool, typer.Option("--asimov", help="Fit what the model expects instead of drawn events.")
    ] = False,
    nuisances: Annotated[
        str, typer.Option(help="Nuisance parameters to profile: all, none, or names: tes,jes.")
    ] = "all",
    gof_toys: Annotated[
        int, typer.Option(min=0, help="Toys for the goodness of fit; 0 for the chi-square alone.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed; another seed, other events.")] = 1,
    model: Annotated[
        Path | None, typer.Option(help="Folder of a trained model to use instead of training.")
    ] = None,
    split_seed: Annotated[int, typer.Option(min=0, help="Seed of the split into pools.")] = 0,
) -> None:
    """Fit one data set and write all diagnostics of the fit.

    Writes fit.html with scans, pulls, impacts, correlations, bins after the fit and the goodness
    of fit; fit.json with all numbers; and workspace.json, the fitted model for pyhf. For example:

        sigma68 fit bdt_profile --mu 1.5 --set tes=1.02 --out fit

        sigma68 fit bdt_profile --asimov --out expected

        sigma68 fit bdt_profile --observed toys/toy_0.parquet --out fit-of-toy
    """
    from sigma68.cli.console import say, steps
    from sigma68.discover import load_task
    from sigma68.files import make_folder
    from sigma68.inference.fit_summary import summarise_fit
    from sigma68.report.fit import write_fit_report
    from sigma68.run.truth import active_nuisances
    from sigma68.seeds import stream

    if observed is not None and (asimov or values):
        raise SettingsError("--observed fits a file: leave out --asimov and --set")
    chosen = load_task(task)
    active = active_nuisances(chosen, nuisances)
    truth = _truth(chosen, values or [], active)
    make_folder(out)
    with steps("fitting") as progress:
        pools = chosen.open(data, split_seed=split_seed)
        trained = _trained(method, chosen, pools, active, model, progress)
        likelihood = trained.likelihood
        if model is not None:
            # Such a model may profile others than those asked for.
            truth = _truth(chosen, values or [], likelihood.names[1:])
        progress("counting events", 0.0)
        if asimov:
            counts = likelihood.expected(likelihood.point(mu, truth))
        elif observed is not None:
            counts = trained.counts(_read(chosen, observed))
        else:
            counts = _drawn(trained, chosen, pools, mu, truth, seed, progress)
        progress("fitting", 0.5)
        toys = stream(chosen.name, "goodness", seed)
        summary = summarise_fit(likelihood, counts, stream=toys, n_toys=gof_toys)
        progress("drawing figures", 0.7)
        about = {"Method": f"{method} on {chosen.name}"} | _in_words(
            observed, asimov, mu, truth, seed
        )
        page = write_fit_report(out, summary, likelihood, trained.component_names, about)
    best, error = summary.fit.best[0], summary.fit.errors[0]
    say(
        f"{summary.parameter} = {best:.4f} ± {error:.4f}, "
        f"{100 * summary.level:.2f}% interval {summary.lower:.4f} to {summary.upper:.4f}"
    )
    say(f"goodness of fit: p = {summary.goodness.probability:.2g}")
    say(f"report: {page}")


def _truth(task: Task, given: list[str], active: tuple[str, ...]) -> dict[str, float]:
    """Values of the nuisances that are profiled, those given and the centres of the others."""
    known = {n.name: n for n in task.nuisances if n.name in active}
    truth = {name: nuisance.asimov for name, nuisance in known.items()}
    for text in given:
        name, _, number = text.partition("=")
        if name not in known:
            raise NuisanceError(
                f"--set {text}: there is no nuisance parameter {name!r} to profile: "
                f"choose from {', '.join(known) or 'none'}"
            )
        try:
            value = float(number)
        except ValueError:
            raise SettingsError(f"--set {text}: write NAME=VALUE, say {name}=1.02") from None
        nuisance = known[name]
        if not nuisance.low <= value <= nuisance.high:
            raise NuisanceError(
                f"--set {text}: {name} lies between {nuisance.low:g} and {nuisance.high:g}"
            )
        truth[name] = value
    return truth


def _trained(
    method: str,
    task: Task,
    pools: Pools,
    active: tuple[str, ...],
    model: Path | None,
    progress: Progress,
) -> HasLikelihood:
    from sigma68.discover import method_class
    from sigma68.protocols import HasLikelihood
    from sigma68.run.models import load_model, settings_in_run, trained

    if not hasattr(method_class(method), "likelihood"):
        raise SettingsError(
            f"{method} fits no likelihood of bins whose diagnostics could be shown: "
            "give a method that profiles (see: sigma68 methods)"
        )
    if model is not None:
        made = load_model(model, task, pools)
    else:
        settings = settings_in_run(method, {}, active)
        made = trained(method, task, pools, settings=settings, progress=progress)
    if not isinstance(made, HasLikelihood):
        raise SettingsError(f"the model in {model} holds no binned likelihood: give another one")
    return made


def _drawn(
    method: HasLikelihood,
    task: Task,
    pools: Pools,
    mu: float,
    truth: dict[str, float],
    seed: int,
    progress: Progress,
) -> npt.NDArray[np.float64]:
    """Counts of one pseudo-experiment of the scoring pool."""
    from sigma68.seeds import stream
    from sigma68.types import Truth

    pools.prepare("scoring", progress=progress)
    parameters = {task.parameters[0].name: mu}
    toy = task.pseudo_experiment(
        pools.scoring, Truth(parameters, truth), stream(task.name, "fit", seed)
    )
    return method.counts(toy)


def _read(task: Task, path: Path) -> Observation:
    """Features from a Parquet file."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from sigma68.types import Observation

    names = tuple(feature.name for feature in task.features)
    try:
        missing = sorted(set(names) - set(pq.read_schema(path).names))
        if missing:
            raise DataError(f"{path} lacks the features {', '.join(missing)}: give another file")
        table = pq.read_table(path, columns=list(names))
        values = np.stack([table[name].to_numpy().astype(np.float32) for name in names])
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as a Parquet file of features ({error})") from error
    return Observation(names, values)


def _in_words(
    observed: Path | None, asimov: bool, mu: float, truth: dict[str, float], seed: int
) -> dict[str, str]:
    if observed is not None:
        return {"Data": f"observed events of {observed.name}"}
    kind = "Asimov data set" if asimov else f"one pseudo-experiment, seed {seed}"
    values = ", ".join(f"{name} = {value:g}" for name, value in truth.items())
    return {"Data": kind, "Truth": f"signal strength {mu:g}" + (f"; {values}" if values else "")}
