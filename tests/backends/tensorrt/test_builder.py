"""What the builder is told, on TensorRT-RTX's own builder, and what it leaves behind."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.backends.gpu import has_gpu
from harness.backends.tensorrt import builder
from harness.backends.tensorrt.builder import build_engine
from harness.backends.tensorrt.header import read_header
from harness.backends.tensorrt.network import ParsedNetwork
from harness.backends.tensorrt.options import Recipe, TensorRTOptions
from harness.errors import EngineError, FeatureUnavailableError
from harness.pipeline.fingerprint import hash_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.backends.tensorrt.library import Library
    from tests.backends.tensorrt.conftest import Request

PROFILE = {"x": [[1, 1, 5], [1, 1, 8], [2, 1, 16]]}


@pytest.fixture
def build(
    make_request: Callable[..., Request], conv: Path, builds: list[Any]
) -> Callable[..., Any]:
    """Build with options; gives the configuration that the builder was called with."""

    def call(**options: Any) -> Any:
        build_engine(make_request(conv, PROFILE, options=TensorRTOptions(**options)))
        return builds[-1]

    return call


def test_what_is_told_of_an_engine(
    make_request: Callable[..., Request], conv: Path, rtx: Library
) -> None:
    request = make_request(conv, PROFILE)

    facts = build_engine(request)

    engine = Path(request["folder"]) / "net.engine"
    assert read_header(engine).library == "tensorrt-rtx"
    assert json.loads(json.dumps(facts)), "it goes through a pipe"
    assert facts["size_bytes"] == engine.stat().st_size
    assert 0 < facts["build_s"] < 60
    assert (facts["library"], facts["version"]) == (rtx.name, rtx.version)
    assert facts["inputs"] == {"x": ["float32", [-1, 1, -1]]}
    assert facts["outputs"] == {"y": ["float32", [-1, 2, -1]]}
    assert facts["profile"] == {"x": {"min": (1, 1, 5), "opt": (1, 1, 8), "max": (2, 1, 16)}}
    assert facts["recipe"]["strong"]
    assert facts["options"]["tf32"] is False
    assert facts["timing_cache_hash"] is None, "RTX keeps no timings"
    assert facts["calibration_batches"] is None


@pytest.mark.skipif(has_gpu(), reason="where it can be opened it can be looked into")
def test_without_a_gpu_nobody_can_look_into_an_engine(
    make_request: Callable[..., Request], conv: Path, rtx: Library
) -> None:
    request = make_request(conv, PROFILE)

    layers = build_engine(request)["layers"]

    assert list(layers) == ["problem"]
    assert f"{rtx} cannot open it: " in layers["problem"]
    assert not (Path(request["folder"]) / "layers.json").exists()


def test_the_profile_and_the_verbosity_reach_the_builder(
    build: Callable[..., Any], rtx: Library
) -> None:
    config = build()

    assert config.num_optimization_profiles == 1
    assert config.profiling_verbosity == rtx.module.ProfilingVerbosity.DETAILED


@pytest.mark.parametrize("is_wanted", [False, True])
def test_tf32_is_off_unless_it_is_asked_for(
    build: Callable[..., Any], rtx: Library, is_wanted: bool
) -> None:
    """TensorRT has it on by default, and fp32 would be something else."""
    config = build(tf32=is_wanted)

    assert config.get_flag(rtx.module.BuilderFlag.TF32) is is_wanted


@pytest.mark.parametrize("level", [0, 3, 5])
def test_the_level_of_optimization(build: Callable[..., Any], level: int) -> None:
    assert build(optimization_level=level).builder_optimization_level == level


def test_a_version_without_levels_says_so(
    make_request: Callable[..., Request], rtx: Library
) -> None:
    request = {"component": "net", "folder": "folder"}
    options = TensorRTOptions(optimization_level=2)
    made = builder._Build(rtx, Recipe("fp32", "", "fp32"), options, {}, request)

    with pytest.raises(FeatureUnavailableError, match="has no optimization levels") as caught:
        made._set_level(SimpleNamespace())

    assert caught.value.where == "--optimization-level"
    assert "ENABLE_TACTIC_HEURISTIC" in caught.value.fix


def test_the_workspace(build: Callable[..., Any], rtx: Library) -> None:
    config = build(workspace_bytes=1 << 28)

    assert config.get_memory_pool_limit(rtx.module.MemoryPoolType.WORKSPACE) == 1 << 28


@pytest.mark.parametrize(
    ("names", "mask"),
    [
        (("JIT_CONVOLUTIONS",), 2),
        (("EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS"), 3),
        # Once is enough.
        (("JIT_CONVOLUTIONS", "JIT_CONVOLUTIONS"), 2),
    ],
)
def test_sources_of_tactics(build: Callable[..., Any], names: tuple[str, ...], mask: int) -> None:
    assert build(tactic_sources=names).get_tactic_sources() == mask


def test_a_flag_by_its_name(build: Callable[..., Any], rtx: Library) -> None:
    config = build(builder_flags=("STRICT_NANS", "TF32"))

    assert config.get_flag(rtx.module.BuilderFlag.STRICT_NANS)
    assert config.get_flag(rtx.module.BuilderFlag.TF32)
    assert not config.get_flag(rtx.module.BuilderFlag.REFIT)


@pytest.mark.parametrize(
    ("options", "kind", "known"),
    [
        ({"builder_flags": ("FP16",)}, "BuilderFlag", "SPARSE_WEIGHTS"),
        ({"builder_flags": ("strict_nans",)}, "BuilderFlag", "STRICT_NANS"),
        ({"tactic_sources": ("CUBLAS",)}, "TacticSource", "JIT_CONVOLUTIONS"),
    ],
)
def test_a_name_that_the_version_has_not(
    build: Callable[..., Any],
    builds: list[Any],
    options: dict[str, tuple[str, ...]],
    kind: str,
    known: str,
) -> None:
    with pytest.raises(FeatureUnavailableError, match=f"has no {kind} called") as caught:
        build(**options)

    assert known in caught.value.fix
    assert builds == []


def test_progress_is_told_in_a_file(
    make_request: Callable[..., Request], conv: Path, tmp_path: Path, rtx: Library
) -> None:
    assert rtx.has("IProgressMonitor")
    progress = tmp_path / "progress"

    build_engine(make_request(conv, PROFILE, progress=str(progress)))

    assert 0 < float(progress.read_text()) <= 1


def test_a_plan_that_was_not_built_is_an_error(
    make_request: Callable[..., Request],
    conv: Path,
    rtx: Library,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rtx.module.Builder, "build_serialized_network", lambda *_: None)
    request = make_request(conv, PROFILE)

    with pytest.raises(EngineError, match="cannot build it: without a reason") as caught:
        build_engine(request)

    assert caught.value.where == "net"
    assert list(Path(request["folder"]).iterdir()) == []


class Cache:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.found = b" and more"

    def combine(self, other: Cache, ignore_mismatch: bool) -> bool:
        assert isinstance(other, Cache), "TensorRT takes nothing else"
        assert not ignore_mismatch
        if other.content == b"foreign":
            return False
        if other.content != self.content:
            self.found += b", " + other.content
        return True

    def serialize(self) -> memoryview:
        return memoryview(self.content + self.found)


class Config:
    """With timings as TensorRT keeps them: those of another machine are not taken."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def create_timing_cache(self, content: bytes) -> Cache | None:
        return None if content == b"damaged" else Cache(content)

    def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if cache.content == b"foreign":
            return False
        self.taken.append(cache.content)
        return True


