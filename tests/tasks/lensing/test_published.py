"""Maps given away, answers that come back, and files that only look like answers."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma68.errors import DataError
from sigma68.seeds import stream
from sigma68.summaries import TakesResults
from sigma68.tasks.lensing.published import published_maps
from sigma68.tasks.lensing.scores import estimate_score
from sigma68.tasks.lensing.submission import write_estimates
from sigma68.tasks.lensing.task import Lensing
from sigma68.types import Observation

N = 3
MEANS = np.array([[0.3, 0.8], [0.25, 0.79], [0.5, 0.9]])


@pytest.fixture(scope="module")
def task() -> Lensing:
    return Lensing()


def some_maps(task: Lensing, n: int = N) -> list[Observation]:
    draw = stream("lensing", "published", 1).generator()
    n_pixels = int(task.mask.sum())
    return [
        Observation(("kappa",), draw.normal(0, 0.03, (1, n_pixels)).astype("f4")) for _ in range(n)
    ]


def test_maps_go_out_and_in(task: Lensing, tmp_path: Path) -> None:
    assert isinstance(task, TakesResults)
    made = some_maps(task)
    for name in ("a.npz", "b.npz"):
        task.write_observations(tmp_path / name, iter(made), N)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert sorted(file.files) == ["kappa", "mask"]
        assert file["kappa"].dtype == np.float16
    found, mask = published_maps(tmp_path / "a.npz")
    np.testing.assert_array_equal(mask, task.mask)
    for one, other in zip(found, made, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=5e-4, atol=1e-7)


def test_maps_of_another_number_or_mask_are_not_written(task: Lensing, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(DataError, match="2 maps"):
        task.write_observations(path, some_maps(task, 2), N)
    with pytest.raises(DataError, match="pixels"):
        task.write_observations(path, [Observation(("kappa",), np.zeros((1, 7), "f4"))], 1)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_of_maps_is_refused(task: Lensing, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for content in (b"", b"PK no zip"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="download it again"):
            published_maps(path)
    np.savez(path, kappa=np.zeros((2, 5), "f2"))
    with pytest.raises(DataError, match="download it again"):
        published_maps(path)
    np.savez(path, kappa=np.zeros((2, 5), "f2"), mask=np.ones((2, 2), bool))
    with pytest.raises(DataError, match="download it again"):
        published_maps(path)


def test_answers_are_scored_as_the_challenge_scores_them(task: Lensing, tmp_path: Path) -> None:
    path, errors = tmp_path / "a.zip", np.full((N, 2), 0.1)
    write_estimates(path, MEANS, errors)
    answers = task.read_results(path, N)
    assert sorted(answers) == ["Omega_m_hat", "S8_hat", "delta_Omega_m_hat", "delta_S8_hat"]
    truths = {"Omega_m": MEANS[:, 0] + 0.1, "S8": MEANS[:, 1], "f0": np.zeros(N)}
    score = task.score_results(answers, truths)
    true = np.stack([truths["Omega_m"], truths["S8"]], axis=1)
    assert score.value == pytest.approx(estimate_score(MEANS, errors, true))
    assert score.value == pytest.approx(-(1 - 4 * np.log(10) + 10))
    assert score.values["n_maps"] == N


def document(**changes: Any) -> str:
    good = {"means": MEANS.tolist(), "errorbars": (MEANS / 10).tolist()}
    return json.dumps({**good, **changes})


def zipped(path: Path, text: str, name: str = "result.json", times: int = 1) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(times):
            archive.writestr(f"{i or ''}/{name}".lstrip("/"), text)
    return path


def row(value: Any) -> list[list[Any]]:
    return [[0.3, 0.8], [0.25, value], [0.5, 0.9]]


BAD = {
    "NaN": (document(means=row(float("nan"))), "not finite.*row 1 "),
    "infinity": (document(errorbars=row(float("inf"))), "not finite.*row 1 "),
    "no error": (document(errorbars=row(0.0)), "not positive.*row 1 "),
    "negative error": (document(errorbars=row(-1.0)), "not positive"),
    "vanishing error": (document(errorbars=row(1e-200)), "not positive"),
    "too large": (document(means=row(1e200)), "beyond"),
    "huge whole number": (document(means=row(10**400)), "too large|digits"),
    "a text for a number": (document(means=row("0.8")), "row 1 "),
    "true for a number": (document(means=row(True)), "row 1 "),
    "a list too deep": (document(means=row([0.8])), "row 1 "),
    "null": (document(means=row(None)), "row 1 "),
    "a short row": (document(means=[[0.3, 0.8], [0.25], [0.5, 0.9]]), "row 1 "),
    "too few": (document(means=[[0.3, 0.8]], errorbars=[[0.1, 0.1]]), "3"),
    "none": (document(means=[], errorbars=[]), "means"),
    "other names": (document().replace("errorbars", "errors"), "errorbars"),
    "the other phase": ('{"ood_scores": [1, 2, 3]}', "means"),
    "deeply nested": ("[" * 3000 + "]" * 2000, "no submission"),
    "deeply nested answers": ('{"means": ' + "[" * 2400 + "]" * 2400 + "}", "submission|numbers"),
    "huge": ('{"means": [' + "0," * 200_000 + "0]}", "bytes"),
    "no JSON": ("means = 3", "no submission"),
    "no text": ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "no submission"),
    "a list": ("[1]", "list"),
}


@pytest.mark.parametrize("name", BAD)
def test_answers_that_cannot_be_scored_are_refused(
    task: Lensing, tmp_path: Path, name: str
) -> None:
    text, why = BAD[name]
    path = zipped(tmp_path / "a.zip", text)
    with pytest.raises(DataError, match=why) as raised:
        task.read_results(path, N)
    assert len(str(raised.value)) < 400


def test_a_zip_that_lies_about_its_size_is_not_unpacked(task: Lensing, tmp_path: Path) -> None:
    size = 100_000_003
    path = zipped(tmp_path / "a.zip", " " * size)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", size), struct.pack("<I", 200)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="no submission"):
            task.read_results(path, N)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_zips_that_mean_harm_are_refused(task: Lensing, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with pytest.raises(DataError, match="bytes"):
        task.read_results(zipped(path, " " * 50_000_000 + document()), N)
    with pytest.raises(DataError, match="2 files"):
        task.read_results(zipped(path, document(), times=2), N)
    with pytest.raises(DataError, match="0 files"):
        task.read_results(zipped(path, document(), "results.json"), N)
    path = zipped(path, " " * 50_000 + document())
    raw = path.read_bytes()
    # It says that it is small, in both places, and unpacks to more.
    path.write_bytes(raw.replace(struct.pack("<I", 50_000 + len(document())), b"\x10\0\0\0"))
    with pytest.raises(DataError, match="no submission"):
        task.read_results(path, N)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("result.json", document())
    with pytest.raises(DataError, match="ordinary zip"):
        task.read_results(path, N)
    path.write_bytes(bytes(2 << 20))
    with pytest.raises(DataError, match="2,097,152 bytes"):
        task.read_results(path, N)
    for damaged in (raw[:-30], raw[:40] + bytes(20) + raw[60:], b"", b"PK\x05\x06" + bytes(18)):
        path.write_bytes(damaged)
        with pytest.raises(DataError):
            task.read_results(path, N)
