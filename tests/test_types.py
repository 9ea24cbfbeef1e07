"""How the shared types name themselves."""

from __future__ import annotations

import pytest

from harness.types import CALL, ENQUEUE, GRAPH, Measurement, Variant


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        (Variant("torch", "fp32"), "torch fp32"),
        (Variant("tensorrt", "fp16", "flag"), "tensorrt fp16 by flag"),
        (Variant("tensorrt", "fp16", "flag", GRAPH), "tensorrt fp16 by flag, graph"),
        (Variant("tensorrt", "int8", launch=ENQUEUE), "tensorrt int8, enqueue"),
        (Variant("onnxruntime", "int8+fp16", "", CALL), "onnxruntime int8+fp16"),
    ],
)
def test_a_variant_tells_its_route_and_launch_where_there_are_several(
    variant: Variant, expected: str
) -> None:
    assert str(variant) == expected


def test_variants_that_differ_in_route_or_launch_are_apart() -> None:
    variants = [
        Variant("tensorrt", "fp16", route, launch)
        for route in ("", "flag", "graph types")
        for launch in (CALL, ENQUEUE, GRAPH)
    ]

    assert len(set(variants)) == len({str(variant) for variant in variants}) == 9


def test_a_measurement_is_of_the_variant_that_labels_it() -> None:
    measurement = Measurement(
        component="vocoder",
        backend="tensorrt",
        precision="fp16",
        mode="hot",
        clock="cuda events",
        duration_s=1.0,
        batch=1,
        threads=1,
        load_s=0.1,
        first_s=0.2,
        latency_s=(0.1,),
        route="flag",
        launch=GRAPH,
    )

    assert measurement.variant == Variant("tensorrt", "fp16", "flag", GRAPH)
