"""A device and a TensorRT in memory: what is queued runs when it is waited for, or on a replay."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.backends.tensorrt.library import TENSORRT, Library
from harness.errors import EngineError
from harness.pipeline.feeds import synthetic_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.backends.tensorrt.session import TensorRTSession
    from harness.pipeline.pipeline import Pipeline

STEP_S = 1e-6
VERSION = "8.5.3.1"
_HEADER_BYTES = 64


class FakeDevice:
    """A device whose stream is a list; like CudaDevice in what it can do."""

    stream_handle = 7
    info = SimpleNamespace(uuid="GPU-0", driver_cuda="12.0", name="fake", compute_capability="9.0")

    def check_thread(self) -> None:
        pass

    def __init__(self, capacity_bytes: int = 1 << 20) -> None:
        self.capacity_bytes = capacity_bytes
        self.memory: dict[int, bytearray] = {}
        self.allocations: list[int] = []
        self.queue: list[Callable[[], None]] = []
        self.recording: list[Callable[[], None]] | None = None
        self.graphs: list[FakeGraph] = []
        self.now_s = 0.0
        self.downloads = self.uploads = self.waits = self.closed = 0

    def submit(self, work: Callable[[], None]) -> None:
        (self.queue if self.recording is None else self.recording).append(work)

    def synchronize(self) -> None:
        assert self.recording is None, "no recording may wait for the device"
        self.waits += 1
        queued, self.queue = self.queue, []
        for work in queued:
            self.now_s += STEP_S
            work()

    def allocate(self, size_bytes: int) -> int:
        assert self.recording is None, "no recording may allocate"
        if size_bytes > self.free_bytes():
            what = f"the device is out of memory: {size_bytes / 1e6:.1f} MB are needed"
            raise EngineError(what, where="CUDA", fix="free some, or measure less")
        self.allocations.append(size_bytes)
        address = 0x1000 * len(self.allocations)
        self.memory[address] = bytearray(size_bytes)
        return address

    def free(self, address: int) -> None:
        del self.memory[address]

    def free_bytes(self) -> int:
        return self.capacity_bytes - sum(map(len, self.memory.values()))

    def pinned(self, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        return np.zeros(shape, dtype)

    def upload(self, array: NDArray[Any], address: int) -> None:
        self.queue_upload(np.ascontiguousarray(array), address)
        self.synchronize()

    def download(self, address: int, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        array = np.empty(shape, dtype)
        self.queue_download(array, address)
        self.synchronize()
        return array

    def queue_upload(self, array: NDArray[Any], address: int) -> None:
        self.uploads += 1
        self.submit(lambda: self.store(address, array))

    def queue_download(self, array: NDArray[Any], address: int) -> None:
        self.downloads += 1

        def copy() -> None:
            array[...] = self.load(address, array.shape, array.dtype.name)

        self.submit(copy)

    def fill(self, address: int, byte: int, size_bytes: int) -> None:
        def work() -> None:
            assert size_bytes <= len(self.memory[address])
            self.memory[address][:size_bytes] = bytes([byte]) * size_bytes

        self.submit(work)

    def queue_copy(self, target: int, source: int, size_bytes: int) -> None:
        def work() -> None:
            self.memory[target][:size_bytes] = self.memory[source][:size_bytes]

        self.submit(work)

    def close(self) -> None:
        self.closed += 1
        self.memory.clear()

    def store(self, address: int, array: NDArray[Any]) -> None:
        assert array.nbytes <= len(self.memory[address]), "written out of bounds"
        self.memory[address][: array.nbytes] = array.tobytes()

    def load(self, address: int, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        count = int(np.prod(shape, dtype=int))
        assert count * np.dtype(dtype).itemsize <= len(self.memory[address]), "read out of bounds"
        return np.frombuffer(bytes(self.memory[address]), dtype, count).reshape(shape)

    def record(self) -> Any:
        event = SimpleNamespace(at_s=None)

        def mark() -> None:
            event.at_s = self.now_s

        self.submit(mark)
        return event

    def is_past(self, event: Any) -> bool:
        return event.at_s is not None

    def wait(self, event: Any) -> None:
        self.synchronize()
        assert self.is_past(event)

    def elapsed_s(self, start: Any, end: Any) -> float:
        return float(end.at_s - start.at_s)

    def delay(self, seconds: float) -> None:
        self.submit(lambda: None)

    def make_graph(self, stream_handle: int, enqueue: Callable[[], None]) -> FakeGraph:
        graph = FakeGraph(self, stream_handle, enqueue)
        self.graphs.append(graph)
        return graph


class FakeGraph:
    """What was queued while it was recorded, with the addresses and shapes of then."""

    def __init__(self, device: FakeDevice, stream_handle: int, enqueue: Callable[[], None]) -> None:
        assert stream_handle == device.stream_handle
        assert device.queue == [], "recorded while others' work is queued"
        self._device = device
        device.recording = self._work = []
        try:
            enqueue()
        finally:
            device.recording = None
        self.is_closed = False

    def launch(self) -> None:
        assert not self.is_closed
        for work in self._work:
            self._device.submit(work)

    def close(self) -> None:
        assert not self.is_closed
        self.is_closed = True


@dataclass(frozen=True)
class Program:
    """An engine: ``inputs`` are dtype, shape, and min, opt and max; ``outputs`` dtype and shape."""

    inputs: Mapping[str, tuple[str, list[int], list[list[int]]]]
    outputs: Mapping[str, tuple[str, list[int]]]
    shapes: Callable[[Mapping[str, tuple[int, ...]]], dict[str, tuple[int, ...]]]
    compute: Callable[..., dict[str, NDArray[Any]]]
    location: str = "DEVICE"
    layers: list[Any] = field(default_factory=list)


DataType = Enum("DataType", ["FLOAT", "HALF", "INT8", "INT32", "INT64", "BOOL"])  # type: ignore[misc]
_DTYPES = {
    "float32": "FLOAT",
    "float16": "HALF",
    "int32": "INT32",
    "int64": "INT64",
    "bool": "BOOL",
}
TensorIOMode = Enum("TensorIOMode", ["NONE", "INPUT", "OUTPUT"])  # type: ignore[misc]
TensorLocation = Enum("TensorLocation", ["DEVICE", "HOST"])  # type: ignore[misc]
LayerInformationFormat = Enum("LayerInformationFormat", ["ONELINE", "JSON"])  # type: ignore[misc]


class ILogger:
    pass


class IProfiler:
    def report_layer_time(self, name: str, milliseconds: float) -> None:
        raise NotImplementedError


class EngineInspector:
    def get_engine_information(self, form: Any) -> str:
        assert form is LayerInformationFormat.JSON
        return '{"Layers": []}'


class IExecutionContext:
    """The shapes of an inference and where its tensors lie."""

    profiler: Any = None

    def __init__(self, program: Program, device: FakeDevice) -> None:
        self.program = program
        self.device = device
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.set_count = 0

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        _, _, (low, _, high) = self.program.inputs[name]
        self.set_count += 1
        if not all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True)):
            return False
        self.shapes[name] = tuple(shape)
        return True

    def infer_shapes(self) -> list[str]:
        return [name for name in self.program.inputs if name not in self.shapes]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return {**self.shapes, **self.program.shapes(self.shapes)}[name]

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return address > 0

    def execute_async_v3(self, stream_handle: int) -> bool:
        program, device = self.program, self.device
        if set(self.addresses) != {*program.inputs, *program.outputs}:
            return False
        assert stream_handle == device.stream_handle
        shapes, addresses, profiler = dict(self.shapes), dict(self.addresses), self.profiler

        def work() -> None:
            arrays = {
                name: device.load(addresses[name], shapes[name], facts[0])
                for name, facts in program.inputs.items()
            }
            for name, array in program.compute(**arrays).items():
                device.store(addresses[name], array.astype(program.outputs[name][0]))
            if profiler is not None:
                for index, layer in enumerate(program.layers):
                    profiler.report_layer_time(layer, 1.0 + index)

        device.submit(work)
        return True


class ICudaEngine:
    num_io_tensors = 0
    device_memory_size = 4096

    def __init__(self, program: Program, device: FakeDevice) -> None:
        self.program = program
        self.device = device
        self.contexts: list[IExecutionContext] = []
        self.num_io_tensors = len(program.inputs) + len(program.outputs)

    def create_execution_context(self) -> IExecutionContext | None:
        return IExecutionContext(self.program, self.device)

    def create_engine_inspector(self) -> EngineInspector:
        return EngineInspector()

    def get_tensor_name(self, index: int) -> str:
        return [*self.program.inputs, *self.program.outputs][index]

    def _facts(self, name: str) -> Any:
        return {**self.program.inputs, **self.program.outputs}[name]

    def get_tensor_mode(self, name: str) -> Any:
        return TensorIOMode.INPUT if name in self.program.inputs else TensorIOMode.OUTPUT

    def get_tensor_location(self, name: str) -> Any:
        return TensorLocation[self.program.location]

    def get_tensor_dtype(self, name: str) -> Any:
        return DataType[_DTYPES[self._facts(name)[0]]]

    def get_tensor_shape(self, name: str) -> list[int]:
        return list(self._facts(name)[1])

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[list[int]]:
        assert profile == 0
        return self.program.inputs[name][2]


def make_library(device: FakeDevice, programs: Mapping[str, Program]) -> Library:
    """A TensorRT whose engines are ``programs``, by the name that their files hold."""

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def deserialize_cuda_engine(self, content: bytes) -> ICudaEngine | None:
            name = content[_HEADER_BYTES:].decode()
            if name not in programs:
                text = f"no such program: {name}"
                self.logger.log(SimpleNamespace(name="ERROR"), text)
                return None
            return ICudaEngine(programs[name], device)

    module = ModuleType(f"fake_trt_{id(device)}")
    for value in (
        DataType,
        EngineInspector,
        ICudaEngine,
        IExecutionContext,
        ILogger,
        IProfiler,
        LayerInformationFormat,
        Runtime,
        TensorIOMode,
        TensorLocation,
    ):
        setattr(module, value.__name__, value)
    module.__version__ = VERSION  # type: ignore[attr-defined]
    return Library(TENSORRT, module)


def write_engine(path: Path, program: str, letters: bytes = b"ftrt") -> Path:
    """A file that the library of ``make_library`` opens."""
    content = program.encode()
    size = struct.pack("<Q", _HEADER_BYTES + len(content))
    head = letters + bytes(12) + size + bytes(map(int, VERSION.split(".")))
    path.write_bytes(head.ljust(_HEADER_BYTES, b"\0") + content)
    return path


WEIGHTS = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


def _encode(signal: NDArray[Any], gain: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {"features": signal.reshape(len(signal), -1, 4) @ WEIGHTS * gain}


def _decode(features: NDArray[Any], voiced: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {"level": np.where(voiced, features.sum(2), 0)}


ENCODER = Program(
    {
        "signal": ("float32", [-1, -1], [[1, 8], [1, 32], [2, 64]]),
        "gain": ("float32", [], [[], [], []]),
    },
    {"features": ("float32", [-1, -1, 6])},
    lambda known: {"features": (known["signal"][0], known["signal"][1] // 4, 6)},
    _encode,
    layers=["reshape", "matmul"],
)
DECODER = Program(
    {
        "features": ("float32", [-1, -1, 6], [[1, 2, 6], [1, 8, 6], [2, 16, 6]]),
        "voiced": ("bool", [-1, -1], [[1, 2], [1, 8], [2, 16]]),
    },
    {"level": ("float32", [-1, -1])},
    lambda known: {"level": known["voiced"]},
    _decode,
    layers=["sum"],
)


def bind(
    session: TensorRTSession, pipeline: Pipeline, *, frames: int = 8, batch: int = 1, seed: int = 1
) -> dict[str, Any]:
    """Bind the toy's synthetic inputs, and give them."""
    sizes = pipeline.sizes(duration_s=frames / 16, batch=batch)
    inputs = synthetic_inputs(pipeline, sizes, seed=seed)
    session.bind(sizes, inputs)
    return inputs


def expected(inputs: dict[str, Any]) -> Any:
    """The features and level that the toy's programs make of its inputs."""
    features = inputs["signal"].reshape(len(inputs["signal"]), -1, 4) @ WEIGHTS * np.float32(0.5)
    return features, np.where(inputs["voiced"], features.sum(2), 0)
