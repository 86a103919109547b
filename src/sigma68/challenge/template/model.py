"""A complete entry that you can run as it is, and then improve line by line.

It finds one direction in the space of features that separates signal from background (Fisher's
linear discriminant), counts the events beyond a cut on it, and turns the count into an interval
with its Poisson error. It knows nothing of nuisance parameters: with those switched on its
intervals cover too rarely. That is yours to change.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class Model:
    """Called in this order: `Model(...)` once, `fit()` once, `predict(...)` for every toy."""

    def __init__(self, get_train_set: Any = None, systematics: Any = None) -> None:
        # get_train_set(train_size=None, selected_indices=None) gives a DataFrame: the features
        # and the columns weights, labels (1 signal, 0 background) and detailed_labels.
        self.get_train_set = get_train_set
        # systematics(events, tes=1.01, jes=..., soft_met=..., ttbar_scale=..., ...) gives the
        # same events as the detector would see them then, selection applied. It is None for a
        # task whose nuisance parameters cannot be applied to events.
        self.systematics = systematics

    def fit(self) -> None:
        """Learn from simulated events. There is plenty of time for this."""
        # Half of the events show the direction, the other half say how many events to expect
        # beyond the cut: events used for both would promise too much.
        events = self.get_train_set()
        if self.systematics is not None:
            events = self.systematics(events)  # at nominal: applies the selection
        known = ("weights", "labels", "detailed_labels")
        self.features = [name for name in events.columns if name not in known]
        x = events[self.features].to_numpy(np.float32)
        weights = events["weights"].to_numpy(np.float64)
        is_signal = events["labels"].to_numpy() == 1
        half = np.random.default_rng(0).random(len(events)) < 0.5

        self.direction = fisher(x[half], weights[half], is_signal[half])
        score = x @ self.direction
        self.cut = best_cut(score[half], weights[half], is_signal[half])

        counted = ~half & (score > self.cut)
        self.signal = expected(weights, is_signal, ~half, counted)
        self.background = expected(weights, ~is_signal, ~half, counted)

    def predict(self, test_set: dict[str, Any]) -> dict[str, float]:
        """The 68.27% interval of one toy. The limit is 20 seconds.

        `test_set["data"]` is a DataFrame of the features, `test_set["weights"]` are ones.
        """
        x = test_set["data"][self.features].to_numpy(np.float32)
        n = float(test_set["weights"][x @ self.direction > self.cut].sum())
        mu_hat = (n - self.background) / self.signal
        delta_mu_hat = max(n, 1.0) ** 0.5 / self.signal
        return {
            "mu_hat": mu_hat,
            "delta_mu_hat": delta_mu_hat,
            "p16": mu_hat - delta_mu_hat,
            "p84": mu_hat + delta_mu_hat,
        }


def fisher(x: Any, weights: Any, is_signal: Any) -> Any:
    """The direction along which signal and background differ most, in units of their spread."""
    mean_s = np.average(x[is_signal], axis=0, weights=weights[is_signal])
    mean_b = np.average(x[~is_signal], axis=0, weights=weights[~is_signal])
    spread = np.atleast_2d(np.cov(x[~is_signal].T, aweights=weights[~is_signal]))
    # A little on the diagonal, for features that are constant or repeat each other.
    ridge = 1e-3 * np.diag(np.diag(spread)) + 1e-9 * np.eye(x.shape[1])
    return np.linalg.solve(spread + ridge, mean_s - mean_b).astype(np.float32)


def best_cut(score: Any, weights: Any, is_signal: Any) -> float:
    """The cut with the largest s / sqrt(s + b) among the quantiles of the signal."""
    cuts = np.quantile(score[is_signal], np.linspace(0.0, 0.9, 19))
    best, best_cut = -1.0, float(cuts[0])
    for cut in cuts:
        s = weights[is_signal & (score > cut)].sum()
        b = weights[~is_signal & (score > cut)].sum()
        if s > 0 and s / np.sqrt(s + b) > best:
            best, best_cut = s / np.sqrt(s + b), float(cut)
    return best_cut


def expected(weights: Any, of_kind: Any, used: Any, counted: Any) -> float:
    """Expected events beyond the cut, scaled from the part that was used to all events."""
    return float(weights[of_kind].sum() / weights[of_kind & used].sum()) * float(
        weights[of_kind & counted].sum()
    )
