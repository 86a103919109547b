"""Pieces of images, and networks that restore them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import DataError, FitError
from sigma68.learning.fit_patches import PatchSettings, train_patches
from sigma68.learning.network import Layer
from sigma68.learning.patches import Patches, PatchNetwork

MASK = np.ones((20, 16), dtype=bool)
MASK[0, 0] = False
SETTINGS = PatchSettings(
    widths=(4,), passes=30, batch=32, learning_rate=5e-3, weight_decay=0.0, averaging=0.9,
    patience=30, seed=1,
)  # fmt: skip


def test_pieces_are_whole_and_of_block_sums() -> None:
    patches = Patches(MASK, 2, 4)
    image = np.arange(320, dtype=np.float64).reshape(20, 16) * MASK
    pieces = patches.cut(image)
    assert [0, 0] not in patches.places.tolist()
    assert patches.places.tolist()[0] == [0, 2]
    assert pieces.shape == (len(patches.places), 16)
    # Sums over blocks over their side, as `blocks` gives them.
    first = image[:8, 4:12].reshape(4, 2, 4, 2).sum(axis=(1, 3)) / 2
    np.testing.assert_allclose(pieces[0], first.ravel())


def test_what_cannot_be_cut() -> None:
    with pytest.raises(DataError, match="seen wholly"):
        _ = Patches(MASK, 2, 12).places
    patches = Patches(MASK, 2, 4)
    with pytest.raises(FitError, match="has shape"):
        patches.cut(np.zeros((4, 4)))
    with pytest.raises(FitError, match="no numbers"):
        patches.cut(np.full(MASK.shape, np.inf))


def pieces(n: int, seed: int) -> np.ndarray:
    """Points on a plane of two dimensions in nine, with a little noise."""
    rng = np.random.default_rng(seed)
    plane = np.random.default_rng(0).normal(0, 1, (2, 9))
    return (rng.normal(0, 1, (n, 2)) @ plane + rng.normal(0, 0.05, (n, 9))).astype(np.float32)


def test_it_restores_what_it_knows_and_nothing_else(tmp_path: Path) -> None:
    kept = tmp_path / "checkpoint"
    network = train_patches(pieces(3000, 1), pieces(300, 2), SETTINGS, "toy", checkpoint=kept)
    known = network.lost(pieces(500, 3))
    other = np.random.default_rng(4).normal(0, network.scale, (500, 9)).astype(np.float32)
    assert known < 0.1 < 0.4 < network.lost(other)
    # The checkpoint is at the end: the same comes out at once.
    again = train_patches(pieces(3000, 1), pieces(300, 2), SETTINGS, "toy", checkpoint=kept)
    assert again.to_bytes() == network.to_bytes()
    back = PatchNetwork.from_bytes(network.to_bytes(), 9)
    assert back.lost(pieces(500, 3)) == known


def test_damaged_networks_and_no_pieces_are_refused() -> None:
    with pytest.raises(DataError, match="damaged"):
        PatchNetwork.from_bytes(b"none", 4)
    wrong = PatchNetwork(1.0, (Layer(np.ones((3, 4), np.float32), np.ones(3, np.float32)),))
    with pytest.raises(DataError, match="do not fit"):
        PatchNetwork.from_bytes(wrong.to_bytes(), 4)
    with pytest.raises(DataError, match="no pieces"):
        train_patches(np.zeros((0, 9), np.float32), pieces(3, 1), SETTINGS, "toy")
    with pytest.raises(DataError, match="constant"):
        train_patches(np.ones((64, 9), np.float32), pieces(3, 1), SETTINGS, "toy")
