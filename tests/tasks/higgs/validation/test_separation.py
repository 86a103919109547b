"""Trees that separate signal from background, trained on one file and used on another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sigma68.seeds import stream
from sigma68.tasks.higgs.schema import SIGNAL
from sigma68.tasks.higgs.validation.gap import Separation
from sigma68.tasks.higgs.validation.judgement import EMULATOR
from sigma68.tasks.higgs.validation.sample import Sample
from tests.tasks.higgs.validation.made_files import sample, scaled, shared_out

pytest.importorskip("xgboost")
from sigma68.tasks.higgs.validation.separation import (
    compare_separation,
    halves,
    in_proportion,
)

STREAM = stream("higgs", "test", 13)
JUDGEMENT = replace(EMULATOR, largest_gap=0.02)
"""With so few events, the error of an area is larger than what an emulator is allowed."""


@pytest.fixture(scope="module")
def samples() -> dict[str, Sample]:
    frames = shared_out(40_000, 9)
    emulated = frames["emulated"]
    signal = emulated["detailed_labels"] == "htautau"
    # The emulator of the signal gives too much MET.
    emulated = emulated.copy()
    emulated.loc[signal] = scaled(emulated[signal], "PRI_met", 1.6)
    frames["spoiled"] = emulated
    return {name: sample(frame) for name, frame in frames.items()}


def compared(samples: dict[str, Sample], name: str) -> tuple[Separation, ...]:
    return compare_separation(
        samples[name], samples["held out"], samples["training"], JUDGEMENT, STREAM
    )


def test_the_same_physics_is_separated_alike(samples: dict[str, Sample]) -> None:
    found = compared(samples, "emulated")
    assert [own.trained_on for own in found] == ["emulated", "simulated"]
    assert found[0].verdict == "pass"
    assert found[1].verdict == "none"
    for own in found:
        assert 0.75 < own.gap.reference < 0.99
        assert abs(own.gap.difference) < 3.5 * own.gap.error
        assert {"ztautau", "ttbar"} <= set(own.backgrounds) <= {"ztautau", "ttbar", "diboson"}
    # Halves of what is tested, all of what is held out.
    assert found[0].rows_training + found[0].rows_tested == samples["emulated"].n_events
    assert found[1].rows_tested == samples["emulated"].n_events
    assert found[0].rows_reference == samples["held out"].n_events


def test_an_artefact_of_one_process_is_found(samples: dict[str, Sample]) -> None:
    first, second = compared(samples, "spoiled")
    assert first.verdict == "miss"
    assert first.gap.difference > 5 * first.gap.error
    # What is learned from the simulation is less fooled, and fits the simulation better.
    assert second.gap.reference > first.gap.reference


def test_a_difference_that_is_not_known_well_is_not_judged(samples: dict[str, Sample]) -> None:
    strict = replace(EMULATOR, largest_gap=1e-6)
    found = compare_separation(samples["emulated"], samples["held out"], None, strict, STREAM)
    assert found[0].verdict == "unsure"
    # Without training events, half of what is held out is trained on.
    assert found[1].rows_training + found[1].rows_reference == samples["held out"].n_events


def test_too_few_signal_events_train_nothing(samples: dict[str, Sample]) -> None:
    own = samples["held out"]
    kept = (own.process != SIGNAL) | (np.cumsum(own.process == SIGNAL) < 100)
    few = own.chosen(kept)
    assert compare_separation(samples["emulated"], few, None, JUDGEMENT, STREAM) == ()


def test_proportions_and_halves(samples: dict[str, Sample]) -> None:
    own = samples["held out"]
    sums = np.array([1.0, 2.0, 3.0, 4.0])
    weighted = in_proportion(own, sums)
    np.testing.assert_allclose(np.bincount(weighted.process, weighted.weights), sums)
    twice = replace(own, unit=own.unit // 2)
    first, second = halves(twice, STREAM)
    assert first.n_events + second.n_events == own.n_events
    assert abs(first.n_events - second.n_events) < 0.05 * own.n_events
    assert not set(first.unit) & set(second.unit)
