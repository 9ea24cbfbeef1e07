"""What NVIDIA's management library (NVML) tells of a GPU: its state now, and what is fixed.

Not every card, driver or container answers everything: what is not answered is None. A reading
takes a lock of the driver, so that nothing here is called by the process that is measured while it
is measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from harness.errors import FeatureUnavailableError, missing_dependency
from harness.states import GpuState

_MILLI: Final = 1e-3
_NANO: Final = 1e-9
_PERCENT: Final = 1e-2
_CLOCK_SM: Final = 1  # NVML_CLOCK_SM
_CLOCK_MEMORY: Final = 2  # NVML_CLOCK_MEM
_SENSOR: Final = 0  # NVML_TEMPERATURE_GPU
# NVML_PERF_POLICY_...: what may hold the clock down.
_POLICIES: Final = {
    "power": 0,
    "thermal": 1,
    "sync_boost": 2,
    "board_limit": 3,
    "low_utilization": 4,
    "reliability": 5,
    "total_app_clocks": 10,
    "total_base_clocks": 11,
}
# NVML has no number for "not available" but the largest ones of its types.
_NO_VALUE: Final = frozenset({0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF})
# The kernel's number of the first process namespace, PROC_PID_INIT_INO: not that of a container.
_HOST_NAMESPACE: Final = "pid:[4026531836]"


class NvmlGpu:
    """One GPU, or one MIG instance of it, open in NVML until ``close()``.

    NVML knows the power, energy, clocks and temperature of a whole card only: for an instance
    (``MIG-...``) they are those of its card, other instances included.

    Args:
        uuid: as nvidia-smi writes it.
        library: stands in for ``pynvml``.
        root: of the file system that tells of processes.

    Raises:
        MissingDependencyError: nvidia-ml-py is not installed.
        FeatureUnavailableError: NVML does not run here, or knows no such GPU.
    """

    def __init__(self, uuid: str, library: Any = None, root: Path = Path("/")) -> None:  # noqa: ANN401
        self.uuid = uuid
        self._proc = root / "proc"
        self._library = _import_library() if library is None else library
        self._unanswered = tuple(
            getattr(self._library, name)
            # The second: the package and the driver are of different versions.
            for name in ("NVMLError", "NVMLLibraryMismatchError")
            if hasattr(self._library, name)
        )
        try:
            self._library.nvmlInit()
        except self._unanswered as error:
            fix = "is NVIDIA's driver installed, and its libnvidia-ml.so.1 in this container?"
            what = f"NVML does not start: {error}"
            raise FeatureUnavailableError(what, where="NVML", fix=fix) from error
        try:
            self._own = self._library.nvmlDeviceGetHandleByUUID(uuid)
        except self._unanswered as error:
            self._library.nvmlShutdown()
            what = f"NVML knows no {uuid}: {error}"
            raise FeatureUnavailableError(what, where="NVML", fix="see nvidia-smi -L") from error
        self._card = self._own
        if uuid.startswith("MIG-"):
            parent = self._ask("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", self._own)
            self._card = self._own if parent is None else parent

    def close(self) -> None:
        """Leave NVML; the GPU cannot be read afterwards."""
        self._ask("nvmlShutdown")

    def read(self) -> GpuState:
        """The state now."""
        card = self._card
        # First, since the caller has just looked at its clock: only this one is integrated.
        energy_mj = self._number("nvmlDeviceGetTotalEnergyConsumption", card)
        utilization = self._ask("nvmlDeviceGetUtilizationRates", card)
        memory = self._ask("nvmlDeviceGetMemoryInfo", self._own)
        reasons = self._number("nvmlDeviceGetCurrentClocksEventReasons", card)
        if reasons is None:
            # Its name before driver 535.
            reasons = self._number("nvmlDeviceGetCurrentClocksThrottleReasons", card)
        return GpuState(
            uuid=self.uuid,
            power_w=_scaled(self._number("nvmlDeviceGetPowerUsage", card), _MILLI),
            energy_j=_scaled(energy_mj, _MILLI),
            sm_clock_mhz=_scaled(self._number("nvmlDeviceGetClockInfo", card, _CLOCK_SM)),
            memory_clock_mhz=_scaled(self._number("nvmlDeviceGetClockInfo", card, _CLOCK_MEMORY)),
            temperature_c=self._temperature_c(),
            utilization=None if utilization is None else _scaled(utilization.gpu, _PERCENT),
            memory_used_bytes=None if memory is None else int(memory.used),
            clock_event_reasons=None if reasons is None else int(reasons),
            violation_s=self._violation_s(),
            process_ids=self._process_ids(),
        )

    def facts(self) -> dict[str, Any]:
        """What does not change while work is measured; see :func:`read_gpu_facts`."""
        card = self._card
        limits = {
            "power_limit_w": "nvmlDeviceGetPowerManagementLimit",
            "default_power_limit_w": "nvmlDeviceGetPowerManagementDefaultLimit",
            "enforced_power_limit_w": "nvmlDeviceGetEnforcedPowerLimit",
        }
        clocks = {
            "max_{}clock_mhz": "nvmlDeviceGetMaxClockInfo",
            "application_{}clock_mhz": "nvmlDeviceGetApplicationsClock",
            "default_application_{}clock_mhz": "nvmlDeviceGetDefaultApplicationsClock",
            "max_customer_{}clock_mhz": "nvmlDeviceGetMaxCustomerBoostClock",
        }
        domains = {"sm_": _CLOCK_SM, "memory_": _CLOCK_MEMORY}
        mig, ecc = (self._ask(f"nvmlDeviceGet{name}Mode", card) for name in ("Mig", "Ecc"))
        boost = self._ask("nvmlDeviceGetAutoBoostedClocksEnabled", card)
        return {
            "name": self._ask("nvmlDeviceGetName", card),
            "uuid": self.uuid,
            "is_mig_instance": self.uuid.startswith("MIG-"),
            "driver": self._ask("nvmlSystemGetDriverVersion"),
            "driver_cuda": _cuda(self._number("nvmlSystemGetCudaDriverVersion_v2")),
            "vbios": self._ask("nvmlDeviceGetVbiosVersion", card),
            **{key: _scaled(self._number(name, card), _MILLI) for key, name in limits.items()},
            **{
                key.format(domain): _scaled(self._number(name, card, number))
                for key, name in clocks.items()
                for domain, number in domains.items()
            },
            "auto_boost": None if boost is None else bool(boost[0]),
            "persistence_mode": _flag(self._ask("nvmlDeviceGetPersistenceMode", card)),
            # Each is what holds now, and what will after a reset.
            "mig_mode": None if mig is None else bool(mig[0]),
            "ecc_mode": None if ecc is None else bool(ecc[0]),
            # The most that card and slot can: an idle link falls back to the first generation.
            "pcie_generation": self._number("nvmlDeviceGetMaxPcieLinkGeneration", card),
            "pcie_width": self._number("nvmlDeviceGetCurrPcieLinkWidth", card),
            "max_pcie_width": self._number("nvmlDeviceGetMaxPcieLinkWidth", card),
        }

    def _ask(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401
        # An older package lacks the newer functions.
        function = getattr(self._library, name, None)
        if function is None:
            return None
        try:
            return function(*arguments)
        except self._unanswered:
            return None

    def _number(self, name: str, *arguments: Any) -> int | None:  # noqa: ANN401
        found = self._ask(name, *arguments)
        return None if found is None or found in _NO_VALUE else int(found)

    def _temperature_c(self) -> float | None:
        found = self._number("nvmlDeviceGetTemperatureV", self._card, _SENSOR)
        if found is None:
            # What older drivers have, and CUDA 14 will not.
            found = self._number("nvmlDeviceGetTemperature", self._card, _SENSOR)
        return _scaled(found)

    def _violation_s(self) -> dict[str, float]:
        found = {}
        for name, policy in _POLICIES.items():
            status = self._ask("nvmlDeviceGetViolationStatus", self._card, policy)
            if status is not None and status.violationTime not in _NO_VALUE:
                found[name] = status.violationTime * _NANO
        return found

    def _process_ids(self) -> tuple[int, ...] | None:
        """Who computes on it, by the numbers of this process's own namespace, or None.

        A container sees no process of the GPU, or sees them by the host's numbers, which are not
        those that it knows its own by: then an empty list does not mean that there are none.
        """
        found = self._ask("nvmlDeviceGetComputeRunningProcesses", self._own)
        if found is None:
            return None
        pids = tuple(sorted({int(process.pid) for process in found}))
        if self._sees_the_host() or (pids and all(self._is_here(pid) for pid in pids)):
            return pids
        return None

    def _sees_the_host(self) -> bool:
        try:
            return str((self._proc / "self/ns/pid").readlink()) == _HOST_NAMESPACE
        except OSError:
            return False

    def _is_here(self, pid: int) -> bool:
        return (self._proc / str(pid)).is_dir()


def read_gpu_facts(uuid: str, library: Any = None) -> dict[str, Any]:  # noqa: ANN401
    """What a measurement on the GPU called ``uuid`` depends on; None for what NVML does not tell.

    ``name``, ``uuid``, ``is_mig_instance``, ``driver``, ``driver_cuda``, ``vbios``,
    ``power_limit_w``, ``default_power_limit_w``, ``enforced_power_limit_w``, ``max_sm_clock_mhz``,
    ``max_memory_clock_mhz``, ``application_sm_clock_mhz``, ``application_memory_clock_mhz``, both
    also as ``default_application_...`` and ``max_customer_...`` (the most that a user may set),
    ``auto_boost``, ``persistence_mode``, ``mig_mode``, ``ecc_mode``, ``pcie_generation`` (the most
    that card and slot can), ``pcie_width`` and ``max_pcie_width`` (lanes). No call of NVML tells of
    a locked clock (``nvidia-smi --lock-gpu-clocks``): only the clock of each reading shows it.

    Raises:
        MissingDependencyError: nvidia-ml-py is not installed.
        FeatureUnavailableError: NVML does not run here, or knows no such GPU.
    """
    gpu = NvmlGpu(uuid, library)
    try:
        return gpu.facts()
    finally:
        gpu.close()


def _import_library() -> Any:  # noqa: ANN401
    try:
        import pynvml  # noqa: PLC0415
    except ImportError as error:
        raise missing_dependency("nvidia-ml-py", "cuda", "reading the GPU's state") from error
    return pynvml


def _scaled(value: float | None, unit: float = 1.0) -> float | None:
    return None if value is None else value * unit


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _cuda(version: int | None) -> str | None:
    """``12.8`` of 12080."""
    return None if version is None else f"{version // 1000}.{version % 1000 // 10}"
