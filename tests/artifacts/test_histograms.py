"""What every tensor of a graph takes over a calibration set, and the ranges that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.artifacts.precision_worker import BINS, collect_histograms, convert_component
from harness.errors import ContractError, ModelError, StorageError
from harness.stats.thresholds import METHODS, Histogram, clip_range, clip_threshold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

FLOAT, FLOAT16, BOOL, INT64 = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.BOOL,
    TensorProto.INT64,
)
SAMPLES = 5

Specs = dict[str, tuple[int, list[Any]]]

node = helper.make_node


def save_model(
    path: Path,
    nodes: Iterable[onnx.NodeProto],
    inputs: Specs,
    outputs: Specs,
    weights: Mapping[str, NDArray[Any]] | None = None,
) -> Path:
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, *spec) for name, spec in inputs.items()],
        [helper.make_tensor_value_info(name, *spec) for name, spec in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def collect(graph: Path, **stacks: NDArray[Any]) -> dict[str, Histogram]:
    """The histogram of every real tensor; ``stacks`` are [samples, ...], by input."""
    folder = graph.parent / "histograms"
    folder.mkdir(exist_ok=True)
    np.savez(folder / "inputs.npz", **stacks)  # type: ignore[arg-type]
    paths = {"inputs": folder / "inputs.npz", "histograms": folder / "histograms.npz"}

    answer = collect_histograms({"graph": str(graph), **{k: str(p) for k, p in paths.items()}})

    assert answer == {}
    assert {path.name for path in folder.iterdir()} == {"inputs.npz", "histograms.npz"}
    with np.load(paths["histograms"]) as file:
        return {
            str(name): Histogram(file[f"counts/{i}"], *file["extremes"][i].tolist())
            for i, name in enumerate(file["names"])
        }


def noise(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def layered(tmp_path: Path) -> Path:
    """A product, a bias, a mask of bools and a table that is read by an index."""
    return save_model(
        tmp_path / "layered.onnx",
        [
            node("MatMul", ["x", "w"], ["product"]),
            node("Add", ["product", "b"], ["biased"]),
            node("Where", ["mask", "biased", "zero"], ["masked"]),
            node("Relu", ["masked"], ["y"]),
            node("Not", ["mask"], ["unmasked"]),
            node("Shape", ["x"], ["size"]),
        ],
        {"x": (FLOAT, [1, 7, 4]), "mask": (BOOL, [1, 7, 1])},
        {"y": (FLOAT, [1, 7, 3]), "unmasked": (BOOL, [1, 7, 1]), "size": (INT64, [3])},
        {"w": noise(4, 3, seed=1), "b": noise(3, seed=2), "zero": np.float32(0)},
    )


@pytest.fixture
def stacks() -> dict[str, NDArray[Any]]:
    mask = np.random.default_rng(3).random((SAMPLES, 1, 7, 1)) > 0.5
    return {"x": noise(SAMPLES, 1, 7, 4), "mask": mask}


def values_of(stacks: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    product = stacks["x"] @ noise(4, 3, seed=1)
    biased = product + noise(3, seed=2)
    masked = np.where(stacks["mask"], biased, np.float32(0))
    return {
        "x": stacks["x"],
        "product": product,
        "biased": biased,
        "masked": masked,
        "y": np.maximum(masked, 0),
    }


def test_every_real_tensor_is_there_also_those_that_a_fused_node_would_hide(
    layered: Path, stacks: dict[str, NDArray[Any]]
) -> None:
    assert set(collect(layered, **stacks)) == {"x", "product", "biased", "masked", "y"}


def test_counts_are_those_of_all_samples_in_equal_bins(
    layered: Path, stacks: dict[str, NDArray[Any]]
) -> None:
    histograms = collect(layered, **stacks)

    for name, values in values_of(stacks).items():
        counts = histograms[name].counts
        assert (counts.dtype, counts.shape) == (np.int64, (BINS,))
        # Zeros say nothing of where to clip, and are not counted.
        assert counts.sum() == np.count_nonzero(values)
        exact, _ = np.histogram(np.abs(values[values != 0]), BINS, (0, np.abs(values).max()))
        # A value on an edge may be rounded to either side of it.
        assert np.abs(np.cumsum(counts) - np.cumsum(exact)).max() <= 2
        assert counts[-1] >= 1


def test_extremes_are_those_of_all_samples(layered: Path, stacks: dict[str, NDArray[Any]]) -> None:
    stacks["x"][1, 0, 3, 2] = -50
    stacks["x"][SAMPLES - 1, 0, 0, 0] = 40

    histograms = collect(layered, **stacks)

    assert (histograms["x"].lowest, histograms["x"].highest) == (-50, 40)
    assert histograms["y"].lowest == 0
    for name, values in values_of(stacks).items():
        assert histograms[name].lowest == pytest.approx(values.min(), rel=1e-5)
        assert histograms[name].highest == pytest.approx(values.max(), rel=1e-5)


@pytest.mark.parametrize("is_voiced", [True, False])
def test_bools_are_fed_as_bools(
    layered: Path, stacks: dict[str, NDArray[Any]], is_voiced: bool
) -> None:
    mask = np.full((SAMPLES, 1, 7, 1), is_voiced)

    masked = collect(layered, x=stacks["x"], mask=mask)["masked"]

    assert (masked.largest > 0) == is_voiced


def test_the_samples_order_does_not_matter(layered: Path, stacks: dict[str, NDArray[Any]]) -> None:
    forwards = collect(layered, **stacks)

    backwards = collect(layered, **{name: stack[::-1] for name, stack in stacks.items()})

    for name, histogram in forwards.items():
        np.testing.assert_array_equal(histogram.counts, backwards[name].counts)
        assert histogram.lowest == backwards[name].lowest
        assert histogram.highest == backwards[name].highest


def test_an_input_that_is_an_output_is_counted_once(tmp_path: Path) -> None:
    path = save_model(
        tmp_path / "graph.onnx",
        [node("Neg", ["x"], ["y"])],
        {"x": (FLOAT, [3])},
        {"x": (FLOAT, [3]), "y": (FLOAT, [3])},
    )

    histograms = collect(path, x=np.arange(12, dtype=np.float32).reshape(4, 3))

    assert {name: int(h.counts.sum()) for name, h in histograms.items()} == {"x": 11, "y": 11}
    assert (histograms["x"].lowest, histograms["y"].lowest) == (0, -11)


def test_a_graph_without_real_tensors_has_no_histogram(tmp_path: Path) -> None:
    path = save_model(
        tmp_path / "graph.onnx",
        [node("Not", ["x"], ["y"])],
        {"x": (BOOL, [3])},
        {"y": (BOOL, [3])},
    )

    assert collect(path, x=np.zeros((4, 3), bool)) == {}


def test_a_graph_of_inputs_and_integers_alone_counts_its_inputs(tmp_path: Path) -> None:
    path = save_model(
        tmp_path / "graph.onnx",
        [node("Cast", ["x"], ["y"], to=INT64)],
        {"x": (FLOAT, [3])},
        {"y": (INT64, [3])},
    )

    histograms = collect(path, x=np.ones((4, 3), np.float32))

    assert {name: int(h.counts.sum()) for name, h in histograms.items()} == {"x": 12}


def test_other_real_types_are_left_out(tmp_path: Path) -> None:
    path = save_model(
        tmp_path / "graph.onnx",
        [
            node("Cast", ["x"], ["half"], to=FLOAT16),
            node("Cast", ["half"], ["y"], to=FLOAT),
        ],
        {"x": (FLOAT, [3])},
        {"y": (FLOAT, [3])},
    )

    assert set(collect(path, x=np.ones((4, 3), np.float32))) == {"x", "y"}


@pytest.mark.parametrize("value", [0.0, 2.5, -2.5])
def test_a_constant_tensor_is_in_one_bin(tmp_path: Path, value: float) -> None:
    path = save_model(
        tmp_path / "graph.onnx",
        [node("Identity", ["x"], ["y"])],
        {"x": (FLOAT, [3])},
        {"y": (FLOAT, [3])},
    )

    histogram = collect(path, x=np.full((4, 3), value, np.float32))["y"]

    assert (histogram.lowest, histogram.highest) == (value, value)
    assert histogram.counts[-1] == histogram.counts.sum() == (0 if value == 0 else 12)


def test_bins_are_of_one_width_and_the_last_holds_its_upper_edge(tmp_path: Path) -> None:
    path = save_model(
        tmp_path / "graph.onnx",
        [node("Identity", ["x"], ["y"])],
        {"x": (FLOAT, [BINS + 1])},
        {"y": (FLOAT, [BINS + 1])},
    )
    centres = np.append(np.arange(BINS) + 0.5, BINS).astype(np.float32)

    histogram = collect(path, x=np.stack([centres, -centres]))["y"]

    assert histogram.counts[:-1].tolist() == [2] * (BINS - 1)
    assert histogram.counts[-1] == 4


def test_an_empty_tensor_has_no_range(tmp_path: Path) -> None:
    """The regions of a Resize are one."""
    empty = numpy_helper.from_array(np.zeros(0, np.float32))
    path = save_model(
        tmp_path / "graph.onnx",
        [
            node("Constant", [], ["none"], value=empty),
            node("Neg", ["none"], ["regions"]),
            node("Resize", ["x", "regions", "scales"], ["y"], mode="nearest"),
        ],
        {"x": (FLOAT, [1, 1, 4])},
        {"y": (FLOAT, [1, 1, 8])},
        {"scales": np.array([1, 1, 2], np.float32)},
    )

    assert set(collect(path, x=np.ones((4, 1, 1, 4), np.float32))) == {"x", "y"}


def test_numbers_at_the_end_of_fp32_are_counted(tmp_path: Path) -> None:
    path = save_model(
        tmp_path / "graph.onnx",
        [node("Identity", ["x"], ["y"])],
        {"x": (FLOAT, [3])},
        {"y": (FLOAT, [3])},
    )

    histogram = collect(path, x=np.array([[3e38, -3e38, 1.0]] * 4, np.float32))["y"]

    assert (histogram.counts[0], histogram.counts[-1]) == (4, 8)


@pytest.mark.parametrize(("x", "at"), [(-1.0, "every"), (0.0, "every"), (0.0, "last")])
def test_what_becomes_nan_or_infinite_is_named(tmp_path: Path, x: float, at: str) -> None:
    path = save_model(
        tmp_path / "graph.onnx",
        [node("Log", ["x"], ["level"]), node("MatMul", ["level", "level"], ["y"])],
        {"x": (FLOAT, [3])},
        {"y": (FLOAT, [])},
    )
    stack = np.ones((4, 3), np.float32)
    stack[slice(None) if at == "every" else slice(3, None), 1] = x

    with pytest.raises(ModelError, match="level becomes NaN or infinite") as caught:
        collect(path, x=stack)

    assert caught.value.where == str(path)
    assert {p.name for p in (tmp_path / "histograms").iterdir()} == {"inputs.npz"}


def test_a_mask_of_minus_infinity_is_left_out(tmp_path: Path) -> None:
    """As in attention: nothing multiplies it, so that it needs no range."""
    path = save_model(
        tmp_path / "graph.onnx",
        [node("Log", ["x"], ["masked"]), node("Softmax", ["masked"], ["y"])],
        {"x": (FLOAT, [3])},
        {"y": (FLOAT, [3])},
    )

    histograms = collect(path, x=np.array([[0.0, 1.0, 2.0]] * 4, np.float32))

    assert set(histograms) == {"x", "y"}


def test_the_smallest_numbers_are_counted_as_zero(tmp_path: Path) -> None:
    """The inverse of their range is beyond float32."""
    path = save_model(
        tmp_path / "graph.onnx",
        [node("Neg", ["x"], ["y"])],
        {"x": (FLOAT, [3])},
        {"y": (FLOAT, [3])},
    )

    histogram = collect(path, x=np.full((4, 3), 1e-38, np.float32))["y"]

    assert histogram.counts[0] == histogram.counts.sum() == 12


def test_a_graph_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("NoSuchOperator", ["x"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, [3])],
        [helper.make_tensor_value_info("y", FLOAT, [3])],
    )
    path = tmp_path / "graph.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), path)

    with pytest.raises(ContractError, match="NoSuchOperator") as caught:
        collect(path, x=np.ones((4, 3), np.float32))

    assert caught.value.where == str(path)
    assert {p.name for p in (tmp_path / "histograms").iterdir()} == {"inputs.npz"}


def test_a_folder_that_cannot_be_written_is_a_storage_error(
    layered: Path, stacks: dict[str, NDArray[Any]], tmp_path: Path
) -> None:
    np.savez(tmp_path / "inputs.npz", **stacks)  # type: ignore[arg-type]
    request = {
        "graph": str(layered),
        "inputs": str(tmp_path / "inputs.npz"),
        "histograms": str(tmp_path / "no" / "such" / "folder" / "histograms.npz"),
    }

    with pytest.raises(StorageError):
        collect_histograms(request)


# From histograms to the scales in the graph


def scales(graph: Path, histograms: Path, precision: str, **clipping: Any) -> dict[str, Any]:
    """Scale and zero point of every activation that is quantized."""
    folder = graph.parent
    convert_component(
        {
            "component": "converted",
            "graph": str(graph),
            "precision": precision,
            "histograms": str(histograms),
            "clipping": {"method": "minmax", "percentile": 99.99, **clipping},
            "folder": str(folder),
        }
    )
    model = onnx.load(folder / "converted.onnx")
    arrays = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    return {
        n.input[0]: tuple(arrays[name].item() for name in n.input[1:])
        for n in model.graph.node
        if n.op_type == "QuantizeLinear"
    }


@pytest.mark.parametrize("method", METHODS)
def test_a_scale_is_the_threshold_of_the_rule(
    layered: Path, stacks: dict[str, NDArray[Any]], method: str
) -> None:
    stacks["x"] **= 3
    histogram = collect(layered, **stacks)["x"]
    file = layered.parent / "histograms" / "histograms.npz"

    found = scales(layered, file, "int8", method=method, percentile=90)

    expected = clip_threshold(histogram, method, percentile=90)
    assert found == {"x": (pytest.approx(expected / 127.5, rel=0.005), 0)}
    if method == "percentile":
        assert expected < 0.9 * histogram.largest


@pytest.mark.parametrize("method", METHODS)
def test_for_onnx_runtime_it_is_that_of_the_range(
    layered: Path, stacks: dict[str, NDArray[Any]], method: str
) -> None:
    stacks["x"] = np.maximum(stacks["x"], -0.5)
    histogram = collect(layered, **stacks)["x"]
    file = layered.parent / "histograms" / "histograms.npz"

    scale, zero = scales(layered, file, "int8-ort", method=method, percentile=90)["x"]

    low, high = clip_range(histogram, method, percentile=90)
    assert scale == pytest.approx((high - low) / 255, rel=0.005)
    assert zero == pytest.approx(-low / scale, abs=1)
    assert low == -0.5
