"""Toys of a method whose estimates are known: mu + bias + sigma (1 + rise mu) times a normal."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sigma68.types import Parameter

MU = Parameter("mu", 0.1, 3.0)


def made_answers(
    n: int,
    *,
    seed: int,
    sigma: float = 0.2,
    rise: float = 0.0,
    bias: float = 0.0,
    left: float = 1.0,
    right: float = 1.0,
    failures: float = 0.0,
) -> pd.DataFrame:
    """A table of toys, each with a mu of its own; intervals have arms of `left`, `right` sigmas."""
    draw = np.random.default_rng(seed)
    mu = draw.uniform(MU.low, MU.high, n)
    hat = mu + bias + sigma * (1 + rise * mu) * draw.standard_normal(n)
    failed = draw.uniform(size=n) < failures
    toys = pd.DataFrame(
        {
            "set": 0,
            "toy": np.arange(n),
            "mu": mu,
            "mu_hat": hat,
            "delta_mu_hat": sigma,
            "p16": hat - left * sigma,
            "p84": hat + right * sigma,
            "status": np.where(failed, "failed", "ok"),
            "seconds": 0.0,
            "shift": draw.standard_normal(n),
            "off": 1.0,
        }
    )
    toys.loc[failed, ["mu_hat", "delta_mu_hat", "p16", "p84"]] = np.nan
    return toys
