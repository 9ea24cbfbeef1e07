"""What telemetry costs the work beside it: blocks of the same work, with it and without."""

from __future__ import annotations

import gc
import statistics
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from harness.artifacts.worker import WorkerPool
from harness.backends.gpu import has_gpu, read_gpu
from harness.backends.protocol import variant_of
from harness.backends.simulated import is_simulated
from harness.errors import MeasurementError, OptionError
from harness.measure.clock import HostClock
from harness.measure.telemetry import DEFAULT_INTERVAL_S
from harness.measure.telemetry_process import TelemetryProcess
from harness.pipeline.feeds import synthetic_inputs
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.prepare import BuildOptions, build_backends, prepare_backends
from harness.stats.host_load import HostLimits, host_findings
from harness.stats.overhead import (
    BLOCKS_OF_GROUP,
    Effect,
    estimate_median_effect,
    estimate_tail_effect,
    is_on,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from harness.artifacts.cache import Cache
    from harness.backends.protocol import Backend, Built, Session
    from harness.measure.clock import Clock
    from harness.observer import Observer
    from harness.pipeline.pipeline import Pipeline
    from harness.states import Finding
    from harness.types import Case

_WARMUP_S: Final = 1.0
# A block is one list of launches: with very short ones it ends before its time.
_MAX_PASSES: Final = 20_000


class Switched(Protocol):
    """What can be switched off and on while work is measured."""

    @property
    def problem(self) -> str:
        """Why it does not do what it should; empty if it does."""

    def pause(self) -> None:
        """Off; returns when it is."""

    def resume(self) -> None:
        """On."""


@dataclass(frozen=True)
class OverheadOptions:
    """What to launch again and again, for how long, and how often telemetry reads meanwhile."""

    case: Case
    component: str = WHOLE_PIPELINE
    time_s: float = 60.0
    block_s: float = 0.5
    interval_s: float = DEFAULT_INTERVAL_S
    seed: int = 0
    build: BuildOptions = field(default_factory=BuildOptions)

    def __post_init__(self) -> None:
        """Refuse times in which nothing could be told."""
        if not self.interval_s > 0:
            raise OptionError(f"{self.interval_s:g} s", where="--interval", fix="more than 0 s")
        if not self.block_s >= self.interval_s:
            what = f"a block of {self.block_s:g} s, and a reading every {self.interval_s:g} s"
            raise OptionError(what, where="--block", fix="let a block have a reading")
        least_s = BLOCKS_OF_GROUP * self.block_s
        if not self.time_s >= least_s:
            what = f"{self.time_s:g} s, and four blocks take {least_s:g} s"
            raise OptionError(what, where="--time", fix="give more time, or shorten --block")


@dataclass(frozen=True)
class OverheadResult:
    """What was measured of, and telemetry's effects; ``problem`` says what it did not read.

    A group took about ``group_s``, and ``findings`` are what the readings tell of the machine.
    """

    pipeline: str
    component: str
    variant: str
    case: str
    clock: str
    gpu_uuid: str | None
    interval_s: float
    block_passes: int
    groups: int
    readings: int
    effects: tuple[Effect, ...]
    problem: str = ""
    group_s: float = 0.0
    findings: tuple[Finding, ...] = ()


def measure_overhead(
    pipeline: Pipeline,
    backend: Backend,
    cache: Cache,
    options: OverheadOptions,
    observer: Observer,
) -> OverheadResult:
    """Build ``backend``'s part, open it once, and launch it with telemetry on and off in turn.

    Raises:
        HarnessError: what is asked for cannot be run.
        MeasurementError: telemetry ended meanwhile.
    """
    _check_component(pipeline, options.component)
    if is_simulated([backend]):
        fix = "name another with --backend"
        raise OptionError("what is simulated costs nothing", where="--backend", fix=fix)
    backend.check_can_run()
    built = _build(pipeline, backend, cache, options, observer)
    gpu_uuid = read_gpu().uuid if has_gpu() else None
    with ExitStack() as opened:
        session = backend.open(pipeline, built)
        opened.callback(session.close)
        launched, clock, launch = _bind(pipeline, session, options)
        telemetry = opened.enter_context(TelemetryProcess(gpu_uuid, interval_s=options.interval_s))
        before = len(telemetry.states())
        observer.phase("Measuring with telemetry and without", 1)
        started_s = time.monotonic()
        blocks = measure_blocks(launch, clock, telemetry, options, observer.fraction)
        spent_s = time.monotonic() - started_s - _WARMUP_S
        states, problem = telemetry.states()[before:], telemetry.problem
    groups = len(blocks) // BLOCKS_OF_GROUP
    return OverheadResult(
        pipeline=pipeline.name,
        component=options.component,
        variant=f"{variant_of(backend)}, {launched}",
        case=str(options.case),
        clock=clock.name,
        gpu_uuid=gpu_uuid,
        interval_s=options.interval_s,
        block_passes=len(blocks[0]),
        groups=groups,
        readings=len(states),
        effects=(estimate_median_effect(blocks), estimate_tail_effect(blocks)),
        problem=problem,
        group_s=spent_s / groups,
        findings=tuple(host_findings([state.host for state in states], HostLimits())),
    )


def measure_blocks(
    launch: Callable[[], None],
    clock: Clock,
    telemetry: Switched,
    options: OverheadOptions,
    on_progress: Callable[[float], None] = lambda _: None,
) -> list[NDArray[np.float64]]:
    """Samples (seconds) of whole groups of blocks, ``telemetry`` being on in every second pair.

    All blocks have as many launches, of about ``block_s`` in all. Another group begins only if it
    is likely to end within ``time_s``; there is one in any case.

    Raises:
        MeasurementError: telemetry ended meanwhile.
    """
    telemetry.pause()
    launches = [launch] * _count_passes(launch, clock, options.block_s)
    blocks: list[NDArray[np.float64]] = []
    problem = telemetry.problem
    started = time.monotonic()
    with _no_garbage_collection():
        while True:
            for _ in range(BLOCKS_OF_GROUP):
                (telemetry.resume if is_on(len(blocks)) else telemetry.pause)()
                blocks.append(np.array(clock.time_block(launches)))
            if telemetry.problem != problem:
                raise MeasurementError(
                    telemetry.problem, where="telemetry", fix="measure again; is there memory?"
                )
            spent_s = time.monotonic() - started
            done = len(blocks) // BLOCKS_OF_GROUP
            on_progress(min(1.0, spent_s / options.time_s))
            if spent_s * (done + 1) / done > options.time_s:
                return blocks


def _count_passes(launch: Callable[[], None], clock: Clock, block_s: float) -> int:
    """Warm up, and tell how many launches fill a block."""
    took_s: list[float] = []
    started = time.monotonic()
    while len(took_s) < 2 or time.monotonic() - started < _WARMUP_S:  # noqa: PLR2004
        begun = time.perf_counter()
        clock.time_block([launch] * 8)
        # By the host's clock, with all that a launch takes beside what is timed.
        took_s.append((time.perf_counter() - begun) / 8)
    typical_s = statistics.median(took_s[len(took_s) // 2 :])
    return max(1, min(_MAX_PASSES, int(block_s / max(typical_s, 1e-9))))


def _check_component(pipeline: Pipeline, component: str) -> None:
    if component not in {*pipeline.components, WHOLE_PIPELINE}:
        what = f"{pipeline.name} has no component {component!r}"
        fix = f"name one of: {', '.join((*pipeline.components, WHOLE_PIPELINE))}"
        raise OptionError(what, where="--component", fix=fix)


def _build(
    pipeline: Pipeline,
    backend: Backend,
    cache: Cache,
    options: OverheadOptions,
    observer: Observer,
) -> Mapping[str, Built]:
    variant = variant_of(backend)
    with WorkerPool() as pool:
        prepared = prepare_backends(pipeline, [backend], options.build, cache, pool, observer)
        return build_backends(pipeline, {variant: backend}, prepared, cache, pool, observer)[
            variant
        ]


def _bind(
    pipeline: Pipeline, session: Session, options: OverheadOptions
) -> tuple[str, Clock, Callable[[], None]]:
    """What to launch, and how and by which clock; every component has run once before."""
    sizes = pipeline.sizes(duration_s=options.case.duration_s, batch=options.case.batch)
    session.bind(sizes, synthetic_inputs(pipeline, sizes, seed=options.seed))
    session.launch_pipeline()
    series = next(one for one in session.series() if options.component in one.targets)
    return series.launch, series.clock or HostClock(), series.targets[options.component]


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
