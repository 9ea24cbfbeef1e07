"""Several streams at once: how long an inference takes with N in flight, and how many a second.

Each stream is a closed loop: its next inference begins when its last one ended. So a latency is
that of the work with the other streams beside it, and no time in a queue of its own stream.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from harness.errors import MeasurementError
from harness.measure.device_clock import EventDevice
from harness.measure.garbage import no_garbage_collection
from harness.states import Block
from harness.stats.throughput import Span, share

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.measure.sampler import SamplingPlan

K = TypeVar("K")
Spans = tuple[tuple[Span, ...], ...]

# One is worked on and the next is queued: the device never waits for the host.
_IN_FLIGHT: Final = 2
_LEAST_LAUNCHES: Final = 4
_MOST_LAUNCHES: Final = 256
# A median of rates has an interval from six blocks on.
_LEAST_BLOCKS: Final = 8


class StreamsClock(Protocol):
    """Launches the inferences of streams at the same time, and times each."""

    @property
    def name(self) -> str:
        """What records call it."""

    def time_streams(self, launches: int) -> Spans:
        """``launches`` or more in each stream; gives when each began and ended, by stream."""


class HostStreams:
    """A thread for each of ``calls``, which return when the result is on the host.

    All go on until the last has done its launches, so that none runs with fewer beside it.
    """

    name = "host, closed loop"

    def __init__(self, calls: Sequence[Callable[[], None]]) -> None:
        self._calls = tuple(calls)

    def time_streams(self, launches: int) -> Spans:
        """``launches`` or more in each stream; gives when each began and ended, by stream."""
        streams = len(self._calls)
        begin = threading.Barrier(streams)
        done = [0] * streams
        is_over = threading.Event()

        def loop(stream: int) -> tuple[Span, ...]:
            call, ticks, spans = self._calls[stream], time.perf_counter_ns, []
            try:
                # A new thread's first call is slower than the others.
                call()
                begin.wait()
                while not is_over.is_set() and min(done) < launches:
                    started = ticks()
                    call()
                    spans.append(Span(started * 1e-9, ticks() * 1e-9))
                    done[stream] += 1
            except BaseException:
                is_over.set()
                begin.abort()
                raise
            return tuple(spans)

        with no_garbage_collection(), ThreadPoolExecutor(streams) as pool:
            futures = [pool.submit(loop, stream) for stream in range(streams)]
            try:
                return _results(futures)
            finally:
                # After an interruption the threads would go on to their last launch.
                is_over.set()


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

    def time_streams(self, launches: int) -> Spans:
        """``launches`` in each stream; gives when each began and ended, by stream."""
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

    It ends as :func:`~harness.measure.sampler.Sampling` does, at ``sample_limit`` of each set
    or after the round that ends the time; every set gets a block, however short that is. ``name``
    is what records call a set.
    """
    with no_garbage_collection():
        launches = {key: _warm_up(clock, plan, now) for key, clock in clocks.items()}
        for key in clocks:
            samples.setdefault(key, StreamSamples())
        started_s = now()
        while True:
            for key, clock in clocks.items():
                began_s = time.monotonic()
                spans = clock.time_streams(launches[key])
                _add(samples[key], spans, Block(name(key), began_s, time.monotonic(), 0))
            least = min(len(found.latency_s) for found in samples.values())
            done = max((now() - started_s) / plan.time_limit_s, least / plan.sample_limit)
            on_round(min(1.0, done))
            if done >= 1.0:
                return


def _add(found: StreamSamples, spans: Spans, block: Block) -> None:
    try:
        shared = share(spans)
    except ValueError as error:
        raise MeasurementError(
            str(error), where="concurrent", fix="measure more samples"
        ) from error
    found.latency_s.extend(shared.latency_s)
    found.blocks.append(replace(block, passes=len(shared.latency_s)))
    found.block_wall_s.append(len(shared.latency_s) / shared.rate_per_s)


def _warm_up(clock: StreamsClock, plan: SamplingPlan, now: Callable[[], float]) -> int:
    """Launch until the warm-up is over; gives how many launches of a stream make a block."""
    started_s, rounds = now(), 0
    while rounds < _LEAST_LAUNCHES or now() - started_s < plan.warmup_s:
        spans = clock.time_streams(_LEAST_LAUNCHES)
        rounds += 1
    latency_s = max(span.end_s - span.start_s for own in spans for span in own)
    fitting = int(plan.block_s / max(latency_s, 1e-9))
    wanted = plan.sample_limit // (_LEAST_BLOCKS * len(spans))
    return max(_LEAST_LAUNCHES, min(fitting, wanted, _MOST_LAUNCHES))
