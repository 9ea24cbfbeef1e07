"""Telemetry without a machine: a stand-in for pynvml, a GPU's states, and a /proc to write into."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from harness.states import DeviceState, GpuState, HostState

if TYPE_CHECKING:
    from pathlib import Path

UUID = "GPU-11111111-2222-3333-4444-555555555555"


class NVMLError(Exception):
    pass


class NVMLError_NotSupported(NVMLError):  # noqa: N801, N818  # pynvml's own name
    pass


# By name, what a call gives: of one card, all of it supported.
ANSWERS: dict[str, Any] = {
    "nvmlDeviceGetPowerUsage": 412_345,
    "nvmlDeviceGetTotalEnergyConsumption": 98_765_432,
    "nvmlDeviceGetClockInfo": {1: 1980, 2: 3201},
    "nvmlDeviceGetTemperatureV": 54,
    "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=87, memory=12),
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=3 << 30),
    "nvmlDeviceGetCurrentClocksEventReasons": 0x04,
    "nvmlDeviceGetViolationStatus": {
        0: SimpleNamespace(violationTime=2_500_000_000),
        1: SimpleNamespace(violationTime=0),
    },
    "nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=20), SimpleNamespace(pid=10)],
    "nvmlDeviceGetName": "NVIDIA H200",
    "nvmlSystemGetDriverVersion": "580.95.05",
    "nvmlSystemGetCudaDriverVersion_v2": 13000,
    "nvmlDeviceGetVbiosVersion": "96.00.A5",
    "nvmlDeviceGetPowerManagementLimit": 700_000,
    "nvmlDeviceGetPowerManagementDefaultLimit": 700_000,
    "nvmlDeviceGetEnforcedPowerLimit": 650_000,
    "nvmlDeviceGetMaxClockInfo": {1: 1980, 2: 3201},
    "nvmlDeviceGetApplicationsClock": {1: 1500, 2: 3201},
    "nvmlDeviceGetDefaultApplicationsClock": {1: 1755, 2: 3201},
    "nvmlDeviceGetMaxCustomerBoostClock": {1: 1980, 2: 3201},
    "nvmlDeviceGetAutoBoostedClocksEnabled": [0, 1],
    "nvmlDeviceGetPersistenceMode": 1,
    "nvmlDeviceGetMigMode": [0, 1],
    "nvmlDeviceGetEccMode": [1, 1],
    "nvmlDeviceGetMaxPcieLinkGeneration": 5,
    "nvmlDeviceGetCurrPcieLinkWidth": 8,
    "nvmlDeviceGetMaxPcieLinkWidth": 16,
}


class FakeNvml:
    """pynvml with ``answers``; what is not in it is not supported, and ``absent`` is not there."""

    NVMLError = NVMLError

    def __init__(self, answers: dict[str, Any] | None = None, absent: tuple[str, ...] = ()) -> None:
        self.answers = ANSWERS if answers is None else answers
        self.absent = absent
        self.open = 0
        self.asked: list[tuple[str, str]] = []

    def nvmlInit(self) -> None:  # noqa: N802
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid.startswith("MIG-"):
            return "instance"
        if uuid != UUID:
            raise NVMLError("Not Found")
        return "card"

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: str) -> str:  # noqa: N802
        return "card"

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml") or name in self.absent:
            raise AttributeError(name)

        def answer(handle: str = "", *arguments: int) -> Any:
            self.asked.append((name, handle))
            found = self.answers.get(name)
            if isinstance(found, dict):
                found = found.get(*arguments)
            if found is None:
                raise NVMLError_NotSupported(name)
            return found

        return answer


def make_proc(
    root: Path,
    cores: dict[int, tuple[int, ...]],
    processes: dict[int, tuple[int, int]] | None = None,
) -> None:
    """Write a /proc: the columns of each core, and of each process its parent and its ticks."""
    proc = root / "proc"
    proc.mkdir(parents=True, exist_ok=True)
    total = [sum(column) for column in zip(*cores.values(), strict=True)]
    lines = [("cpu ", total), *((f"cpu{core}", row) for core, row in cores.items())]
    text = "".join(f"{name} {' '.join(map(str, row))}\n" for name, row in lines)
    (proc / "stat").write_text(f"{text}intr 1 2 3\nctxt 5\n", encoding="utf-8")
    (proc / "loadavg").write_text("1.25 0.50 0.10 1/200 4242\n", encoding="utf-8")
    for pid, (parent, ticks) in (processes or {}).items():
        folder = proc / str(pid)
        folder.mkdir(exist_ok=True)
        # The name is what a process calls itself. Half of the ticks are of children waited for.
        times = f"{ticks // 2} 0 {ticks - ticks // 2} 0"
        columns = f"S {parent} 1 1 0 -1 0 0 0 0 0 {times} 20 0 1"
        (folder / "stat").write_text(f"{pid} (a) 7 (b) {columns}\n", encoding="utf-8")


def simulate_h200(interval_s: float = 0.1) -> tuple[DeviceState, ...]:
    """Three seconds idle at 76 W, six of work at 420 W, and three idle again. Nothing was read.

    The counter moves every 0.1 s, not in step with the readings, and lags by up to as much; the
    power reading follows in 0.3 s; the clock goes up at once and down after a second.
    """
    start_s, work_s, end_s, step_s = 5000.0, (3.0, 9.0), 12.0, 0.1

    def energy_j(at_s: float) -> float:
        seen_s = int((at_s + 0.037) / step_s) * step_s - 0.037
        worked_s = min(max(seen_s - work_s[0], 0.0), work_s[1] - work_s[0])
        return 812_345.0 + 76.0 * seen_s + (420.0 - 76.0) * worked_s

    gpu = GpuState(uuid=UUID, memory_clock_mhz=3201.0, process_ids=(4242,))
    host = HostState(load_average_1min=1.0, clock_mhz=3500.0)
    states = []
    for index in range(round(end_s / interval_s)):
        at_s = index * interval_s + 0.004 * (index % 3)
        is_working = work_s[0] <= at_s < work_s[1]
        is_fast = work_s[0] <= at_s < work_s[1] + 1.0
        power_w = 76.0
        if at_s >= work_s[0]:
            near = min(1.0, (at_s - (work_s[0] if is_working else work_s[1])) / 0.3)
            power_w = 76.0 + 344.0 * (near if is_working else 1.0 - near)
        now = replace(
            gpu,
            power_w=round(power_w, 3),
            energy_j=round(energy_j(at_s), 3),
            sm_clock_mhz=1980.0 if is_fast else 345.0,
            temperature_c=float(round(32 + 14 * min(1.0, max(0.0, at_s - work_s[0]) / 6.0))),
            utilization=1.0 if is_working else 0.0,
            memory_used_bytes=(2 << 30) if is_fast else (1 << 30),
            clock_event_reasons=0 if is_fast else 1,
            violation_s={"power": 0.0, "thermal": 0.0},
        )
        busy = replace(host, busy=0.07 if is_working else 0.01, steal=0.0, others_busy=0.01)
        states.append(DeviceState(round(start_s + at_s, 6), busy, now))
    return tuple(states)
