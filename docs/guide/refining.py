"""A trained likelihood takes up a nuisance parameter and a background that came later.

Run it: python docs/guide/refining.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sigma68.discover import load_task
from sigma68.methods.gollum import Gollum
from sigma68.protocols import Pool
from sigma68.seeds import stream
from sigma68.types import Interval, Labelled, Observation, PoolStatistics, Truth

NEW_EVENTS, NEW_X, NEW_WIDTH = 150.0, -1.5, 0.4


class WithLeakage:
    """A pool with one more process: a narrow bump beside the signal, which nobody had thought of."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.role, self.n_rows = pool, pool.role, pool.n_rows
        self.fingerprint = f"{pool.fingerprint} with leakage"

    def labelled(
        self, nuisances: Mapping[str, float] | None = None, *, max_rows: int | None = None
    ) -> Labelled:
        """The pool's events and those of the new process, moved alike."""
        events = self.pool.labelled(nuisances, max_rows=max_rows)
        n = events.n_events // 2
        bump = leakage(n, self.role)
        bump[0] += 0.05 * (nuisances or {}).get("shift", 0.0)
        first = int(max(events.row)) + 1 if events.row is not None else events.n_events
        rows = np.arange(events.n_events) if events.row is None else events.row
        new = len(events.process_names)
        return replace(
            events,
            values=np.concatenate([events.values, bump], axis=1),
            weights=np.concatenate([events.weights, np.full(n, NEW_EVENTS / n)]),
            labels=np.concatenate([events.labels, np.zeros(n, np.int8)]),
            process=np.concatenate([events.process, np.full(n, new, np.int8)]),
            process_names=(*events.process_names, "leakage"),
            row=np.concatenate([rows, first + np.arange(n)]),
        )

    def statistics(self) -> PoolStatistics | None:
        """Nothing is known of its size."""
        return None


def leakage(n: int, purpose: str) -> np.ndarray:
    """So many events of the new process, (2, n)."""
    draw = stream("example", f"leakage {purpose}", 1).generator().standard_normal((2, n))
    return np.array([[NEW_X], [0.0]]) + NEW_WIDTH * draw


def told(what: str, method: Gollum, seen: Observation) -> Interval:
    """Print and return what the method says of an observation."""
    answer = method.predict(seen)["mu"]
    if not isinstance(answer, Interval):
        raise TypeError("the task asks for an interval")
    print(f"{what:32} mu = {answer.mu_hat:.2f} [{answer.lower:.2f}, {answer.upper:.2f}]")  # noqa: T201
    return answer


def main(**settings: float) -> list[Interval]:
    """Train once, refine twice."""
    task = load_task("gaussian")
    pools = task.open()
    truth = Truth({"mu": 1.0}, {"shift": 1.0})
    seen = task.pseudo_experiment(pools.scoring, truth, stream("example", "toy", 5))

    method = Gollum(task, profiled=["bkg_scale"], **settings)
    method.fit(pools.train, pools.calibration)
    answers = [told("events that never move", method, seen)]

    method.add_nuisance("shift", pools.train, pools.calibration)
    answers.append(told("a shift along x is fitted", method, seen))

    values = np.concatenate([seen.values, leakage(int(NEW_EVENTS), "toy")], axis=1)
    more = Observation(seen.names, values)
    answers.append(told("leakage is there, unknown", method, more))
    method.add_background(
        "leakage", WithLeakage(pools.train), WithLeakage(pools.calibration), ["bkg_scale"]
    )
    answers.append(told("leakage is there, and expected", method, more))
    return answers


if __name__ == "__main__":
    main(units=32, hidden_layers=2, passes=6, response_passes=12, rows=50_000)
