"""Learned density ratios: what share of events each process has, and what nuisances do to it.

One network gives, at every event, K logits of the process and K T responses: with W_k the expected
events of process k where nothing is scaled and every nuisance off, and m_t monomials of the
nuisances that move events,

    g_k(x) = W_k exp(logit_k(x)) / sum_j W_j exp(logit_j(x))           (share of the process)
    S_k(x | nu) = exp(sum_t D_kt(x) m_t(nu))                            (response)

so that the expected events of process k at x and nu are, over all that are expected where every
nuisance is off, g_k S_k. For the events that decide, a second network gives the logits
(`refinement`). `fit_ratios` trains it; applying a trained one needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, MissingExtraError
from sigma68.inference.ratio_model import Polynomials
from sigma68.inference.surfaces import coordinate
from sigma68.learning.inputs import Inputs
from sigma68.learning.network import Network
from sigma68.learning.refinement import Refinement
from sigma68.protocols import Pool, Progress
from sigma68.types import FloatArray, Nuisance

__all__ = ["RatioNetwork", "RatioSettings", "ratio_polynomials", "train_ratios"]

Floats = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RatioSettings:
    """How a network of ratios is trained.

    `passes` over the training events in batches of `batch`, each pass with the events moved to
    another point of the nuisances, up to `reach` standard deviations of their priors, by Adam with
    decoupled weight decay at a learning rate that rises and falls. What is kept is a running mean
    of the weights, at the pass with the lowest loss on `validation_share` of the hard events, which
    ends the training when it has not improved for `patience` passes. `emphasis` multiplies the loss
    of the responses, which is small where nuisances do little. They are learned from events that
    scatter, and do better without the orthogonal steps of `optimiser.Optimiser` (`orthogonal_rate`).

    `taught`: where a pool knows the densities of its events, these are what the network learns the
    shares from, rather than from which process an event happens to be of. With `rounded`, the trained
    network is applied in bfloat16 (see `network.Network`). `threads` apply it, 0 for all cores;
    training takes one. Of a pool with more than `max_rows` events, so many
    are learned from; None for all.
    """

    units: int = 128
    hidden_layers: int = 3
    passes: int = 30
    batch: int = 2048
    learning_rate: float = 2e-3
    orthogonal_rate: float = 0.0
    weight_decay: float = 0.01
    averaging: float = 0.998
    validation_share: float = 0.1
    patience: int = 15
    reach: float = 3.0
    emphasis: float = 10.0
    taught: bool = True
    rounded: bool = False
    seed: int = 1
    threads: int = 0
    max_rows: int | None = None


@dataclass(frozen=True)
class RatioNetwork:
    """A trained network of shares and responses.

    Attributes
    ----------
    network
        K + K T outputs: logits, then D of the first process, of the second …
    polynomials
        The monomials.
    yields
        W, (K,).
    refinement
        What gives the logits of the events that decide; None where the network gives those of all.
    """

    network: Network
    polynomials: Polynomials
    yields: Floats
    refinement: Refinement | None = None

    @property
    def n_processes(self) -> int:
        return len(self.yields)

    def evaluate(self, values: FloatArray) -> tuple[Float32, Float32]:
        """Shares g (K, N) and responses D (K, T, N) at inputs of events (n_inputs, N).

        Raises
        ------
        FitError
            If a feature or an output is NaN or infinite.
        """
        out = self.network.outputs(values)
        k = self.n_processes
        shares = self._shares(out[:k])
        if self.refinement is not None:
            chosen = self.refinement.chosen(shares)
            if len(chosen):
                given = np.ascontiguousarray(values[:, chosen])
                shares[:, chosen] = self._shares(self.refinement.network.outputs(given))
        return shares, out[k:].reshape(k, len(self.polynomials.exponents), out.shape[1])

    def _shares(self, logits: Float32) -> Float32:
        """Shares of the processes (K, N), in place of their logits."""
        with np.errstate(divide="ignore"):
            logits += np.log(self.yields).astype(np.float32)[:, None]
        logits -= logits.max(axis=0)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=0)
        return logits

    def to_json(self) -> dict[str, Any]:
        """What `from_parts` needs besides the network."""
        p = self.polynomials
        return {
            "yields": self.yields.tolist(),
            "shapes": list(p.shapes),
            "origins": p.origins.tolist(),
            "units": p.units.tolist(),
            "exponents": p.exponents.tolist(),
        }

    @classmethod
    def from_parts(
        cls,
        content: bytes | bytearray,
        document: dict[str, Any],
        names: tuple[str, ...],
        threads: int,
        *,
        rounded: bool = False,
    ) -> RatioNetwork:
        """The network of `Network.to_bytes` and the document of `to_json`.

        Raises
        ------
        DataError
            If one of them is damaged, or they do not fit together.
        """
        try:
            yields = np.asarray(document["yields"], np.float64)
            shapes = tuple(str(name) for name in document["shapes"])
            origins, units = (np.asarray(document[n], np.float64) for n in ("origins", "units"))
            rows = document["exponents"]
            exponents = np.asarray(rows, np.int64).reshape(len(rows), len(shapes))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the saved ratios are damaged ({error!r}): train again") from error
        sound = (
            yields.ndim == 1
            and origins.shape == units.shape == (len(shapes),)
            and all(np.isfinite(a).all() for a in (yields, origins, units))
            and bool((yields >= 0).all() and yields.sum() > 0 and (units > 0).all())
            and bool(((exponents >= 0) & (exponents <= _LARGEST_POWER)).all())
        )
        if not sound:
            raise DataError("the saved ratios make no sense: train again")
        n_outputs = len(yields) * (1 + len(exponents))
        network = Network.from_bytes(
            content, names, n_outputs=n_outputs, threads=threads, rounded=rounded
        )
        return cls(network, Polynomials(shapes, origins, units, exponents), yields)


_LARGEST_POWER = 4


def ratio_polynomials(nuisances: Sequence[Nuisance]) -> Polynomials:
    """First and second powers of each nuisance's coordinate, and the products of each pair.

    A lognormal nuisance is the size of something that adds noise, which moves distributions by its
    square to lowest order (as diffusion does): its coordinate enters squared.
    """
    s = len(nuisances)
    base = np.array([2 if n.prior == "lognormal" else 1 for n in nuisances], np.int64)
    rows = [np.eye(s, dtype=np.int64)[a] * base for a in range(s)]
    rows += [2 * row for row in rows]
    rows += [rows[a] + rows[b] for a in range(s) for b in range(a)]
    places = [coordinate(n) for n in nuisances]
    origins, units = (np.array([p[i] for p in places], np.float64) for i in (0, 1))
    exponents = np.array(rows, np.int64).reshape(len(rows), s)
    return Polynomials(tuple(n.name for n in nuisances), origins, units, exponents)


def train_ratios(
    pool: Pool,
    nuisances: Sequence[Nuisance],
    inputs: Inputs,
    settings: RatioSettings | None = None,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    together: int | None = None,
) -> RatioNetwork:
    """A network of the ratios of a pool's events: `fit_ratios.fit_ratios`.

    Parameters
    ----------
    nuisances
        Those that move events.
    inputs
        What of an event the network is given.
    checkpoint
        A file from which a training that was stopped goes on; None to begin and keep nothing.
    together
        So many points of the nuisances are learned from at once, in memory; None to move the
        events to another point in every pass.

    Raises
    ------
    MissingExtraError
        If torch is not installed.
    DataError
        If a process has no events.
    FitError
        If a feature is NaN or infinite.
    """
    try:
        from sigma68.learning.fit_ratios import fit_ratios
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError(
            "training a network needs torch, which is not installed: pip install 'sigma68[torch]'"
        ) from error
    return fit_ratios(pool, nuisances, inputs, settings, progress, checkpoint, together)
