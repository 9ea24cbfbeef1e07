"""The machine without its GPU: processor, load, memory, cache, clock, environment variables."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.doctor.lines import DEFAULT_LIMITS, Limits, Line, gigabytes, yes_no
from harness.states import FAIL, FLAG, NOTE, Finding
from harness.stats.fingerprint import variable_findings

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECTION = "machine"
_CLOCK_SOURCE = "sys/devices/system/clocksource/clocksource0/current_clocksource"
# These are read without asking the kernel.
_FAST_SOURCES = frozenset({"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"})
_TICKS = 20_000


@dataclass(frozen=True)
class Moment:
    """What is of the moment: load, as fractions of all cores' time, and what is free.

    ``tick_s`` is the smallest step of the clock that times calls on the host.
    """

    load_average_1min: float
    busy: float
    steal: float | None
    memory_available_bytes: int
    disk_free_bytes: int
    cache_problem: str
    tick_s: float
    clock_source: str | None


def read_moment(cache_root: Path, *, interval_s: float = 1.0, root: Path = Path("/")) -> Moment:
    """Watch the machine for ``interval_s``, doing nothing."""
    import psutil  # noqa: PLC0415

    times = psutil.cpu_times_percent(interval=interval_s)
    folder = _existing(cache_root)
    is_writable = os.access(folder, os.W_OK | os.X_OK) and folder.is_dir()
    try:
        source = (root / _CLOCK_SOURCE).read_text(encoding="utf-8").strip()
    except OSError:
        source = None
    steal = getattr(times, "steal", None)
    return Moment(
        load_average_1min=os.getloadavg()[0],
        # A guest's time is in the user's already; waiting for a disk is idle.
        busy=max(0.0, 1.0 - (times.idle + getattr(times, "iowait", 0.0) + (steal or 0.0)) / 100),
        steal=None if steal is None else steal / 100,
        memory_available_bytes=psutil.virtual_memory().available,
        disk_free_bytes=shutil.disk_usage(folder).free,
        cache_problem="" if is_writable else f"{folder} cannot be written",
        tick_s=host_tick_s(),
        clock_source=source,
    )


def host_tick_s() -> float:
    """The smallest step that the host's clock is seen to make, in seconds."""
    times = [time.perf_counter_ns() for _ in range(_TICKS)]
    steps = (after - before for before, after in pairwise(times))
    return min(step for step in steps if step > 0) * 1e-9


