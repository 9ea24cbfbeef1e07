"""A run of a backend that builds engines, and whose sessions are timed in several ways."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.artifacts.export import export_pipeline
from harness.backends.onnxruntime import OnnxRuntimeBackend
from harness.errors import MeasurementError
from harness.measure.sampler import SamplingPlan
from harness.pipeline.loader import load_pipeline
from harness.report.figures import figures_of
from harness.runner import Run, RunOptions
from harness.store.parquet import ParquetStore, read_record
from harness.types import CALL, ENQUEUE, GRAPH, Case, Measurement, NodeCounts, Variant
from tests.devices import DeviceBackend, MadeUp, Notes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from harness.artifacts.worker import WorkerPool
    from harness.backends.protocol import Backend
    from harness.types import Record
    from tests.conftest import ToyFactory

FLOORS = ("durations_s = [0.5]", "durations_s = [0.5]\nmin_snr_db = { fp16 = 20.0 }")
WHOLE = ["encoder", "decoder", "pipeline"]


@pytest.fixture
def device(tmp_path: Path) -> DeviceBackend:
    folder = tmp_path / "engines"
    folder.mkdir()
    return DeviceBackend(folder)


@pytest.fixture
def execute(shared_cache: Cache) -> Callable[..., Record]:
    def call(
        root: Path, *backends: Backend, observer: Notes | None = None, **options: Any
    ) -> Record:
        asked = RunOptions(
            cases=(Case(0.5, 1),),
            sampling=SamplingPlan(max_samples=6, warmup_s=0.0, block_s=0.02),
            canary=False,
        )
        run = Run(
            load_pipeline(root),
            backends,
            shared_cache,
            replace(asked, **options),
            MadeUp("the run's clock", 7e-3),
            observer,
        )
        return run.execute().record

    return call


def _of(record: Record, launch: str, clock: str) -> dict[str, Measurement]:
    return {m.component: m for m in record.measurements if (m.launch, m.clock) == (launch, clock)}


def test_every_series_is_measured_by_its_own_clock_and_labelled_with_it(
    onnx_toy: Callable[..., Path], device: DeviceBackend, execute: Callable[..., Record]
) -> None:
    record = execute(onnx_toy(), device, OnnxRuntimeBackend(threads=1))

    expected = [
        (GRAPH, "graph clock", 1e-3, False, WHOLE),
        (ENQUEUE, "enqueue clock", 3e-3, True, WHOLE),
        (GRAPH, "copy clock", 5e-6, False, ["host_to_device", "device_to_host"]),
        # A series without a clock is timed by that of the run.
        (CALL, "the run's clock", 7e-3, False, WHOLE),
    ]
    for launch, clock, latency_s, is_simulated, names in expected:
        series = _of(record, launch, clock)
        assert list(series) == names
        for measurement in series.values():
            assert measurement.latency_s == (latency_s,) * 6
            assert measurement.simulated is is_simulated
    assert len(record.measurements) == 3 + 3 + 2 + 3
    assert {m.variant for m in record.measurements} == {
        Variant("device", "fp16", "flag", GRAPH),
        Variant("device", "fp16", "flag", ENQUEUE),
        Variant("onnxruntime", "fp32"),
    }


def test_the_checks_of_a_session_are_those_of_all_its_series(
    toy: ToyFactory, device: DeviceBackend, execute: Callable[..., Record]
) -> None:
    record = execute(toy(FLOORS), device)

    graphs, enqueued = (_of(record, launch, f"{launch} clock") for launch in (GRAPH, ENQUEUE))
    for name in WHOLE:
        graph, other = graphs[name], enqueued[name]
        assert graph.snr_db is not None
        assert graph.snr_db > 100.0
        assert graph.accuracy_inputs == 8
        assert graph.min_snr_db == 20.0
        assert graph.first_s > 0.0
        assert graph.load_s > 0.0
        same = {"launch": ENQUEUE, "clock": "enqueue clock", "simulated": True}
        assert replace(graph, **same, latency_s=other.latency_s) == other


def test_a_copy_is_neither_loaded_nor_checked(
    toy: ToyFactory, device: DeviceBackend, execute: Callable[..., Record]
) -> None:
    record = execute(toy(FLOORS), device)

    for copy in _of(record, GRAPH, "copy clock").values():
        assert (copy.load_s, copy.first_s, copy.accuracy_inputs) == (0.0, 0.0, 0)
        assert (copy.snr_db, copy.relative_l2, copy.min_snr_db) == (None, None, None)
        assert copy.threads == 1
    figures = figures_of(record)
    assert figures.unchecked_floors == ()
    (as_graphs, enqueued) = figures.groups
    assert [row.measurement.component for row in as_graphs.transfers] == [
        *("host_to_device", "device_to_host"),
    ]
    assert (as_graphs.sum_of_medians_s, enqueued.sum_of_medians_s) == (2e-3, 6e-3)


def test_engines_are_recorded_with_what_building_and_looking_into_them_told(
    onnx_toy: Callable[..., Path],
    device: DeviceBackend,
    execute: Callable[..., Record],
    tmp_path: Path,
) -> None:
    record = execute(onnx_toy(), device)

    # One of each component, however many ways there are to launch it.
    encoder, decoder = record.engines
    assert (encoder.component, decoder.component) == ("encoder", "decoder")
    assert (encoder.size_bytes, encoder.build_s) == (1000, 1.0)
    assert (decoder.size_bytes, decoder.build_s) == (2000, 2.0)
    for engine in (encoder, decoder):
        assert (engine.backend, engine.precision, engine.route) == ("device", "fp16", "flag")
        assert (engine.memory_bytes, engine.nodes) == (5_000_000, NodeCounts(fp16=2))
        assert (engine.duration_s, engine.batch) == (0.5, 1)
        # What was seen of it goes before what was said of it.
        assert engine.details == {
            "library": "fake 1.0",
            "device": "a device",
            "layers": {},
        }
    # The graphs that it was built of are in their own precision.
    assert [(a.component, a.precision) for a in record.artifacts] == [
        *(("encoder", "fp32"), ("decoder", "fp32")),
    ]
    assert read_record(ParquetStore(tmp_path / "out").append(record)) == record


def test_engines_are_built_of_the_graphs_of_the_backends_precision(
    onnx_toy: Callable[..., Path], device: DeviceBackend, execute: Callable[..., Record]
) -> None:
    execute(onnx_toy(), device, OnnxRuntimeBackend(threads=1, precision="fp16"))

    assert {model.precision for model in device.built_of.values()} == {"fp32"}
    assert device.workshop is not None
    assert device.workshop.calibration is None


def test_a_backend_that_calibrates_has_a_set_though_no_graph_is_int8(
    onnx_toy: Callable[..., Path], device: DeviceBackend, execute: Callable[..., Record]
) -> None:
    device.is_calibrated = True

    record = execute(onnx_toy(), device)

    assert device.workshop is not None
    assert device.workshop.calibration is not None
    assert record.calibration is not None
    assert record.calibration["content_hash"] == device.workshop.calibration.content_hash
    assert {model.precision for model in device.built_of.values()} == {"fp32"}


def test_whoever_watches_is_told_of_each_engine_that_is_built(
    onnx_toy: Callable[..., Path], device: DeviceBackend, execute: Callable[..., Record]
) -> None:
    notes = Notes()

    execute(onnx_toy(), OnnxRuntimeBackend(threads=1), device, observer=notes)

    title = "Building device fp16 by flag"
    assert [name for name in notes.phases if name.startswith("Building")] == [title]
    assert notes.phases[title] == ["encoder: 1.0 s", "decoder: cached"]
    assert notes.sizes[title] == 2
    assert notes.fractions[title] == [0.5, 0.5]
    assert notes.phases["Loading"] == ["onnxruntime fp32", "device fp16 by flag"]


def test_routes_to_one_precision_are_backends_of_their_own(
    onnx_toy: Callable[..., Path], device: DeviceBackend, execute: Callable[..., Record]
) -> None:
    other = DeviceBackend(device.folder)
    other.route = "graph types"

    record = execute(onnx_toy(), device, other)

    routes = [engine.route for engine in record.engines]
    assert routes == ["flag", "flag", "graph types", "graph types"]
    assert len(record.measurements) == 2 * (3 + 3 + 2)
    assert len({(m.variant, m.component) for m in record.measurements}) == 2 * (3 + 3 + 2)


def test_every_launch_that_a_series_names_is_made(
    onnx_toy: Callable[..., Path], device: DeviceBackend, execute: Callable[..., Record]
) -> None:
    execute(onnx_toy(), device)

    (session,) = device.opened
    # Once to check; then four to warm up and six to measure in each of two series, alone and whole.
    assert session.launched.count("encoder") == 1 + 2 * (4 + 6) * 2
    assert session.launched.count("decoder") == 1 + 2 * (4 + 6) * 2
    assert session.is_closed


def test_an_interruption_keeps_the_whole_blocks_of_each_series(
    onnx_toy: Callable[..., Path], device: DeviceBackend, execute: Callable[..., Record]
) -> None:
    """Blocks are of one pass; the second of the enqueued is the one that is interrupted."""
    device.clocks[1] = MadeUp("enqueue clock", 3e-3, failure=KeyboardInterrupt(), fail_in_block=5)

    record = execute(onnx_toy(), device)

    assert not record.is_complete
    lengths = {(m.launch, m.component): len(m.latency_s) for m in record.measurements}
    assert lengths == {
        **{(GRAPH, name): 2 for name in WHOLE},
        **{(ENQUEUE, name): 1 for name in WHOLE},
        **{(GRAPH, name): 1 for name in ("host_to_device", "device_to_host")},
    }


def test_a_series_that_was_interrupted_before_its_first_block_is_left_out(
    onnx_toy: Callable[..., Path], device: DeviceBackend, execute: Callable[..., Record]
) -> None:
    device.clocks[1] = MadeUp("enqueue clock", 3e-3, failure=KeyboardInterrupt(), fail_in_block=4)

    record = execute(onnx_toy(), device)

    assert not record.is_complete
    assert [(m.launch, m.component) for m in record.measurements] == [
        (GRAPH, name) for name in WHOLE
    ]
    (group,) = figures_of(record).groups
    assert group.transfers == ()


@pytest.mark.parametrize("fail_in_block", [0, 5])
def test_what_cannot_be_timed_ends_the_run_and_closes_the_sessions(
    onnx_toy: Callable[..., Path],
    device: DeviceBackend,
    execute: Callable[..., Record],
    fail_in_block: int,
) -> None:
    failure = MeasurementError("the host is too slow")
    device.clocks[0] = MadeUp("graph clock", 1e-3, failure=failure, fail_in_block=fail_in_block)

    with pytest.raises(MeasurementError, match="the host is too slow"):
        execute(onnx_toy(), device, OnnxRuntimeBackend(threads=1))

    (session,) = device.opened
    assert session.is_closed


def test_engines_are_built_once_for_all_cases(
    onnx_toy: Callable[..., Path],
    device: DeviceBackend,
    execute: Callable[..., Record],
    shared_cache: Cache,
    shared_pool: WorkerPool,
) -> None:
    root = onnx_toy()

    record = execute(root, device, cases=(Case(0.25, 1), Case(1.0, 2)))

    assert len(device.opened) == 1
    assert len(record.measurements) == 2 * (3 + 3 + 2)
    assert {(e.duration_s, e.batch) for e in record.engines} == {(1.0, 2)}
    models = export_pipeline(load_pipeline(root), shared_cache, shared_pool)
    assert {m.content_hash for m in models.values()} == {
        m.content_hash for m in device.built_of.values()
    }
