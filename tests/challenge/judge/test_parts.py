"""The judge's small parts: the plan and its secret, energy, replays."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sigma68.challenge.judge.energy import WATTS_PER_BUSY_CORE, EnergyMeter
from sigma68.challenge.judge.plan import Candidate, Plan
from sigma68.challenge.judge.replay import choose, flags_of, judging_order, same
from sigma68.challenge.sandbox.cgroup import make_group
from sigma68.challenge.sandbox.limits import Limits
from sigma68.errors import SettingsError
from sigma68.run.truth import draw_truth
from sigma68.seeds import stream
from sigma68.tasks.gaussian.task import Gaussian
from sigma68.types import Interval

SECRET = 2**255 + 987654321
PLAN = Plan("gaussian", 2, 3, SECRET)


def test_the_seed_is_nowhere_in_what_a_plan_shows() -> None:
    text = json.dumps(PLAN.to_json()) + repr(PLAN) + str(PLAN)
    assert str(SECRET) not in text
    assert f"{SECRET:x}" not in text
    assert PLAN.to_json() != replace(PLAN, seed=SECRET + 1).to_json()


def test_all_256_bits_of_a_seed_count() -> None:
    keys = {stream("t", "truth", SECRET ^ (1 << bit), 0, 0).key for bit in range(256)}
    assert len(keys) == 256
    task = Gaussian()
    mus = {draw_truth(task, SECRET ^ (1 << bit), 0, 0, ()).parameters["mu"] for bit in range(256)}
    assert len(mus) == 256


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sets", 0),
        ("toys", -1),
        ("seed", -1),
        ("replay", -1),
        ("predict_seconds", 0.0),
        ("fit_seconds", float("nan")),
        ("epsilon", 0.0),
        ("memory_bytes", 0),
        ("isolate", "maybe"),
        ("pool", "train"),
    ],
)
def test_plans_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=name):
        replace(PLAN, **{name: value})


@pytest.mark.parametrize("id", ["", "..", "a/b", "-x", "a" * 65, "a b"])
def test_a_candidate_is_named_like_a_folder(id: str) -> None:
    with pytest.raises(SettingsError, match="cannot be called"):
        Candidate(id, Path("x"))


def _machine(folder: Path, microjoules: int, ticks: int) -> tuple[Path, Path]:
    package = folder / "intel-rapl:0"
    package.mkdir(parents=True, exist_ok=True)
    (folder / "intel-rapl:0:0").mkdir(exist_ok=True)  # a part of the package: not counted again
    (package / "energy_uj").write_text(f"{microjoules}\n")
    (package / "max_energy_range_uj").write_text("1000000000\n")
    stat = folder / "stat"
    stat.write_text(f"cpu {ticks} 0 0 5 5 0 0 0 0 0\n")
    return folder, stat


def test_energy_is_measured_where_there_are_counters(tmp_path: Path) -> None:
    import os

    second = os.sysconf("SC_CLK_TCK")
    meter = EnergyMeter(*_machine(tmp_path, 900_000_000, 10 * second))
    _machine(tmp_path, 950_000_000, 12 * second)
    meter.look()
    _machine(tmp_path, 30_000_000, 18 * second)  # the counter ran over
    price = meter.price()
    assert price.known == "measured"
    assert price.joules_per_cpu_second == pytest.approx((50 + 80) / 8)


def test_energy_is_estimated_where_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu 1 2 3 4 5 6 7 8 0 0\n")
    price = EnergyMeter(tmp_path, tmp_path / "stat").price()
    assert price.known == "estimated"
    assert price.joules_per_cpu_second == WATTS_PER_BUSY_CORE


def _interval(at: float, width: float = 0.2) -> Interval:
    return Interval(at, width / 2, at - width / 2, at + width / 2)


def test_rounding_is_no_difference() -> None:
    assert same(_interval(1.0), _interval(1.0 + 1e-5))
    assert not same(_interval(1.0), _interval(1.01))
    assert not same(_interval(1.0), _interval(1.0, 0.21))
    assert same(_interval(1.0, 0.0), _interval(1.0, 0.0))


def test_flags_follow_from_where_the_answers_begin_to_differ() -> None:
    keys = [(0, n) for n in range(4)]
    before = {key: _interval(1.0) for key in keys}
    other = {key: _interval(2.0) for key in keys}
    late = {keys[2]: _interval(1.0), keys[0]: _interval(2.0)}
    assert flags_of(before, before, {keys[0]}) == ()
    assert flags_of(before, {}, set()) == ()
    assert flags_of(before, other, {keys[0]}) == ("not_repeatable",)
    assert flags_of(before, late, {keys[2]}) == ("order_dependent",)
    # Where no first toy is known, the graver flag.
    assert flags_of(before, other, set()) == ("order_dependent",)


def test_replays_begin_with_a_toy_that_was_first_and_go_the_other_way() -> None:
    task = Gaussian()
    order = judging_order(task, SECRET, 5, 5)
    assert sorted(order) == [(s, t) for s in range(5) for t in range(5)]
    assert order != sorted(order)
    first, *others = choose(task, SECRET, order, order, {(3, 3)}, 10)
    assert first == (3, 3)
    assert len({first, *others}) == 10
    places = [order.index(key) for key in others]
    assert places == sorted(places, reverse=True)
    assert choose(task, SECRET, order, order, {(3, 3)}, 100).count((3, 3)) == 1
    assert {*choose(task, SECRET, order, order[:4], set(), 10)} == {*order[:4]}
    assert choose(task, SECRET, order, [], set(), 10) == []
    assert choose(task, SECRET, order, order, {(3, 3)}, 0) == []


def test_a_control_group_gets_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    (own / "cgroup.subtree_control").write_text("memory pids\n")
    real = Path.read_text

    def read(path: Path, *arguments: str, **more: str) -> str:
        return "0::/own\n" if str(path) == "/proc/self/cgroup" else real(path, *arguments, **more)

    monkeypatch.setattr(Path, "read_text", read)
    limits = Limits(memory_bytes=1000, max_processes=7, disk_bytes=10)
    group = make_group(limits, tmp_path)
    assert group is not None
    group.attach(123)
    written = {path.name: real(path) for path in group.folder.iterdir()}
    assert written["memory.max"] == "1020"
    assert written["pids.max"] == "23"
    assert written["memory.oom.group"] == "1"
    assert written["cgroup.procs"] == "123"
    (group.folder / "memory.events").write_text("low 0\noom_kill 2\n")
    (group.folder / "cpu.stat").write_text("usage_usec 2500000\n")
    assert group.ran_out_of_memory
    assert group.cpu_seconds == 2.5


def test_without_controllers_there_is_no_control_group(tmp_path: Path) -> None:
    assert make_group(Limits(), tmp_path) is None
