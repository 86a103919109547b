"""`sigma68 data observe`: one observation as an image, as summaries, and what methods make of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sigma68.errors import SettingsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sigma68.inference.sampling import Posterior
    from sigma68.protocols import Method, Task
    from sigma68.types import Observation, Truth

_OF_PARAMETERS = 2


def observe(
    out: Annotated[Path, typer.Option(help="Folder for the figures.")],
    task: Annotated[str, typer.Option(help="A task that shows images: lensing, say.")],
    data: Annotated[
        str | None, typer.Option(help="Source of the data; the task's own if left out.")
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="True value of a parameter or nuisance parameter; may be repeated. The others "
            "stand at the centres of their ranges and priors.",
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="Draw the posterior of this method (trained if need be); may be repeated."
        ),
    ] = None,
    others: Annotated[
        int, typer.Option(min=10, help="Observations that bands of summaries are made of.")
    ] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Seed; another seed, another sky.")] = 1,
) -> None:
    r"""Draw one pseudo-experiment: its image, its summaries among others, posteriors.

    Bands of the summaries are of others with the same parameters, nuisance parameters from
    their priors, and of others with the first parameter moved up by a tenth of its range. Figures
    are written as PDF and PNG. For example:

        sigma68 data observe --task lensing --out one-map

        sigma68 data observe --task lensing --set Omega_m=0.3 --set S8=0.8 \
            --method power_spectrum --method neural_posterior --out one-map
    """
    from sigma68.cli.console import say, steps
    from sigma68.discover import load_task
    from sigma68.files import make_folder, replacing
    from sigma68.report.observation_figures import contour_figure, image_figure, summary_figure
    from sigma68.report.style import render
    from sigma68.run.models import trained
    from sigma68.seeds import stream
    from sigma68.summaries import HasPictureLabels

    chosen = load_task(task)
    if not isinstance(chosen, HasPictureLabels):
        raise SettingsError(f"the task {task} shows no images of an observation")
    truth = _truth(chosen, values or [])
    make_folder(out)
    with steps("observing") as progress:
        pools = chosen.open(data)
        events = stream(chosen.name, "observe", seed)
        seen = chosen.pseudo_experiment(pools.scoring, truth, events)
        figures: dict[str, Figure] = {
            "image": image_figure(
                chosen.image(seen),
                chosen.image_mask,
                pixel_size=chosen.pixel_size,
                pixel_unit=chosen.pixel_unit,
                label=chosen.image_label,
            )
        }
        bands = {}
        for name, at in _bands(chosen, truth).items():
            rows = []
            for i in range(others):
                progress(f"drawing others: {name}", i / others)
                like = _with_nuisances(chosen, at, seed, i)
                own = events.child(f"other {i} {name}")
                rows.append(chosen.summary(chosen.pseudo_experiment(pools.scoring, like, own)))
            bands[name] = rows
        import numpy as np

        figures["summaries"] = summary_figure(
            chosen.summary(seen),
            {name: np.array(rows) for name, rows in bands.items()},
            axis=chosen.summary_axis,
            axis_label=chosen.summary_axis_label,
            label=chosen.summary_label,
        )
        if method:
            draws = {
                name: _posterior(trained(name, chosen, pools, progress=progress), seen).draws
                for name in method
            }
            figures["posteriors"] = contour_figure(draws, chosen.parameters, truth.parameters)
        for name, figure in figures.items():
            for kind in ("pdf", "png"):
                path = out / f"{name}.{kind}"
                with replacing(path) as part:
                    part.write_bytes(render(figure, kind))
    told = ", ".join(f"{name} = {value:g}" for name, value in truth.parameters.items())
    say(f"{told}: {', '.join(figures)} in {out}")


def _truth(task: Task, given: list[str]) -> Truth:
    """Parameters and nuisances as they are given, or in the middle."""
    from sigma68.types import Truth

    parameters = {p.name: 0.5 * (p.low + p.high) for p in task.parameters}
    nuisances = {n.name: n.asimov for n in task.nuisances}
    ranges = {p.name: (p.low, p.high) for p in task.parameters}
    for text in given:
        name, _, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            raise SettingsError(f"--set {text}: write NAME=VALUE, S8=0.8, say") from None
        if name in parameters:
            low, high = ranges[name]
            if not low <= value <= high:
                raise SettingsError(f"--set {text}: {name} goes from {low:g} to {high:g}")
            parameters[name] = value
        elif name in nuisances:
            nuisances[name] = value
        else:
            known = ", ".join((*parameters, *nuisances))
            raise SettingsError(f"--set {text}: there is no {name!r}, choose from {known}")
    return Truth(parameters, nuisances)


def _bands(task: Task, truth: Truth) -> dict[str, Truth]:
    """What others are drawn at, by what the legend says of them."""
    from dataclasses import replace

    first = task.parameters[0]
    value = truth.parameters[first.name] + 0.1 * (first.high - first.low)
    if value > first.high:
        value -= 0.2 * (first.high - first.low)
    moved = replace(truth, parameters={**truth.parameters, first.name: value})
    name = first.label or first.name
    return {"others like it": truth, f"others with {name} = {value:.3g}": moved}


def _with_nuisances(task: Task, truth: Truth, seed: int, number: int) -> Truth:
    """The same parameters, nuisances from their priors."""
    from dataclasses import replace

    from sigma68.seeds import stream

    z = stream(task.name, "observe nuisances", seed, number).generator()
    drawn = z.standard_normal(len(task.nuisances))
    nuisances = {n.name: n.from_z(float(v)) for n, v in zip(task.nuisances, drawn, strict=True)}
    return replace(truth, nuisances=nuisances)


def _posterior(method: Method, seen: Observation) -> Posterior:
    posterior = getattr(method, "posterior", None)
    if posterior is None or len(method.task.parameters) != _OF_PARAMETERS:  # type: ignore[attr-defined]
        raise SettingsError(f"{method.name} gives no posterior of two parameters")
    found: Posterior = posterior(seen)
    return found
