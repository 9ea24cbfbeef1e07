"""Runs in which work is paced, or comes in several streams."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.arrivals import Arrival, check_arrival, check_outputs, stream_findings
from harness.backends.onnxruntime import OnnxRuntimeBackend, OnnxRuntimeSession
from harness.backends.torch import TorchBackend
from harness.errors import EngineError, FeatureUnavailableError, OptionError
from harness.measure.clock import HostClock
from harness.measure.environment import available_cores
from harness.measure.paced import Chunk
from harness.measure.sampler import SamplingPlan
from harness.pipeline.loader import load_pipeline
from harness.report.figures import figures_of
from harness.report.modes import concurrent_figure, paced_figure
from harness.runner import Run, RunOptions
from harness.states import FLAG
from harness.store.parquet import ParquetStore, read_record
from harness.types import CALL, CONCURRENT, ENQUEUE, GRAPH, HOT, PACED, Case, Measurement
from tests.devices import DeviceBackend, DeviceSession

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from harness.backends.protocol import Backend
    from harness.types import Record

CASE = Case(0.5, 1)


class Trip:
    """A round trip that takes 4 ms back to back and 5 when it is paced, but for every tenth."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, float]] = []
        self.failure: BaseException | None = None

    def time_paced(self, count: int, period_s: float) -> tuple[Chunk, ...]:
        if self.failure is not None and self.asked:
            raise self.failure
        self.asked.append((count, period_s))
        took = itertools.cycle([0.005] * 9 + [period_s + 0.001])
        return tuple(
            Chunk(i * period_s, i * period_s, i * period_s + 1e-5, i * period_s + next(took))
            for i in range(count)
        )

    def time_hot(self, count: int) -> tuple[float, ...]:
        return (0.004,) * count


@pytest.fixture
def execute(shared_cache: Cache) -> Callable[..., Record]:
    def call(root: Path, *backends: Backend, **options: Any) -> Record:
        plan = SamplingPlan(max_samples=40, max_time_s=1000.0, warmup_s=0.0, block_s=0.02)
        asked = replace(RunOptions(cases=(CASE,), sampling=plan), **options)
        run = Run(load_pipeline(root), backends, shared_cache, asked, HostClock())
        return run.execute().record

    return call


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> dict[str, Trip]:
    """Those of every session of the device."""
    made = {GRAPH: Trip(), ENQUEUE: Trip()}
    monkeypatch.setattr(DeviceSession, "round_trips", lambda _: made)
    return made


@pytest.fixture
def device(tmp_path: Path) -> DeviceBackend:
    folder = tmp_path / "engines"
    folder.mkdir()
    return DeviceBackend(folder)


def _by_mode(record: Record, launch: str = CALL) -> dict[tuple[str, int], Measurement]:
    return {(m.mode, m.streams): m for m in record.measurements if m.launch == launch}


def test_paced_is_kept_beside_the_same_back_to_back(
    onnx_toy: Callable[..., Path],
    device: DeviceBackend,
    trips: dict[str, Trip],
    execute: Callable[..., Record],
    tmp_path: Path,
) -> None:
    record = execute(onnx_toy(), device, arrival=Arrival(PACED, 0.05))

    assert len(record.measurements) == 4
    for launch in (GRAPH, ENQUEUE):
        found = _by_mode(record, launch)
        paced, hot = found[PACED, 1], found[HOT, 1]
        assert (paced.component, hot.component) == ("pipeline", "pipeline")
        assert (paced.period_s, hot.period_s) == (0.05, None)
        assert len(paced.latency_s) == len(paced.lateness_s) == len(hot.latency_s) == 40
        assert paced.missed_deadlines == sum(s > 0.05 for s in paced.latency_s) == 4
        assert set(hot.latency_s) == {0.004}
        assert sum(paced.block_passes) == 40
        assert (paced.clock, hot.clock) == ("host, paced", "host, copies included")
        assert (paced.simulated, hot.simulated) == (False, False)
    path = ParquetStore(tmp_path / "records").append(record)
    assert read_record(path) == record


