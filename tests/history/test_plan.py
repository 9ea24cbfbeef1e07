"""``plan.json``: what is measured of every commit."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from harness.backends.protocol import variant_of
from harness.errors import DeclarationError, OptionError
from harness.history.plan import HistoryPlan, offered, plan_backends, read_plan
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_what_is_not_given_has_its_default(tmp_path: Path) -> None:
    found = read_plan(_written(tmp_path, {"pipeline": "a/b", "durations_s": [1, 0.5]}))

    assert found == HistoryPlan("a/b", durations_s=(1.0, 0.5))
    assert [type(duration_s) for duration_s in found.durations_s] == [float, float]


def test_every_field_can_be_given(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "pipeline": "p",
        "backends": ["onnxruntime", "torch"],
        "precisions": ["fp32", "fp16"],
        "durations_s": [],
        "batches": [1, 2],
        "max_time_s": None,
        "max_samples": 20,
        "rel_precision": 0.01,
        "seed": 3,
        "opset": 18,
        "threads": 1,
        "launches": ["enqueue"],
        "energy": False,
        "tensorrt": {"fp16": ["flag"]},
        "simulation": {"macs_per_s": 1e9},
    }

    found = read_plan(_written(tmp_path, given))

    assert {name: getattr(found, name) for name in given} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ([], "is no JSON object"),
        ({}, "has no 'pipeline'"),
        ({"pipeline": "p", "backend": []}, "there is no 'backend'; choose from: pipeline"),
        ({"pipeline": "/p"}, "is no folder of the repository"),
        ({"pipeline": "../p"}, "is no folder of the repository"),
        ({"pipeline": ""}, "is no folder of the repository"),
        ({"pipeline": 1}, "pipeline: 1 cannot be used; give a text"),
        ({"pipeline": "p", "seed": True}, "seed: True cannot be used; give a whole number"),
        ({"pipeline": "p", "seed": 1.5}, "seed: 1.5 cannot be used"),
        ({"pipeline": "p", "seed": None}, "seed: None cannot be used"),
        ({"pipeline": "p", "energy": 1}, "energy: 1 cannot be used; give true or false"),
        ({"pipeline": "p", "batches": 1}, "batches: 1 cannot be used; give a list of whole"),
        ({"pipeline": "p", "batches": ["x"]}, "batches: 'x' cannot be used; give a whole number"),
        ({"pipeline": "p", "max_time_s": "x"}, "max_time_s: 'x' cannot be used; give a number or"),
        ({"pipeline": "p", "simulation": []}, "simulation: [] cannot be used; give an object"),
    ],
)
def test_a_wrong_plan_is_refused_by_what_is_wrong(
    tmp_path: Path, content: object, message: str
) -> None:
    path = _written(tmp_path, content)

    with pytest.raises(DeclarationError) as caught:
        read_plan(path)

    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_a_missing_plan_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="harness history init"):
        read_plan(tmp_path / "plan.json")


def test_what_asv_offers_is_what_records_are_labelled_with(onnx_toy: Callable[..., Path]) -> None:
    pipeline = load_pipeline(onnx_toy())
    plan = HistoryPlan("toy", precisions=("fp32", "fp16"), batches=(1, 2), threads=1)

    assert offered(plan, pipeline) == {
        "components": ["encoder", "decoder"],
        "variants": ["onnxruntime fp32", "onnxruntime fp16"],
        "sizes": ["0.5 s", "0.5 s, batch 2"],
        "canaries": ["cpu-1"],
        "budget": ["0.5 s"],
        "energy": True,
    }


def test_what_runs_on_a_gpu_is_offered_for_each_launch(onnx_toy: Callable[..., Path]) -> None:
    pipeline = load_pipeline(onnx_toy(("[budget]\np99_s = 0.1\nduration_s = 0.5\n", "")))
    once = HistoryPlan("toy", backends=("torch-cuda",))
    twice = HistoryPlan("toy", backends=("torch-cuda",), launches=("graph", "enqueue"))

    assert offered(once, pipeline)["variants"] == ["torch-cuda fp32, graph"]
    assert offered(twice, pipeline)["variants"] == [
        "torch-cuda fp32, graph",
        "torch-cuda fp32, enqueue",
    ]
    assert offered(once, pipeline)["budget"] == []


def test_made_up_times_have_no_canary_beside_them(onnx_toy: Callable[..., Path]) -> None:
    found = offered(HistoryPlan("toy", backends=("simulated",)), load_pipeline(onnx_toy()))

    assert (found["variants"], found["canaries"]) == (["simulated fp32"], [])


def test_backends_are_those_of_the_plan() -> None:
    made = plan_backends(HistoryPlan("p", threads=1, precisions=("fp32", "int8-ort")))

    assert [(one.name, one.precision, one.threads) for one in made] == [
        ("onnxruntime", "fp32", 1),
        ("onnxruntime", "int8-ort", 1),
    ]
    with pytest.raises(OptionError, match=r"plan\.json: simulation: 'noize' is not known"):
        plan_backends(HistoryPlan("p", backends=("simulated",), simulation={"noize": 1}))


def test_engines_are_built_as_the_plan_says() -> None:
    plan = HistoryPlan("p", backends=("tensorrt-rtx",), tensorrt={"tf32": True})

    assert [str(variant_of(one)) for one in plan_backends(plan)] == ["tensorrt-rtx fp32 by tf32"]


@pytest.mark.parametrize(
    ("backend", "options", "message"),
    [
        ("tensorrt-rtx", {"fp_16": ["flag"]}, "plan.json: tensorrt: 'fp_16' is not known"),
        ("tensorrt-rtx", {"fp16": "flag"}, "fp16 cannot be 'flag'"),
        ("tensorrt-rtx", {"workspace_mib": True}, "workspace_mib cannot be True"),
        ("tensorrt-rtx", {"tf32": 1}, "tf32 cannot be 1"),
        ("tensorrt-rtx", {"optimization_level": 6}, "level 6"),
        ("onnxruntime", {"tf32": True}, "no backend is a TensorRT"),
    ],
)
def test_options_of_engines_that_cannot_be(
    backend: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        plan_backends(HistoryPlan("p", backends=(backend,), tensorrt=options))
