"""Kernels that sum in fp16 are barred, on a fake of TensorRT 8.5's builder."""

from __future__ import annotations

import json
from dataclasses import asdict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from harness.backends.tensorrt import builder, selector
from harness.backends.tensorrt.options import Recipe, TensorRTOptions
from harness.backends.tensorrt.selector import Selection
from harness.backends.tensorrt.tactics import TacticNames, fp16_sums, sums_in_fp16
from harness.errors import EngineError, InputDataError
from tests.backends.tensorrt.builder_fakes import (
    HALF_SUMS,
    SINGLE,
    SINGLE_SUMS,
    TF32,
    World,
    make_builder_library,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BARRED = Recipe("fp16", "flag+fp32-sums", "fp32", fp16=True, accumulation="fp32")
PLAIN = Recipe("fp16", "flag", "fp32", fp16=True)


@pytest.mark.parametrize(
    "kernel",
    [
        HALF_SUMS,
        "sm80_xmma_gemm_f16f16_f16f16_f16_nn_n_tilesize64x64x32",
        "sm90_xmma_deconv_implicit_gemm_indexed_f16f16_f16f16_f16_nhwckrsc_nhwc",
        "sm80_xmma_fprop_direct_group_f16f16_f16f16_f32_nhwckrsc_nhwc_warpsize1x4x1",
        "sm50_xmma_fprop_conv2d_c1_k1_f16f16_f16_f16_nchwkcrs_nchw",
        "ampere_h16816cudnn_128x64_sliced1x2_ldg8_relu_exp_stages_64x3_small_nhwc_tn_v1",
        "turing_h1688gemm_128x64_ldg8_tn_v1",
        "trt_volta_h884gemm_64x64_ldg8_nn_v1",
        "volta_fp16x2_hcudnn_fp16x2_128x64_relu_xregs_large_nn_v1",
    ],
)
def test_a_kernel_that_sums_in_fp16(kernel: str) -> None:
    assert sums_in_fp16(kernel)


@pytest.mark.parametrize(
    "kernel",
    [
        "",
        SINGLE,
        SINGLE_SUMS,
        TF32,
        "sm80_xmma_gemm_f16f16_f32f32_f32_nn_n_tilesize64x64x32",
        "ampere_fp16_s16816gemm_fp16_128x64_ldg8_f2f_stages_64x3_nn_v1",
        "volta_s884cudnn_fp16_128x128_ldg8_relu_exp_interior_nhwc_tn_v1",
        "sm80_xmma_fprop_implicit_gemm_interleaved_i8f16_i8i32_f32_nchw_vect_c_32kcrs_vect_c_32",
        "turing_fp16_i8816cudnn_int8_128x128_ldg16_relu_small_nt_v1",
        "sm80_xmma_fprop_image_first_layer_f16f16_f32_f16_nhwckrsc_nhwc_hmma_k16c4r3s3_stride2",
        "sm80_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x32",
        "myelin_generated_kernel_7",
    ],
)
def test_a_kernel_that_does_not_or_does_not_say(kernel: str) -> None:
    assert not sums_in_fp16(kernel)


def test_names_are_read_off_the_log_as_several_versions_write_it() -> None:
    names = TacticNames()
    names.read_log(f"Tactic Name: {HALF_SUMS} Tactic: 0xc000000000000007 Time: 0.0061")
    names.read_log(f"Conv_0 + Relu_1 Set Tactic Name: {HALF_SUMS} Tactic: -9018593586369639207")
    names.read_log(
        f"MatMul_3 Set Tactic Name: {SINGLE_SUMS} Tactic: 132 numSplitK: 1 numBuffers: 0"
    )
    names.read_log("Tactic: 0x0000000000000009 Time: 0.1")
    names.read_log("Fastest Tactic: 0xc000000000000007 Time: 0.0061")

    assert len(names) == 3
    assert names.are_fp16_sums(-(1 << 62) + 7), "the binding gives signed numbers"
    assert names.are_fp16_sums(-9018593586369639207)
    assert not names.are_fp16_sums(132)
    assert not names.are_fp16_sums(9)


def test_a_number_that_stands_for_several_kernels_is_barred_if_all_are() -> None:
    names = TacticNames()
    names.add(5, HALF_SUMS)
    assert names.are_fp16_sums(5)
    names.add(5, SINGLE)
    assert not names.are_fp16_sums(5)


def test_what_is_known_is_kept_and_read_back() -> None:
    names, again = TacticNames(), TacticNames()
    names.add(-1, HALF_SUMS)
    again.add(7, SINGLE)

    again.merge(names.dump())

    assert json.loads(again.dump()) == {
        "0x0000000000000007": [SINGLE],
        "0xffffffffffffffff": [HALF_SUMS],
    }


@pytest.mark.parametrize("text", ["", "half {", "[1]", '{"x": ["name"]}', '{"0x1": 3}', "null"])
def test_what_is_damaged_teaches_nothing(text: str) -> None:
    names = TacticNames()
    names.merge(text)

    assert len(names) == 0


def test_layers_that_sum_in_fp16_are_named() -> None:
    layers = [{"Name": "conv", "TacticName": HALF_SUMS}, {"Name": "other"}, "a name alone"]

    assert fp16_sums(layers) == {"conv": HALF_SUMS}


def test_all_is_left_where_nothing_would_be() -> None:
    names = TacticNames()
    names.add(1, HALF_SUMS)
    names.add(2, SINGLE)
    selection = Selection(names)

    assert selection.choose("both", [1, 2, 3]) == [1, 2], "an unknown one may be all there is"
    assert selection.choose("one", [1, 1]) == [0, 1]
    selection.report("both", 1)
    selection.report("one", 1)
    assert selection.missed() == ["both"]
    assert selection.without_choice() == ["one"]


@pytest.fixture
def two(tmp_path: Path, save_graph: Callable[..., None]) -> Path:
    """Two products, one after the other."""
    path = tmp_path / "two.onnx"
    save_graph(
        path,
        [
            helper.make_node("Conv", ["x", "kernel"], ["h"], name="first"),
            helper.make_node("Conv", ["h", "second"], ["y"], name="second"),
        ],
        {"x": (TensorProto.FLOAT, ["b", 1, "t"])},
        {"y": (TensorProto.FLOAT, ["b", 2, "u"])},
        kernel=np.ones((2, 1, 5), np.float32),
        second=np.ones((2, 2, 1), np.float32),
    )
    return path


@pytest.fixture
def build(
    own_library: None, two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    def call(world: World, recipe: Recipe = BARRED, **options: Any) -> dict[str, Any]:
        library = make_builder_library(world)
        monkeypatch.setattr(builder, "find_library", lambda *_, **__: library)
        for name in ("folder", "scratch"):
            (tmp_path / name).mkdir(exist_ok=True)
        return builder.build_engine(
            {
                "library": "tensorrt",
                "component": "net",
                "graph": str(two),
                "folder": str(tmp_path / "folder"),
                "scratch": str(tmp_path / "scratch"),
                "recipe": asdict(recipe),
                "options": asdict(TensorRTOptions(**options)),
                "profile": {"x": [[1, 1, 5], [1, 1, 8], [2, 1, 16]]},
                "timing_cache": str(tmp_path / "timing"),
                "tactic_names": str(tmp_path / "tactics"),
            }
        )

    return call


def _kernels(tmp_path: Path) -> list[str]:
    layers = json.loads((tmp_path / "folder" / "layers.json").read_text())["Layers"]
    return [layer["TacticName"] for layer in layers]


def test_without_the_option_the_fastest_is_taken_and_named(
    build: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    world = World()
    facts = build(world, PLAIN)

    assert _kernels(tmp_path) == [HALF_SUMS, HALF_SUMS]
    assert facts["layers"]["fp16_sums"] == 2
    assert facts["fp16_sums"] == {"first": HALF_SUMS, "second": HALF_SUMS}
    assert facts["selection"] is None
    (config,) = world.configs
    assert config.algorithm_selector is None
    assert config.timing == b""
    assert facts["timing_cache_hash"]


@pytest.mark.parametrize(
    ("names_first", "silent", "rounds"),
    [
        # Timed, and so named, before they are chosen among: once is enough.
        (True, False, 1),
        (False, False, 2),
        # The inspector tells of what was chosen.
        (False, True, 2),
    ],
)
def test_kernels_that_sum_in_fp16_are_not_taken(
    build: Callable[..., dict[str, Any]],
    tmp_path: Path,
    names_first: bool,
    silent: bool,
    rounds: int,
) -> None:
    world = World(names_first=names_first, silent=silent, single_sums=("second",))
    facts = build(world)

    assert _kernels(tmp_path) == [SINGLE, SINGLE_SUMS]
    assert facts["layers"]["fp16_sums"] == 0
    assert facts["fp16_sums"] == {}
    selection = facts["selection"]
    assert selection["rounds"] == len(world.configs) == rounds
    assert selection["layers_asked"] == 2
    assert (selection["missed"], selection["without_choice"]) == ([], [])
    assert world.builders == 1
    assert facts["recipe"]["accumulation"] == "fp32"


def test_a_layer_that_has_nothing_else_keeps_its_kernel_and_is_named(
    build: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    world = World(only_half=("first",))
    facts = build(world)

    assert _kernels(tmp_path) == [HALF_SUMS, SINGLE]
    assert facts["fp16_sums"] == {"first": HALF_SUMS}
    assert facts["selection"]["without_choice"] == ["first"]
    assert facts["selection"]["missed"] == []
    assert len(world.configs) == 1, "another round would find nothing else"


def test_what_was_learnt_saves_the_next_build_a_round(
    build: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    build(World(), PLAIN)

    facts = build(World())

    assert _kernels(tmp_path) == [SINGLE, SINGLE]
    assert facts["selection"]["rounds"] == 1


def test_a_build_that_fails_teaches_names_all_the_same(
    build: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another build has learnt meanwhile stays."""
    (tmp_path / "tactics").write_text('{"0x0000000000000007": ["other"]}')
    monkeypatch.setattr(builder._Build, "_check_built", lambda *_: _fail())

    with pytest.raises(EngineError):
        build(World(), PLAIN)

    kept = json.loads((tmp_path / "tactics").read_text())
    assert ["other"] in kept.values()
    assert [HALF_SUMS] in kept.values()


def _fail() -> None:
    raise EngineError("no engine", fix="none")


def test_no_timing_cache_is_used_or_kept_where_kernels_are_barred(
    build: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "timing").write_bytes(b"known")
    world = World()
    facts = build(world)

    assert all("DISABLE_TIMING_CACHE" in config.flags for config in world.configs)
    assert all(config.timing is None for config in world.configs)
    assert facts["timing_cache_hash"] is None
    assert not (tmp_path / "scratch" / "timing.cache").exists()


@pytest.mark.parametrize(
    ("accumulation", "kernel", "flagged"), [("fp32", SINGLE, False), ("tf32", TF32, True)]
)
def test_what_is_left_computes_in_what_was_asked_for(
    build: Callable[..., dict[str, Any]],
    tmp_path: Path,
    accumulation: str,
    kernel: str,
    flagged: bool,
) -> None:
    world = World()
    build(world, Recipe("fp16", "flag", "fp32", fp16=True, accumulation=accumulation))

    assert _kernels(tmp_path) == [kernel, kernel]
    assert all(("TF32" in config.flags) is flagged for config in world.configs)


@pytest.mark.parametrize(
    ("error", "kind", "match"),
    [
        (ValueError("odd"), EngineError, "the algorithm selector failed: ValueError: odd"),
        (InputDataError("ours", fix="mend it"), InputDataError, "ours"),
        (KeyboardInterrupt(), EngineError, "the algorithm selector failed: KeyboardInterrupt"),
    ],
)
@pytest.mark.parametrize("method", ["choose", "report"])
def test_an_error_in_the_selector_is_raised_after_the_build(
    build: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    error: BaseException,
    kind: type[Exception],
    match: str,
) -> None:
    """TensorRT would print it, and end without a word of it."""

    def fail(self: Selection, *_: Any) -> None:
        raise error

    monkeypatch.setattr(selector.Selection, method, fail)

    with pytest.raises(kind, match=match):
        build(World())


def test_a_choice_that_is_no_number_is_an_error_and_leaves_all() -> None:
    base = SimpleNamespace(IAlgorithmSelector=object)
    selection = Selection(TacticNames())
    made = selector.make_selector(SimpleNamespace(module=base), selection)  # type: ignore[arg-type]

    assert made.select_algorithms(SimpleNamespace(name="net"), [SimpleNamespace(), 2]) == [0, 1]
    assert isinstance(selection.error, AttributeError)
