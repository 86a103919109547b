"""The page about one run: DIR/report.html, whole in itself, and its figures in DIR/figures/."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigma68.errors import DataError
from sigma68.report.best_words import best_in_words, kind_in_words, ratio_in_words
from sigma68.report.words import Verdict, factor, interval_verdict, number, percent, with_error
from sigma68.score.best_widths import OverBest
from sigma68.score.files import read_score, settings_of, task_of
from sigma68.score.pool_error import PoolError
from sigma68.types import Score

if TYPE_CHECKING:
    import pandas as pd

    from sigma68.protocols import Task
    from sigma68.report.sections import ReportFigure

__all__ = [
    "page_template",
    "score_tiles",
    "sets_of",
    "verdict_of",
    "write_figure",
    "write_report",
]

_MOST_FAILURES_LISTED = 20


def write_report(out: Path, *, task: Task | None = None) -> Path:
    """Write `out`/report.html and `out`/figures/ about a run that is finished and scored.

    Reads settings.json, score.json, toys.parquet, and pool.json, calibration.json and
    failures.jsonl where they are. `task` is found by the settings' name when it is not given. The same run gives the same
    bytes. Returns the page's path.

    Raises
    ------
    SettingsError
        If there is no run in `out`.
    DataError
        If the run is not finished, not scored since, or a file is damaged.
    OutputError
        If something cannot be written.
    """
    from sigma68.files import make_folder, replacing
    from sigma68.report.calibration import (
        calibration_figures,
        calibration_section,
        read_calibration,
    )
    from sigma68.report.sections import report_figures
    from sigma68.run.results import read_toys

    settings = settings_of(out)
    task = task_of(settings) if task is None else task
    toys = read_toys(out)
    document = read_score(out)
    score = _score(document)
    if score.values.get("n_toys") != len(toys):
        raise DataError(
            f"{out / 'score.json'} is about {score.values.get('n_toys')} toys, but there are "
            f"{len(toys)}: score the run again (sigma68 score)"
        )
    pool = _pool(out)
    over = OverBest.of_score(document)
    failures = _failures(out)
    active = [n for n in task.nuisances if n.name in settings.nuisances]
    make_folder(out / "figures")
    calibration = read_calibration(out, task)
    wanted = list(
        report_figures(
            toys, score, task.answer, task.parameters, active, settings.predict_seconds, over
        )
    )
    if calibration is not None:
        wanted += calibration_figures(calibration, task.parameters[0], active)
    figures = []
    for figure in wanted:
        shown = {k: getattr(figure, k) for k in ("title", "caption", "alt", "wide")}
        figures.append(shown | write_figure(figure, out / "figures"))
    page = page_template("run.html").render(
        title=f"{settings.subject} on {task.name}",
        task=task,
        settings=settings,
        n_toys=len(toys),
        nuisances=", ".join(n.name for n in active) or "none, all systematics off",
        warning=None if pool is None else pool.warning(len(toys), task.parameters[0].name),
        verdict=verdict_of(toys, score, task, pool, _more(document, over, task)),
        tiles=score_tiles(score, task, toys, over),
        figures=figures,
        per_set=sets_of(score),
        failures=failures,
        calibration=None
        if calibration is None
        else calibration_section(calibration, task.parameters[0]),
        pool=_pool_tables(pool),
        settings_rows=_flat(settings.to_json()),
        version_rows=_flat({**document.get("versions", {}), **_provenance(document)}),
    )
    with replacing(out / "report.html") as part:
        part.write_text(page, encoding="utf-8")
    return out / "report.html"


def write_figure(figure: ReportFigure, folder: Path) -> dict[str, Any]:
    """Write a figure's files; returns its data URI (PNG where SVG would be heavy) and width."""
    from sigma68.files import replacing
    from sigma68.report.style import HEAVY, render

    drawing = figure.draw()
    svg = render(drawing, "svg")
    for kind, content in (("svg", svg), ("pdf", render(drawing, "pdf"))):
        with replacing(folder / f"{figure.name}.{kind}", sync=False) as part:
            part.write_bytes(content)
    kind, content = ("svg+xml", svg) if len(svg) <= HEAVY else ("png", render(drawing, "png"))
    return {
        "src": f"data:image/{kind};base64,{base64.b64encode(content).decode()}",
        "pixels": round(96 * float(drawing.get_figwidth())),
    }


