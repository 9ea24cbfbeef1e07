"""What a graph computes and moves at a given size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.artifacts import graph_precision
from harness.artifacts.cost import graph_cost
from harness.errors import ContractError
from harness.types import GraphCost, MacCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

FLOAT, FLOAT16, BOOL, INT64, INT4 = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.BOOL,
    TensorProto.INT64,
    TensorProto.INT4,
)

Specs = dict[str, tuple[int, list[Any]]]

node = helper.make_node


def zeros(*shape: int, dtype: Any = np.float32) -> NDArray[Any]:
    return np.zeros(shape, dtype)


def make_model(
    nodes: Iterable[onnx.NodeProto],
    inputs: Specs,
    outputs: Specs,
    weights: Mapping[str, NDArray[Any]] | None = None,
    *,
    opset: int = 20,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, *spec) for name, spec in inputs.items()],
        [helper.make_tensor_value_info(name, *spec) for name, spec in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9 if opset < 21 else 10
    )
    # An output without a shape is one to infer: no more than that it has axes.
    inferred = onnx.shape_inference.infer_shapes(model).graph.output
    del model.graph.output[:]
    model.graph.output.extend(inferred)
    return model


def cost_of(model: onnx.ModelProto, folder: Path, **shapes: tuple[int, ...]) -> GraphCost:
    onnx.save(model, folder / "graph.onnx")
    return graph_cost(folder / "graph.onnx", shapes)


def one_product(
    folder: Path, product: onnx.NodeProto, first: tuple[int, ...], second: tuple[int, ...]
) -> int:
    model = make_model(
        [product], {"x": (FLOAT, list(first))}, {"y": (FLOAT, None)}, {"w": zeros(*second)}
    )
    return cost_of(model, folder, x=first).macs


# The formulas


@pytest.mark.parametrize(
    ("options", "x", "w", "macs"),
    [
        ({}, (2, 3, 10), (5, 3, 4), 2 * 5 * 7 * 3 * 4),
        ({"strides": [2], "pads": [1, 2]}, (1, 3, 10), (5, 3, 4), 5 * 5 * 3 * 4),
        ({"group": 3, "dilations": [2]}, (1, 6, 10), (9, 2, 3), 9 * 6 * 2 * 3),
        ({"group": 6}, (1, 6, 4, 5), (6, 1, 3, 2), 6 * (2 * 4) * 6),
    ],
)
def test_convolutions(
    tmp_path: Path, options: dict[str, Any], x: tuple[int, ...], w: tuple[int, ...], macs: int
) -> None:
    assert one_product(tmp_path, node("Conv", ["x", "w"], ["y"], **options), x, w) == macs


@pytest.mark.parametrize(
    ("options", "x", "w", "macs"),
    [
        ({"strides": [4]}, (2, 6, 10), (6, 5, 8), 2 * 6 * 10 * 5 * 8),
        ({"group": 2, "strides": [2], "pads": [1, 1]}, (1, 6, 10), (6, 5, 4), 6 * 10 * 5 * 4),
    ],
)
def test_transposed_convolutions(
    tmp_path: Path, options: dict[str, Any], x: tuple[int, ...], w: tuple[int, ...], macs: int
) -> None:
    assert one_product(tmp_path, node("ConvTranspose", ["x", "w"], ["y"], **options), x, w) == macs


@pytest.mark.parametrize(
    ("x", "w", "macs"),
    [
        ((3, 4), (4, 5), 60),
        ((2, 7, 3, 4), (4, 5), 14 * 60),
        ((2, 1, 3, 4), (7, 4, 5), 14 * 60),
        ((4,), (4,), 4),
        ((4,), (2, 4, 5), 40),
        ((2, 3, 4), (4,), 24),
        ((0, 3, 4), (4, 5), 0),
    ],
)
def test_matrix_products(tmp_path: Path, x: tuple[int, ...], w: tuple[int, ...], macs: int) -> None:
    assert one_product(tmp_path, node("MatMul", ["x", "w"], ["y"]), x, w) == macs


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
def test_gemm(tmp_path: Path, trans_a: int, trans_b: int) -> None:
    product = node("Gemm", ["x", "w"], ["y"], transA=trans_a, transB=trans_b)
    x, w = (4, 3) if trans_a else (3, 4), (5, 4) if trans_b else (4, 5)

    assert one_product(tmp_path, product, x, w) == 60


def network() -> onnx.ModelProto:
    """Convolution, transposed convolution, attention's product and a linear layer."""
    return make_model(
        [
            node("Conv", ["x", "a"], ["h"], group=2, strides=[2], pads=[2, 2]),
            node("ConvTranspose", ["h", "b"], ["i"], group=2, strides=[3]),
            node("Transpose", ["i"], ["j"], perm=[0, 2, 1]),
            node("MatMul", ["i", "j"], ["k"]),
            node("Flatten", ["k"], ["m"]),
            node("Gemm", ["m", "c", "d"], ["y"], transB=1),
        ],
        {"x": (FLOAT, ["batch", 4, "frames"])},
        {"y": (FLOAT, ["batch", 7])},
        {"a": zeros(6, 2, 5), "b": zeros(6, 5, 4), "c": zeros(7, 100), "d": zeros(7)},
    )


