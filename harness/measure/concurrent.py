"""Several streams at once: how long an inference takes with N in flight, and how many a second.

Each stream is a closed loop: its next inference begins when its last one ended. So a latency is
that of the work with the other streams beside it, and no time in a queue of its own stream.
"""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from harness.errors import MeasurementError
from harness.measure.device_clock import EventDevice
from harness.measure.garbage import no_garbage_collection
from harness.states import Block
from harness.stats.throughput import Shared, Span, share

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.measure.sampler import SamplingPlan

K = TypeVar("K")
Spans = tuple[tuple[Span, ...], ...]

# One is worked on and the next is queued: the device never waits for the host.
_IN_FLIGHT: Final = 2
_LEAST_LAUNCHES: Final = 4
_MOST_LAUNCHES: Final = 4096
# A rate has an interval from six blocks on.
_LEAST_BLOCKS: Final = 8
# Where streams share cores, a system lets each run for some milliseconds before the next has its
# turn: a block must last for many turns of each, or it shows one stream while the others wait.
_LEAST_S: Final = 0.2
_WORTH_LAUNCHES: Final = 20


@dataclass(frozen=True)
class Streamed:
    """When each inference began and ended, by stream.

    What began before ``until_s`` ended while all streams were at work; None where that is not
    known.
    """

    spans: Spans
    until_s: float | None = None


class StreamsClock(Protocol):
    """Launches the inferences of streams at the same time, and times each."""

    @property
    def name(self) -> str:
        """What records call it."""

    def time_streams(self, seconds: float) -> Streamed:
        """All streams for about ``seconds``, four launches or more in each."""


class HostStreams:
    """A thread for each of ``calls``, which return when the result is on the host.

    All go on until everything that began within the time has ended, so that none runs with fewer
    beside it.
    """

    name = "host, closed loop"

    def __init__(self, calls: Sequence[Callable[[], None]]) -> None:
        self._calls = tuple(calls)

    def time_streams(self, seconds: float) -> Streamed:
        """All threads for ``seconds`` from the moment at which the last has begun."""
        meeting = _Meeting(len(self._calls), seconds)
        with no_garbage_collection(), ThreadPoolExecutor(len(self._calls)) as pool:
            futures = [pool.submit(meeting.loop, *one) for one in enumerate(self._calls)]
            try:
                return Streamed(_results(futures), meeting.until_s)
            finally:
                # After an interruption the threads would go on to the end.
                meeting.end()


class _Meeting:
    """What the threads of one block know of each other, and when they may stop."""

    def __init__(self, streams: int, seconds: float) -> None:
        self.until_s = math.inf
        self._seconds = seconds
        self._began_s = [math.inf] * streams
        self._done = [0] * streams
        self._enough_s = math.inf
        self._is_past = [False] * streams
        self._is_over = False
        # Who ends an inference before this moment has nothing to see to, and loses no time.
        self._look_s = -math.inf
        self._begin = threading.Barrier(streams)
        self._lock = threading.Lock()

    def end(self) -> None:
        """Have all threads stop after the inference that they are at."""
        self._is_over = True

    def loop(self, stream: int, call: Callable[[], None]) -> tuple[Span, ...]:
        """Launch again and again, until all that counts has ended in every stream."""
        ticks, spans, done = time.perf_counter_ns, [], self._done
        try:
            # A new thread's first call is slower than the others.
            call()
            self._begin.wait()
            self._began_s[stream] = ticks() * 1e-9
            while not self._is_over:
                started = ticks()
                call()
                ended_s = ticks() * 1e-9
                spans.append(Span(started * 1e-9, ended_s))
                done[stream] += 1
                if ended_s >= self._look_s:
                    self._look(stream, ended_s)
        except BaseException:
            self.end()
            self._begin.abort()
            raise
        return tuple(spans)

    def _look(self, stream: int, ended_s: float) -> None:
        with self._lock:
            if self._enough_s == math.inf and min(self._done) >= _LEAST_LAUNCHES:
                self._enough_s = ended_s
                # A moment that is known before it comes: no inference has a part in the choice,
                # unless they are so long that there are too few by then.
                self._look_s = max(max(self._began_s) + self._seconds, ended_s)
            if ended_s >= self._look_s and self._enough_s != math.inf:
                self.until_s = self._look_s
                self._is_past[stream] = True
            if all(self._is_past):
                self.end()


def _results(futures: Sequence[Any]) -> Spans:
    """The results; of several failures, not one that is only the end of the others' wait."""
    problems = [problem for future in futures if (problem := future.exception()) is not None]
    for problem in problems:
        if not isinstance(problem, threading.BrokenBarrierError):
            raise problem
    return tuple(future.result() for future in futures)


class StreamDevice(EventDevice, Protocol):
    """A device's stream whose events can be waited for."""

    def wait(self, event: Any) -> None:  # noqa: ANN401  # the library's own event
        """Wait until the device has come to ``event``."""


