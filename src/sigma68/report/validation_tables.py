"""The tables on the page of a validation, as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sigma68.report.words import number, percent
from sigma68.tasks.higgs.validation.hypotheses import in_words
from sigma68.tasks.higgs.validation.result import EventsSummary, Validation
from sigma68.tasks.higgs.validation.yields import EventNumbers

__all__ = ["PageTable", "tables_of"]


@dataclass(frozen=True)
class PageTable:
    """A table: the first `n_text` columns are text, the others numbers; `bad` rows stand out."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_text: int
    bad: frozenset[int] = frozenset()
    is_open: bool = False


def tables_of(v: Validation) -> tuple[PageTable, ...]:
    """Every table of a validation, in the order of the page."""
    return tuple(_each(v))


def _each(v: Validation) -> Iterator[PageTable]:
    yield _files(v.tested, v.reference)
    if v.yields:
        yield _yields(v)
    yield _numbers("Simulated events", v.numbers)
    if v.distributions:
        yield _distributions(v)
    if v.responses:
        yield _responses(v)
    if v.classifiers:
        yield _classifiers(v)
    yield _numbers("Real events", v.reference_numbers)


def _files(tested: EventsSummary, reference: EventsSummary) -> PageTable:
    rows = []
    for name, side in (("simulated", tested), ("real", reference)):
        for process, n in side.rows_per_process.items():
            rows.append(
                (
                    name,
                    side.name,
                    process,
                    number(n),
                    f"{side.sum_weights[process]:,.1f}",
                    f"{side.effective[process]:,.0f}",
                )
            )
    note = "Effective: (Σw)² / Σw², hard events counted once."
    columns = ("", "file", "process", "rows", "sum of weights", "effective events")
    return PageTable("Files", note, columns, tuple(rows), 3, is_open=True)


def _yields(v: Validation) -> PageTable:
    said = {"pass": "passes", "miss": "misses", "small": "not judged", "none": "not simulated"}
    rows = tuple(
        (
            t.process,
            t.region,
            said[t.verdict],
            f"{t.expected:,.1f}",
            f"{t.tested:,.1f}",
            f"{t.ratio:.3f} ± {t.error:.3f}",
            percent(t.tolerance, 0),
            "–" if t.beyond is None else number(t.beyond, 1),
            "–" if t.reference is None else f"{t.reference:,.1f} ± {t.reference_error:,.1f}",
        )
        for t in v.yields
    )
    columns = (
        "process",
        "region",
        "verdict",
        "expected",
        "simulated",
        "ratio",
        "tolerance",
        "errors beyond it",
        "real",
    )
    note = (
        "At 10 fb⁻¹; inclusive yields before, regions after the high thresholds. Regions with 200 "
        "expected events or fewer are not judged. The real events are shown for information."
    )
    bad = frozenset(i for i, t in enumerate(v.yields) if t.verdict == "miss")
    return PageTable(f"Yields against the {v.table.name}", note, columns, rows, 3, bad, True)


def _numbers(title: str, numbers: tuple[EventNumbers, ...]) -> PageTable:
    rows = tuple(
        (
            n.process,
            n.region,
            number(n.rows),
            f"{n.effective:,.0f}",
            number(n.efficiency, 2),
            f"{n.expected:,.1f}",
            f"{n.per_expected:,.2f}",
            number(n.spread, 2),
            number(n.largest, 1),
        )
        for n in numbers
    )
    columns = (
        "process",
        "region",
        "rows",
        "effective",
        "effective / rows",
        "expected",
        "effective / expected",
        "spread of weights",
        "largest / mean weight",
    )
    note = "Effective: (Σw)² / Σw², hard events counted once. Spread: standard deviation over mean."
    return PageTable(f"{title}: how many they are worth", note, columns, rows, 2)


def _distributions(v: Validation) -> PageTable:
    order = sorted(
        v.distributions, key=lambda t: (t.p_value is None, t.p_value or 0.0, t.group, t.column)
    )
    rows = tuple(
        (
            t.group,
            ", ".join((t.column, *t.shared_with)) if t.kind == "defined" else t.column,
            t.kind,
            f"{t.n_tested:,.0f}",
            f"{t.n_reference:,.0f}",
            number(t.difference),
            "too few" if t.p_value is None else in_words(t.p_value),
            "–" if t.corrected is None else in_words(t.corrected),
            number(t.detectable),
            number(t.detectable_shift, 2),
            "–"
            if t.mean_difference is None
            else f"{number(t.mean_difference, 2)} ± {number(t.mean_error, 2)}",
        )
        for t in order
    )
    columns = (
        "group",
        "column",
        "test",
        "effective simulated",
        "effective real",
        "difference",
        "p",
        "corrected p",
        "could have seen",
        "as a shift [σ]",
        "difference of means [σ]",
    )
    note = (
        "Shape: the largest distance of the cumulative distributions (KS). Defined: the difference "
        "of the fractions of events that have the column. Corrected for the number of tests (Holm). "
        f"Could have seen: the difference found with 90% probability at the level {v.level:g}, "
        "corrected; as a shift of the whole column in its standard deviations."
    )
    bad = frozenset(
        i for i, t in enumerate(order) if t.corrected is not None and t.corrected < v.level
    )
    return PageTable("Distributions, least alike first", note, columns, rows, 3, bad)


def _responses(v: Validation) -> PageTable:
    rows = tuple(
        (
            t.process,
            t.region,
            t.shift,
            _change(t.tested, t.tested_error),
            _change(t.reference, t.reference_error),
            number(t.moving, 1),
            "–" if t.pull is None else number(t.pull, 1),
            "–" if t.p_value is None else in_words(t.p_value),
        )
        for t in v.responses
    )
    columns = (
        "process",
        "region",
        "shift",
        "simulated",
        "real",
        "real events that move",
        "difference [σ]",
        "corrected p",
    )
    note = (
        "Change of the yield after the high thresholds; errors from a bootstrap over hard events."
    )
    bad = frozenset(
        i for i, t in enumerate(v.responses) if t.p_value is not None and t.p_value < v.level
    )
    return PageTable("Responses to tes, jes and soft_met", note, columns, rows, 3, bad)


def _classifiers(v: Validation) -> PageTable:
    rows = tuple(
        (
            t.group,
            ", ".join(f"{name} {percent(share, 0)}" for name, share in t.columns),
            number(t.rows_tested),
            number(t.rows_reference),
            f"{t.auc:.3f} ± {t.error:.3f}",
            in_words(t.corrected),
            number(t.detectable),
        )
        for t in v.classifiers
    )
    columns = (
        "group",
        "most used columns",
        "simulated rows",
        "real rows",
        "area",
        "corrected p",
        "could have seen",
    )
    note = "Area under the ROC curve of trees on events they have not seen; 0.5 is the goal."
    bad = frozenset(i for i, t in enumerate(v.classifiers) if t.corrected < v.level)
    return PageTable("Classifier", note, columns, rows, 2, bad, True)


def _change(value: float | None, error: float | None) -> str:
    if value is None or error is None:
        return "–"
    return f"{100 * value:+.2f}% ± {100 * error:.2f}%".replace("-", "−")
