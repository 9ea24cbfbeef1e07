"""What a run decides before it measures."""

from __future__ import annotations

import pytest

from harness.cases import accuracy_count
from harness.describe import find_floor
from harness.pipeline.loader import load_pipeline
from harness.types import Case, Variant


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [(0.1, 8), (0.5, 8), (1.0, 4), (2.0, 2), (10.0, 2), (None, 4)],
)
def test_accuracy_is_taken_on_fewer_inputs_where_each_is_longer(
    duration_s: float | None, expected: int
) -> None:
    assert accuracy_count(Case(duration_s, 1)) == expected


def test_a_floor_is_the_components_own_or_that_of_the_pipeline() -> None:
    pipeline = load_pipeline("tiny")
    declared = pipeline.declaration.model_copy(
        update={"min_snr_db": {"fp32": 70.0, "int8": 20.0, "int8-ort": 15.0, "fp16": 40.0}}
    )
    vocoder = pipeline.components["vocoder"].model_copy(update={"min_snr_db": {"int8": 12.5}})
    declared = declared.model_copy(
        update={"components": {**declared.components, "vocoder": vocoder}}
    )
    changed = type(pipeline)(root=pipeline.root, declaration=declared, order=pipeline.order)

    assert find_floor(changed, "vocoder", Variant("any", "int8")) == 12.5
    assert find_floor(changed, "vocoder", Variant("any", "fp32")) == 70.0
    assert find_floor(changed, "content_encoder", Variant("any", "int8")) == 20.0
    assert find_floor(changed, "pipeline", Variant("any", "int8-ort")) == 15.0
    # Products in TF32 are as coarse as those in fp16.
    assert find_floor(changed, "vocoder", Variant("tensorrt", "fp32", "tf32")) == 40.0
    assert find_floor(changed, "vocoder", Variant("tensorrt", "fp16", "flag")) == 40.0
    assert find_floor(changed, "vocoder", Variant("tensorrt", "fp32", "tf32+given")) == 40.0
    # Each precision has its own: int8+fp16 is neither int8 nor fp16.
    assert find_floor(changed, "vocoder", Variant("any", "int8+fp16")) is None
    # What is copied is not computed.
    for name in ("host_to_device", "device_to_host", "host_enqueue"):
        assert find_floor(changed, name, Variant("any", "fp32")) is None


def test_without_a_floor_of_fp16_tf32_is_held_to_that_of_fp32() -> None:
    pipeline = load_pipeline("tiny")
    declared = pipeline.declaration.model_copy(update={"min_snr_db": {"fp32": 70.0}})
    changed = type(pipeline)(root=pipeline.root, declaration=declared, order=pipeline.order)

    assert find_floor(changed, "vocoder", Variant("tensorrt", "fp32", "tf32")) == 70.0
