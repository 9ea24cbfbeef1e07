"""One open engine: its tensors by name, their shapes and addresses, and its launch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.backends.tensorrt.library import MEMORY_API
from harness.backends.tensorrt.network import numpy_dtype
from harness.backends.tensorrt.open import open_engine
from harness.backends.tensorrt.profiles import NetworkTensor, ShapeRange
from harness.errors import EngineError, InputDataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.backends.tensorrt.library import Library


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of an engine; ``range`` is an input's profile."""

    tensor: NetworkTensor
    is_input: bool
    range: ShapeRange | None


class OpenEngine:
    """An engine and its execution context.

    Raises:
        EngineError: the file is no engine for this machine, or its context cannot be made.
    """

    def __init__(
        self, library: Library, path: Path, component: str, plugins: tuple[str, ...] = ()
    ) -> None:
        self._begin(library, component, open_engine(library, path, plugins))

    def _begin(self, library: Library, component: str, engine: Any) -> None:  # noqa: ANN401
        self._library = library
        self.component = component
        self.engine = engine
        library.problem()
        self.context = self.engine.create_execution_context()
        if self.context is None:
            raise self._error("its context cannot be made", "free device memory")
        self.tensors = {spec.tensor.name: spec for spec in map(self._spec, self._names())}

    def beside(self) -> OpenEngine | None:
        """Another context of the same engine, which shares its weights; None where none can be had.

        Of an engine with dynamic shapes, TensorRT before 10 gives a profile to one context only.

        Raises:
            EngineError: its context cannot be made.
        """
        other = object.__new__(OpenEngine)
        other._begin(self._library, self.component, self.engine)
        is_dynamic = any(-1 in spec.tensor.shape for spec in self.tensors.values())
        if is_dynamic and getattr(other.context, "active_optimization_profile", -1) < 0:
            other.close()
            self._library.problem()
            return None
        return other

    def _names(self) -> list[str]:
        return [self.engine.get_tensor_name(i) for i in range(self.engine.num_io_tensors)]

    def _spec(self, name: str) -> TensorSpec:
        trt, engine = self._library.module, self.engine
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        if engine.get_tensor_location(name) != trt.TensorLocation.DEVICE:
            what = f"{name} is read by the host: a shape tensor"
            raise EngineError(what, where=self.component, fix="compute shapes inside the graph")
        tensor = NetworkTensor(
            name, numpy_dtype(engine.get_tensor_dtype(name)), tuple(engine.get_tensor_shape(name))
        )
        shapes = None
        if is_input:
            found = engine.get_tensor_profile_shape(name, 0)
            shapes = ShapeRange(*(tuple(shape) for shape in found))
        return TensorSpec(tensor, is_input, shapes)

    @property
    def inputs(self) -> tuple[NetworkTensor, ...]:
        """The inputs; a dynamic dimension is -1."""
        return tuple(spec.tensor for spec in self.tensors.values() if spec.is_input)

    @property
    def outputs(self) -> tuple[NetworkTensor, ...]:
        """The outputs; a dynamic dimension is -1."""
        return tuple(spec.tensor for spec in self.tensors.values() if not spec.is_input)

    @property
    def device_memory_bytes(self) -> int | None:
        """What its activations take at the profile's max."""
        for name in MEMORY_API:
            if hasattr(self.engine, name):
                return int(getattr(self.engine, name))
        return None

    def largest_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor at the profile's max; the context is left at it."""
        return self.set_shapes(
            {name: s.range.max for name, s in self.tensors.items() if s.range is not None}
        )

    def set_shapes(self, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Set the inputs' shapes; gives the shape of every tensor, as the context then tells it.

        Raises:
            InputDataError: a name or shape that the engine does not take.
            EngineError: an output's shape depends on the data.
        """
        self._check_inputs(inputs)
        for name, shape in inputs.items():
            if not self.context.set_input_shape(name, tuple(shape)):
                raise self._error(f"{name} cannot be {list(shape)}", "stay within the profile")
        missing = list(self.context.infer_shapes())
        if missing:
            raise self._error(f"no shape is set for {', '.join(missing)}", "give all inputs")
        shapes = {name: tuple(self.context.get_tensor_shape(name)) for name in self.tensors}
        for name, shape in shapes.items():
            if any(size < 0 for size in shape):
                what = f"{name} is {list(shape)}: its size depends on the data"
                fix = "give the graph an output of a size that its inputs' shapes tell"
                raise EngineError(what, where=self.component, fix=fix)
        return shapes

    def _check_inputs(self, inputs: Mapping[str, tuple[int, ...]]) -> None:
        known = {name: spec for name, spec in self.tensors.items() if spec.is_input}
        if set(inputs) != set(known):
            what = f"is given {', '.join(inputs) or 'nothing'}; it takes {', '.join(known)}"
            raise InputDataError(what, where=self.component, fix="give exactly its inputs")
        for name, shape in inputs.items():
            shapes = known[name].range
            if shapes is None:
                continue
            fits = len(shape) == len(shapes.min) and all(
                low <= size <= high
                for low, size, high in zip(shapes.min, shape, shapes.max, strict=True)
            )
            if not fits:
                what = (
                    f"{name} is {list(shape)}, built for {list(shapes.min)} to {list(shapes.max)}"
                )
                raise InputDataError(what, where=self.component, fix="stay within the profile")

    @staticmethod
    def check_dtype(tensor: NetworkTensor, array: NDArray[Any]) -> NDArray[Any]:
        """``array``, if its dtype is the tensor's.

        Raises:
            InputDataError: it is not; nothing is converted without a word.
        """
        if array.dtype.name != tensor.dtype:
            what = f"{tensor.name} is {array.dtype.name}, the engine takes {tensor.dtype}"
            raise InputDataError(what, where="infer()", fix=f"give astype({tensor.dtype!r})")
        return array

    def set_address(self, name: str, address: int) -> None:
        """Say where a tensor lies in the device's memory."""
        if not self.context.set_tensor_address(name, address):
            raise self._error(f"{name} cannot lie at {address:#x}", "report this")

    def enqueue(self, stream_handle: int) -> None:
        """Queue one inference.

        Raises:
            EngineError: TensorRT refuses it.
        """
        if not self.context.execute_async_v3(stream_handle):
            raise self._error("cannot be queued", "bind it again, or free device memory")

    def _error(self, what: str, fix: str) -> EngineError:
        problem = self._library.problem()
        text = f"{what}: {problem[:300]}" if problem else what
        return EngineError(text, where=self.component, fix=fix)

    def close(self) -> None:
        """Free the context and the engine."""
        del self.context
        del self.engine


def size_bytes(shape: tuple[int, ...], dtype: str) -> int:
    """The bytes of an array; no dimension may be -1.

    Raises:
        EngineError: one is.
    """
    count = 1
    for size in shape:
        if size < 0:
            what = f"{list(shape)} has no size"
            raise EngineError(what, fix="set the inputs' shapes and ask the context")
        count *= size
    return count * np.dtype(dtype).itemsize
