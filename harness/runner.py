"""One run: export, open, check, measure; its result is one record."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.arrivals import Subject, Work, check_arrival, measure_arrival
from harness.backends.canary.series import find_missing, open_canaries
from harness.backends.peers import describe_interpreters
from harness.backends.protocol import variant_of
from harness.backends.simulated import check_simulation, is_simulated
from harness.checks import check_components, with_accuracy
from harness.describe import (
    describe_artifact,
    describe_budget,
    describe_calibration,
    describe_inputs,
    find_floor,
)
from harness.kept import Kept
from harness.labels import (
    Timing,
    check_can_flush,
    describe_series,
    energy_targets,
    label_canary,
    label_series,
)
from harness.measure.environment import describe_environment, relevant_variables
from harness.measuring import CaseMeasuring, Watch, measure_energy
from harness.observer import Observer, SilentObserver
from harness.options import RunOptions
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.ready import ONE_BUILD, Builds, Preparation, Ready, Wanted
from harness.states import Block, Finding, Validity
from harness.stats.fingerprint import variable_findings
from harness.types import COLD, Case, Measurement, Record, Variant
from harness.version import __version__
from harness.watching import Idle, describe_gpu, kept_states, open_telemetry, watch_idle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from harness.artifacts.cache import Cache
    from harness.backends.canary.series import Canary
    from harness.backends.protocol import Backend, Session
    from harness.checks import Check
    from harness.labels import Key, Known
    from harness.measure.clock import Clock
    from harness.measure.sampler import Group
    from harness.measuring import Measured
    from harness.pipeline.pipeline import Pipeline


__all__ = ["Run", "RunOptions", "RunResult"]


@dataclass(frozen=True)
class RunResult:
    """The record of a run, why it lacks a reference if it does, and the audio it made."""

    record: Record
    no_reference: str
    audio: NDArray[np.float32] | None


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
        options = self._options = options.for_backends(backends)
        self._clock = clock
        self._observer = observer or SilentObserver()
        wanted = Wanted(
            options.cases, options.seed, options.build, options.recording, options.components
        )
        self._preparation = Preparation(
            pipeline, self._backends, cache, wanted, self._observer, self._timed
        )
        self._ready = ready
        self._canaries: tuple[Canary, ...] = ()
        self._watch = Watch(tuple, is_of_nothing=is_simulated(backends))
        self._blocks: list[Block] = []
        # In each process: what measures is what the variables bear on.
        self._findings = list(self._of_variables())
        self._idle = Idle()
        self._measured_from_s = float("-inf")
        self._measurements: list[Measurement] = []
        self._phases_s: dict[str, float] = {}
        # Before anything runs, when the load is that of others. What is ready told of it there.
        gpu = describe_gpu()
        self._environment = {"gpu": gpu} if ready else describe_environment(pipeline.root, gpu=gpu)
        self._audio: NDArray[np.float32] | None = None

    def execute(self) -> RunResult:
        """Do the whole run; an interruption while measuring keeps what was measured.

        Raises:
            HarnessError: a part of the run is impossible; nothing is recorded.
            KeyboardInterrupt: before anything was measured.
        """
        self._check_can_run()
        is_complete = True
        # Every session that was opened is closed, also where another cannot be.
        with ExitStack() as opened:
            if self._options.telemetry:
                uses_gpu = any(backend.uses_gpu for backend in self._backends.values())
                telemetry = open_telemetry(self._environment, uses_gpu=uses_gpu)
                self._watch = opened.enter_context(telemetry)
            if not self._ready:
                # Building works the GPU. Where it was done elsewhere, there is none to wait for.
                self._idle = watch_idle(self._watch)
            ready = self._ready or self._preparation.make()[0]
            sessions = self._open(ready, opened)
            self._open_canaries()
            self._measured_from_s = time.monotonic()
            try:
                for case in self._options.cases:
                    self._run_case(case, ready, sessions)
            except KeyboardInterrupt as error:
                if not self._measurements:
                    what = "before a block was complete, so that there is no record"
                    raise KeyboardInterrupt(what) from error
                is_complete = False
        return self._result(is_complete=is_complete)

    def rehearse(self, builds: Builds = ONE_BUILD) -> tuple[RunResult, tuple[Ready, ...]]:
        """Do all but the measuring, for each of ``builds``; gives a record without measurements.

        Accuracy is looked at here, once a build, so that all processes that measure do the same.

        Raises:
            HarnessError: a part of the run is impossible.
        """
        self._check_can_run()
        made = self._preparation.make(builds)
        checked = tuple(replace(ready, checks=self._check_all(ready)) for ready in made)
        return self._result(is_complete=True), checked

    def _check_can_run(self) -> None:
        check_simulation(list(self._backends.values()), self._options.arrival.mode)
        check_arrival(self._options.arrival, self._options.cases, self._backends.values())
        for backend in self._backends.values():
            backend.check_can_run()
            if self._options.arrival.mode == COLD:
                check_can_flush(backend)

        self._environment["interpreters"] = describe_interpreters(self._backends.values())

    def _of_variables(self) -> tuple[Finding, ...]:
        on_gpu = [backend for backend in self._backends.values() if backend.uses_gpu]
        precisions = {backend.precision for backend in on_gpu}
        return variable_findings(relevant_variables(), precisions, uses_gpu=bool(on_gpu))

    def _open_canaries(self) -> None:
        if self._options.has_canary:
            self._canaries = open_canaries(self._backends.values())
            self._environment["canary"] = {c.name: c.content_hash for c in self._canaries}
            self._findings.extend(find_missing(self._backends.values(), self._canaries))

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
            self._phases_s[phase] = self._phases_s.get(phase, 0.0) + time.perf_counter() - started

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
        self._observer.phase(f"Measuring {case}", 1)
        with self._timed("measure"):
            if self._options.arrival.is_whole:
                self._measure_arrival(case, ready, sessions, checks)
            else:
                self._measure(case, sessions, checks)
        self._observer.step("")

    def _measure_arrival(
        self,
        case: Case,
        ready: Ready,
        sessions: Mapping[Variant, Session],
        checks: Mapping[Variant, Mapping[str, Check]],
    ) -> None:
        """Measure whole inferences; what was complete is kept also after an interruption."""
        subjects = [
            Subject(
                self._backends[variant],
                session,
                ready.built[variant],
                checks[variant][WHOLE_PIPELINE],
            )
            for variant, session in sessions.items()
        ]
        work = Work(self._pipeline, case, ready.feeds[case][0])
        arrival, plan = self._options.arrival, self._options.sampling
        kept = Kept(self._measurements, self._blocks, self._findings, self._watch)
        measure_arrival(arrival, work, subjects, plan, kept, on_round=self._observer.fraction)

    def _measure(
        self,
        case: Case,
        sessions: Mapping[Variant, Session],
        checks: Mapping[Variant, Mapping[str, Check]],
    ) -> None:
        known, groups = self._groups(case, sessions, checks)
        measuring = CaseMeasuring(groups, self._options.sampling, self._watch)
        energy_j: dict[Key, float] = {}
        try:
            measuring.run(self._observer.fraction, self._observer.message)
            if self._options.has_energy:
                targets = energy_targets(groups)
                energy_j, found = measure_energy(targets, self._watch)
                self._findings.extend(found)
        finally:
            # Also after an interruption: the blocks that are complete are kept.
            self._blocks.extend(measuring.blocks)
            self._findings.extend(measuring.findings)
            for key, measured in measuring.series.items():
                self._keep(case, key, known[key], measured, energy_j.get(key))

    def _groups(
        self,
        case: Case,
        sessions: Mapping[Variant, Session],
        checks: Mapping[Variant, Mapping[str, Check]],
    ) -> tuple[dict[Key, Known], list[Group[Key]]]:
        """Every series that is measured in turn, and what labels its samples."""
        known: dict[Key, Known] = {}
        groups: list[Group[Key]] = []
        for variant, session in sessions.items():
            for series in session.series():
                timing = Timing(
                    series.clock or self._clock,
                    self._backends[variant].threads,
                    self._options.arrival.mode,
                    self._options.components,
                    self._options.slowdown,
                )
                labels, group = label_series(variant, series, checks[variant], case, timing)
                if labels:
                    known |= labels
                    groups.append(group)
        for canary in self._canaries:
            labels, group = label_canary(canary, self._clock, case)
            known |= labels
            groups.append(group)
        return known, groups

    def _keep_audio(self, session: Session) -> None:
        audio = self._pipeline.declaration.audio
        if audio is None or self._options.recording is None:
            return
        component, _, output = audio.output.partition(".")
        if self._options.components and component not in self._options.components:
            return
        self._audio = session.read(component, output)[0]

    def _keep(
        self, case: Case, key: Key, label: Known, measured: Measured, energy_j: float | None
    ) -> None:
        found = describe_series(
            case,
            key,
            label,
            measured,
            min_snr_db=find_floor(self._pipeline, key.component, key.variant),
            rel_precision=self._options.sampling.rel_precision,
            energy_j=energy_j,
        )
        self._measurements.append(found)

    def _result(self, *, is_complete: bool) -> RunResult:
        no_reference = self._preparation.no_reference
        return RunResult(self._record(is_complete=is_complete), no_reference, self._audio)

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
            telemetry=kept_states(self._watch.states(), self._idle, self._measured_from_s),
            blocks=tuple(self._blocks),
            validity=Validity(tuple(dict.fromkeys(self._findings))),
            idle_power_w=self._idle.power_w,
        )
