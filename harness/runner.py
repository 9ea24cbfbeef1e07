"""One run: export, open, check, measure; its result is one record."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.artifacts.export import DEFAULT_OPSET, OnnxModel, export_pipeline
from harness.artifacts.worker import WorkerPool
from harness.checks import Check, check_components
from harness.errors import OptionError
from harness.measure.environment import available_cores, describe_environment
from harness.measure.sampler import SamplingPlan, sample_in_turn
from harness.observer import Observer, SilentObserver
from harness.pipeline.feeds import recording_inputs, synthetic_inputs
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.reference import (
    Reference,
    check_same_weights,
    find_or_make_reference,
    why_no_reference,
)
from harness.types import Artifact, Budget, Case, Measurement, Record
from harness.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from harness.artifacts.cache import Cache
    from harness.audio import Recording
    from harness.backends.protocol import Backend, Session
    from harness.measure.clock import Clock
    from harness.pipeline.pipeline import Pipeline

HOT = "hot"


@dataclass(frozen=True)
class RunOptions:
    """What to run: the cases, what is fed, and how long to measure."""

    cases: tuple[Case, ...]
    sampling: SamplingPlan = field(default_factory=SamplingPlan)
    seed: int = 0
    opset: int = DEFAULT_OPSET
    recording: Recording | None = None
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a seed that no generator takes."""
        if self.seed < 0:
            raise OptionError(f"the seed is {self.seed}", where="--seed", fix="give 0 or more")


@dataclass(frozen=True)
class RunResult:
    """The record of a run, why it lacks a reference if it does, and the audio it made."""

    record: Record
    no_reference: str
    audio: NDArray[np.float32] | None


@dataclass(frozen=True)
class _Key:
    backend: str
    component: str


