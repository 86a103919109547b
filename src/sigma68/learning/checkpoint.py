"""Trainings that survive a kill: the state of an optimisation, written whole after every pass.

Tensors go into one safetensors file, numbers into its header, nothing is pickled. A checkpoint
knows what it is of (`key`: settings, data, seed), and one of anything else is not taken up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from sigma68.errors import DataError
from sigma68.learning.files import write_bytes

__all__ = ["Progressed", "read_checkpoint", "write_checkpoint"]

_FORMAT = "2"


@dataclass(frozen=True)
class Progressed:
    """How far a training is: passes done, steps taken, the lowest loss and passes since."""

    passes: int
    taken: int
    best_loss: float
    since: int


def write_checkpoint(
    path: Path,
    key: str,
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    progressed: Progressed,
) -> None:
    """Write networks and the optimisers of one, by their names, and how far it is.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    tensors = {
        f"{name}/{part}": value.contiguous()
        for name, network in networks.items()
        for part, value in network.state_dict().items()
    }
    for name, optimiser in optimisers.items():
        for i, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{name}/{i}/{part}": value for part, value in state.items()}
    header = {"format": _FORMAT, "key": key, "progressed": json.dumps(asdict(progressed))}
    write_bytes(path, save(tensors, header))


def read_checkpoint(
    path: Path,
    key: str,
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
) -> Progressed | None:
    """Put the networks and the optimisers where they were; None if there is no such checkpoint.

    A checkpoint of other settings or data is none; it will be written over.

    Raises
    ------
    DataError
        If there is one that is damaged.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as opened:
            header = opened.metadata() or {}
            if (header.get("format"), header.get("key")) != (_FORMAT, key):
                return None
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        progressed = Progressed(**json.loads(header["progressed"]))
        for name, network in networks.items():
            network.load_state_dict(_under(tensors, f"{name}/"))
        for name, optimiser in optimisers.items():
            whole = optimiser.state_dict()
            whole["state"] = _states(_under(tensors, f"optimiser/{name}/"))
            optimiser.load_state_dict(whole)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"the checkpoint {path} is damaged ({error}): remove it to train from the beginning"
        ) from error
    return progressed


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}


def _states(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, part = name.split("/")
        states.setdefault(int(number), {})[part] = tensor
    return states
