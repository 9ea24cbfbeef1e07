"""What TensorRT takes without a word, or refuses in riddles, is an error of ours before it builds.

Tried on the real builder of TensorRT-RTX, which a spy tells us was not reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from harness.backends.tensorrt.builder import build_engine
from harness.backends.tensorrt.engine import size_bytes
from harness.backends.tensorrt.header import read_header
from harness.backends.tensorrt.profiles import NetworkTensor, check_declared
from harness.errors import ContractError, EngineError, HarnessError
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.pipeline.pipeline import Pipeline
    from tests.backends.tensorrt.conftest import Request

SOUND = [[1, 1, 5], [1, 1, 8], [2, 1, 16]]


@pytest.fixture
def refused(make_request: Callable[..., Request], builds: list[Any]) -> Callable[..., HarnessError]:
    """The error of a request, for which the builder was not called."""

    def call(*arguments: Any, **options: Any) -> HarnessError:
        with pytest.raises(HarnessError) as caught:
            build_engine(make_request(*arguments, **options))
        assert builds == []
        assert caught.value.fix
        return caught.value

    return call


def test_what_is_right_is_built(
    make_request: Callable[..., Request], conv: Path, builds: list[Any]
) -> None:
    build_engine(make_request(conv, {"x": SOUND}))

    assert len(builds) == 1


def test_a_profile_for_what_is_no_input(refused: Callable[..., HarnessError], conv: Path) -> None:
    error = refused(conv, {"x": SOUND, "inverse": [[1], [1], [1]]})

    assert isinstance(error, ContractError)
    assert "'inverse', which is no input" in error.what
    assert "the inputs are x" in error.fix


def test_a_dynamic_input_without_a_profile(
    refused: Callable[..., HarnessError], conv: Path
) -> None:
    error = refused(conv, {})

    assert str(error) == (
        "net: x: is dynamic ([-1, 1, -1]) and the profile has no shapes for it; "
        "give its min, opt and max"
    )


@pytest.mark.parametrize("point", [0, 1, 2])
def test_a_dynamic_size_in_a_profile(
    refused: Callable[..., HarnessError], conv: Path, point: int
) -> None:
    shapes = [list(shape) for shape in SOUND]
    shapes[point][2] = -1

    error = refused(conv, {"x": shapes})

    assert error.where == "net: x"
    assert f"{('min', 'opt', 'max')[point]} is [{shapes[point][0]}, 1, -1]: axis 2 is -1" in str(
        error
    )
    assert "never -1" in error.fix


def test_a_min_above_the_opt(refused: Callable[..., HarnessError], conv: Path) -> None:
    error = refused(conv, {"x": [[1, 1, 9], [1, 1, 8], [2, 1, 16]]})

    assert str(error) == ("net: x: axis 2 is 9, 8, 16 at min, opt and max; give min <= opt <= max")


def test_an_opt_above_the_max(refused: Callable[..., HarnessError], conv: Path) -> None:
    assert "axis 2 is 5, 17, 16" in str(refused(conv, {"x": [[1, 1, 5], [1, 1, 17], [2, 1, 16]]}))


@pytest.mark.parametrize("size", [4, 1])
def test_audio_that_is_shorter_than_what_the_network_looks_at(
    refused: Callable[..., HarnessError], conv: Path, size: int
) -> None:
    error = refused(conv, {"x": [[1, 1, size], [1, 1, 8], [2, 1, 16]]})

    assert isinstance(error, ContractError)
    assert f"at the profile's min (x [1, 1, {size}])" in error.what
    assert error.what.startswith("y ")
    assert "larger min" in error.fix


def test_audio_as_short_as_what_the_network_looks_at(
    make_request: Callable[..., Request], conv: Path, builds: list[Any]
) -> None:
    facts = build_engine(make_request(conv, {"x": SOUND}))

    assert facts["profile"]["x"]["min"] == (1, 1, 5)
    assert len(builds) == 1


def test_a_shape_of_the_wrong_rank(refused: Callable[..., HarnessError], conv: Path) -> None:
    error = refused(conv, {"x": [[1, 5], [1, 8], [2, 16]]})

    assert str(error) == "net: x: min is [1, 5], the graph's rank is 3; give 3 sizes"


def test_a_size_on_an_axis_that_is_frozen(refused: Callable[..., HarnessError], conv: Path) -> None:
    error = refused(conv, {"x": [[1, 1, 5], [1, 2, 8], [2, 2, 16]]})

    assert "opt is [1, 2, 8], but axis 1 is frozen at 1" in error.what
    assert error.where == "net: x"
    assert "export the axis as dynamic" in error.fix


def test_a_graph_that_cannot_be_parsed(
    refused: Callable[..., HarnessError], tmp_path: Path, save_graph: Callable[..., None]
) -> None:
    path = tmp_path / "odd.onnx"
    save_graph(
        path,
        [helper.make_node("Unique", ["x"], ["y"])],
        {"x": (TensorProto.FLOAT, ["t"])},
        {"y": (TensorProto.FLOAT, ["u"])},
    )

    error = refused(path, {"x": [[1], [2], [3]]})

    assert isinstance(error, ContractError)
    assert "Unique" in error.what


def test_external_weights_are_found(
    make_request: Callable[..., Request], conv: Path, builds: list[Any], tmp_path: Path
) -> None:
    model = onnx.load(conv)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    path = folder / "conv.onnx"
    onnx.save(model, path, save_as_external_data=True, location="conv.onnx.data", size_threshold=0)
    assert (folder / "conv.onnx.data").is_file()

    facts = build_engine(make_request(path, {"x": SOUND}))

    assert len(builds) == 1
    assert facts["size_bytes"] > 0


def test_a_buffer_for_a_shape_that_is_dynamic() -> None:
    with pytest.raises(EngineError, match=r"\[1, -1, 256\] has no size") as caught:
        size_bytes((1, -1, 256), "float32")

    assert "ask the context" in caught.value.fix
    assert size_bytes((1, 7, 256), "float32") == 7 * 256 * 4
    assert size_bytes((), "float16") == 2


def test_a_graph_in_place_of_an_engine(conv: Path) -> None:
    with pytest.raises(EngineError, match="looks like an ONNX graph") as caught:
        read_header(conv)

    assert caught.value.where == str(conv)
    assert "build it first" in caught.value.fix


# Against the declaration: the decoder of the toy takes features [batch, frames, 6] and voiced
# [batch, frames], and gives level [batch, frames].
FEATURES = NetworkTensor("features", "float32", (-1, -1, 6))
VOICED = NetworkTensor("voiced", "bool", (-1, -1))
LEVEL = NetworkTensor("level", "float32", (-1, -1))


@pytest.fixture
def pipeline(onnx_toy: Callable[..., Path]) -> Pipeline:
    return load_pipeline(onnx_toy())


def test_a_network_as_declared_is_taken(pipeline: Pipeline) -> None:
    check_declared(pipeline, "decoder", [VOICED, FEATURES], [LEVEL])


@pytest.mark.parametrize(
    ("inputs", "outputs", "place", "message"),
    [
        (
            [FEATURES, NetworkTensor("mask", "bool", (-1, -1))],
            [LEVEL],
            "inputs",
            "the network has features, mask, declared are features, voiced",
        ),
        ([FEATURES], [LEVEL], "inputs", "the network has features, declared are features, voiced"),
        ([FEATURES, VOICED], [FEATURES], "outputs", "the network has features, declared are level"),
        ([FEATURES, VOICED], [], "outputs", "the network has none, declared are level"),
        (
            [FEATURES, NetworkTensor("voiced", "float32", (-1, -1))],
            [LEVEL],
            "inputs.voiced",
            "the network has float32, declared is bool",
        ),
        (
            [FEATURES, VOICED],
            [NetworkTensor("level", "float16", (-1, -1))],
            "outputs.level",
            "the network has float16, declared is float32",
        ),
        (
            [NetworkTensor("features", "float32", (-1, -1)), VOICED],
            [LEVEL],
            "inputs.features",
            "the network has rank 2, declared is 3",
        ),
        (
            [NetworkTensor("features", "float32", (-1, 8, 6)), VOICED],
            [LEVEL],
            "inputs.features",
            "axis 1 is 8 in the network, declared is 2 to 16",
        ),
        (
            [NetworkTensor("features", "float32", (-1, 2, 6)), VOICED],
            [LEVEL],
            "inputs.features",
            "axis 1 is 2 in the network, declared is 2 to 16",
        ),
        (
            [NetworkTensor("features", "float32", (-1, -1, 7)), VOICED],
            [LEVEL],
            "inputs.features",
            "axis 2 is 7 in the network, declared is 6 to 6",
        ),
    ],
)
def test_a_network_that_is_not_as_declared(
    pipeline: Pipeline,
    inputs: list[NetworkTensor],
    outputs: list[NetworkTensor],
    place: str,
    message: str,
) -> None:
    with pytest.raises(ContractError) as caught:
        check_declared(pipeline, "decoder", inputs, outputs)

    assert caught.value.where == f"{pipeline.manifest}: components.decoder.{place}"
    assert caught.value.what == message
    assert caught.value.fix


def test_the_builder_holds_a_graph_against_the_declaration(
    refused: Callable[..., HarnessError], pipeline: Pipeline
) -> None:
    graph = pipeline.root / "decoder.onnx"
    model = onnx.load(graph)
    model.graph.input[1].name = "mask"
    model.graph.node[1].input[0] = "mask"
    onnx.save(model, graph)
    profile = {"features": [[1, 2, 6], [1, 8, 6], [2, 16, 6]], "mask": [[1, 2], [1, 8], [2, 16]]}

    error = refused(graph, profile, component="decoder", pipeline=str(pipeline.root))

    assert "the network has features, mask, declared are features, voiced" in error.what


def test_whole_numbers_of_32_bits_pass_for_those_of_64(toy: Callable[..., Path]) -> None:
    """TensorRT 8.5 has no others."""
    for _ in range(2):
        root = toy(('voiced = { dtype = "bool"', 'voiced = { dtype = "int64"'))
    pipeline = load_pipeline(root)
    short = NetworkTensor("voiced", "int32", (-1, -1))

    check_declared(pipeline, "decoder", [FEATURES, short], [LEVEL])
    with pytest.raises(ContractError, match="the network has int16, declared is int64"):
        check_declared(
            pipeline, "decoder", [FEATURES, NetworkTensor("voiced", "int16", (-1, -1))], [LEVEL]
        )


def test_an_input_of_a_fixed_shape_needs_no_profile(
    make_request: Callable[..., Request], tmp_path: Path, save_graph: Callable[..., None]
) -> None:
    path = tmp_path / "fixed.onnx"
    save_graph(
        path,
        [helper.make_node("Add", ["x", "one"], ["y"])],
        {"x": (TensorProto.FLOAT, [2, 3])},
        {"y": (TensorProto.FLOAT, [2, 3])},
        one=np.float32(1),
    )

    assert build_engine(make_request(path, {}))["size_bytes"] > 0
