"""What an examination tells: a line for each thing, with findings where something is to be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness.states import FAIL, FLAG, NOTE, Finding

OK: Final = "ok"
_ORDER: Final = (OK, NOTE, FLAG, FAIL)


@dataclass(frozen=True)
class Line:
    """One thing that was looked at: what it is, in words, and what is to be done about it."""

    section: str
    name: str
    told: str
    findings: tuple[Finding, ...] = ()

    @property
    def level(self) -> str:
        """That of the gravest finding; ``ok`` where there is none."""
        return max((finding.level for finding in self.findings), key=_ORDER.index, default=OK)


@dataclass(frozen=True)
class Limits:
    """From where on something is a finding.

    Bytes, degrees Celsius, seconds, and fractions of the time of all cores.
    """

    memory_bytes: int = 1 << 30
    disk_flag_bytes: int = 2 << 30
    disk_fail_bytes: int = 256 << 20
    gpu_memory_bytes: int = 1 << 30
    temperature_c: float = 80.0
    utilization: float = 0.05
    busy: float = 0.05
    steal: float = 0.01
    tick_s: float = 1e-6


DEFAULT_LIMITS: Final = Limits()


def yes_no(value: bool | None) -> str:  # noqa: FBT001
    """For lines: ``on``, ``off``, or that nobody tells."""
    return "not told" if value is None else "on" if value else "off"


def gigabytes(size_bytes: float) -> str:
    """For lines: ``1.2 GB``."""
    return f"{size_bytes / 1e9:.1f} GB"