def _existing(folder: Path) -> Path:
    """``folder``, or the nearest above it that is there."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def machine_lines(
    environment: Mapping[str, Any],
    moment: Moment,
    cache_root: Path,
    limits: Limits = DEFAULT_LIMITS,
) -> list[Line]:
    """What there is to say of the machine, whose ``environment`` is as records hold it."""
    return [
        *_processor(environment),
        _quota(environment),
        _load(moment, limits),
        _steal(moment, limits),
        _memory(environment, moment, limits),
        _clock(moment, limits),
        _cache(moment, cache_root, limits),
        _variables(environment),
        _system(environment),
        _harness(environment),
    ]


def _processor(environment: Mapping[str, Any]) -> list[Line]:
    cores = f"{environment['cores_available']} cores available"
    told = f"{environment['cpu'] or 'not told'}, {cores}"
    findings = []
    if environment["is_virtual_machine"]:
        told += ", virtual machine"
        what = "a virtual machine: other machines on the same processor move its times"
        findings.append(Finding(NOTE, what, "compare within a run, or measure on bare metal"))
    governor = environment["governor"]
    lines = [Line(_SECTION, "processor", told, tuple(findings))]
    what = f"the governor is {governor}: the clock follows the load"
    fix = "sudo cpupower frequency-set -g performance"
    is_slow = governor not in {None, "performance"}
    found = (Finding(FLAG, what, fix),) if is_slow else ()
    lines.append(Line(_SECTION, "governor", governor or "not told", found))
    turbo, smt = environment["turbo"], environment["smt"]
    what = "turbo is on: the clock depends on heat and on how many cores work"
    fix = (
        "for steady times: echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo, or "
        "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost"
    )
    lines.append(
        Line(_SECTION, "turbo", yes_no(turbo), (Finding(NOTE, what, fix),) if turbo else ())
    )
    what = "two threads share each core: work beside it slows a measurement"
    fix = "pin to one thread of each core with taskset, or leave it on where nothing else runs"
    lines.append(Line(_SECTION, "SMT", yes_no(smt), (Finding(NOTE, what, fix),) if smt else ()))
    return lines


def _quota(environment: Mapping[str, Any]) -> Line:
    quota = environment["cpu_quota_cores"]
    if quota is None:
        return Line(_SECTION, "CPU quota", "none")
    told = f"{quota:g} cores' time"
    if quota >= environment["cores_available"]:
        return Line(_SECTION, "CPU quota", told)
    what = (
        f"its control group lets it have {quota:g} of {environment['cores_available']} cores: it "
        "is stopped for the rest of each period"
    )
    fix = f"measure with --threads {max(1, int(quota))}, or lift the container's limit (--cpus)"
    return Line(_SECTION, "CPU quota", told, (Finding(FLAG, what, fix),))


def _load(moment: Moment, limits: Limits) -> Line:
    told = f"{moment.busy:.0%} of all cores busy, load average {moment.load_average_1min:.1f}"
    if moment.busy <= limits.busy:
        return Line(_SECTION, "other load", told)
    what = f"other processes take {moment.busy:.0%} of all cores' time"
    fix = "end them (top shows which), or expect wide intervals"
    return Line(_SECTION, "other load", told, (Finding(FLAG, what, fix),))


def _steal(moment: Moment, limits: Limits) -> Line:
    if moment.steal is None:
        return Line(_SECTION, "steal", "not told")
    told = f"{moment.steal:.1%}"
    if moment.steal <= limits.steal:
        return Line(_SECTION, "steal", told)
    what = f"the hypervisor takes {moment.steal:.0%} of the cores' time"
    fix = "measure on a machine whose cores are not shared"
    return Line(_SECTION, "steal", told, (Finding(FLAG, what, fix),))


def _memory(environment: Mapping[str, Any], moment: Moment, limits: Limits) -> Line:
    free = gigabytes(moment.memory_available_bytes)
    told = f"{free} of {gigabytes(environment['memory_bytes'])} available"
    if moment.memory_available_bytes >= limits.memory_bytes:
        return Line(_SECTION, "memory", told)
    found = Finding(FLAG, f"{free} of memory are available", "free some: swapping spoils all times")
    return Line(_SECTION, "memory", told, (found,))


def _clock(moment: Moment, limits: Limits) -> Line:
    told = f"ticks of {moment.tick_s * 1e9:.0f} ns, source {moment.clock_source or 'not told'}"
    findings = []
    if moment.tick_s > limits.tick_s:
        what = f"the host's clock ticks every {moment.tick_s * 1e6:.1f} us"
        fix = "short components cannot be told apart: time longer inputs"
        findings.append(Finding(FLAG, what, fix))
    if moment.clock_source is not None and moment.clock_source not in _FAST_SOURCES:
        what = f"the clock source {moment.clock_source} is slow to read"
        fix = "boot with clocksource=tsc, where the processor's counter is stable"
        findings.append(Finding(FLAG, what, fix))
    return Line(_SECTION, "host clock", told, tuple(findings))


def _cache(moment: Moment, cache_root: Path, limits: Limits) -> Line:
    free = gigabytes(moment.disk_free_bytes)
    findings = []
    if moment.cache_problem:
        fix = "choose another folder with --cache or TRT_HARNESS_CACHE"
        findings.append(Finding(FAIL, f"no cache: {moment.cache_problem}", fix))
    if moment.disk_free_bytes < limits.disk_flag_bytes:
        level = FAIL if moment.disk_free_bytes < limits.disk_fail_bytes else FLAG
        fix = "harness cache prune, or another folder with --cache"
        findings.append(Finding(level, f"{free} are free on the cache's disk", fix))
    return Line(_SECTION, "cache", f"{cache_root}, {free} free", tuple(findings))


def _variables(environment: Mapping[str, Any]) -> Line:
    variables = environment["variables"]
    told = ", ".join(f"{name}={value}" for name, value in variables.items())
    return Line(_SECTION, "variables", told or "none set", variable_findings(variables))


def _system(environment: Mapping[str, Any]) -> Line:
    libc = environment["libc"] or "libc not told"
    told = f"Linux {environment['kernel']}, {libc}, Python {environment['python']}"
    return Line(_SECTION, "system", told)


def _harness(environment: Mapping[str, Any]) -> Line:
    state = environment["harness_commit"]
    told = environment["harness_version"]
    if state is None:
        return Line(_SECTION, "harness", f"{told}, not from git")
    told += f", commit {state['commit'][:12]}"
    if not state["is_dirty"]:
        return Line(_SECTION, "harness", told)
    what = "the harness's own files differ from that commit"
    found = Finding(NOTE, what, "commit before a run that others should be able to repeat")
    return Line(_SECTION, "harness", f"{told}, changed", (found,))
