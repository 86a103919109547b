"""Tables of toys with a known truth: what runs of good and bad methods look like."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sigma68.types import Nuisance, Parameter

MU = Parameter("mu", 0.1, 3.0, label=r"$\mu$")
NUISANCES = (
    Nuisance("shift", 1.0, "normal", 1.0, 0.01, 0.9, 1.1, label="shift"),
    Nuisance("smear", 0.0, "lognormal", 0.0, 1.0, 0.0, 5.0, label="smearing", unit="GeV"),
)


def made_toys(
    sets: int = 10,
    toys: int = 100,
    *,
    seed: int = 1,
    sigma: float = 0.4,
    scale: float = 1.0,
    bias: float = 0.0,
    failures: float = 0.0,
    slope: float = 0.0,
    active: bool = True,
    noise_seed: int | None = None,
) -> pd.DataFrame:
    """Gaussian estimates of width `sigma` with intervals of +- `scale` sigma around them.

    `bias` shifts the estimates (in sigma), `slope` makes them follow the first nuisance (sigma
    per standard deviation of its prior), `failures` is the fraction of failed toys. `seed` makes
    the truths; `noise_seed` what the method does with them.
    """
    truths = np.random.default_rng(seed)
    noise = np.random.default_rng(1000 + seed if noise_seed is None else noise_seed)
    n = sets * toys
    mu = np.repeat(truths.uniform(MU.low, MU.high, sets), toys)
    z = truths.standard_normal((2, n))
    hat = mu + sigma * (noise.standard_normal(n) + bias + slope * z[0])
    table = pd.DataFrame(
        {
            "set": np.repeat(np.arange(sets), toys),
            "toy": np.tile(np.arange(toys), sets),
            "mu": mu,
            "mu_hat": hat,
            "delta_mu_hat": np.full(n, scale * sigma),
            "p16": hat - scale * sigma,
            "p84": hat + scale * sigma,
            "status": "ok",
            "seconds": noise.gamma(4.0, 0.05, n),
            "shift": np.clip(1 + 0.01 * z[0], 0.9, 1.1) if active else 1.0,
            "smear": np.clip(np.exp(z[1]), 0, 5) if active else 0.0,
        }
    )
    failed = noise.uniform(size=n) < failures
    kinds = np.array(["failed", "invalid", "timeout", "crashed"])
    table.loc[failed, ["mu_hat", "delta_mu_hat", "p16", "p84"]] = np.nan
    table.loc[failed, "status"] = kinds[noise.integers(0, 4, int(failed.sum()))]
    return table
