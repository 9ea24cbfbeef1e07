"""What is told of a processor, from a file system made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.measure.processor import Processor

if TYPE_CHECKING:
    from pathlib import Path

CPU = "sys/devices/system/cpu"
GROUPS = "sys/fs/cgroup"


def write(root: Path, **files: str) -> Processor:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("CPU", CPU).replace("GROUPS", GROUPS)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Processor(root)


def test_nothing_is_told_by_an_empty_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.processor", lambda: "")
    found = Processor(tmp_path)

    assert [
        found.model(),
        found.microcode(),
        found.governor(),
        found.max_mhz(),
        found.turbo(),
        found.smt(),
        found.quota_cores(),
    ] == [None] * 7
    assert not found.is_virtual_machine()


def test_a_processor_is_described_by_its_files(tmp_path: Path) -> None:
    found = write(
        tmp_path,
        proc__cpuinfo="model name\t: Xeon\nmicrocode\t: 0x2b\nflags\t\t: fpu hypervisor\n",
        CPU__cpu0__cpufreq__scaling_governor="powersave\n",
        CPU__cpu0__cpufreq__scaling_max_freq="3500000\n",
        CPU__smt__active="1\n",
    )

    assert found.model() == "Xeon"
    assert found.microcode() == "0x2b"
    assert found.is_virtual_machine()
    assert found.governor() == "powersave"
    assert found.max_mhz() == pytest.approx(3500.0)
    assert found.smt() is True


@pytest.mark.parametrize(
    ("file", "text", "turbo"),
    [
        ("CPU__intel_pstate__no_turbo", "1\n", False),
        ("CPU__intel_pstate__no_turbo", "0\n", True),
        ("CPU__cpufreq__boost", "1\n", True),
        ("CPU__cpufreq__boost", "0\n", False),
    ],
)
def test_turbo_is_told_in_two_ways(tmp_path: Path, file: str, text: str, *, turbo: bool) -> None:
    assert write(tmp_path, **{file: text}).turbo() is turbo


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"proc__self__cgroup": "0::/a/b\n", "GROUPS__a__cpu.max": "150000 100000\n"}, 1.5),
        # The tightest of those above counts.
        (
            {
                "proc__self__cgroup": "0::/a/b\n",
                "GROUPS__a__cpu.max": "150000 100000\n",
                "GROUPS__a__b__cpu.max": "400000 100000\n",
            },
            1.5,
        ),
        # A container's own group is its root.
        ({"proc__self__cgroup": "0::/host/id\n", "GROUPS__cpu.max": "50000 100000\n"}, 0.5),
        ({"proc__self__cgroup": "0::/\n", "GROUPS__cpu.max": "max 100000\n"}, None),
        (
            {
                "proc__self__cgroup": "3:cpu,cpuacct:/x\n2:memory:/y\n",
                "GROUPS__cpu,cpuacct__x__cpu.cfs_quota_us": "200000\n",
                "GROUPS__cpu,cpuacct__x__cpu.cfs_period_us": "100000\n",
            },
            2.0,
        ),
        (
            {
                "proc__self__cgroup": "3:cpu:/x\n",
                "GROUPS__cpu__x__cpu.cfs_quota_us": "-1\n",
                "GROUPS__cpu__x__cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
    ],
)
def test_the_quota_of_control_groups(
    tmp_path: Path, files: dict[str, str], cores: float | None
) -> None:
    assert write(tmp_path, **files).quota_cores() == cores
