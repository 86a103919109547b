"""The kernels against the plain statement of the same formulae, and what each bias must do."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
import pytest

from sigma68.seeds import stream
from sigma68.tasks.higgs import schema
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.derived import CHUNK, derive
from sigma68.tasks.higgs.schema import DERIVED, FEATURES
from tests.tasks.higgs import statement

Events = npt.NDArray[np.float32]
KEY = stream("higgs", "test", 1).key32


def event(**given: float) -> Events:
    """One event: two jets, nothing degenerate, unless `given` says otherwise."""
    values = {
        "lep_pt": 40.0, "lep_eta": 0.5, "lep_phi": 1.0, "had_pt": 50.0, "had_eta": -0.7,
        "had_phi": -2.0, "jet_leading_pt": 80.0, "jet_leading_eta": 1.5, "jet_leading_phi": 2.5,
        "jet_subleading_pt": 35.0, "jet_subleading_eta": -2.0, "jet_subleading_phi": -0.5,
        "n_jets": 2.0, "jet_all_pt": 115.0, "met": 30.0, "met_phi": 0.2,
    }  # fmt: skip
    assert given.keys() <= values.keys()
    values |= given
    return np.array([[values[name[4:]]] for name in schema.PRIMARIES], np.float32)


def assert_same(kernel: Events, plain: npt.NDArray[np.float64]) -> None:
    """Equal to float32's precision; masses and momenta near 0 to that of what cancels in them."""
    np.testing.assert_allclose(kernel, plain.astype(np.float32), rtol=3e-7, atol=2e-6)


def test_derived_equal_the_plain_statement(stand_in: Events) -> None:
    plain = statement.derived(statement.columns(stand_in))
    assert_same(derive(stand_in), np.stack([plain[name] for name in DERIVED]))


@pytest.mark.parametrize(
    ("tes", "jes", "soft_met"),
    [(1.0, 1.0, 0.0), (1.03, 1.0, 0.0), (1.0, 0.96, 0.0), (0.9, 1.1, 5.0), (1.1, 0.9, 0.7)],
)
def test_biased_events_equal_the_plain_statement(
    stand_in: Events, tes: float, jes: float, soft_met: float
) -> None:
    noise = np.random.default_rng(7).normal(0, soft_met, (2, stand_in.shape[1]))
    kernel, rows = bias_columns(stand_in, tes, jes, noise=noise)
    plain, plain_rows = statement.biased(stand_in, tes, jes, noise)
    np.testing.assert_array_equal(rows, plain_rows)
    assert kernel.shape[1] > 0.5 * stand_in.shape[1]
    assert_same(kernel, plain)


def test_derived_columns_are_those_of_the_rounded_primaries(stand_in: Events) -> None:
    features, _ = bias_columns(stand_in, 1.02, 0.98, 2.0, KEY)
    # A transverse mass of 0 is the root of what is left of 1e-16: hence 1e-5 GeV.
    np.testing.assert_allclose(features[16:], derive(features[:16]), rtol=3e-7, atol=1e-5)


def test_pieces_give_the_events_of_the_whole(stand_in: Events) -> None:
    whole, rows = bias_columns(stand_in, 1.01, 0.99, 1.5, KEY)
    cut = 2 * CHUNK - 37
    first, first_rows = bias_columns(np.ascontiguousarray(stand_in[:, :cut]), 1.01, 0.99, 1.5, KEY)
    rest, rest_rows = bias_columns(
        np.ascontiguousarray(stand_in[:, cut:]), 1.01, 0.99, 1.5, KEY, first_event=cut
    )
    np.testing.assert_array_equal(whole, np.concatenate([first, rest], axis=1))
    np.testing.assert_array_equal(rows, np.concatenate([first_rows, rest_rows + cut]))


def test_thread_count_changes_nothing(stand_in: Events) -> None:
    with_all = bias_columns(stand_in, 1.01, 0.99, 1.5, KEY)[0]
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        np.testing.assert_array_equal(with_all, bias_columns(stand_in, 1.01, 0.99, 1.5, KEY)[0])
    finally:
        numba.set_num_threads(threads)


