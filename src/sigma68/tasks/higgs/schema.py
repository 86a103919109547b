"""The columns of a collision event: names, order, units, and where kernels find them.

The order is that of the public file's metadata: 16 primary (`PRI_*`) columns, then 12 derived
(`DER_*`) ones. Kernels address columns by the integer constants below (`HAD_PT`, ...), which are
positions in `FEATURES`. pt and masses are in GeV, angles in radians; what is undefined is -25.
"""

from __future__ import annotations

from typing import Final

from sigma68.types import Feature

__all__ = [
    "DERIVED",
    "EXPECTED_EVENTS",
    "FEATURES",
    "FEATURE_TABLE",
    "INVARIANTS",
    "IS_SIGNAL",
    "LUMINOSITY_FB",
    "MAIN_FEATURES",
    "PRIMARIES",
    "PROCESSES",
    "PROCESS_LABELS",
    "SIGNAL",
    "UNDEFINED",
]

UNDEFINED: Final = -25.0
"""The value of a quantity that the event does not have (a jet that is not there)."""

LUMINOSITY_FB: Final = 10.0
"""The luminosity of one pseudo-experiment, fb^-1."""

PROCESSES: Final = ("htautau", "ztautau", "ttbar", "diboson")
PROCESS_LABELS: Final = (r"$H\to\tau\tau$", r"$Z\to\tau\tau$", r"$t\bar{t}$", "Diboson")
SIGNAL: Final = 0
"""The position of the signal in `PROCESSES`."""
IS_SIGNAL: Final = (True, False, False, False)

EXPECTED_EVENTS: Final = (1015.0, 1_002_395.0, 44_192.0, 3_783.0)
"""Expected events per process at 10 fb^-1 and mu = 1, before the high thresholds (Table 1)."""

_PRIMARY_TABLE: Final = (
    Feature("PRI_lep_pt", r"$p_T^{\ell}$", "GeV"),
    Feature("PRI_lep_eta", r"$\eta^{\ell}$"),
    Feature("PRI_lep_phi", r"$\phi^{\ell}$", "rad"),
    Feature("PRI_had_pt", r"$p_T^{\tau}$", "GeV"),
    Feature("PRI_had_eta", r"$\eta^{\tau}$"),
    Feature("PRI_had_phi", r"$\phi^{\tau}$", "rad"),
    Feature("PRI_jet_leading_pt", r"$p_T^{j_1}$", "GeV"),
    Feature("PRI_jet_leading_eta", r"$\eta^{j_1}$"),
    Feature("PRI_jet_leading_phi", r"$\phi^{j_1}$", "rad"),
    Feature("PRI_jet_subleading_pt", r"$p_T^{j_2}$", "GeV"),
    Feature("PRI_jet_subleading_eta", r"$\eta^{j_2}$"),
    Feature("PRI_jet_subleading_phi", r"$\phi^{j_2}$", "rad"),
    Feature("PRI_n_jets", r"$N_{\mathrm{jets}}$"),
    Feature("PRI_jet_all_pt", r"$\sum p_T^{\mathrm{jets}}$", "GeV"),
    Feature("PRI_met", r"$E_T^{\mathrm{miss}}$", "GeV"),
    Feature("PRI_met_phi", r"$\phi(E_T^{\mathrm{miss}})$", "rad"),
)

_DERIVED_TABLE: Final = (
    Feature("DER_mass_transverse_met_lep", r"$m_T(\ell, E_T^{\mathrm{miss}})$", "GeV"),
    Feature("DER_mass_vis", r"$m_{\mathrm{vis}}$", "GeV"),
    Feature("DER_pt_h", r"$p_T^{H}$", "GeV"),
    Feature("DER_deltaeta_jet_jet", r"$|\Delta\eta_{jj}|$"),
    Feature("DER_mass_jet_jet", r"$m_{jj}$", "GeV"),
    Feature("DER_prodeta_jet_jet", r"$\eta_{j_1}\cdot\eta_{j_2}$"),
    Feature("DER_deltar_had_lep", r"$\Delta R(\tau,\ell)$"),
    Feature("DER_pt_tot", r"$p_T^{\mathrm{tot}}$", "GeV"),
    Feature("DER_sum_pt", r"$\sum p_T$", "GeV"),
    Feature("DER_pt_ratio_lep_had", r"$p_T^{\ell}/p_T^{\tau}$"),
    Feature("DER_met_phi_centrality", r"$E_T^{\mathrm{miss}}\ \phi$ centrality"),
    Feature("DER_lep_eta_centrality", r"$\ell\ \eta$ centrality"),
)

FEATURE_TABLE: Final[tuple[Feature, ...]] = _PRIMARY_TABLE + _DERIVED_TABLE
PRIMARIES: Final[tuple[str, ...]] = tuple(feature.name for feature in _PRIMARY_TABLE)
DERIVED: Final[tuple[str, ...]] = tuple(feature.name for feature in _DERIVED_TABLE)
FEATURES: Final[tuple[str, ...]] = PRIMARIES + DERIVED
MAIN_FEATURES: Final = (
    "DER_mass_vis",
    "DER_mass_transverse_met_lep",
    "DER_pt_h",
    "DER_sum_pt",
)
"""Those that every event has and that the analysis turns on."""

