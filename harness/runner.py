"""One run: export, open, check, measure; its result is one record."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from harness.backends.gpu import has_gpu, read_gpu
from harness.backends.protocol import variant_of
from harness.checks import Check, check_components, with_accuracy
from harness.describe import (
    describe_accuracy,
    describe_artifact,
    describe_budget,
    describe_calibration,
    describe_inputs,
    find_floor,
)
from harness.measure.environment import describe_environment
from harness.measure.sampler import Group, SamplingPlan, sample_in_turn
from harness.observer import Observer, SilentObserver
from harness.pipeline.feeds import check_seed
from harness.prepare import BuildOptions
from harness.ready import Preparation, Ready, Wanted
from harness.types import HOT, Case, Measurement, Record, Variant
from harness.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from harness.artifacts.cache import Cache
    from harness.audio import Recording
    from harness.backends.protocol import Backend, Series, Session
    from harness.measure.clock import Clock
    from harness.pipeline.pipeline import Pipeline


@dataclass(frozen=True)
class RunOptions:
    """What to run: the cases, what is fed, and how long to measure.

    ``components`` are all that is measured, without the whole pipeline; none means everything.
    """

    cases: tuple[Case, ...]
    sampling: SamplingPlan = field(default_factory=SamplingPlan)
    seed: int = 0
    build: BuildOptions = field(default_factory=BuildOptions)
    recording: Recording | None = None
    command: tuple[str, ...] = ()
    components: tuple[str, ...] = ()

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
    """The state of one run; ``execute()`` or ``rehearse()`` may be called once.

    With ``ready`` nothing is prepared: it is measured as it is.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        backends: Sequence[Backend],
        cache: Cache,
        options: RunOptions,
        clock: Clock,
        observer: Observer | None = None,
        ready: Ready | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._backends = {variant_of(backend): backend for backend in backends}
        self._cache = cache
        self._options = options
        self._clock = clock
        self._observer = observer or SilentObserver()
        wanted = Wanted(
            options.cases, options.seed, options.build, options.recording, options.components
        )
        self._preparation = Preparation(
            pipeline, self._backends, cache, wanted, self._observer, self._timed
        )
        self._ready = ready
        self._measurements: list[Measurement] = []
        self._phases_s: dict[str, float] = {}
        # Before anything runs: the load is then that of others.
        # What is ready was made in this environment, and told of there.
        self._environment = {} if ready else describe_environment(pipeline.root)
        self._environment["gpu"] = asdict(read_gpu()) if has_gpu() else None
        self._audio: NDArray[np.float32] | None = None

    def execute(self) -> RunResult:
        """Do the whole run; an interruption while measuring keeps what was measured.

        Raises:
            HarnessError: a part of the run is impossible; nothing is recorded.
            KeyboardInterrupt: before anything was measured.
        """
        for backend in self._backends.values():
            backend.check_can_run()
        ready = self._ready or self._preparation.make()[0]
        is_complete = True
        # Every session that was opened is closed, also where another cannot be.
        with ExitStack() as opened:
            sessions = self._open(ready, opened)
            try:
                for case in self._options.cases:
                    self._run_case(case, ready, sessions)
            except KeyboardInterrupt:
                if not self._measurements:
                    raise
                is_complete = False
        return self._result(is_complete=is_complete)

    def rehearse(
        self, builds: int = 1, *, pins_tactics: bool = False
    ) -> tuple[RunResult, tuple[Ready, ...]]:
        """Do all but the measuring, for each of ``builds``; gives a record without measurements.

        Accuracy is looked at here, once a build, so that all processes that measure do the same.

        Raises:
            HarnessError: a part of the run is impossible.
        """
        for backend in self._backends.values():
            backend.check_can_run()
        made = self._preparation.make(builds=builds, pins_tactics=pins_tactics)
        checked = tuple(replace(ready, checks=self._check_all(ready)) for ready in made)
        return self._result(is_complete=True), checked

    def _check_all(self, ready: Ready) -> dict[Case, dict[Variant, dict[str, Check]]]:
        if not ready.references and self._options.recording is None:
            return {}
        found = {}
        with ExitStack() as opened:
            sessions = self._open(ready, opened)
            for case in self._options.cases:
                found[case] = self._check(case, ready, sessions)
        return found

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self._phases_s[phase] = self._phases_s.get(phase, 0.0) + spent

    def _open(self, ready: Ready, opened: ExitStack) -> dict[Variant, Session]:
        self._observer.phase("Loading", len(self._backends))
        sessions = {}
        with self._timed("load"):
            for variant, backend in self._backends.items():
                session = backend.open(ready.pipeline, ready.built[variant])
                opened.callback(session.close)
                sessions[variant] = session
                self._observer.step(str(variant))
        return sessions

    def _check(
        self, case: Case, ready: Ready, sessions: Mapping[Variant, Session]
    ) -> dict[Variant, dict[str, Check]]:
        """The first inference of each component, and its accuracy; the timed input stays bound."""
        self._observer.phase(f"Checking {case}", len(sessions))
        known = ready.checks.get(case, {})
        found = {}
        with self._timed("check"):
            for variant, session in sessions.items():
                sizes = ready.pipeline.sizes(duration_s=case.duration_s, batch=case.batch)
                checks = check_components(
                    ready.pipeline, sizes, session, ready.feeds[case], ready.references.get(case)
                )
                found[variant] = with_accuracy(checks, known.get(variant, {}))
                self._observer.step(str(variant))
            self._keep_audio(next(iter(sessions.values())))
        return found

    def _run_case(self, case: Case, ready: Ready, sessions: Mapping[Variant, Session]) -> None:
        checks = self._check(case, ready, sessions)
        known: dict[_Key, _Known] = {}
        groups: list[Group[_Key]] = []
        with self._timed("check"):
            for variant, session in sessions.items():
                for series in session.series():
                    labels, group = self._label(variant, series, checks[variant])
                    if labels:
                        known |= labels
                        groups.append(group)
        samples: dict[_Key, list[float]] = {}
        self._observer.phase(f"Measuring {case}", 1)
        try:
            with self._timed("measure"):
                sample_in_turn(
                    groups,
                    self._options.sampling,
                    samples,
                    on_round=self._observer.fraction,
                )
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
        only = self._options.components
        wanted = {n: launch for n, launch in series.targets.items() if not only or n in only}
        known = {
            _Key(launched, name): _Known(checks.get(name, none), clock, threads) for name in wanted
        }
        targets = {_Key(launched, name): launch for name, launch in wanted.items()}
        return known, Group(targets, clock)

    def _keep_audio(self, session: Session) -> None:
        audio = self._pipeline.declaration.audio
        if audio is None or self._options.recording is None:
            return
        component, _, output = audio.output.partition(".")
        if self._options.components and component not in self._options.components:
            return
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

    def _result(self, *, is_complete: bool) -> RunResult:
        record = self._record(is_complete=is_complete)
        return RunResult(record, self._preparation.no_reference, self._audio)

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
                for models in self._preparation.prepared.models.values()
                for model in models.values()
            ),
            engines=tuple(self._preparation.engines),
            calibration=describe_calibration(self._preparation.prepared, self._options.build.rule),
            measurements=tuple(self._measurements),
            is_complete=is_complete,
            phases_s=dict(self._phases_s),
            costs=self._preparation.costs,
            ceilings=self._preparation.ceilings,
        )