def test_soft_met_noise_is_normal_with_the_given_width() -> None:
    n = 200_000
    still = np.repeat(event(met=200.0, met_phi=0.0, n_jets=0.0), n, axis=1)
    features, _ = bias_columns(still, soft_met=3.0, key32=KEY)
    met, phi = features[schema.MET].astype(float), features[schema.MET_PHI].astype(float)
    x, y = met * np.cos(phi) - 200.0, met * np.sin(phi)
    # MET's azimuth is rounded to 0.001 rad: 200 GeV * 0.001 / sqrt(12) of spread along y.
    for component, spread in ((x, 3.0), (y, np.hypot(3.0, 200 * 1e-3 / np.sqrt(12)))):
        assert abs(component.mean()) < 4 * spread / np.sqrt(n)
        assert abs(component.std() / spread - 1) < 4 / np.sqrt(2 * n)
        standard = component / spread
        assert abs((standard**4).mean() - 3) < 4 * np.sqrt(96 / n)
    assert abs(np.corrcoef(x, y)[0, 1]) < 4 / np.sqrt(n)
    assert (bias_columns(still, soft_met=3.0, key32=KEY + np.uint32(1))[0] != features).any()


def test_high_thresholds_are_applied_with_nuisances_off() -> None:
    def passes(**given: float) -> bool:
        return bias_columns(event(**given))[0].shape[1] == 1

    assert passes(had_pt=26.0)
    assert not passes(had_pt=25.999)
    assert passes(lep_pt=20.0)
    assert not passes(lep_pt=19.999)
    assert bias_columns(event(had_pt=20.0), keep_low=True)[0].shape[1] == 1


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (dict(n_jets=2, jet_subleading_pt=26.0, jet_all_pt=106.0), (1, 80.0, 80.0, -25.0)),
        (dict(n_jets=2, jet_subleading_pt=26.001, jet_all_pt=106.001), (2, 106.001, 80.0, 26.001)),
        (dict(n_jets=3, jet_subleading_pt=25.0, jet_all_pt=129.0), (1, 80.0, 80.0, -25.0)),
        (
            dict(n_jets=3, jet_leading_pt=25.5, jet_subleading_pt=25.0, jet_all_pt=74.0),
            (0, 0.0, -25.0, -25.0),
        ),
        # Jets beyond the two listed are never cut by themselves.
        (dict(n_jets=3, jet_subleading_pt=27.0, jet_all_pt=130.0), (3, 130.0, 80.0, 27.0)),
    ],
)
def test_soft_jets_leave_their_event(given: dict[str, float], left: tuple[float, ...]) -> None:
    features, _ = bias_columns(event(**given))
    got = features[[schema.N_JETS, schema.JET_ALL_PT, schema.JET1_PT, schema.JET2_PT], 0]
    np.testing.assert_array_equal(got, np.float32(left))
    two_jets = [FEATURES.index(name) for name in DERIVED if "jet_jet" in name]
    assert (features[two_jets, 0] == -25).all() == (left[0] < 2)


def test_scaling_moves_met_against_what_was_scaled() -> None:
    features, _ = bias_columns(event(had_phi=0.0, met_phi=0.0, n_jets=0), tes=1.1)
    assert features[schema.HAD_PT, 0] == np.float32(55.0)
    assert features[schema.MET, 0] == np.float32(25.0)
    features, _ = bias_columns(
        event(n_jets=1, jet_leading_phi=0.0, met_phi=0.0, jet_all_pt=80.0), jes=0.9
    )
    assert features[schema.JET1_PT, 0] == np.float32(72.0)
    assert features[schema.MET, 0] == np.float32(38.0)


@pytest.mark.parametrize(
    "given",
    [
        dict(jet_subleading_eta=1.5),
        dict(lep_phi=-2.0),
        dict(lep_phi=-2.0, met_phi=-2.0),
        dict(lep_phi=-2.0, lep_eta=-0.7),
        dict(met=0.0),
        dict(met_phi=3.142, lep_phi=-3.142, had_phi=3.142),
        dict(jet_subleading_eta=1.5, lep_eta=1.5),
    ],
)
def test_degenerate_angles_never_give_nan(given: dict[str, float]) -> None:
    values = event(**given)
    plain = statement.derived(statement.columns(values))
    got = derive(values)
    assert np.isfinite(got).all()
    assert_same(got, np.stack([plain[name] for name in DERIVED]))
    assert np.isfinite(bias_columns(values, 1.01, 0.99, 1.0, KEY)[0]).all()


def test_no_events_give_no_events() -> None:
    features, rows = bias_columns(np.empty((16, 0), np.float32), 1.01)
    assert features.shape == (28, 0)
    assert rows.shape == (0,)
    assert derive(np.empty((16, 0), np.float32)).shape == (12, 0)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="float32 of shape"):
        derive(np.zeros((16, 3)))
    with pytest.raises(ValueError, match="float32 of shape"):
        bias_columns(np.zeros((3, 16), np.float32))
    with pytest.raises(ValueError, match="noise must have shape"):
        bias_columns(np.zeros((16, 3), np.float32), noise=np.zeros((2, 4)))
    with pytest.raises(ValueError, match="needs the key"):
        bias_columns(np.zeros((16, 3), np.float32), soft_met=1.0)
