"""`sigma68 fit`: one fit and everything a physicist asks of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigma68.errors import DataError, NuisanceError, SettingsError

if TYPE_CHECKING:
    from sigma68.inference.fit_summary import BinnedSummary, EventSummary
    from sigma68.inference.ratio_closure import Closure
    from sigma68.protocols import HasLikelihood, HasUnbinnedLikelihood, Pools, Progress, Task
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
    closure: Annotated[
        bool,
        typer.Option(
            help="Hold what networks have learned of density ratios against moved simulation."
        ),
    ] = True,
    rows: Annotated[
        int,
        typer.Option(min=1000, help="Rows of the calibration pool to do that with, at most."),
    ] = 1_000_000,
) -> None:
    """Fit one data set and write all diagnostics of the fit.

    Writes fit.html with scans, pulls, impacts and correlations; bins after the fit and the goodness
    of fit, or features after the fit where events are fitted one by one; the closure of what was
    learned of density ratios; fit.json with all numbers; and, of bins, workspace.json, the fitted
    model for pyhf. For example:

        sigma68 fit bdt_profile --mu 1.5 --set tes=1.02 --out fit

        sigma68 fit bdt_profile --asimov --out expected

        sigma68 fit bdt_profile --observed toys/toy_0.parquet --out fit-of-toy

        sigma68 fit gollum --model gollum-model --asimov --out gollum-fit
    """
    from sigma68.cli.console import say, steps
    from sigma68.discover import load_task
    from sigma68.files import make_folder
    from sigma68.inference.fit_summary import BinnedSummary
    from sigma68.protocols import HasLikelihood
    from sigma68.report.fit import write_fit_report
    from sigma68.run.truth import active_nuisances

    if observed is not None and (asimov or values):
        raise SettingsError("--observed fits a file: leave out --asimov and --set")
    chosen = load_task(task)
    active = active_nuisances(chosen, nuisances)
    truth = _truth(chosen, values or [], active)
    make_folder(out)
    with steps("fitting") as progress:
        pools = chosen.open(data, split_seed=split_seed)
        trained = _trained(method, chosen, pools, active, model, progress)
        likelihood = (
            trained.likelihood if isinstance(trained, HasLikelihood) else trained.ratio_likelihood
        )
        if model is not None:
            # Such a model may profile others than those asked for.
            truth = _truth(chosen, values or [], likelihood.names[1:])
        seen = None
        if observed is not None:
            seen = _read(chosen, observed)
        elif not asimov:
            seen = _drawn(chosen, pools, mu, truth, seed, progress)
        progress("fitting", 0.0)
        summary: BinnedSummary | EventSummary
        if isinstance(trained, HasLikelihood):
            summary = _of_counts(trained, chosen, seen, mu, truth, seed, gof_toys)
        else:
            pools.prepare("calibration", progress=progress)
            summary = _of_events(trained, chosen, pools, seen, mu, truth, rows)
        checks = _closure(trained, chosen, pools, rows, progress) if closure else None
        progress("drawing figures", 0.7)
        about = {"Method": f"{method} on {chosen.name}"} | _in_words(
            observed, asimov, mu, truth, seed
        )
        page = write_fit_report(
            out,
            summary,
            likelihood,
            trained.component_names,
            about,
            features=chosen.features,
            closure=checks,
        )
    best, error = summary.fit.best[0], summary.fit.errors[0]
    say(
        f"{summary.parameter} = {best:.4f} ± {error:.4f}, "
        f"{100 * summary.level:.2f}% interval {summary.lower:.4f} to {summary.upper:.4f}"
    )
    if isinstance(summary, BinnedSummary):
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
) -> HasLikelihood | HasUnbinnedLikelihood:
    from sigma68.discover import method_class
    from sigma68.protocols import HasLikelihood, HasUnbinnedLikelihood
    from sigma68.run.models import load_model, settings_in_run, trained

    made_by = method_class(method)
    if not (hasattr(made_by, "likelihood") or hasattr(made_by, "ratio_likelihood")):
        raise SettingsError(
            f"{method} fits no likelihood whose diagnostics could be shown: "
            "give a method that profiles (see: sigma68 methods)"
        )
    if model is not None:
        made = load_model(model, task, pools)
    else:
        settings = settings_in_run(method, {}, active)
        made = trained(method, task, pools, settings=settings, progress=progress)
    if not isinstance(made, HasLikelihood | HasUnbinnedLikelihood):
        raise SettingsError(f"the model in {model} holds no likelihood: give another one")
    return made


def _of_counts(
    method: HasLikelihood,
    task: Task,
    seen: Observation | None,
    mu: float,
    truth: dict[str, float],
    seed: int,
    gof_toys: int,
) -> BinnedSummary:
    """A fit in bins to what is seen, or to the Asimov data set."""
    from sigma68.inference.fit_summary import summarise_fit
    from sigma68.seeds import stream

    likelihood = method.likelihood
    if seen is None:
        counts = likelihood.expected(likelihood.point(mu, truth))
    else:
        counts = method.counts(seen)
    toys = stream(task.name, "goodness", seed)
    return summarise_fit(likelihood, counts, stream=toys, n_toys=gof_toys)


def _of_events(
    method: HasUnbinnedLikelihood,
    task: Task,
    pools: Pools,
    seen: Observation | None,
    mu: float,
    truth: dict[str, float],
    rows: int,
) -> EventSummary:
    """A fit to the events that are seen, or to weighted simulated ones as the Asimov data set."""
    from dataclasses import replace

    import numpy as np

    from sigma68.inference.fit_summary import summarise_events

    likelihood = method.ratio_likelihood
    events = pools.calibration.labelled(max_rows=rows)
    simulated = method.sample(events.observation(), events.weights.astype(np.float64))
    if seen is None:
        asimov = likelihood.asimov(likelihood.point(mu, truth), simulated.ratios)
        sample = replace(simulated, ratios=asimov)
    else:
        sample = method.sample(seen)
    return summarise_events(likelihood, sample, simulated, _main_features(task))


def _closure(
    method: HasLikelihood | HasUnbinnedLikelihood,
    task: Task,
    pools: Pools,
    rows: int,
    progress: Progress,
) -> Closure | None:
    """What a method has learned of density ratios against simulation; None if it learns none."""
    from sigma68.inference.ratio_closure import LearnsRatios, closure

    if not isinstance(method, LearnsRatios):
        return None
    pools.prepare("calibration", progress=progress)
    return closure(
        method.learned_ratios(),
        pools.calibration,
        task.nuisances,
        _main_features(task),
        max_rows=rows,
        progress=progress,
    )


def _main_features(task: Task) -> tuple[str, ...]:
    """Those that the task names, or its first few."""
    from sigma68.protocols import HasMainFeatures

    if isinstance(task, HasMainFeatures):
        return task.main_features
    return tuple(feature.name for feature in task.features[:4])


def _drawn(
    task: Task,
    pools: Pools,
    mu: float,
    truth: dict[str, float],
    seed: int,
    progress: Progress,
) -> Observation:
    """One pseudo-experiment of the scoring pool."""
    from sigma68.seeds import stream
    from sigma68.types import Truth

    pools.prepare("scoring", progress=progress)
    parameters = {task.parameters[0].name: mu}
    return task.pseudo_experiment(
        pools.scoring, Truth(parameters, truth), stream(task.name, "fit", seed)
    )


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
