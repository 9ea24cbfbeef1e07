"""A run on a device: seen to be possible first, then recorded with what the device can do."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any

import pytest

from harness import ready, watching
from harness.artifacts.cache import Cache
from harness.backends.gpu import GpuInfo
from harness.backends.onnxruntime import OnnxRuntimeBackend
from harness.errors import FeatureUnavailableError
from harness.measure.sampler import SamplingPlan
from harness.pipeline.loader import load_pipeline
from harness.report.figures import figures_of
from harness.runner import Run, RunOptions
from harness.store.parquet import ParquetStore, read_record
from harness.types import Case, Ceilings, ComponentCost, GraphCost, MacCounts
from tests.devices import DeviceBackend, MadeUp, Notes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.backends.protocol import Backend
    from harness.types import Record

CEILINGS = Ceilings({"fp32": 1e6, "fp16": 2e6, "int8": 4e6}, 1e6, "made up", "GPU-0")


@pytest.fixture
def device(tmp_path: Path) -> DeviceBackend:
    folder = tmp_path / "engines"
    folder.mkdir()
    return DeviceBackend(folder)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def execute(cache: Cache) -> Callable[..., Record]:
    def call(
        root: Path, *backends: Backend, observer: Notes | None = None, **options: Any
    ) -> Record:
        sampling = SamplingPlan(max_samples=4, warmup_s=0.0, block_s=0.02)
        asked = replace(RunOptions(cases=(Case(0.5, 1),), sampling=sampling), **options)
        clock = MadeUp("the run's clock", 7e-3)
        return Run(load_pipeline(root), backends, cache, asked, clock, observer).execute().record

    return call


# Before anything.


@pytest.mark.parametrize("is_first", [True, False])
def test_what_cannot_run_here_is_told_before_anything_is_made(
    onnx_toy: Callable[..., Path],
    device: DeviceBackend,
    execute: Callable[..., Record],
    cache: Cache,
    is_first: bool,
) -> None:
    device.obstacle = FeatureUnavailableError("here is no GPU")
    other, notes = DeviceBackend(device.folder), Notes()
    other.route = "graph types"
    backends = [device, other] if is_first else [other, device]

    with pytest.raises(FeatureUnavailableError, match="here is no GPU"):
        execute(onnx_toy(), *backends, observer=notes)

    assert notes.phases == {}
    assert list(cache.entries()) == []
    assert list(device.folder.iterdir()) == []
    for one in (device, other):
        assert (one.built_of, one.opened, one.asked_for_ceilings) == ({}, [], [])


def test_whether_it_can_run_is_asked_before_the_inputs_are_looked_at(
    toy: Callable[..., Path], device: DeviceBackend, execute: Callable[..., Record]
) -> None:
    device.obstacle = FeatureUnavailableError("here is no GPU")
    root = toy(("def synthetic(", "def nothing("), file="inputs.py")

    with pytest.raises(FeatureUnavailableError, match="here is no GPU"):
        execute(root, device)


# What the device can do at best.


def test_a_record_tells_what_the_graphs_must_do_and_what_the_device_can(
    onnx_toy: Callable[..., Path],
    device: DeviceBackend,
    execute: Callable[..., Record],
    cache: Cache,
    tmp_path: Path,
) -> None:
    device.found_ceilings = CEILINGS

    record = execute(onnx_toy(), device, cases=(Case(0.5, 1), Case(1.0, 2)))

    assert record.ceilings == CEILINGS
    assert device.asked_for_ceilings == [cache], "once, however many cases there are"
    # Of the graphs that the engines were built of: 4 samples a frame, widened to 8, narrowed to 6.
    # Beside the weights of the two products there are the shape, the axes and the zero.
    for duration_s, batch, frames in ((0.5, 1, 8), (1.0, 2, 32)):
        encoder, decoder = (
            next(
                c.cost for c in record.costs if astuple(c)[:4] == (name, "fp32", duration_s, batch)
            )
            for name in ("encoder", "decoder")
        )
        products = MacCounts(fp32=frames * (4 * 8 + 8 * 6))
        weights = 4 * (4 * 8 + 8 * 6) + 3 * 8
        assert encoder == GraphCost(products, weights, 4 * (4 * frames + 1), 4 * 6 * frames)
        assert decoder == GraphCost(MacCounts(), 8 + 4, (4 * 6 + 1) * frames, 4 * frames)
    assert len(record.costs) == 4
    assert read_record(ParquetStore(tmp_path / "out").append(record)) == record


def test_every_series_of_the_device_is_held_against_its_roofline(
    onnx_toy: Callable[..., Path], device: DeviceBackend, execute: Callable[..., Record]
) -> None:
    device.found_ceilings = CEILINGS

    record = execute(onnx_toy(), device, OnnxRuntimeBackend(threads=1))

    as_graphs, enqueued, called = figures_of(record).groups
    for group in (as_graphs, enqueued):
        assert all(row.least_s for row in group.rows)
        assert {row.bound for row in group.rows} <= {"memory", "compute", ""}
    assert [row.least_s for row in as_graphs.transfers] == [None, None]
    # The processor is another machine.
    assert [row.least_s for row in called.rows] == [None] * 3


def test_without_ceilings_nobody_looks_for_the_costs(
    onnx_toy: Callable[..., Path],
    device: DeviceBackend,
    execute: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def asked(*_: Any) -> tuple[ComponentCost, ...]:
        raise AssertionError

    monkeypatch.setattr(ready, "describe_costs", asked)

    record = execute(onnx_toy(), OnnxRuntimeBackend(threads=1), device)

    assert (record.costs, record.ceilings) == ((), None)
    assert len(device.asked_for_ceilings) == 1


def test_the_first_ceilings_that_are_known_are_those_of_the_run(
    onnx_toy: Callable[..., Path], device: DeviceBackend, execute: Callable[..., Record]
) -> None:
    """All that runs on a device runs on the same one."""
    second, third = DeviceBackend(device.folder), DeviceBackend(device.folder)
    second.route, third.route = "graph types", "none"
    second.found_ceilings = CEILINGS
    third.found_ceilings = replace(CEILINGS, source="not asked for")

    record = execute(onnx_toy(), device, second, third)

    assert record.ceilings == CEILINGS
    counts = [len(one.asked_for_ceilings) for one in (device, second, third)]
    assert counts == [1, 1, 0]


# The GPU itself.


def test_a_record_names_the_gpu(
    onnx_toy: Callable[..., Path],
    device: DeviceBackend,
    execute: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = GpuInfo("NVIDIA H200", "9.0", "GPU-1", "12.8")
    monkeypatch.setattr(watching, "has_gpu", lambda: True)
    monkeypatch.setattr(watching, "read_gpu", lambda: gpu)

    found = execute(onnx_toy(), device).environment["gpu"]

    assert (found["name"], found["uuid"]) == ("NVIDIA H200", "GPU-1")


def test_without_a_gpu_a_record_names_none(
    onnx_toy: Callable[..., Path],
    device: DeviceBackend,
    execute: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "has_gpu", lambda: False)

    assert execute(onnx_toy(), device).environment["gpu"] is None
