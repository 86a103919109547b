"""What a validation says in words: per part whether it passes, and what misses by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scipy import special

from sigma68.tasks.higgs.validation.distributions import DistributionTest
from sigma68.tasks.higgs.validation.finding import Finding
from sigma68.tasks.higgs.validation.hypotheses import in_words
from sigma68.tasks.higgs.validation.learned import learned_findings
from sigma68.tasks.higgs.validation.response import Response
from sigma68.tasks.higgs.validation.result import Validation
from sigma68.tasks.higgs.validation.roc import ClassifierTest
from sigma68.tasks.higgs.validation.yields import INCLUSIVE, YieldTest

__all__ = ["Finding", "findings", "passes"]


def findings(validation: Validation) -> tuple[Finding, ...]:
    """The verdict on each part that was made, in their order."""
    return tuple(_each(validation))


def passes(validation: Validation) -> bool:
    """Whether every part that was made passes."""
    return all(finding.passed for finding in findings(validation))


def _each(v: Validation) -> Iterator[Finding]:
    yield _form(v)
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
    yield from learned_findings(v)


def _form(v: Validation) -> Finding:
    details = [
        f"{name}: {form.impossible:,} rows have a momentum or an angle that no collision has"
        + (f" (the first in {form.impossible_column})" if form.impossible_column else "")
        + f", {form.unrounded:,} primary values are not multiples of 0.001, "
        f"{form.misplaced:,} rows have undefined jets that do not fit their number of jets, "
        f"{form.derived_off:,} rows have derived columns that do not follow from the primary ones"
        + (f" (most often {form.worst_column})" if form.worst_column else "")
        for name, form in (
            (v.judgement.tested, v.tested.form),
            (v.judgement.reference, v.reference.form),
        )
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
    unknown = sum(test.verdict == "unsure" for test in v.yields)
    if unknown:
        details.append(
            f"{unknown} more are not judged: their error is larger than {v.judgement.largest_error:.0%}"
        )
    details += _another_luminosity(v.yields)
    details += _taken_together(v.yields)
    return Finding("yields", not missed, headline, tuple(details))


def _another_luminosity(tests: Sequence[YieldTest]) -> list[str]:
    """A hint where all inclusive yields are off by the same factor, as those of a part are."""
    own = [t.ratio for t in tests if t.region == INCLUSIVE and t.verdict != "none"]
    if len(own) < 2 or min(own) <= 0:
        return []
    middle = sorted(own)[len(own) // 2]
    if abs(middle - 1) < 0.2 or max(own) > 1.1 * middle or min(own) < 0.9 * middle:
        return []
    return [
        f"all processes are off by about the same factor, {middle:.2f}: if what is expected are "
        "events of a part of a simulation, give the whole of it with --yields"
    ]


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
            test.detectable
            for test in made
            if (test.group, test.kind) == (group, "shape") and test.detectable is not None
        ]
        if shapes:
            details.append(
                f"{group}: differences from {min(shapes):.3f} to {max(shapes):.3f} of the "
                "cumulative distribution would have been found with 90% probability"
            )
    return Finding("distributions", not bad, headline, tuple(details))


def _test_in_words(test: DistributionTest) -> str:
    what = {
        "shape": "KS distance",
        "defined": "defined more often by",
        "edge": "beyond all of the reference, a share of",
    }[test.kind]
    mean = ""
    if test.mean_difference is not None:
        mean = f", mean off by {test.mean_difference:+.2f} ± {test.mean_error:.2f} deviations"
    size = f"{test.difference:.2g}" if test.kind == "edge" else f"{test.difference:.3f}"
    return (
        f"{test.group}, {test.column}: {what} {size}, "
        f"p {in_words(test.p_value or 0.0)} (corrected {in_words(test.corrected or 0.0)}){mean}"
    ).replace("-", "−")


def _responses(v: Validation) -> Finding:
    judged = [test for test in v.responses if test.verdict in ("pass", "miss")]
    bad = [test for test in judged if test.verdict == "miss"]
    tolerance = v.judgement.response_tolerance
    if tolerance is None:
        bad.sort(key=lambda test: test.p_value or 0.0)
    else:
        bad.sort(key=lambda test: -abs(test.difference or 0.0))
    details = [_response_in_words(test, v) for test in bad]
    if not judged:
        few = f"too few {v.judgement.reference} events move under tes, jes and soft_met"
        return Finding("response", True, f"{few} to test a response", tuple(_unknown(v)))
    within = f"{len(judged) - len(bad)} of {len(judged)} responses"
    if tolerance is None:
        largest = max(judged, key=lambda test: abs(test.pull or 0.0))
        headline = (
            f"{within} agree; the largest difference is {abs(largest.pull or 0.0):.1f} sigma (p "
            f"{in_words(largest.p_value or 0.0)} after correction)"
        )
    else:
        largest = max(judged, key=lambda test: abs(test.difference or 0.0))
        headline = (
            f"{within} are within {tolerance:.1%} of those of {v.expected}; the largest difference "
            f"is {abs(largest.difference or 0.0):.2%} ± {largest.error:.2%}"
        )
    return Finding("response", not bad, headline, (*details, *_unknown(v)))


def _unknown(v: Validation) -> list[str]:
    """How many responses are not judged because of their errors."""
    unknown = sum(test.verdict == "unsure" for test in v.responses)
    if not unknown:
        return []
    largest = v.judgement.largest_response_error
    return [f"{unknown} more are not judged: their error is larger than {largest:.1%}"]


def _response_in_words(test: Response, v: Validation) -> str:
    return (
        f"{test.process}, {test.region}, {test.shift}: {v.judgement.tested} {test.tested:+.2%} ± "
        f"{test.tested_error:.2%}, {v.judgement.reference} {test.reference:+.2%} ± "
        f"{test.reference_error:.2%}{_sure(test, v.judgement.response_tolerance)}"
    ).replace("-", "−")


def _sure(test: Response, tolerance: float | None) -> str:
    if tolerance is None or abs(test.difference or 0.0) - tolerance >= 2 * test.error:
        return ""
    return ", which its error allows for"


def _correlations(v: Validation) -> Finding:
    made = [test for test in v.correlations if test.p_value is not None]
    # One test for each group: Bonferroni once more.
    bad = [test for test in made if (test.p_value or 0.0) * len(made) < v.level]
    headline = (
        f"{len(made) - len(bad)} of {len(made)} correlation matrices agree"
        if made
        else f"too few {v.judgement.reference} events to compare any correlation"
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
    bad = [test for test in v.classifiers if test.verdict == "miss"]
    pair = f"{v.judgement.tested} from {v.judgement.reference} events"
    limit = v.judgement.largest_area
    if limit is None:
        headline = (
            f"trees tell {pair} in {len(bad)} of {len(v.classifiers)} groups"
            if bad
            else f"trees cannot tell {pair}"
        )
    else:
        judged = [test for test in v.classifiers if test.verdict != "unsure"]
        largest = max(v.classifiers, key=lambda test: test.auc)
        headline = (
            f"trees tell {pair} with an area of at most {limit:g} in {len(judged) - len(bad)} of "
            f"{len(judged)} groups; the largest is {largest.auc:.3f} ± {largest.error:.3f} "
            f"({largest.group})"
        )
    details = [_classifier_in_words(test) for test in v.classifiers]
    details += _controls_in_words(v)
    return Finding("classifier", not bad, headline, tuple(details))


def _classifier_in_words(test: ClassifierTest) -> str:
    unsure = ", too few events to judge" if test.verdict == "unsure" else ""
    return (
        f"{test.group}: area {test.auc:.3f} ± {test.error:.3f} (p {in_words(test.corrected)} after "
        f"correction; {test.detectable:.3f} would have been found with 90% probability){unsure}; most "
        "used: " + ", ".join(f"{name} {share:.0%}" for name, share in test.columns[:3])
    )


def _controls_in_words(v: Validation) -> list[str]:
    if not v.controls:
        return []
    areas = ", ".join(f"{t.group} {t.auc:.3f} ± {t.error:.3f}" for t in v.controls)
    kind = v.judgement.reference
    said = [f"control, the same trees on training events and the others, both {kind}: area {areas}"]
    off = [test.group for test in v.controls if test.corrected < v.level]
    if off:
        said.append(
            f"the control itself finds a difference in {', '.join(off)}: training and held-out "
            "events are not alike, and the areas above are to be read with that in mind"
        )
    return said