def _build_beside(folder: Path, known: bytes | None, other: bytes | None) -> tuple[Config, Any]:
    """What a build takes and keeps where ``known`` lies before it, and ``other`` after it."""
    file = folder / "timing"
    if known is not None:
        file.write_bytes(known)
    request = {
        "component": "net",
        "folder": str(folder),
        "scratch": str(folder),
        "timing_cache": str(file),
    }
    library: Any = SimpleNamespace(has_timing_cache=True)
    made = builder._Build(library, Recipe("fp32", "", "fp32"), TensorRTOptions(), {}, request)
    made._config = config = Config()
    cache = made._timing_cache(config)
    if other is not None:
        file.write_bytes(other)
    return config, made._keep_timing(cache)


@pytest.mark.parametrize(
    ("known", "taken"),
    [(None, b""), (b"known", b"known"), (b"foreign", b""), (b"damaged", b"")],
)
def test_timings_of_former_builds_are_taken_and_kept(
    tmp_path: Path, known: bytes | None, taken: bytes
) -> None:
    config, digest = _build_beside(tmp_path, known, None)

    assert config.taken == [taken]
    assert (tmp_path / "timing.cache").read_bytes() == taken + b" and more"
    assert digest is not None
    assert len(digest) == 40


@pytest.mark.parametrize("known", [None, b"known", b"damaged"])
@pytest.mark.parametrize(
    ("other", "added"),
    [(b"other", b", other"), (b"foreign", b""), (b"damaged", b"")],
)
def test_timings_of_a_build_that_went_on_beside_this_one_are_kept_as_well(
    tmp_path: Path, known: bytes | None, other: bytes, added: bytes
) -> None:
    config, digest = _build_beside(tmp_path, known, other)

    (taken,) = config.taken
    assert taken == (b"known" if known == b"known" else b"")
    kept = (tmp_path / "timing.cache").read_bytes()
    assert kept == taken + b" and more" + added
    assert digest == hash_bytes(kept)


class DataType(Enum):
    FLOAT = 0
    HALF = 1
    INT32 = 2
    BOOL = 3


