"""Pseudo-experiments: the right numbers, the right rows, the same whatever the threads."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from sigma68.seeds import stream
from sigma68.tasks.higgs import schema, toys
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.derived import CHUNK
from sigma68.tasks.higgs.layout import EventLayout

ON = np.ones(4)
NONE = (1.0, 1.0, 0.0)


def key(toy: int) -> npt.NDArray[np.uint32]:
    return stream("higgs", "pseudo-experiment", 1, 0, toy).key32


def alias_tables(
    weights: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Vose's tables for one process, slowly."""
    n = weights.size
    share = weights * n / weights.sum()
    threshold, alias = np.full(n, 2**32 - 1, np.uint32), np.arange(n, dtype=np.uint32)
    small = [i for i in range(n) if share[i] < 1]
    large = [i for i in range(n) if share[i] >= 1]
    while small and large:
        s, g = small.pop(), large.pop()
        threshold[s], alias[s] = min(int(share[s] * 2**32), 2**32 - 1), g
        share[g] -= 1 - share[s]
        (small if share[g] < 1 else large).append(g)
    return threshold, alias


def layout(values: npt.NDArray[np.float32], weights: list[npt.NDArray[np.float64]]) -> EventLayout:
    """Rows of `values` shared out to processes as many as each has weights."""
    sizes = [w.size for w in weights]
    tables = [alias_tables(w) for w in weights]
    n = sum(sizes)
    return EventLayout(
        rows=np.ascontiguousarray(values.T[:n]),
        starts=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        sumw=np.array([w.sum() for w in weights]),
        weights=np.concatenate(weights),
        threshold=np.concatenate([t for t, _ in tables]),
        alias=np.concatenate([a for _, a in tables]),
        uniform=np.array([np.ptp(w) == 0 for w in weights]),
    )


@pytest.fixture(scope="module")
def pool(stand_in: npt.NDArray[np.float32]) -> EventLayout:
    random = np.random.default_rng(5)
    return layout(
        stand_in,
        [
            random.gamma(0.5, 0.2, 300),
            np.full(2_000, 5.0),
            random.uniform(0, 2, 500),
            np.array([0.0, 30.0, 10.0]),
        ],
    )


def test_same_key_same_toy_other_key_other_toy(pool: EventLayout) -> None:
    first = toys.draw(pool, ON, 1.01, 0.99, 1.0, key(0))
    np.testing.assert_array_equal(first, toys.draw(pool, ON, 1.01, 0.99, 1.0, key(0)))
    assert not np.array_equal(first[:, :50], toys.draw(pool, ON, 1.01, 0.99, 1.0, key(1))[:, :50])


def test_thread_count_changes_nothing(pool: EventLayout) -> None:
    scales = np.array([20.0, 5.0, 1.0, 1.0])
    expected = toys.draw(pool, scales, 1.01, 0.99, 1.0, key(0))
    assert expected.shape[1] > 3 * CHUNK
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        np.testing.assert_array_equal(expected, toys.draw(pool, scales, 1.01, 0.99, 1.0, key(0)))
    finally:
        numba.set_num_threads(threads)


def test_memory_is_used_again_once_nobody_holds_it(pool: EventLayout) -> None:
    workspace = toys.Workspace()

    def drawn(toy: int) -> npt.NDArray[np.float32]:
        return toys.draw(pool, ON, 1.01, 0.99, 1.0, key(toy), workspace)

    expected = [toys.draw(pool, ON, 1.01, 0.99, 1.0, key(toy)) for toy in range(3)]
    first = drawn(0)
    one_event_of_it = first[:, 5]
    second = drawn(1)
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, expected[0])
    del first
    third = drawn(2)
    assert not np.shares_memory(third, second)
    np.testing.assert_array_equal(one_event_of_it, expected[0][:, 5])
    np.testing.assert_array_equal(second, expected[1])
    where = third.ctypes.data
    del third
    again = drawn(0)
    assert again.ctypes.data == where
    np.testing.assert_array_equal(again, expected[0])


def test_events_are_the_drawn_rows_biased_and_cut(pool: EventLayout) -> None:
    rows = toys.draw_rows(pool, ON, key(4))
    drawn = np.ascontiguousarray(pool.rows[rows].T)
    expected, _ = bias_columns(drawn, 1.02, 0.97)
    np.testing.assert_array_equal(toys.draw(pool, ON, 1.02, 0.97, 0.0, key(4)), expected)


def test_numbers_are_poisson_in_each_process(pool: EventLayout) -> None:
    scales = np.array([2.0, 0.01, 0.3, 1.5])
    numbers = np.array(
        [
            np.histogram(toys.draw_rows(pool, scales, key(toy)), bins=pool.starts)[0]
            for toy in range(4_000)
        ]
    )
    mean = scales * pool.sumw
    assert np.all(np.abs(numbers.mean(0) - mean) < 4 * np.sqrt(mean / 4_000))
    variance_error = np.sqrt((2 + 1 / mean) / 4_000)
    assert np.all(np.abs(numbers.var(0) / mean - 1) < 4 * variance_error)
    correlations = np.corrcoef(numbers.T)[np.triu_indices(4, 1)]
    assert np.all(np.abs(correlations) < 4 / np.sqrt(4_000))


def test_rows_are_drawn_by_weight(pool: EventLayout) -> None:
    rows = np.concatenate([toys.draw_rows(pool, ON, key(toy)) for toy in range(100)])
    seen = np.bincount(rows, minlength=pool.n_rows)
    expected = 100 * pool.weights
    assert seen[expected == 0].sum() == 0
    enough = expected > 8
    chi2 = ((seen - expected)[enough] ** 2 / expected[enough]).sum()
    assert stats.chi2(enough.sum()).sf(chi2) > 1e-3
    rare = (expected > 0) & ~enough
    assert abs(seen[rare].sum() - expected[rare].sum()) < 4 * np.sqrt(expected[rare].sum())


def test_events_come_shuffled(pool: EventLayout) -> None:
    rows = toys.draw_rows(pool, ON, key(9))
    signal_like = rows >= pool.starts[2]
    halves = np.array_split(signal_like, 2)
    expected = signal_like.mean()
    error = np.sqrt(expected * (1 - expected) * 4 / signal_like.size)
    assert abs(halves[0].mean() - halves[1].mean()) < 4 * error
    assert abs(np.corrcoef(rows[1:], rows[:-1])[0, 1]) < 4 / np.sqrt(rows.size)


def test_noise_differs_between_copies_of_one_row(stand_in: npt.NDArray[np.float32]) -> None:
    one_row = layout(stand_in[:, :4], [np.array([300.0])] * 4)
    events = toys.draw(one_row, ON, 1.0, 1.0, 2.0, key(0))
    assert np.unique(events[schema.MET]).size > 0.9 * events.shape[1]


def test_impossible_rates_are_refused(pool: EventLayout) -> None:
    with pytest.raises(ValueError, match="not negative"):
        toys.draw(pool, np.array([1.0, -1.0, 1.0, 1.0]), *NONE, key(0))
    assert toys.draw(pool, np.zeros(4), *NONE, key(0)).shape == (28, 0)
