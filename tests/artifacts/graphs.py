"""Small graphs, adapted and run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from harness.artifacts.adapt import adapt_graph

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

Specs = dict[str, tuple[int, list[Any]]]
Arrays = dict[str, "NDArray[Any]"]


def noise(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def make_model(
    nodes: Iterable[onnx.NodeProto],
    inputs: Specs,
    outputs: Specs,
    weights: Mapping[str, NDArray[Any]] | None = None,
    *,
    opset: int = 17,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, *spec) for name, spec in inputs.items()],
        [helper.make_tensor_value_info(name, *spec) for name, spec in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return onnx.shape_inference.infer_shapes(model)


def adapt(
    model: onnx.ModelProto, folder: Path, unsupported: Collection[str]
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    onnx.save(model, folder / "source.onnx")
    names = adapt_graph(folder / "source.onnx", folder / "target.onnx", unsupported=unsupported)
    made = onnx.load(folder / "target.onnx")
    onnx.checker.check_model(made, full_check=True)
    assert list(made.graph.input) == list(model.graph.input)
    assert list(made.graph.output) == list(model.graph.output)
    return made, names


def run(model: onnx.ModelProto, feeds: Arrays) -> list[NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    # As it is written: ONNX Runtime would put the normalization together again.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, feeds))


def snr_db(reference: NDArray[Any], output: NDArray[Any]) -> float:
    assert reference.shape == output.shape
    error = np.linalg.norm((output.astype(np.float64) - reference).ravel())
    return float(20 * np.log10(np.linalg.norm(reference.astype(np.float64)) / max(error, 1e-30)))


def op_types(model: onnx.ModelProto) -> set[str]:
    return {n.op_type for n in model.graph.node}
