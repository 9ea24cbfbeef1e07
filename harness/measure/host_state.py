"""The state of the processor on Linux: load, frequency, temperature, energy, throttling.

It is read from /proc and /sys; what this kernel, machine or container does not show is None. The
times of /proc/stat count in ticks, mostly of 10 ms: a fraction over a reading's interval of 0.1 s
is coarse, and the mean over several readings is not.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.states import HostState

if TYPE_CHECKING:
    from collections.abc import Iterable

# The columns of a line "cpuN" of /proc/stat, proc(5); the two of guests are in the first two.
_USER, _NICE, _SYSTEM, _IDLE, _IOWAIT, _IRQ, _SOFTIRQ, _STEAL = range(8)
_BUSY: Final = (_USER, _NICE, _SYSTEM, _IRQ, _SOFTIRQ)
# In /proc/PID/stat, counted after the name, which may hold anything: the parent; user and system
# time of the process, then those of its children that it has waited for.
_PARENT, _FIRST_TIME, _LAST_TIME = 1, 11, 15
# How often to do what takes longer: to look for new children, and into /proc/cpuinfo.
_SLOW_S: Final = 1.0
_PACKAGE_SENSORS: Final = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
_PACKAGE_ZONES: Final = ("x86_pkg_temp", "cpu-thermal", "cpu_thermal", "soc_thermal")
_PAGE_BYTES: Final = 1 << 16


class HostReader:
    """Reads the processor, as the measured process and its children are allowed to use it.

    Args:
        measured_pid: the process whose work, with that of its children, is not that of others.
        cores: the cores that count; those that ``measured_pid`` may run on by default.
        root: of the file system.
    """

    def __init__(
        self, measured_pid: int, cores: Iterable[int] | None = None, root: Path = Path("/")
    ) -> None:
        self._root = root
        self._cores = sorted(os.sched_getaffinity(measured_pid) if cores is None else cores)
        cpus = root / "sys/devices/system/cpu"
        self._stat = _Source(root / "proc/stat")
        self._load = _Source(root / "proc/loadavg")
        self._info = _Source(root / "proc/cpuinfo")
        self._clocks = [
            _Source(cpus / f"cpu{core}/cpufreq/scaling_cur_freq") for core in self._cores
        ]
        self._temperatures = [_Source(path) for path in _temperature_paths(root)]
        self._throttles = [
            _Source(cpus / f"cpu{core}/thermal_throttle/{of}_throttle_count")
            for core in self._cores
            for of in ("core", "package")
        ]
        self._packages = [_Energy(path) for path in _rapl_paths(root)]
        self._family = _Family(root / "proc", measured_pid)
        self._pids_at_s = self._listed_at_s = -_SLOW_S
        self._listed_mhz: dict[int, float] = {}
        self._times_before = self._core_times()
        self._own_before = self._own_ticks()

    def read(self) -> HostState:
        """The state now; fractions since the reading before, or since this reader was made."""
        busy, steal, others, weights = self._fractions()
        return HostState(
            load_average_1min=_first_number(self._load.read()),
            busy=busy,
            steal=steal,
            others_busy=others,
            clock_mhz=self._clock_mhz(weights),
            temperature_c=_highest(source.number() for source in self._temperatures),
            energy_j=self._energy_j(),
            throttle_count=self._throttle_count(),
        )

    def _fractions(
        self,
    ) -> tuple[float | None, float | None, float | None, dict[int, int]]:
        """Busy, steal, others' part of busy, and the busy ticks of each core."""
        now, own = self._core_times(), self._own_ticks()
        gone = {
            core: [after - before for after, before in zip(times, self._times_before[core])]  # noqa: B905  # kernels differ in columns only
            for core, times in now.items()
            if core in self._times_before
        }
        total = sum(sum(ticks[: _STEAL + 1]) for ticks in gone.values())
        if total < len(gone) or not gone:
            # Hardly a tick: the next reading looks back as far as this one would have.
            return None, None, None, {}
        own_gone = max(0, own - self._own_before)
        self._times_before, self._own_before = now, own
        by_core = {core: sum(ticks[column] for column in _BUSY) for core, ticks in gone.items()}
        busy = sum(by_core.values())
        steal = sum(ticks[_STEAL] for ticks in gone.values())
        others = max(0, busy - own_gone)
        return busy / total, steal / total, others / total, by_core

    def _core_times(self) -> dict[int, list[int]]:
        found = {}
        for line in self._stat.read().splitlines():
            name, *columns = line.split()
            if not name.startswith("cpu"):
                break
            if name != "cpu" and int(name[3:]) in self._cores and len(columns) > _STEAL:
                found[int(name[3:])] = [int(column) for column in columns]
        return found

    def _own_ticks(self) -> int:
        """The processor time of the measured process and its children, ended ones too."""
        now_s = time.monotonic()
        if now_s - self._pids_at_s >= _SLOW_S:
            self._family.update()
            self._pids_at_s = now_s
        found = (_read_process(f"{self._root}/proc/{pid}/stat") for pid in self._family.pids)
        return sum(sum(map(int, columns[_FIRST_TIME:_LAST_TIME])) for columns in found)

    def _clock_mhz(self, weights: dict[int, int]) -> float | None:
        """The mean frequency of the cores, each weighted by how busy it was.

        An idle core's says nothing of the work.
        """
        found = {
            core: hertz * 1e-3
            for core, source in zip(self._cores, self._clocks, strict=True)
            if (hertz := source.number()) is not None
        }
        found = found or self._read_list()
        if not found:
            return None
        total = sum(weights.get(core, 0) for core in found)
        if total == 0:
            return sum(found.values()) / len(found)
        return sum(mhz * weights.get(core, 0) for core, mhz in found.items()) / total

    def _read_list(self) -> dict[int, float]:
        """The frequencies in /proc/cpuinfo, a page or two for each core: not read every time."""
        now_s = time.monotonic()
        if now_s - self._listed_at_s >= _SLOW_S:
            listed = dict(_listed_mhz(self._info.read()))
            self._listed_mhz = {core: mhz for core, mhz in listed.items() if core in self._cores}
            self._listed_at_s = now_s
        return self._listed_mhz

    def _energy_j(self) -> float | None:
        found = [package.read_j() for package in self._packages]
        known = [joules for joules in found if joules is not None]
        return sum(known) if known else None

    def _throttle_count(self) -> int | None:
        found = [source.number() for source in self._throttles]
        known = [int(count) for count in found if count is not None]
        return sum(known) if known else None


