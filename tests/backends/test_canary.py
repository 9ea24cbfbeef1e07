"""The frozen work: what it is, that it stays what it is, and how a run times it."""

from __future__ import annotations

import json
import re
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from harness.arrivals import Arrival
from harness.backends.canary import series as canaries
from harness.backends.canary.make_onnx import make_model
from harness.backends.canary.series import (
    CPU,
    CUDA,
    MAX_PASSES,
    canary_path,
    cpu_canary,
    cuda_canary,
    find_missing,
    open_canaries,
)
from harness.backends.onnxruntime import OnnxRuntimeBackend
from harness.backends.onnxruntime_session import open_graph
from harness.backends.tensorrt.backend import TensorRTBackend
from harness.errors import DeclarationError, EngineError
from harness.measure.clock import HostClock
from harness.measure.device_clock import QueuedClock
from harness.measure.sampler import SamplingPlan
from harness.pipeline.fingerprint import hash_file
from harness.pipeline.loader import load_pipeline
from harness.pipeline.pipeline import CANARY
from harness.report.figures import figures_of
from harness.report.json import to_json
from harness.report.terminal import render
from harness.runner import Run, RunOptions
from harness.store.parquet import ParquetStore
from harness.types import CALL, COLD, ENQUEUE, HOT, Case, Variant
from tests.backends.tensorrt.fakes import FakeDevice
from tests.devices import DeviceBackend, MadeUp
from tests.records import measured

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from harness.types import Record
    from tests.conftest import ToyFactory

# A change of either file makes every earlier record's canary another piece of work: give the new
# one a new name, and leave the old one's hash here as it is.
FROZEN = {
    CPU: "9400b120e106fd71e5f47d9afdcf57d5fa65b487",
    CUDA: "400d638dcf4999cd618922f361730814e694167d",
}


