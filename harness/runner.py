"""One run: export, open, check, measure; its result is one record."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from harness.arrivals import Arrival, Subject, Work, check_arrival, measure_arrival
from harness.artifacts.worker import WorkerPool
from harness.backends.gpu import has_gpu, read_gpu
from harness.backends.protocol import variant_of
from harness.cases import accuracy_count
from harness.checks import Check, check_components
from harness.describe import (
    describe_accuracy,
    describe_artifact,
    describe_budget,
    describe_calibration,
    describe_costs,
    describe_engine,
    describe_inputs,
    describe_missing,
    find_floor,
)
from harness.measure.environment import available_cores, describe_environment
from harness.measure.sampler import Group, SamplingPlan, sample_in_turn
from harness.observer import Observer, SilentObserver
from harness.pipeline.feeds import accuracy_inputs, check_seed, recording_inputs
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.prepare import BuildOptions, Prepared, build_backends, prepare_backends
from harness.reference import (
    Feed,
    Reference,
    check_same_weights,
    seek_reference,
    why_no_reference,
)
from harness.types import HOT, Case, Ceilings, ComponentCost, Engine, Measurement, Record, Variant
from harness.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from harness.artifacts.cache import Cache
    from harness.audio import Recording
    from harness.backends.protocol import Backend, Built, Series, Session
    from harness.measure.clock import Clock
    from harness.pipeline.pipeline import Pipeline


@dataclass(frozen=True)
class RunOptions:
    """What to run: the cases, what is fed, and how long to measure."""

    cases: tuple[Case, ...]
    sampling: SamplingPlan = field(default_factory=SamplingPlan)
    seed: int = 0
    build: BuildOptions = field(default_factory=BuildOptions)
    recording: Recording | None = None
    command: tuple[str, ...] = ()
    arrival: Arrival = field(default_factory=Arrival)

    def __post_init__(self) -> None:
        """Refuse a seed that no generator takes."""
        check_seed(self.seed)


@dataclass(frozen=True)
class RunResult:
    """The record of a run, why it lacks a reference if it does, and the audio it made."""

    record: Record
    no_reference: str
    audio: NDArray[np.float32] | None


@dataclass(frozen=True)
class _Key:
    variant: Variant
    component: str


@dataclass(frozen=True)
class _Known:
    """What labels the samples of a series."""

    check: Check
    clock: Clock
    threads: int


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
        self._backends = {variant_of(backend): backend for backend in backends}
        self._cache = cache
        self._options = options
        self._clock = clock
        self._observer = observer or SilentObserver()
        self._prepared = Prepared({}, None)
        self._built: dict[Variant, Mapping[str, Built]] = {}
        self._engines: list[Engine] = []
        self._costs: tuple[ComponentCost, ...] = ()
        self._ceilings: Ceilings | None = None
        self._measurements: list[Measurement] = []
        self._phases_s: dict[str, float] = {}
        # Before anything runs: the load is then that of others.
        self._environment = describe_environment(pipeline.root)
        self._environment["gpu"] = asdict(read_gpu()) if has_gpu() else None
        self._audio: NDArray[np.float32] | None = None
        self._no_reference = why_no_reference(pipeline, options.build.foreign)

    def execute(self) -> RunResult:
        """Do the whole run; an interruption while measuring keeps what was measured.

        Raises:
            HarnessError: a part of the run is impossible; nothing is recorded.
            KeyboardInterrupt: before anything was measured.
        """
        check_arrival(self._options.arrival, self._options.cases, self._backends.values())
        for backend in self._backends.values():
            backend.check_can_run()
        # The inputs come first: where they are wrong, no export is waited for.
        feeds = self._all_feeds()
        with WorkerPool() as pool:
            if any(b.graph_precision is not None for b in self._backends.values()):
                self._prepare(pool)
            references = self._references(feeds, pool)
            self._build(pool)
        self._inspect(feeds)
        self._look_up_costs()
        is_complete = True
        # Every session that was opened is closed, also where another cannot be.
        with ExitStack() as opened:
            sessions = self._open(opened)
            try:
                for case in self._options.cases:
                    self._run_case(case, feeds[case], references.get(case), sessions)
            except KeyboardInterrupt:
                if not self._measurements:
                    raise
                is_complete = False
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

    def _prepare(self, pool: WorkerPool) -> None:
        with self._timed("build"):
            self._prepared = prepare_backends(
                self._pipeline,
                self._backends.values(),
                self._options.build,
                self._cache,
                pool,
                self._observer,
            )

    def _build(self, pool: WorkerPool) -> None:
        with self._timed("build"):
            self._built = build_backends(
                self._pipeline, self._backends, self._prepared, self._cache, pool, self._observer
            )

    def _all_feeds(self) -> dict[Case, list[Feed]]:
        self._observer.phase("Making the inputs", len(self._options.cases))
        feeds = {}
        with self._timed("inputs"):
            for case in self._options.cases:
                feeds[case] = self._feeds(case)
                self._observer.step(str(case))
        return feeds

    def _feeds(self, case: Case) -> list[Feed]:
        """The input that is timed, and after it those on which accuracy is taken as well."""
        sizes = self._sizes(case)
        recording = self._options.recording
        if recording is not None:
            return [recording_inputs(self._pipeline, recording.samples, sizes)]
        count = 1 if self._no_reference else accuracy_count(case)
        return accuracy_inputs(self._pipeline, sizes, seed=self._options.seed, count=count)

    def _sizes(self, case: Case) -> dict[str, int]:
        return self._pipeline.sizes(duration_s=case.duration_s, batch=case.batch)

    def _references(
        self, feeds: Mapping[Case, list[Feed]], pool: WorkerPool
    ) -> dict[Case, Reference]:
        if self._no_reference:
            return {}
        self._observer.phase("Reference (PyTorch fp32)", len(feeds))
        references: dict[Case, Reference] = {}
        foreign = self._options.build.foreign
        with self._timed("reference"):
            for case, several in feeds.items():
                found = seek_reference(
                    self._pipeline,
                    self._sizes(case),
                    several,
                    self._cache,
                    pool,
                    threads=available_cores(),
                    foreign=foreign,
                )
                if found is not None:
                    references[case] = found
                    for models in self._prepared.models.values():
                        check_same_weights(found, models, str(self._pipeline.manifest))
                self._observer.step(str(case))
        missing = [case for case in feeds if case not in references]
        if missing and foreign is not None:
            self._no_reference = describe_missing(
                self._pipeline, missing, foreign, self._options.recording, self._options.seed
            )
        return references

    def _inspect(self, feeds: Mapping[Case, list[Feed]]) -> None:
        """Look into each variant at the largest case."""
        case = max(self._options.cases, key=lambda case: (case.duration_s or 1.0) * case.batch)
        self._observer.phase("Looking into the graphs", len(self._backends))
        with self._timed("inspect"):
            for variant, backend in self._backends.items():
                built = self._built[variant]
                found = backend.inspect(self._pipeline, built, self._sizes(case), feeds[case][0])
                self._engines.extend(
                    describe_engine(variant, case, name, built.get(name), inspection)
                    for name, inspection in found.items()
                )
                self._observer.step(str(variant))

    def _look_up_costs(self) -> None:
        """What the graphs must do, and what the device can: where there is a device."""
        found = (backend.ceilings(self._cache) for backend in self._backends.values())
        self._ceilings = next(filter(None, found), None)
        if self._ceilings is not None:
            self._costs = describe_costs(self._pipeline, self._prepared, self._options.cases)

    def _open(self, opened: ExitStack) -> dict[Variant, Session]:
        self._observer.phase("Loading", len(self._backends))
        sessions = {}
        with self._timed("load"):
            for variant, backend in self._backends.items():
                session = backend.open(self._pipeline, self._built[variant])
                opened.callback(session.close)
                sessions[variant] = session
                self._observer.step(str(variant))
        return sessions

    def _run_case(
        self,
        case: Case,
        feeds: Sequence[Feed],
        reference: Reference | None,
        sessions: Mapping[Variant, Session],
    ) -> None:
        known: dict[_Key, _Known] = {}
        groups: list[Group[_Key]] = []
        subjects: list[Subject] = []
        arrival = self._options.arrival
        self._observer.phase(f"Checking {case}", len(sessions))
        with self._timed("check"):
            for variant, session in sessions.items():
                checks = check_components(
                    self._pipeline, self._sizes(case), session, feeds, reference
                )
                backend, built = self._backends[variant], self._built[variant]
                subjects.append(Subject(backend, session, built, checks[WHOLE_PIPELINE]))
                for series in () if arrival.is_whole else session.series():
                    labels, group = self._label(variant, series, checks)
                    known |= labels
                    groups.append(group)
                self._observer.step(str(variant))
            self._keep_audio(next(iter(sessions.values())))
        samples: dict[_Key, list[float]] = {}
        self._observer.phase(f"Measuring {case}", 1)
        plan, on_round = self._options.sampling, self._observer.fraction
        try:
            with self._timed("measure"):
                if arrival.is_whole:
                    work, kept = Work(self._pipeline, case, feeds[0]), self._measurements
                    measure_arrival(arrival, work, subjects, plan, kept, on_round=on_round)
                else:
                    sample_in_turn(groups, plan, samples, on_round=on_round)
        finally:
            # Also after an interruption: the blocks that are complete are kept.
            self._keep(case, known, {key: taken for key, taken in samples.items() if taken})
        self._observer.step("")

    def _label(
        self, variant: Variant, series: Series, checks: Mapping[str, Check]
    ) -> tuple[dict[_Key, _Known], Group[_Key]]:
        """What a series' samples are labelled with, and what the sampler takes of it."""
        clock = series.clock or self._clock
        launched = replace(variant, launch=series.launch)
        threads = self._backends[variant].threads
        # A copy is no component: it is neither loaded nor checked.
        none = Check(load_s=0.0, first_s=0.0)
        known = {
            _Key(launched, name): _Known(checks.get(name, none), clock, threads)
            for name in series.targets
        }
        targets = {_Key(launched, name): launch for name, launch in series.targets.items()}
        return known, Group(targets, clock)

    def _keep_audio(self, session: Session) -> None:
        audio = self._pipeline.declaration.audio
        if audio is None or self._options.recording is None:
            return
        component, _, output = audio.output.partition(".")
        self._audio = session.read(component, output)[0]

    def _keep(
        self,
        case: Case,
        known: Mapping[_Key, _Known],
        samples: Mapping[_Key, Sequence[float]],
    ) -> None:
        for key, latency_s in samples.items():
            variant, label = key.variant, known[key]
            self._measurements.append(
                Measurement(
                    component=key.component,
                    backend=variant.backend,
                    precision=variant.precision,
                    route=variant.route,
                    launch=variant.launch,
                    mode=HOT,
                    clock=label.clock.name,
                    duration_s=case.duration_s,
                    batch=case.batch,
                    threads=label.threads,
                    load_s=label.check.load_s,
                    first_s=label.check.first_s,
                    latency_s=tuple(latency_s),
                    **describe_accuracy(label.check),
                    min_snr_db=find_floor(self._pipeline, key.component, variant.precision),
                    simulated=label.clock.is_simulated,
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
            inputs=describe_inputs(self._options.recording, self._options.seed),
            budget=describe_budget(self._pipeline),
            environment=self._environment,
            artifacts=tuple(
                describe_artifact(model)
                for models in self._prepared.models.values()
                for model in models.values()
            ),
            engines=tuple(self._engines),
            calibration=describe_calibration(self._prepared, self._options.build.rule),
            measurements=tuple(self._measurements),
            is_complete=is_complete,
            phases_s=dict(self._phases_s),
            costs=self._costs,
            ceilings=self._ceilings,
        )
