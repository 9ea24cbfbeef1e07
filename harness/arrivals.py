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
from harness.measure.concurrent import StreamSamples, sample_streams
from harness.measure.paced import (
    HOT_CLOCK,
    PACED_CLOCK,
    PacedSamples,
    check_period,
    sample_paced,
)
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.stats.accuracy import relative_l2
from harness.types import COLD, CONCURRENT, HOT, PACED, Case, Measurement, Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.backends.protocol import Backend, Built, Session, Streams
    from harness.checks import Check
    from harness.measure.concurrent import StreamsClock
    from harness.measure.paced import RoundTrip
    from harness.measure.sampler import SamplingPlan
    from harness.pipeline.pipeline import Pipeline
    from harness.reference import Feed

MODES: Final = (HOT, COLD, PACED, CONCURRENT)
# Kernels may add in another order beside others; what is mixed up differs by far more.
_MAX_ERROR: Final = 1e-2


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
    measurements: list[Measurement],
    *,
    on_round: Callable[[float], None] = lambda _: None,
) -> None:
    """Measure ``subjects`` in turn; whatever ends it, complete blocks are in ``measurements``.

    Raises:
        HarnessError: one cannot be opened or run, or a stream disturbs another.
    """
    measure = _measure_paced if arrival.mode == PACED else _measure_concurrent
    measure(arrival, work, subjects, plan, measurements, on_round)


def _measure_paced(
    arrival: Arrival,
    work: Work,
    subjects: Sequence[Subject],
    plan: SamplingPlan,
    measurements: list[Measurement],
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
    try:
        sample_paced(trips, period_s, plan, samples, on_round=on_round)
    finally:
        for variant, found in samples.items():
            if found.block_passes:
                label = _label(work, known[variant], variant.launch)
                measurements.extend(_paced(label, found, period_s))


def _paced(label: Mapping[str, Any], found: PacedSamples, period_s: float) -> list[Measurement]:
    """What came in real time, and the same back to back."""
    blocks: dict[str, Any] = {"block_passes": tuple(found.block_passes)}
    paced = Measurement(
        **label,
        **blocks,
        mode=PACED,
        clock=PACED_CLOCK,
        latency_s=tuple(found.paced_s),
        lateness_s=tuple(found.lateness_s),
        period_s=period_s,
        missed_deadlines=sum(latency_s > period_s for latency_s in found.paced_s),
    )
    hot = Measurement(**label, **blocks, mode=HOT, clock=HOT_CLOCK, latency_s=tuple(found.hot_s))
    return [paced, hot]


def _measure_concurrent(
    arrival: Arrival,
    work: Work,
    subjects: Sequence[Subject],
    plan: SamplingPlan,
    measurements: list[Measurement],
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
        try:
            sample_streams(clocks, plan, samples, on_round=on_round)
            for subject, streams in known.values():
                check_outputs(work.pipeline, subject.session, streams)
        finally:
            for (variant, count), found in samples.items():
                if found.block_passes:
                    subject, streams = known[variant, count]
                    measurements.append(
                        Measurement(
                            **_label(work, subject, variant.launch, streams.threads),
                            mode=CONCURRENT,
                            clock=clocks[variant, count].name,
                            streams=count,
                            latency_s=tuple(found.latency_s),
                            block_passes=tuple(found.block_passes),
                            block_wall_s=tuple(found.block_wall_s),
                        )
                    )


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
        "min_snr_db": find_floor(work.pipeline, WHOLE_PIPELINE, variant.precision),
    }
