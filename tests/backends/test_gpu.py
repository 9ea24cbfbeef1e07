"""Whether there is a GPU, told without any package, also where there is no driver."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from harness.backends import gpu
from harness.backends.gpu import GpuInfo, gpu_problem, has_gpu, read_gpu
from harness.errors import FeatureUnavailableError


def test_without_a_driver_there_is_no_gpu() -> None:
    assert gpu_problem("libnope.so") == "there is no libnope.so, which comes with NVIDIA's driver"


def test_reading_a_gpu_that_is_not_there_tells_why() -> None:
    with pytest.raises(FeatureUnavailableError) as caught:
        read_gpu("libnope.so")

    assert caught.value.what == "no GPU: there is no libnope.so, which comes with NVIDIA's driver"
    assert caught.value.where == "CUDA"
    assert "--backend onnxruntime needs none" in caught.value.fix


class Driver:
    """As libcuda answers, with one device unless told otherwise."""

    def __init__(self, *, init: int = 0, count: int = 1, count_code: int = 0) -> None:
        self._init, self._count, self._count_code = init, count, count_code

    def cuInit(self, flags: int) -> int:  # noqa: N802  # the driver's own names
        return self._init

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self._count
        return self._count_code

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:  # noqa: N802
        device._obj.value = ordinal
        return 0

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = 12080
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:  # noqa: N802
        name.value = b"NVIDIA H200"
        assert size == len(name)
        return 0

    def cuDeviceGetUuid(self, identity: Any, device: Any) -> int:  # noqa: N802
        identity[:] = range(16)
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:  # noqa: N802
        value._obj.value = {75: 9, 76: 0}[attribute]
        return 0


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Any:
    def put(found: Driver) -> None:
        monkeypatch.setattr(gpu.ctypes, "CDLL", lambda name: found)

    return put


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (Driver(init=100), "NVIDIA's driver reports error 100: it sees no GPU that it can use"),
        (Driver(count=0), "NVIDIA's driver sees no GPU (is CUDA_VISIBLE_DEVICES empty?)"),
        (Driver(count_code=3), "NVIDIA's driver sees no GPU (is CUDA_VISIBLE_DEVICES empty?)"),
        (Driver(), ""),
    ],
)
def test_what_the_driver_says(driver: Any, found: Driver, problem: str) -> None:
    driver(found)

    assert gpu_problem() == problem
    assert has_gpu() is (not problem)


def test_a_gpu_is_named_as_its_own_tools_name_it(driver: Any) -> None:
    driver(Driver())

    assert read_gpu() == GpuInfo(
        name="NVIDIA H200",
        compute_capability="9.0",
        uuid="GPU-00010203-0405-0607-0809-0a0b0c0d0e0f",
        driver_cuda="12.8",
    )


def test_the_fake_is_asked_as_the_real_one_is() -> None:
    """``byref`` hands over what it refers to."""
    count = ctypes.c_int()
    Driver(count=3).cuDeviceGetCount(ctypes.byref(count))

    assert count.value == 3
