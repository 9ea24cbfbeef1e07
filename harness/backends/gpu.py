"""Which NVIDIA GPU is here, if any, told without any package: by the driver's own library."""

from __future__ import annotations

import ctypes
import uuid
from dataclasses import dataclass
from typing import Final

from harness.errors import FeatureUnavailableError

_DRIVER: Final = "libcuda.so.1"
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_...
_NAME_BYTES: Final = 256


@dataclass(frozen=True)
class GpuInfo:
    """What tells one GPU from another; ``uuid`` is written as nvidia-smi does."""

    name: str
    compute_capability: str
    uuid: str
    driver_cuda: str


def gpu_problem(driver: str = _DRIVER) -> str:
    """Why no GPU can be used here, in one clause; empty where one can."""
    try:
        library = ctypes.CDLL(driver)
    except OSError:
        return f"there is no {driver}, which comes with NVIDIA's driver"
    code = int(library.cuInit(0))
    if code != 0:
        return f"NVIDIA's driver reports error {code}: it sees no GPU that it can use"
    count = ctypes.c_int()
    if library.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value < 1:
        return "NVIDIA's driver sees no GPU (is CUDA_VISIBLE_DEVICES empty?)"
    return ""


def has_gpu() -> bool:
    """Whether there is a GPU that can be used."""
    return not gpu_problem()


def read_gpu(driver: str = _DRIVER) -> GpuInfo:
    """The first visible GPU.

    Raises:
        FeatureUnavailableError: there is none.
    """
    problem = gpu_problem(driver)
    if problem:
        fix = "run it where there is one; --backend onnxruntime needs none"
        raise FeatureUnavailableError(f"no GPU: {problem}", where="CUDA", fix=fix)
    library = ctypes.CDLL(driver)
    device, version = ctypes.c_int(), ctypes.c_int()
    library.cuDeviceGet(ctypes.byref(device), 0)
    library.cuDriverGetVersion(ctypes.byref(version))
    name = ctypes.create_string_buffer(_NAME_BYTES)
    library.cuDeviceGetName(name, _NAME_BYTES, device)
    identity = (ctypes.c_ubyte * 16)()
    library.cuDeviceGetUuid(identity, device)
    parts = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        library.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        parts.append(str(value.value))
    return GpuInfo(
        name=name.value.decode(),
        compute_capability=".".join(parts),
        uuid=f"GPU-{uuid.UUID(bytes=bytes(identity))}",
        driver_cuda=f"{version.value // 1000}.{version.value % 1000 // 10}",
    )