@pytest.mark.parametrize(("batch", "frames"), [(1, 9), (3, 50)])
def test_torch_counts_the_same(tmp_path: Path, batch: int, frames: int) -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415

    made = {i.name: torch.zeros(*i.dims) for i in network().graph.initializer}
    functional = torch.nn.functional
    with FlopCounterMode(display=False) as counter:
        given = torch.zeros(batch, 4, frames)
        first = functional.conv1d(given, made["a"], stride=2, padding=2, groups=2)
        second = functional.conv_transpose1d(first, made["b"], stride=3, groups=2)
        third = (second @ second.mT).flatten(1)
        functional.linear(third, made["c"], made["d"])

    cost = cost_of(network(), tmp_path, x=(batch, 4, frames))

    assert counter.get_total_flops() == 2 * cost.macs > 0


def test_bytes_are_those_of_weights_inputs_and_outputs(tmp_path: Path) -> None:
    cost = cost_of(network(), tmp_path, x=(3, 4, 50))

    assert cost.weight_bytes == 4 * (60 + 120 + 700 + 7)
    assert cost.input_bytes == 4 * 3 * 4 * 50
    assert cost.output_bytes == 4 * 3 * 7
    assert cost.bytes == cost.weight_bytes + cost.input_bytes + cost.output_bytes


# Precisions


def test_products_count_in_the_precision_they_compute_in(tmp_path: Path) -> None:
    model = make_model(
        [
            node("QuantizeLinear", ["x", "s"], ["q"]),
            node("DequantizeLinear", ["q", "s"], ["xd"]),
            node("DequantizeLinear", ["w", "s"], ["wd"]),
            node("MatMul", ["xd", "wd"], ["a"]),
            node("Cast", ["a"], ["h"], to=FLOAT16),
            node("MatMul", ["h", "v"], ["b"]),
            node("Cast", ["b"], ["c"], to=FLOAT),
            node("MatMul", ["c", "wd"], ["y"]),
        ],
        {"x": (FLOAT, ["n", 8])},
        {"y": (FLOAT, ["n", 8])},
        {
            "w": zeros(8, 8, dtype=np.int8),
            "s": np.float32(0.1),
            "v": zeros(8, 8, dtype=np.float16),
        },
    )

    cost = cost_of(model, tmp_path, x=(2, 8))

    assert cost.macs_by_precision == MacCounts(int8=128, fp16=128, fp32=128)
    # The INT8 weight is read by two, and the scale by three.
    assert cost.weight_bytes == 64 + 4 + 2 * 64
    assert cost.input_bytes == cost.output_bytes == 4 * 16


def test_a_converted_graph_costs_the_same_products(tmp_path: Path) -> None:
    model = onnx.shape_inference.infer_shapes(network())
    graph_precision.name_nodes(model)
    before = cost_of(model, tmp_path, x=(1, 4, 50))
    after = cost_of(graph_precision.to_fp16(model, []), tmp_path, x=(1, 4, 50))

    assert after.macs_by_precision == MacCounts(fp16=before.macs)
    assert 2 * after.weight_bytes == before.weight_bytes
    assert after.input_bytes == before.input_bytes