class EventStreams:
    """Streams of one device, launched in turn from one thread; each has two inferences in flight.

    A start event is recorded when its stream comes to it, which is when the inference before it in
    that stream has ended: the interval is the device's time with the other streams at work, copies
    included.
    """

    name = "cuda events, copies included"

    def __init__(self, streams: Sequence[tuple[StreamDevice, Callable[[], None]]]) -> None:
        self._streams = tuple(streams)
        self._each_s = math.inf

    def time_streams(self, seconds: float) -> Streamed:
        """As many launches in each stream as take about ``seconds``, by the time before."""
        fitting = min(_MOST_LAUNCHES, math.ceil(seconds / self._each_s))
        spans = self._launch(max(_LEAST_LAUNCHES, fitting))
        took_s = [own[-1].end_s - own[0].start_s for own in spans]
        self._each_s = max(*took_s, 1e-9) / len(spans[0])
        return Streamed(spans)

    def _launch(self, launches: int) -> Spans:
        for device, _ in self._streams:
            device.synchronize()
        first, _ = self._streams[0]
        origin = first.record()
        # Before any other stream's: an interval must not be negative.
        first.synchronize()
        pairs: list[list[tuple[Any, Any]]] = [[] for _ in self._streams]
        with no_garbage_collection():
            for index in range(launches):
                for (device, queue), own in zip(self._streams, pairs, strict=True):
                    if index >= _IN_FLIGHT:
                        device.wait(own[index - _IN_FLIGHT][1])
                    start = device.record()
                    queue()
                    own.append((start, device.record()))
            for device, _ in self._streams:
                device.synchronize()
        return tuple(
            tuple(_span(device, origin, start, end) for start, end in own)
            for (device, _), own in zip(self._streams, pairs, strict=True)
        )


def _span(device: StreamDevice, origin: Any, start: Any, end: Any) -> Span:  # noqa: ANN401
    start_s = device.elapsed_s(origin, start)
    # Not from the origin: a float of long times has coarse steps.
    return Span(start_s, start_s + device.elapsed_s(start, end))


@dataclass
class StreamSamples:
    """What was measured of one set of streams: latencies, and each block's count and seconds.

    ``block_wall_s`` is how long the inferences of a block take at the rate of that block;
    ``blocks`` tell when each was measured.
    """

    latency_s: list[float] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    block_wall_s: list[float] = field(default_factory=list)

    @property
    def block_passes(self) -> list[int]:
        """How many samples each block has."""
        return [block.passes for block in self.blocks]


def sample_streams(
    clocks: Mapping[K, StreamsClock],
    plan: SamplingPlan,
    samples: dict[K, StreamSamples],
    *,
    name: Callable[[K], str] = str,
    on_round: Callable[[float], None] = lambda _: None,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Measure sets of streams in turn, a block of each; ``samples`` grows by whole blocks.

    A block counts for 0.2 s or more, and for 20 inferences of a stream where there is time for
    eight such blocks. It ends as :func:`~harness.measure.sampler.Sampling` does, at
    ``sample_limit`` of each set (and eight blocks, where that is nobody's wish) or after the round
    that ends the time; every set gets a block, however short that is. ``name`` is what records call
    a set.
    """
    with no_garbage_collection():
        block_s = {key: _warm_up(clock, plan, len(clocks), now) for key, clock in clocks.items()}
        for key in clocks:
            samples.setdefault(key, StreamSamples())
        started_s, rounds = now(), 0
        least_rounds = _LEAST_BLOCKS if plan.max_samples is None else 1
        while True:
            for key, clock in clocks.items():
                began_s = time.monotonic()
                shared = _share(clock.time_streams(block_s[key]))
                block = Block(name(key), began_s, time.monotonic(), len(shared.latency_s))
                _add(samples[key], shared, block)
            rounds += 1
            least = min(len(found.latency_s) for found in samples.values())
            taken = min(least / plan.sample_limit, rounds / least_rounds)
            done = max((now() - started_s) / plan.time_limit_s, taken)
            on_round(min(1.0, done))
            if done >= 1.0:
                return


def _share(found: Streamed) -> Shared:
    try:
        return share(found.spans, found.until_s)
    except ValueError as error:
        fix = "is a stream far slower than the others?"
        raise MeasurementError(str(error), where="concurrent", fix=fix) from error


def _add(found: StreamSamples, shared: Shared, block: Block) -> None:
    found.latency_s.extend(shared.latency_s)
    found.blocks.append(block)
    found.block_wall_s.append(len(shared.latency_s) / shared.rate_per_s)


def _warm_up(clock: StreamsClock, plan: SamplingPlan, sets: int, now: Callable[[], float]) -> float:
    """Launch until the warm-up is over; gives how many seconds a block of this set takes."""
    started_s, rounds = now(), 0
    while rounds < _LEAST_LAUNCHES or now() - started_s < plan.warmup_s:
        clock.time_streams(0.0)
        rounds += 1
    # So long that it tells how long an inference takes where the streams share cores.
    found = clock.time_streams(_LEAST_S)
    each_s = len(found.spans) / _share(found).rate_per_s
    wanted_s = max(_WORTH_LAUNCHES * each_s, plan.block_s)
    return max(_LEAST_S, min(wanted_s, plan.time_limit_s / (_LEAST_BLOCKS * sets)))
