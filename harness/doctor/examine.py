"""One examination of this machine, from its parts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.backends.gpu import gpu_problem, read_gpu
from harness.doctor.backends import backend_lines
from harness.doctor.gpu import GpuReading, gpu_lines, read_nvml
from harness.doctor.machine import machine_lines, read_moment
from harness.measure.environment import describe_environment
from harness.states import Finding, Validity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.doctor.lines import Line


@dataclass(frozen=True)
class Examination:
    """All lines, and the environment as a record would hold it."""

    lines: tuple[Line, ...]
    environment: dict[str, Any]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of all lines."""
        return tuple(finding for line in self.lines for finding in line.findings)

    @property
    def status(self) -> str:
        """``valid``, ``flagged`` or ``invalid``, as a run here would be at best."""
        return Validity(self.findings).status


def examine(named: Sequence[str], cache_root: Path) -> Examination:
    """Look at the machine, its GPU, and the backends that are ``named`` (or all).

    Load and processes are looked at first, before trying backends makes some.
    """
    moment = read_moment(cache_root)
    problem = gpu_problem()
    known = None if problem else asdict(read_gpu())
    reading = GpuReading() if known is None else read_nvml(known["uuid"])
    gpu = None if known is None else {**reading.facts, **known}
    environment = describe_environment(Path(__file__).resolve().parent.parent, gpu=gpu)
    lines = [
        *machine_lines(environment, moment, cache_root),
        *gpu_lines(known, problem, reading),
        *backend_lines(named),
    ]
    return Examination(tuple(lines), environment)
