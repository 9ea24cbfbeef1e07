"""The GPU that a run would use: its settings, who else is on it, what holds its clock back."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.doctor.lines import DEFAULT_LIMITS, Limits, Line, gigabytes, yes_no
from harness.errors import HarnessError
from harness.measure.nvml import NvmlGpu
from harness.states import FAIL, FLAG, NOTE, DeviceState, Finding, GpuState, HostState
from harness.stats.events import SW_POWER_CAP, foreign_processes, hard_events, reasons_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECTION = "GPU"


@dataclass(frozen=True)
class GpuReading:
    """What NVML tells of a GPU: its facts and its state; else why it tells nothing, what to do."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    state: GpuState | None = None
    problem: str = ""
    fix: str = ""


def read_nvml(uuid: str) -> GpuReading:
    """What NVML tells of the GPU called ``uuid`` now."""
    try:
        gpu = NvmlGpu(uuid)
        try:
            return GpuReading(gpu.facts(), gpu.read())
        finally:
            gpu.close()
    except HarnessError as error:
        return GpuReading(problem=error.what, fix=error.fix)


def gpu_lines(
    known: Mapping[str, Any] | None,
    problem: str,
    reading: GpuReading,
    limits: Limits = DEFAULT_LIMITS,
) -> list[Line]:
    """What there is to say of the GPU.

    Args:
        known: what CUDA tells of it (``name``, ``uuid``, ...); None where there is none.
        problem: why there is none.
        reading: what NVML tells.
        limits: from where on something is a finding.
    """
    if known is None:
        found = Finding(NOTE, f"no GPU: {problem}", "the CPU's backends need none")
        return [Line(_SECTION, "GPU", "none", (found,))]
    facts = {**reading.facts, **known}
    capability = f"compute capability {facts.get('compute_capability', 'not told')}"
    lines = [Line(_SECTION, "GPU", f"{facts['name']}, {facts['uuid']}, {capability}")]
    told = f"{facts.get('driver') or 'not told'}, for CUDA {facts.get('driver_cuda', 'not told')}"
    lines.append(Line(_SECTION, "driver", told))
    if reading.problem:
        what = f"NVML tells nothing: {reading.problem}"
        found = Finding(FLAG, what, reading.fix or "see nvidia-smi")
        return [*lines, Line(_SECTION, "NVML", "not read", (found,))]
    lines += [*_settings(facts), _power_limit(facts), _link(facts)]
    if reading.state is not None:
        lines += _state_lines(facts, reading.state, limits)
    return lines


def _settings(facts: Mapping[str, Any]) -> list[Line]:
    persistence, mig = facts.get("persistence_mode"), facts.get("mig_mode")
    what = "persistence mode is off: the driver unloads between runs, and clocks start cold"
    unloading = Finding(FLAG, what, "sudo nvidia-smi -pm 1")
    what = "MIG is on: power, clocks and part of the memory system are shared with other instances"
    shared = Finding(FLAG, what, "measure on a whole GPU, or say so beside the figures")
    is_mig = mig or facts.get("is_mig_instance")
    clocks = [
        f"{label} {facts[key]:.0f} MHz"
        for label, key in (
            ("SM at most", "max_sm_clock_mhz"),
            ("as set for applications", "application_sm_clock_mhz"),
            ("memory at most", "max_memory_clock_mhz"),
        )
        if facts.get(key) is not None
    ]
    return [
        Line(
            _SECTION,
            "persistence",
            yes_no(persistence),
            (unloading,) if persistence is False else (),
        ),
        Line(_SECTION, "ECC", yes_no(facts.get("ecc_mode"))),
        Line(_SECTION, "MIG", yes_no(mig), (shared,) if is_mig else ()),
        Line(_SECTION, "clocks", ", ".join(clocks) or "not told"),
    ]


