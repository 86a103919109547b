"""The forest: what a plain walk through its trees gives, bit for bit, and no trust in what it reads."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.errors import DataError
from sigma68.learning.forest import Forest
from sigma68.learning.forest_kernels import BLOCK, cell_of

Float32 = npt.NDArray[np.float32]
Document = dict[str, Any]


def grown(rng: np.random.Generator, levels: int, thresholds: Float32, full: float = 0.85) -> Any:
    """One tree in xgboost's form: so many levels at most, splits at some of `thresholds` (F, K)."""
    tree: dict[str, list[Any]] = {"left_children": [], "right_children": []}
    tree |= {"split_indices": [], "split_conditions": []}
    queue = [0]
    for level in queue:
        split = level < levels and (level == 0 or rng.random() < full)
        feature = int(rng.integers(len(thresholds)))
        tree["left_children"].append(len(queue) if split else -1)
        tree["right_children"].append(len(queue) + 1 if split else -1)
        tree["split_indices"].append(feature)
        leaf = np.float32(rng.normal())
        tree["split_conditions"].append(float(rng.choice(thresholds[feature]) if split else leaf))
        queue += [level + 1] * (2 * split)
    return {**tree, "split_type": [0] * len(queue), "categories": []}


def model(trees: list[Any], n_features: int, base_score: str = "[5E-1]") -> Document:
    of_model = {"base_score": base_score, "num_class": "0", "num_target": "1"}
    booster = {"name": "gbtree", "model": {"trees": trees}}
    return {
        "learner": {
            "learner_model_param": {**of_model, "num_feature": str(n_features)},
            "gradient_booster": booster,
            "objective": {"name": "binary:logistic"},
        }
    }


def walked(document: Document, values: Float32) -> Float32:
    """The plain statement: every event goes through every tree, node by node."""
    margins = np.zeros(values.shape[1], np.float32)
    for tree in document["learner"]["gradient_booster"]["model"]["trees"]:
        for e in range(values.shape[1]):
            node = 0
            while tree["left_children"][node] != -1:
                threshold = np.float32(tree["split_conditions"][node])
                goes_left = values[tree["split_indices"][node], e] < threshold
                node = tree["left_children" if goes_left else "right_children"][node]
            margins[e] += np.float32(tree["split_conditions"][node])
    return margins


def near(rng: np.random.Generator, thresholds: Float32, n: int) -> Float32:
    """Values on thresholds, next to them on either side, and elsewhere; some undefined (-25)."""
    at = np.stack([rng.choice(row, n) for row in thresholds])
    up, down = np.nextafter(at, np.float32(np.inf)), np.nextafter(at, np.float32(-np.inf))
    away = rng.normal(size=at.shape).astype(np.float32)
    kind = rng.integers(0, 5, at.shape)
    values = np.choose(kind, [at, up, down, away, np.float32(-25)]).astype(np.float32)
    largest = np.finfo(np.float32).max
    return np.clip(values, -largest, largest)


def spread(kind: str, rng: np.random.Generator) -> Float32:
    """Thresholds (4, K) that are easy or hard to find."""
    if kind == "usual":
        return rng.exponential(30, (4, 200)).astype(np.float32)
    if kind == "crowded":  # in one cell, next to a far one
        crowd = np.float32(1) + np.arange(250, dtype=np.float32) * np.float32(2.0**-23)
        return np.stack([np.append(crowd, np.float32(1e9))] * 4)
    if kind == "absurd":
        row = np.array([-3.4e38, -1e-45, -0.0, 0.0, 1e-45, 1e-38, 3.4e38], np.float32)
        return np.stack([row, row[3:5].repeat(4)[:7], row[-2:].repeat(4)[:7], row[:1].repeat(7)])
    return rng.normal(size=(4, 3000)).astype(np.float32)  # many: several rows a feature


@pytest.mark.parametrize("kind", ["usual", "crowded", "absurd", "many"])
@pytest.mark.parametrize("levels", [1, 3, 6, 10])
def test_margins_are_those_of_a_plain_walk(kind: str, levels: int) -> None:
    rng = np.random.default_rng(levels)
    thresholds = spread(kind, rng)
    for n_trees in (1, 4, 7):
        trees = [grown(rng, levels if t % 3 else 2, thresholds) for t in range(n_trees)]
        document = model(trees, 4)
        values = near(rng, thresholds, 300)
        margins = Forest.of(document).margins(values)
        np.testing.assert_array_equal(margins, walked(document, values))


