"""The tables on the page of a validation, as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sigma68.report.words import number, percent
from sigma68.tasks.higgs.validation.hypotheses import in_words
from sigma68.tasks.higgs.validation.judgement import Verdict
from sigma68.tasks.higgs.validation.result import Validation
from sigma68.tasks.higgs.validation.yields import EventNumbers

__all__ = ["SAID", "PageTable", "tables_of"]

SAID: Final[dict[Verdict, str]] = {
    "pass": "passes",
    "miss": "misses",
    "small": "not judged",
    "unsure": "not judged: too large an error",
    "none": "–",
}
"""Verdicts in words."""


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
    yield _files(v)
    if v.yields:
        yield _yields(v)
    yield _numbers(f"{v.judgement.tested.title()} events", v.numbers)
    if v.distributions:
        yield _distributions(v)
    if v.responses:
        yield _responses(v)
    if v.classifiers:
        yield _classifiers(v)
    if v.separations:
        yield _separations(v)
    if v.neighbours:
        yield _neighbours(v)
    yield _numbers(f"{v.judgement.reference.title()} events", v.reference_numbers)


def _files(v: Validation) -> PageTable:
    rows = []
    for name, side in ((v.judgement.tested, v.tested), (v.judgement.reference, v.reference)):
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
    if v.training is not None:
        for process, n in v.training.rows_per_process.items():
            rows.append(("training", v.training.name, process, number(n), "–", "–"))
    note = "Effective: (Σw)² / Σw², hard events counted once."
    columns = ("", "file", "process", "rows", "sum of weights", "effective events")
    return PageTable("Files", note, columns, tuple(rows), 3, is_open=True)


def _yields(v: Validation) -> PageTable:
    said = SAID | {"none": f"not {v.judgement.tested}"}
    rows = tuple(
        (
            t.process,
            t.region,
            said[t.verdict],
            f"{t.expected:,.1f}" + (f" ± {t.expected_error:,.1f}" if t.expected_error else ""),
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
        v.judgement.tested,
        "ratio",
        "tolerance",
        "errors beyond it",
        v.judgement.reference,
    )
    note = (
        f"At 10 fb⁻¹; inclusive yields before, regions after the high thresholds. "
        f"{_what_is_not_judged(v)} The {v.judgement.reference} events are shown for information."
    )
    bad = frozenset(i for i, t in enumerate(v.yields) if t.verdict == "miss")
    return PageTable(f"Yields against the {v.table.name}", note, columns, rows, 3, bad, True)


def _what_is_not_judged(v: Validation) -> str:
    if v.judgement.least_events > 0:
        return f"Regions with {v.judgement.least_events:g} expected events or fewer are not judged."
    return f"Ratios with an error above {v.judgement.largest_error:.0%} are not judged."


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
            _size(t.difference, t.kind),
            "too few" if t.p_value is None else in_words(t.p_value),
            "–" if t.corrected is None else in_words(t.corrected),
            _size(t.detectable, t.kind),
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
        f"effective {v.judgement.tested}",
        f"effective {v.judgement.reference}",
        "difference",
        "p",
        "corrected p",
        "could have seen",
        "as a shift [σ]",
        "difference of means [σ]",
    )
    note = (
        "Shape: the largest distance of the cumulative distributions (KS). Defined: the difference "
        "of the fractions of events that have the column. Edge: the fraction of events beyond all of the "
        "reference. Corrected for the number of tests (Holm). "
        f"Could have seen: the difference found with 90% probability at the level {v.level:g}, "
        "corrected; as a shift of the whole column in its standard deviations."
    )
    bad = frozenset(
        i for i, t in enumerate(order) if t.corrected is not None and t.corrected < v.level
    )
    return PageTable("Distributions, least alike first", note, columns, rows, 3, bad)


def _size(value: float | None, kind: str) -> str:
    return f"{value:.2g}" if kind == "edge" and value is not None else number(value)


def _responses(v: Validation) -> PageTable:
    rows = tuple(
        (
            t.process,
            t.region,
            t.shift,
            SAID[t.verdict],
            f"{t.expected:,.0f}",
            _change(t.tested, t.tested_error),
            _change(t.reference, t.reference_error),
            _change(t.difference, t.error),
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
        "verdict",
        "expected events",
        v.judgement.tested,
        v.judgement.reference,
        "difference",
        f"{v.judgement.reference} events that move",
        "difference [σ]",
        "corrected p",
    )
    note = (
        "Change of the yield after the high thresholds; errors from a bootstrap over hard events. "
        f"Expected are the responses of {v.expected}."
    )
    tolerance = v.judgement.response_tolerance
    if tolerance is not None:
        note += (
            f" A difference of up to {tolerance:.1%} passes; it is judged where more than "
            f"{v.judgement.least_expected:,.0f} events are expected and its error is at most "
            f"{v.judgement.largest_response_error:.1%}."
        )
    bad = frozenset(i for i, t in enumerate(v.responses) if t.verdict == "miss")
    return PageTable("Responses to tes, jes and soft_met", note, columns, rows, 4, bad)


def _classifiers(v: Validation) -> PageTable:
    kinds = [(t, f"{v.judgement.tested} against {v.judgement.reference}") for t in v.classifiers]
    kinds += [(t, "control: training against held out") for t in v.controls]
    rows = tuple(
        (
            t.group,
            kind,
            SAID[t.verdict] if i < len(v.classifiers) else "–",
            number(t.rows_tested),
            number(t.rows_reference),
            f"{t.auc:.3f} ± {t.error:.3f}",
            in_words(t.corrected),
            number(t.detectable),
            ", ".join(f"{name} {percent(share, 0)}" for name, share in t.columns[:3]),
        )
        for i, (t, kind) in enumerate(kinds)
    )
    columns = (
        "group",
        "kind",
        "verdict",
        "rows of the first",
        "rows of the second",
        "area",
        "corrected p",
        "could have seen",
        "most used columns",
    )
    note = "Area under the ROC curve of trees on events they have not seen; 0.5 is the goal"
    limit = v.judgement.largest_area
    note += "." if limit is None else f", and {limit:g} the most that passes."
    bad = frozenset(i for i, t in enumerate(v.classifiers) if t.verdict == "miss")
    return PageTable("Classifier", note, columns, rows, 3, bad, True)


def _separations(v: Validation) -> PageTable:
    rows: list[tuple[str, ...]] = []
    bad: set[int] = set()
    for own in v.separations:
        if own.verdict == "miss":
            bad.add(len(rows))
        for name, gap in (("all", own.gap), *own.backgrounds.items()):
            rows.append(
                (
                    own.trained_on,
                    name,
                    SAID[own.verdict] if name == "all" and own.verdict != "none" else "–",
                    number(own.rows_training),
                    f"{gap.tested:.4f} ± {gap.tested_error:.4f}",
                    f"{gap.reference:.4f} ± {gap.reference_error:.4f}",
                    f"{gap.difference:+.4f} ± {gap.error:.4f}".replace("-", "−"),
                )
            )
    columns = (
        "trained on",
        "background",
        "verdict",
        "training rows",
        v.judgement.tested,
        v.judgement.reference,
        "difference",
    )
    note = (
        "Area under the ROC curve of trees that separate signal from background, on events they "
        "have not seen; backgrounds in the same proportion; errors from a bootstrap over hard "
        f"events. A difference of up to {v.judgement.largest_gap:g} passes."
    )
    title = "Separation of signal and background"
    return PageTable(title, note, columns, tuple(rows), 3, frozenset(bad), True)


def _neighbours(v: Validation) -> PageTable:
    rows = tuple(
        (
            t.process,
            SAID[t.verdict],
            number(t.rows_training),
            number(t.rows_tested),
            number(t.rows_reference),
            f"{t.share:.2%} ± {t.error:.2%}",
            in_words(t.corrected),
            number(t.tested_median, 3),
            number(t.copies_tested),
            number(t.copies_reference),
        )
        for t in v.neighbours
    )
    columns = (
        "process",
        "verdict",
        "training rows",
        f"{v.judgement.tested} rows",
        "held-out rows",
        "nearer than the nearest 1%",
        "corrected p",
        "median / held out",
        "repeated",
        "repeated, held out",
    )
    note = (
        "Distances to the nearest training event in standardised coordinates without the symmetries "
        "of a collision, against those of held-out events, one of each hard event. 1% is expected; "
        "repeated are events nearer than a hundredth of the median distance."
    )
    bad = frozenset(i for i, t in enumerate(v.neighbours) if t.verdict == "miss")
    return PageTable("Neighbours among training events", note, columns, rows, 2, bad, True)


def _change(value: float | None, error: float | None) -> str:
    if value is None or error is None:
        return "–"
    return f"{100 * value:+.2f}% ± {100 * error:.2f}%".replace("-", "−")
