"""How a version is brought to a precision, and what no version takes."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from harness.backends.tensorrt import library as libraries
from harness.backends.tensorrt.library import TENSORRT, Library
from harness.backends.tensorrt.options import (
    Recipe,
    TensorRTChoice,
    TensorRTOptions,
    make_recipe,
    make_recipes,
)
from harness.errors import FeatureUnavailableError, OptionError


@pytest.fixture(autouse=True)
def own_loggers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "_loggers", {})


def _library(version: str, flags: dict[str, int], **members: Any) -> Library:
    module = ModuleType(f"fake_{version}")
    module.__version__ = version  # type: ignore[attr-defined]
    module.ILogger = object  # type: ignore[attr-defined]
    module.NetworkDefinitionCreationFlag = SimpleNamespace(**flags)  # type: ignore[attr-defined]
    for name, value in members.items():
        setattr(module, name, value)
    return Library(TENSORRT, module)


WEAK = {"BuilderFlag": SimpleNamespace(FP16=0, INT8=1), "IInt8EntropyCalibrator2": object}


@pytest.fixture
def old() -> Library:
    """8.5: weakly typed only."""
    return _library("8.5.3.1", {"EXPLICIT_BATCH": 0}, **WEAK)


@pytest.fixture
def both() -> Library:
    """10: weakly typed by default, strongly where it is asked for."""
    return _library("10.13.3.9", {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}, **WEAK)


PRECISIONS = ["fp32", "fp16", "int8", "int8+fp16"]
BOTH_ROUTES = TensorRTChoice(fp16_routes=("graph", "flag"), int8_routes=("qdq", "calibrator"))


def test_rtx_takes_types_from_the_graph(rtx: Library) -> None:
    assert make_recipes(rtx, PRECISIONS, TensorRTChoice()) == (
        Recipe("fp32", "", "fp32", strong=True),
        Recipe("fp16", "graph", "fp16", strong=True),
        Recipe("int8", "qdq", "int8", strong=True),
        Recipe("int8+fp16", "qdq", "int8+fp16", strong=True),
    )


def test_8_5_needs_the_flags_as_well_since_it_has_no_strong_types(old: Library) -> None:
    assert make_recipes(old, PRECISIONS, TensorRTChoice()) == (
        Recipe("fp32", "", "fp32"),
        Recipe("fp16", "graph", "fp16", fp16=True),
        Recipe("int8", "qdq", "int8", int8=True),
        Recipe("int8+fp16", "qdq", "int8+fp16", fp16=True, int8=True),
    )


def test_10_takes_types_from_the_graph_where_it_may(both: Library) -> None:
    assert make_recipes(both, PRECISIONS, TensorRTChoice()) == (
        Recipe("fp32", "", "fp32", strong=True),
        Recipe("fp16", "graph", "fp16", strong=True),
        Recipe("int8", "qdq", "int8", strong=True),
        Recipe("int8+fp16", "qdq", "int8+fp16", strong=True),
    )


def test_every_route_is_taken_once(both: Library) -> None:
    calibrated = Recipe("int8", "calibrator", "fp32", int8=True, calibrator=True)
    mixed = Recipe("int8+fp16", "calibrator", "fp32", fp16=True, int8=True, calibrator=True)

    assert make_recipes(both, PRECISIONS, BOTH_ROUTES) == (
        Recipe("fp32", "", "fp32", strong=True),
        Recipe("fp16", "graph", "fp16", strong=True),
        Recipe("fp16", "flag", "fp32", fp16=True),
        Recipe("int8", "qdq", "int8", strong=True),
        calibrated,
        Recipe("int8+fp16", "qdq", "int8+fp16", strong=True),
        Recipe("int8+fp16", "qdq+flag", "int8", fp16=True, int8=True),
        mixed,
    )


def test_flags_and_strong_types_exclude_each_other(old: Library, both: Library) -> None:
    for library in (old, both):
        for recipe in make_recipes(library, PRECISIONS, BOTH_ROUTES):
            assert not (recipe.strong and (recipe.fp16 or recipe.int8 or recipe.calibrator))
            assert not (recipe.calibrator and recipe.graph_precision != "fp32")


def test_two_recipes_of_a_precision_have_two_routes(old: Library, both: Library) -> None:
    for library in (old, both):
        recipes = make_recipes(library, PRECISIONS, BOTH_ROUTES)
        assert len({(r.precision, r.route) for r in recipes}) == len(recipes)


@pytest.mark.parametrize(
    ("fp16", "int8", "where", "fix"),
    [
        ("flag", "qdq", "--fp16 flag", "use --fp16 graph"),
        ("graph", "calibrator", "--int8 calibrator", "use --int8 qdq"),
    ],
)
def test_rtx_has_neither_flags_nor_calibrators(
    rtx: Library, fp16: str, int8: str, where: str, fix: str
) -> None:
    for precision in PRECISIONS:
        with pytest.raises(FeatureUnavailableError) as caught:
            make_recipe(rtx, precision, fp16, int8)

        assert caught.value.where == where
        assert caught.value.fix == fix
        assert str(rtx) in caught.value.what


@pytest.mark.parametrize(("fp16", "int8"), [("grahp", "qdq"), ("graph", "qqd")])
def test_a_route_that_there_is_not(both: Library, fp16: str, int8: str) -> None:
    with pytest.raises(OptionError, match=r"there is no route 'grahp'|there is no route 'qqd'"):
        make_recipe(both, "fp16", fp16, int8)


def test_a_precision_that_is_onnx_runtimes_own(both: Library) -> None:
    with pytest.raises(OptionError, match="builds no int8-ort") as caught:
        make_recipes(both, ["int8-ort"], TensorRTChoice())

    assert caught.value.fix == "use int8, or --backend onnxruntime"


SELECTING = {**WEAK, "IAlgorithmSelector": object}


@pytest.fixture
def selecting() -> Library:
    """8.5 with its algorithm selector."""
    return _library("8.5.3.1", {"EXPLICIT_BATCH": 0}, **SELECTING)


def test_sums_are_barred_where_there_are_products_in_fp16(selecting: Library) -> None:
    choice = TensorRTChoice(fp16_routes=("flag",), accumulations=("any", "fp32", "tf32"))

    assert make_recipes(selecting, PRECISIONS, choice) == (
        Recipe("fp32", "", "fp32"),
        Recipe("fp16", "flag", "fp32", fp16=True),
        Recipe("fp16", "flag+fp32-sums", "fp32", fp16=True, accumulation="fp32"),
        Recipe("fp16", "flag+tf32-sums", "fp32", fp16=True, accumulation="tf32"),
        Recipe("int8", "qdq", "int8", int8=True),
        Recipe("int8+fp16", "qdq+flag", "int8", fp16=True, int8=True),
        Recipe(
            "int8+fp16", "qdq+flag+fp32-sums", "int8", fp16=True, int8=True, accumulation="fp32"
        ),
        Recipe(
            "int8+fp16", "qdq+flag+tf32-sums", "int8", fp16=True, int8=True, accumulation="tf32"
        ),
    )


@pytest.mark.parametrize("accumulation", ["fp32", "tf32"])
@pytest.mark.parametrize("precisions", [["fp16"], ["fp32"]])
def test_a_version_without_a_selector_says_so(
    rtx: Library, accumulation: str, precisions: list[str]
) -> None:
    with pytest.raises(FeatureUnavailableError, match="has no algorithm selectors") as caught:
        make_recipes(rtx, precisions, TensorRTChoice(accumulations=(accumulation,)))

    assert caught.value.where == f"--fp16-accumulation {accumulation}"
    assert "8.5 to 10" in caught.value.fix


def test_any_sums_need_no_selector(rtx: Library) -> None:
    assert make_recipes(rtx, ["fp16"], TensorRTChoice(accumulations=("any",)))


def test_a_sum_that_there_is_not(selecting: Library) -> None:
    with pytest.raises(OptionError, match="there is no 'fp64'") as caught:
        make_recipes(selecting, ["fp16"], TensorRTChoice(accumulations=("fp64",)))

    assert caught.value.fix == "choose one of: any, fp32, tf32"


@pytest.mark.parametrize(
    ("tf32", "routes"),
    [
        (False, ["", "graph+pinned", "flag+pinned"]),
        (True, ["tf32", "graph+pinned-tf32", "flag+pinned-tf32"]),
    ],
)
def test_nodes_that_are_pinned_by_name_make_a_route_of_their_own(
    old: Library, tf32: bool, routes: list[str]
) -> None:
    options = TensorRTOptions(fp32_nodes=("vocoder:*conv_post*",), tf32=tf32)
    choice = TensorRTChoice(options, fp16_routes=("graph", "flag"))

    recipes = make_recipes(old, ["fp32", "fp16"], choice)

    assert [recipe.route for recipe in recipes] == routes


@pytest.mark.parametrize("precisions", [["fp32"], ["fp16", "int8"]])
def test_where_types_are_binding_no_node_can_be_pinned(rtx: Library, precisions: list[str]) -> None:
    choice = TensorRTChoice(TensorRTOptions(fp32_nodes=("vocoder:*",)))

    with pytest.raises(FeatureUnavailableError) as caught:
        make_recipes(rtx, precisions, choice)

    assert caught.value.where == "--fp32-node"


def test_patterns_are_those_of_a_component() -> None:
    options = TensorRTOptions(fp32_nodes=("vocoder:/a:*", "flow_decoder:b", "vocoder:c"))

    assert options.fp32_patterns("vocoder") == ("/a:*", "c")
    assert options.fp32_patterns("conditioner") == ()


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"fp32_nodes": ("vocoder",)}, "--fp32-node"),
        ({"fp32_nodes": (":a",)}, "--fp32-node"),
        ({"fp32_nodes": ("vocoder:",)}, "--fp32-node"),
        ({"fp32_nodes": ("vocoder:a",), "constraints": "none"}, "--fp32-node"),
        ({"workspace_bytes": 0}, "--workspace"),
        ({"optimization_level": 6}, "--optimization-level"),
        ({"optimization_level": -1}, "--optimization-level"),
        ({"constraints": "maybe"}, "--precision-constraints"),
    ],
)
def test_options_that_no_version_takes(options: dict[str, Any], where: str) -> None:
    with pytest.raises(OptionError) as caught:
        TensorRTOptions(**options)

    assert caught.value.where == where
    assert caught.value.fix


@pytest.mark.parametrize("level", [0, 5])
def test_the_levels_of_optimization(level: int) -> None:
    assert TensorRTOptions(optimization_level=level).optimization_level == level
