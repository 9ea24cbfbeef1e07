"""What ONNX Runtime made of a graph: kernels counted from its profile, memory from a process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from harness.backends.onnxruntime import OnnxRuntimeBackend
from harness.backends.onnxruntime_inspection import count_kernels
from harness.backends.protocol import Built
from harness.backends.torch import TorchBackend
from harness.errors import ContractError, WorkerError
from harness.pipeline.feeds import synthetic_inputs
from harness.pipeline.loader import load_pipeline
from harness.types import NodeCounts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.backends.protocol import Inspection


def _event(kernel: str, *types: str, cat: str = "Node", phase: str = "kernel_time") -> Any:
    shapes = [{name: [1, 4]} for name in types]
    arguments = {"op_name": kernel, "input_type_shape": shapes, "provider": "CPUExecutionProvider"}
    return {"cat": cat, "name": f"/layer/{kernel}_{phase}", "dur": 3, "args": arguments}


def _count(*events: Any) -> NodeCounts:
    return count_kernels(list(events))


@pytest.mark.parametrize(
    "kernel",
    [
        "Conv",
        "ConvTranspose",
        "MatMul",
        "Gemm",
        "FusedConv",
        "FusedMatMul",
        "FusedGemm",
        "NhwcConv",
    ],
)
def test_convolutions_and_products_are_counted_fused_or_not(kernel: str) -> None:
    assert _count(_event(kernel, "float", "float")) == NodeCounts(fp32=1)


@pytest.mark.parametrize(
    ("kernel", "types", "expected"),
    [
        ("QLinearConv", ("uint8", "float", "uint8", "int8"), NodeCounts(int8=1)),
        ("QLinearMatMul", ("int8", "float", "int8"), NodeCounts(int8=1)),
        ("QGemm", ("uint8", "float", "uint8"), NodeCounts(int8=1)),
        ("MatMulIntegerToFloat", ("uint8", "int8"), NodeCounts(int8=1)),
        ("Conv", ("float16", "float16"), NodeCounts(fp16=1)),
        ("Gemm", ("float", "float"), NodeCounts(fp32=1)),
    ],
)
def test_the_first_input_tells_the_precision(
    kernel: str, types: tuple[str, ...], expected: NodeCounts
) -> None:
    assert _count(_event(kernel, *types)) == expected


@pytest.mark.parametrize("kernel", ["Add", "Softmax", "QuantizeLinear", "QLinearAdd", "Reshape"])
def test_other_kernels_are_not_counted(kernel: str) -> None:
    assert _count(_event(kernel, "uint8", "float")) == NodeCounts()


def test_only_the_kernels_of_a_profile_are_counted_and_each_once() -> None:
    """A profile tells of a node in three events, and of much that is no node."""
    events = [
        {"cat": "Session", "name": "model_loading_uri", "dur": 1, "args": {}},
        {"cat": "Session", "name": "model_run", "dur": 1},
        _event("Conv", "float", phase="fence_before"),
        _event("Conv", "float"),
        _event("Conv", "float", phase="fence_after"),
        _event("MatMul", "float", cat="Api"),
        _event("MatMul", "uint8"),
        _event("MatMul", "uint8"),
    ]

    assert _count(*events) == NodeCounts(int8=2, fp32=1)


def test_types_that_no_precision_names_are_not_counted() -> None:
    assert _count(_event("MatMul", "double", "double"), _event("Conv")) == NodeCounts()


@pytest.fixture(autouse=True)
def one_look() -> None:
    """Here each look is one of its own."""


@pytest.fixture
def inspect(onnx_toy: Callable[..., Path]) -> Callable[..., dict[str, Inspection]]:
    def call(**options: Any) -> dict[str, Inspection]:
        pipeline = load_pipeline(onnx_toy(**options))
        sizes = pipeline.profile("opt")
        built = {name: Built(pipeline.root / f"{name}.onnx") for name in pipeline.components}
        inputs = synthetic_inputs(pipeline, sizes, seed=0)
        return OnnxRuntimeBackend(threads=1).inspect(pipeline, built, sizes, inputs)

    return call


def test_a_run_tells_the_precision_of_each_components_nodes(
    inspect: Callable[..., dict[str, Inspection]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "working directory"
    empty.mkdir()
    monkeypatch.chdir(empty)

    found = inspect()

    assert list(found) == ["encoder", "decoder"]
    assert found["encoder"].nodes == NodeCounts(fp32=2)
    assert found["decoder"].nodes == NodeCounts()
    assert list(empty.iterdir()) == []  # no profile is left behind


def test_memory_is_that_of_the_component_alone(
    inspect: Callable[..., dict[str, Inspection]],
) -> None:
    """10 numbers for each hidden channel: 40 MB for a million of them."""
    small, large = inspect(), inspect(hidden=1_000_000)

    assert small["encoder"].memory_bytes is not None
    assert large["encoder"].memory_bytes is not None
    assert large["encoder"].memory_bytes >= 40e6
    # Not the copies of the file that were there for a while, nor all that the process holds.
    assert large["encoder"].memory_bytes < 200e6
    assert 0 <= small["encoder"].memory_bytes < 10e6
    # The component after it has none of it.
    assert large["decoder"].memory_bytes is not None
    assert 0 <= large["decoder"].memory_bytes < 10e6


def test_a_graph_that_cannot_run_is_told_in_one_line(
    inspect: Callable[..., dict[str, Inspection]],
) -> None:
    with pytest.raises(WorkerError) as caught:
        inspect(frames=5)

    assert "looking into the graphs failed" in caught.value.what
    assert "Reshape" in caught.value.what
    assert caught.value.where == "onnxruntime"
    assert "\n" not in caught.value.what
    assert "Traceback" not in caught.value.what


def test_a_graph_that_cannot_be_read_is_told_in_one_line(
    onnx_toy: Callable[..., Path],
) -> None:
    pipeline = load_pipeline(onnx_toy())
    sizes = pipeline.profile("opt")
    broken = pipeline.root / "broken.onnx"
    broken.write_bytes(b"no model")

    with pytest.raises(ContractError, match=r"broken\.onnx: ONNX Runtime cannot load it") as caught:
        OnnxRuntimeBackend(threads=1).inspect(
            pipeline,
            {"encoder": Built(broken), "decoder": Built(broken)},
            sizes,
            synthetic_inputs(pipeline, sizes, seed=0),
        )

    assert "\n" not in caught.value.what


def test_quantized_nodes_ran_in_int8_where_the_runtime_has_a_kernel(
    onnx_toy: Callable[..., Path], save_graph: Callable[..., None]
) -> None:
    pipeline = load_pipeline(onnx_toy())
    fed, weight = ["scale", "zero"], ["weight_scale", "weight_zero"]
    nodes = [
        helper.make_node("Reshape", ["signal", "shape"], ["rows"]),
        helper.make_node("QuantizeLinear", ["rows", *fed], ["q"]),
        helper.make_node("DequantizeLinear", ["q", *fed], ["x"]),
        helper.make_node("DequantizeLinear", ["weight", *weight], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("QuantizeLinear", ["y", *fed], ["yq"]),
        helper.make_node("DequantizeLinear", ["yq", *fed], ["z"]),
        helper.make_node("Mul", ["z", "gain"], ["features"]),
    ]
    save_graph(
        pipeline.root / "encoder.onnx",
        nodes,
        {"signal": (TensorProto.FLOAT, ["b", "s"]), "gain": (TensorProto.FLOAT, [])},
        {"features": (TensorProto.FLOAT, ["b", "f", 6])},
        shape=np.array([0, -1, 4]),
        scale=np.float32(0.05),
        zero=np.uint8(128),
        weight=np.ones((4, 6), dtype=np.int8),
        weight_scale=np.float32(0.01),
        weight_zero=np.int8(0),
    )
    built = {name: Built(pipeline.root / f"{name}.onnx") for name in pipeline.components}
    sizes = pipeline.profile("opt")
    inputs = synthetic_inputs(pipeline, sizes, seed=0)

    found = OnnxRuntimeBackend(threads=1).inspect(pipeline, built, sizes, inputs)

    assert found["encoder"].nodes == NodeCounts(int8=1)


def test_pytorch_cannot_tell() -> None:
    assert TorchBackend(threads=1).inspect() == {}