def page_template(name: str) -> Any:
    """The page template of that name; whatever is filled in is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _score(document: Mapping[str, Any]) -> Score:
    """The score that score.json holds."""
    if "headline" not in document or "per_set" not in document:
        raise DataError("score.json is not a score: score the run again (sigma68 score)")
    plain = {k: v for k, v in document.items() if v is None or isinstance(v, int | float)}
    return Score(document["headline"], plain, document["per_set"])


def _pool(out: Path) -> PoolError | None:
    path = out / "pool.json"
    try:
        return PoolError.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}): remove it and start the run again"
        ) from error


def _more(document: Mapping[str, Any], over: OverBest | None, task: Task) -> list[str]:
    """What the verdict says beside the score: what the method leaves out, how narrow it could be."""
    left_out = document.get("provenance", {}).get("leaves_out")
    said = [] if left_out is None else [str(left_out)]
    return said if over is None else [best_in_words(over, task.parameters[0].unit), *said]


def verdict_of(
    toys: pd.DataFrame,
    score: Score,
    task: Task,
    pool: PoolError | None = None,
    more: Sequence[str] = (),
) -> Verdict | None:
    """What a page says first of scored toys; None for a task that asks for no interval."""
    from sigma68.score.diagnostics import coverage_curves

    if task.answer != "interval":
        return None
    curves = coverage_curves(toys, task.parameters[0])
    return interval_verdict(score, curves, task.parameters[0], pool, more)


def score_tiles(
    score: Score, task: Task, toys: pd.DataFrame, over: OverBest | None = None
) -> list[dict[str, str]]:
    """The headline numbers: name, value and a word about each."""
    v = score.values
    tiles = list(_interval_tiles(v, "", "")) if task.answer == "interval" else []
    if task.answer == "estimates":
        tiles = list(_headline_tile(score))
        tiles.append(_tile("Quantiles score", number(v["quantiles_score"]), "mean over parameters"))
        for p in task.parameters:
            tiles += _interval_tiles(v, f"{p.name}_", f"{p.name}: ")
    elif task.answer == "strangeness":
        tiles = list(_strangeness_tiles(score))
    for kind in () if over is None else over.kinds:
        ratio, at_level = ratio_in_words(kind)
        note = f"{kind_in_words(kind)}; {at_level} at {percent(v['level'], 2)} coverage"
        tiles.append(_tile("Width over the oracle's", ratio, note))
    failed = int(v["n_failed"] or 0)
    ranked = "ranked" if v.get("ranked", True) else "more than 1%: not ranked"
    tiles.append(_tile("Failed toys", f"{failed:,} of {len(toys):,}", ranked))
    median = float(toys["seconds"].median())
    longest = number(float(toys["seconds"].max()))
    tiles.append(_tile("Time per prediction", f"{number(median)} s", f"longest {longest} s"))
    return tiles


def _headline_tile(score: Score) -> Iterator[dict[str, str]]:
    """A tile for a headline that is the task's own."""
    if score.headline not in ("auc", "quantiles_score"):
        error = score.values.get(f"{score.headline}_error")
        yield _tile(score.headline.replace("_", " "), with_error(score.value, error), "the score")


def _strangeness_tiles(score: Score) -> Iterator[dict[str, str]]:
    from sigma68.report.strangeness_figures import scores_of_parts

    v = score.values
    yield from _headline_tile(score)
    between = f"{number(v['auc_low'])} to {number(v['auc_high'])}"
    yield _tile("Area under the ROC", number(v["auc"]), between)
    for name, part in scores_of_parts(score).items():
        yield _tile(name, with_error(*part), "score of this kind alone")