# Positions in FEATURES, for kernels (numba freezes module-level integers into the code).
LEP_PT: Final = 0
LEP_ETA: Final = 1
LEP_PHI: Final = 2
HAD_PT: Final = 3
HAD_ETA: Final = 4
HAD_PHI: Final = 5
JET1_PT: Final = 6
JET1_ETA: Final = 7
JET1_PHI: Final = 8
JET2_PT: Final = 9
JET2_ETA: Final = 10
JET2_PHI: Final = 11
N_JETS: Final = 12
JET_ALL_PT: Final = 13
MET: Final = 14
MET_PHI: Final = 15
MASS_TRANSVERSE: Final = 16
MASS_VIS: Final = 17
PT_H: Final = 18
DELTAETA_JJ: Final = 19
MASS_JJ: Final = 20
PRODETA_JJ: Final = 21
DELTAR_HAD_LEP: Final = 22
PT_TOT: Final = 23
SUM_PT: Final = 24
PT_RATIO: Final = 25
MET_PHI_CENTRALITY: Final = 26
LEP_ETA_CENTRALITY: Final = 27


def _of_jet(n: int) -> tuple[Feature, ...]:
    jet, before = f"j_{n}", "H" if n == 1 else "H + j_1"
    return (
        Feature(f"log_jet{n}_pt", rf"$\ln p_T^{{{jet}}}$"),
        Feature(f"jet{n}_eta", rf"$\eta^{{{jet}}}$"),
        Feature(f"jet{n}_cos", rf"$\cos\Delta\phi({jet}, \tau)$"),
        Feature(f"jet{n}_sin", rf"$\sin\Delta\phi({jet}, \tau)$"),
        Feature(f"jet{n}_lep_cos", rf"$\cos\Delta\phi({jet}, \ell)$"),
        Feature(f"jet{n}_lep_sin", rf"$\sin\Delta\phi({jet}, \ell)$"),
        Feature(f"deltar_jet{n}_had", rf"$\Delta R({jet}, \tau)$"),
        Feature(f"deltar_jet{n}_lep", rf"$\Delta R({jet}, \ell)$"),
        Feature(f"log_mass_jet{n}_had", rf"$\ln m({jet}, \tau)$"),
        Feature(f"log_mass_jet{n}_lep", rf"$\ln m({jet}, \ell)$"),
        Feature(f"jet{n}_recoil_cos", rf"$\cos\Delta\phi({jet}, {before})$"),
        Feature(f"jet{n}_recoil_sin", rf"$\sin\Delta\phi({jet}, {before})$"),
    )


_INVARIANT_TABLE: Final = (
    Feature("log_had_pt", r"$\ln p_T^{\tau}$"),
    Feature("had_eta", r"$|\eta^{\tau}|$"),
    Feature("log_lep_pt", r"$\ln p_T^{\ell}$"),
    Feature("lep_eta", r"$\eta^{\ell}$"),
    Feature("lep_phi", r"$|\Delta\phi(\ell, \tau)|$", "rad"),
    Feature("met_along", r"$\sinh^{-1}$ of MET along $\tau$"),
    Feature("met_across", r"$\sinh^{-1}$ of MET across $\tau$"),
    Feature("n_jets", r"$N_{\mathrm{jets}}$"),
    Feature("log_jet_all_pt", r"$\ln \sum p_T^{\mathrm{jets}}$"),
    Feature("neutrino_lep", r"$\sinh^{-1}$ of MET given to $\ell$"),
    Feature("neutrino_had", r"$\sinh^{-1}$ of MET given to $\tau$"),
    Feature("log_mass_collinear", r"$\ln m_{\tau\tau}$, collinear"),
    Feature("mass_transverse_had", r"$m_T(\tau, E_T^{\mathrm{miss}})$", "GeV"),
    Feature("mass_transverse_all", r"$m_T(\tau, \ell, E_T^{\mathrm{miss}})$", "GeV"),
    Feature("met_along_lep", r"$\sinh^{-1}$ of MET along $\ell$"),
    Feature("met_across_lep", r"$\sinh^{-1}$ of MET across $\ell$"),
    Feature("h_cos", r"$\cos\Delta\phi(H, \tau)$"),
    Feature("h_sin", r"$\sin\Delta\phi(H, \tau)$"),
    *_of_jet(1),
    Feature("log_pt_h_jet1", r"$\ln p_T^{H + j_1}$"),
    *_of_jet(2),
    Feature("jets_cos", r"$\cos\Delta\phi(j_1, j_2)$"),
    Feature("jets_sin", r"$\sin\Delta\phi(j_1, j_2)$"),
    Feature("deltar_jets", r"$\Delta R(j_1, j_2)$"),
    Feature("log_further_pt", r"$\ln$ of the mean $p_T$ of further jets"),
)
INVARIANTS: Final[tuple[Feature, ...]] = _INVARIANT_TABLE + _DERIVED_TABLE
"""Features that turning and mirroring an event leaves as they are, see `invariants`."""
