"""Steps of training: which parameters take which, and how long they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from sigma68.learning.checkpoint import Progressed, read_checkpoint, write_checkpoint
from sigma68.learning.optimiser import Optimiser

RATE, ORTHOGONAL = 0.01, 0.02


def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))


def loss(net: nn.Module) -> Tensor:
    x = torch.linspace(-1.0, 1.0, 32).reshape(8, 4)
    out: Tensor = ((net(x) - 1.0) ** 2).mean()
    return out


@dataclass
class Moved:
    """What a step did to each parameter."""

    net: nn.Sequential
    before: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.before = [p.detach().clone() for p in self.net.parameters()]

    def steps(self) -> list[Tensor]:
        now = self.net.parameters()
        return [p.detach() - old for p, old in zip(now, self.before, strict=True)]


def test_matrices_between_layers_take_orthogonal_steps_and_the_rest_those_of_adam() -> None:
    net = network()
    optimiser = Optimiser.of(net, RATE, ORTHOGONAL, 0.0)
    moved = Moved(net)
    optimiser.step(loss(net), 1.0)
    first, bias, second, _, last, _ = moved.steps()
    for step, longer in ((first, 2**0.5), (second, 1.0)):  # by the root of rows over columns
        seen = torch.linalg.svdvals(step / (ORTHOGONAL * longer))
        # Muon's polynomial brings singular values near 1, but for those that are hardly there.
        assert float(seen.max()) < 1.3
        assert float(seen.max()) > 0.6
    for step in (bias, last):
        torch.testing.assert_close(step.abs().max(), torch.tensor(RATE), rtol=1e-3, atol=0.0)


def test_without_a_rate_all_steps_are_those_of_adam() -> None:
    net = network()
    optimiser = Optimiser.of(net, RATE, 0.0, 0.0)
    assert set(optimiser.parts) == {"adam"}
    moved = Moved(net)
    optimiser.step(loss(net), 1.0)
    for step in moved.steps():
        torch.testing.assert_close(step.abs().max(), torch.tensor(RATE), rtol=1e-3, atol=0.0)


def test_a_share_of_the_rates_is_a_share_of_the_steps() -> None:
    steps = []
    for share in (1.0, 0.25):
        net = network()
        optimiser = Optimiser.of(net, RATE, ORTHOGONAL, 0.0)
        moved = Moved(net)
        optimiser.step(loss(net), share)
        steps.append(moved.steps())
    for whole, part in zip(*steps, strict=True):
        torch.testing.assert_close(part, whole / 4, rtol=1e-4, atol=1e-7)


def test_it_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    path, at = tmp_path / "checkpoint", Progressed(1, 3, 0.5, 0)
    net = network()
    optimiser = Optimiser.of(net, RATE, ORTHOGONAL, 0.1)
    for _ in range(3):
        optimiser.step(loss(net), 1.0)
    write_checkpoint(path, "key", {"net": net}, optimiser.parts, at)
    other = network()
    again = Optimiser.of(other, RATE, ORTHOGONAL, 0.1)
    assert read_checkpoint(path, "key", {"net": other}, again.parts) == at
    for part in (optimiser, again):
        for _ in range(3):
            part.step(loss(part.net), 0.5)
    for one, same in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, same, rtol=0.0, atol=0.0)


def test_a_checkpoint_of_other_optimisers_is_not_taken_up_silently(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    net = network()
    adam = Optimiser.of(net, RATE, 0.0, 0.0)
    adam.step(loss(net), 1.0)
    write_checkpoint(path, "key", {"net": net}, adam.parts, Progressed(1, 1, 0.5, 0))
    assert read_checkpoint(path, "other", {"net": net}, adam.parts) is None
