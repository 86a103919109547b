"""The challenge's own scoring code gives the same numbers on random tables."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma68.score.intervals import penalty, score_intervals
from tests.score.made_toys import MU, made_toys


@pytest.fixture(scope="module")
def peer() -> Any:
    level = logging.root.level
    handlers = list(logging.root.handlers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score = pytest.importorskip("HiggsML.score")
    # The peer sets up the root logger when imported: leave the other tests theirs.
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    return score


@pytest.mark.parametrize("seed", range(4))
def test_all_scores(peer: Any, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    toys = made_toys(
        int(rng.integers(2, 9)),
        int(rng.integers(5, 60)),
        seed=seed,
        scale=float(rng.uniform(0.3, 2)),
        bias=float(rng.normal()),
    )
    toys["delta_mu_hat"] *= rng.uniform(0.2, 3, len(toys))
    scoring = peer.Scoring()
    scoring.html_file = str(tmp_path / "page.html")
    monkeypatch.setattr(scoring, "save_figure", lambda **_: None)
    names = {"mu_hat": "mu_hats", "delta_mu_hat": "delta_mu_hats", "p16": "p16s", "p84": "p84s"}
    scoring.ingestion_results = [
        {key: group[column].to_list() for column, key in names.items()}
        for _, group in toys.groupby("set")
    ]
    scoring.ingestion_duration = 0
    scoring.compute_scores({"ground_truth_mus": toys.groupby("set")["mu"].first().to_list()})
    ours = score_intervals(toys, MU, epsilon=1e-3).values
    pairs = {
        "rmse": "rmse_peer",
        "mae": "mae_peer",
        "interval": "interval",
        "coverage": "coverage",
        "quantiles_score": "quantiles_score",
    }
    for theirs, name in pairs.items():
        # The peer rounds to four decimals.
        assert scoring.scores_dict[theirs] == pytest.approx(ours[name], abs=5.001e-5)


def test_penalty(peer: Any) -> None:
    scoring = peer.Scoring()
    for n in (10, 100, 1000):
        for k in range(n + 1):
            mu = np.zeros(n)
            low = np.where(np.arange(n) < k, -0.5, 0.5)
            _, coverage, score = scoring.Quantiles_Score(mu, low, low + 1, eps=1e-3)
            assert coverage == pytest.approx(k / n)
            assert float(penalty(k / n, n)) == pytest.approx(np.exp(-score) / 1.001)