class _Source:
    """A file of the kernel's, kept open: opening it is most of the work of reading it."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor: int | None = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._descriptor = None

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def read(self) -> str:
        """All of it; empty where it cannot be read."""
        if self._descriptor is None:
            return ""
        found = b""
        try:
            # The kernel may give less than was asked for; nothing is the end.
            while part := os.pread(self._descriptor, _PAGE_BYTES, len(found)):
                found += part
        except OSError:
            return ""
        return found.decode(errors="replace")

    def number(self) -> float | None:
        """The one number that it holds."""
        return _first_number(self.read())


class _Energy:
    """A RAPL counter that goes on where the kernel's starts again at 0."""

    def __init__(self, folder: Path) -> None:
        self._counter = _Source(folder / "energy_uj")
        self._range_uj = _Source(folder / "max_energy_range_uj").number()
        self._before_uj: float | None = None
        self._passed_uj = 0.0

    def read_j(self) -> float | None:
        now_uj = self._counter.number()
        if now_uj is None:
            return None
        if self._before_uj is not None and now_uj < self._before_uj:
            if self._range_uj is None:
                return None
            self._passed_uj += self._range_uj
        self._before_uj = now_uj
        return (self._passed_uj + now_uj) * 1e-6


class _Family:
    """A process and its children, and theirs; only processes that are new are looked at.

    psutil looks at all of them every time, which took 6 ms on a machine with few of them.
    """

    def __init__(self, proc: Path, ancestor: int) -> None:
        self._proc = proc
        self._known: set[int] = set()
        self.pids = {ancestor}

    def update(self) -> None:
        """Look for new ones."""
        try:
            here = {int(name) for name in os.listdir(self._proc) if name.isdigit()}  # noqa: PTH208  # of hundreds
        except OSError:
            return
        # A child's number may be below its parent's: numbers start again.
        parents = {pid: self._parent(pid) for pid in here - self._known}
        self.pids &= here
        while more := {pid for pid, parent in parents.items() if parent in self.pids} - self.pids:
            self.pids |= more
        self._known = here

    def _parent(self, pid: int) -> int:
        columns = _read_process(f"{self._proc}/{pid}/stat")
        return int(columns[_PARENT]) if columns else -1


def _read_process(path: str) -> list[bytes]:
    """The columns of a /proc/PID/stat after the name; none where the process has ended."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return os.read(descriptor, _PAGE_BYTES).rpartition(b")")[2].split()
    except OSError:
        return []
    finally:
        os.close(descriptor)


def _temperature_paths(root: Path) -> list[Path]:
    """The sensors of the processor's package; a machine has many others."""
    found = [
        path
        for folder in sorted((root / "sys/class/hwmon").glob("hwmon*"))
        if _Source(folder / "name").read().strip() in _PACKAGE_SENSORS
        for path in sorted(folder.glob("temp*_input"))
    ]
    if found:
        return found
    return [
        folder / "temp"
        for folder in sorted((root / "sys/class/thermal").glob("thermal_zone*"))
        if _Source(folder / "type").read().strip() in _PACKAGE_ZONES
    ]


def _rapl_paths(root: Path) -> list[Path]:
    """One folder a package: what lies in it, or is the whole machine's, would count twice."""
    folders = sorted((root / "sys/class/powercap").glob("intel-rapl:*"))
    return [f for f in folders if _Source(f / "name").read().startswith("package")]


def _listed_mhz(cpuinfo: str) -> Iterable[tuple[int, float]]:
    core = -1
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "processor" and value.strip().isdigit():
            core = int(value)
        elif key.strip() == "cpu MHz" and (mhz := _first_number(value)) is not None:
            yield core, mhz


def _first_number(text: str) -> float | None:
    words = text.split()
    try:
        return float(words[0]) if words else None
    except ValueError:
        return None


def _highest(millidegrees: Iterable[float | None]) -> float | None:
    known = [value for value in millidegrees if value is not None]
    return max(known) * 1e-3 if known else None