class Run:
    """The state of one run; ``execute()`` may be called once."""

    def __init__(
        self,
        pipeline: Pipeline,
        backends: Sequence[Backend],
        cache: Cache,
        options: RunOptions,
        clock: Clock,
        observer: Observer | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._backends = {backend.name: backend for backend in backends}
        self._cache = cache
        self._options = options
        self._clock = clock
        self._observer = observer or SilentObserver()
        self._models: dict[str, OnnxModel] = {}
        self._measurements: list[Measurement] = []
        self._phases_s: dict[str, float] = {}
        # Before anything runs: the load is then that of others.
        self._environment = describe_environment(pipeline.root)
        self._audio: NDArray[np.float32] | None = None
        self._no_reference = why_no_reference(pipeline)

    def execute(self) -> RunResult:
        """Do the whole run; an interruption while measuring keeps what was measured.

        Raises:
            HarnessError: a part of the run is impossible; nothing is recorded.
            KeyboardInterrupt: before anything was measured.
        """
        # The inputs come first: where they are wrong, no export is waited for.
        feeds = self._feeds()
        with WorkerPool() as pool:
            if any(backend.needs_export for backend in self._backends.values()):
                self._export(pool)
            references = self._references(feeds, pool)
        sessions = self._open()
        is_complete = True
        try:
            for case in self._options.cases:
                self._run_case(case, feeds[case], references.get(case), sessions)
        except KeyboardInterrupt:
            if not self._measurements:
                raise
            is_complete = False
        finally:
            for session in sessions.values():
                session.close()
        record = self._record(is_complete=is_complete)
        return RunResult(record=record, no_reference=self._no_reference, audio=self._audio)

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self._phases_s[phase] = self._phases_s.get(phase, 0.0) + spent

    def _export(self, pool: WorkerPool) -> None:
        self._observer.phase("Exporting to ONNX", len(self._pipeline.components))
        with self._timed("export"):
            self._models = export_pipeline(
                self._pipeline,
                self._cache,
                pool,
                opset=self._options.opset,
                on_done=lambda model: self._observer.step(
                    f"{model.component}: "
                    + ("cached" if model.was_cached else f"{model.export_s:.1f} s")
                ),
            )

    def _feeds(self) -> dict[Case, dict[str, NDArray[Any]]]:
        self._observer.phase("Making the inputs", len(self._options.cases))
        feeds = {}
        with self._timed("inputs"):
            for case in self._options.cases:
                feeds[case] = self._feed(case)
                self._observer.step(str(case))
        return feeds

    def _feed(self, case: Case) -> dict[str, NDArray[Any]]:
        sizes = self._sizes(case)
        recording = self._options.recording
        if recording is not None:
            return recording_inputs(self._pipeline, recording.samples, sizes)
        return synthetic_inputs(self._pipeline, sizes, seed=self._options.seed)

    def _sizes(self, case: Case) -> dict[str, int]:
        return self._pipeline.sizes(duration_s=case.duration_s, batch=case.batch)

    def _references(
        self, feeds: Mapping[Case, dict[str, NDArray[Any]]], pool: WorkerPool
    ) -> dict[Case, Reference]:
        if self._no_reference:
            return {}
        self._observer.phase("Reference (PyTorch fp32)", len(feeds))
        references = {}
        with self._timed("reference"):
            for case, inputs in feeds.items():
                references[case] = find_or_make_reference(
                    self._pipeline,
                    self._sizes(case),
                    inputs,
                    self._cache,
                    pool,
                    threads=available_cores(),
                )
                check_same_weights(references[case], self._models, str(self._pipeline.manifest))
                self._observer.step(str(case))
        return references

    def _open(self) -> dict[str, Session]:
        self._observer.phase("Loading", len(self._backends))
        paths = {name: model.path for name, model in self._models.items()}
        sessions = {}
        with self._timed("load"):
            for name, backend in self._backends.items():
                sessions[name] = backend.open(self._pipeline, paths)
                self._observer.step(name)
        return sessions

    def _run_case(
        self,
        case: Case,
        inputs: dict[str, NDArray[Any]],
        reference: Reference | None,
        sessions: Mapping[str, Session],
    ) -> None:
        series: dict[_Key, Check] = {}
        groups: list[dict[_Key, Callable[[], None]]] = []
        with self._timed("check"):
            for name, session in sessions.items():
                session.bind(self._sizes(case), inputs)
                checks = check_components(self._pipeline, self._sizes(case), session, reference)
                series |= {_Key(name, component): check for component, check in checks.items()}
                groups.append(_targets(name, session, self._pipeline))
            self._keep_audio(next(iter(sessions.values())))
        samples: dict[_Key, list[float]] = {}
        self._observer.phase(f"Measuring {case}", 1)
        try:
            with self._timed("measure"):
                sample_in_turn(
                    groups,
                    self._clock,
                    self._options.sampling,
                    samples,
                    on_round=self._observer.fraction,
                )
        finally:
            # Also after an interruption: the blocks that are complete are kept.
            self._keep(case, series, {key: taken for key, taken in samples.items() if taken})
        self._observer.step("")

    def _keep_audio(self, session: Session) -> None:
        audio = self._pipeline.declaration.audio
        if audio is None or self._options.recording is None:
            return
        component, _, output = audio.output.partition(".")
        self._audio = session.read(component, output)[0]

    def _keep(
        self,
        case: Case,
        series: Mapping[_Key, Check],
        samples: Mapping[_Key, Sequence[float]],
    ) -> None:
        for key, latency_s in samples.items():
            backend, known = self._backends[key.backend], series[key]
            self._measurements.append(
                Measurement(
                    component=key.component,
                    backend=backend.name,
                    precision=backend.precision,
                    mode=HOT,
                    clock=self._clock.name,
                    duration_s=case.duration_s,
                    batch=case.batch,
                    threads=backend.threads,
                    load_s=known.load_s,
                    first_s=known.first_s,
                    latency_s=tuple(latency_s),
                    snr_db=known.accuracy.snr_db if known.accuracy else None,
                    relative_l2=known.accuracy.relative_l2 if known.accuracy else None,
                    min_snr_db=_floor(self._pipeline, key.component, backend.precision),
                    simulated=self._clock.is_simulated,
                )
            )

    def _record(self, *, is_complete: bool) -> Record:
        now = dt.datetime.now(dt.timezone.utc)
        return Record(
            record_id=f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
            created_utc=now.isoformat(timespec="seconds"),
            harness_version=__version__,
            pipeline=self._pipeline.name,
            command=self._options.command,
            inputs=self._describe_inputs(),
            budget=_budget(self._pipeline),
            environment=self._environment,
            artifacts=tuple(
                Artifact(
                    component=model.component,
                    content_hash=model.content_hash,
                    size_bytes=model.size_bytes,
                    parameters=model.parameters,
                    worst_relative_l2=model.worst_relative_l2,
                )
                for model in self._models.values()
            ),
            measurements=tuple(self._measurements),
            is_complete=is_complete,
            phases_s=dict(self._phases_s),
        )

    def _describe_inputs(self) -> dict[str, Any]:
        recording = self._options.recording
        if recording is None:
            return {"kind": "synthetic", "seed": self._options.seed}
        return {
            "kind": "recording",
            "file": recording.path.name,
            "content_hash": recording.content_hash,
            "source_rate_hz": recording.source_rate_hz,
        }


def _targets(backend: str, session: Session, pipeline: Pipeline) -> dict[_Key, Callable[[], None]]:
    def launcher(component: str) -> Callable[[], None]:
        return lambda: session.launch(component)

    targets = {_Key(backend, name): launcher(name) for name in pipeline.order}
    targets[_Key(backend, WHOLE_PIPELINE)] = session.launch_pipeline
    return targets


def _floor(pipeline: Pipeline, component: str, precision: str) -> float | None:
    declared = pipeline.components.get(component)
    floors = [declared.min_snr_db] if declared else []
    for group in (*floors, pipeline.declaration.min_snr_db):
        for name, floor_db in group.items():
            if name == precision:
                return floor_db
    return None


def _budget(pipeline: Pipeline) -> Budget | None:
    declared = pipeline.declaration.budget
    if declared is None:
        return None
    return Budget(
        p99_s=declared.p99_s,
        duration_s=declared.duration_s if pipeline.time_dimension else None,
        batch=declared.batch,
        includes=declared.includes,
        excludes=declared.excludes,
    )


def default_cases(pipeline: Pipeline) -> tuple[Case, ...]:
    """The cases that the pipeline declares: every duration at every batch."""
    durations: tuple[float | None, ...] = pipeline.declaration.durations_s
    budget = pipeline.declaration.budget
    if not durations and budget is not None and pipeline.time_dimension is not None:
        durations = (budget.duration_s,)
    return tuple(
        Case(duration_s, batch)
        for batch in pipeline.declaration.batches
        for duration_s in durations or (None,)
    )