def _interval_tiles(v: Mapping[str, Any], key: str, said: str) -> Iterator[dict[str, str]]:
    error = v.get(f"{key}quantiles_score_error")
    if not key:
        yield _tile(
            "Quantiles score", with_error(v["quantiles_score"], error), f"ε = {v['epsilon']:g}"
        )
    yield _tile(
        f"{said}mean width",
        with_error(v[f"{key}interval"], v.get(f"{key}interval_error")),
        "smaller is better",
    )
    between = f"{percent(v[f'{key}coverage_low'])} to {percent(v[f'{key}coverage_high'])}"
    yield _tile(f"{said}coverage", percent(v[f"{key}coverage"]), between)
    if not key and v["s68"] is not None:
        free = f"{percent(v['window_low'])} to {percent(v['window_high'])} is free"
        yield _tile("Penalty factor", factor(v["penalty"]), free)
    yield _tile(f"{said}RMSE", number(v[f"{key}rmse"]), f"MAE {number(v[f'{key}mae'])}")
    bias = with_error(v[f"{key}bias"], v.get(f"{key}bias_error"))
    yield _tile(f"{said}bias", bias, "mean of estimate − truth")
    mean = with_error(v[f"{key}pull_mean"], v.get(f"{key}pull_mean_error"))
    width = with_error(v[f"{key}pull_width"], v.get(f"{key}pull_width_error"))
    yield _tile(f"{said}pull width", width, f"pull mean {mean}")


def _tile(name: str, value: str, note: str) -> dict[str, str]:
    return {"name": name[:1].upper() + name[1:], "value": value, "note": note}


def sets_of(score: Score) -> dict[str, Any]:
    """The table of sets: columns by name, and rows of text."""
    names = [k for k in (score.per_set[0] if score.per_set else {}) if not k.endswith("_error")]
    rows = [[number(row.get(name)) for name in names] for row in score.per_set]
    return {"columns": [n.replace("_", " ") for n in names], "rows": rows}


def _failures(out: Path) -> dict[str, Any]:
    """What failed toys said: messages with their numbers, most frequent first, and examples."""
    path = out / "failures.jsonl"
    if not path.is_file():
        return {"messages": [], "n": 0}
    found: dict[tuple[str, str], list[str]] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            toy = json.loads(line)
            key = (str(toy["status"]), str(toy.get("message") or "no message"))
            found.setdefault(key, []).append(f"{toy['set']}/{toy['toy']}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}): remove it and start the run again"
        ) from error
    ordered = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    return {
        "n": sum(len(toys) for toys in found.values()),
        "n_kinds": len(ordered),
        "messages": [
            {"status": status, "message": message, "n": len(toys), "toys": _some(toys)}
            for (status, message), toys in ordered[:_MOST_FAILURES_LISTED]
        ],
    }


def _some(toys: Sequence[str], most: int = 6) -> str:
    more = f" and {len(toys) - most:,} more" if len(toys) > most else ""
    return ", ".join(toys[:most]) + more


def _pool_tables(pool: PoolError | None) -> dict[str, Any] | None:
    """Effective over expected events per region and process, of each finite pool."""
    if pool is None or (pool.table_template is None and pool.table_scoring is None):
        return None
    tables = []
    for name, table, r, rows in (
        ("Templates", pool.table_template, pool.r_template, pool.n_rows_template),
        ("Pseudo-experiments", pool.table_scoring, pool.r_scoring, pool.n_rows_scoring),
    ):
        if table is None:
            continue
        body = [
            [region, *(_ratio(value) for value in values)]
            for region, values in zip(pool.regions, table, strict=True)
        ]
        tables.append({"name": name, "r": _ratio(r), "n_rows": f"{rows:,}", "rows": body})
    return {
        "tables": tables,
        "processes": pool.processes,
        "b": pool.b_in_words,
        "loss": percent(pool.loss),
    }


def _ratio(value: float) -> str:
    return "empty" if value != value else f"{value:.3g}"


def _provenance(document: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in document.get("provenance", {}).items() if k != "leaves_out"}


def _flat(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of settings, as text."""
    rows = []
    for name, value in document.items():
        if value is None or value == {} or value == []:
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        rows.append((name.replace("_", " "), text))
    return rows
