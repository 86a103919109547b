"""What a validation says in words: per part whether it passes, and what misses by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scipy import special

from sigma68.tasks.higgs.validation.distributions import DistributionTest
from sigma68.tasks.higgs.validation.form import Form
from sigma68.tasks.higgs.validation.hypotheses import in_words
from sigma68.tasks.higgs.validation.response import Response
from sigma68.tasks.higgs.validation.result import Validation
from sigma68.tasks.higgs.validation.yields import INCLUSIVE, YieldTest

__all__ = ["Finding", "findings", "passes"]


@dataclass(frozen=True)
class Finding:
    """The verdict on one part: a sentence, and what to know about it, worst first."""

    part: str
    passed: bool
    headline: str
    details: tuple[str, ...] = ()


def findings(validation: Validation) -> tuple[Finding, ...]:
    """The verdict on each part that was made, in their order."""
    return tuple(_each(validation))


def passes(validation: Validation) -> bool:
    """Whether every part that was made passes."""
    return all(finding.passed for finding in findings(validation))


def _each(v: Validation) -> Iterator[Finding]:
    yield _form(v.tested.form, v.reference.form)
    if "yields" in v.parts:
        yield _yields(v)
    if "distributions" in v.parts:
        yield _distributions(v)
    if "response" in v.parts:
        yield _responses(v)
    if "correlations" in v.parts:
        yield _correlations(v)
    if "classifier" in v.parts:
        yield _classifiers(v)


def _form(tested: Form, reference: Form) -> Finding:
    details = [
        f"{name}: {form.impossible:,} rows have a momentum or an angle that no collision has"
        + (f" (the first in {form.impossible_column})" if form.impossible_column else "")
        + f", {form.unrounded:,} primary values are not multiples of 0.001, "
        f"{form.misplaced:,} rows have undefined jets that do not fit their number of jets, "
        f"{form.derived_off:,} rows have derived columns that do not follow from the primary ones"
        + (f" (most often {form.worst_column})" if form.worst_column else "")
        for name, form in (("simulated", tested), ("real", reference))
        if not form.is_good
    ]
    headline = "momenta, rounding, undefined values and derived columns are as they should be"
    if details:
        headline = "events are impossible, or not written as the task writes them"
    return Finding("form", not details, headline, tuple(details))


def _yields(v: Validation) -> Finding:
    judged = [test for test in v.yields if test.verdict in ("pass", "miss")]
    missed = [test for test in judged if test.verdict == "miss"]
    missed.sort(key=lambda test: abs(test.ratio - 1) - test.tolerance, reverse=True)
    headline = (
        f"{len(judged) - len(missed)} of {len(judged)} yields are within their tolerance of the "
        f"{v.table.name}"
    )
    if not judged:
        headline = f"no yield that can be judged by the {v.table.name}"
    unsure = [t for t in judged if t.verdict == "pass" and t.beyond is not None and t.beyond > -1]
    details = [_yield_in_words(test) for test in missed]
    if unsure:
        details.append(
            f"{len(unsure)} of those that pass are within one statistical error of the limit"
        )
    details += _taken_together(v.yields)
    return Finding("yields", not missed, headline, tuple(details))


def _taken_together(tests: Sequence[YieldTest]) -> list[str]:
    """How the regions agree with the table within statistical errors alone, tolerances aside."""
    own = [t for t in tests if t.region != INCLUSIVE and t.verdict != "none" and t.error > 0]
    if not own:
        return []
    chi2 = sum(((t.ratio - 1) / t.error) ** 2 for t in own)
    p_value = float(special.gammaincc(len(own) / 2, chi2 / 2))
    return [
        f"without any tolerance, the {len(own)} yields per region agree with the table with "
        f"chi-square {chi2:.1f} (p {in_words(p_value)})"
    ]


def _yield_in_words(test: YieldTest) -> str:
    sure = "" if test.beyond is None or test.beyond >= 2 else ", which its error allows for"
    return (
        f"{test.process}, {test.region}: {test.ratio - 1:+.1%} ± {test.error:.1%} "
        f"(tolerance {test.tolerance:.0%}){sure}"
    ).replace("-", "−")


def _distributions(v: Validation) -> Finding:
    made = [test for test in v.distributions if test.corrected is not None]
    bad = [test for test in made if (test.corrected or 0.0) < v.level]
    bad.sort(key=lambda test: test.p_value or 0.0)
    if not made:
        return Finding("distributions", True, "too few events to test any distribution")
    if bad:
        headline = f"{len(bad)} of {len(made)} tests find a difference at {v.level:g}"
    else:
        headline = f"none of {len(made)} tests finds a difference at {v.level:g}"
    details = [_test_in_words(test) for test in bad]
    for group in v.groups:
        shapes = [
            test.detectable for test in made if test.group == group and test.detectable is not None
        ]
        if shapes:
            details.append(
                f"{group}: differences from {min(shapes):.3f} to {max(shapes):.3f} of the "
                "cumulative distribution would have been found with 90% probability"
            )
    return Finding("distributions", not bad, headline, tuple(details))


def _test_in_words(test: DistributionTest) -> str:
    what = "KS distance" if test.kind == "shape" else "defined more often by"
    mean = ""
    if test.mean_difference is not None:
        mean = f", mean off by {test.mean_difference:+.2f} ± {test.mean_error:.2f} deviations"
    return (
        f"{test.group}, {test.column}: {what} {test.difference:.3f}, "
        f"p {in_words(test.p_value or 0.0)} (corrected {in_words(test.corrected or 0.0)}){mean}"
    ).replace("-", "−")


def _responses(v: Validation) -> Finding:
    made = [test for test in v.responses if test.p_value is not None]
    bad = sorted(
        (test for test in made if (test.p_value or 0.0) < v.level),
        key=lambda test: test.p_value or 0.0,
    )
    if not made:
        headline = "too few real events move under tes, jes and soft_met to test a response"
        return Finding("response", True, headline)
    largest = max(made, key=lambda test: abs(test.pull or 0.0))
    headline = (
        f"{len(made) - len(bad)} of {len(made)} responses agree; the largest difference is "
        f"{abs(largest.pull or 0.0):.1f} sigma (p {in_words(largest.p_value or 0.0)} after correction)"
    )
    return Finding("response", not bad, headline, tuple(_response_in_words(t) for t in bad))


def _response_in_words(test: Response) -> str:
    return (
        f"{test.process}, {test.region}, {test.shift}: simulated {test.tested:+.2%} ± "
        f"{test.tested_error:.2%}, real {test.reference:+.2%} ± {test.reference_error:.2%}"
    ).replace("-", "−")


def _correlations(v: Validation) -> Finding:
    made = [test for test in v.correlations if test.p_value is not None]
    # One test for each group: Bonferroni once more.
    bad = [test for test in made if (test.p_value or 0.0) * len(made) < v.level]
    headline = (
        f"{len(made) - len(bad)} of {len(made)} correlation matrices agree"
        if made
        else "too few real events to compare any correlation"
    )
    details = [
        f"{test.group}: the largest difference of {test.pairs} pairs is {abs(test.largest or 0.0):.1f} "
        f"sigma ({test.columns[0]}, {test.columns[1]}; p {in_words(test.p_value or 0.0)} after correction); a "
        f"difference of {test.detectable:.2f} in a typical pair would have been found with 90% "
        "probability"
        for test in made
        if test.columns is not None
    ]
    return Finding("correlations", not bad, headline, tuple(details))


def _classifiers(v: Validation) -> Finding:
    if not v.classifiers:
        return Finding("classifier", True, "too few events to train trees")
    bad = [test for test in v.classifiers if test.corrected < v.level]
    headline = (
        f"trees tell simulated from real events in {len(bad)} of {len(v.classifiers)} groups"
        if bad
        else "trees cannot tell simulated from real events"
    )
    details = [
        f"{test.group}: area {test.auc:.3f} ± {test.error:.3f} (p {in_words(test.corrected)} after "
        f"correction; {test.detectable:.3f} would have been found with 90% probability); most used: "
        + ", ".join(f"{name} {share:.0%}" for name, share in test.columns[:3])
        for test in v.classifiers
    ]
    return Finding("classifier", not bad, headline, tuple(details))
