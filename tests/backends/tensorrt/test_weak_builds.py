"""Each combination of options reaches TensorRT 8.5's builder as it was asked for, on a fake."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from harness.backends.tensorrt import builder
from harness.backends.tensorrt.options import TensorRTChoice, TensorRTOptions, make_recipes
from harness.errors import ContractError, FeatureUnavailableError, OptionError
from tests.backends.tensorrt.builder_fakes import World, make_builder_library

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.backends.tensorrt.builder_fakes import Config, Network

PREVIEW = "FASTER_DYNAMIC_SHAPES_0805"


@pytest.fixture
def quantized(tmp_path: Path, save_graph: Callable[..., None]) -> Path:
    """A product between Q/DQ nodes, an index chain, and an instance normalization."""
    path = tmp_path / "net.onnx"
    pairs = [
        helper.make_node("QuantizeLinear", ["x", "scale"], ["q"], name="quantize"),
        helper.make_node("DequantizeLinear", ["q", "scale"], ["dq"], name="dequantize"),
    ]
    save_graph(
        path,
        [
            *pairs,
            helper.make_node("Conv", ["dq", "kernel"], ["h"], name="conv"),
            helper.make_node("InstanceNormalization", ["h", "gain", "bias"], ["n"], name="norm"),
            helper.make_node("Abs", ["bins"], ["scaled"], name="to_bin"),
            helper.make_node("Cast", ["scaled"], ["index"], name="cast", to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "index"], ["row"], name="gather"),
            helper.make_node("Add", ["n", "row"], ["y"], name="add"),
        ],
        {"x": (TensorProto.FLOAT, ["b", 1, "t"]), "bins": (TensorProto.FLOAT, [1])},
        {"y": (TensorProto.FLOAT, ["b", 2, "u"])},
        scale=np.float32(0.1),
        kernel=np.ones((2, 1, 5), np.float32),
        gain=np.ones(2, np.float32),
        bias=np.zeros(2, np.float32),
        table=np.ones((4, 1, 1), np.float32),
    )
    return path


@pytest.fixture
def plain(tmp_path: Path, save_graph: Callable[..., None]) -> Path:
    """The same without Q/DQ nodes."""
    path = tmp_path / "net.onnx"
    save_graph(
        path,
        [
            helper.make_node("Conv", ["x", "kernel"], ["h"], name="/resblock.0/conv"),
            helper.make_node("Conv", ["h", "second"], ["y"], name="/post/conv"),
        ],
        {"x": (TensorProto.FLOAT, ["b", 1, "t"])},
        {"y": (TensorProto.FLOAT, ["b", 2, "u"])},
        kernel=np.ones((2, 1, 5), np.float32),
        second=np.ones((2, 2, 1), np.float32),
    )
    return path


@pytest.fixture
def build(
    own_library: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Config, Network]]:
    """Build by the only recipe of a precision and routes; gives what the builder was told."""

    def call(
        graph: Path,
        precision: str,
        *,
        fp16: str = "graph",
        world: World | None = None,
        **options: Any,
    ) -> tuple[Config, Network]:
        world = world or World()
        library = make_builder_library(world)
        monkeypatch.setattr(builder, "find_library", lambda *_, **__: library)
        made = TensorRTOptions(**options)
        (recipe,) = make_recipes(library, [precision], TensorRTChoice(made, fp16_routes=(fp16,)))
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        profile = {"x": [[1, 1, 5], [1, 1, 8], [2, 1, 16]]}
        builder.build_engine(
            {
                "library": "tensorrt",
                "component": "net",
                "graph": str(graph),
                "folder": str(tmp_path),
                "scratch": str(scratch),
                "recipe": asdict(recipe),
                "options": asdict(made),
                "profile": profile,
            }
        )
        return world.configs[-1], world.networks[-1]

    return call


def _pinned(network: Network) -> list[str]:
    return [layer.name for layer in network.layers if layer.precision is not None]


OBEY, PREFER = "OBEY_PRECISION_CONSTRAINTS", "PREFER_PRECISION_CONSTRAINTS"


@pytest.mark.parametrize(
    ("precision", "fp16", "constraints", "flags", "pinned"),
    [
        # INT8 by Q/DQ alone: the graph says where, and nothing is pinned.
        ("int8", "graph", "obey", {"INT8"}, []),
        ("int8", "graph", "none", {"INT8"}, []),
        # Both flags: the builder is free to take 16 bits, so that the index chain is pinned.
        ("int8+fp16", "flag", "obey", {"INT8", "FP16", OBEY}, ["to_bin", "cast"]),
        ("int8+fp16", "flag", "prefer", {"INT8", "FP16", PREFER}, ["to_bin", "cast"]),
        ("int8+fp16", "flag", "none", {"INT8", "FP16"}, []),
        ("int8+fp16", "graph", "none", {"INT8", "FP16"}, []),
        ("fp16", "flag", "obey", {"FP16", OBEY}, ["to_bin", "cast"]),
        ("fp16", "flag", "none", {"FP16"}, []),
    ],
)
def test_flags_and_pins_are_those_of_the_route(
    build: Callable[..., tuple[Config, Network]],
    quantized: Path,
    precision: str,
    fp16: str,
    constraints: str,
    flags: set[str],
    pinned: list[str],
) -> None:
    config, network = build(quantized, precision, fp16=fp16, constraints=constraints)

    # The Q/DQ nodes set the INT8 flag only where a recipe has it.
    assert config.flags == flags
    assert _pinned(network) == pinned
    assert "norm" not in _pinned(network), "beside Q/DQ it makes 8.5 fail"


def test_a_graph_in_fp16_has_all_of_its_fp32_pinned_but_not_beside_quantized_products(
    build: Callable[..., tuple[Config, Network]], quantized: Path
) -> None:
    # As such a graph is written, with the types of its tensors.
    onnx.save(onnx.shape_inference.infer_shapes(onnx.load(quantized)), quantized)

    _, network = build(quantized, "fp16")
    config, beside = build(quantized, "int8+fp16")

    assert {"norm", "to_bin"} <= set(_pinned(network))
    assert not {"quantize", "dequantize"} & set(_pinned(network))
    assert _pinned(beside) == ["to_bin", "cast"]
    assert OBEY in config.flags


@pytest.mark.parametrize("flags", [("DIRECT_IO",), ("FP16", "REJECT_EMPTY_ALGORITHMS")])
def test_flags_by_name_are_set_beside_those_of_the_route(
    build: Callable[..., tuple[Config, Network]], quantized: Path, flags: tuple[str, ...]
) -> None:
    config, _ = build(quantized, "int8", builder_flags=flags)

    assert config.flags == {"INT8", *flags}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (None, [PREVIEW]),
        ((), []),
        (("DISABLE_EXTERNAL_TACTIC_SOURCES_FOR_CORE_0805",),) * 2,
        ((PREVIEW, "DISABLE_EXTERNAL_TACTIC_SOURCES_FOR_CORE_0805"),) * 2,
    ],
)
def test_features_in_preview(
    build: Callable[..., tuple[Config, Network]],
    quantized: Path,
    asked: tuple[str, ...] | None,
    found: Any,
) -> None:
    config, _ = build(quantized, "int8", preview_features=asked)

    assert config.previews == list(found)


def test_a_feature_that_the_version_has_not(
    build: Callable[..., tuple[Config, Network]], quantized: Path
) -> None:
    with pytest.raises(FeatureUnavailableError, match="has no PreviewFeature called 'FASTER'"):
        build(quantized, "int8", preview_features=("FASTER",))


def test_sources_of_tactics_and_tf32(
    build: Callable[..., tuple[Config, Network]], quantized: Path
) -> None:
    config, _ = build(quantized, "int8", tactic_sources=("CUBLAS", "CUBLAS_LT"), tf32=True)

    assert config.sources == 3
    assert config.flags == {"INT8", "TF32"}


@pytest.mark.parametrize("constraints", ["obey", "prefer"])
@pytest.mark.parametrize(
    ("patterns", "pinned"),
    [
        (("net:/post/conv",), ["/post/conv"]),
        (("net:*conv",), ["/resblock.0/conv", "/post/conv"]),
        (("net:/res*", "net:/post/*"), ["/resblock.0/conv", "/post/conv"]),
        (("other:*",), []),
    ],
)
def test_nodes_are_pinned_by_name(
    build: Callable[..., tuple[Config, Network]],
    plain: Path,
    patterns: tuple[str, ...],
    pinned: list[str],
    constraints: str,
) -> None:
    config, network = build(
        plain, "fp16", fp16="flag", fp32_nodes=patterns, constraints=constraints
    )

    flag = {OBEY if constraints == "obey" else PREFER} if pinned else set[str]()
    assert config.flags == {"FP16"} | flag
    assert _pinned(network) == pinned
    outputs = {0: network.layers[0].precision} if "/resblock.0/conv" in pinned else {}
    assert network.layers[0].output_types == outputs


def test_a_pattern_that_fits_no_node_is_told_with_names_that_there_are(
    build: Callable[..., tuple[Config, Network]], plain: Path
) -> None:
    world = World()
    with pytest.raises(OptionError, match="no node of net is called '/psot/") as caught:
        build(plain, "fp16", fp16="flag", fp32_nodes=("net:/psot/*",), world=world)

    assert "/resblock.0/conv" in caught.value.fix


def test_an_operator_that_nothing_replaces_is_named_from_inside_a_branch(
    build: Callable[..., tuple[Config, Network]], tmp_path: Path, save_graph: Callable[..., None]
) -> None:
    """On one builder: a second one for the question takes seconds in 8.5."""

    def branch(op_type: str) -> Any:
        output = helper.make_tensor_value_info(f"{op_type}_out", TensorProto.FLOAT, None)
        node = helper.make_node(op_type, ["x"], [f"{op_type}_out"])
        return helper.make_graph([node], op_type, [], [output])

    path, world = tmp_path / "branch.onnx", World(unknown=("Det",))
    save_graph(
        path,
        [
            helper.make_node(
                "If", ["f"], ["y"], then_branch=branch("Det"), else_branch=branch("Abs")
            )
        ],
        {"f": (TensorProto.BOOL, []), "x": (TensorProto.FLOAT, ["b", 1, "t"])},
        {"y": (TensorProto.FLOAT, None)},
    )

    with pytest.raises(ContractError, match="Det"):
        build(path, "fp32", world=world)

    assert world.builders == 1