def test_nodes_without_names_are_told_apart() -> None:
    model = make_model(
        [
            node("DequantizeLinear", ["q", "s"], ["d"]),
            node("MatMul", ["d", "d"], ["a"]),
            node("MatMul", ["a", "d"], ["y"]),
        ],
        {"q": (TensorProto.INT8, [8, 8])},
        {"y": (FLOAT, [8, 8])},
        {"s": np.float32(0.1)},
    )

    found = graph_precision.product_precisions(model)

    assert [precision for _, precision in found] == ["int8", "fp32"]


# Weights


def test_constants_count_wherever_they_stand_and_once(tmp_path: Path) -> None:
    model = make_model(
        [
            node("Constant", [], ["a"], value=numpy_helper.from_array(zeros(5))),
            node("Constant", [], ["b"], value_floats=[1.0] * 5),
            node("Constant", [], ["c"], value_float=1.0),
            node("Constant", [], ["d"], value_ints=[1, 5]),
            node("Constant", [], ["unread"], value_floats=[1.0] * 7),
            node("Add", ["x", "a"], ["e"]),
            node("Add", ["e", "b"], ["f"]),
            node("Add", ["f", "c"], ["g"]),
            node("Expand", ["g", "d"], ["h"]),
            node("Add", ["h", "a"], ["y"]),
            node("Add", ["x", "unused"], ["nothing"]),
        ],
        {"x": (FLOAT, ["n", 5])},
        {"y": (FLOAT, ["n", 5])},
        {"unused": zeros(5)},
    )

    assert cost_of(model, tmp_path, x=(2, 5)).weight_bytes == 20 + 20 + 4 + 16


def test_what_a_branch_takes_from_outside_is_a_weight(tmp_path: Path) -> None:
    outputs = [helper.make_tensor_value_info("z", FLOAT, ["n", 5])]
    branch = helper.make_graph([node("Add", ["x", "w"], ["z"])], "branch", [], outputs)
    other = helper.make_graph([node("MatMul", ["x", "v"], ["z"])], "other", [], outputs)
    model = make_model(
        [node("If", ["is_on"], ["y"], then_branch=branch, else_branch=other)],
        {"x": (FLOAT, ["n", 5]), "is_on": (BOOL, [])},
        {"y": (FLOAT, ["n", 5])},
        {"w": zeros(5), "v": zeros(5, 5)},
    )

    cost = cost_of(model, tmp_path, x=(2, 5), is_on=())

    # The product of a branch is not counted: it may not run.
    assert (cost.macs, cost.weight_bytes) == (0, 20 + 100)
    assert cost.input_bytes == 40 + 1


def test_packed_weights_take_half_a_byte(tmp_path: Path) -> None:
    model = make_model(
        [node("DequantizeLinear", ["w", "s"], ["d"]), node("MatMul", ["x", "d"], ["y"])],
        {"x": (FLOAT, ["n", 3])},
        {"y": (FLOAT, ["n", 3])},
        {"s": np.float32(0.1)},
        opset=21,
    )
    model.graph.initializer.append(helper.make_tensor("w", INT4, [3, 3], [1] * 9))

    assert cost_of(model, tmp_path, x=(2, 3)).weight_bytes == 5 + 4


def test_external_weights_count_and_are_not_read(tmp_path: Path) -> None:
    model = make_model(
        [node("Reshape", ["x", "shape"], ["r"]), node("MatMul", ["r", "w"], ["y"])],
        {"x": (FLOAT, ["n"])},
        {"y": (FLOAT, None)},
        {"w": zeros(64, 32), "shape": np.array([-1, 64])},
    )
    path = tmp_path / "graph.onnx"
    onnx.save(model, path, save_as_external_data=True, location="data", size_threshold=0)

    cost = graph_cost(path, {"x": (640,)})

    assert (cost.macs, cost.weight_bytes) == (10 * 64 * 32, 4 * 64 * 32 + 16)


# Shapes


