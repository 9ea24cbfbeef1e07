"""A record of what ran on a device and beside it, made by hand."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from harness.report.device import render_device
from harness.report.figures import figures_of
from harness.report.precisions import render_costs
from harness.types import (
    CALL,
    ENQUEUE,
    GRAPH,
    Ceilings,
    ComponentCost,
    GraphCost,
    MacCounts,
    Measurement,
    Record,
    Variant,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

COMPONENTS = ("encoder", "decoder")
COPIES = ("host_to_device", "device_to_host", "host_enqueue")
# Milliseconds at fp32, as a graph; the whole is 0.4 ms more than the sum.
MS = {"encoder": 2.0, "decoder": 4.0, "pipeline": 6.4}
COPY_MS = {"host_to_device": 0.25, "device_to_host": 0.5, "host_enqueue": 0.125}

CPU = Variant("onnxruntime", "fp32")
FP32, FLAG, INT8 = (
    Variant("tensorrt", precision, route, GRAPH)
    for precision, route in (("fp32", ""), ("fp16", "flag"), ("int8", "calibrator"))
)
ENQUEUED = replace(FP32, launch=ENQUEUE)
PEER32, PEER16, TUNED = (
    Variant("torch-cuda", precision, route, GRAPH)
    for precision, route in (("fp32", ""), ("fp16", ""), ("fp16", "benchmark"))
)
FACTOR = {CPU: 90.0, FP32: 1.0, FLAG: 0.5, INT8: 0.25, ENQUEUED: 1.5, PEER32: 4.0, PEER16: 2.0}

CEILINGS = Ceilings(
    matrix_macs_per_s={"fp32": 1e12, "fp16": 4e12, "int8": 16e12},
    copy_bytes_per_s=1e12,
    source="cuBLAS 11.11.3, 8192 x 8192 of random numbers",
    gpu_uuid="GPU-0",
)
# In fp32 the encoder takes 1 ms for its products and 0.5 ms for its bytes, the decoder 0.25 ms and
# 2 ms, half of which are weights.
COSTS = {
    "encoder": GraphCost(MacCounts(fp32=10**9), 4 * 10**8, 5 * 10**7, 5 * 10**7),
    "decoder": GraphCost(MacCounts(fp32=25 * 10**7), 10**9, 5 * 10**8, 5 * 10**8),
}
LEAST_MS = {
    FP32: {"encoder": 1.0, "decoder": 2.0},
    # A quarter of the time for products, half of the weights.
    FLAG: {"encoder": 0.3, "decoder": 1.5},
    INT8: {"encoder": 0.2, "decoder": 1.25},
}


def _measurement(component: str, variant: Variant) -> Measurement:
    ms = {**COPY_MS, **{name: ms * FACTOR.get(variant, 1.9) for name, ms in MS.items()}}
    is_copy = component in COPIES
    return Measurement(
        component=component,
        backend=variant.backend,
        precision=variant.precision,
        route=variant.route,
        launch=variant.launch,
        mode="hot",
        clock="cuda events",
        duration_s=1.0,
        batch=1,
        threads=1,
        load_s=0.0 if is_copy else 0.1,
        first_s=0.0 if is_copy else 0.2,
        latency_s=(ms[component] / 1e3,) * 400,
        snr_db=None if is_copy else 45.5,
    )


def make_record(*variants: Variant, copies: tuple[str, ...] = COPIES, **fields: Any) -> Record:
    record = Record(
        record_id="id",
        created_utc="2026-01-01T00:00:00+00:00",
        harness_version="0",
        pipeline="voice",
        command=(),
        inputs={"kind": "synthetic", "seed": 0},
        budget=None,
        environment={
            "cpu": "a processor",
            "gpu": {"name": "NVIDIA H200", "uuid": "GPU-0"},
            "is_virtual_machine": False,
            "load_average_1min": 0.5,
            "python": "3.11.0",
            "packages": {"tensorrt": "8.5.3.1"},
        },
        artifacts=(),
        engines=(),
        calibration=None,
        measurements=tuple(
            _measurement(component, variant)
            for variant in variants
            for component in (
                *(*COMPONENTS, "pipeline"),
                *(copies if variant.launch != CALL else ()),
            )
        ),
        costs=tuple(ComponentCost(name, "fp32", 1.0, 1, cost) for name, cost in COSTS.items()),
        ceilings=CEILINGS,
    )
    return replace(record, **fields)


RECORD = make_record(*FACTOR)


def printed_device(record: Record, width: int) -> list[str]:
    """The lines of the tables of devices, on a terminal of this width."""
    return _printed(render_device(figures_of(record)), width)


def printed_costs(record: Record, width: int) -> list[str]:
    """The lines of the tables of what each precision costs, which have the rooflines."""
    return _printed([render_costs(groups) for groups in figures_of(record).by_backend], width)


def _printed(parts: Sequence[RenderableType], width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    for part in parts:
        console.print(part)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]
