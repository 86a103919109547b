"""One-point statistics of images whose distribution is known."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.errors import DataError
from sigma68.learning.image_statistics import ImageStatistics

MASK = np.zeros((300, 200), dtype=bool)
MASK[10:290, 20:180] = True


def named(image: np.ndarray, scales: int = 3) -> dict[str, float]:
    statistics = ImageStatistics(MASK, scales)
    return dict(zip(statistics.names, statistics.of(image * MASK), strict=True))


def test_of_white_noise() -> None:
    rng = np.random.default_rng(1)
    found = named(rng.normal(0, 0.1, MASK.shape))
    assert len(found) == 15
    for scale, n in ((1, 44_800), (2, 11_200), (4, 2_800)):
        # Block sums over the block's side keep the noise's size.
        assert found[f"ln variance, {scale} pixels"] == pytest.approx(np.log(0.01), abs=4 * (2 / n) ** 0.5)  # fmt: skip
        assert abs(found[f"arsinh skewness, {scale} pixels"]) < 4 * (6 / n) ** 0.5
        fourth = np.exp(found[f"ln fourth moment, {scale} pixels"])
        assert abs(fourth - 3) < 4 * (24 / n) ** 0.5
        assert found[f"root share > 3, {scale} pixels"] == pytest.approx(0.0367, abs=0.03)
        assert found[f"root share < -2, {scale} pixels"] == pytest.approx(0.151, abs=0.03)


def test_of_a_skewed_field() -> None:
    rng = np.random.default_rng(2)
    found = named(rng.exponential(1.0, MASK.shape), 1)
    assert np.sinh(found["arsinh skewness, 1 pixels"]) == pytest.approx(2.0, abs=0.1)
    assert np.exp(found["ln fourth moment, 1 pixels"]) == pytest.approx(9.0, abs=0.8)
    assert found["root share < -2, 1 pixels"] == 0.0


def test_what_cannot_be_said() -> None:
    statistics = ImageStatistics(MASK, 8)
    # Blocks of 16 pixels and more are too few.
    assert statistics.scales == (1, 2, 4, 8)
    assert np.isnan(statistics.of(np.full(MASK.shape, np.nan))).all()
    with pytest.raises(DataError, match="open the source"):
        statistics.of(np.zeros((3, 3)))
    with pytest.raises(DataError, match="too few"):
        _ = ImageStatistics(np.zeros((50, 50), dtype=bool)).scales