def _power_limit(facts: Mapping[str, Any]) -> Line:
    limit_w = facts.get("enforced_power_limit_w") or facts.get("power_limit_w")
    usual_w = facts.get("default_power_limit_w")
    if limit_w is None:
        return Line(_SECTION, "power limit", "not told")
    if usual_w is None or limit_w >= usual_w:
        return Line(_SECTION, "power limit", f"{limit_w:.0f} W")
    what = f"its power is limited to {limit_w:.0f} W, {usual_w:.0f} W is its default"
    found = Finding(FLAG, what, f"sudo nvidia-smi -pl {usual_w:.0f}, unless that is meant")
    return Line(_SECTION, "power limit", f"{limit_w:.0f} W of {usual_w:.0f} W", (found,))


def _link(facts: Mapping[str, Any]) -> Line:
    width, most = facts.get("pcie_width"), facts.get("max_pcie_width")
    if width is None:
        return Line(_SECTION, "PCIe", "not told")
    told = f"{width} lanes of generation {facts.get('pcie_generation') or 'not told'}"
    if most is None or width >= most:
        return Line(_SECTION, "PCIe", told)
    what = f"it has {width} of {most} PCIe lanes: copies are slower"
    found = Finding(FLAG, what, "see to its slot and riser, and the firmware's settings")
    return Line(_SECTION, "PCIe", told, (found,))


def _state_lines(facts: Mapping[str, Any], state: GpuState, limits: Limits) -> list[Line]:
    reading = DeviceState(0.0, HostState(), state)
    reasons = reasons_of(reading)
    findings = [
        Finding(FAIL, f"its clock is held back: {event}", "let it cool; see to cooling and power")
        for event in hard_events([reading], [])
    ]
    if reasons & SW_POWER_CAP:
        what = "its clock is held back by the software power cap"
        findings.append(Finding(FLAG, what, "see what draws its power (nvidia-smi)"))
    clock = "not told" if state.sm_clock_mhz is None else f"SM {state.sm_clock_mhz:.0f} MHz"
    told = f"{clock}, event reasons {reasons:#x}"
    return [
        Line(_SECTION, "clock now", told, tuple(findings)),
        _temperature(state, limits),
        _processes(reading),
        _usage(facts, state, limits),
    ]


def _temperature(state: GpuState, limits: Limits) -> Line:
    if state.temperature_c is None:
        return Line(_SECTION, "temperature", "not told")
    told = f"{state.temperature_c:.0f} C"
    if state.temperature_c < limits.temperature_c:
        return Line(_SECTION, "temperature", told)
    found = Finding(FLAG, f"it is hot: {told} before any work", "let it cool, see to its cooling")
    return Line(_SECTION, "temperature", told, (found,))


def _processes(reading: DeviceState) -> Line:
    if reading.gpu is None or reading.gpu.process_ids is None:
        what = "who else uses the GPU cannot be told, as in a container"
        found = Finding(NOTE, what, "docker run --pid=host, or look with nvidia-smi on the host")
        return Line(_SECTION, "processes", "not told", (found,))
    pids = foreign_processes([reading], {os.getpid()})
    if not pids:
        return Line(_SECTION, "processes", "no others")
    names = ", ".join(map(str, pids))
    found = Finding(FAIL, f"other processes are on the GPU: {names}", "end them, or take another")
    return Line(_SECTION, "processes", names, (found,))


def _usage(facts: Mapping[str, Any], state: GpuState, limits: Limits) -> Line:
    used, share = state.memory_used_bytes, state.utilization
    parts, findings = [], []
    if used is not None:
        parts.append(f"{gigabytes(used)} of memory")
        if used > limits.gpu_memory_bytes:
            what = f"{gigabytes(used)} of its memory are in use before any work"
            findings.append(Finding(FLAG, what, "see who holds it (nvidia-smi, also on the host)"))
    if share is not None:
        parts.append(f"busy {share:.0%} of the time")
        if share > limits.utilization:
            what = f"{facts['name']} is busy {share:.0%} of the time before any work"
            findings.append(Finding(FLAG, what, "see who uses it (nvidia-smi, also on the host)"))
    return Line(_SECTION, "in use", ", ".join(parts) or "not told", tuple(findings))
