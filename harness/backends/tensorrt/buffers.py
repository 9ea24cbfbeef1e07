"""The device memory of a pipeline: one buffer a tensor, which producer and consumers share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.backends.tensorrt.engine import size_bytes
from harness.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from harness.backends.cuda import CudaDevice
    from harness.backends.tensorrt.engine import OpenEngine
    from harness.pipeline.pipeline import Pipeline


@dataclass(frozen=True)
class _Buffer:
    address: int
    size_bytes: int
    dtype: str


class Buffers:
    """Device memory by source: a free input, ``component.output`` or ``component.constant``.

    Each is as large as its tensor at the profile's max, told by the engine's context, and is used
    for every size up to that.
    """

    def __init__(self, pipeline: Pipeline, device: CudaDevice) -> None:
        self._pipeline = pipeline
        self._device = device
        self._buffers: dict[str, _Buffer] = {}
        self._staged_inputs: list[tuple[NDArray[Any], int]] = []
        self._staged_outputs: list[tuple[NDArray[Any], int]] = []

    def add(self, component: str, engine: OpenEngine) -> None:
        """Take memory for the tensors of ``engine`` that have none yet.

        Raises:
            EngineError: there is not enough memory, or two engines disagree on a tensor.
        """
        shapes = engine.largest_shapes()
        for name, spec in engine.tensors.items():
            source, dtype = self._source(component, name), spec.tensor.dtype
            needed = size_bytes(shapes[name], dtype)
            known = self._buffers.get(source)
            if known is None:
                address = self._device.allocate(needed)
                self._buffers[source] = _Buffer(address, needed, dtype)
            elif known.dtype != dtype or known.size_bytes < needed:
                what = (
                    f"{name} is {dtype} of {needed} bytes, but {source} holds {known.dtype} of "
                    f"{known.size_bytes}"
                )
                fix = "build both engines from the same declaration"
                raise EngineError(what, where=component, fix=fix)

    def _source(self, component: str, name: str) -> str:
        declared = self._pipeline.components[component].inputs.get(name)
        own = f"{component}.{name}"
        return own if declared is None else declared.source or own

    def address(self, component: str, name: str) -> int:
        """Where a component's tensor lies."""
        return self._buffers[self._source(component, name)].address

    def size_bytes(self, component: str, name: str) -> int:
        """How much memory a component's tensor takes."""
        return self._buffers[self._source(component, name)].size_bytes

    def write(self, source: str, array: NDArray[Any]) -> None:
        """Copy ``array`` into the buffer of ``source``, and wait for it."""
        buffer = self._buffers[source]
        self._device.upload(cast_numbers(array, buffer.dtype, source), buffer.address)

    def write_input(self, component: str, name: str, array: NDArray[Any]) -> None:
        """Copy ``array`` into what a component reads, and wait for it."""
        self.write(self._source(component, name), array)

    def read(self, component: str, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Copy what a component's tensor holds to the host."""
        buffer = self._buffers[self._source(component, name)]
        return self._device.download(buffer.address, shape, buffer.dtype)

    def spoil(self, component: str, name: str) -> None:
        """Fill a tensor with what is NaN as a real number."""
        buffer = self._buffers[self._source(component, name)]
        self._device.fill(buffer.address, 0xFF, buffer.size_bytes)

    def stage(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Mapping[str, tuple[int, ...]]
    ) -> None:
        """Lay the free inputs, and room for the final outputs, into page-locked memory."""
        self._staged_inputs = []
        for source, array in inputs.items():
            buffer = self._buffers[source]
            host = self._device.pinned(array.shape, buffer.dtype)
            host[...] = cast_numbers(array, buffer.dtype, source)
            self._staged_inputs.append((host, buffer.address))
        self._staged_outputs = [
            (self._device.pinned(shape, self._buffers[source].dtype), self._buffers[source].address)
            for source, shape in outputs.items()
        ]

    def queue_inputs(self) -> None:
        """Queue the copies of the free inputs to the device."""
        for host, address in self._staged_inputs:
            self._device.queue_upload(host, address)

    def queue_outputs(self) -> None:
        """Queue the copies of the final outputs to the host."""
        for host, address in self._staged_outputs:
            self._device.queue_download(host, address)

    def close(self) -> None:
        """Give all memory back."""
        for buffer in self._buffers.values():
            self._device.free(buffer.address)
        self._buffers.clear()
        self._staged_inputs.clear()
        self._staged_outputs.clear()


def cast_numbers(array: NDArray[Any], dtype: str, where: str) -> NDArray[Any]:
    """``array`` in the dtype of an engine's tensor: 8.5 takes 32-bit integers for 64-bit ones.

    Raises:
        EngineError: a number does not fit.
    """
    if array.dtype.name == dtype:
        return array
    cast = array.astype(dtype)
    if array.dtype.kind == "i" and not np.array_equal(cast.astype(array.dtype), array):
        what = f"holds numbers that {dtype} cannot, and this TensorRT has no {array.dtype.name}"
        raise EngineError(what, where=where, fix="use smaller numbers, or a later TensorRT")
    return cast
