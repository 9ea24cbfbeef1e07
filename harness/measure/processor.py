"""What Linux tells of the processor: model, governor, turbo, threads, and a container's share."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

_CPU: Final = "sys/devices/system/cpu"
_KILO: Final = 1e-3


class Processor:
    """The processor of this machine; each method gives None for what is not told.

    Args:
        root: of the file system that tells.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def model(self) -> str | None:
        """Its name."""
        return self._of_cpuinfo("model name") or platform.processor() or None

    def microcode(self) -> str | None:
        """The revision of its microcode, with which its speed may change."""
        return self._of_cpuinfo("microcode")

    def is_virtual_machine(self) -> bool:
        """Whether it says that a hypervisor is below."""
        return " hypervisor" in (self._text("proc/cpuinfo") or "")

    def governor(self) -> str | None:
        """What sets the clock of the first core: ``performance``, ``powersave``, ..."""
        return self._line(f"{_CPU}/cpu0/cpufreq/scaling_governor")

    def max_mhz(self) -> float | None:
        """The highest clock that the first core may have, as it is set."""
        kilohertz = self._line(f"{_CPU}/cpu0/cpufreq/scaling_max_freq")
        return float(kilohertz) * _KILO if kilohertz and kilohertz.isdigit() else None

    def turbo(self) -> bool | None:
        """Whether it may go above its base clock."""
        is_off = self._line(f"{_CPU}/intel_pstate/no_turbo")
        if is_off is not None:
            return is_off == "0"
        boost = self._line(f"{_CPU}/cpufreq/boost")
        return None if boost is None else boost == "1"

    def smt(self) -> bool | None:
        """Whether two threads share a core."""
        active = self._line(f"{_CPU}/smt/active")
        return None if active is None else active == "1"

    def quota_cores(self) -> float | None:
        """How many cores' time its control groups let this process have; None without a limit."""
        quotas = [
            quota
            for folder in self._groups()
            if (quota := self._quota_v2(folder) or self._quota_v1(folder)) is not None
        ]
        return min(quotas, default=None)

    def _groups(self) -> list[Path]:
        """The folders of this process's control groups, and of all above them."""
        found: dict[Path, None] = {}
        base = self._root / "sys/fs/cgroup"
        for line in (self._text("proc/self/cgroup") or "").splitlines():
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if controllers and "cpu" not in controllers.split(","):
                continue
            for mount in (base / controllers, base / "cpu") if controllers else (base,):
                # A container often sees its own group as the root, though the path is the host's.
                parts = Path(path.lstrip("/")).parts
                found |= {mount.joinpath(*parts[:depth]): None for depth in range(len(parts) + 1)}
        return list(found)

    def _quota_v2(self, folder: Path) -> float | None:
        quota, _, period = (_first_line(folder / "cpu.max") or "").partition(" ")
        return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None

    def _quota_v1(self, folder: Path) -> float | None:
        quota = _first_line(folder / "cpu.cfs_quota_us")
        period = _first_line(folder / "cpu.cfs_period_us")
        # -1 is no limit.
        if quota and period and quota.isdigit() and period.isdigit():
            return int(quota) / int(period)
        return None

    def _of_cpuinfo(self, key: str) -> str | None:
        for line in (self._text("proc/cpuinfo") or "").splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip() or None
        return None

    def _text(self, path: str) -> str | None:
        return _read(self._root / path)

    def _line(self, path: str) -> str | None:
        return _first_line(self._root / path)


def _first_line(path: Path) -> str | None:
    text = _read(path)
    return text.splitlines()[0].strip() if text and text.strip() else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None
