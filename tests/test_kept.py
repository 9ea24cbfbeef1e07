"""What a run of whole inferences keeps, and what of it counts."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness import runner
from harness.arrivals import Arrival
from harness.backends.onnxruntime import OnnxRuntimeBackend
from harness.kept import Kept, cause_of, kept_of, settle
from harness.measure.clock import HostClock
from harness.measure.sampler import SamplingPlan
from harness.measuring import Watch
from harness.pipeline.loader import load_pipeline
from harness.runner import Run, RunOptions
from harness.states import Block, DeviceState, Finding, GpuState, HostState
from harness.types import CONCURRENT, HOT, PACED, Case, Measurement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from harness.types import Record

UUID = "GPU-1"
FOREIGN = 1 << 30


def _state(at_s: float, sm_clock_mhz: float = 1980.0, **gpu: Any) -> DeviceState:
    return DeviceState(at_s, HostState(), GpuState(UUID, sm_clock_mhz=sm_clock_mhz, **gpu))


def _judged(
    states: list[DeviceState], idling: tuple[str, ...] = ()
) -> tuple[tuple[Block, ...], list[Finding]]:
    findings: list[Finding] = []
    kept = Kept([], [], findings, Watch(lambda: states, UUID))
    blocks = [Block("a", float(10 * i), 10.0 * i + 5.0, 2) for i in range(20)]
    return kept.judge(blocks, idling)["a"], findings


def test_the_clock_of_what_idles_between_its_samples_rejects_nothing() -> None:
    states = [_state(10.0 * i + 1.0, 345.0 if i == 3 else 1980.0) for i in range(20)]

    busy, told = _judged(states)
    idle, nothing = _judged(states, ("a",))

    assert [i for i, block in enumerate(busy) if block.rejected] == [3]
    assert told
    assert not any(block.rejected for block in idle)
    assert nothing == []


def test_what_is_no_clock_rejects_what_idles_too() -> None:
    hot = 0x40
    states = [
        _state(10.0 * i + 1.0, clock_event_reasons=hot if i == 3 else 0, process_ids=())
        for i in range(20)
    ]
    states[5] = _state(51.0, process_ids=(FOREIGN,))

    blocks, findings = _judged(states, ("a",))

    assert [i for i, block in enumerate(blocks) if block.rejected] == [3, 5]
    assert any(f"other processes were on the GPU: {FOREIGN}" in f.what for f in findings)


def test_samples_of_rejected_blocks_are_kept_apart() -> None:
    blocks = [Block("a", 0, 1, 2), Block("a", 1, 2, 1, "hot"), Block("a", 2, 3, 2)]
    samples = [1.0, 2.0, 9.0, 1.0, 2.0]

    fields = settle(samples, blocks, SamplingPlan(rel_precision=0.1), "time")

    assert kept_of(samples, blocks) == fields["latency_s"] == (1.0, 2.0, 1.0, 2.0)
    assert fields["rejected_latency_s"] == (9.0,)
    assert fields["block_passes"] == (2, 2)
    assert (fields["verdict"], fields["verdict_reason"]) == ("inconclusive", "time")
    assert fields["rel_precision"] == 0.1
    steady = settle([1.0] * 50, [Block("a", 0, 1, 50)], SamplingPlan(), "time")
    assert (steady["verdict"], steady["verdict_reason"]) == ("converged", "precision")


def test_what_ended_it_is_told() -> None:
    assert cause_of(SamplingPlan(max_samples=5), [5, 7]) == "samples"
    assert cause_of(SamplingPlan(max_samples=5), [5, 4]) == "time"


@pytest.fixture
def execute(
    shared_cache: Cache, onnx_toy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Record]:
    """A run that is watched: ``gpu`` is what each reading tells, one for each millisecond."""
    started_s = time.monotonic()

    def call(arrival: Arrival, **gpu: Any) -> Record:
        def states() -> list[DeviceState]:
            count = int((time.monotonic() - started_s) * 1e3)
            return [_state(started_s + i * 1e-3, **gpu) for i in range(count)]

        @contextmanager
        def watch(_: object, *, uses_gpu: bool) -> Iterator[Watch]:
            yield Watch(states, UUID)

        monkeypatch.setattr(runner, "open_telemetry", watch)
        plan = SamplingPlan(max_samples=40, max_time_s=1000.0, warmup_s=0.0, block_s=0.02)
        options = RunOptions(cases=(Case(0.5, 1),), sampling=plan, arrival=arrival)
        backend = OnnxRuntimeBackend(threads=1)
        run = Run(load_pipeline(onnx_toy()), [backend], shared_cache, options, HostClock())
        return replace(run.execute().record, telemetry=())

    return call


ARRIVALS = [Arrival(PACED, 0.01), Arrival(CONCURRENT, None, 2)]


@pytest.mark.parametrize("arrival", ARRIVALS)
def test_another_process_on_the_device_makes_a_run_invalid(
    arrival: Arrival, execute: Callable[..., Record]
) -> None:
    good, bad = execute(arrival), execute(arrival, process_ids=(FOREIGN,))

    assert good.validity is not None
    assert bad.validity is not None
    # The toy is so short that threads are mostly at the loop around it, which a flag may tell.
    assert good.validity.status in {"valid", "flagged"}
    assert bad.validity.status == "invalid"


@pytest.mark.parametrize("arrival", ARRIVALS)
def test_every_sample_is_in_a_block_that_the_record_has(
    arrival: Arrival, execute: Callable[..., Record]
) -> None:
    record = execute(arrival)

    def name(measured: Measurement) -> str:
        if arrival.mode == CONCURRENT:
            return f"onnxruntime fp32, 0.5 s, {measured.streams} streams"
        how = "back to back" if measured.mode == HOT else "paced"
        return f"onnxruntime fp32, 0.5 s: {how}"

    for measured in record.measurements:
        own = [block for block in record.blocks if block.series == name(measured)]
        assert tuple(block.passes for block in own) == measured.block_passes
        assert all(block.started_s < block.ended_s for block in own)
        assert sum(measured.block_passes) == len(measured.latency_s) > 0
        assert measured.verdict in {"converged", "inconclusive"}
        assert measured.rel_precision == 0.005
        assert measured.autocorrelation is not None
    assert len(record.blocks) == sum(len(m.block_passes) for m in record.measurements)
