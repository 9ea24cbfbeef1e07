"""Large matrix products through cuBLAS, without PyTorch: what a GPU can do at best.

cuBLAS comes with TensorRT 8.5, with PyTorch and with the CUDA toolkit; it is called through its C
interface, whose names are the same from version 11 on.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.errors import EngineError, FeatureUnavailableError

if TYPE_CHECKING:
    from harness.backends.cuda import CudaDevice

_NAMES: Final = ("libcublas.so.13", "libcublas.so.12", "libcublas.so.11")
_TRANSPOSED, _PLAIN = 1, 0
_DEFAULT_ALGORITHM: Final = -1
# cublasComputeType_t and cudaDataType_t of inputs and output, by precision. Accumulation is in 32
# bits, as networks need it.
_KINDS: Final = {"fp32": (68, 0, 0), "fp16": (68, 2, 2), "int8": (72, 3, 10)}
_DTYPES: Final = {
    "fp32": ("float32", "float32"),
    "fp16": ("float16", "float16"),
    "int8": ("int8", "int32"),
}


class MatrixProduct:
    """One product of two ``size`` x ``size`` matrices of random numbers, on a device.

    Random, since products of zeros run faster than any real ones.

    Raises:
        FeatureUnavailableError: there is no cuBLAS.
        EngineError: it refuses the product, or the device has no memory for it.
    """

    def __init__(self, device: CudaDevice, precision: str, size: int) -> None:
        self._library, self.version = _load()
        self._device = device
        self._size = size
        self._compute, self._input, self._output = _KINDS[precision]
        source, target = _DTYPES[precision]
        count = size * size
        random = np.random.default_rng(0)
        values = random.integers(-127, 128, count).astype(source)
        if source != "int8":
            values /= np.asarray(127 * size**0.5, dtype=source)
        whole = precision == "int8"
        self._one = ctypes.c_int32(1) if whole else ctypes.c_float(1.0)
        self._zero = ctypes.c_int32(0) if whole else ctypes.c_float(0.0)
        self._addresses: list[int] = []
        self._handle = ctypes.c_void_p()
        try:
            for size_bytes in (values.nbytes, values.nbytes, count * np.dtype(target).itemsize):
                self._addresses.append(device.allocate(size_bytes))
            for address in self._addresses[:2]:
                device.upload(values, address)
            self._check(self._library.cublasCreate_v2(ctypes.byref(self._handle)))
            stream = ctypes.c_void_p(device.stream_handle)
            self._check(self._library.cublasSetStream_v2(self._handle, stream))
        except BaseException:
            # The device outlives the product, and so would the memory.
            self.close()
            raise

    @property
    def macs(self) -> int:
        """The multiply-accumulates of one product."""
        return self._size**3

    def launch(self) -> None:
        """Queue it."""
        size = self._size
        first, second, third = (ctypes.c_void_p(address) for address in self._addresses)
        # Transposed times plain is the one order that 8-bit products are made in.
        code = self._library.cublasGemmEx(
            self._handle,
            _TRANSPOSED,
            _PLAIN,
            *(size, size, size),
            ctypes.byref(self._one),
            *(first, self._input, size),
            *(second, self._input, size),
            ctypes.byref(self._zero),
            *(third, self._output, size),
            self._compute,
            _DEFAULT_ALGORITHM,
        )
        self._check(code)

    def _check(self, code: Any) -> None:  # noqa: ANN401
        if int(code) != 0:
            what = f"cuBLAS answers status {int(code)}"
            raise EngineError(what, where="ceilings", fix="is the device's memory full?")

    def close(self) -> None:
        """Free it."""
        self._device.synchronize()
        if self._handle.value is not None:
            self._library.cublasDestroy_v2(self._handle)
        for address in self._addresses:
            self._device.free(address)


def _load() -> tuple[Any, str]:
    for name in _NAMES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        parts = []
        for part in range(3):
            value = ctypes.c_int()
            library.cublasGetProperty(part, ctypes.byref(value))
            parts.append(str(value.value))
        return library, ".".join(parts)
    what = f"there is no cuBLAS (none of {', '.join(_NAMES)})"
    fix = "install nvidia-cublas, or a CUDA toolkit"
    raise FeatureUnavailableError(what, where="ceilings", fix=fix)
