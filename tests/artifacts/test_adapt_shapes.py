"""A Shape of a part of the shape, which TensorRT 8.5 takes for the whole, becomes two nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.artifacts.graphs import adapt, make_model, run

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL

node = helper.make_node

BOUNDS: list[dict[str, int]] = [
    {"start": 1},
    {"end": 2},
    {"start": 1, "end": 3},
    {"start": -1},
    {"start": -3, "end": -1},
    {"end": -2},
    {"start": 2, "end": 1},
    {"start": 1, "end": 100},
    {"start": -100, "end": 100},
    {"start": 0},
]


def _slices(graph: onnx.GraphProto) -> set[str]:
    """The operators of a graph and of its branches; a Shape that has bounds is named with them."""
    found = set()
    for one in graph.node:
        inner = [a.g for a in one.attribute if a.HasField("g")]
        is_part = one.op_type == "Shape" and one.attribute
        found.add("Shape of a part" if is_part else one.op_type)
        found.update(*(_slices(branch) for branch in inner))
    return found


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
@pytest.mark.parametrize("opset", [15, 20])
def test_a_shape_of_a_part_is_spelt_out(tmp_path: Path, bounds: dict[str, int], opset: int) -> None:
    model = make_model(
        [node("Shape", ["x"], ["part"], name="it", **bounds)],
        {"x": (FLOAT, ["a", "b", "c", 4])},
        {"part": (TensorProto.INT64, [None])},
        opset=opset,
    )
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("part", TensorProto.INT64, ["k"]))

    made, names = adapt(model, tmp_path, [])

    # Nothing was unsupported.
    assert names == ()
    assert _slices(made.graph) == {"Shape", "Slice"}
    assert [n.name for n in made.graph.node if n.op_type == "Slice"] == ["it"]
    for shape in ((1, 2, 3, 4), (5, 1, 7, 4)):
        feeds = {"x": np.zeros(shape, np.float32)}
        (expected,), (got,) = run(model, feeds), run(made, feeds)
        assert got.dtype == expected.dtype == np.int64
        assert got.tolist() == expected.tolist()
        assert got.tolist() == list(shape[bounds.get("start", 0) : bounds.get("end")])


def test_a_whole_shape_is_left_alone(tmp_path: Path) -> None:
    model = make_model(
        [node("Shape", ["x"], ["y"])], {"x": (FLOAT, ["a", 4])}, {"y": (TensorProto.INT64, [2])}
    )

    made, _ = adapt(model, tmp_path, [])

    assert made.graph == model.graph


def test_shapes_of_parts_may_have_no_name(tmp_path: Path) -> None:
    model = make_model(
        [
            node("Shape", ["x"], ["first"], end=1),
            node("Shape", ["x"], ["last"], start=-1),
            node("Shape", ["x"], ["middle"], start=1, end=-1),
        ],
        {"x": (FLOAT, ["a", "b", "c", 4])},
        {"first": (TensorProto.INT64, [1]), "last": (TensorProto.INT64, [1])}
        | {"middle": (TensorProto.INT64, [2])},
    )

    made, _ = adapt(model, tmp_path, [])

    assert _slices(made.graph) == {"Shape", "Slice"}
    outputs = run(made, {"x": np.zeros((5, 6, 7, 4), np.float32)})
    assert [output.tolist() for output in outputs] == [[5], [4], [6, 7]]


def test_a_shape_of_a_part_in_a_branch_is_spelt_out(tmp_path: Path) -> None:
    """In a branch of a branch too, with another beside it and one outside."""
    ints = TensorProto.INT64

    def branch(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
        outputs = [helper.make_tensor_value_info(nodes[-1].output[0], ints, [1])]
        return helper.make_graph(nodes, name, [], outputs)

    inner = node(
        "If",
        ["is_on"],
        ["i"],
        then_branch=branch("inner_then", node("Shape", ["x"], ["p"], name="it", start=-1)),
        else_branch=branch("inner_else", node("Shape", ["x"], ["q"], name="it", end=1)),
    )
    outer = node(
        "If",
        ["is_whole"],
        ["o"],
        then_branch=branch("outer_then", node("Shape", ["x"], ["r"], start=1, end=2)),
        else_branch=branch("outer_else", inner, node("Identity", ["i"], ["s"])),
    )
    model = make_model(
        [node("Shape", ["x"], ["t"], name="it", start=2, end=3), outer],
        {"x": (FLOAT, ["a", "b", "c", "d"]), "is_on": (BOOL, []), "is_whole": (BOOL, [])},
        {"o": (ints, [1]), "t": (ints, [1])},
    )

    made, _ = adapt(model, tmp_path, [])

    assert _slices(made.graph) == {"Identity", "If", "Shape", "Slice"}
    for is_on, is_whole in ((True, True), (True, False), (False, False)):
        feeds = {
            "x": np.zeros((2, 3, 5, 7), np.float32),
            "is_on": np.array(is_on),
            "is_whole": np.array(is_whole),
        }
        expected = 3 if is_whole else 7 if is_on else 2
        assert [one.tolist() for one in run(model, feeds)] == [[expected], [5]]
        assert [one.tolist() for one in run(made, feeds)] == [[expected], [5]]
