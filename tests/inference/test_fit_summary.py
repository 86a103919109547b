"""The document of a fit holds what each diagnostic says."""

from __future__ import annotations

import json
from dataclasses import replace

from sigma68.inference.diagnostics import profile_scan
from sigma68.inference.fit_summary import summarise_fit
from sigma68.seeds import stream
from tests.inference import binned_toy as toy

MODEL = toy.likelihood()
COUNTS = toy.drawn(MODEL, 1.2, {"shift": 1.008}, 11)


def test_the_parts_are_those_of_the_fit() -> None:
    summary = summarise_fit(MODEL, COUNTS, level=0.9, stream=stream("t", "g", 0), n_toys=50)
    found, lower, upper = MODEL.interval(COUNTS, 0.9)
    assert (summary.lower, summary.upper, summary.level) == (lower, upper, 0.9)
    assert [scan.name for scan in summary.scans] == list(MODEL.names)
    document = json.loads(json.dumps(summary.to_json(), allow_nan=False))
    assert document["fit"]["best"] == found.best.tolist()
    assert document["scans"][0]["profiled"] == profile_scan(MODEL, COUNTS, "mu").profiled.tolist()
    assert len(document["toys"]["values"]) == 50


def test_without_toys_there_is_none() -> None:
    assert summarise_fit(MODEL, COUNTS).toys is None


def test_what_is_infinite_is_null() -> None:
    model = toy.likelihood(0.05)
    n = toy.drawn(model, 1.0, {}, 1)
    summary = summarise_fit(model, n)
    broken = replace(summary, scans=(profile_scan(model, n, "mu", [-60.0, 1.0]),))
    document = json.loads(json.dumps(broken.to_json(), allow_nan=False))
    assert document["scans"][0]["profiled"][0] is None
