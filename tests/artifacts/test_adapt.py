"""Graphs for parsers that are older than their operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.artifacts import graph_precision
from harness.artifacts.adapt import adapt_graph
from harness.errors import ContractError
from tests.artifacts.graphs import adapt, make_model, noise, op_types, run, snr_db

if TYPE_CHECKING:
    from pathlib import Path


FLOAT, FLOAT16, BOOL = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BOOL

# Of those in the list of TensorRT 8.5's parser, the ones that a normalization may be made of.
OLD = {"Add", "Cast", "Constant", "Div", "Mul", "ReduceMean", "Sqrt", "Sub"}

node = helper.make_node


def normalized(*, opset: int = 17, has_bias: bool = True, **options: Any) -> onnx.ModelProto:
    """Two normalizations, with names that a body's own must not meet."""
    bias = ["b"] if has_bias else []
    weights = {"s": 1 + 0.1 * noise(6, 8), "b": noise(6, 8, seed=1)}
    if options.get("axis", -1) in {-1, 3}:
        weights = {name: array[0] for name, array in weights.items()}
    return make_model(
        [
            node("Relu", ["x"], ["Mean"], name="before"),
            node("LayerNormalization", ["x", "s", *bias], ["Normal"], name="first", **options),
            node("Add", ["Normal", "Mean"], ["X"], name="between"),
            node("LayerNormalization", ["X", "s", *bias], ["n"], name="second", **options),
            node("Tanh", ["n"], ["Y"]),
        ],
        {"x": (FLOAT, ["batch", "frames", 6, 8])},
        {"Y": (FLOAT, ["batch", "frames", 6, 8])},
        weights if has_bias else {"s": weights["s"]},
        opset=opset,
    )


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("axis", [-1, 3, -2, 2])
def test_a_normalization_is_made_of_old_operators(
    tmp_path: Path, opset: int, has_bias: bool, axis: int
) -> None:
    model = normalized(opset=opset, has_bias=has_bias, axis=axis, epsilon=0.01)

    made, names = adapt(model, tmp_path, {"LayerNormalization"})

    assert names == ("LayerNormalization",)
    assert op_types(made) <= OLD | {"Relu", "Tanh"}
    assert made.ir_version == {17: 8, 20: 9}[opset]
    assert [entry.domain for entry in made.opset_import] == [""]
    assert not made.functions
    for batch, frames in ((1, 5), (2, 30)):
        feeds = {"x": 3 + noise(batch, frames, 6, 8, seed=2)}
        assert snr_db(run(model, feeds)[0], run(made, feeds)[0]) > 100


@pytest.mark.parametrize("frames", [5, 30])
def test_in_fp16_it_still_computes_in_fp32(tmp_path: Path, frames: int) -> None:
    # Numbers whose squares are beyond fp16's range, which only what is wider holds.
    model = graph_precision.to_fp16(normalized(), [])
    assert {i.data_type for i in model.graph.initializer} == {FLOAT16}

    made, _ = adapt(model, tmp_path, {"LayerNormalization"})

    feeds = {"x": 1000 * noise(2, frames, 6, 8, seed=2)}
    assert op_types(made) <= OLD | {"Relu", "Tanh"}
    assert snr_db(run(model, feeds)[0], run(made, feeds)[0]) > 60
    assert snr_db(run(normalized(), feeds)[0], run(made, feeds)[0]) > 50


def test_a_large_mean_costs_few_digits(tmp_path: Path) -> None:
    """The mean square less the squared mean, of the definition's body, would lose them all."""
    model = normalized()
    made, _ = adapt(model, tmp_path, {"LayerNormalization"})

    feeds = {"x": 1000 + noise(1, 5, 6, 8)}
    exact = feeds["x"].astype(np.float64)
    exact -= exact.mean(-1, keepdims=True)
    exact /= np.sqrt((exact**2).mean(-1, keepdims=True) + 1e-5)
    weights = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    made.graph.output.append(helper.make_tensor_value_info("Normal", FLOAT, None))
    assert snr_db(exact * weights["s"] + weights["b"], run(made, feeds)[1]) > 80


@pytest.mark.parametrize("outputs", [["y", "mean"], ["y", "mean", "inverse"], ["y", "", "inverse"]])
def test_its_other_outputs_are_kept(tmp_path: Path, outputs: list[str]) -> None:
    model = make_model(
        [node("LayerNormalization", ["x", "s"], outputs)],
        {"x": (FLOAT, ["n", 8])},
        {name: (FLOAT, ["n", 8 if name == "y" else 1]) for name in outputs if name},
        {"s": noise(8)},
    )

    made, _ = adapt(model, tmp_path, {"LayerNormalization"})

    feeds = {"x": 2 + noise(4, 8, seed=2)}
    for expected, got in zip(run(model, feeds), run(made, feeds), strict=True):
        assert snr_db(expected, got) > 100


def test_all_other_nodes_stay_as_they_are(tmp_path: Path) -> None:
    model = normalized()

    made, _ = adapt(model, tmp_path, {"LayerNormalization"})

    before = [n for n in model.graph.node if n.op_type != "LayerNormalization"]
    after = [n for n in made.graph.node if not n.name.startswith(("first/", "second/"))]
    assert after == before
    new = [n.name for n in made.graph.node if n not in before]
    assert len(set(new)) == len(new) == 20
    assert list(made.graph.initializer) == list(model.graph.initializer)


def test_what_is_supported_stays(tmp_path: Path) -> None:
    model = normalized()

    made, names = adapt(model, tmp_path, {"Gelu", "NoSuchOperator"})

    assert names == ()
    assert made.graph == model.graph
    assert made.ir_version == 8


