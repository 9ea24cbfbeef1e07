"""How work arrives other than again and again: paced, as live audio does, or in several streams.

Both measure whole inferences from host to host, copies included, as a user of the pipeline sees
them; the components by themselves are the business of the hot mode.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from harness.backends.protocol import StreamsBackend, variant_of
from harness.describe import describe_accuracy, find_floor
from harness.errors import EngineError, FeatureUnavailableError, OptionError
from harness.kept import cause_of, kept_of, settle
from harness.measure.causes import INTERRUPTED
from harness.measure.concurrent import StreamSamples, sample_streams
from harness.measure.environment import available_cores
from harness.measure.paced import (
    HOT_CLOCK,
    PACED_CLOCK,
    PacedSamples,
    check_period,
    sample_paced,
    series_names,
)
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.states import FLAG, Finding
from harness.stats.accuracy import relative_l2
from harness.stats.throughput import in_flight, throughput
from harness.types import COLD, CONCURRENT, HOT, PACED, Case, Measurement, Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.backends.protocol import Backend, Built, Session, Streams
    from harness.checks import Check
    from harness.kept import Kept
    from harness.measure.concurrent import StreamsClock
    from harness.measure.paced import RoundTrip
    from harness.measure.sampler import SamplingPlan
    from harness.pipeline.pipeline import Pipeline
    from harness.reference import Feed
    from harness.states import Block

MODES: Final = (HOT, COLD, PACED, CONCURRENT)
# Kernels may add in another order beside others; what is mixed up differs by far more.
_MAX_ERROR: Final = 1e-2
# How far rate x mean latency may be off the number of streams.
_MAX_OFF: Final = 0.05


@dataclass(frozen=True)
class Arrival:
    """How work arrives, by its mode; ``paced`` every ``period_s``, ``concurrent`` in ``streams``.

    The period is the case's duration where none is given: the chunks then follow on one another. A
    window that is longer than the period slides.
    """

    mode: str = HOT
    period_s: float | None = None
    streams: int | None = None

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if self.mode not in MODES:
            what = f"there is no mode {self.mode!r}"
            raise OptionError(what, where="--mode", fix=f"choose of: {', '.join(MODES)}")
        for option, value, mode in (
            ("--period", self.period_s, PACED),
            ("--streams", self.streams, CONCURRENT),
        ):
            if value is not None and self.mode != mode:
                what = f"it is of no use in the mode {self.mode}"
                raise OptionError(what, where=option, fix=f"add --mode {mode}, or leave it out")
        if self.period_s is not None:
            check_period(self.period_s)
        if self.mode == CONCURRENT and (self.streams is None or self.streams < 1):
            what = "how many streams?" if self.streams is None else f"{self.streams} streams"
            raise OptionError(what, where="--streams", fix="give 1 or more")

    @property
    def is_whole(self) -> bool:
        """Whether whole inferences are measured, and no components."""
        return self.mode in {PACED, CONCURRENT}

    def period_of(self, case: Case) -> float:
        """Seconds from one chunk to the next.

        Raises:
            OptionError: none is given, and the case has no duration.
        """
        period_s = case.duration_s if self.period_s is None else self.period_s
        if period_s is None:
            what = "the pipeline has no duration that would tell when the next chunk comes"
            raise OptionError(what, where="--mode paced", fix="give --period")
        return period_s


def check_used(arrival: Arrival, given: Mapping[str, bool | None]) -> None:
    """Refuse what was ``given``, by its option, and means nothing where whole inferences are timed.

    Raises:
        OptionError: there is one that is not None.
    """
    for option, value in given.items():
        if value is not None and arrival.is_whole:
            no = option if value else option.replace("--", "--no-", 1)
            what = f"it is of no use in the mode {arrival.mode}"
            raise OptionError(what, where=no, fix=f"leave it out, or use --mode {HOT}")


@dataclass(frozen=True)
class Subject:
    """An open session, what it is of, and what is known of its whole pipeline."""

    backend: Backend
    session: Session
    built: Mapping[str, Built]
    check: Check

    @property
    def variant(self) -> Variant:
        """What is measured, however it is launched."""
        return variant_of(self.backend)


@dataclass(frozen=True)
class Work:
    """A case of a pipeline, and the input that is bound."""

    pipeline: Pipeline
    case: Case
    feed: Feed

    def series_of(self, variant: Variant) -> str:
        """What blocks of ``variant`` are called."""
        return f"{variant}, {self.case}"

    @property
    def sizes(self) -> dict[str, int]:
        """Of every dimension."""
        return self.pipeline.sizes(duration_s=self.case.duration_s, batch=self.case.batch)


def check_arrival(arrival: Arrival, cases: Iterable[Case], backends: Iterable[Backend]) -> None:
    """Check that all of it can be measured, before anything is built.

    Raises:
        OptionError: it is not known when the next chunk comes.
        FeatureUnavailableError: a backend runs one inference at a time.
    """
    if arrival.mode == PACED:
        for case in cases:
            arrival.period_of(case)
    if arrival.mode == CONCURRENT:
        for backend in backends:
            if not isinstance(backend, StreamsBackend):
                what = f"{backend.name} runs one inference at a time here"
                fix = "measure onnxruntime, onnxruntime-cuda or tensorrt"
                raise FeatureUnavailableError(what, where="--mode concurrent", fix=fix)


def measure_arrival(
    arrival: Arrival,
    work: Work,
    subjects: Sequence[Subject],
    plan: SamplingPlan,
    kept: Kept,
    *,
    on_round: Callable[[float], None] = lambda _: None,
) -> None:
    """Measure ``subjects`` in turn; whatever ends it, complete blocks are in ``kept``.

    What the machine's state spoilt does not count, and is not measured again.

    Raises:
        HarnessError: one cannot be opened or run, or a stream disturbs another.
    """
    measure = _measure_paced if arrival.mode == PACED else _measure_concurrent
    measure(arrival, work, subjects, plan, kept, on_round)


def _measure_paced(
    arrival: Arrival,
    work: Work,
    subjects: Sequence[Subject],
    plan: SamplingPlan,
    kept: Kept,
    on_round: Callable[[float], None],
) -> None:
    period_s = arrival.period_of(work.case)
    trips: dict[Variant, RoundTrip] = {}
    known: dict[Variant, Subject] = {}
    for subject in subjects:
        for launch, trip in subject.session.round_trips().items():
            variant = replace(subject.variant, launch=launch)
            trips[variant], known[variant] = trip, subject
    samples: dict[Variant, PacedSamples] = {}
    cause = INTERRUPTED
    try:
        name = work.series_of
        cause = sample_paced(trips, period_s, plan, samples, name=name, on_round=on_round)
    finally:
        # Between chunks the device is idle and may lower its clock: that is what paced is about.
        idling = (series_names(work.series_of(variant))[0] for variant in samples)
        all_blocks = [b for found in samples.values() for b in (*found.blocks, *found.hot_blocks)]
        blocks = kept.judge(all_blocks, idling)
        for variant, found in samples.items():
            if found.blocks:
                label = _label(work, known[variant], variant.launch)
                names = series_names(work.series_of(variant))
                own = (blocks[names[0]], blocks[names[1]])
                kept.measurements.extend(_paced(label, found, period_s, own, (plan, cause)))


def _paced(
    label: Mapping[str, Any],
    found: PacedSamples,
    period_s: float,
    blocks: tuple[Sequence[Block], Sequence[Block]],
    end: tuple[SamplingPlan, str],
) -> list[Measurement]:
    """What came in real time, and the same back to back."""
    latency_s = kept_of(found.paced_s, blocks[0])
    paced = Measurement(
        **label,
        **settle(found.paced_s, blocks[0], *end),
        mode=PACED,
        clock=PACED_CLOCK,
        lateness_s=kept_of(found.lateness_s, blocks[0]),
        period_s=period_s,
        missed_deadlines=sum(one_s > period_s for one_s in latency_s),
    )
    hot = Measurement(**label, **settle(found.hot_s, blocks[1], *end), mode=HOT, clock=HOT_CLOCK)
    return [paced, hot]


def _measure_concurrent(
    arrival: Arrival,
    work: Work,
    subjects: Sequence[Subject],
    plan: SamplingPlan,
    kept: Kept,
    on_round: Callable[[float], None],
) -> None:
    clocks: dict[tuple[Variant, int], StreamsClock] = {}
    known: dict[tuple[Variant, int], tuple[Subject, Streams]] = {}
    samples: dict[tuple[Variant, int], StreamSamples] = {}
    with ExitStack() as opened:
        for subject in subjects:
            # One stream as well, of all threads: what several are held against.
            for count in dict.fromkeys((1, arrival.streams or 1)):
                streams = _open(subject, work, count, opened)
                for launch, clock in streams.clocks().items():
                    key = (replace(subject.variant, launch=launch), count)
                    clocks[key], known[key] = clock, (subject, streams)
        cause = INTERRUPTED

        def name(key: tuple[Variant, int]) -> str:
            return f"{work.series_of(key[0])}, {key[1]} streams"

        try:
            sample_streams(clocks, plan, samples, name=name, on_round=on_round)
            cause = cause_of(plan, (len(found.latency_s) for found in samples.values()))
            for subject, streams in known.values():
                check_outputs(work.pipeline, subject.session, streams)
        finally:
            blocks = kept.judge([b for found in samples.values() for b in found.blocks])
            for (variant, count), found in samples.items():
                if found.blocks:
                    subject, streams = known[variant, count]
                    own = blocks[name((variant, count))]
                    walls_s = zip(found.block_wall_s, own, strict=True)
                    measured = Measurement(
                        **_label(work, subject, variant.launch, streams.threads),
                        **settle(found.latency_s, own, plan, cause),
                        mode=CONCURRENT,
                        clock=clocks[variant, count].name,
                        streams=count,
                        block_wall_s=tuple(wall for wall, b in walls_s if not b.rejected),
                    )
                    kept.measurements.append(measured)
                    cores = None if subject.backend.uses_gpu else available_cores()
                    kept.add(stream_findings(measured, cores))


def stream_findings(measured: Measurement, cores: int | None) -> tuple[Finding, ...]:
    """Whether the figures are of as many streams as they say; flags all.

    ``cores`` are those that the streams share; None where they work on a device.
    """
    streams, threads = measured.streams, measured.threads
    name = f"{measured.variant}, {Case(measured.duration_s, measured.batch)}, {streams} streams"
    found = []
    if cores is not None and streams > 1 and streams * threads > cores:
        what = (
            f"{name} of {threads} thread{'s' * (threads != 1)} share {cores} core"
            f"{'s' * (cores != 1)}: latencies hold the wait for a core"
        )
        fix = "ask for fewer --streams or --threads, or read them as those of a full machine"
        found.append(Finding(FLAG, what, fix))
    rate = throughput(measured.block_passes, measured.block_wall_s)
    flying = in_flight(rate.value, measured.latency_s)
    if abs(flying / streams - 1.0) > _MAX_OFF:
        what = (
            f"{name}: {flying:.3g} inferences were at work at a time (rate x mean latency), not "
            f"{streams}: rate and latency are not those of {streams} streams"
        )
        fix = "give more --max-time; very short inferences leave gaps in which the host is at work"
        found.append(Finding(FLAG, what, fix))
    return tuple(found)


def _open(subject: Subject, work: Work, count: int, opened: ExitStack) -> Streams:
    backend = subject.backend
    if not isinstance(backend, StreamsBackend):
        message = "check_arrival() comes first"
        raise TypeError(message)
    streams = backend.open_streams(work.pipeline, subject.built, count)
    opened.callback(streams.close)
    streams.bind(work.sizes, work.feed)
    return streams


def check_outputs(pipeline: Pipeline, session: Session, streams: Streams) -> None:
    """Check that every stream computed what the session computes by itself.

    Raises:
        EngineError: one did not; what was measured is then no inference.
    """
    session.launch_pipeline()
    for component, output in pipeline.final_outputs:
        expected = session.read(component, output)
        for index, found in enumerate(streams.read(component, output)):
            error = relative_l2(expected, found)
            if not error <= _MAX_ERROR:
                what = (
                    f"in stream {index + 1} {component}.{output} differs by {error:.1e} "
                    "(relative L2) from what is computed alone"
                )
                fix = "do the streams share memory, or does a plugin keep a state?"
                raise EngineError(what, where="--mode concurrent", fix=fix)


def _label(work: Work, subject: Subject, launch: str, threads: int | None = None) -> dict[str, Any]:
    variant, check = subject.variant, subject.check
    return {
        "component": WHOLE_PIPELINE,
        "backend": variant.backend,
        "precision": variant.precision,
        "route": variant.route,
        "launch": launch,
        "duration_s": work.case.duration_s,
        "batch": work.case.batch,
        "threads": subject.backend.threads if threads is None else threads,
        "load_s": check.load_s,
        "first_s": check.first_s,
        **describe_accuracy(check),
        "min_snr_db": find_floor(work.pipeline, WHOLE_PIPELINE, variant),
    }
