"""What the doctor says of a machine and of its GPU, from facts made by hand."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.doctor.gpu import GpuReading, gpu_lines, read_nvml
from harness.doctor.machine import Moment, host_tick_s, machine_lines, read_moment
from harness.errors import MissingDependencyError
from harness.states import GpuState

if TYPE_CHECKING:
    from harness.doctor.lines import Line

QUIET = Moment(
    load_average_1min=0.1,
    busy=0.01,
    steal=0.0,
    memory_available_bytes=8 << 30,
    disk_free_bytes=50 << 30,
    cache_problem="",
    tick_s=50e-9,
    clock_source="tsc",
)
STEADY: dict[str, Any] = {
    "cpu": "Xeon",
    "cores_available": 8,
    "cpu_quota_cores": None,
    "memory_bytes": 16 << 30,
    "governor": "performance",
    "turbo": False,
    "smt": False,
    "is_virtual_machine": False,
    "kernel": "6.1",
    "libc": "glibc 2.36",
    "python": "3.12.1",
    "variables": {},
    "harness_version": "0.1.0",
    "harness_commit": {"commit": "a" * 40, "is_dirty": False},
}
KNOWN = {
    "name": "NVIDIA H200",
    "compute_capability": "9.0",
    "uuid": "GPU-1",
    "driver_cuda": "13.0",
}
FACTS: dict[str, Any] = {
    "driver": "580.1",
    "persistence_mode": True,
    "ecc_mode": True,
    "mig_mode": False,
    "is_mig_instance": False,
    "power_limit_w": 700.0,
    "enforced_power_limit_w": 700.0,
    "default_power_limit_w": 700.0,
    "max_sm_clock_mhz": 1980.0,
    "pcie_generation": 5,
    "pcie_width": 16,
    "max_pcie_width": 16,
}
IDLE = GpuState(
    "GPU-1",
    sm_clock_mhz=345.0,
    temperature_c=31.0,
    utilization=0.0,
    memory_used_bytes=500 << 20,
    clock_event_reasons=0x01,
    process_ids=(),
)


def machine(moment: Moment = QUIET, **changes: Any) -> dict[str, Line]:
    lines = machine_lines({**STEADY, **changes}, moment, Path("/cache"))
    return {line.name: line for line in lines}


def gpu(state: GpuState | None = IDLE, **changes: Any) -> dict[str, Line]:
    reading = GpuReading({**FACTS, **changes}, state)
    return {line.name: line for line in gpu_lines(KNOWN, "", reading)}


def found(lines: dict[str, Line]) -> list[tuple[str, str]]:
    return [(name, line.level) for name, line in lines.items() if line.findings]


def test_a_steady_machine_has_no_findings() -> None:
    assert found(machine()) == []
    assert found(gpu()) == []
    assert gpu()["driver"].told == "580.1, for CUDA 13.0"
    assert gpu()["processes"].told == "no others"


@pytest.mark.parametrize(
    ("changes", "name", "level", "words"),
    [
        ({"is_virtual_machine": True}, "processor", "note", "virtual machine"),
        ({"governor": "powersave"}, "governor", "flag", "cpupower"),
        ({"turbo": True}, "turbo", "note", "no_turbo"),
        ({"smt": True}, "SMT", "note", "taskset"),
        ({"cpu_quota_cores": 1.5}, "CPU quota", "flag", "--threads 1"),
        ({"cpu_quota_cores": 0.5}, "CPU quota", "flag", "--threads 1"),
        ({"variables": {"NVIDIA_TF32_OVERRIDE": "1"}}, "variables", "flag", "TF32"),
        (
            {"harness_commit": {"commit": "b" * 40, "is_dirty": True}},
            "harness",
            "note",
            "commit before",
        ),
    ],
)
def test_what_moves_times_is_found_with_what_to_do(
    changes: dict[str, Any], name: str, level: str, words: str
) -> None:
    lines = machine(**changes)

    assert found(lines) == [(name, level)]
    (finding,) = lines[name].findings
    assert words in f"{finding.what}; {finding.fix}"
    assert finding.fix


@pytest.mark.parametrize(
    ("changes", "name", "level", "words"),
    [
        ({"busy": 0.27}, "other load", "flag", "27% of all cores' time"),
        ({"steal": 0.05}, "steal", "flag", "5% of the cores' time"),
        ({"memory_available_bytes": 1 << 29}, "memory", "flag", "0.5 GB"),
        ({"disk_free_bytes": 1 << 30}, "cache", "flag", "1.1 GB are free"),
        ({"disk_free_bytes": 1 << 20}, "cache", "fail", "prune"),
        ({"cache_problem": "/cache cannot be written"}, "cache", "fail", "--cache"),
        ({"tick_s": 1e-3}, "host clock", "flag", "ticks every 1000.0 us"),
        ({"clock_source": "hpet"}, "host clock", "flag", "clocksource=tsc"),
    ],
)
def test_what_is_of_the_moment_is_found(
    changes: dict[str, Any], name: str, level: str, words: str
) -> None:
    lines = machine(replace(QUIET, **changes))

    assert found(lines) == [(name, level)]
    (finding,) = lines[name].findings
    assert words in f"{finding.what}; {finding.fix}"


def test_what_is_not_told_is_no_finding() -> None:
    nothing = machine(
        replace(QUIET, steal=None, clock_source=None),
        cpu=None,
        governor=None,
        turbo=None,
        smt=None,
        libc=None,
        harness_commit=None,
    )

    assert found(nothing) == []
    assert nothing["turbo"].told == nothing["steal"].told == "not told"


@pytest.mark.parametrize(
    ("changes", "name", "level", "words"),
    [
        ({"persistence_mode": False}, "persistence", "flag", "nvidia-smi -pm 1"),
        ({"mig_mode": True}, "MIG", "flag", "whole GPU"),
        ({"is_mig_instance": True}, "MIG", "flag", "whole GPU"),
        ({"enforced_power_limit_w": 500.0}, "power limit", "flag", "nvidia-smi -pl 700"),
        ({"pcie_width": 8}, "PCIe", "flag", "8 of 16"),
    ],
)
def test_settings_of_a_gpu_are_found(
    changes: dict[str, Any], name: str, level: str, words: str
) -> None:
    lines = gpu(**changes)

    assert found(lines) == [(name, level)]
    (finding,) = lines[name].findings
    assert words in f"{finding.what}; {finding.fix}"


@pytest.mark.parametrize(
    ("changes", "name", "level", "words"),
    [
        ({"process_ids": (7,)}, "processes", "fail", "7"),
        ({"process_ids": None}, "processes", "note", "--pid=host"),
        ({"clock_event_reasons": 0x40}, "clock now", "fail", "hardware thermal slowdown"),
        ({"clock_event_reasons": 0x04}, "clock now", "flag", "power cap"),
        ({"temperature_c": 88.0}, "temperature", "flag", "88 C"),
        ({"memory_used_bytes": 9_000_000_000}, "in use", "flag", "9.0 GB"),
        ({"utilization": 0.5}, "in use", "flag", "50%"),
    ],
)
def test_the_state_of_a_gpu_is_found(
    changes: dict[str, Any], name: str, level: str, words: str
) -> None:
    lines = gpu(replace(IDLE, **changes))

    assert found(lines) == [(name, level)]
    (finding,) = lines[name].findings
    assert words in f"{finding.what}; {finding.fix}"


def test_the_doctor_itself_is_no_other_process() -> None:
    assert found(gpu(replace(IDLE, process_ids=(os.getpid(),)))) == []


def test_a_gpu_that_tells_nothing_is_no_finding() -> None:
    lines = gpu_lines(KNOWN, "", GpuReading({}, GpuState("GPU-1", process_ids=())))

    assert [line.name for line in lines if line.findings] == []
    assert {line.told for line in lines[2:]} == {
        "not told",
        "no others",
        "not told, event reasons 0x0",
    }


def test_no_gpu_and_no_nvml_are_told() -> None:
    (none,) = gpu_lines(None, "no driver", GpuReading())
    *_, unread = gpu_lines(KNOWN, "", GpuReading(problem="it is not installed", fix="install it"))

    assert (none.level, none.findings[0].what) == ("note", "no GPU: no driver")
    assert (unread.level, unread.findings[0].fix) == ("flag", "install it")


def test_why_nvml_is_not_read_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(uuid: str) -> None:
        raise MissingDependencyError("no NVML", fix="install it")

    monkeypatch.setattr("harness.doctor.gpu.NvmlGpu", refuse)

    assert read_nvml("GPU-1") == GpuReading(problem="no NVML", fix="install it")


def test_a_moment_is_read_without_making_the_cache(tmp_path: Path) -> None:
    cache = tmp_path / "a" / "b"

    moment = read_moment(cache, interval_s=0.05, root=tmp_path)

    assert not cache.parent.exists()
    assert moment.cache_problem == ""
    assert 0.0 <= moment.busy <= 1.0
    assert moment.disk_free_bytes > 0
    assert moment.clock_source is None
    assert moment.tick_s > 0.0


def test_a_cache_that_is_a_file_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")

    assert "cannot be written" in read_moment(file / "cache", interval_s=0.01).cache_problem


def test_the_clock_goes_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([index // 4 * 100 for index in range(20_000)])
    monkeypatch.setattr("time.perf_counter_ns", lambda: next(ticks))

    assert host_tick_s() == pytest.approx(100e-9)
