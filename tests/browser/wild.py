"""Two entries in the style in which people wrote them for the challenge: old imports, files beside."""

from __future__ import annotations

CUT_AND_COUNT = """
import os
import numpy as np
from systematics import systematics
from derived_quantities import DER_data

PATH = os.path.dirname(os.path.abspath(__file__))


class Model:
    def __init__(self, get_train_set=None, systematics=None):
        print("Initializing Model")
        self.train_set = get_train_set(train_size=4000)
        self.systematics = systematics
        self.cut = np.loadtxt(os.path.join(PATH, "cut.txt"))

    def fit(self):
        train_set = {
            "data": self.train_set.drop(columns=["weights", "labels", "detailed_labels"]),
            "weights": self.train_set["weights"],
            "labels": self.train_set["labels"],
            "detailed_labels": self.train_set["detailed_labels"],
        }
        nominal = self.systematics(train_set)
        labels = np.asarray(nominal["labels"])
        weights = np.asarray(nominal["weights"]) * self._select(nominal["data"])
        self.s, self.b = weights[labels == 1].sum(), weights[labels == 0].sum()
        shifted = systematics(train_set, tes=1.02, seed=1)
        up = (np.asarray(shifted["weights"]) * self._select(shifted["data"])).sum()
        self.spread = abs(up - self.s - self.b) / 2
        print(f"s = {self.s:.1f}, b = {self.b:.1f}")

    def _select(self, data):
        mass = DER_data(data.copy())["DER_mass_vis"]
        return np.asarray((mass > self.cut[0]) & (mass < self.cut[1]))

    def predict(self, test_set):
        n = (np.asarray(test_set["weights"]) * self._select(test_set["data"])).sum()
        mu_hat = (n - self.b) / self.s
        delta = np.sqrt(n + self.spread**2) / self.s
        return {
            "mu_hat": mu_hat,
            "delta_mu_hat": 2 * delta,
            "p16": mu_hat - delta,
            "p84": mu_hat + delta,
        }
"""

PACKAGED = """
from HiggsML.systematics import systematics
import HiggsML.derived_quantities
import numpy as np


class Model():

    def __init__(self, get_train_set, systematics):
        self.get_train_set = get_train_set
        del systematics

    def fit(self):
        df = self.get_train_set(selected_indices=list(range(5000)))
        events = systematics(df, dopostprocess=False)
        self.total = events["weights"].sum()

    def predict(self, test_set):
        mu = float(np.clip(len(test_set["data"]) / 1e6, 0.1, 3))
        return {"mu_hat": mu, "delta_mu_hat": 2.0, "p16": 0.5, "p84": 2.6}
"""
