"""Strange maps: what makes each family strange, which toys are which, and their score."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sigma68.errors import DataError
from sigma68.run.truth import toy_stream
from sigma68.summaries import HasImages, HasSummaries, ScoresResamples, TakesResults
from sigma68.tasks.lensing.scores import strangeness_score
from sigma68.tasks.lensing.sky import NOISE
from sigma68.tasks.lensing.submission import write_strangeness
from sigma68.tasks.lensing_strange.families import FAMILIES, MISJUDGED, SUPPRESSED
from sigma68.tasks.lensing_strange.scores import family_of, resampled_scores, score_strange
from sigma68.tasks.lensing_strange.task import LensingStrange
from sigma68.types import Truth

COSMOLOGY = {"Omega_m": 0.3, "S8": 0.8}


@pytest.fixture(scope="module")
def task() -> LensingStrange:
    return LensingStrange()


def mean_sky(task: LensingStrange, family: float, n: int) -> list[np.ndarray]:
    """Maps of one family, the same skies and noise for all."""
    pool = task.open("embedded:20x2").scoring
    truth = Truth({"family": family, **COSMOLOGY})
    return [
        task.pseudo_experiment(pool, truth, toy_stream(task, 1, 0, toy)).values[0]
        for toy in range(n)
    ]


def test_families_share_the_upper_half_of_the_range() -> None:
    assert [family_of(v) for v in (0.0, 0.7, 1.0)] == [None] * 3
    assert [family_of(v) for v in (1.01, 1.3, 1.5, 1.7, 1.9, 2.0)] == [0, 1, 2, 3, 4, 4]


def test_ordinary_ones_are_maps_of_the_first_phase(task: LensingStrange) -> None:
    a, b = mean_sky(task, 0.2, 1)[0], mean_sky(task, 0.9, 1)[0]
    np.testing.assert_array_equal(a, b)
    assert isinstance(task, HasImages)
    assert isinstance(task, HasSummaries)
    assert isinstance(task, ScoresResamples)
    assert isinstance(task, TakesResults)


def test_every_family_is_strange_in_its_own_way(task: LensingStrange) -> None:
    n = 6
    ordinary = mean_sky(task, 0.5, n)
    gaussian, shift, feedback, redshift, noise = (
        mean_sky(task, 1.1 + 0.2 * i, n) for i in range(5)
    )

    def skewness(maps: list[np.ndarray]) -> float:
        return float(np.mean([np.mean((m - m.mean()) ** 3) / m.std() ** 3 for m in maps]))

    def power(maps: list[np.ndarray]) -> np.ndarray:
        from sigma68.types import Observation

        return np.mean([10 ** task.summary(Observation(("kappa",), m[None])) for m in maps], axis=0)

    assert abs(skewness(gaussian)) < 0.02 < 0.06 < skewness(shift) < skewness(ordinary)
    # Noise is most of the power at small scales; the largest are as they were.
    lost = 1 - power(feedback) / power(ordinary)
    assert 0.01 < lost[8] < SUPPRESSED
    assert abs(lost[1]) < 0.01
    assert np.abs(power(redshift) / power(ordinary) - 1).max() > 0.02
    # The same noise, a little larger.
    added = np.std([a - b for a, b in zip(noise, ordinary, strict=True)])
    assert added == pytest.approx(MISJUDGED * NOISE, rel=0.01)


def toys(scores: np.ndarray, families: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "set": np.arange(len(scores)),
            "toy": 0,
            "family": families,
            "score": scores,
            "status": "ok",
        }
    )


def test_score_over_all_and_for_each_family() -> None:
    rng = np.random.default_rng(1)
    families = rng.uniform(0, 2, 600)
    scores = rng.normal(0, 1, 600) + np.where(families > 1.8, 20.0, 0.0)
    table = toys(scores, families)
    score = score_strange(table)
    assert score.headline == "strangeness_score"
    assert score.value == pytest.approx(strangeness_score(scores, families > 1))
    assert score.values["noise_score"] == pytest.approx(1.0)
    assert 0 <= float(score.values["gaussian_score"] or 0) < 0.1
    assert score.values["n_noise"] == int((families > 1.8).sum())
    assert sum(int(score.values[f"n_{f.name}"] or 0) for f in FAMILIES) == (families > 1).sum()
    assert 0.005 < float(score.values["strangeness_score_error"] or 0) < 0.1
    one = resampled_scores(table, np.ones((1, 600)))
    np.testing.assert_allclose(one, score.value)
    twice = resampled_scores(pd.concat([table, table]), np.ones((1, 1200)))
    np.testing.assert_allclose(twice, score.value)


def test_failed_toys_lose_and_one_kind_has_no_score() -> None:
    families = np.array([0.5, 0.5, 1.5, 1.5])
    good = toys(np.array([1.0, 2.0, 3.0, 4.0]), families)
    assert score_strange(good).value == 1.0
    broken = good.assign(score=[1.0, np.nan, 3.0, 4.0])
    assert score_strange(broken).value == 0.0
    assert score_strange(good[:2]).values["strangeness_score"] is None
    assert np.isnan(resampled_scores(good[:2], np.ones((3, 2)))).all()


def test_a_folder_of_public_files_says_nothing_of_strangeness(
    task: LensingStrange, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="do not say which"):
        task.open(str(tmp_path))


def test_answers_in_a_file(task: LensingStrange, tmp_path: Path) -> None:
    path = tmp_path / "sent.zip"
    write_strangeness(path, np.array([0.0, 1.0, 2.0]))
    answers = task.read_results(path, 3)
    score = task.score_results(answers, {"family": np.array([0.1, 0.4, 1.4])})
    assert score.value == 1.0
    with pytest.raises(DataError):
        task.read_results(path, 4)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("result.json", json.dumps({"ood_scores": [0.0, float("nan"), 1.0]}))
    with pytest.raises(DataError):
        task.read_results(path, 3)
