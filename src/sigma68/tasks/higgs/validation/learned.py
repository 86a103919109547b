"""What a validation says of what an emulator has learned: too little, or its examples by heart."""

from __future__ import annotations

from collections.abc import Iterator

from sigma68.tasks.higgs.validation.finding import Finding
from sigma68.tasks.higgs.validation.gap import Gap, Separation
from sigma68.tasks.higgs.validation.hypotheses import in_words
from sigma68.tasks.higgs.validation.neighbours import NEAREST, NeighbourTest
from sigma68.tasks.higgs.validation.result import Validation

__all__ = ["learned_findings"]


def learned_findings(v: Validation) -> Iterator[Finding]:
    """The verdicts on the separation of signal from background, and on neighbours."""
    if "separation" in v.parts:
        yield _separation(v)
    if "neighbours" in v.parts:
        yield _neighbours(v)


def _separation(v: Validation) -> Finding:
    judged = next((own for own in v.separations if own.verdict != "none"), None)
    details = [_in_words(own, v) for own in v.separations]
    if judged is None:
        few = "too few events of signal or background to train trees that separate them"
        return Finding("separation", True, few, tuple(details))
    own, limit = judged.gap, v.judgement.largest_gap or 0.0
    size = f"{own.difference:+.4f} ± {own.error:.4f}".replace("-", "−")
    said = {
        "pass": f"within {limit:g}",
        "miss": f"more than {limit:g}",
        "unsure": f"not judged, its error is larger than {limit:g}",
    }[judged.verdict]
    headline = (
        f"trees trained on {judged.trained_on} events separate signal from background in "
        f"{v.judgement.tested} and {v.judgement.reference} events with areas that differ by {size}, "
        f"{said}"
    )
    return Finding("separation", judged.verdict != "miss", headline, tuple(details))


def _in_words(own: Separation, v: Validation) -> str:
    parts = [f"all backgrounds {_areas(own.gap)}"]
    parts += [f"{process} {_areas(gap)}" for process, gap in own.backgrounds.items()]
    return (
        f"trained on {own.rows_training:,} {own.trained_on} events, areas in {v.judgement.tested} and "
        f"{v.judgement.reference} events: " + "; ".join(parts)
    )


def _areas(gap: Gap) -> str:
    return (
        f"{gap.tested:.4f} ± {gap.tested_error:.4f} and {gap.reference:.4f} ± "
        f"{gap.reference_error:.4f}"
    )


def _neighbours(v: Validation) -> Finding:
    if not v.neighbours:
        return Finding("neighbours", True, "too few events to look for neighbours")
    bad = [test for test in v.neighbours if test.verdict == "miss"]
    kind, other = v.judgement.tested, v.judgement.reference
    if bad:
        headline = (
            f"{kind} events lie nearer to training events than others do in {len(bad)} of "
            f"{len(v.neighbours)} processes: the emulator repeats what it was trained on"
        )
    else:
        headline = (
            f"{kind} events lie no nearer to training events than {other} events of other hard "
            "collisions do"
        )
    order = sorted(v.neighbours, key=lambda test: -test.share)
    return Finding("neighbours", not bad, headline, tuple(_neighbours_in_words(t) for t in order))


def _neighbours_in_words(test: NeighbourTest) -> str:
    return (
        f"{test.process}: {test.share:.2%} ± {test.error:.2%} of {test.rows_tested:,} events are nearer "
        f"to one of {test.rows_training:,} training events than {NEAREST:.0%} of the held-out ones "
        f"(p {in_words(test.corrected)} after correction); repeated ones: {test.copies_tested:,} "
        f"(held out: {test.copies_reference:,} of {test.rows_reference:,})"
    )
