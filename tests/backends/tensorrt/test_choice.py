"""TensorRT's options as JSON gives them, and as they fit a pipeline."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from harness.backends.tensorrt.choice import check_components, read_choice
from harness.backends.tensorrt.options import TensorRTChoice, TensorRTOptions
from harness.errors import EngineError, OptionError
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_what_is_not_given_is_as_on_the_command_line() -> None:
    assert read_choice({}, "here") == TensorRTChoice()


def test_every_option_is_taken() -> None:
    given: dict[str, Any] = {
        "fp16": ["flag", "graph"],
        "int8": ["calibrator"],
        "fp16_accumulation": ["fp32"],
        "workspace_mib": 64,
        "tf32": True,
        "optimization_level": 0,
        "tactic_sources": ["CUBLAS"],
        "builder_flags": ["DEBUG"],
        "precision_constraints": "prefer",
        "fp32_nodes": ["vocoder:*"],
        "preview_features": [],
    }

    assert read_choice(given, "here") == TensorRTChoice(
        options=TensorRTOptions(
            workspace_bytes=64 << 20,
            tf32=True,
            optimization_level=0,
            tactic_sources=("CUBLAS",),
            builder_flags=("DEBUG",),
            constraints="prefer",
            preview_features=(),
            fp32_nodes=("vocoder:*",),
        ),
        fp16_routes=("flag", "graph"),
        int8_routes=("calibrator",),
        accumulations=("fp32",),
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fp_16": ["flag"]}, "here: 'fp_16' is not known"),
        ({"fp16": "flag"}, "fp16 cannot be 'flag'"),
        ({"fp32_nodes": [1]}, "fp32_nodes cannot be [1]"),
        ({"workspace_mib": True}, "workspace_mib cannot be True"),
        ({"workspace_mib": 0}, "0 bytes"),
        ({"tf32": 1}, "tf32 cannot be 1"),
        ({"precision_constraints": []}, "precision_constraints cannot be []"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        read_choice(given, "here")


def test_nodes_and_engines_must_be_of_a_component(
    onnx_toy: Callable[..., Path], tmp_path: Path
) -> None:
    pipeline = load_pipeline(onnx_toy())
    check_components(read_choice({"fp32_nodes": ["encoder:*"]}, "here"), pipeline)

    with pytest.raises(OptionError, match="no component 'vocoder'"):
        check_components(read_choice({"fp32_nodes": ["vocoder:*"]}, "here"), pipeline)
    engine = tmp_path / "encoder.engine"
    engine.write_bytes(b"no engine at all, but long enough for a header")
    with pytest.raises(EngineError):
        check_components(TensorRTChoice(engines={"encoder": engine}), pipeline)
