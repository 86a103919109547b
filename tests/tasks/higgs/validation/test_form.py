"""What is wrong with how events are written is counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
from benchmarks.events import made_events

from sigma68.tasks.higgs.schema import FEATURES, JET1_ETA, LEP_PT, MASS_VIS, MET, N_JETS, UNDEFINED
from sigma68.tasks.higgs.validation.form import Form, FormCollector
from tests.tasks.higgs.validation.made_files import batch


def values() -> np.ndarray:
    return made_events(3000, seed=5)[list(FEATURES)].to_numpy(np.float32).T.copy()


def form(columns: np.ndarray) -> Form:
    collector = FormCollector()
    collector.add(batch(columns[:, :1000]))
    collector.add(batch(columns[:, 1000:]))
    return collector.form()


def test_made_events_are_as_they_should_be() -> None:
    assert form(values()) == Form(3000, 0, None, 0, 0, 0, None)
    assert form(values()).is_good


def test_the_real_events_are_as_they_should_be(real_events: pd.DataFrame) -> None:
    found = form(real_events[list(FEATURES)].to_numpy(np.float32).T)
    assert found == Form(1000, 0, None, 0, 0, 0, None)


def test_momenta_beyond_those_of_a_beam_are_counted() -> None:
    columns = values()
    columns[MET, [40, 41]] = 3e5
    columns[JET1_ETA, np.flatnonzero(columns[N_JETS] > 0)[900]] = 5.5
    columns[LEP_PT, 40] = 7000
    found = form(columns)
    assert (found.impossible, found.impossible_column) == (3, "PRI_lep_pt")
    assert not found.is_good


def test_values_between_the_steps_are_counted() -> None:
    columns = values()
    columns[LEP_PT, 10:13] += np.float32(0.0004)
    found = form(columns)
    assert found.unrounded == 3
    assert not found.is_good


def test_jets_that_do_not_fit_are_counted() -> None:
    columns = values()
    none = np.flatnonzero(columns[N_JETS] == 0)[:4]
    columns[JET1_ETA, none] = 1.5
    one = np.flatnonzero(columns[N_JETS] == 1)[:2]
    columns[JET1_ETA, one] = UNDEFINED
    assert form(columns).misplaced == 6


def test_derived_columns_that_do_not_follow_are_counted() -> None:
    columns = values()
    columns[MASS_VIS, 100:107] *= np.float32(1.01)
    found = form(columns)
    assert (found.derived_off, found.worst_column) == (7, "DER_mass_vis")
