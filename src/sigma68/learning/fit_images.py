"""Training of convolutional networks of images (extra `torch`).

Adam with decoupled weight decay, a learning rate that rises over the first tenth of the steps and falls
over the rest, a running mean of the weights. Every pass takes the next drawing of the noise, and
mirrors images with their mask at random. What is kept is the pass with the lowest loss on images that
share neither sky nor parameters with those learned from. A training that was stopped goes on
from its checkpoint, after the last whole pass, and ends as if it had not been stopped.

Torch works on one thread: on small machines a second makes small convolutions slower, and sums
depend on their number.

Reference: Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019; D. Ribli et al.,
MNRAS 490 (2019) 1843, on networks of noisy convergence maps.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sigma68.errors import FitError
from sigma68.inference.box_density import BoxDensity
from sigma68.learning.checkpoint import Progressed, read_checkpoint, write_checkpoint
from sigma68.learning.convolution import STRIDE, Convolution, ImageNetwork, ImageSettings
from sigma68.learning.fit_dense import DenseInputs, polish_dense
from sigma68.learning.fit_network import follow, torch_with
from sigma68.learning.image_sets import ImageSet
from sigma68.learning.network import Layer
from sigma68.protocols import Progress
from sigma68.seeds import stream

__all__ = ["ImageTraining", "Loss", "density_loss", "estimate_loss", "train_images"]

Loss = Callable[[Tensor, Tensor], Tensor]
"""From outputs (n, n_outputs) and points (n, n_parameters) in [-1, 1] to the loss of each, (n,)."""

_WARM = 0.1
_STEEPEST = 5.0
_MEMORY = 0.03
_SMALLEST = 1e-9
_PENALTY = 1e-5


@dataclass(frozen=True)
class ImageTraining:
    """What a network learns from: images, their points scaled to [-1, 1] and weights (n,).

    `beside` says whether it sees the summaries of an observation too; `key` names the data and the
    loss, so that a checkpoint of others is not taken up.
    """

    images: ImageSet
    unit: np.ndarray
    weights: np.ndarray
    beside: bool
    key: str


class _Net(nn.Module):
    """Convolutions, averages of what each says, dense layers; see `convolution`."""

    def __init__(self, settings: ImageSettings, n_summaries: int, n_outputs: int) -> None:
        super().__init__()
        widths = [5] + [3] * (len(settings.channels) - 1)
        given = (2, *settings.channels[:-1])
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, k, stride=STRIDE, padding=k // 2)
            for a, b, k in zip(given, settings.channels, widths, strict=True)
        )
        n_in = sum(settings.channels) + n_summaries
        # Averages hardly differ between images: only their differences are fed on. Their mean must
        # be part of the gradient, or the convolutions learn to move it.
        self.standard = nn.BatchNorm1d(
            sum(settings.channels), eps=_SMALLEST, affine=False, momentum=_MEMORY
        )
        self.register_buffer("shift", torch.zeros(n_summaries))
        self.register_buffer("spread", torch.ones(n_summaries))
        self.shift: Tensor
        self.spread: Tensor
        dense: list[nn.Module] = []
        for _ in range(settings.hidden_layers):
            dense += [nn.Linear(n_in, settings.units), nn.ReLU()]
            n_in = settings.units
        last = nn.Linear(n_in, n_outputs)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.dense = nn.Sequential(*dense, last)

    def averages(self, x: Tensor) -> Tensor:
        """What each channel says, averaged over the image: (n, n_features)."""
        means = []
        for convolution in self.convolutions:
            x = torch.relu(convolution(x))
            means.append(x.mean(dim=(2, 3)))
        return torch.cat(means, dim=1)

    def inputs(self, x: Tensor, beside: Tensor) -> Tensor:
        """What goes into the dense layers."""
        features = self.standard(self.averages(x))
        return torch.cat([features, (beside - self.shift) / self.spread], dim=1)

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        outputs: Tensor = self.dense(self.inputs(x, beside))
        return outputs


def estimate_loss(n_parameters: int) -> Loss:
    """-ln of a normal density per parameter, whose means and ln sigma are the 2 n_parameters outputs."""

    def loss(outputs: Tensor, unit: Tensor) -> Tensor:
        mean, log_sigma = outputs[:, :n_parameters], outputs[:, n_parameters:]
        log_sigma = log_sigma.clamp(-_STEEPEST, _STEEPEST)
        return (0.5 * ((unit - mean) * torch.exp(-log_sigma)) ** 2 + log_sigma).sum(dim=1)

    return loss


def density_loss(family: BoxDensity) -> Loss:
    """-ln of a density of the family on the box, whose coefficients are the outputs.

    A small penalty on the squares of coefficients keeps densities wider than what the grid resolves.
    """
    nodes, weights = family.nodes()
    on_grid = torch.from_numpy(family.terms(family.points(nodes)).astype(np.float32)).T
    log_weights = torch.from_numpy(np.log(weights).astype(np.float32))

    def loss(outputs: Tensor, unit: Tensor) -> Tensor:
        points = family.points(unit.cpu().numpy().astype(np.float64))
        at = torch.from_numpy(family.terms(points).astype(np.float32)).to(outputs.device)
        logs = outputs @ on_grid.to(outputs.device) + log_weights.to(outputs.device)
        norm = torch.logsumexp(logs, dim=1)
        return norm - (outputs * at).sum(dim=1) + _PENALTY * (outputs**2).sum(dim=1)

    return loss


def train_images(
    train: ImageTraining,
    aside: ImageTraining,
    loss: Loss,
    n_outputs: int,
    settings: ImageSettings,
    *,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> ImageNetwork:
    """The network with the lowest loss on the images `aside`.

    Raises
    ------
    FitError
        If the loss is not finite.
    DataError
        If the checkpoint is damaged.
    """
    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch_with(settings.seed):
        n_summaries = train.images.summaries.shape[2] if train.beside else 0
        net = _Net(settings, n_summaries, n_outputs).to(device)
        if n_summaries:
            every = torch.from_numpy(train.images.summaries.reshape(-1, n_summaries))
            net.shift.copy_(every.mean(dim=0))
            net.spread.copy_(every.std(dim=0).clamp(min=_SMALLEST))
        training = _Training(train, aside, loss, settings, device)
        best = training.run(net, checkpoint, progress)
    return _frozen(best.cpu(), train.images, settings)


class _Training:
    """One optimisation, pass by pass."""

    def __init__(
        self,
        train: ImageTraining,
        aside: ImageTraining,
        loss: Loss,
        settings: ImageSettings,
        device: str,
    ) -> None:
        self.train, self.aside, self.loss = train, aside, loss
        self.settings, self.device = settings, device
        self.batch = min(settings.batch, train.images.n)
        self.per_pass = train.images.n // self.batch
        told = {k: v for k, v in asdict(settings).items() if k != "device"}
        text = f"{train.key} {aside.key} {train.beside} {sorted(told.items())}"
        self.key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def run(self, net: _Net, checkpoint: Path | None, progress: Progress | None) -> _Net:
        settings = self.settings
        mean, best = copy.deepcopy(net), copy.deepcopy(net)
        networks = {"net": net, "mean": mean, "best": best}
        optimiser = torch.optim.AdamW(
            net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        found = None
        if checkpoint is not None:
            found = read_checkpoint(checkpoint, self.key, networks, {"adam": optimiser})
        at = found or Progressed(0, 0, math.inf, 0)
        while at.passes < settings.passes and at.since <= settings.patience:
            taken = self._pass(net, mean, optimiser, at, progress)
            now = self._mean_loss(mean)
            if not math.isfinite(now):
                raise FitError(
                    "the loss of the network of images is not finite: lower learning_rate"
                )
            better = now < at.best_loss
            if better:
                best.load_state_dict(mean.state_dict())
            since = 0 if better else at.since + 1
            at = Progressed(at.passes + 1, taken, min(now, at.best_loss), since)
            if checkpoint is not None:
                write_checkpoint(checkpoint, self.key, networks, {"adam": optimiser}, at)
        self._polish(best)
        if progress is not None:
            progress("training the network of images", 1.0)
        return best

    def _polish(self, net: _Net) -> None:
        """Standardise by all training images, not by batches, and fit the dense layers to that."""
        train, aside = self.train, self.aside
        drawings = range(train.images.drawings)
        net.standard.reset_running_stats()
        # Not a running mean any more: of everything that goes through.
        net.standard.momentum = None
        net.train()
        for drawing in drawings:
            self._inputs(net, train, drawing)
        net.eval()
        learned = [self._inputs(net, train, drawing) for drawing in drawings]
        parts = [learned, [self._inputs(net, aside, 0)]]
        learn, stop = (
            DenseInputs(
                torch.cat(inputs),
                torch.from_numpy(side.unit.astype(np.float32)).repeat(len(inputs), 1),
                torch.from_numpy(side.weights.astype(np.float32)).repeat(len(inputs)),
            )
            for inputs, side in zip(parts, (train, aside), strict=True)
        )
        dense = net.dense.cpu()
        net.dense = polish_dense(dense, learn, stop, self.loss, self.settings.seed)

    @torch.no_grad()
    def _inputs(self, net: _Net, side: ImageTraining, drawing: int) -> Tensor:
        """What goes into the dense layers for every image, (n, n_inputs)."""
        parts = []
        for rows in np.array_split(np.arange(side.images.n), -(-side.images.n // self.batch)):
            x, beside = self._seen(side, rows, np.full_like(rows, drawing), np.zeros(2, np.int64))
            parts.append(net.inputs(x, beside).cpu())
        return torch.cat(parts)

    def _pass(
        self,
        net: _Net,
        mean: _Net,
        optimiser: torch.optim.Optimizer,
        at: Progressed,
        progress: Progress | None,
    ) -> int:
        """One pass over the images; gives the steps taken since the beginning."""
        net.train()
        draw = stream("learning", "passes over images", self.settings.seed, at.passes).generator()
        order = draw.permutation(self.train.images.n)[: self.per_pass * self.batch]
        steps, taken = self.settings.passes * self.per_pass, at.taken
        for rows in np.split(order, self.per_pass):
            drawing = (rows + at.passes) % self.train.images.drawings
            x, beside = self._seen(self.train, rows, drawing, draw.integers(0, 2, size=2))
            unit = torch.from_numpy(self.train.unit[rows].astype(np.float32)).to(self.device)
            weight = torch.from_numpy(self.train.weights[rows].astype(np.float32)).to(self.device)
            optimiser.param_groups[0]["lr"] = self.settings.learning_rate * _rate(taken / steps)
            # Running averages begin with the first batch.
            net.standard.momentum = max(1 / (1 + taken), _MEMORY)
            value = (weight * self.loss(net(x, beside), unit)).mean()
            optimiser.zero_grad()
            torch.autograd.backward(value)
            nn.utils.clip_grad_norm_(net.parameters(), _STEEPEST)
            optimiser.step()
            taken += 1
            follow(mean, net, min(self.settings.averaging, (1 + taken) / (10 + taken)))
            for old, new in zip(mean.buffers(), net.buffers(), strict=True):
                old.copy_(new)
            if progress is not None:
                progress("training the network of images", taken / steps)
        return taken

    def _seen(
        self,
        side: ImageTraining,
        rows: np.ndarray,
        drawing: np.ndarray,
        flips: np.ndarray,
    ) -> tuple[Tensor, Tensor]:
        """What the network sees of some observations, mirrored along the axes that `flips` says."""
        images = side.images
        both = np.empty((len(rows), 2, *images.share.shape), dtype=np.float32)
        both[:, 0] = images.images(rows, drawing)
        both[:, 1] = images.share
        x = torch.from_numpy(both).to(self.device)
        axes = [axis for axis, flip in zip((2, 3), flips, strict=True) if flip]
        n_beside = None if side.beside else 0
        beside = torch.from_numpy(images.summaries[rows, drawing][:, :n_beside]).to(self.device)
        return (torch.flip(x, axes) if axes else x), beside

    @torch.no_grad()
    def _mean_loss(self, net: _Net) -> float:
        """The weighted mean loss of the images kept out, each with its first drawing."""
        net.eval()
        outputs = net.dense(self._inputs(net, self.aside, 0).to(self.device)).cpu()
        unit, weight = (
            torch.from_numpy(a.astype(np.float32)) for a in (self.aside.unit, self.aside.weights)
        )
        return float((weight * self.loss(outputs, unit)).sum() / weight.sum())


def _rate(done: float) -> float:
    """The learning rate over the largest: up in a straight line, down as a cosine."""
    if done < _WARM:
        return 0.05 + 0.95 * done / _WARM
    return 0.5 * (1 + math.cos(math.pi * (done - _WARM) / (1 - _WARM)))


def _frozen(net: _Net, images: ImageSet, settings: ImageSettings) -> ImageNetwork:
    told = {name: t.detach().numpy().copy() for name, t in net.state_dict().items()}
    n_dense = settings.hidden_layers + 1
    return ImageNetwork(
        block=settings.block,
        scale=images.scale,
        share=images.share,
        convolutions=tuple(
            Convolution(told[f"convolutions.{i}.weight"], told[f"convolutions.{i}.bias"])
            for i in range(len(settings.channels))
        ),
        shift=np.concatenate([told["standard.running_mean"], told["shift"]]),
        spread=np.concatenate(
            [np.sqrt(told["standard.running_var"] + np.float32(net.standard.eps)), told["spread"]]
        ),
        # Every other module is a rectifier.
        layers=tuple(
            Layer(told[f"dense.{2 * i}.weight"], told[f"dense.{2 * i}.bias"])
            for i in range(n_dense)
        ),
    )
