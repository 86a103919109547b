"""A course of training: what it ends with, and when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sigma68.learning.fit_course import Course

X = torch.linspace(-1.0, 1.0, 64)[:, None]


@dataclass(frozen=True)
class Quick:
    passes: int = 40
    patience: int = 3
    learning_rate: float = 0.05
    orthogonal_rate: float = 0.0
    weight_decay: float = 0.0
    averaging: float = 0.5


def fresh() -> nn.Sequential:
    last = nn.Linear(1, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(last)


def apart(net: nn.Module) -> Tensor:
    """How far a network is from y = x / 2."""
    difference: Tensor = ((net(X) - X / 2) ** 2).mean()
    return difference


@torch.no_grad()
def checked(net: nn.Module) -> float:
    return float(apart(net))


def losses(net: nn.Sequential, number: int) -> Iterator[Tensor]:
    for _ in range(4):
        yield apart(net)


def test_it_learns_what_the_losses_say() -> None:
    course = Course("a line", 4, Quick(patience=40), losses, checked)
    told: list[tuple[str, float]] = []
    net = course.train(fresh(), lambda *said: told.append(said), None, "")
    assert checked(net) < 1e-4
    assert told[-1] == ("a line", 1.0)


def test_it_stops_where_nothing_gets_better_and_gives_what_was_best() -> None:
    seen: list[Tensor] = []

    def worse_after_two(net: nn.Module) -> float:
        seen.append(next(net.parameters()).detach().clone())
        return float(abs(len(seen) - 2))

    net = Course("a line", 4, Quick(), losses, worse_after_two).train(fresh(), None, None, "")
    assert len(seen) == 2 + 1 + Quick.patience
    assert torch.equal(next(net.parameters()), seen[1])
    assert not torch.equal(seen[1], seen[-1])
