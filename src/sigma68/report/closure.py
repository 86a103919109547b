"""The part of a fit's page about what the method has learned: figures and a table of closure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sigma68.inference.ratio_closure import Closure, ResponseClosure
from sigma68.report.ratio_figures import response_figure, share_figure
from sigma68.report.sections import ReportFigure
from sigma68.types import Feature

__all__ = ["closure_document", "closure_figures", "closure_rows"]


def closure_figures(closure: Closure, features: Mapping[str, Feature]) -> Iterator[ReportFigure]:
    """One figure of all class probabilities, then one for each region and nuisance."""
    yield ReportFigure(
        "closure_shares",
        "Learned probabilities of the processes",
        "Of events that are said to be of a process with some probability, the share that is, over "
        "that probability; bars are the error of the simulation. Said and found agree at 1.",
        f"Found over said probability in {len(closure.shares)} regions.",
        lambda: share_figure(closure.shares),
        wide=True,
    )
    for i, own in enumerate(_by_region_and_nuisance(closure)):
        region, nuisance = own[0].region, own[0].nuisance
        yield ReportFigure(
            f"closure_{nuisance}_{i}",
            f"Learned response to {nuisance}, {region}",
            f"Events of each process with {nuisance} moved over those with every nuisance off. "
            "Bands are counted in moved simulation, lines are nominal events weighted by what was "
            "learned.",
            f"Responses to {nuisance} in {len(own)} panels: learned against simulated.",
            lambda own=own: response_figure(own, features),  # type: ignore[misc]
            wide=True,
        )


def closure_rows(closure: Closure) -> list[tuple[str, ...]]:
    """Region, what is checked, chi-square and its bins, and where it is worst, in words."""
    rows = []
    for share in closure.shares:
        pulls = (share.found - share.said) / share.error
        place = share.processes[int(np.nanargmax(np.nanmax(np.abs(pulls), axis=1, initial=0)))]
        rows.append(_row(share.region, "probabilities", pulls.ravel(), place))
    for own in _by_region_and_nuisance(closure):
        for value in dict.fromkeys(c.value for c in own):
            at = [c for c in own if c.value == value]
            worst = max(at, key=lambda c: float(np.nanmax(np.abs(c.pulls), initial=0)))
            rows.append(
                _row(
                    at[0].region,
                    f"{at[0].nuisance} = {value:.4g}",
                    np.concatenate([c.pulls for c in at]),
                    f"{worst.process}, {worst.variable}",
                )
            )
    return rows


def closure_document(closure: Closure) -> dict[str, Any]:
    """All numbers, as a JSON object; NaN is null."""
    return {
        "n_events": closure.n_events,
        "shares": [
            {"region": c.region, "processes": list(c.processes)}
            | {name: _plain(getattr(c, name)) for name in ("said", "found", "error")}
            for c in closure.shares
        ],
        "responses": [
            {
                name: getattr(c, name)
                for name in ("region", "process", "nuisance", "value", "variable")
            }
            | {name: _plain(getattr(c, name)) for name in ("edges", "counted", "learned", "error")}
            for c in closure.responses
        ],
    }


def _by_region_and_nuisance(closure: Closure) -> list[Sequence[ResponseClosure]]:
    groups: dict[tuple[str, str], list[ResponseClosure]] = {}
    for one in closure.responses:
        groups.setdefault((one.region, one.nuisance), []).append(one)
    return list(groups.values())


def _row(region: str, what: str, pulls: np.ndarray, place: str) -> tuple[str, ...]:
    known = pulls[np.isfinite(pulls)]
    worst = float(np.abs(known).max(initial=0))
    return region, what, f"{np.sum(known**2):.0f} / {len(known)}", f"{worst:.1f}", place


def _plain(values: np.ndarray) -> Any:
    if values.ndim > 1:
        return [_plain(row) for row in values]
    return [float(v) if np.isfinite(v) else None for v in values]