def folded_frames(*arithmetic: onnx.NodeProto) -> onnx.ModelProto:
    """A product whose rows are counted by ``arithmetic``, from ``frames`` to ``rows``."""
    return make_model(
        [
            node("Shape", ["x"], ["frames"], start=1, end=2),
            *arithmetic,
            node("Concat", ["one", "rows", "rest"], ["shape"], axis=0),
            node("Reshape", ["x", "shape"], ["r"]),
            node("MatMul", ["r", "w"], ["y"]),
            node("Shape", ["y"], ["size"], start=1, end=2),
            node("Concat", ["size", "rest"], ["next"], axis=0),
            node("Reshape", ["y", "next"], ["s"]),
            node("MatMul", ["s", "v"], ["z"]),
        ],
        {"x": (FLOAT, [1, "frames", 8])},
        {"z": (FLOAT, None)},
        {
            "one": np.array([1]),
            "rest": np.array([-1]),
            "two": np.array([2]),
            "real": np.array([0.5], np.float32),
            "w": zeros(16, 3),
            "v": zeros(3, 5),
        },
    )


ARITHMETIC = {
    "integers": [node("Div", ["frames", "two"], ["rows"])],
    "real numbers": [
        node("Cast", ["frames"], ["f"], to=FLOAT),
        node("Mul", ["f", "real"], ["g"]),
        node("Floor", ["g"], ["h"]),
        node("Cast", ["h"], ["rows"], to=INT64),
    ],
    "a choice": [
        node("Mod", ["frames", "two"], ["odd"]),
        node("Cast", ["odd"], ["is_odd"], to=BOOL),
        node("Div", ["frames", "two"], ["half"]),
        node("Where", ["is_odd", "frames", "half"], ["rows"]),
    ],
}


@pytest.mark.parametrize("kind", ARITHMETIC)
@pytest.mark.parametrize("frames", [10, 64])
def test_sizes_are_followed_through_arithmetic(tmp_path: Path, kind: str, frames: int) -> None:
    cost = cost_of(folded_frames(*ARITHMETIC[kind]), tmp_path, x=(1, frames, 8))

    rows = frames // 2
    assert cost.macs == rows * 16 * 3 + rows * 3 * 5
    assert cost.output_bytes == 4 * rows * 5


def test_a_size_that_depends_on_numbers_is_an_error(tmp_path: Path) -> None:
    model = make_model(
        [
            node("NonZero", ["x"], ["i"]),
            node("Cast", ["i"], ["picked"], to=FLOAT),
            node("MatMul", ["w", "picked"], ["z"]),
            node("ReduceSum", ["z"], ["y"]),
        ],
        {"x": (FLOAT, ["n", 5])},
        {"y": (FLOAT, [1, 1])},
        {"w": zeros(3, 2)},
    )

    with pytest.raises(ContractError, match="the shape of 'picked' cannot be told") as caught:
        cost_of(model, tmp_path, x=(2, 5))

    assert caught.value.where == str(tmp_path / "graph.onnx")
    assert caught.value.fix


def test_an_output_of_unknown_shape_is_an_error(tmp_path: Path) -> None:
    model = make_model(
        [node("NonZero", ["x"], ["y"])], {"x": (FLOAT, ["n", 5])}, {"y": (INT64, [2, "found"])}
    )

    with pytest.raises(ContractError, match="the shape of 'y' cannot be told"):
        cost_of(model, tmp_path, x=(2, 5))


@pytest.mark.parametrize(
    ("shapes", "what"),
    [
        ({}, "'x' is an input without a shape"),
        ({"x": (1, 4, 9), "w": (1,)}, "'w' is no input"),
        ({"x": (1, 4)}, r"'x' cannot be \[1, 4\]: in the graph it is \['any', 4, 'any'\]"),
        ({"x": (1, 5, 9)}, r"'x' cannot be \[1, 5, 9\]"),
        ({"x": (1, 4, -1)}, r"'x' cannot be \[1, 4, -1\]"),
    ],
)
def test_shapes_must_be_those_of_the_inputs(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], what: str
) -> None:
    with pytest.raises(ContractError, match=what):
        cost_of(network(), tmp_path, **shapes)


def test_what_is_no_graph_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(b"nothing of the kind")

    with pytest.raises(ContractError, match="no valid ONNX model"):
        graph_cost(tmp_path / "graph.onnx", {})
