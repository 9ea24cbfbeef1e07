"""Graphs rewritten in another precision: index chains kept, fp16, explicit Q/DQ, counted nodes."""

from __future__ import annotations

import graphlib
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from harness.artifacts import graph_precision
from harness.artifacts.precision_worker import collect_histograms, convert_component
from harness.errors import ContractError
from harness.types import NodeCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FLOAT, FLOAT16, BOOL, INT64 = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.BOOL,
    TensorProto.INT64,
)
INTEGERS = (
    TensorProto.UINT8,
    TensorProto.INT8,
    TensorProto.UINT16,
    TensorProto.INT16,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.UINT32,
    TensorProto.UINT64,
)
QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"

Specs = dict[str, tuple[int, list[Any]]]
Arrays = dict[str, "NDArray[Any]"]

node = helper.make_node


def make_model(
    nodes: Iterable[onnx.NodeProto],
    inputs: Specs,
    outputs: Specs,
    weights: Mapping[str, NDArray[Any]] | None = None,
    *,
    opset: int = 20,
    with_types: bool = True,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, *spec) for name, spec in inputs.items()],
        [helper.make_tensor_value_info(name, *spec) for name, spec in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return onnx.shape_inference.infer_shapes(model) if with_types else model


def copy(model: onnx.ModelProto) -> onnx.ModelProto:
    """The converters change what they are given."""
    return onnx.ModelProto.FromString(model.SerializeToString())


def run(model: onnx.ModelProto, feeds: Arrays) -> Arrays:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def run_strictly(model: onnx.ModelProto, feeds: Arrays) -> Arrays:
    """In numpy and as it is written: ONNX Runtime's CPU leaves out casts to fp16 and back."""
    names = [value.name for value in model.graph.output]
    with np.errstate(over="ignore"):
        return dict(zip(names, ReferenceEvaluator(model).run(None, feeds), strict=True))


def snr_db(reference: NDArray[Any], output: NDArray[Any]) -> float:
    noise = np.linalg.norm((output - reference).astype(np.float64))
    return float(20 * np.log10(np.linalg.norm(reference.astype(np.float64)) / noise))


def noise(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def nodes_of(model: onnx.ModelProto, op_type: str) -> list[onnx.NodeProto]:
    return [n for n in model.graph.node if n.op_type == op_type]


def by_name(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    (found,) = [n for n in model.graph.node if n.name == name]
    return found


def producers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {output: n for n in model.graph.node for output in n.output}


def consumers(model: onnx.ModelProto, tensor: str) -> set[str]:
    return {n.op_type for n in model.graph.node if tensor in n.input}


def constants(model: onnx.ModelProto) -> Arrays:
    return {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}


def attribute(of: onnx.NodeProto, name: str) -> Any:
    return next(helper.get_attribute_value(a) for a in of.attribute if a.name == name)


def types(model: onnx.ModelProto) -> dict[str, int]:
    """Of every tensor, inferred anew and not as the model says."""
    bare = copy(model)
    del bare.graph.value_info[:]
    graph = onnx.shape_inference.infer_shapes(bare, strict_mode=True).graph
    found = {i.name: i.data_type for i in graph.initializer}
    for value in (*graph.value_info, *graph.input, *graph.output):
        found[value.name] = value.type.tensor_type.elem_type
    return found


def assert_sorted(model: onnx.ModelProto) -> None:
    known = {value.name for value in model.graph.input} | set(constants(model)) | {""}
    for n in model.graph.node:
        assert set(n.input) <= known, f"{n.name} comes before what feeds it"
        known.update(n.output)


def ranges_of(model: onnx.ModelProto, feeds: Arrays) -> dict[str, tuple[float, float]]:
    """Smallest and largest value of every real tensor."""
    everything = copy(model)
    real = [name for name, kind in types(model).items() if kind == FLOAT]
    present = {value.name for value in everything.graph.output} | set(constants(model)) | set(feeds)
    everything.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in real if name not in present
    )
    values = {**run(everything, feeds), **feeds}
    return {n: (float(values[n].min()), float(values[n].max())) for n in real if n in values}


def symmetric(ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    largest = {name: max(-low, high) for name, (low, high) in ranges.items()}
    return {name: (-value, value) for name, value in largest.items()}


# Names


def test_nodes_without_a_name_or_with_anothers_get_their_own() -> None:
    model = make_model(
        [
            node("Relu", ["x"], ["a"]),
            node("Abs", ["a"], ["b"], name="same"),
            node("Abs", ["b"], ["c"], name="same"),
            node("Neg", ["c"], ["y"], name="own"),
        ],
        {"x": (FLOAT, [4])},
        {"y": (FLOAT, [4])},
    )

    graph_precision.name_nodes(model)

    names = [n.name for n in model.graph.node]
    assert all(names)
    assert len(set(names)) == 4
    assert names[3] == "own"
    assert "same" not in names


def test_a_new_name_is_none_that_another_node_has() -> None:
    model = make_model(
        [
            node("Relu", ["x"], ["a"], name="Relu_1"),
            node("Relu", ["a"], ["b"]),
            node("Relu", ["b"], ["y"], name="Relu_0"),
        ],
        {"x": (FLOAT, [4])},
        {"y": (FLOAT, [4])},
    )

    graph_precision.name_nodes(model)

    names = [n.name for n in model.graph.node]
    assert (names[0], names[2]) == ("Relu_1", "Relu_0")
    assert len(set(names)) == 3


def test_names_do_not_depend_on_when_they_are_given() -> None:
    """Ranges are collected in one process and used in another."""
    model = make_model(
        [node("Relu", ["x"], ["a"]), node("Relu", ["a"], ["y"])],
        {"x": (FLOAT, [4])},
        {"y": (FLOAT, [4])},
    )
    again = copy(model)

    graph_precision.name_nodes(model)
    graph_precision.name_nodes(again)
    graph_precision.name_nodes(again)

    assert [n.name for n in model.graph.node] == [n.name for n in again.graph.node]


# Index chains


def chain(
    nodes: Sequence[onnx.NodeProto], outputs: Specs, *, with_types: bool = True, **weights: Any
) -> set[str]:
    model = make_model(
        nodes, {"x": (FLOAT, [1, 2, 8])}, outputs, weights or None, with_types=with_types
    )
    return set(graph_precision.index_chain(model))


@pytest.mark.parametrize("integer", INTEGERS)
def test_every_node_between_a_cast_to_an_integer_and_the_input_is_kept(integer: int) -> None:
    found = chain(
        [
            node("Log", ["x"], ["a"], name="log"),
            node("Mul", ["a", "scale"], ["b"], name="scale"),
            node("Round", ["b"], ["c"], name="round"),
            node("Cast", ["c"], ["y"], name="cast", to=integer),
            node("Relu", ["a"], ["z"], name="beside"),
        ],
        {"y": (integer, [1, 2, 8]), "z": (FLOAT, [1, 2, 8])},
        scale=np.float32(7),
    )

    assert found == {"log", "scale", "round", "cast"}


@pytest.mark.parametrize("op_type", ["ArgMax", "ArgMin"])
def test_so_is_what_leads_to_the_place_of_an_extreme(op_type: str) -> None:
    found = chain(
        [
            node("Sub", ["x", "book"], ["a"], name="sub"),
            node("Mul", ["a", "a"], ["b"], name="square"),
            node(op_type, ["b"], ["y"], name="place", axis=2, keepdims=0),
        ],
        {"y": (INT64, [1, 2])},
        book=noise(8),
    )

    assert found == {"sub", "square", "place"}


def test_so_is_what_leads_to_the_places_of_several() -> None:
    found = chain(
        [
            node("Sub", ["x", "book"], ["a"], name="sub"),
            node("TopK", ["a", "one"], ["values", "y"], name="places", axis=2),
            node("Relu", ["values"], ["z"], name="after"),
        ],
        {"y": (INT64, [1, 2, 1]), "z": (FLOAT, [1, 2, 1])},
        book=noise(8),
        one=np.array([1]),
    )

    assert found == {"sub", "places"}


def test_so_is_an_index_that_comes_of_comparisons() -> None:
    """Through bool: no cast makes an integer of a real number."""
    found = chain(
        [
            node("Mul", ["x", "scale"], ["a"], name="scale"),
            node("Unsqueeze", ["a", "axis"], ["b"], name="column"),
            node("Greater", ["b", "edges"], ["c"], name="compare"),
            node("Cast", ["c"], ["d"], name="cast", to=INT64),
            node("ReduceSum", ["d", "axis"], ["e"], name="count", keepdims=0),
            node("Gather", ["table", "e"], ["y"], name="look_up"),
        ],
        {"y": (FLOAT, [1, 2, 8, 3])},
        scale=np.float32(7),
        axis=np.array([3]),
        edges=noise(16),
        table=noise(17, 3),
    )

    assert found == {"scale", "column", "compare", "cast", "count"}


@pytest.mark.parametrize("op_type", graph_precision.MATRIX_OPS)
def test_a_chain_ends_at_a_matrix_product(op_type: str) -> None:
    weights = {
        "Conv": noise(3, 2, 1),
        "ConvTranspose": noise(2, 3, 1),
        "MatMul": noise(8, 3),
        "Gemm": noise(8, 3),
    }
    before = [
        node("Neg", ["x"], ["a"], name="before"),
        node("Reshape", ["a", "flat"], ["b"], name="flat"),
    ]
    product = node(op_type, ["b" if op_type == "Gemm" else "a", "w"], ["p"], name="product")
    after = [
        node("Round", ["p"], ["r"], name="round"),
        node("Cast", ["r"], ["y"], name="cast", to=INT64),
        node("Identity", ["b"], ["z"], name="rest"),
    ]
    rank = {"Gemm": 2}.get(op_type, 3)

    found = chain(
        [*before, product, *after],
        {"y": (INT64, [None] * rank), "z": (FLOAT, [2, 8])},
        w=weights[op_type],
        flat=np.array([2, 8]),
    )

    assert found == {"round", "cast"}


def test_a_chain_takes_in_every_input_of_a_node_and_nothing_after_the_cast() -> None:
    found = chain(
        [
            node("Exp", ["x"], ["a"], name="left"),
            node("Abs", ["x"], ["b"], name="right"),
            node("Add", ["a", "b"], ["c"], name="sum"),
            node("Cast", ["c"], ["i"], name="first", to=INT64),
            node("Cast", ["b"], ["j"], name="second", to=TensorProto.INT32),
            node("Cast", ["j"], ["k"], name="wider", to=INT64),
            node("Mul", ["i", "k"], ["y"], name="after"),
        ],
        {"y": (INT64, [1, 2, 8])},
    )

    assert found == {"left", "right", "sum", "first", "second"}


@pytest.mark.parametrize(
    ("kind", "target"),
    [(INT64, TensorProto.INT32), (BOOL, INT64), (FLOAT, BOOL), (FLOAT, FLOAT16)],
    ids=["integer to integer", "bool to integer", "real to bool", "real to real"],
)
def test_other_casts_make_no_chain(kind: int, target: int) -> None:
    model = make_model(
        [
            node("Identity", ["x"], ["a"], name="copy"),
            node("Cast", ["a"], ["y"], name="cast", to=target),
        ],
        {"x": (kind, [4])},
        {"y": (target, [4])},
    )

    assert graph_precision.index_chain(model) == []


def test_arithmetic_of_shapes_makes_no_chain() -> None:
    found = chain(
        [
            node("Shape", ["x"], ["s"], name="shape"),
            node("Gather", ["s", "last"], ["n"], name="gather"),
            node("Cast", ["n"], ["m"], name="narrow", to=TensorProto.INT32),
            node("Cast", ["m"], ["w"], name="widen", to=INT64),
            node("Concat", ["minus", "w"], ["t"], name="concat", axis=0),
            node("Reshape", ["x", "t"], ["y"], name="reshape"),
        ],
        {"y": (FLOAT, [None, None])},
        last=np.array([2]),
        minus=np.array([-1]),
    )

    assert found == set()


@pytest.mark.parametrize("source", [TensorProto.DOUBLE, FLOAT16, TensorProto.BFLOAT16])
def test_every_real_type_makes_a_chain(source: int) -> None:
    found = chain(
        [
            node("Cast", ["x"], ["a"], name="real", to=source),
            node("Cast", ["a"], ["y"], name="cast", to=INT64),
        ],
        {"y": (INT64, [1, 2, 8])},
    )

    assert found == {"real", "cast"}


def test_a_cast_from_what_has_no_type_counts() -> None:
    """Too much in fp32 is slow, too little is wrong."""
    found = chain(
        [
            node("Round", ["x"], ["a"], name="round"),
            node("Cast", ["a"], ["y"], name="cast", to=INT64),
        ],
        {"y": (INT64, [1, 2, 8])},
        with_types=False,
    )

    assert found == {"round", "cast"}


def test_a_graph_without_indices_has_no_chain() -> None:
    assert chain([node("Round", ["x"], ["y"])], {"y": (FLOAT, [1, 2, 8])}) == set()


# A pitch encoder: log, scale, round, index, embedding, matrix product

BINS, WIDTH = 256, 16
PITCH_CHAIN = {"ratio", "plus", "log", "scale", "clip", "round", "cast"}


def pitch_encoder(*, opset: int = 20, with_types: bool = True) -> onnx.ModelProto:
    """Hz to one of 256 bins on a mel scale, embedded; the bins are an output too."""
    return make_model(
        [
            node("Div", ["f0", "corner"], ["a"], name="ratio"),
            node("Add", ["a", "one"], ["b"], name="plus"),
            node("Log", ["b"], ["c"], name="log"),
            node("Mul", ["c", "density"], ["d"], name="scale"),
            node("Clip", ["d", "one", "last"], ["e"], name="clip"),
            node("Round", ["e"], ["f"], name="round"),
            node("Cast", ["f"], ["bins"], name="cast", to=INT64),
            node("Gather", ["embedding", "bins"], ["g"], name="embed"),
            node("MatMul", ["g", "weight"], ["y"], name="project"),
        ],
        {"f0": (FLOAT, [1, "frames"])},
        {"y": (FLOAT, [1, "frames", WIDTH]), "bins": (INT64, [1, "frames"])},
        {
            "corner": np.float32(700),
            "one": np.float32(1),
            "density": np.float32(BINS / np.log(1 + 1100 / 700)),
            "last": np.float32(BINS - 1),
            "embedding": noise(BINS, WIDTH, seed=1),
            "weight": noise(WIDTH, WIDTH, seed=2),
        },
        opset=opset,
        with_types=with_types,
    )


def pitches() -> Arrays:
    return {"f0": np.random.default_rng(3).uniform(60, 1000, (1, 400)).astype(np.float32)}


def test_the_chain_of_a_pitch_encoder_is_found() -> None:
    assert set(graph_precision.index_chain(pitch_encoder())) == PITCH_CHAIN


@pytest.mark.parametrize("execute", [run, run_strictly])
@pytest.mark.parametrize("with_types", [True, False])
@pytest.mark.parametrize("opset", [17, 20])
def test_fp16_picks_the_same_indices_as_fp32(
    opset: int, with_types: bool, execute: Callable[[onnx.ModelProto, Arrays], Arrays]
) -> None:
    model = pitch_encoder(opset=opset, with_types=with_types)
    expected = run(model, pitches())
    kept = graph_precision.index_chain(model)

    actual = execute(graph_precision.to_fp16(copy(model), kept), pitches())

    np.testing.assert_array_equal(actual["bins"], expected["bins"])
    assert 40 <= snr_db(expected["y"], actual["y"]) < 100


@pytest.mark.parametrize("execute", [run, run_strictly])
def test_without_its_chain_kept_it_picks_others(
    execute: Callable[[onnx.ModelProto, Arrays], Arrays],
) -> None:
    """What the test above would miss if it were blind."""
    model = pitch_encoder()
    expected = run(model, pitches())

    actual = execute(graph_precision.to_fp16(copy(model), []), pitches())

    assert (actual["bins"] != expected["bins"]).mean() > 0.02
    assert snr_db(expected["y"], actual["y"]) < 30


def test_a_kept_chain_holds_no_fp16_at_all() -> None:
    model = pitch_encoder()

    converted = graph_precision.to_fp16(copy(model), graph_precision.index_chain(model))

    kinds = types(converted)
    for name in PITCH_CHAIN:
        kept = by_name(converted, name)
        assert {kinds[i] for i in kept.input} == {FLOAT}
        assert {kinds[o] for o in kept.output} <= {FLOAT, INT64}
    assert by_name(converted, "ratio").input[0] == "f0"
    assert kinds[by_name(converted, "project").input[0]] == FLOAT16


@pytest.mark.parametrize("with_outputs", [False, True])
def test_int8_picks_the_same_indices_as_fp32(with_outputs: bool) -> None:
    model = pitch_encoder()
    expected = run(model, pitches())
    ranges = ranges_of(model, pitches())
    kept = graph_precision.index_chain(model)

    converted = graph_precision.to_int8(
        copy(model),
        ranges if with_outputs else symmetric(ranges),
        kept,
        with_outputs=with_outputs,
    )

    actual = run(converted, pitches())
    np.testing.assert_array_equal(actual["bins"], expected["bins"])
    assert snr_db(expected["y"], actual["y"]) > 25


def test_int8_of_everything_picks_others() -> None:
    model = pitch_encoder()
    expected = run(model, pitches())

    converted = graph_precision.to_int8(
        copy(model), ranges_of(model, pitches()), [], with_outputs=True
    )

    actual = run(converted, pitches())
    assert (actual["bins"] != expected["bins"]).mean() > 0.05
    assert snr_db(expected["y"], actual["y"]) < 10


def convert_file(folder: Path, precision: str) -> tuple[onnx.ModelProto, Mapping[str, Any]]:
    """The pitch encoder as a pipeline's component is converted: from file to file."""
    onnx.save(pitch_encoder(with_types=False), folder / "fp32.onnx")
    samples = np.random.default_rng(4).uniform(0, 1100, (6, 1, 400)).astype(np.float32)
    np.savez(folder / "inputs.npz", f0=samples)
    request = {
        "component": "pitch",
        "precision": precision,
        "graph": str(folder / "fp32.onnx"),
        "inputs": str(folder / "inputs.npz"),
        "histograms": str(folder / "histograms.npz"),
        "clipping": {"method": "minmax", "percentile": 99.99},
        "folder": str(folder),
    }
    collect_histograms(request)
    answer = convert_component(request)
    return onnx.load(folder / "pitch.onnx"), answer


FLOORS_DB = {"fp16": 40.0, "int8": 25.0, "int8+fp16": 25.0, "int8-ort": 25.0}


@pytest.mark.parametrize("precision", FLOORS_DB)
def test_a_component_keeps_its_indices_in_every_precision(tmp_path: Path, precision: str) -> None:
    expected = run(pitch_encoder(), pitches())

    converted, answer = convert_file(tmp_path, precision)

    actual = run(converted, pitches())
    np.testing.assert_array_equal(actual["bins"], expected["bins"])
    assert FLOORS_DB[precision] <= snr_db(expected["y"], actual["y"]) < 100
    assert set(answer["kept_fp32"]) == PITCH_CHAIN
    kind = "fp16" if precision == "fp16" else "int8"
    assert answer["nodes"] == {"int8": 0, "fp16": 0, "fp32": 0, kind: 1}


@pytest.mark.parametrize(("precision", "most_db"), [("fp16", 30), ("int8-ort", 10)])
def test_a_component_that_does_not_keep_its_chain_loses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, most_db: float
) -> None:
    expected = run(pitch_encoder(), pitches())
    monkeypatch.setattr(graph_precision, "index_chain", lambda _: [])

    converted, answer = convert_file(tmp_path, precision)

    actual = run(converted, pitches())
    assert (actual["bins"] != expected["bins"]).mean() > 0.02
    assert snr_db(expected["y"], actual["y"]) < most_db
    assert answer["kept_fp32"] == []


# fp16


def mixed_model(opset: int = 20) -> onnx.ModelProto:
    """Real, bool and integer inputs and outputs; one product of the reals."""
    return make_model(
        [
            node("MatMul", ["x", "w"], ["a"], name="product"),
            node("Add", ["a", "b"], ["c"], name="bias"),
            node("Where", ["mask", "c", "zero"], ["d"], name="where"),
            node("Relu", ["d"], ["y"], name="relu"),
            node("Not", ["mask"], ["n"], name="not"),
            node("Add", ["k", "k"], ["m"], name="double"),
        ],
        {"x": (FLOAT, [1, "f", 8]), "mask": (BOOL, [1, "f", 1]), "k": (INT64, ["f"])},
        {"y": (FLOAT, [1, "f", 4]), "n": (BOOL, [1, "f", 1]), "m": (INT64, ["f"])},
        {"w": noise(8, 4), "b": noise(4, seed=1), "zero": np.float32(0)},
        opset=opset,
    )


def mixed_feeds() -> Arrays:
    return {
        "x": noise(1, 20, 8, seed=5),
        "mask": np.arange(20).reshape(1, 20, 1) % 3 > 0,
        "k": np.arange(20),
    }


@pytest.mark.parametrize("opset", [17, 18, 19, 20])
def test_inputs_and_outputs_stay_as_declared(opset: int) -> None:
    model = mixed_model(opset)

    converted = graph_precision.to_fp16(copy(model), [])

    for group in ("input", "output"):
        before, after = getattr(model.graph, group), getattr(converted.graph, group)
        assert [v.SerializeToString() for v in before] == [v.SerializeToString() for v in after]
    onnx.checker.check_model(converted, full_check=True)
    expected, actual = run(model, mixed_feeds()), run(converted, mixed_feeds())
    np.testing.assert_array_equal(actual["n"], expected["n"])
    np.testing.assert_array_equal(actual["m"], expected["m"])
    assert 50 < snr_db(expected["y"], actual["y"]) < 100


def test_what_lies_between_is_fp16() -> None:
    converted = graph_precision.to_fp16(mixed_model(), [])

    kinds = types(converted)
    for name in ("product", "bias", "where", "relu"):
        real = {
            kinds[t] for t in (*by_name(converted, name).input, by_name(converted, name).output[0])
        }
        assert real <= {FLOAT16, BOOL}
        assert FLOAT16 in real
    assert {a.dtype.name for a in constants(converted).values()} == {"float16"}
    assert graph_precision.count_nodes(converted) == NodeCounts(fp16=1)


def test_the_graph_says_the_types_that_it_has() -> None:
    """They are stale after the conversion, and some wrong: TensorRT reads them."""
    model = pitch_encoder()

    converted = graph_precision.to_fp16(copy(model), graph_precision.index_chain(model))

    said = {v.name: v.type.tensor_type.elem_type for v in converted.graph.value_info}
    assert said
    kinds = types(converted)
    assert said == {name: kinds[name] for name in said}


def test_nodes_come_after_what_feeds_them_and_all_are_used() -> None:
    model = pitch_encoder()

    converted = graph_precision.to_fp16(copy(model), ["log", "round", "cast"])

    assert_sorted(converted)
    used = {name for n in converted.graph.node for name in n.input}
    used |= {value.name for value in converted.graph.output}
    assert [n.name for n in converted.graph.node if not used & set(n.output)] == []
    onnx.checker.check_model(converted, full_check=True)


def kept_model() -> onnx.ModelProto:
    return make_model(
        [
            node("Mul", ["x", "scale"], ["a"], name="first"),
            node("Sub", ["a", "shift"], ["b"], name="second"),
            node("Relu", ["x"], ["c"], name="other"),
            node("Add", ["b", "c"], ["y"], name="sum"),
        ],
        {"x": (FLOAT, [1, 64])},
        {"y": (FLOAT, [1, 64]), "b": (FLOAT, [1, 64])},
        {"scale": np.float32(1000), "shift": np.float32(3000)},
    )


def test_a_kept_node_takes_the_input_itself_not_what_fp16_left_of_it() -> None:
    """3 and a bit, times 1000, less 3000: what fp16 takes off the bit is all there is to see."""
    feeds = {"x": (3 + noise(1, 64) / 1000).astype(np.float32)}
    expected = run(kept_model(), feeds)["b"]

    converted = graph_precision.to_fp16(kept_model(), ["first", "second"])
    # The output itself is rounded to fp16 on its way.
    assert 60 < snr_db(expected, run_strictly(converted, feeds)["b"]) < 100
    assert by_name(converted, "first").input[0] == "x"
    assert by_name(converted, "second").input[0] == by_name(converted, "first").output[0]
    assert types(converted)[by_name(converted, "other").input[0]] == FLOAT16

    lost = graph_precision.to_fp16(kept_model(), ["second"])
    assert snr_db(expected, run_strictly(lost, feeds)["b"]) < 20


def test_a_kept_node_after_one_in_fp16_takes_its_number_cast_back() -> None:
    converted = graph_precision.to_fp16(kept_model(), ["sum"])

    kinds = types(converted)
    sums = by_name(converted, "sum")
    assert [kinds[name] for name in sums.input] == [FLOAT, FLOAT]
    assert {producers(converted)[name].op_type for name in sums.input} == {"Cast"}
    onnx.checker.check_model(converted, full_check=True)


def test_a_kept_node_keeps_its_constants_as_constants() -> None:
    """TensorRT 8.5 refuses an instance normalization whose scale is computed, by a cast too."""
    model = make_model(
        [
            node("Relu", ["x"], ["a"], name="before"),
            node("InstanceNormalization", ["a", "scale", "shift"], ["b"], name="norm"),
            node("Mul", ["b", "scale_after"], ["y"], name="after"),
        ],
        {"x": (FLOAT, [1, 4, 64])},
        {"y": (FLOAT, [1, 4, 64])},
        {
            "scale": np.full(4, 0.1, np.float32),
            "shift": np.zeros(4, np.float32),
            "scale_after": np.float32(2),
        },
    )
    # As PyTorch's exporter does, and the converter then casts what is fp32 already.
    model.graph.value_info.add().CopyFrom(helper.make_tensor_value_info("scale", FLOAT, [4]))

    converted = graph_precision.to_fp16(copy(model), graph_precision.sensitive_nodes(model))

    held = {i.name: i.data_type for i in converted.graph.initializer}
    assert [held[name] for name in by_name(converted, "norm").input[1:]] == [FLOAT, FLOAT]
    onnx.checker.check_model(converted, full_check=True)


def test_what_fp16_has_no_kernel_for_takes_an_integer_as_a_real_number() -> None:
    """CumSum stays in fp32; what feeds it is cast from an integer, which it cannot take itself."""
    model = make_model(
        [
            node("Cast", ["k"], ["a"], name="real", to=FLOAT),
            node("CumSum", ["a", "axis"], ["b"], name="sum"),
            node("Mul", ["b", "step"], ["y"], name="step"),
        ],
        {"k": (INT64, [16])},
        {"y": (FLOAT, [16])},
        {"axis": np.array(0), "step": np.float32(0.1)},
    )
    feeds = {"k": np.arange(16)}

    converted = graph_precision.to_fp16(copy(model), [])

    onnx.checker.check_model(converted, full_check=True)
    assert types(converted)[by_name(converted, "sum").input[0]] == FLOAT
    assert 50 < snr_db(run(model, feeds)["y"], run(converted, feeds)["y"]) < 100


def test_keeping_all_of_a_graph_changes_nothing() -> None:
    model = mixed_model()
    names = [n.name for n in model.graph.node]

    converted = graph_precision.to_fp16(copy(model), names)

    np.testing.assert_array_equal(
        run(converted, mixed_feeds())["y"].astype(np.float16),
        run(model, mixed_feeds())["y"].astype(np.float16),
    )
    assert graph_precision.count_nodes(converted) == NodeCounts(fp32=1)
    assert {a.dtype.name for a in constants(converted).values()} == {"float32"}


def test_constants_beyond_fp16_are_clipped() -> None:
    model = make_model(
        [node("Mul", ["x", "high"], ["a"]), node("Add", ["a", "low"], ["y"])],
        {"x": (FLOAT, [2])},
        {"y": (FLOAT, [2])},
        {"high": np.array([1e6, 5], np.float32), "low": np.array([-1e6, -5], np.float32)},
    )

    converted = graph_precision.to_fp16(model, [])

    assert constants(converted)["high"].tolist() == [65504, 5]
    assert constants(converted)["low"].tolist() == [-65504, -5]


def test_what_overflows_as_it_is_computed_shows() -> None:
    model = make_model(
        [node("Mul", ["x", "k"], ["a"]), node("Div", ["a", "k"], ["y"])],
        {"x": (FLOAT, [2])},
        {"y": (FLOAT, [2])},
        {"k": np.float32(60000)},
    )

    converted = graph_precision.to_fp16(model, [])

    y = run_strictly(converted, {"x": np.array([1, 2], np.float32)})["y"]
    assert np.isfinite(y).tolist() == [True, False]


# What a branch or loop takes from outside is no input of its node.


def branch(name: str, output: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
    value = helper.make_tensor_value_info(output, FLOAT, [1, 8])
    return helper.make_graph(list(nodes), name, [], [value])


def branching_model() -> onnx.ModelProto:
    """One branch adds ``x`` to ``outer``, the other gives it; no other node uses it."""
    then = branch("then", "t", node("Add", ["outer", "x"], ["t"], name="add"))
    other = branch("else", "e", node("Identity", ["outer"], ["e"], name="same"))
    return make_model(
        [
            node("Mul", ["x", "k"], ["outer"], name="outer"),
            node("ReduceMax", ["x"], ["top"], name="top", keepdims=0),
            node("Greater", ["top", "zero"], ["is_positive"], name="is_positive"),
            node("If", ["is_positive"], ["y"], name="if", then_branch=then, else_branch=other),
        ],
        {"x": (FLOAT, [1, 8])},
        {"y": (FLOAT, [1, 8])},
        {"k": np.float32(3), "zero": np.float32(0)},
    )


def looping_model() -> onnx.ModelProto:
    """Adds ``outer`` three times; nothing outside of the loop's body uses it."""
    body = helper.make_graph(
        [
            node("Add", ["v", "outer"], ["next"], name="add"),
            node("Identity", ["go"], ["on"], name="on"),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", INT64, []),
            helper.make_tensor_value_info("go", BOOL, []),
            helper.make_tensor_value_info("v", FLOAT, [1, 8]),
        ],
        [
            helper.make_tensor_value_info("on", BOOL, []),
            helper.make_tensor_value_info("next", FLOAT, [1, 8]),
        ],
    )
    return make_model(
        [
            node("Mul", ["x", "k"], ["outer"], name="outer"),
            node("Loop", ["three", "always", "x"], ["y"], name="loop", body=body),
        ],
        {"x": (FLOAT, [1, 8])},
        {"y": (FLOAT, [1, 8])},
        {"three": np.array(3), "always": np.array(True), "k": np.float32(0.3)},
    )


@pytest.mark.parametrize("chosen", [True, False])
def test_a_branch_comes_after_what_it_takes(chosen: bool) -> None:
    """The condition alone is an input of the node, and would let it come first."""
    then = branch("then", "t", node("Add", ["outer", "x"], ["t"], name="add"))
    other = branch("else", "e", node("Identity", ["outer"], ["e"], name="same"))
    model = make_model(
        [
            node("MatMul", ["x", "w"], ["p"], name="product"),
            node("Mul", ["p", "k"], ["outer"], name="outer"),
            node("If", ["choice"], ["y"], name="if", then_branch=then, else_branch=other),
        ],
        {"x": (FLOAT, [1, 8]), "choice": (BOOL, [])},
        {"y": (FLOAT, [1, 8])},
        {"k": np.float32(3), "w": noise(8, 8)},
    )
    feeds = {"x": noise(1, 8), "choice": np.array(chosen)}
    ranges = dict.fromkeys(["x", "p", "outer", "y"], (-20.0, 20.0))

    halved = graph_precision.to_fp16(copy(model), [])
    quantized = graph_precision.to_int8(copy(model), ranges, [], with_outputs=False)

    for converted, least_db in [(halved, 50), (quantized, 15)]:
        onnx.checker.check_model(converted, full_check=True)
        assert snr_db(run(model, feeds)["y"], run(converted, feeds)["y"]) > least_db


@pytest.mark.parametrize("make", [branching_model, looping_model])
@pytest.mark.parametrize("keep", [[], ["outer"]])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_branches_and_loops_take_from_outside_is_still_there(
    make: Any, keep: list[str], sign: int
) -> None:
    feeds = {"x": sign * np.abs(noise(1, 8))}
    model = make()

    converted = graph_precision.to_fp16(copy(model), keep)

    onnx.checker.check_model(converted, full_check=True)
    expected = run(model, feeds)["y"]
    assert snr_db(expected, run(converted, feeds)["y"]) > 50


# INT8


def layered_model(opset: int = 20) -> onnx.ModelProto:
    """Each matrix operation once, and attention, with what lies between them in real networks."""
    return make_model(
        [
            node("Conv", ["x", "w_conv", "b_conv"], ["c"], name="conv", pads=[1, 1]),
            node("Relu", ["c"], ["r"], name="relu"),
            node("ConvTranspose", ["r", "w_up", "b_up"], ["t"], name="up", strides=[2]),
            node("Transpose", ["t"], ["s"], name="swap", perm=[0, 2, 1]),
            node("MatMul", ["s", "w_mul"], ["m"], name="mul"),
            node("Add", ["m", "b_mul"], ["a"], name="bias"),
            node("Transpose", ["a"], ["at"], name="swap_back", perm=[0, 2, 1]),
            node("MatMul", ["a", "at"], ["scores"], name="attend"),
            node("Softmax", ["scores"], ["p"], name="softmax", axis=-1),
            node("Reshape", ["p", "flat"], ["f"], name="flat"),
            node("Gemm", ["f", "w_gemm", "b_gemm"], ["y"], name="gemm", transB=1),
        ],
        {"x": (FLOAT, [1, 4, 16])},
        {"y": (FLOAT, [32, 5])},
        {
            "w_conv": 0.3 * noise(8, 4, 3, seed=1),
            "b_conv": noise(8, seed=2),
            "w_up": 0.3 * noise(8, 6, 2, seed=3),
            "b_up": noise(6, seed=4),
            "w_mul": 0.2 * noise(6, 10, seed=5),
            "b_mul": noise(10, seed=6),
            "flat": np.array([32, 32]),
            "w_gemm": noise(5, 32, seed=7),
            "b_gemm": noise(5, seed=8),
        },
        opset=opset,
    )


def layered_feeds() -> Arrays:
    return {"x": noise(1, 4, 16, seed=9)}


def layered_int8(
    keep: Iterable[str] = (), *, with_outputs: bool = False, opset: int = 20
) -> onnx.ModelProto:
    model = layered_model(opset)
    ranges = ranges_of(model, layered_feeds())
    return graph_precision.to_int8(
        copy(model),
        ranges if with_outputs else symmetric(ranges),
        keep,
        with_outputs=with_outputs,
    )


WEIGHT_AXES = {"w_conv": 0, "w_up": 1, "w_mul": 1, "w_gemm": 0}
FACTORS = {
    "conv": ("x", "w_conv"),
    "up": ("r", "w_up"),
    "mul": ("s", "w_mul"),
    "gemm": ("f", "w_gemm"),
}


@pytest.mark.parametrize("opset", [17, 19, 20])
def test_only_the_inputs_of_matrix_operations_are_quantized(opset: int) -> None:
    model = layered_int8(opset=opset)

    assert {n.input[0] for n in nodes_of(model, QUANTIZE)} == {"x", "r", "s", "f"}
    assert len(nodes_of(model, QUANTIZE)) == 4
    assert len(nodes_of(model, DEQUANTIZE)) == 8
    for output, consumer in [
        ("c", "Relu"),
        ("t", "Transpose"),
        ("m", "Add"),
        ("scores", "Softmax"),
    ]:
        assert consumers(model, output) == {consumer}
    onnx.checker.check_model(model, full_check=True)
    assert_sorted(model)


def test_both_factors_come_out_of_dequantize() -> None:
    model = layered_int8()

    made_by = producers(model)
    for name in FACTORS:
        factors = by_name(model, name).input[:2]
        assert [made_by[factor].op_type for factor in factors] == [DEQUANTIZE] * 2
        activation, weight = (made_by[factor].input[0] for factor in factors)
        assert made_by[activation].op_type == QUANTIZE
        assert made_by[activation].input[0] == FACTORS[name][0]
        assert weight in constants(model)


@pytest.mark.parametrize("with_outputs", [False, True])
@pytest.mark.parametrize("name", FACTORS)
def test_weights_are_symmetric_int8_by_output_channel(name: str, with_outputs: bool) -> None:
    weight, axis = FACTORS[name][1], WEIGHT_AXES[FACTORS[name][1]]
    real = constants(layered_model())[weight]
    model = layered_int8(with_outputs=with_outputs)
    if (name, with_outputs) == ("up", True):
        assert by_name(model, name).input[1] == weight
        return

    dequantize = producers(model)[by_name(model, name).input[1]]
    quantized, scale, zero = (constants(model)[i] for i in dequantize.input)

    assert (quantized.dtype, scale.dtype, zero.dtype) == (np.int8, np.float32, np.int8)
    assert attribute(dequantize, "axis") == axis
    assert scale.shape == zero.shape == (real.shape[axis],)
    assert not zero.any()
    others = tuple(i for i in range(real.ndim) if i != axis)
    np.testing.assert_allclose(scale, np.abs(real).max(axis=others) / 127.5, rtol=0.01)
    spread = np.expand_dims(scale, others)
    np.testing.assert_allclose(quantized * spread, real, atol=0.51 * scale.max())


def test_activations_are_symmetric_int8_over_the_given_range() -> None:
    ranges = symmetric(ranges_of(layered_model(), layered_feeds()))
    model = layered_int8()

    for quantize in nodes_of(model, QUANTIZE):
        scale, zero = (constants(model)[i] for i in quantize.input[1:])
        assert (zero.dtype, zero.shape, scale.shape) == (np.int8, (), ())
        assert zero == 0
        assert scale == pytest.approx(ranges[quantize.input[0]][1] / 127.5, rel=0.01)


def test_biases_stay_real() -> None:
    model = layered_int8()

    for name, bias in [("conv", "b_conv"), ("gemm", "b_gemm")]:
        assert by_name(model, name).input[2] == bias
        np.testing.assert_array_equal(constants(model)[bias], constants(layered_model())[bias])
    np.testing.assert_array_equal(constants(model)["b_mul"], constants(layered_model())["b_mul"])


def test_there_is_nothing_that_tensorrt_refuses() -> None:
    model = layered_int8()

    assert {a.dtype.name for a in constants(model).values()} == {"int8", "int64", "float32"}
    ops = {n.op_type for n in model.graph.node}
    assert ops - {n.op_type for n in layered_model().graph.node} == {QUANTIZE, DEQUANTIZE}
    assert {n.domain for n in model.graph.node} <= {"", "ai.onnx"}
    assert [(o.domain, o.version) for o in model.opset_import if o.domain == ""] == [("", 20)]


def test_a_product_of_two_activations_is_left_alone() -> None:
    assert graph_precision.dynamic_products(layered_model()) == ["attend"]
    assert list(by_name(layered_int8(), "attend").input) == ["a", "at"]


@pytest.mark.parametrize("with_outputs", [False, True])
def test_kept_nodes_are_left_alone(with_outputs: bool) -> None:
    model = layered_int8(["conv", "relu", "swap", "mul"], with_outputs=with_outputs)

    assert list(by_name(model, "conv").input) == ["x", "w_conv", "b_conv"]
    assert by_name(model, "mul").input[1] == "w_mul"
    assert graph_precision.count_nodes(model).fp32 >= 2
    made_by = producers(model)
    assert made_by[by_name(model, "gemm").input[0]].op_type == DEQUANTIZE


@pytest.mark.parametrize("with_outputs", [False, True])
def test_int8_is_accurate_and_keeps_the_interface(with_outputs: bool) -> None:
    model = layered_model()
    converted = layered_int8(with_outputs=with_outputs)

    expected, actual = run(model, layered_feeds())["y"], run(converted, layered_feeds())["y"]

    assert 25 < snr_db(expected, actual) < 70
    for group in ("input", "output"):
        before, after = getattr(model.graph, group), getattr(converted.graph, group)
        assert [v.SerializeToString() for v in before] == [v.SerializeToString() for v in after]


def test_for_onnx_runtime_activations_are_uint8_and_outputs_quantized_too() -> None:
    model = layered_int8(with_outputs=True)

    zeros = [constants(model)[n.input[2]] for n in nodes_of(model, QUANTIZE)]
    assert {zero.dtype.name for zero in zeros} == {"uint8"}
    assert any(zero != 0 for zero in zeros)
    assert {"m", "p"} <= {n.input[0] for n in nodes_of(model, QUANTIZE)}
    made_by = producers(model)
    assert [made_by[i].op_type for i in by_name(model, "attend").input] == [DEQUANTIZE] * 2
    for name, bias in [("conv", "b_conv"), ("gemm", "b_gemm")]:
        quantized = made_by[by_name(model, name).input[2]].input[0]
        assert quantized.startswith(bias)
        assert constants(model)[quantized].dtype == np.int32
    onnx.checker.check_model(model, full_check=True)


def test_for_onnx_runtime_the_range_is_spent_on_the_values_there_are() -> None:
    """Between -1 and 3, a range of -3 to 3 would leave a third of the steps unused."""
    model = layered_model()
    ranges = {**ranges_of(model, layered_feeds()), "x": (-1.0, 3.0)}

    converted = graph_precision.to_int8(model, ranges, [], with_outputs=True)

    (quantize,) = [n for n in nodes_of(converted, QUANTIZE) if n.input[0] == "x"]
    scale, zero = (constants(converted)[name] for name in quantize.input[1:])
    assert scale == pytest.approx(4 / 255, rel=0.001)
    assert zero == 64


@pytest.mark.parametrize("with_outputs", [False, True])
def test_a_tensor_of_zeros_is_quantized_to_zeros(with_outputs: bool) -> None:
    model = make_model(
        [node("MatMul", ["x", "w"], ["y"], name="mul")],
        {"x": (FLOAT, [1, 8])},
        {"y": (FLOAT, [1, 4])},
        {"w": noise(8, 4)},
    )
    ranges = {"x": (0.0, 0.0), "y": (0.0, 0.0)}

    converted = graph_precision.to_int8(model, ranges, [], with_outputs=with_outputs)

    assert not run(converted, {"x": np.zeros((1, 8), np.float32)})["y"].any()


def test_the_advice_of_the_quantizer_is_not_ours(caplog: pytest.LogCaptureFixture) -> None:
    """Of a bias that is no constant it says that the node had better be left out."""
    model = make_model(
        [node("Gemm", ["x", "w", "b"], ["y"], name="gemm")],
        {"x": (FLOAT, [2, 8]), "b": (FLOAT, [4])},
        {"y": (FLOAT, [2, 4])},
        {"w": noise(8, 4)},
    )
    ranges = dict.fromkeys(["x", "y", "b"], (-1.0, 1.0))

    graph_precision.to_int8(model, ranges, [], with_outputs=True)

    assert caplog.records == []


def test_a_graph_without_matrix_operations_stays_as_it_is() -> None:
    model = make_model([node("Relu", ["x"], ["y"])], {"x": (FLOAT, [4])}, {"y": (FLOAT, [4])})
    graph_precision.name_nodes(model)

    converted = graph_precision.to_int8(model, {"x": (-1, 1), "y": (0, 1)}, [], with_outputs=False)

    assert [n.op_type for n in converted.graph.node] == ["Relu"]
    assert graph_precision.count_nodes(converted) == NodeCounts()


# INT8 and fp16 together


@pytest.mark.parametrize(
    ("opset", "scales"), [(17, "float32"), (18, "float32"), (19, "float16"), (20, "float16")]
)
def test_scales_are_in_fp16_where_the_opset_has_them(opset: int, scales: str) -> None:
    converted = graph_precision.to_fp16(layered_int8(opset=opset), [])

    onnx.checker.check_model(converted, full_check=True)
    quantizers = nodes_of(converted, QUANTIZE) + nodes_of(converted, DEQUANTIZE)
    assert len(quantizers) == 12
    assert {constants(converted)[n.input[1]].dtype.name for n in quantizers} == {scales}
    expected = run(layered_model(opset), layered_feeds())["y"]
    assert snr_db(expected, run(converted, layered_feeds())["y"]) > 25


@pytest.mark.parametrize("opset", [17, 18, 19, 20])
def test_no_cast_comes_between_a_product_and_its_scales(opset: int) -> None:
    """It would undo INT8: the product takes what DequantizeLinear gives."""
    converted = graph_precision.to_fp16(layered_int8(opset=opset), [])

    made_by = producers(converted)
    for name in FACTORS:
        factors = by_name(converted, name).input[:2]
        assert [made_by[factor].op_type for factor in factors] == [DEQUANTIZE] * 2
    counts = graph_precision.count_nodes(converted)
    assert (counts.int8, counts.fp16, counts.fp32) == (4, 1, 0)


def test_the_rest_of_int8_is_fp16() -> None:
    converted = graph_precision.to_fp16(layered_int8(), [])

    kinds = types(converted)
    for name in (*FACTORS, "relu", "bias", "attend", "softmax"):
        assert kinds[by_name(converted, name).output[0]] == FLOAT16
    assert graph_precision.count_nodes(converted) == NodeCounts(int8=4, fp16=1)
    assert types(converted)["y"] == FLOAT


def chain_and_product() -> onnx.ModelProto:
    """What a chain is computed from is multiplied too, and is itself a product."""
    return make_model(
        [
            node("MatMul", ["x", "w"], ["p"], name="product"),
            node("Mul", ["p", "k"], ["s"], name="scale"),
            node("Round", ["s"], ["r"], name="round"),
            node("Cast", ["r"], ["i"], name="cast", to=INT64),
            node("Relu", ["p"], ["h"], name="relu"),
            node("MatMul", ["p", "v"], ["q"], name="next"),
            node("Add", ["q", "h"], ["y"], name="sum"),
        ],
        {"x": (FLOAT, [1, 50, 8])},
        {"i": (INT64, [1, 50, 4]), "y": (FLOAT, [1, 50, 4])},
        {"w": noise(8, 4), "v": noise(4, 4, seed=1), "k": np.float32(100)},
    )


@pytest.mark.parametrize("with_outputs", [False, True])
def test_a_chain_takes_real_numbers_also_where_others_take_them_quantized(
    with_outputs: bool,
) -> None:
    model = chain_and_product()
    feeds = {"x": noise(1, 50, 8, seed=3)}
    ranges = ranges_of(model, feeds)

    converted = graph_precision.to_int8(
        copy(model),
        ranges if with_outputs else symmetric(ranges),
        graph_precision.index_chain(model),
        with_outputs=with_outputs,
    )

    made_by = producers(converted)
    assert made_by[by_name(converted, "scale").input[0]].name == "product"
    assert made_by[by_name(converted, "next").input[0]].op_type == DEQUANTIZE
    assert snr_db(run(model, feeds)["y"], run(converted, feeds)["y"]) > 20


# Graphs that cannot be converted


def convert_saved(model: onnx.ModelProto, folder: Path, precision: str) -> None:
    onnx.save(model, folder / "given.onnx")
    np.savez(folder / "histograms.npz", names=np.array([]), extremes=np.array([]))
    convert_component(
        {
            "component": "converted",
            "precision": precision,
            "graph": str(folder / "given.onnx"),
            "histograms": str(folder / "histograms.npz"),
            "clipping": {"method": "minmax", "percentile": 99.99},
            "folder": str(folder),
        }
    )


def product_model(*, opset: int = 20, kind: int = FLOAT) -> onnx.ModelProto:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    return make_model(
        [node("MatMul", ["x", "w"], ["y"], name="mul")],
        {"x": (kind, [1, 8])},
        {"y": (kind, [1, 4])},
        {"w": noise(8, 4).astype(dtype)},
        opset=opset,
    )


@pytest.mark.parametrize("precision", ["int8", "int8-ort", "int8+fp16"])
def test_int8_needs_an_opset_with_scales_by_channel(tmp_path: Path, precision: str) -> None:
    with pytest.raises(ContractError, match="opset 12 has no INT8 by channel") as caught:
        convert_saved(product_model(opset=12), tmp_path, precision)

    assert "opset 13" in caught.value.fix
    assert not (tmp_path / "converted.onnx").exists()
    convert_saved(product_model(opset=12), tmp_path, "fp16")
    assert (tmp_path / "converted.onnx").exists()


def test_what_the_quantizer_cannot_do_is_told(tmp_path: Path) -> None:
    """A graph in fp16 has no ranges: they are collected of fp32 alone."""
    with pytest.raises(ContractError, match="cannot be converted to int8: ValueError") as caught:
        convert_saved(product_model(kind=FLOAT16), tmp_path, "int8")

    assert caught.value.where == str(tmp_path / "given.onnx")
    assert not (tmp_path / "converted.onnx").exists()


# Counting


def test_nodes_are_counted_by_precision() -> None:
    model = layered_model()

    assert graph_precision.count_nodes(model) == NodeCounts(fp32=5)
    assert graph_precision.count_nodes(graph_precision.to_fp16(copy(model), [])) == NodeCounts(
        fp16=5
    )
    assert graph_precision.count_nodes(layered_int8()) == NodeCounts(int8=4, fp32=1)
    assert graph_precision.count_nodes(layered_int8(["mul"])) == NodeCounts(int8=3, fp32=2)
    # ONNX Runtime's CPU has no INT8 kernel for the transposed convolution.
    for_cpu = graph_precision.count_nodes(layered_int8(with_outputs=True))
    assert for_cpu == NodeCounts(int8=4, fp32=1)
    kept = graph_precision.to_fp16(copy(model), ["mul", "gemm"])
    assert graph_precision.count_nodes(kept) == NodeCounts(fp16=3, fp32=2)


def test_one_quantized_factor_is_no_int8() -> None:
    """A compressed weight alone: the product is computed in real numbers."""
    model = make_model(
        [
            node("DequantizeLinear", ["w", "scale"], ["d"], name="dequantize"),
            node("MatMul", ["x", "d"], ["y"], name="mul"),
        ],
        {"x": (FLOAT, [1, 8])},
        {"y": (FLOAT, [1, 4])},
        {"w": np.ones((8, 4), np.int8), "scale": np.float32(0.1)},
    )

    assert graph_precision.count_nodes(model) == NodeCounts(fp32=1)


def test_every_node_is_in_one_order_that_its_inputs_allow() -> None:
    """Of INT8 too: nodes that are appended have to be sorted in."""
    for model in (layered_int8(), layered_int8(with_outputs=True)):
        assert_sorted(model)
        made_by = {o: n.name for n in model.graph.node for o in n.output}
        order = graphlib.TopologicalSorter(
            {n.name: {made_by[i] for i in n.input if i in made_by} for n in model.graph.node}
        )
        assert len(list(order.static_order())) == len(model.graph.node)
