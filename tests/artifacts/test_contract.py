"""An ONNX graph against its declaration: names, dtypes, ranks, frozen axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from harness.artifacts.contract import check_contract, check_sizes
from harness.artifacts.export import given_model
from harness.errors import ContractError
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.pipeline.pipeline import Pipeline
    from tests.conftest import ToyFactory

FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL
FEATURES = ("features", FLOAT, ["batch", "frames", 6])
VOICED = ("voiced", BOOL, ["batch", "frames"])
LEVEL = ("level", FLOAT, ["batch", "frames"])

Spec = tuple[str, int, list[Any]]


def _write(path: Path, inputs: list[Spec], outputs: list[Spec]) -> Path:
    """A graph of the given interface; what it computes does not matter here."""
    nodes = [
        helper.make_node("Constant", [], [name], value=helper.make_tensor("c", dtype, [1], [0]))
        for name, dtype, _ in outputs
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(*spec) for spec in inputs],
        [helper.make_tensor_value_info(name, dtype, None) for name, dtype, _ in outputs],
    )
    for value, (_, _, shape) in zip(graph.output, outputs, strict=True):
        for size in shape:
            dim = value.type.tensor_type.shape.dim.add()
            if isinstance(size, int):
                dim.dim_value = size
            elif size:
                dim.dim_param = size
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path)
    return path


@pytest.fixture
def pipeline(toy: ToyFactory) -> Pipeline:
    return load_pipeline(toy())


@pytest.mark.parametrize(("times", "is_right"), [(4, True), (5, False)])
def test_sizes_that_the_graph_computes_are_held_against_the_declared_ones(
    toy: ToyFactory, onnx_toy: Callable[..., Path], times: int, is_right: bool
) -> None:
    """The encoder's rows, cut of another length than is declared."""
    root = onnx_toy()
    path = root / "encoder.onnx"
    model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "Reshape":
            node.input[1] = "cut"
    cut = np.array([0, -1, times])
    model.graph.initializer.append(onnx.numpy_helper.from_array(cut, "cut"))
    widen = np.zeros((times, 8), np.float32)
    kept = [tensor for tensor in model.graph.initializer if tensor.name != "widen"]
    del model.graph.initializer[:]
    model.graph.initializer.extend([*kept, onnx.numpy_helper.from_array(widen, "widen")])
    onnx.save(model, path)
    pipeline = load_pipeline(toy(("min = 2, opt = 8, max = 16", "min = 5, opt = 10, max = 20")))

    check_contract(pipeline, "encoder", path)
    if is_right:
        check_sizes(pipeline, "encoder", path)
        return
    with pytest.raises(ContractError, match=r"gives \[1, 4, 6\] at the profile's min") as caught:
        given_model(pipeline, "encoder")
    assert "declared is [1, 5, 6]" in caught.value.what
    assert caught.value.where == f"{pipeline.manifest}: components.encoder.outputs.features"


def test_sizes_that_cannot_be_told_pass(pipeline: Pipeline, tmp_path: Path) -> None:
    inputs = [helper.make_tensor_value_info(*spec) for spec in (FEATURES, VOICED)]
    node = helper.make_node("Mystery", ["features", "voiced"], ["level"], domain="of.nobody")
    graph = helper.make_graph([node], "graph", inputs, [helper.make_tensor_value_info(*LEVEL)])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("of.nobody", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "d.onnx")

    check_sizes(pipeline, "decoder", tmp_path / "d.onnx")


def test_a_graph_as_declared_passes(pipeline: Pipeline, tmp_path: Path) -> None:
    path = _write(tmp_path / "decoder.onnx", [VOICED, FEATURES], [LEVEL])

    check_contract(pipeline, "decoder", path)


WRONG: dict[str, tuple[list[Spec], list[Spec], str]] = {
    "an extra input such as inverse": (
        [FEATURES, VOICED, ("inverse", BOOL, [])],
        [LEVEL],
        "has 'inverse', which is not declared; freeze it inside the module",
    ),
    "a renamed input": (
        [("feature_map", FLOAT, ["batch", "frames", 6]), VOICED],
        [LEVEL],
        "has 'feature_map'",
    ),
    "a missing input": ([FEATURES], [LEVEL], "has no 'voiced'"),
    "another output": ([FEATURES, VOICED], [("loudness", FLOAT, ["batch", "frames"])], "loudness"),
    "a float for a bool": (
        [FEATURES, ("voiced", FLOAT, ["batch", "frames"])],
        [LEVEL],
        "the graph has float32, declared is bool",
    ),
    "another rank": ([FEATURES, ("voiced", BOOL, ["frames"])], [LEVEL], "rank 1"),
    "a frozen time axis": (
        [("features", FLOAT, ["batch", 8, 6]), VOICED],
        [LEVEL],
        "axis 1 is frozen at 8 in the graph, but frames ranges over 2 to 16",
    ),
    "a frozen time axis at the output": (
        [FEATURES, VOICED],
        [("level", FLOAT, ["batch", 8])],
        "frozen at 8",
    ),
    "another width": (
        [("features", FLOAT, ["batch", "frames", 7]), VOICED],
        [LEVEL],
        "axis 2 is 7 in the graph, declared is 6",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_graph_of_another_interface_is_refused(
    name: str, pipeline: Pipeline, tmp_path: Path
) -> None:
    inputs, outputs, message = WRONG[name]
    path = _write(tmp_path / "decoder.onnx", inputs, outputs)

    with pytest.raises(ContractError) as caught:
        check_contract(pipeline, "decoder", path)

    assert message in str(caught.value)
    assert "components.decoder" in caught.value.where


def test_an_axis_without_a_name_counts_as_dynamic(pipeline: Pipeline, tmp_path: Path) -> None:
    path = _write(tmp_path / "decoder.onnx", [FEATURES, VOICED], [("level", FLOAT, ["", ""])])

    check_contract(pipeline, "decoder", path)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x0a\x12"])
def test_a_file_that_is_no_model_is_refused(
    content: bytes, pipeline: Pipeline, tmp_path: Path
) -> None:
    path = tmp_path / "decoder.onnx"
    path.write_bytes(content)

    with pytest.raises(ContractError, match="no valid ONNX"):
        check_contract(pipeline, "decoder", path)
