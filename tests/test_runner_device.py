"""A run on a device: seen to be possible first, then recorded with what the device can do."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import astuple, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from harness import ready, watching
from harness.arrivals import Arrival
from harness.artifacts.cache import Cache
from harness.backends.gpu import GpuInfo
from harness.backends.onnxruntime import OnnxRuntimeBackend
from harness.backends.onnxruntime_cuda import OnnxRuntimeCudaBackend
from harness.backends.tensorrt.backend import TensorRTBackend
from harness.backends.torch import TorchBackend
from harness.backends.torch_cuda import TorchCudaBackend
from harness.errors import FeatureUnavailableError
from harness.measure.sampler import SamplingPlan
from harness.measuring import ENERGY_TIME_S, Watch, measure_energy
from harness.pipeline.loader import load_pipeline
from harness.ready import Builds
from harness.report.figures import figures_of
from harness.report.trust import state_sentences
from harness.runner import Run, RunOptions
from harness.states import FLAG, NOTE, DeviceState, GpuState, HostState
from harness.stats.energy import MIN_WINDOW_S, estimate_energy
from harness.store.parquet import ParquetStore, read_record
from harness.types import COLD, HOT, Case, Ceilings, ComponentCost, GraphCost, MacCounts
from tests.devices import DeviceBackend, MadeUp, Notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
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


# The GPU with nothing to do, at work, and unused.


class Played:
    """A GPU that takes 70 W until something is built, 300 W from then on."""

    def __init__(self, device: DeviceBackend) -> None:
        self.device = device
        self.asked: list[bool] = []
        self.started_s = time.monotonic()
        self.built_s: float | None = None
        # Read, or slept through, before anything was built.
        self.waited_s = 0.0

    @contextmanager
    def open(self, _: Mapping[str, Any], *, uses_gpu: bool) -> Iterator[Watch]:
        self.asked.append(uses_gpu)
        yield Watch(self.states, "GPU-1" if uses_gpu else None)

    def states(self) -> tuple[DeviceState, ...]:
        if self.device.built_of and self.built_s is None:
            self.built_s = time.monotonic()
        now_s = time.monotonic()
        count = int((now_s - self.started_s) / 0.02) + 1
        # The last one as it is asked for: a run may be over in less than 0.02 s.
        return (*(self._at(self.started_s + 0.02 * step) for step in range(count)), self._at(now_s))

    def _at(self, at_s: float) -> DeviceState:
        is_built = self.built_s is not None and at_s >= self.built_s
        power_w = 300.0 if is_built else 70.0
        energy_j = 300.0 * (at_s - self.started_s)
        return DeviceState(at_s, HostState(), GpuState("GPU-1", power_w=power_w, energy_j=energy_j))


@pytest.fixture
def watched(device: DeviceBackend, monkeypatch: pytest.MonkeyPatch) -> Played:
    found = Played(device)
    monkeypatch.setattr("harness.runner.open_telemetry", found.open)
    return found


@pytest.fixture
def played(watched: Played, monkeypatch: pytest.MonkeyPatch) -> Played:
    """Watched for a quarter of the usual times: it is read five times as often as a real one."""
    monkeypatch.setattr(watching, "IDLE_TIME_S", watching.IDLE_TIME_S / 4)
    brief = partial(measure_energy, time_s=ENERGY_TIME_S / 4)
    monkeypatch.setattr("harness.runner.measure_energy", brief)
    soon = partial(estimate_energy, min_window_s=MIN_WINDOW_S / 4)
    monkeypatch.setattr("harness.measuring.estimate_energy", soon)
    return watched


def test_the_idle_power_is_read_before_anything_is_built_and_building_is_not_kept(
    onnx_toy: Callable[..., Path],
    device: DeviceBackend,
    execute: Callable[..., Record],
    watched: Played,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build, built_s = device.build, list[float]()

    def slowly(*arguments: Any) -> Any:
        built_s.append(time.monotonic())
        found = build(*arguments)
        watched.states()
        time.sleep(0.5)
        built_s.append(time.monotonic())
        return found

    monkeypatch.setattr(device, "build", slowly)

    record = execute(onnx_toy(), device, energy=False)

    assert watched.asked == [True]
    assert record.idle_power_w == 70.0
    times_s = [state.monotonic_s for state in record.telemetry]
    before = [at_s for at_s in times_s if at_s < built_s[0]]
    assert before[-1] - before[0] >= 1.0
    assert not [at_s for at_s in times_s if built_s[0] < at_s < built_s[1] - 0.05]
    assert times_s[len(before)] < record.blocks[0].started_s < times_s[-1]


def test_a_run_on_the_cpu_is_not_judged_by_the_gpu(
    onnx_toy: Callable[..., Path],
    execute: Callable[..., Record],
    played: Played,
) -> None:
    record = execute(onnx_toy(), OnnxRuntimeBackend(threads=1), energy=False)

    assert played.asked == [False]
    assert record.idle_power_w is None


def test_one_backend_on_the_gpu_is_enough(
    onnx_toy: Callable[..., Path],
    device: DeviceBackend,
    execute: Callable[..., Record],
    played: Played,
) -> None:
    execute(onnx_toy(), OnnxRuntimeBackend(threads=1), device, energy=False)

    assert played.asked == [True]


@pytest.mark.parametrize(("mode", "is_measured"), [(HOT, True), (COLD, False)])
@pytest.mark.usefixtures("played")
def test_the_energy_of_cold_launches_is_not_that_of_hot_ones(
    onnx_toy: Callable[..., Path],
    device: DeviceBackend,
    execute: Callable[..., Record],
    mode: str,
    is_measured: bool,
) -> None:
    # What is simulated takes no energy.
    device.clocks[1] = MadeUp("enqueue clock", 3e-3)
    for clock in device.clocks:
        clock.cold = lambda clock=clock: clock  # type: ignore[attr-defined]

    record = execute(onnx_toy(), device, arrival=Arrival(mode), canary=False)

    energies = [m.energy_j for m in record.measurements if m.component == "pipeline"]
    assert len(energies) == 2
    assert [energy_j is not None for energy_j in energies] == [is_measured] * 2


def test_a_gpu_without_a_canary_is_told_of(
    onnx_toy: Callable[..., Path], device: DeviceBackend, execute: Callable[..., Record]
) -> None:
    def whats(*backends: Backend, **options: Any) -> list[str]:
        record = execute(onnx_toy(), *backends, telemetry=False, **options)
        assert record.validity is not None
        return [f.what for f in record.validity.findings if "canary" in f.what]

    assert whats(device) == [
        "no canary of the GPU: only TensorRT in this process launches it",
    ]
    assert whats(device, canary=False) == []
    assert whats(OnnxRuntimeBackend(threads=1)) == []


@pytest.mark.parametrize(
    ("backend", "uses_gpu"),
    [
        (TorchBackend, False),
        (OnnxRuntimeBackend, False),
        (TorchCudaBackend, True),
        (OnnxRuntimeCudaBackend, True),
        (TensorRTBackend, True),
    ],
)
def test_every_backend_says_whether_it_uses_the_gpu(backend: Any, uses_gpu: bool) -> None:
    assert backend.uses_gpu is uses_gpu


BLOCKING, TF32 = "CUDA_LAUNCH_BLOCKING", "NVIDIA_TF32_OVERRIDE"


@pytest.mark.parametrize(
    ("precision", "flagged"),
    [("fp16", {BLOCKING: FLAG}), ("fp32", {BLOCKING: FLAG, TF32: FLAG}), (None, {})],
)
def test_variables_that_change_figures_are_told_in_the_record_and_the_report(
    onnx_toy: Callable[..., Path],
    device: DeviceBackend,
    execute: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
    precision: str | None,
    flagged: dict[str, str],
) -> None:
    for name in (BLOCKING, TF32, "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(device, "precision", precision)
    backend = device if precision else OnnxRuntimeBackend(threads=1)

    record = execute(onnx_toy(), backend, telemetry=False, canary=False)

    assert record.validity is not None
    told = {f.what.split("=")[0].split(" ")[0]: f.level for f in record.validity.findings}
    told = {name: level for name, level in told.items() if "_" in name}
    assert told == {"OMP_NUM_THREADS": NOTE, **flagged}
    report = state_sentences(record)
    sentence = "flag: CUDA_LAUNCH_BLOCKING is set: the host waits for every kernel; unset"
    assert any(one.startswith(sentence) for one in report) == (BLOCKING in flagged)


def test_variables_are_told_by_a_process_that_prepares_nothing(
    onnx_toy: Callable[..., Path],
    device: DeviceBackend,
    cache: Cache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "1")
    sampling = SamplingPlan(max_samples=2, warmup_s=0.0, block_s=0.02)
    options = RunOptions((Case(0.5, 1),), sampling, canary=False, telemetry=False)
    pipeline, clock = load_pipeline(onnx_toy()), MadeUp("the run's clock", 7e-3)
    _, (made,) = Run(pipeline, [device], cache, options, clock).rehearse()

    record = Run(pipeline, [device], cache, options, clock, ready=made).execute().record

    assert record.validity is not None
    assert any(f.what.startswith("CUDA_LAUNCH_BLOCKING") for f in record.validity.findings)


def test_builds_are_numbered_from_where_they_are_told_to_begin(
    onnx_toy: Callable[..., Path], device: DeviceBackend, cache: Cache
) -> None:
    options = RunOptions((Case(0.5, 1),), canary=False, telemetry=False)
    pipeline, clock = load_pipeline(onnx_toy()), MadeUp("the run's clock", 7e-3)
    run = Run(pipeline, [device], cache, options, clock)
    result, made = run.rehearse(Builds(2, first=3, series="an experiment"))

    assert len(made) == 2
    assert {engine.details["build"] for engine in result.record.engines} == {3, 4}
