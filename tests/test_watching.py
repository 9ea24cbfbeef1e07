"""The machine is watched, with a GPU and without."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from harness import watching
from harness.backends.gpu import GpuInfo
from harness.errors import FeatureUnavailableError, HarnessError
from harness.watching import describe_gpu, open_telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

GPU = GpuInfo("NVIDIA H200", "9.0", "GPU-1", "13.0")


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
    with open_telemetry({"gpu": None}) as watch:
        first = watch.states()
        limit_s = time.monotonic() + 20.0
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
    with open_telemetry({}) as watch:
        assert (watch.device_uuid, watch.driver()) == (None, None)


def test_the_driver_is_asked_for_every_time(gpu: Callable[..., None]) -> None:
    drivers = iter(["580.1", "590.2"])
    gpu(lambda uuid: {"driver": next(drivers), "asked": uuid})

    with open_telemetry({"gpu": {"uuid": "GPU-1"}}) as watch:
        assert watch.device_uuid == "GPU-1"
        assert [watch.driver(), watch.driver()] == ["580.1", "590.2"]


@pytest.mark.parametrize("facts", [refuse, lambda _: {}, lambda _: {"driver": None}])
def test_a_driver_that_is_not_told_of_is_none(
    gpu: Callable[..., None], facts: Callable[[str], dict[str, Any]]
) -> None:
    gpu(facts)

    with open_telemetry({"gpu": {"uuid": "GPU-1"}}) as watch:
        assert watch.driver() is None
        # What cannot be read of the GPU is no reason not to read the rest.
        assert watch.states()


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
