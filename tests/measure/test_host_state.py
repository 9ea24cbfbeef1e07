"""The processor's state, read of a /proc and a /sys made by hand."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from harness.measure import host_state
from harness.measure.host_state import HostReader
from tests.telemetry_fakes import make_proc

if TYPE_CHECKING:
    from pathlib import Path

# user nice system idle iowait irq softirq steal guest guest_nice
ZERO = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


@pytest.fixture(autouse=True)
def always_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_state, "_SLOW_S", 0.0)


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n", encoding="utf-8")


def test_fractions_are_of_the_time_since_the_reading_before(tmp_path: Path) -> None:
    make_proc(tmp_path, {0: ZERO, 1: ZERO}, {7: (1, 100), 8: (7, 50), 9: (1, 1000)})
    reader = HostReader(7, (0, 1), tmp_path)

    # 200 ticks: 80 of work, 20 taken away. Of the work, 45 are the process's and its child's.
    first = {0: (30, 10, 5, 40, 5, 3, 2, 5, 30, 10), 1: (30, 0, 0, 55, 0, 0, 0, 15, 0, 0)}
    make_proc(tmp_path, first, {7: (1, 130), 8: (7, 65), 9: (1, 1035)})
    state = reader.read()

    assert state.busy == pytest.approx(0.4), "guests' time is in the users' already"
    assert state.steal == pytest.approx(0.1)
    assert state.others_busy == pytest.approx((80 - 45) / 200)
    assert state.load_average_1min == 1.25

    # A second reading looks back to the first one only.
    idle = {core: (*row[:3], row[3] + 50, *row[4:]) for core, row in first.items()}
    make_proc(tmp_path, idle)
    state = reader.read()
    assert (state.busy, state.steal, state.others_busy) == (0.0, 0.0, 0.0)


def test_cores_that_are_not_available_do_not_count(tmp_path: Path) -> None:
    make_proc(tmp_path, {0: ZERO, 1: ZERO})
    reader = HostReader(7, (1,), tmp_path)
    make_proc(tmp_path, {0: (100, 0, 0, 0, 0, 0, 0, 0), 1: (25, 0, 0, 75, 0, 0, 0, 0)})

    assert reader.read().busy == 0.25


def test_children_that_come_and_go_are_not_others(tmp_path: Path) -> None:
    make_proc(tmp_path, {0: ZERO}, {70: (1, 0)})
    reader = HostReader(70, (0,), tmp_path)

    # A grandchild whose number is the smallest, as numbers start again.
    make_proc(tmp_path, {0: (60, 0, 0, 40, 0, 0, 0, 0)}, {71: (70, 20), 3: (71, 40)})
    assert reader.read().others_busy == 0.0

    # Both have ended: their time is now their parents', who waited for them.
    for pid in (71, 3):
        (tmp_path / f"proc/{pid}/stat").unlink()
        (tmp_path / f"proc/{pid}").rmdir()
    make_proc(tmp_path, {0: (90, 0, 0, 110, 0, 0, 0, 0)}, {70: (1, 75)})
    assert reader.read().others_busy == pytest.approx((30 - 15) / 100)


def test_without_a_tick_nothing_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    make_proc(tmp_path, {0: ZERO, 1: ZERO})
    reader = HostReader(7, (0, 1), tmp_path)

    make_proc(tmp_path, {0: (1, *ZERO[1:]), 1: ZERO})
    assert reader.read().busy is None
    make_proc(tmp_path, {0: (1, 0, 0, 4, 0, 0, 0, 0), 1: (0, 0, 0, 5, 0, 0, 0, 0)})
    assert reader.read().busy == pytest.approx(0.1)


def test_a_machine_that_shows_nothing_has_a_state_of_nothing(tmp_path: Path) -> None:
    state = HostReader(7, (0,), tmp_path).read()

    assert set(vars(state).values()) == {None}


def test_the_clock_is_that_of_the_cores_that_work(tmp_path: Path) -> None:
    for core, khz in ((0, 3_000_000), (1, 800_000), (2, 2_000_000)):
        write(tmp_path / f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq", khz)
    make_proc(tmp_path, {0: ZERO, 1: ZERO, 2: ZERO})
    reader = HostReader(7, (0, 1, 2), tmp_path)
    assert reader.read().clock_mhz == pytest.approx(5800 / 3), "none is known to have worked"

    busy = (30, 0, 0, 0, 0, 0, 0, 0)
    make_proc(tmp_path, {0: busy, 1: (0, 0, 0, 40, 0, 0, 0, 0), 2: (10, 0, 0, 30, 0, 0, 0, 0)})
    assert reader.read().clock_mhz == pytest.approx((30 * 3000 + 10 * 2000) / 40)


def test_where_the_kernel_has_no_cpufreq_the_list_of_processors_tells(tmp_path: Path) -> None:
    lines = [f"processor\t: {core}\ncpu MHz\t\t: {mhz}" for core, mhz in ((0, 2500.5), (1, 900))]
    write(tmp_path / "proc/cpuinfo", "\n\n".join(lines))

    assert HostReader(7, (0,), tmp_path).read().clock_mhz == 2500.5


def test_the_temperature_is_the_packages_and_not_the_disks(tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    write(zone / "type", "x86_pkg_temp")
    write(zone / "temp", 48_000)
    assert HostReader(7, (0,), tmp_path).read().temperature_c == 48.0

    for index, (name, temperature) in enumerate((("nvme", 80_000), ("coretemp", 61_500))):
        write(tmp_path / f"sys/class/hwmon/hwmon{index}/name", name)
        write(tmp_path / f"sys/class/hwmon/hwmon{index}/temp1_input", temperature)
    assert HostReader(7, (0,), tmp_path).read().temperature_c == 61.5


def test_the_energy_goes_on_where_the_counter_starts_again(tmp_path: Path) -> None:
    powercap = tmp_path / "sys/class/powercap"
    for folder, name, energy in (
        ("intel-rapl:0", "package-0", 900),
        ("intel-rapl:1", "package-1", 100),
        ("intel-rapl:0:0", "core", 5000),  # a part of a package
        ("intel-rapl:2", "psys", 7000),  # all of the machine
    ):
        write(powercap / folder / "name", name)
        write(powercap / folder / "energy_uj", energy * 10**6)
        write(powercap / folder / "max_energy_range_uj", 1000 * 10**6)
    reader = HostReader(7, (0,), tmp_path)
    assert reader.read().energy_j == 1000.0

    write(powercap / "intel-rapl:0/energy_uj", 50 * 10**6)
    assert reader.read().energy_j == 1000.0 + 150.0
    write(powercap / "intel-rapl:0/energy_uj", 60 * 10**6)
    assert reader.read().energy_j == 1000.0 + 160.0


def test_throttling_is_counted_over_the_available_cores(tmp_path: Path) -> None:
    for core, count in ((0, 3), (1, 4), (2, 100)):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{core}/thermal_throttle"
        write(folder / "core_throttle_count", count)
        write(folder / "package_throttle_count", 0)

    assert HostReader(7, (0, 1), tmp_path).read().throttle_count == 7


def test_the_work_of_this_very_process_is_its_own() -> None:
    reader = HostReader(os.getpid())
    started = time.process_time()
    while time.process_time() - started < 0.5:
        pass
    state = reader.read()

    assert state.busy is not None
    assert state.others_busy is not None
    assert 0.0 < state.busy <= 1.0
    assert state.others_busy < state.busy
