"""Graphs that a converter spoils in silence, through the worker: collected, rewritten, run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper, parser

from harness.artifacts.precision_worker import collect_histograms, convert_component
from harness.errors import ModelError
from harness.files import save_arrays
from harness.stats.accuracy import compare_stacks

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEADER = '<ir_version: 8, opset_import: ["": 20]>'
CLIPPING = {"method": "percentile", "percentile": 99.99}
EVERY = ("fp16", "int8", "int8-ort", "int8+fp16")


def _noise(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _graph(folder: Path, text: str, **weights: NDArray[Any]) -> Path:
    model = parser.parse_model(f"{HEADER} {text}")
    for name, value in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    path = folder / "graph.onnx"
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def _run(path: Path, stack: NDArray[Any]) -> dict[str, NDArray[Any]]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    rows = [session.run(names, {"x": row}) for row in stack]
    return {name: np.stack(values) for name, values in zip(names, zip(*rows), strict=True)}  # noqa: B905


def _convert(folder: Path, path: Path, precision: str, stack: NDArray[Any]) -> Path:
    inputs, histograms = folder / "inputs.npz", folder / "histograms.npz"
    save_arrays(inputs, {"x": stack})
    request = {"graph": str(path), "inputs": str(inputs), "histograms": str(histograms)}
    collect_histograms(request)
    out = folder / precision
    out.mkdir()
    convert_component(
        {
            **request,
            "component": "graph",
            "precision": precision,
            "clipping": CLIPPING,
            "folder": str(out),
        }
    )
    return out / "graph.onnx"


def _snr_db(folder: Path, path: Path, precision: str, output: str = "y") -> float:
    made = _convert(folder, path, precision, _noise(8, 4, 16))
    held_out = _noise(8, 4, 16, seed=1)
    return compare_stacks(_run(path, held_out)[output], _run(made, held_out)[output]).snr_db


INDEX = """
    at = Mul(x, ten)
    low = Floor(at)
    index = Cast<to: int = 7>(low)
    kept = Clip(index, first, last)
    y = Gather<axis: int = 0>(table, kept)