class KernelDevice(FakeDevice):
    """A device that notes the kernels that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: list[tuple[Any, ...]] = []
        self.launched = 0

    def launcher(self, ptx: str, *facts: Any) -> Callable[[], None]:
        self.kernels.append((ptx, *facts))

        def launch() -> None:
            self.submit(self._count)

        return launch

    def _count(self) -> None:
        self.launched += 1


@pytest.fixture
def execute(onnx_toy: Callable[..., Path], shared_cache: Cache) -> Callable[..., Record]:
    def call(*backends: Any, samples: int = 4, clock: Any = None, **options: Any) -> Record:
        asked = RunOptions(
            cases=(Case(0.5, 1),),
            sampling=SamplingPlan(max_samples=samples, warmup_s=0.0, block_s=0.02),
        )
        run = Run(
            load_pipeline(onnx_toy()),
            backends or (OnnxRuntimeBackend(threads=2),),
            shared_cache,
            replace(asked, **options),
            clock or HostClock(),
        )
        return run.execute().record

    return call


# What is frozen.


@pytest.mark.parametrize("name", [CPU, CUDA])
def test_a_canary_never_changes(name: str) -> None:
    assert hash_file(canary_path(name)) == FROZEN[name]


def test_what_is_frozen_beside_the_kernels_text_never_changes() -> None:
    frozen = (canaries._BLOCKS, canaries._THREADS, canaries._ROUNDS, canaries._OFFSET)

    assert frozen == (2112, 256, 192, -1.7)


def test_the_script_makes_the_graph_that_is_shipped() -> None:
    """Value by value: another version of ONNX may write other bytes."""
    shipped, made = onnx.load(canary_path(CPU)), make_model()

    assert [n.op_type for n in shipped.graph.node] == [n.op_type for n in made.graph.node]
    assert {n.op_type for n in shipped.graph.node} >= {"Conv", "MatMul"}
    for one, other in zip(shipped.graph.initializer, made.graph.initializer, strict=True):
        np.testing.assert_array_equal(
            onnx.numpy_helper.to_array(one), onnx.numpy_helper.to_array(other)
        )


def test_the_kernels_text_does_64_products_a_round_and_writes_only_behind_a_test() -> None:
    text = canary_path(CUDA).read_text(encoding="ascii")

    loop = text[text.index("AGAIN:") : text.index("bra AGAIN")]
    assert loop.count("fma.rn.f32 %x, %x, %x, %c;") == 64
    assert "st.global" not in loop
    assert re.search(r"@!%never bra DONE;.*st\.global.*DONE:", text, re.DOTALL)
    assert text.count(".target sm_50\n") == 1


def test_the_kernels_numbers_never_reach_what_it_would_write() -> None:
    """x := x * x + c in fp32, from 0 to 1/2: never above 100, and never at rest."""
    x = np.arange(256, dtype=np.float32) * np.float32(2.0**-9)
    c = np.float32(canaries._OFFSET)
    for _ in range(64 * 192):
        before, x = x, x * x + c
    assert np.abs(x).max() <= 2.0
    # Two of them at rest or nearly would do no harm; most of them move all the time.
    assert np.median(np.abs(x - before)) > 0.1


# How each is opened.


def test_the_cpus_canary_computes_what_its_graph_says() -> None:
    canary = cpu_canary()
    session = open_graph(canary_path(CPU), threads=1)
    (launch,) = canary.series.targets.values()

    for _ in range(3):
        launch()

    made = launch.__defaults__[0]  # type: ignore[attr-defined]
    feed = np.sin(np.arange(16 * 64 * 64, dtype=np.float32)).reshape(1, 16, 64, 64)
    np.testing.assert_allclose(made, session.run(None, {"x": feed})[0], rtol=1e-5, atol=1e-5)
    assert np.abs(made).max() > 0.1
    assert canary.variant == Variant(CANARY, "fp32", CPU, CALL)
    assert canary.content_hash == FROZEN[CPU]
    assert canary.series.clock is None


def test_the_gpus_canary_is_queued_on_its_stream_and_timed_by_its_events() -> None:
    device = KernelDevice()

    canary = cuda_canary(device)

    ((ptx, name, blocks, threads, arguments),) = device.kernels
    assert ptx == canary_path(CUDA).read_text(encoding="ascii")
    assert f".entry {name}(" in ptx
    assert (blocks, threads) == (2112, 256)
    assert [a.dtype.name for a in arguments] == ["uint64", "float32", "uint32"]
    assert int(arguments[0]) in device.memory
    clock = canary.series.clock
    assert isinstance(clock, QueuedClock)
    assert len(clock.time_block([*canary.series.targets.values()] * 5)) == 5
    assert device.launched == 5
    assert canary.variant == Variant(CANARY, "fp32", CUDA, ENQUEUE)


def test_only_engines_in_this_process_bring_the_gpus_canary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = object.__new__(TensorRTBackend)
    monkeypatch.setattr(TensorRTBackend, "device", lambda _: KernelDevice())

    names = [
        [canary.name for canary in open_canaries(backends)]
        for backends in ([], [OnnxRuntimeBackend(threads=1)], [backend, backend])
    ]

    assert names == [[CPU], [CPU], [CPU, CUDA]]
    assert find_missing([backend], open_canaries([backend])) == ()


def test_a_canary_that_cannot_be_opened_is_left_out_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: object) -> None:
        what = "no machine code"
        raise EngineError(what, where="CUDA", fix="update the driver")

    monkeypatch.setattr(TensorRTBackend, "device", refuse)

    backends = [object.__new__(TensorRTBackend)]
    (canary,) = open_canaries(backends)
    (missing,) = find_missing(backends, [canary])

    assert canary.name == CPU
    assert missing.what == "no canary of the GPU: it could not be opened"
    assert "a canary is left out" in caplog.text
    assert "no machine code" in caplog.text


# In a run.


def test_every_run_times_the_canary_and_keeps_which_one(
    execute: Callable[..., Record], tmp_path: Path
) -> None:
    record = execute(samples=20)

    (canary,) = (m for m in record.measurements if m.component == CANARY)
    assert canary.variant == Variant(CANARY, "fp32", CPU)
    assert (canary.threads, canary.mode, canary.clock) == (1, HOT, "host")
    assert (canary.snr_db, canary.min_snr_db, canary.load_s) == (None, None, 0.0)
    assert min(canary.latency_s) > 0.0
    assert record.environment["canary"] == {CPU: FROZEN[CPU]}
    store = ParquetStore(tmp_path)
    store.append(record)
    (again,) = store.query()
    assert figures_of(again).canaries == figures_of(record).canaries


def test_a_block_has_few_passes_of_the_canary_however_many_of_the_rest(
    execute: Callable[..., Record],
) -> None:
    plan = SamplingPlan(tail=True, max_samples=373, warmup_s=0.0, block_s=60.0)
    record = execute(clock=MadeUp("made up", 1e-6), sampling=plan)

    (canary,) = (m for m in record.measurements if m.component == CANARY)
    assert min(max(m.block_passes) for m in measured(record)) > MAX_PASSES
    assert max(canary.block_passes) == MAX_PASSES
    assert len(canary.block_passes) == len(measured(record)[0].block_passes)


def test_a_canary_stays_hot_where_the_rest_is_cold(
    execute: Callable[..., Record], tmp_path: Path
) -> None:
    record = execute(arrival=Arrival(COLD))

    assert {m.mode for m in measured(record)} == {COLD}
    assert {m.mode for m in record.measurements if m.component == CANARY} == {HOT}


def test_a_run_without_a_canary_has_none(execute: Callable[..., Record]) -> None:
    record = execute(canary=False)

    assert len(measured(record)) == len(record.measurements)
    assert figures_of(record).canaries == ()
    assert "canary" not in record.environment


def test_an_accuracy_floor_is_not_that_of_the_canary(toy: ToyFactory, shared_cache: Cache) -> None:
    root = toy(("durations_s = [0.5]", "durations_s = [0.5]\nmin_snr_db = { fp32 = 20.0 }"))
    options = RunOptions(cases=(Case(0.5, 1),), sampling=SamplingPlan(max_samples=2, warmup_s=0.0))
    backends = [OnnxRuntimeBackend(threads=1)]

    record = Run(load_pipeline(root), backends, shared_cache, options, HostClock()).execute().record

    assert {m.min_snr_db for m in measured(record)} == {20.0}
    assert not figures_of(record).unchecked_floors


def test_a_component_may_not_be_called_so(toy: ToyFactory) -> None:
    root = toy(
        ("[components.encoder", "[components.canary"), ("encoder.features", "canary.features")
    )

    with pytest.raises(DeclarationError, match="reports give to something else"):
        load_pipeline(root)


# In a report.


def test_the_report_has_a_line_of_it_and_its_tables_do_not(
    execute: Callable[..., Record], tmp_path: Path
) -> None:
    record = execute(samples=1)
    (own,) = (m for m in record.measurements if m.component == CANARY)
    # 2 % slower in the last third than in the first.
    wave = [1e-3 * (1 + 1e-4 * (i % 5)) for i in range(30)]
    drifting = replace(own, latency_s=(*wave, *wave, *(1.02 * t for t in wave)))
    record = replace(record, measurements=(*measured(record), drifting))

    figures = figures_of(record)

    assert {group.backend for group in figures.groups} == {"onnxruntime"}
    (canary,) = figures.canaries
    assert (canary.name, canary.content_hash) == (CPU, FROZEN[CPU])
    assert canary.drift.value == pytest.approx(0.02)
    assert canary.drift.is_seen
    assert canary.latency.median.value == statistics.median(drifting.latency_s)
    (line,) = (line for line in _lines(figures) if "anary" in line)
    assert line == "Canary (cpu-1): p50 1.00 ms, drift in the run +2.0 % [+2.0, +2.0]"
    document = json.loads(to_json(figures))
    assert len(document["measurements"]) == len(measured(record))
    assert document["canaries"][0]["drift"]["value"] == pytest.approx(0.02)


def test_processes_that_differ_are_no_drift(execute: Callable[..., Record]) -> None:
    record = execute(samples=3)
    (own,) = (m for m in record.measurements if m.component == CANARY)
    wave = tuple(1e-3 * (1 + 1e-4 * (i % 5)) for i in range(90))
    steady = [
        replace(own, process=p, latency_s=tuple((1 + 0.01 * p) * t for t in wave)) for p in range(6)
    ]
    others = tuple(
        replace(m, process=p, latency_s=m.latency_s) for m in measured(record) for p in range(6)
    )
    apart = replace(record, measurements=(*others, *steady))

    (canary,) = figures_of(apart).canaries

    assert len(canary.drifts) == 6
    assert not any(drift.is_seen for drift in canary.drifts)
    assert canary.latency.count == 540
    (line,) = (line for line in _lines(figures_of(apart)) if line.startswith("Canary"))
    assert "(1.00 to 1.05 in 6 series), drift within a series +0.0 % in the median" in line
    slow = replace(steady[2], latency_s=(*wave[:60], *(1.02 * t for t in wave[60:])))
    (canary,) = figures_of(replace(apart, measurements=(*others, *steady[:2], slow))).canaries
    assert canary.drift.value == pytest.approx(0.02)
    assert canary.drift.is_seen


def test_cases_are_series_of_their_own_to_the_canary(execute: Callable[..., Record]) -> None:
    record = execute(samples=3, cases=(Case(0.25, 1), Case(0.5, 1)))

    (canary,) = figures_of(record).canaries
    assert canary.latency.count == 6


def test_few_samples_tell_no_drift(execute: Callable[..., Record]) -> None:
    lines = _lines(figures_of(execute(samples=2)))

    (line,) = (line for line in lines if line.startswith("Canary"))
    assert line.endswith("too few samples to tell a drift in the run")


def test_the_environments_line_is_not_of_the_canary(execute: Callable[..., Record]) -> None:
    text = " ".join(_lines(figures_of(execute(OnnxRuntimeBackend(threads=2)))))

    assert ", 2 threads, load" in text


# Cold.


def test_a_backend_that_cannot_flush_is_refused_before_anything_is_made(
    execute: Callable[..., Record], tmp_path: Path
) -> None:
    backend = DeviceBackend(tmp_path)
    backend.can_flush = False

    with pytest.raises(Exception, match="device cannot flush the caches") as caught:
        execute(backend, arrival=Arrival(COLD))

    assert caught.value.where == "--mode cold"  # type: ignore[attr-defined]
    assert backend.built_of == {}


def test_a_mode_that_there_is_not_is_refused() -> None:
    with pytest.raises(Exception, match="no mode 'tepid'") as caught:
        Arrival("tepid")

    assert "hot, cold" in str(caught.value)


def _lines(figures: Any) -> list[str]:
    from rich.console import Console  # noqa: PLC0415

    console = Console(width=400)
    with console.capture() as captured:
        console.print(render(figures))
    return [line.strip() for line in captured.get().splitlines()]