def _layer(name: str, inputs: list[DataType | None], outputs: list[DataType]) -> Any:
    layer = SimpleNamespace(name=name, num_inputs=len(inputs), num_outputs=len(outputs), set={})
    layer.get_input = lambda i: None if inputs[i] is None else SimpleNamespace(dtype=inputs[i])
    layer.get_output = lambda i: SimpleNamespace(dtype=outputs[i])
    layer.set_output_type = layer.set.__setitem__
    layer.precision = None
    return layer


def test_layers_that_must_stay_in_fp32_are_told_to() -> None:
    layers = [
        _layer("/index/Div", [DataType.FLOAT, DataType.HALF, None], [DataType.FLOAT]),
        _layer("/index/Cast", [DataType.FLOAT], [DataType.INT32]),
        _layer("/index/Add", [DataType.INT32], [DataType.INT32]),
        _layer("/conv", [DataType.FLOAT], [DataType.FLOAT]),
    ]
    parsed = object.__new__(ParsedNetwork)
    parsed.library = SimpleNamespace(module=SimpleNamespace(DataType=DataType))  # type: ignore[assignment]
    parsed.network = SimpleNamespace(num_layers=len(layers), get_layer=layers.__getitem__)

    pinned = parsed.pin_fp32(["/index/Div", "/index/Cast", "/index/Add", "/elsewhere"])

    assert pinned == 2
    assert [layer.precision for layer in layers] == [DataType.FLOAT, DataType.FLOAT, None, None]
    assert [layer.set for layer in layers] == [{0: DataType.FLOAT}, {}, {}, {}]


def test_operators_that_the_parser_has_not_are_named(
    rtx: Library, conv: Path, tmp_path: Path, save_graph: Callable[..., None]
) -> None:
    from onnx import TensorProto, helper  # noqa: PLC0415

    odd = tmp_path / "odd.onnx"
    save_graph(
        odd,
        [helper.make_node("Unique", ["x"], ["y"])],
        {"x": (TensorProto.FLOAT, ["t"])},
        {"y": (TensorProto.FLOAT, ["u"])},
    )

    parsed = ParsedNetwork(rtx, strong=True)

    assert parsed.unsupported_operators(conv) == ()
    assert parsed.unsupported_operators(odd) == ("Unique",)


def test_operators_in_branches_and_loops_are_named_too(
    rtx: Library, tmp_path: Path, save_graph: Callable[..., None]
) -> None:
    from onnx import TensorProto, helper  # noqa: PLC0415

    def branch(name: str, *nodes: Any) -> Any:
        output = helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)
        return helper.make_graph(nodes, name, [], [output])

    inner = helper.make_node(
        "If",
        ["flag"],
        ["then_out"],
        then_branch=branch("deep", helper.make_node("Unique", ["x"], ["deep_out"])),
        else_branch=branch("flat", helper.make_node("Abs", ["x"], ["flat_out"])),
    )
    outer = helper.make_node(
        "If",
        ["flag"],
        ["y"],
        then_branch=branch("then", inner),
        else_branch=branch("else", helper.make_node("Det", ["x"], ["else_out"])),
    )
    path = tmp_path / "branches.onnx"
    save_graph(
        path,
        [outer],
        {"flag": (TensorProto.BOOL, []), "x": (TensorProto.FLOAT, ["t"])},
        {"y": (TensorProto.FLOAT, None)},
    )

    assert ParsedNetwork(rtx, strong=True).unsupported_operators(path) == ("Det", "Unique")


def test_one_builder_serves_the_whole_build(
    make_request: Callable[..., Request], conv: Path, rtx: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    def spy(logger: Any) -> Any:
        made.append(builder_class(logger))
        return made[-1]

    builder_class = rtx.module.Builder
    monkeypatch.setattr(rtx.module, "Builder", spy)
    monkeypatch.setattr(builder, "find_library", lambda *_, **__: rtx)

    build_engine(make_request(conv, PROFILE))

    assert len(made) == 1


def test_an_operator_that_the_parser_has_not_is_written_out(
    make_request: Callable[..., Request],
    tmp_path: Path,
    save_graph: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from onnx import TensorProto, helper  # noqa: PLC0415

    path = tmp_path / "mish.onnx"
    save_graph(
        path,
        [helper.make_node("Mish", ["x"], ["y"])],
        {"x": (TensorProto.FLOAT, ["t"])},
        {"y": (TensorProto.FLOAT, ["t"])},
    )
    monkeypatch.setattr(ParsedNetwork, "unsupported_operators", lambda *_: ("Mish",))

    facts = build_engine(make_request(path, {"x": [[1], [2], [3]]}))

    assert facts["inlined"] == ["Mish"]


def test_a_recipe_comes_back_as_it_was_asked_for(
    make_request: Callable[..., Request], conv: Path
) -> None:
    recipe = Recipe("fp16", "graph", "fp16", strong=True)

    facts = build_engine(make_request(conv, PROFILE, recipe=asdict(recipe)))

    assert facts["recipe"] == asdict(recipe)