def test_the_period_is_the_duration_unless_it_is_given(
    onnx_toy: Callable[..., Path],
    device: DeviceBackend,
    trips: dict[str, Trip],
    execute: Callable[..., Record],
) -> None:
    record = execute(onnx_toy(), device, arrival=Arrival(PACED))

    assert {period_s for _, period_s in trips[GRAPH].asked} == {0.5}
    figures = figures_of(record)
    (group,) = (g for g in figures.groups if (g.mode, g.variant.launch) == (PACED, GRAPH))
    figure = paced_figure(group, figures)
    assert figure is not None
    assert figure.buffered_median_s == pytest.approx(0.505)
    assert figure.ratio_to_hot == pytest.approx(1.25)
    assert (figure.missed, figure.count) == (4, 40)
    assert figure.missed_upper == pytest.approx(0.2135, abs=1e-3)
    assert figure.late_p99_s == pytest.approx(1e-5)


def test_an_interrupted_run_keeps_the_blocks_that_are_complete(
    onnx_toy: Callable[..., Path],
    device: DeviceBackend,
    trips: dict[str, Trip],
    execute: Callable[..., Record],
) -> None:
    trips[ENQUEUE].failure = KeyboardInterrupt()

    plan = SamplingPlan(max_samples=200, max_time_s=1000.0)
    record = execute(onnx_toy(), device, arrival=Arrival(PACED, 0.05), sampling=plan)

    assert not record.is_complete
    kept = {m.launch: m.block_passes for m in record.measurements}
    assert kept == {GRAPH: (100, 100), ENQUEUE: (100,)}


def test_a_real_session_is_paced_and_checked(
    onnx_toy: Callable[..., Path], execute: Callable[..., Record]
) -> None:
    backend = OnnxRuntimeBackend(threads=1)
    record = execute(onnx_toy(), backend, arrival=Arrival(PACED, 0.01))

    found = _by_mode(record)
    paced, hot = found[PACED, 1], found[HOT, 1]
    assert all(s > 0 for s in (*paced.latency_s, *hot.latency_s))
    assert all(
        0 <= late < took for late, took in zip(paced.lateness_s, paced.latency_s, strict=True)
    )
    assert paced.first_s == hot.first_s > 0.0
    assert paced.threads == 1


