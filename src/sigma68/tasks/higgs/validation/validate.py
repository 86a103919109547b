"""A file of events against a table of yields and the events of another: everything, put together."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from sigma68.errors import DataError, MissingExtraError, SettingsError
from sigma68.protocols import Progress
from sigma68.tasks.higgs.dataset import EventFile, open_parquet
from sigma68.tasks.higgs.schema import PROCESSES
from sigma68.tasks.higgs.validation import comparisons
from sigma68.tasks.higgs.validation.comparisons import LARGE, POOLED
from sigma68.tasks.higgs.validation.histograms import column_histograms
from sigma68.tasks.higgs.validation.hypotheses import LEVEL
from sigma68.tasks.higgs.validation.judgement import Judgement, judgement_for
from sigma68.tasks.higgs.validation.part import parts_of
from sigma68.tasks.higgs.validation.reading import (
    SAMPLE_ROWS,
    Files,
    Sources,
    open_tested,
    read_files,
)
from sigma68.tasks.higgs.validation.result import Validation
from sigma68.tasks.higgs.validation.tables import YieldTable, published, table_of
from sigma68.tasks.higgs.validation.yields import compare_yields, event_numbers

__all__ = ["LARGE", "LEVEL", "POOLED", "validate"]

_NEED_TREES: Final = ("classifier", "separation")
_NEEDS_TRAINING: Final = "neighbours"


def validate(
    tested: Path,
    reference: Path,
    table: YieldTable | None = None,
    *,
    judgement: Judgement | None = None,
    training: Path | None = None,
    whole: Path | None = None,
    split_seed: int | None = None,
    parts: Sequence[str] | None = None,
    seed: int = 0,
    sample_rows: int = SAMPLE_ROWS,
    progress: Progress | None = None,
) -> Validation:
    """Compare a file of events with a table of yields and with the events of another file.

    Processes that only one of the files has are left out where the two are compared. Memory is
    some 20 bytes a row of each file and `sample_rows` rows of each process, three times as many
    where an emulator is judged.

    Parameters
    ----------
    tested, reference
        Simulated and real events, or emulated and simulated ones.
    table
        Expected yields: for a simulation the published ones if left out, for an emulator those of
        `whole`.
    judgement
        What is compared and what passes; found from the history of `tested` if left out.
    training
        Simulated events that the emulator was trained on.
    whole
        Events whose yields and responses are expected, such as the whole simulation of which
        `reference` is a part; `reference` itself if left out.
    split_seed
        Says that `reference` is the whole simulation, of which the emulator was trained on the roles
        of this split but for "final": that one is compared with, the rest is `training`, and the file
        is `whole`.
    parts
        What to compare, of the parts of the judgement; all if left out, but for what needs
        `training` where there is none.
    seed, sample_rows
        Of the samples, and how many rows of each process they hold at most.
    progress
        Told what is done, and which fraction of all.

    Raises
    ------
    DataError
        If a file is not what the task needs, the files have no process in common, or training
        and reference share a hard event.
    SettingsError
        If a part is unknown, needs training events and there are none, or training events are given
        though no emulator is judged.
    MissingExtraError
        If trees are wanted and xgboost is not installed.
    """
    file = open_tested(tested)
    judgement = judgement or judgement_for(file.path)
    parts = _parts(judgement, parts, training is not None or split_seed is not None)
    report = progress or (lambda what, fraction: None)
    sources = _sources(file, reference, training, whole, split_seed)
    files = read_files(sources, judgement, seed, sample_rows, lambda w, f: report(w, 0.6 * f))
    if not files.common:
        raise DataError(
            f"{tested} and {reference} have no process in common: there is nothing to compare"
        )
    groups = comparisons.groups(files, judgement)
    chosen = table or _own_table(files, judgement, sources.whole is not None)
    t, r = files.tested, files.reference

    def made(part: str, what: str, fraction: float) -> bool:
        report(what, fraction)
        return part in parts

    return Validation(
        judgement=judgement,
        tested=comparisons.summary(t),
        reference=comparisons.summary(r),
        training=comparisons.training_summary(files),
        table=chosen,
        expected=files.whole.ledger.file.path.name,
        level=LEVEL,
        seed=seed,
        sample_rows=sample_rows,
        parts=tuple(part for part in judgement.parts if part in parts),
        groups={name: tuple(PROCESSES[p] for p in own) for name, own in groups.items()},
        yields=tuple(compare_yields(chosen, t.sums, r.sums, judgement))
        if "yields" in parts
        else (),
        numbers=tuple(event_numbers(*t.sums)),
        reference_numbers=tuple(event_numbers(*r.sums)),
        distributions=comparisons.distributions(files, groups, judgement)
        if made("distributions", "distributions", 0.6)
        else (),
        histograms=column_histograms(
            t.histograms, r.histograms, files.binnings, files.clustering, files.common
        )
        if "distributions" in parts
        else (),
        responses=comparisons.responses(files, judgement)
        if made("response", "responses", 0.65)
        else (),
        correlations=tuple(comparisons.correlations(files, groups, seed))
        if made("correlations", "correlations", 0.7)
        else (),
        classifiers=comparisons.classifiers(files, groups, judgement, seed)
        if made("classifier", "training trees", 0.75)
        else (),
        controls=comparisons.controls(files, groups, judgement, seed)
        if made("classifier", "training trees of the control", 0.82)
        else (),
        separations=comparisons.separations(files, judgement, seed, sample_rows)
        if made("separation", "separating signal from background", 0.88)
        else (),
        neighbours=comparisons.neighbours_of(files, seed)
        if made("neighbours", "looking for neighbours", 0.95)
        else (),
    )


def _sources(
    tested: EventFile,
    reference: Path,
    training: Path | None,
    whole: Path | None,
    split_seed: int | None,
) -> Sources:
    if split_seed is None:
        return Sources(
            tested,
            open_parquet(reference),
            None if training is None else open_parquet(training),
            None if whole is None else open_parquet(whole),
        )
    if training is not None or whole is not None:
        raise SettingsError(
            f"with --split-seed, {reference} holds the training events and the whole simulation as "
            "well: leave out --training and events in --yields"
        )
    file = open_parquet(reference)
    held_out, trained_on = parts_of(file, split_seed)
    return Sources(tested, held_out, trained_on, file)


def _parts(
    judgement: Judgement, parts: Sequence[str] | None, has_training: bool
) -> tuple[str, ...]:
    """The parts to be made."""
    if has_training and judgement.largest_gap is None:
        raise SettingsError(
            "training events belong to an emulator, and this file is judged as a simulation: leave "
            "out --training and --split-seed, or say --for emulator"
        )
    if parts is None:
        parts = [p for p in judgement.parts if p != _NEEDS_TRAINING or has_training]
    unknown = [part for part in parts if part not in judgement.parts]
    if unknown or not parts:
        raise SettingsError(
            f"there is no part {', '.join(map(repr, unknown)) or 'named'} of a validation of "
            f"{_ARTICLES[judgement.name]}: choose among {', '.join(judgement.parts)}"
        )
    if _NEEDS_TRAINING in parts and not has_training:
        raise SettingsError(
            f"the part {_NEEDS_TRAINING} looks for repeated training events, and there are none: "
            "give them with --training, or say with --split-seed how --against was shared out"
        )
    missing = [part for part in parts if part in _NEED_TREES]
    if missing and find_spec("xgboost") is None:
        rest = ",".join(part for part in judgement.parts if part not in _NEED_TREES)
        raise MissingExtraError(
            f"the {missing[0]} needs xgboost, which is not installed: pip install "
            f"'sigma68[trees]', or leave it out with --parts {rest}"
        )
    return tuple(parts)


_ARTICLES: Final = {"simulation": "a simulation", "emulator": "an emulator"}


def _own_table(files: Files, judgement: Judgement, has_whole: bool) -> YieldTable:
    if judgement.name == "simulation" and not has_whole:
        return published()
    return table_of(f"events of {files.whole.ledger.file.path.name}", files.whole.sums)
