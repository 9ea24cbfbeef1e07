"""NVML's readings, with a stand-in for its library."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from harness.errors import FeatureUnavailableError, MissingDependencyError
from harness.measure.nvml import NvmlGpu, read_gpu_facts
from harness.states import GpuState
from tests.telemetry_fakes import ANSWERS, UUID, FakeNvml, NVMLError

if TYPE_CHECKING:
    from pathlib import Path


def make_namespace(root: Path, namespace: str, *pids: int) -> Path:
    ns = root / "proc/self/ns"
    ns.mkdir(parents=True)
    (ns / "pid").symlink_to(namespace)
    for pid in pids:
        (root / "proc" / str(pid)).mkdir()
    return root


@pytest.fixture
def host(tmp_path: Path) -> Path:
    return make_namespace(tmp_path, "pid:[4026531836]")


def test_a_reading_is_in_the_units_of_its_names(host: Path) -> None:
    state = NvmlGpu(UUID, FakeNvml(), host).read()

    assert state.power_w == pytest.approx(412.345)
    assert state.energy_j == pytest.approx(98_765.432)
    assert (state.sm_clock_mhz, state.memory_clock_mhz) == (1980.0, 3201.0)
    assert state.temperature_c == 54.0
    assert state.utilization == pytest.approx(0.87)
    assert state.memory_used_bytes == 3 << 30
    assert state.clock_event_reasons == 0x04
    assert state.violation_s == {"power": 2.5, "thermal": 0.0}
    assert state.process_ids == (10, 20)


def test_what_the_card_does_not_support_is_none_and_no_error(host: Path) -> None:
    gpu = NvmlGpu(UUID, FakeNvml({}), host)

    assert gpu.read() == GpuState(uuid=UUID)
    facts = gpu.facts()
    assert facts.pop("uuid") == UUID
    assert facts.pop("is_mig_instance") is False
    assert set(facts.values()) == {None}


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_each_reading_fails_alone(name: str, host: Path) -> None:
    whole = NvmlGpu(UUID, FakeNvml(), host)
    rest = {key: value for key, value in ANSWERS.items() if key != name}
    part = NvmlGpu(UUID, FakeNvml(rest), host)

    missing = {
        key
        for before, after in (
            (vars(whole.read()), vars(part.read())),
            (whole.facts(), part.facts()),
        )
        for key in before
        if before[key] != after[key]
    }

    expected = {"nvmlDeviceGetClockInfo": 2, "nvmlDeviceGetMaxClockInfo": 2}
    expected["nvmlDeviceGetApplicationsClock"] = 2
    expected["nvmlDeviceGetDefaultApplicationsClock"] = 2
    expected["nvmlDeviceGetMaxCustomerBoostClock"] = 2
    assert len(missing) == expected.get(name, 1)


def test_an_older_package_and_driver_answer_by_the_older_names(host: Path) -> None:
    answers = {
        "nvmlDeviceGetTemperature": 61,
        "nvmlDeviceGetCurrentClocksThrottleReasons": 0x40,
    }
    newer = ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetCurrentClocksEventReasons")

    state = NvmlGpu(UUID, FakeNvml(answers, absent=newer), host).read()

    assert (state.temperature_c, state.clock_event_reasons) == (61.0, 0x40)


def test_the_largest_number_of_its_type_is_no_value(host: Path) -> None:
    answers = {
        "nvmlDeviceGetTotalEnergyConsumption": 2**64 - 1,
        "nvmlDeviceGetPowerUsage": 2**32 - 1,
        "nvmlDeviceGetViolationStatus": {0: SimpleNamespace(violationTime=2**64 - 1)},
    }

    assert NvmlGpu(UUID, FakeNvml(answers), host).read() == GpuState(uuid=UUID)


@pytest.mark.parametrize(
    ("here", "listed", "told"),
    [
        ((10, 20), (10, 20), (10, 20)),  # by the numbers that hold in here
        ((10,), (10, 20), None),  # by the host's, one of which is another process's in here
        ((), (), None),  # hidden, or none
    ],
)
def test_a_container_does_not_take_a_hidden_process_for_none(
    tmp_path: Path, here: tuple[int, ...], listed: tuple[int, ...], told: tuple[int, ...] | None
) -> None:
    root = make_namespace(tmp_path, "pid:[4026532999]", *here)
    answers = {"nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=pid) for pid in listed]}

    assert NvmlGpu(UUID, FakeNvml(answers), root).read().process_ids == told


def test_outside_of_containers_an_empty_list_is_no_process(host: Path) -> None:
    nvml = FakeNvml({"nvmlDeviceGetComputeRunningProcesses": []})

    assert NvmlGpu(UUID, nvml, host).read().process_ids == ()


def test_of_an_instance_the_card_is_asked_but_for_memory_and_processes(host: Path) -> None:
    nvml = FakeNvml()
    gpu = NvmlGpu("MIG-1", nvml, host)

    gpu.read()

    of_instance = {name for name, handle in nvml.asked if handle == "instance"}
    assert of_instance == {"nvmlDeviceGetMemoryInfo", "nvmlDeviceGetComputeRunningProcesses"}
    assert gpu.facts()["is_mig_instance"] is True


def test_the_facts_are_in_the_units_of_their_names_and_nvml_is_left() -> None:
    nvml = FakeNvml()

    facts = read_gpu_facts(UUID, nvml)

    assert nvml.open == 0
    assert facts == {
        "name": "NVIDIA H200",
        "uuid": UUID,
        "is_mig_instance": False,
        "driver": "580.95.05",
        "driver_cuda": "13.0",
        "vbios": "96.00.A5",
        "power_limit_w": 700.0,
        "default_power_limit_w": 700.0,
        "enforced_power_limit_w": 650.0,
        "max_sm_clock_mhz": 1980.0,
        "max_memory_clock_mhz": 3201.0,
        "application_sm_clock_mhz": 1500.0,
        "application_memory_clock_mhz": 3201.0,
        "default_application_sm_clock_mhz": 1755.0,
        "default_application_memory_clock_mhz": 3201.0,
        "max_customer_sm_clock_mhz": 1980.0,
        "max_customer_memory_clock_mhz": 3201.0,
        "auto_boost": False,
        "persistence_mode": True,
        "mig_mode": False,
        "ecc_mode": True,
        "pcie_generation": 5,
        "pcie_width": 8,
        "max_pcie_width": 16,
    }


def test_without_the_package_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)

    with pytest.raises(MissingDependencyError, match="nvidia-ml-py is not installed") as caught:
        read_gpu_facts(UUID)
    assert caught.value.fix == "pip install 'trt-harness[cuda]'"


def test_without_a_driver_or_such_a_gpu_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml()
    with pytest.raises(FeatureUnavailableError, match="NVML knows no GPU-0: Not Found"):
        NvmlGpu("GPU-0", nvml)
    assert nvml.open == 0

    def fail() -> None:
        raise NVMLError("Shared Library Not Found")

    monkeypatch.setattr(nvml, "nvmlInit", fail)
    with pytest.raises(FeatureUnavailableError, match="NVML does not start: Shared Library Not"):
        NvmlGpu(UUID, nvml)
