"""A task of images whose answer is known: the brightness of an image and the strength of a ripple."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sigma68.types import Observation, Parameter, Truth

ROWS, COLUMNS = 22, 15
NOISE = 1.5


def mask() -> np.ndarray:
    seen = np.ones((ROWS, COLUMNS), dtype=bool)
    seen[:3] = False
    seen[10, 4:9] = False
    return seen


class Pictures:
    """The mean of the pixels is `level`, their alternation from column to column is `ripple`."""

    name = "pictures"
    answer = "estimates"
    parameters = (Parameter("level", -1.0, 1.0), Parameter("ripple", 0.5, 1.5))
    summary_names = ("mean",)

    def __init__(self) -> None:
        self.mask = mask()

    @property
    def image_shape(self) -> tuple[int, int]:
        return ROWS, COLUMNS

    @property
    def image_mask(self) -> np.ndarray:
        return self.mask

    def image(self, observation: Observation) -> np.ndarray:
        image = np.zeros((ROWS, COLUMNS), dtype=np.float32)
        image[self.mask] = observation.values[0]
        return image

    def summary(self, observation: Observation) -> np.ndarray:
        return np.array([observation.values[0].mean()], dtype=np.float64)


@dataclass
class Album:
    """Pictures with parameters drawn uniformly; with normal noise of known size."""

    role: str = "train"
    n_observations: int = 400
    noise_sigma: float = NOISE
    fingerprint: str = "album"
    places: int = 0

    def truth(self, number: int) -> Truth:
        seed = (number % self.places, 7) if self.places else (number, len(self.role))
        rng = np.random.default_rng(seed)
        level, ripple = rng.uniform((-1, 0.5), (1, 1.5))
        return Truth({"level": float(level), "ripple": float(ripple)})

    def noiseless(self, number: int) -> Observation:
        truth = self.truth(number).parameters
        column = np.broadcast_to(np.arange(COLUMNS), (ROWS, COLUMNS))
        picture = truth["level"] + truth["ripple"] * (-1.0) ** column
        return Observation(("x",), picture[mask()][None].astype(np.float32))

    def observation(self, number: int, *, noise: int = 0) -> Observation:
        bare = self.noiseless(number).values
        rng = np.random.default_rng((number, noise, len(self.role)))
        drawn = rng.standard_normal(bare.shape).astype(np.float32)
        return Observation(("x",), bare + np.float32(self.noise_sigma) * drawn)


@dataclass
class Scrapbook:
    """The same without saying what noise there is."""

    album: Album
    role: str = "train"
    fingerprint: str = "scrapbook"

    @property
    def n_observations(self) -> int:
        return self.album.n_observations

    def truth(self, number: int) -> Truth:
        return self.album.truth(number)

    def observation(self, number: int, *, noise: int = 0) -> Observation:
        return self.album.observation(number, noise=noise)
