"""The machine is watched, with a GPU and without."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from harness import watching
from harness.backends.gpu import GpuInfo
from harness.errors import FeatureUnavailableError, HarnessError
from harness.measure.telemetry_process import TelemetryProcess
from harness.measuring import Watch
from harness.states import DeviceState, GpuState, HostState
from harness.watching import Idle, describe_gpu, kept_states, open_telemetry, watch_idle

if TYPE_CHECKING:
    from collections.abc import Callable

GPU = GpuInfo("NVIDIA H200", "9.0", "GPU-1", "13.0")


@pytest.fixture(autouse=True)
def one_telemetry() -> None:
    """Here each has its own."""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A GPU, and what NVML tells of it."""

    def make(facts: Callable[[str], dict[str, Any]]) -> None:
        monkeypatch.setattr(watching, "has_gpu", lambda: True)
        monkeypatch.setattr(watching, "read_gpu", lambda: GPU)
        monkeypatch.setattr(watching, "read_gpu_facts", facts)

    return make


def refuse(_: str) -> dict[str, Any]:
    what = "no NVML"
    raise FeatureUnavailableError(what, where="NVML", fix="pip install nvidia-ml-py")


def test_without_a_gpu_the_processor_is_read_in_a_process_of_its_own() -> None:
    before_s = time.monotonic()
    with open_telemetry({"gpu": None}, uses_gpu=True) as watch:
        first = watch.states()
        limit_s = time.monotonic() + 120.0
        while len(watch.states()) == len(first):
            assert time.monotonic() < limit_s
            time.sleep(0.01)
        assert watch.device_uuid is None
        assert watch.driver() is None
    after = watch.states()

    assert first, "the first reading is there before anything is measured"
    assert after[: len(first)] == first
    assert len(after) > len(first)
    assert all(before_s < state.monotonic_s < time.monotonic() for state in after)
    assert all(state.gpu is None for state in after)
    assert after[0].host.load_average_1min is not None


def test_an_environment_that_tells_of_no_gpu_has_none() -> None:
    with open_telemetry({}, uses_gpu=True) as watch:
        assert (watch.device_uuid, watch.driver()) == (None, None)


def test_the_driver_is_asked_for_every_time(gpu: Callable[..., None]) -> None:
    drivers = iter(["580.1", "590.2"])
    gpu(lambda uuid: {"driver": next(drivers), "asked": uuid})

    with open_telemetry({"gpu": {"uuid": "GPU-1"}}, uses_gpu=True) as watch:
        assert watch.device_uuid == "GPU-1"
        assert [watch.driver(), watch.driver()] == ["580.1", "590.2"]


@pytest.mark.parametrize("facts", [refuse, lambda _: {}, lambda _: {"driver": None}])
def test_a_driver_that_is_not_told_of_is_none(
    gpu: Callable[..., None], facts: Callable[[str], dict[str, Any]]
) -> None:
    gpu(facts)

    with open_telemetry({"gpu": {"uuid": "GPU-1"}}, uses_gpu=True) as watch:
        assert watch.driver() is None
        # What cannot be read of the GPU is no reason not to read the rest.
        assert watch.states()


def test_a_gpu_that_no_backend_uses_is_neither_read_nor_judged(gpu: Callable[..., None]) -> None:
    gpu(lambda _: {"driver": "580.1"})

    with open_telemetry({"gpu": {"uuid": "GPU-1"}}, uses_gpu=False) as watch:
        assert (watch.device_uuid, watch.driver()) == (None, None)
        assert all(state.gpu is None for state in watch.states())
        # Nor is it missed.
        assert watch.problem() == ""


def test_a_process_that_ends_early_is_told_of_by_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry = TelemetryProcess()
    monkeypatch.setattr(watching, "TelemetryProcess", lambda _: telemetry)

    with open_telemetry({}, uses_gpu=False) as watch:
        assert watch.problem() == ""
        assert telemetry.pid is not None
        psutil.Process(telemetry.pid).kill()
        limit_s = time.monotonic() + 120.0
        while not watch.problem():
            assert time.monotonic() < limit_s
            time.sleep(0.01)
        assert "ended early (signal SIGKILL)" in watch.problem()


# Idle.


def at(at_s: float, power_w: float) -> DeviceState:
    return DeviceState(at_s, HostState(), GpuState("GPU-1", power_w=power_w))


def test_the_idle_power_is_that_of_a_second_and_more_of_readings() -> None:
    states: list[DeviceState] = []

    def sleep(seconds: float) -> None:
        assert seconds >= 1.0
        now_s = time.monotonic()
        states.extend(at(now_s - seconds * part / 10, 76.0) for part in range(10, 0, -1))

    idle = watch_idle(Watch(lambda: states, "GPU-1"), sleep)

    assert idle.power_w == 76.0
    assert states[-1].monotonic_s <= idle.until_s <= time.monotonic()


def test_where_no_gpu_is_watched_nothing_is_waited_for() -> None:
    def sleep(_: float) -> None:
        raise AssertionError

    assert watch_idle(Watch(tuple), sleep) == Idle()


def test_what_was_read_while_it_was_prepared_is_not_kept() -> None:
    states = [at(float(second), 76.0) for second in range(20)]

    found = kept_states(states, Idle(76.0, until_s=2.5), measured_from_s=15.5)

    # The last before measuring says what the counters were.
    assert [state.monotonic_s for state in found] == [0, 1, 2, 15, 16, 17, 18, 19]
    assert kept_states(states, Idle(), 15.5) == found[3:]
    assert kept_states((), Idle(), 15.5) == ()


def test_a_gpu_is_described_by_cuda_and_by_nvml(gpu: Callable[..., None]) -> None:
    gpu(lambda uuid: {"driver": "580.1", "uuid": uuid, "name": "what NVML calls it"})

    assert describe_gpu() == {
        "name": "NVIDIA H200",
        "compute_capability": "9.0",
        "uuid": "GPU-1",
        "driver_cuda": "13.0",
        "driver": "580.1",
    }


def test_a_gpu_that_nvml_does_not_tell_of_is_described_by_cuda(gpu: Callable[..., None]) -> None:
    gpu(refuse)

    described = describe_gpu()

    assert described is not None
    assert described["uuid"] == "GPU-1"
    assert described["nvml_problem"] == str(
        HarnessError("no NVML", where="NVML", fix="pip install nvidia-ml-py")
    )


def test_no_gpu_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "has_gpu", lambda: False)
    assert describe_gpu() is None
