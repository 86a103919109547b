"""The formulae of the specification in plain NumPy, one line each: what the kernels must equal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sigma68.tasks.higgs.schema import DERIVED, FEATURES, PRIMARIES

Columns = dict[str, npt.NDArray[np.float64]]


def columns(values: npt.NDArray[np.float32]) -> Columns:
    return {name: row.astype(np.float64) for name, row in zip(PRIMARIES, values, strict=False)}


def rounded(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.round(x, 3).astype(np.float32).astype(np.float64)


def derived(c: Columns) -> Columns:
    def vector(name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        pt, phi = c[f"PRI_{name}pt"], c[f"PRI_{name}phi"]
        return pt * np.cos(phi), pt * np.sin(phi)

    def mass(a: str, b: str) -> npt.NDArray[np.float64]:
        d_eta = c[f"PRI_{a}_eta"] - c[f"PRI_{b}_eta"]
        d_phi = c[f"PRI_{a}_phi"] - c[f"PRI_{b}_phi"]
        pts = c[f"PRI_{a}_pt"] * c[f"PRI_{b}_pt"]
        return np.sqrt(np.maximum(4 * pts * (np.sinh(d_eta / 2) ** 2 + np.sin(d_phi / 2) ** 2), 0))

    met = {**c, "PRI_met_pt": c["PRI_met"], "PRI_met_eta": c["PRI_lep_eta"]}
    c = met
    one, two = c["PRI_n_jets"] >= 1, c["PRI_n_jets"] >= 2
    lep, had, miss = vector("lep_"), vector("had_"), vector("met_")
    jets = [
        tuple(np.where(listed, p, 0.0) for p in vector(name))
        for name, listed in (("jet_leading_", one), ("jet_subleading_", two))
    ]
    eta1, eta2 = c["PRI_jet_leading_eta"], c["PRI_jet_subleading_eta"]
    d_phi = np.mod(c["PRI_lep_phi"] - c["PRI_had_phi"] + np.pi, 2 * np.pi) - np.pi
    square = np.where(eta1 == eta2, 1e-4, (eta1 - eta2) ** 2)
    turned = c["PRI_lep_phi"] + np.where(c["PRI_lep_phi"] == c["PRI_had_phi"], 1e-4, 0.0)
    side = np.sign(np.sin(c["PRI_had_phi"] - turned))
    a = np.sin(c["PRI_met_phi"] - turned) * side
    b = np.sin(c["PRI_had_phi"] - c["PRI_met_phi"]) * side
    result = {
        "DER_mass_transverse_met_lep": mass("lep", "met"),
        "DER_mass_vis": mass("lep", "had"),
        "DER_pt_h": np.hypot(*(lep[i] + had[i] + miss[i] for i in (0, 1))),
        "DER_deltaeta_jet_jet": np.where(two, np.abs(eta1 - eta2), -25.0),
        "DER_mass_jet_jet": np.where(two, mass("jet_leading", "jet_subleading"), -25.0),
        "DER_prodeta_jet_jet": np.where(two, eta1 * eta2, -25.0),
        "DER_deltar_had_lep": np.hypot(c["PRI_lep_eta"] - c["PRI_had_eta"], d_phi),
        "DER_pt_tot": np.hypot(
            *(lep[i] + had[i] + miss[i] + jets[0][i] + jets[1][i] for i in (0, 1))
        ),
        "DER_sum_pt": c["PRI_had_pt"] + c["PRI_lep_pt"] + c["PRI_jet_all_pt"],
        "DER_pt_ratio_lep_had": c["PRI_lep_pt"] / c["PRI_had_pt"],
        "DER_met_phi_centrality": (a + b) / np.hypot(a, b),
        "DER_lep_eta_centrality": np.where(
            two, np.exp(-4 * (c["PRI_lep_eta"] - (eta1 + eta2) / 2) ** 2 / square), -25.0
        ),
    }
    return {name: result[name] for name in DERIVED}


def unrounded(
    c: Columns, tes: float, jes: float, noise: npt.NDArray[np.float64] | None = None
) -> Columns:
    """The primaries after scaling and soft MET, before they are rounded."""
    one, two = c["PRI_n_jets"] >= 1, c["PRI_n_jets"] >= 2
    met = c["PRI_met"] * np.exp(1j * c["PRI_met_phi"])
    met += (1 - tes) * c["PRI_had_pt"] * np.exp(1j * c["PRI_had_phi"])
    for name, listed in (("leading", one), ("subleading", two)):
        momentum = c[f"PRI_jet_{name}_pt"] * np.exp(1j * c[f"PRI_jet_{name}_phi"])
        met += np.where(listed, (1 - jes) * momentum, 0)
    if noise is not None:
        met += noise[0] + 1j * noise[1]
    return {
        **c,
        "PRI_had_pt": tes * c["PRI_had_pt"],
        "PRI_jet_leading_pt": np.where(one, jes, 1.0) * c["PRI_jet_leading_pt"],
        "PRI_jet_subleading_pt": np.where(two, jes, 1.0) * c["PRI_jet_subleading_pt"],
        "PRI_jet_all_pt": jes * c["PRI_jet_all_pt"],
        "PRI_met": np.abs(met),
        "PRI_met_phi": np.angle(met),
    }


def biased(
    values: npt.NDArray[np.float32],
    tes: float = 1.0,
    jes: float = 1.0,
    noise: npt.NDArray[np.float64] | None = None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """All features of the events that pass, shape (28, m), and their rows."""
    c = unrounded(columns(values), tes, jes, noise)
    c = {name: rounded(column) for name, column in c.items()}
    n_jets = c["PRI_n_jets"]
    lose1 = (n_jets >= 1) & (c["PRI_jet_leading_pt"] <= 26)
    lose2 = (n_jets >= 2) & ((c["PRI_jet_subleading_pt"] <= 26) | lose1)
    c["PRI_jet_all_pt"] = np.where(lose2, c["PRI_jet_leading_pt"], c["PRI_jet_all_pt"])
    c["PRI_jet_all_pt"] = np.where(lose1, 0.0, c["PRI_jet_all_pt"])
    c["PRI_n_jets"] = np.where(lose1, 0.0, np.where(lose2, 1.0, n_jets))
    for which, lost in (("leading", lose1), ("subleading", lose2)):
        for quantity in ("pt", "eta", "phi"):
            name = f"PRI_jet_{which}_{quantity}"
            c[name] = np.where(lost, -25.0, c[name])
    rows = np.flatnonzero((c["PRI_had_pt"] >= 26) & (c["PRI_lep_pt"] >= 20))
    c = {name: column[rows] for name, column in c.items()}
    c |= derived(c)
    return np.stack([c[name] for name in FEATURES]), rows
