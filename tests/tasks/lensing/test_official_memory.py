"""Public files are read where they lie: a grid that is larger than the memory allowed is trained on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sigma68.tasks.lensing.official import GRID_FILE
from sigma68.tasks.lensing.sky import survey_mask
from tests.tasks.lensing.official_files import write_official

PIXELS = int(survey_mask().sum())
MEGABYTE = 1 << 20
ALLOWED = 320 * MEGABYTE

LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from sigma68.methods.power_spectrum import PowerSpectrum
from sigma68.tasks.lensing.official import GRID_FILE
from sigma68.tasks.lensing.task import Lensing

folder, allowed, few = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
task = Lensing()
method = PowerSpectrum(task, degree=1, covariance_degree=0)
before = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
# What a process writes to counts; a file that is mapped to be read does not.
resource.setrlimit(resource.RLIMIT_DATA, (before + allowed, before + allowed))
pools = task.open(str(folder))
if few:
    for number in np.linspace(0, pools.train.n_observations - 1, few).astype(int):
        seen = pools.train.observation(int(number))
        assert np.isfinite(task.summary(seen)).all()
else:
    method.fit(pools.train, pools.calibration)
    assert method.likelihood is not None
print("read", pools.train.n_observations)
try:
    np.load(folder / GRID_FILE)
except MemoryError:
    print("the grid does not fit")
"""


def sparse_grid(folder: Path, shape: tuple[int, int, int], dtype: str) -> int:
    """Write a grid of zeros that takes no room on the disk; its size in bytes."""
    said = {"descr": dtype, "fortran_order": False, "shape": shape}
    with (folder / GRID_FILE).open("wb") as file:
        np.lib.format.write_array_header_1_0(file, said)
        size = file.tell() + int(np.prod(shape)) * np.dtype(dtype).itemsize
        file.truncate(size)
    return size


def limited(folder: Path, few: int) -> str:
    """Train, or look at a `few` maps, in a process that may use so much memory more; what it says."""
    words = [sys.executable, "-c", LIMITED, str(folder), str(ALLOWED), str(few)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the limit counts so on Linux alone")


@on_linux
def test_training_needs_less_memory_than_the_grid(tmp_path: Path) -> None:
    write_official(tmp_path, pixels=PIXELS, points=8, realisations=60, grid=False)
    size = sparse_grid(tmp_path, (8, 60, PIXELS), "<f8")
    assert size > 1.4 * ALLOWED
    assert limited(tmp_path, 0) == f"read {8 * 36}\nthe grid does not fit\n"


@on_linux
def test_a_grid_of_the_published_shape_is_opened_and_read_in_place(tmp_path: Path) -> None:
    write_official(tmp_path, pixels=PIXELS, points=101, realisations=256, grid=False)
    size = sparse_grid(tmp_path, (101, 256, PIXELS), "<f2")
    assert size > 6e9
    on_disk = (tmp_path / GRID_FILE).stat().st_blocks * 512
    assert on_disk < 10 * MEGABYTE, (
        "this file system has no sparse files: give TMPDIR on one that has"
    )
    assert limited(tmp_path, 40) == f"read {101 * 154}\nthe grid does not fit\n"
