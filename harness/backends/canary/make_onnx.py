"""Make ``canary-cpu-1.onnx``: a convolution, a pointwise one and a matrix product of fixed numbers.

The file is what is frozen, not this script: another version of NumPy or ONNX may write other bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_SIDE, _CHANNELS, _WIDE, _OUT = 64, 16, 32, 32
_ROW = 256


def make_model() -> onnx.ModelProto:
    """The graph, about 30 million multiply-accumulates in fp32."""
    random = np.random.default_rng(20260101)
    weights = {
        "wide": random.standard_normal((_WIDE, _CHANNELS, 3, 3)) / (9 * _CHANNELS) ** 0.5,
        "mix": random.standard_normal((_WIDE, _WIDE, 1, 1)) / _WIDE**0.5,
        "project": random.standard_normal((_ROW, _OUT)) / _ROW**0.5,
    }
    rows = _WIDE * _SIDE * _SIDE // _ROW
    initializers = [
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()
    ]
    shape = numpy_helper.from_array(np.array([rows, _ROW], np.int64), "rows")
    nodes = [
        helper.make_node("Conv", ["x", "wide"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "mix"], ["c"]),
        helper.make_node("Reshape", ["c", "rows"], ["d"]),
        helper.make_node("MatMul", ["d", "project"], ["y"]),
    ]
    size = [1, _CHANNELS, _SIDE, _SIDE]
    graph = helper.make_graph(
        nodes,
        "canary-cpu-1",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, size)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, _OUT])],
        [*initializers, shape],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    path = Path(__file__).with_name("canary-cpu-1.onnx")
    path.write_bytes(make_model().SerializeToString(deterministic=True))
