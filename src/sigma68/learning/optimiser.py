"""The optimiser of networks of dense layers (extra `torch`).

Matrices between layers take steps of Muon: the running mean of their gradients, made orthogonal, so
that every direction of a matrix is learned as fast as any other. Biases and the last layer, whose
directions mean something each, take steps of Adam with decoupled weight decay.

References: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024); Liu et
al., arXiv:2502.16982; Loshchilov and Hutter, arXiv:1711.05101.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Optimiser"]

_LONGEST = 1.0  # gradient of a step


@dataclass(frozen=True)
class Optimiser:
    """What moves a network.

    Attributes
    ----------
    net
        Dense layers, the last one linear.
    parts
        The optimisers by their names, each with the parameters that it moves.
    """

    net: nn.Sequential
    parts: dict[str, torch.optim.Optimizer]

    @classmethod
    def of(
        cls, net: nn.Sequential, rate: float, orthogonal_rate: float, weight_decay: float
    ) -> Optimiser:
        """Adam at `rate`, and Muon at `orthogonal_rate` for the matrices; with 0 Adam for all."""
        layers = [layer for layer in net if isinstance(layer, nn.Linear)]
        matrices = [layer.weight for layer in layers[:-1]] if orthogonal_rate > 0 else []
        own = {id(matrix) for matrix in matrices}
        others = [p for p in net.parameters() if id(p) not in own]
        adam = torch.optim.AdamW(others, lr=rate, weight_decay=weight_decay)
        parts: dict[str, torch.optim.Optimizer] = {"adam": adam}
        if matrices:
            parts["muon"] = torch.optim.Muon(
                matrices, lr=orthogonal_rate, weight_decay=weight_decay
            )
        for part in parts.values():
            for group in part.param_groups:
                group["largest"] = group["lr"]
        return cls(net, parts)

    def step(self, loss: Tensor, share: float) -> None:
        """Move the network against the gradient of `loss`, at a `share` of the learning rates."""
        self.net.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.net.parameters(), _LONGEST)
        for part in self.parts.values():
            for group in part.param_groups:
                group["lr"] = share * group["largest"]
            part.step()