def test_streams_are_held_against_one_of_all_threads(
    onnx_toy: Callable[..., Path], execute: Callable[..., Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[OnnxRuntimeSession] = []
    closed: list[OnnxRuntimeSession] = []
    opening, closing = OnnxRuntimeSession.__init__, OnnxRuntimeSession.close

    def note_opened(self: OnnxRuntimeSession, *arguments: Any, **options: Any) -> None:
        opened.append(self)
        opening(self, *arguments, **options)

    def note_closed(self: OnnxRuntimeSession) -> None:
        closed.append(self)
        closing(self)

    monkeypatch.setattr(OnnxRuntimeSession, "__init__", note_opened)
    monkeypatch.setattr(OnnxRuntimeSession, "close", note_closed)

    record = execute(
        onnx_toy(), OnnxRuntimeBackend(threads=4), arrival=Arrival(CONCURRENT, None, 2)
    )

    found = _by_mode(record)
    assert list(found) == [(CONCURRENT, 1), (CONCURRENT, 2)]
    assert (found[CONCURRENT, 1].threads, found[CONCURRENT, 2].threads) == (4, 2)
    for measurement in found.values():
        assert len(measurement.latency_s) == sum(measurement.block_passes) >= 40
        assert len(measurement.block_wall_s) == len(measurement.block_passes)
        assert all(s > 0 for s in (*measurement.latency_s, *measurement.block_wall_s))
    # One to check, one alone, two together.
    assert len(opened) == 4
    assert {id(session) for session in closed} == {id(session) for session in opened}
    figures = figures_of(record)
    alone, both = (concurrent_figure(group, figures) for group in figures.groups)
    assert alone is not None
    assert both is not None
    assert (alone.rate_ratio, alone.latency_ratio) == (None, None)
    assert both.rate_ratio == pytest.approx(both.rate_per_s.value / alone.rate_per_s.value)
    assert both.latency_ratio is not None


def test_more_streams_than_threads_have_one_each(
    onnx_toy: Callable[..., Path], execute: Callable[..., Record]
) -> None:
    record = execute(
        onnx_toy(), OnnxRuntimeBackend(threads=1), arrival=Arrival(CONCURRENT, None, 3)
    )

    assert _by_mode(record)[CONCURRENT, 3].threads == 1
    assert record.validity is not None
    shared = [f.what for f in record.validity.findings if "streams of 1 thread share" in f.what]
    assert bool(shared) == (available_cores() < 3)


def _streamed(streams: int, threads: int, latency_s: float, wall_s: float) -> Measurement:
    return Measurement(
        component="pipeline",
        backend="onnxruntime",
        precision="fp32",
        mode=CONCURRENT,
        clock="host, closed loop",
        duration_s=1.0,
        batch=1,
        threads=threads,
        load_s=0.0,
        first_s=0.0,
        latency_s=(latency_s,) * 100,
        streams=streams,
        block_passes=(10,) * 10,
        block_wall_s=(wall_s,) * 10,
    )


def test_more_streams_than_cores_are_flagged_and_those_of_a_device_are_not() -> None:
    five = _streamed(5, 1, 0.005, 0.01)

    (finding,) = stream_findings(five, 2)

    assert finding.level == FLAG
    assert finding.what.startswith(
        "onnxruntime fp32, 1 s, 5 streams of 1 thread share 2 cores: latencies hold the wait"
    )
    assert stream_findings(five, None) == stream_findings(five, 5) == ()
    assert stream_findings(_streamed(1, 8, 0.001, 0.01), 2) == ()


@pytest.mark.parametrize(("latency_s", "flying"), [(0.00122, "1.22"), (0.006, "6")])
def test_as_many_must_be_in_flight_as_there_are_streams(latency_s: float, flying: str) -> None:
    (finding,) = stream_findings(_streamed(5, 1, latency_s, 0.01), None)

    assert finding.level == FLAG
    assert (
        f"{flying} inferences were at work at a time (rate x mean latency), not 5" in finding.what
    )
    assert stream_findings(_streamed(5, 1, 0.0049, 0.01), None) == ()


class Held:
    """What holds one output of each of several streams."""

    def __init__(self, *values: Any) -> None:
        self.values = values

    def launch_pipeline(self) -> None:
        pass

    def read(self, component: str, output: str) -> Any:
        arrays = [np.array(value, np.float32) for value in self.values]
        return arrays[0] if len(arrays) == 1 else arrays


def test_a_stream_that_computes_something_else_is_an_error(onnx_toy: Callable[..., Path]) -> None:
    pipeline = load_pipeline(onnx_toy())
    alone: Any = Held([1.0, 2.0])
    check_outputs(pipeline, alone, Held([1.0, 2.0], [1.0, 2.001]))  # type: ignore[arg-type]

    for wrong in ([2.0, 1.0], [1.0, float("nan")]):
        with pytest.raises(EngineError, match=r"in stream 2 decoder\.level differs"):
            check_outputs(pipeline, alone, Held([1.0, 2.0], wrong))  # type: ignore[arg-type]


def test_a_backend_that_runs_one_at_a_time_is_refused_before_anything_is_built(
    onnx_toy: Callable[..., Path], device: DeviceBackend, execute: Callable[..., Record]
) -> None:
    with pytest.raises(FeatureUnavailableError, match="device runs one inference at a time"):
        execute(onnx_toy(), device, arrival=Arrival(CONCURRENT, None, 2))
    assert device.opened == []
    with pytest.raises(FeatureUnavailableError, match="torch runs one"):
        check_arrival(Arrival(CONCURRENT, None, 2), [CASE], [TorchBackend(threads=1)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fast",), "there is no mode 'fast'"),
        ((HOT, 0.1), "--period: it is of no use in the mode hot"),
        ((CONCURRENT, 0.1, 2), "--period: it is of no use in the mode concurrent"),
        ((PACED, None, 2), "--streams: it is of no use in the mode paced"),
        ((PACED, 0.0), "--period: 0 s"),
        ((CONCURRENT,), "--streams: how many streams"),
        ((CONCURRENT, None, 0), "--streams: 0 streams"),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        Arrival(*arguments)
    assert message in str(caught.value)


def test_a_pipeline_without_a_duration_needs_a_period() -> None:
    with pytest.raises(OptionError, match="give --period"):
        check_arrival(Arrival(PACED), [Case(None, 1)], [])
    check_arrival(Arrival(PACED, 0.1), [Case(None, 1)], [])