"""
LOOKUP: dict[str, NDArray[Any]] = {
    "ten": np.float32(10),
    "first": np.int64(0),
    "last": np.int64(63),
    "table": _noise(64, 3, seed=2),
}


@pytest.mark.parametrize("precision", EVERY)
def test_an_index_of_what_is_also_multiplied_is_the_very_same(
    tmp_path: Path, precision: str
) -> None:
    """The quantizer puts its pair on the tensor: the index would take it from there."""
    path = _graph(
        tmp_path,
        f"g (float[4, 16] x) => (float[4, 16, 3] y, float[4, 8] m) {{ m = MatMul(x, w) {INDEX} }}",
        w=_noise(16, 8),
        **LOOKUP,
    )

    assert _snr_db(tmp_path, path, precision) >= 38
    assert _snr_db(tmp_path / precision, path, precision, "m") >= 25


@pytest.mark.parametrize("precision", EVERY)
def test_an_index_by_comparison_is_the_very_same(tmp_path: Path, precision: str) -> None:
    """How many edges a number is above: real numbers reach the index through bool."""
    path = _graph(
        tmp_path,
        """g (float[4, 16] x) => (float[4, 16, 3] y) {
            fine = Mul(x, ten)
            column = Unsqueeze(fine, axes)
            above = Greater(column, edges)
            ones = Cast<to: int = 7>(above)
            index = ReduceSum<keepdims: int = 0>(ones, axes)
            y = Gather<axis: int = 0>(table, index)
        }""",
        ten=np.float32(10),
        axes=np.array([2]),
        edges=np.linspace(-30, 30, 63, dtype=np.float32),
        table=_noise(64, 3, seed=2),
    )

    assert _snr_db(tmp_path, path, precision) >= 38


@pytest.mark.parametrize("precision", ["int8", "int8+fp16"])
def test_what_is_added_to_a_product_is_not_quantized_for_tensorrt(
    tmp_path: Path, precision: str
) -> None:
    path = _graph(
        tmp_path,
        "g (float[4, 16] x) => (float[4, 16] y) { m = MatMul(x, w) y = Add(x, m) }",
        w=_noise(16, 16) * np.float32(1e-3),
    )

    assert _snr_db(tmp_path, path, precision) >= 55


def test_an_output_before_a_relu_keeps_its_negative_numbers(tmp_path: Path) -> None:
    path = _graph(
        tmp_path,
        "g (float[4, 16] x) => (float[4, 8] a, float[4, 8] y) { a = MatMul(x, w) y = Relu(a) }",
        w=_noise(16, 8),
    )

    assert _snr_db(tmp_path, path, "int8-ort", "a") >= 25


def test_a_constant_node_is_a_weight(tmp_path: Path) -> None:
    """By channel, and not clipped as an activation is."""
    weight = _noise(16, 8) * np.logspace(-2, 0, 8, dtype=np.float32)
    text = "g (float[4, 16] x) => (float[4, 8] y) { y = MatMul(x, w) }"
    model = parser.parse_model(f"{HEADER} {text}")
    model.graph.node.insert(
        0, onnx.helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(weight))
    )
    path = tmp_path / "graph.onnx"
    onnx.save(model, path)

    made = onnx.load(_convert(tmp_path, path, "int8", _noise(8, 4, 16)))

    scales = [i for i in made.graph.initializer if i.dims == [8] and i.data_type == 1]
    assert len(scales) == 1


@pytest.mark.parametrize("precision", EVERY)
def test_a_branch_takes_from_the_graph_around_it(tmp_path: Path, precision: str) -> None:
    """What a branch captures is made before it, and a sound graph is written."""
    path = _graph(
        tmp_path,
        """g (float[4, 16] x) => (float[4, 8] y) {
            m = MatMul(x, w)
            n = Neg(m)
            total = ReduceSum<keepdims: int = 0>(x)
            is_high = Greater(total, zero)
            y = If (is_high) <
                then_branch = t () => (float[4, 8] a) { a = Identity(m) },
                else_branch = e () => (float[4, 8] b) { b = Identity(n) }
            >
        }""",
        w=_noise(16, 8),
        zero=np.float32(0),
    )

    made = _convert(tmp_path, path, precision, _noise(8, 4, 16))

    onnx.checker.check_model(made)
    assert set(_run(made, _noise(2, 4, 16))) == {"y"}


@pytest.mark.parametrize("precision", ["fp16", "int8+fp16"])
def test_a_constant_that_others_use_as_well_stays_exact_for_an_index(
    tmp_path: Path, precision: str
) -> None:
    """One copy of it is converted, and that is not the one that the index is made with."""
    path = _graph(
        tmp_path,
        """g (float[4, 16] x) => (float[4, 16, 3] y, float[4, 16] m) {
            m = Add(x, fine)
            at = Mul(x, fine)
            low = Floor(at)
            index = Cast<to: int = 7>(low)
            kept = Mod(index, rows)
            y = Gather<axis: int = 0>(table, kept)
        }""",
        fine=np.float32(1003.3),
        rows=np.int64(64),
        table=_noise(64, 3, seed=2),
    )

    assert _snr_db(tmp_path, path, precision) >= 38


@pytest.mark.parametrize("precision", ["int8", "int8-ort", "int8+fp16"])
def test_a_weight_for_each_batch_is_quantized_as_a_whole(tmp_path: Path, precision: str) -> None:
    """By its second axis, the quantizer's choice, it would not even run."""
    path = _graph(
        tmp_path,
        "g (float[4, 16] x) => (float[3, 4, 8] y) { y = MatMul(x, w) }",
        w=_noise(3, 16, 8),
    )

    assert _snr_db(tmp_path, path, precision) >= 25


@pytest.mark.parametrize("sample", [0, 3])
def test_nan_in_one_sample_is_named(tmp_path: Path, sample: int) -> None:
    path = _graph(
        tmp_path, "g (float[4, 16] x) => (float[4, 8] y) { y = MatMul(x, w) }", w=_noise(16, 8)
    )
    stack = _noise(8, 4, 16)
    stack[sample, 0, 0] = np.nan

    with pytest.raises(ModelError, match="becomes NaN or infinite"):
        _convert(tmp_path, path, "int8", stack)