def test_trees_that_are_a_single_leaf_add_it() -> None:
    rng = np.random.default_rng(1)
    leaves = [grown(rng, 0, np.zeros((2, 1), np.float32)) for _ in range(5)]
    document = model(leaves, 2)
    values = np.zeros((2, 3), np.float32)
    np.testing.assert_array_equal(Forest.of(document).margins(values), walked(document, values))
    none = Forest.of(model([], 2)).margins(values)
    np.testing.assert_array_equal(none, np.zeros(3, np.float32))


def test_the_base_score_is_a_probability() -> None:
    for written in ("[2.5E-1]", "2.5E-1"):
        margins = Forest.of(model([], 1, written)).margins(np.zeros((1, 2), np.float32))
        np.testing.assert_allclose(margins, np.full(2, -np.log(3)), rtol=1e-6)


@pytest.fixture(scope="module")
def usual() -> tuple[Document, Forest, Float32, Float32]:
    """Trees, some with more than six levels, and events with their margins (by one thread)."""
    rng = np.random.default_rng(2)
    thresholds = spread("usual", rng)
    document = model([grown(rng, 6 + 2 * (t == 5), thresholds) for t in range(11)], 4)
    forest = Forest.of(document)
    values = near(rng, thresholds, 5 * BLOCK + 17)
    margins = forest.margins(values, threads=1)
    assert margins is not None
    return document, forest, values, margins


@pytest.mark.parametrize("n_events", [1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 17])
@pytest.mark.parametrize("threads", [0, 1, 2, 3])
def test_neighbours_and_threads_change_nothing(usual: Any, n_events: int, threads: int) -> None:
    _, forest, values, margins = usual
    some = forest.margins(np.ascontiguousarray(values[:, -n_events:]), threads=threads)
    np.testing.assert_array_equal(some, margins[-n_events:])


def test_several_threads_may_ask_at_a_time(usual: Any) -> None:
    _, forest, values, margins = usual
    with ThreadPoolExecutor(4) as executor:
        for found in executor.map(lambda _: forest.margins(values, threads=2), range(8)):
            np.testing.assert_array_equal(found, margins)


@pytest.mark.parametrize(
    "laid",
    [
        lambda v: v[:, 3:],  # part of a larger memory, as pseudo-experiments are
        lambda v: v[:, ::2],
        lambda v: v[:, ::-1],
        lambda v: np.asfortranarray(v),
        lambda v: v.astype(np.float64),
        lambda v: np.broadcast_to(v[:, :1], v.shape),
        lambda v: np.ascontiguousarray(v[::-1])[::-1],
        lambda v: v[:, 5:6],
        lambda v: v[:, :0],
    ],
)
def test_any_layout_of_the_values_will_do(usual: Any, laid: Callable[[Any], Any]) -> None:
    _, forest, values, _ = usual
    plain = np.array(laid(values), np.float32, order="C")
    before = values.copy()
    np.testing.assert_array_equal(forest.margins(laid(values)), forest.margins(plain))
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("event", [0, BLOCK, 5 * BLOCK + 16])
def test_a_value_that_is_not_finite_is_seen(usual: Any, bad: float, event: int) -> None:
    _, forest, values, _ = usual
    for feature in (0, 3):
        broken = values.copy()
        broken[feature, event] = bad
        assert forest.margins(broken, threads=1) is None
        assert forest.margins(broken, threads=2) is None


def test_a_feature_that_no_tree_uses_must_be_finite_too() -> None:
    forest = Forest.of(model([grown(np.random.default_rng(3), 2, np.ones((1, 1), np.float32))], 2))
    values = np.zeros((2, 10), np.float32)
    assert forest.margins(values) is not None
    values[1, 9] = np.nan
    assert forest.margins(values) is None


def test_other_features_are_refused(usual: Any) -> None:
    _, forest, values, _ = usual
    with pytest.raises(DataError, match=r"take 4 features, not values of shape \(3, "):
        forest.margins(values[:3])
    with pytest.raises(DataError, match="take 4 features"):
        forest.margins(values[0])


