"""Small files of the form of the public ones, whose maps are white noise of a power that depends on S8."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sigma68.tasks.lensing.design import NUISANCES, PARAMETERS
from sigma68.tasks.lensing.official import GRID_FILE, LABEL_FILE, MASK_FILE
from sigma68.tasks.lensing.sky import COLUMNS, ROWS


def write_official(
    folder: Path,
    *,
    points: int = 10,
    realisations: int = 20,
    pixels: int = 3000,
    grid: bool = True,
) -> Path:
    """Mask, grid and labels in `folder`; every realisation has its nuisances at all cosmologies."""
    draw = np.random.default_rng(68)
    mask = np.zeros((ROWS, COLUMNS), dtype=bool)
    mask.ravel()[1000 : 1000 + pixels] = True
    labels = np.empty((points, realisations, 5))
    for i, p in enumerate(PARAMETERS):
        labels[..., i] = draw.uniform(p.low, p.high, points)[:, None]
    for i, n in enumerate(NUISANCES, start=2):
        labels[..., i] = [n.from_z(z) for z in draw.standard_normal(realisations)]
    np.save(folder / MASK_FILE, mask)
    np.save(folder / LABEL_FILE, labels)
    if grid:
        skies = draw.standard_normal((points, realisations, pixels))
        power = labels[..., 1:2] ** 4 + 0.1 * labels[..., :1]
        np.save(folder / GRID_FILE, (0.1 * power * skies).astype(np.float16))
    return folder
