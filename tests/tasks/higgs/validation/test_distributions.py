"""P-values of distribution tests under the null hypothesis, and differences that must be found.

Each batch has 28 columns, which are 28 toys at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.tasks.higgs.dataset import EventBatch
from sigma68.tasks.higgs.schema import FEATURES, UNDEFINED
from sigma68.tasks.higgs.validation.cumulative import Cumulative, choose_grids
from sigma68.tasks.higgs.validation.distributions import DistributionTest, compare_distributions
from sigma68.tasks.higgs.validation.ledger import cell_sums
from sigma68.tasks.higgs.validation.sample import Sample
from tests.tasks.higgs.validation.made_files import batch

Floats = npt.NDArray[np.float64]
N_COLUMNS = len(FEATURES)
ROUNDS = 14


def compare(
    tested: EventBatch, reference: EventBatch, unit: npt.NDArray[np.int64] | None = None
) -> list[DistributionTest]:
    """The tests of two batches; `unit` numbers the hard events of the simulated one."""
    grids = choose_grids(
        Sample(
            reference.values, reference.weights, reference.process, np.arange(reference.n_events)
        )
    )
    sides = []
    for own, numbers in ((tested, unit), (reference, None)):
        cumulative = Cumulative(grids)
        half = own.n_events // 2
        for part in (slice(0, half), slice(half, None)):
            cumulative.add(batch(own.values[:, part], own.weights[part], own.process[part]))
        sums = cell_sums(own.weights, own.process, numbers, 4)
        sides.append((cumulative, np.repeat(sums.clustering[None], N_COLUMNS, axis=0)))
    (s, s_clustering), (r, r_clustering) = sides
    return compare_distributions(s, r, {"htautau": (0,)}, (s_clustering, r_clustering), 0.01)


def normal(rng: np.random.Generator, n: int) -> tuple[Floats, Floats, None]:
    return rng.normal(size=(N_COLUMNS, n)), np.ones(n), None


def weighted(rng: np.random.Generator, n: int) -> tuple[Floats, Floats, None]:
    return rng.normal(size=(N_COLUMNS, n)), rng.lognormal(0, 0.7, n), None


def enriched(rng: np.random.Generator, n: int) -> tuple[Floats, Floats, None]:
    """The upper tail of every column is there ten times as often, at a tenth of the weight."""
    high = rng.random(n) < 0.5
    # 10% of the mass, half of the rows.
    tail = 1.2815515655 + np.abs(rng.exponential(0.5, (N_COLUMNS, n)))
    body = 1.2815515655 - np.abs(rng.exponential(1.0, (N_COLUMNS, n)))
    return np.where(high, tail, body), np.where(high, 0.2, 1.8), None


def plain_tail(rng: np.random.Generator, n: int) -> tuple[Floats, Floats, None]:
    """The population of `enriched`, without the enrichment."""
    high = rng.random(n) < 0.1
    tail = 1.2815515655 + np.abs(rng.exponential(0.5, (N_COLUMNS, n)))
    body = 1.2815515655 - np.abs(rng.exponential(1.0, (N_COLUMNS, n)))
    return np.where(high, tail, body), np.ones(n), None


def decays(rng: np.random.Generator, n: int) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Three rows of every hard event, all alike."""
    values = rng.normal(size=(N_COLUMNS, n // 3 + 1))
    return np.repeat(values, 3, axis=1)[:, :n], np.ones(n), np.arange(n) // 3


def counts(rng: np.random.Generator, n: int) -> tuple[Floats, Floats, None]:
    return rng.poisson(0.9, (N_COLUMNS, n)).astype(float), np.ones(n), None


def sometimes(rng: np.random.Generator, n: int) -> tuple[Floats, Floats, None]:
    values = rng.normal(size=(N_COLUMNS, n))
    values[rng.random((N_COLUMNS, n)) < 0.55] = UNDEFINED
    return values, rng.lognormal(0, 0.3, n), None


Maker = Callable[[np.random.Generator, int], tuple[Floats, Floats, npt.NDArray[np.int64] | None]]


@pytest.mark.parametrize(
    ("tested", "reference", "exact"),
    [
        (normal, normal, True),
        (weighted, normal, True),
        (weighted, weighted, True),
        (enriched, plain_tail, False),
        (decays, normal, False),
        (counts, counts, False),
        (sometimes, sometimes, True),
    ],
)
def test_p_values_promise_no_more_than_they_keep(
    tested: Maker, reference: Maker, exact: bool
) -> None:
    rng = np.random.default_rng(11)
    found: dict[str, list[float]] = {"shape": [], "defined": []}
    for _ in range(ROUNDS):
        values, weights, unit = tested(rng, 1500)
        reference_values, reference_weights, _ = reference(rng, 600)
        for test in compare(
            batch(values, weights), batch(reference_values, reference_weights), unit
        ):
            if test.p_value is not None:
                found[test.kind].append(test.p_value)
    assert len(found["shape"]) == ROUNDS * N_COLUMNS
    assert bool(found["defined"]) == (tested is sometimes)
    for kind, p_values in found.items():
        if not p_values:
            continue
        p, n = np.array(p_values), len(p_values)
        for level in (0.01, 0.05, 0.2):
            limit = level + 3.3 * np.sqrt(level * (1 - level) / n)
            assert (p < level).mean() <= limit, (kind, level)
        if exact:
            assert abs((p < 0.5).mean() - 0.5) < 0.15, kind
            assert (p < 0.2).mean() > 0.08, kind


def test_hard_events_that_are_counted_row_by_row_would_be_too_sure() -> None:
    """The toys above can fail: without the numbers of the hard events they do."""
    rng = np.random.default_rng(12)
    p = [
        test.p_value
        for _ in range(8)
        for test in compare(batch(decays(rng, 900)[0]), batch(normal(rng, 2000)[0]))
    ]
    assert np.mean(np.array(p) < 0.05) > 0.15


def test_the_distance_is_exact_on_the_values_of_the_real_sample() -> None:
    from scipy import stats

    rng = np.random.default_rng(13)
    x, y = rng.normal(size=(N_COLUMNS, 700)).round(2), rng.normal(size=(N_COLUMNS, 90)).round(2)
    for test, a, b in zip(compare(batch(x), batch(y)), x, y, strict=True):
        known = stats.ks_2samp(a.astype(np.float32), b.astype(np.float32)).statistic
        assert test.difference == pytest.approx(known, abs=1e-12)


def test_a_small_shift_is_found_in_a_large_sample_and_not_in_a_small_one() -> None:
    rng = np.random.default_rng(14)

    def shifted(n: int) -> DistributionTest:
        reference = 50 + 20 * rng.normal(size=(N_COLUMNS, n))
        reference[3] *= 1.03
        tests = compare(batch(50 + 20 * rng.normal(size=(N_COLUMNS, 60_000))), batch(reference))
        assert sum((t.corrected or 0) < 0.01 for t in tests) == int(
            (tests[3].corrected or 0) < 0.01
        )
        return tests[3]

    large, small = shifted(20_000), shifted(200)
    # 3% of 50 is 0.075 standard deviations.
    assert large.corrected is not None
    assert large.corrected < 1e-6
    assert large.detectable_shift is not None
    assert large.detectable_shift < 0.06
    assert large.mean_difference == pytest.approx(-0.075, abs=0.03)
    assert small.corrected is not None
    assert small.corrected > 0.01
    assert small.detectable_shift is not None
    assert small.detectable_shift > 0.2


def test_a_fraction_that_differs_is_found_and_shared() -> None:
    rng = np.random.default_rng(15)
    sides = []
    for n, share in ((20_000, 0.40), (3000, 0.46)):
        values = rng.normal(size=(N_COLUMNS, n))
        # Columns 6 to 8 are defined in the same events.
        values[6:9, rng.random(n) > share] = UNDEFINED
        sides.append(batch(values))
    tests = compare(*sides)
    defined = [t for t in tests if t.kind == "defined"]
    assert [(t.column, t.shared_with) for t in defined] == [(FEATURES[6], FEATURES[7:9])]
    assert defined[0].difference == pytest.approx(-0.06, abs=0.03)
    assert defined[0].corrected is not None
    assert defined[0].corrected < 0.01
    assert all((t.corrected or 1) > 0.01 for t in tests if t.kind == "shape")


def test_too_few_events_are_not_tested() -> None:
    rng = np.random.default_rng(16)
    reference = rng.normal(size=(N_COLUMNS, 100))
    reference[5, 12:] = UNDEFINED
    tested = rng.normal(size=(N_COLUMNS, 500))
    tested[5, 60:] = UNDEFINED
    tests = compare(batch(tested), batch(reference))
    untested = {(t.column, t.kind) for t in tests if t.p_value is None}
    assert untested == {(FEATURES[5], "shape")}
    assert all(t.corrected is None and t.detectable is None for t in tests if t.p_value is None)


def test_other_processes_do_not_count() -> None:
    rng = np.random.default_rng(17)
    values = rng.normal(size=(N_COLUMNS, 2000))
    process = (np.arange(2000) % 2).astype(np.int8)
    moved = np.where(process == 1, values + 5, values)
    reference = rng.normal(size=(N_COLUMNS, 300))
    p = [t.p_value for t in compare(batch(moved, process=process), batch(reference))]
    assert min(x for x in p if x is not None) > 1e-4