def test_cells_never_decrease() -> None:
    """What the search in one cell rests on, for scales that overflow as well."""
    rng = np.random.default_rng(4)
    values = np.sort(near(rng, spread("absurd", rng), 200).ravel())
    for shift in (-3.4e38, 0.0, 3.0, 3.4e38):
        for scale in (0.0, 1e-30, 7.0, np.inf):
            cells = [cell_of(v, np.float32(shift), np.float32(scale)) for v in values]
            assert (np.diff(cells) >= 0).all()


def damage(name: str, value: Any, node: int | None = 0) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        tree = document["learner"]["gradient_booster"]["model"]["trees"][5]
        if node is None:
            tree[name] = value
        else:
            tree[name][node] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        damage("left_children", 100_000),
        damage("left_children", -2),
        damage("left_children", -1),  # a node with one child
        damage("right_children", 0),  # a cycle
        damage("right_children", 1),  # both children the same
        damage("left_children", "1"),
        damage("left_children", 1.5),
        damage("left_children", None),
        damage("split_indices", 4),
        damage("split_indices", -1),
        damage("split_indices", None),
        damage("split_conditions", float("nan")),
        damage("split_conditions", 1e39),
        damage("split_conditions", "x"),
        damage("split_conditions", [], None),
        damage("left_children", [], None),
        damage("right_children", None, None),
        lambda d: d["learner"]["learner_model_param"].update(num_feature="0"),
        lambda d: d["learner"]["learner_model_param"].update(num_feature="many"),
        lambda d: d["learner"]["learner_model_param"].update(base_score="1"),
        lambda d: d["learner"]["learner_model_param"].update(num_class="3"),
        lambda d: d["learner"]["learner_model_param"].update(num_target="2"),
        lambda d: d["learner"]["gradient_booster"]["model"]["trees"].append(None),
        lambda d: d["learner"]["gradient_booster"].pop("model"),
        lambda d: d.pop("learner"),
    ],
)
def test_damage_is_noticed_before_anything_is_computed(
    usual: Any, change: Callable[[Document], None]
) -> None:
    document = copy.deepcopy(usual[0])
    change(document)
    with pytest.raises(DataError, match="damaged"):
        Forest.of(document)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (damage("split_type", 1), "categories"),
        (damage("categories", [3], None), "categories"),
        (lambda d: d["learner"]["objective"].update(name="multi:softprob"), "multi:softprob"),
        (lambda d: d["learner"]["gradient_booster"].update(name="dart"), "dart"),
    ],
)
def test_other_kinds_of_trees_are_refused(
    usual: Any, change: Callable[[Document], None], said: str
) -> None:
    document = copy.deepcopy(usual[0])
    change(document)
    with pytest.raises(DataError, match=said):
        Forest.of(document)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_depth": 6},
        {"max_depth": 2},
        {"max_depth": 9, "min_child_weight": 0.1},
        {"max_depth": 6, "tree_method": "exact"},
        {"max_depth": 5, "gamma": 1e9},  # not worth a split: single leaves
        {"max_depth": 4, "base_score": 0.3},
        {"max_depth": 4, "base_score": 0.77},
        {"max_depth": 4, "num_parallel_tree": 3, "subsample": 0.5},
    ],
)
def test_margins_are_those_of_xgboost(settings: dict[str, Any]) -> None:
    xgboost = pytest.importorskip("xgboost")
    rng = np.random.default_rng(5)
    values = rng.normal(size=(5, 4_000)).astype(np.float32)
    values[3, rng.random(4_000) < 0.4] = -25
    values[4] = np.round(values[4])
    labels = rng.random(4_000) < 1 / (1 + np.exp(-values[0] * values[1] - (values[3] > 0)))
    settings = {"objective": "binary:logistic", "base_score": 0.5, "nthread": 1, **settings}
    booster = xgboost.train(settings, xgboost.DMatrix(values.T, labels), 13)
    document = json.loads(booster.save_raw("json"))
    forest = Forest.of(document)
    for tree in document["learner"]["gradient_booster"]["model"]["trees"]:
        for feature, threshold in zip(tree["split_indices"], tree["split_conditions"], strict=True):
            values[feature, rng.integers(4_000)] = threshold
    margins = booster.inplace_predict(values.T, predict_type="margin")
    np.testing.assert_array_equal(forest.margins(values), margins)
