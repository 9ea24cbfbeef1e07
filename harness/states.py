"""What state the machine was in while it was measured, and whether the figures then count."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class GpuState:
    """One reading of a GPU; what it cannot tell is None.

    ``energy_j`` is a counter since the driver was loaded, ``utilization`` a fraction of time,
    ``clock_event_reasons`` NVML's bits of why the clock is not higher, and ``violation_s`` the
    counters of the time spent under each limit (``power``, ``thermal``, ...).
    """

    uuid: str
    power_w: float | None = None
    energy_j: float | None = None
    sm_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    temperature_c: float | None = None
    utilization: float | None = None
    memory_used_bytes: int | None = None
    clock_event_reasons: int | None = None
    violation_s: dict[str, float] = field(default_factory=dict)
    process_ids: tuple[int, ...] | None = None


@dataclass(frozen=True)
class HostState:
    """One reading of the processor; what it cannot tell is None.

    ``busy``, ``steal`` and ``others_busy`` are fractions of the time of all available cores since
    the reading before: all work, what a hypervisor took away, and the work of other processes than
    those measured. ``energy_j`` is a counter (RAPL), ``throttle_count`` one of thermal throttling.
    """

    load_average_1min: float | None = None
    busy: float | None = None
    steal: float | None = None
    others_busy: float | None = None
    clock_mhz: float | None = None
    temperature_c: float | None = None
    energy_j: float | None = None
    throttle_count: int | None = None


@dataclass(frozen=True)
class DeviceState:
    """A reading of the machine at ``monotonic_s``, seconds of the system's monotonic clock."""

    monotonic_s: float
    host: HostState
    gpu: GpuState | None = None


@dataclass(frozen=True)
class Block:
    """A stretch of measuring one series, by the system's monotonic clock.

    ``passes`` counts the samples that it gave each target; ``rejected`` says why they do not
    count, and is empty where they do.
    """

    series: str
    started_s: float
    ended_s: float
    passes: int
    rejected: str = ""


# How grave a finding is: the run is invalid; it is valid but for that; only to be known. What is
# UNKNOWN is whether it is valid at all.
FAIL, FLAG, NOTE, UNKNOWN = "fail", "flag", "note", "unknown"


@dataclass(frozen=True)
class Finding:
    """Something about the machine: its level, ``fail`` to ``note``, what, and what to do."""

    level: str
    what: str
    fix: str


@dataclass(frozen=True)
class Validity:
    """Whether the machine's state lets the figures count, and why not."""

    findings: tuple[Finding, ...] = ()

    @property
    def status(self) -> str:
        """``valid``, ``flagged``, ``invalid``, or ``unknown`` where nothing was read."""
        levels = {finding.level for finding in self.findings}
        if FAIL in levels:
            return "invalid"
        if UNKNOWN in levels:
            return "unknown"
        return "flagged" if FLAG in levels else "valid"
