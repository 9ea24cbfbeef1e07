"""A builder as TensorRT 8.5 has it: flags, pins, tactics with a verbose log, and a selector."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import onnx

from harness.artifacts.adapt import every_node
from harness.backends.tensorrt.library import TENSORRT, Library
from tests.backends.tensorrt import fakes

if TYPE_CHECKING:
    from collections.abc import Sequence

_PRODUCTS = ("Conv", "MatMul", "Gemm")
_STEM = "sm80_xmma_fprop_implicit_gemm"
_TAIL = "nhwckrsc_nhwc_tilesize128x64x32_stage3_warpsize4x1x1_g1_tensor16x8x16"
HALF_SUMS = f"{_STEM}_f16f16_f16f16_f16_{_TAIL}"
SINGLE_SUMS = f"{_STEM}_f16f16_f16f32_f32_{_TAIL}"
SINGLE = f"{_STEM}_f32f32_f32f32_f32_{_TAIL}"
TF32 = f"{_STEM}_f32f32_tf32f32_f32_{_TAIL}"

DataType = Enum("DataType", ["FLOAT", "HALF", "INT8", "INT32", "BOOL"])  # type: ignore[misc]
BuilderFlag = IntEnum(  # type: ignore[misc]
    "BuilderFlag",
    [
        "FP16",
        "INT8",
        "DISABLE_TIMING_CACHE",
        "TF32",
        "OBEY_PRECISION_CONSTRAINTS",
        "PREFER_PRECISION_CONSTRAINTS",
        "DIRECT_IO",
        "REJECT_EMPTY_ALGORITHMS",
    ],
    start=0,
)
PreviewFeature = IntEnum(  # type: ignore[misc]
    "PreviewFeature",
    ["FASTER_DYNAMIC_SHAPES_0805", "DISABLE_EXTERNAL_TACTIC_SOURCES_FOR_CORE_0805"],
    start=0,
)
TacticSource = IntEnum("TacticSource", ["CUBLAS", "CUBLAS_LT", "CUDNN"], start=0)  # type: ignore[misc]
NetworkDefinitionCreationFlag = IntEnum(  # type: ignore[misc]
    "NetworkDefinitionCreationFlag", ["EXPLICIT_BATCH"], start=0
)
ProfilingVerbosity = Enum("ProfilingVerbosity", ["DETAILED"])  # type: ignore[misc]
MemoryPoolType = Enum("MemoryPoolType", ["WORKSPACE"])  # type: ignore[misc]
LayerType = Enum("LayerType", ["QUANTIZE", "DEQUANTIZE", "OTHER"])  # type: ignore[misc]


class IAlgorithmSelector:
    """The binding refuses one whose base was not made."""

    def __init__(self) -> None:
        self.is_made = True


@dataclass
class Layer:
    name: str
    op_type: str
    type: Any
    precision: Any = None
    output_types: dict[int, Any] = field(default_factory=dict)
    num_inputs: int = 1
    num_outputs: int = 1

    def get_input(self, index: int) -> Any:
        return SimpleNamespace(dtype=DataType.FLOAT)

    get_output = get_input

    def set_output_type(self, index: int, kind: Any) -> None:
        self.output_types[index] = kind


class Network:
    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.ends: dict[str, list[Any]] = {"input": [], "output": []}

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def get_layer(self, index: int) -> Layer:
        return self.layers[index]

    def __getattr__(self, name: str) -> Any:
        kind = name.rpartition("_")[2].rstrip("s")
        if name.startswith("num_"):
            return len(self.ends[kind])
        return self.ends[kind].__getitem__


class Config:
    algorithm_selector: Any = None
    profiling_verbosity: Any = None
    int8_calibrator: Any = None

    def __init__(self) -> None:
        self.flags: set[str] = {"TF32"}
        self.previews: list[str] = []
        self.sources: int | None = None
        self.timing: bytes | None = None

    def set_flag(self, flag: Any) -> None:
        self.flags.add(flag.name)

    def clear_flag(self, flag: Any) -> None:
        self.flags.discard(flag.name)

    def add_optimization_profile(self, profile: Any) -> int:
        return 0

    def set_tactic_sources(self, mask: int) -> None:
        self.sources = mask

    def set_preview_feature(self, feature: Any, is_wanted: bool) -> None:
        assert is_wanted
        self.previews.append(feature.name)

    def create_timing_cache(self, content: bytes) -> Any:
        return SimpleNamespace(
            content=content, serialize=lambda: content + b"t", combine=lambda *_: True
        )

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        self.timing = cache.content
        return True


@dataclass
class World:
    """What the fake does, and what was asked of it.

    ``names_first`` is whether tactics are timed, and so named in the log, before they are chosen
    among; ``only_half`` are layers with no other kernel, ``silent`` is a log that tells nothing.
    """

    names_first: bool = False
    silent: bool = False
    only_half: tuple[str, ...] = ()
    single_sums: tuple[str, ...] = ()
    builders: int = 0
    configs: list[Config] = field(default_factory=list)
    networks: list[Network] = field(default_factory=list)
    unknown: tuple[str, ...] = ()

    def tactics(self, layer: Layer, flags: set[str]) -> list[tuple[int, str]]:
        """Numbers and kernels, the fastest first; numbers are hashes, signed."""
        found = []
        if "FP16" in flags and layer.precision is None:
            found.append((-(1 << 62) + 7, HALF_SUMS))
            if layer.name in self.single_sums:
                found.append((0x0FEDCBA987654321, SINGLE_SUMS))
        if layer.name not in self.only_half:
            if "TF32" in flags:
                found.append((0x2BF0858F240FF918, TF32))
            found.append((0x5DEB29B7A8E275F7, SINGLE))
        return found


class OnnxParser:
    """Makes a layer of each node; what it does not know is told by ``world``."""

    num_errors = 0
    world: World

    def __init__(self, network: Network, logger: Any) -> None:
        self.network = network

    def supports_operator(self, name: str) -> bool:
        return name not in self.world.unknown

    def parse_from_file(self, path: str) -> bool:
        graph = onnx.load(path).graph
        if any(node.op_type in self.world.unknown for node in every_node(graph)):
            return False
        kinds = {"QuantizeLinear": LayerType.QUANTIZE, "DequantizeLinear": LayerType.DEQUANTIZE}
        for node in graph.node:
            kind = kinds.get(node.op_type, LayerType.OTHER)
            self.network.layers.append(Layer(node.name, node.op_type, kind))
        for end in ("input", "output"):
            for value in getattr(graph, end):
                shape = [d.dim_value or -1 for d in value.type.tensor_type.shape.dim]
                made = SimpleNamespace(name=value.name, dtype=DataType.FLOAT, shape=shape)
                self.network.ends[end].append(made)
        return True


class Builder:
    world: World

    def __init__(self, logger: Any) -> None:
        self.world.builders += 1
        self.logger = logger

    def create_network(self, bits: int) -> Network:
        assert bits == 1
        self.world.networks.append(Network())
        return self.world.networks[-1]

    def create_builder_config(self) -> Config:
        self.world.configs.append(Config())
        return self.world.configs[-1]

    def create_optimization_profile(self) -> Any:
        return SimpleNamespace(set_shape=lambda *_: None)

    def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
        return _build(self.world, self.logger, network, config)


class Runtime:
    def __init__(self, logger: Any) -> None:
        pass

    def deserialize_cuda_engine(self, content: bytes) -> Any:
        text = content[fakes._HEADER_BYTES :].decode()
        inspector = SimpleNamespace(get_engine_information=lambda form: text)
        return SimpleNamespace(create_engine_inspector=lambda: inspector)


def make_builder_library(world: World) -> Library:
    """TensorRT 8.5.3.1, as far as building goes."""
    module = ModuleType(f"fake_builder_{id(world)}")
    module.Builder = type("Builder", (Builder,), {"world": world})  # type: ignore[attr-defined]
    module.OnnxParser = type("OnnxParser", (OnnxParser,), {"world": world})  # type: ignore[attr-defined]
    for value in (
        BuilderFlag,
        DataType,
        IAlgorithmSelector,
        MemoryPoolType,
        NetworkDefinitionCreationFlag,
        PreviewFeature,
        ProfilingVerbosity,
        Runtime,
        TacticSource,
        fakes.EngineInspector,
        fakes.ICudaEngine,
        fakes.IExecutionContext,
        fakes.ILogger,
        fakes.IProfiler,
        fakes.LayerInformationFormat,
        fakes.TensorIOMode,
        fakes.TensorLocation,
    ):
        setattr(module, value.__name__, value)
    module.ITimingCache = module.IInt8EntropyCalibrator2 = object  # type: ignore[attr-defined]
    module.__version__ = fakes.VERSION  # type: ignore[attr-defined]
    return Library(TENSORRT, module)


def _build(world: World, logger: Any, network: Network, config: Config) -> bytes | None:
    contexts, chosen, layers = [], [], []
    for layer in (layer for layer in network.layers if layer.op_type in _PRODUCTS):
        offered = world.tactics(layer, config.flags)
        if world.names_first:
            _log(world, logger, offered)
        context = SimpleNamespace(name=layer.name, num_inputs=1, num_outputs=1)
        algorithms = [_algorithm(number) for number, _ in offered]
        kept = list(range(len(offered)))
        if config.algorithm_selector is not None:
            assert config.algorithm_selector.is_made
            kept = _as_the_binding_does(config.algorithm_selector, context, algorithms)
            if not kept:
                return None
        if not world.names_first:
            _log(world, logger, [offered[position] for position in kept])
        number, kernel = offered[kept[0]]
        contexts.append(context)
        chosen.append(algorithms[kept[0]])
        layers.append(
            {
                "Name": layer.name,
                "LayerType": "CaskConvolution",
                "TacticName": kernel,
                "TacticValue": f"{number & ((1 << 64) - 1):#018x}",
            }
        )
    if config.algorithm_selector is not None:
        config.algorithm_selector.report_algorithms(contexts, chosen)
    content = json.dumps({"Layers": layers}).encode()
    size = struct.pack("<Q", fakes._HEADER_BYTES + len(content))
    head = b"ftrt" + bytes(12) + size + bytes(map(int, fakes.VERSION.split(".")))
    return head.ljust(fakes._HEADER_BYTES, b"\0") + content


def _algorithm(number: int) -> Any:
    variant = SimpleNamespace(implementation=-2147483639, tactic=number)
    return SimpleNamespace(algorithm_variant=variant, timing_msec=0.0, workspace_size=0)


def _as_the_binding_does(selector: Any, context: Any, algorithms: Sequence[Any]) -> list[int]:
    """An exception is printed and taken for a negative number, with which the build fails."""
    try:
        return [int(position) for position in selector.select_algorithms(context, algorithms)]
    except Exception:  # noqa: BLE001
        return []


def _log(world: World, logger: Any, tactics: Sequence[tuple[int, str]]) -> None:
    for number, kernel in () if world.silent else tactics:
        text = f"Tactic Name: {kernel} Tactic: {number & ((1 << 64) - 1):#018x} Time: 0.0061"
        logger.log(SimpleNamespace(name="VERBOSE"), text)