@pytest.mark.parametrize("kind", [FLOAT, FLOAT16])
@pytest.mark.parametrize(
    ("op_type", "opset", "options"),
    [
        ("Gelu", 20, {}),
        ("Gelu", 20, {"approximate": "tanh"}),
        ("HardSwish", 17, {}),
        ("Mish", 18, {}),
        ("Elu", 18, {"alpha": 0.5}),
    ],
)
def test_other_functions_take_the_body_of_their_definition(
    tmp_path: Path, op_type: str, opset: int, options: dict[str, Any], kind: int
) -> None:
    model = make_model(
        [node(op_type, ["x"], ["y"], name="it", **options)],
        {"x": (kind, ["n", 8])},
        {"y": (kind, ["n", 8])},
        opset=opset,
    )

    made, names = adapt(model, tmp_path, [op_type])

    assert names == (op_type,)
    assert not op_types(made) & {op_type, "CastLike"}
    feeds = {"x": noise(4, 8).astype(helper.tensor_dtype_to_np_dtype(kind))}
    # ONNX Runtime has kernels of some for fp32 alone: against that then.
    single = onnx.ModelProto.FromString(model.SerializeToString())
    for value in (*single.graph.input, *single.graph.output):
        value.type.tensor_type.elem_type = FLOAT
    expected = run(single, {"x": feeds["x"].astype(np.float32)})[0]
    assert snr_db(expected, run(made, feeds)[0]) > (100 if kind == FLOAT else 50)


def test_a_body_is_replaced_down_to_what_is_supported(tmp_path: Path) -> None:
    model = make_model(
        [node("Mish", ["x"], ["y"])], {"x": (FLOAT, ["n"])}, {"y": (FLOAT, ["n"])}, opset=18
    )
    assert "Softplus" in op_types(adapt(model, tmp_path, ["Mish"])[0])

    made, names = adapt(model, tmp_path, ["Mish", "Softplus"])

    assert names == ("Mish", "Softplus")
    assert not op_types(made) & {"Mish", "Softplus", "CastLike"}
    feeds = {"x": noise(9)}
    assert snr_db(run(model, feeds)[0], run(made, feeds)[0]) > 100


def test_branches_are_looked_into(tmp_path: Path) -> None:
    outputs = [helper.make_tensor_value_info("z", FLOAT, ["n", 8])]
    model = make_model(
        [
            node(
                "If",
                ["is_on"],
                ["y"],
                then_branch=helper.make_graph(
                    [node("Abs", ["x"], ["a"]), node("LayerNormalization", ["a", "s"], ["z"])],
                    "then",
                    [],
                    outputs,
                ),
                else_branch=helper.make_graph([node("Abs", ["x"], ["z"])], "else", [], outputs),
            )
        ],
        {"x": (FLOAT, ["n", 8]), "is_on": (BOOL, [])},
        {"y": (FLOAT, ["n", 8])},
        {"s": noise(8)},
    )

    made, names = adapt(model, tmp_path, {"LayerNormalization"})

    assert names == ("LayerNormalization",)
    (kept,) = made.graph.node
    inside = {n.op_type for a in kept.attribute for n in a.g.node}
    assert inside <= OLD | {"Abs"}
    for is_on in (True, False):
        feeds = {"x": noise(4, 8), "is_on": np.array(is_on)}
        assert snr_db(run(model, feeds)[0], run(made, feeds)[0]) > 100


def test_an_operator_without_a_body_is_an_error(tmp_path: Path) -> None:
    model = make_model(
        [node("GridSample", ["x", "g"], ["y"]), node("Det", ["m"], ["d"])],
        {
            "x": (FLOAT, [1, 1, 4, 4]),
            "g": (FLOAT, [1, 2, 2, 2]),
            "m": (FLOAT, [2, 2]),
        },
        {"y": (FLOAT, [1, 1, 2, 2]), "d": (FLOAT, [])},
    )

    with pytest.raises(ContractError, match="replace Det, GridSample at opset 17") as caught:
        adapt(model, tmp_path, {"GridSample", "Det", "LayerNormalization"})

    assert caught.value.where == str(tmp_path / "source.onnx")
    assert "lower --opset" in caught.value.fix
    assert not (tmp_path / "target.onnx").exists()


def test_other_domains_are_left_alone(tmp_path: Path) -> None:
    model = normalized()
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    model.graph.node[1].domain = "com.example"

    onnx.save(model, tmp_path / "source.onnx")
    adapt_graph(
        tmp_path / "source.onnx", tmp_path / "target.onnx", unsupported=["LayerNormalization"]
    )

    made = onnx.load(tmp_path / "target.onnx")
    kept = [n for n in made.graph.node if n.op_type == "LayerNormalization"]
    assert [n.domain for n in kept] == ["com.example"]
    assert made.ir_version == 8


def test_external_data_goes_along(tmp_path: Path) -> None:
    model = make_model(
        [node("LayerNormalization", ["x", "s"], ["y"])],
        {"x": (FLOAT, ["n", 1000])},
        {"y": (FLOAT, ["n", 1000])},
        {"s": noise(1000)},
    )
    feeds = {"x": noise(3, 1000, seed=1)}
    expected = run(model, feeds)[0]
    source, target = tmp_path / "source.onnx", tmp_path / "made" / "target.onnx"
    target.parent.mkdir()
    onnx.save(model, source, save_as_external_data=True, location="weights")

    adapt_graph(source, target, unsupported=["LayerNormalization"])

    assert (target.parent / "target.onnx.data").stat().st_size >= 4000
    assert target.stat().st_size < 4000
    assert snr_db(expected, run(onnx.load(target), feeds)[0]) > 100
