"""Images of simulated observations, kept in memory in the form that networks learn from.

An image is averaged over square blocks of pixels, which takes out the smallest scales where noise
is most of what is seen, and only blocks that are seen anywhere are kept, in half precision. Where
a task has summaries of an observation, those of the whole image, with the same noise, stand beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, SettingsError
from sigma68.protocols import Pool, Progress, Task
from sigma68.seeds import stream
from sigma68.summaries import HasImages, HasKnownNoise, HasObservations, HasSummaries
from sigma68.types import Observation, Parameter

__all__ = ["ImageSet", "blocks", "equal_area_weights", "gather_images", "seen_share"]

FloatArray = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
_CHUNK = 16


@dataclass(frozen=True)
class ImageSet:
    """Images of n observations, each with the noise of measuring it drawn `drawings` times.

    `cells` (n, drawings, n_cells) are the blocks that are seen, in order of rows, as float16, in
    units of `scale`; `share` (rows, columns) is how much of each block is seen, 0 to 1; `summaries`
    (n, drawings, n_summaries), none of them where the task has none; `points` (n, n_parameters).
    """

    cells: npt.NDArray[np.float16]
    share: Float32
    scale: float
    summaries: Float32
    points: FloatArray

    @property
    def n(self) -> int:
        return len(self.points)

    @property
    def drawings(self) -> int:
        return int(self.cells.shape[1])

    def images(self, rows: npt.NDArray[np.int64], drawing: npt.NDArray[np.int64]) -> Float32:
        """Blocks of some observations, each of one drawing: (len(rows), rows, columns)."""
        images = np.zeros((len(rows), self.share.size), dtype=np.float32)
        images[:, np.flatnonzero(self.share)] = self.cells[rows, drawing]
        return images.reshape(len(rows), *self.share.shape)

    def part(self, rows: npt.NDArray[np.int64]) -> ImageSet:
        """Some of the observations."""
        return ImageSet(
            self.cells[rows], self.share, self.scale, self.summaries[rows], self.points[rows]
        )


def blocks(image: npt.NDArray[np.floating], block: int) -> Float32:
    """Sums over blocks of pixels over the block's side, (ceil(rows / block), ceil(columns / block)).

    Noise that is independent in pixels keeps its standard deviation in blocks that are seen wholly.
    """
    rows, columns = (-(-n // block) * block for n in image.shape)
    whole = np.zeros((rows, columns), dtype=np.float32)
    whole[: image.shape[0], : image.shape[1]] = image
    # Reduced along the slow axis first, which is twice as fast.
    sums = whole.reshape(rows // block, block, columns).sum(axis=1)
    sums = sums.reshape(rows // block, columns // block, block).sum(axis=2)
    scaled: Float32 = sums / np.float32(block)
    return scaled


def seen_share(mask: npt.NDArray[np.bool_], block: int) -> Float32:
    """How much of each block is seen, 0 to 1, in the shape of `blocks`."""
    share: Float32 = blocks(mask.astype(np.float32), block) / np.float32(block)
    return share


def gather_images(
    task: Task,
    pool: Pool,
    *,
    block: int,
    drawings: int,
    scale: float | None = None,
    parameters: Sequence[Parameter] | None = None,
    progress: Progress | None = None,
) -> ImageSet:
    """Images of all observations of a pool, and the values of `parameters`, the task's own for None.

    `scale` is what blocks are divided by; None for the standard deviation of those of the first
    image. Where a pool says what noise it adds, an observation is made once for all drawings.

    Raises
    ------
    DataError
        If the pool has no observations, or one is not finite.
    SettingsError
        If the task shows no images.
    """
    if not isinstance(pool, HasObservations):
        raise DataError(
            f"the {pool.role} pool has events but no whole observations, which networks of images "
            "learn from: open another source"
        )
    if not isinstance(task, HasImages):
        raise SettingsError(f"the task {task.name!r} shows no images: choose another method")
    n, names = pool.n_observations, [p.name for p in parameters or task.parameters]
    share = seen_share(task.image_mask, block)
    shown = np.flatnonzero(share)
    if scale is None:
        scale = float(blocks(task.image(pool.observation(0)), block).ravel()[shown].std())
    n_summaries = len(task.summary_names) if isinstance(task, HasSummaries) else 0
    cells = np.empty((n, drawings, shown.size), dtype=np.float16)
    summaries = np.empty((n, drawings, n_summaries), dtype=np.float32)

    def fill(numbers: range) -> int:
        for i in numbers:
            observe = _observer(pool, i)
            for drawing in range(drawings):
                observation = observe(drawing)
                sums = blocks(task.image(observation), block)
                if not np.isfinite(sums).all():
                    raise DataError(
                        f"observation {i} of the {pool.role} pool has pixels that are no numbers"
                    )
                cells[i, drawing] = sums.ravel()[shown] / scale
                if isinstance(task, HasSummaries):
                    summaries[i, drawing] = task.summary(observation)
        return len(numbers)

    _in_chunks(fill, n, progress)
    points = np.array([[pool.truth(i).parameters[name] for name in names] for i in range(n)])
    return ImageSet(cells, share, scale, summaries, points)


def _observer(pool: HasObservations, number: int) -> Callable[[int], Observation]:
    """From the number of a drawing of the noise to the observation with it."""
    if not isinstance(pool, HasKnownNoise):
        return lambda drawing: pool.observation(number, noise=drawing)
    bare, sigma = pool.noiseless(number), np.float32(pool.noise_sigma)
    role = getattr(pool, "fingerprint", "")

    def noisy(drawing: int) -> Observation:
        draw = stream("learning", f"noise {role}", 0, number, drawing).generator()
        noise = draw.standard_normal(bare.values.shape, dtype=np.float32)
        return Observation(bare.names, bare.values + sigma * noise)

    return noisy


def _in_chunks(fill: Callable[[range], int], n: int, progress: Progress | None) -> None:
    """Call `fill` on all numbers below n, on threads: transforms run outside the interpreter's lock."""
    chunks = [range(i, min(i + _CHUNK, n)) for i in range(0, n, _CHUNK)]
    done = 0
    with ThreadPoolExecutor(max_workers=min(cpu_count() or 1, 8)) as threads:
        for filled in threads.map(fill, chunks):
            done += filled
            if progress is not None:
                progress("making images of simulated observations", done / n)


def equal_area_weights(
    points: FloatArray, low: FloatArray, high: FloatArray, *, most: float = 10.0
) -> FloatArray:
    """Weights, mean 1, with which points (n, n_parameters) stand for a uniform prior in a box.

    A place has the weight of the share of the box that is nearer to it than to others (its Voronoi
    cell, in units of the ranges), divided among the observations made there; at most `most` times the mean.
    """
    from scipy.spatial import cKDTree

    unit = (points - low) / (high - low)
    places, member, copies = np.unique(unit, axis=0, return_inverse=True, return_counts=True)
    draw = stream("learning", "cells of points", 0).generator()
    probes = draw.random((max(200_000, 100 * len(places)), points.shape[1]))
    nearest = cKDTree(places).query(probes)[1]
    share = np.bincount(nearest, minlength=len(places)) / copies
    each = share[member.ravel()]
    weights: FloatArray = np.minimum(each / each.mean(), most)
    weights /= weights.mean()
    return weights
