"""Streams at the same time: threads that meet, and a device whose streams share it."""

from __future__ import annotations

import itertools
import math
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from harness.errors import EngineError, MeasurementError
from harness.measure import concurrent
from harness.measure.concurrent import (
    EventStreams,
    HostStreams,
    Streamed,
    StreamSamples,
    sample_streams,
)
from harness.measure.sampler import SamplingPlan
from harness.stats.throughput import Span, in_flight, throughput

WORK_S = 1e-3


class Chip:
    """What streams share: ``slots`` pieces of work at a time; host time does not pass."""

    def __init__(self, slots: int) -> None:
        self.free_s = [0.0] * slots


class Stream:
    """In order within itself; a piece of work begins when the stream and the chip are free."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.at_s = 0.0
        self.pending = 0
        self.most_pending = 0
        self.launched = 0
        self.waited = 0

    def record(self) -> float:
        return self.at_s

    def queue(self) -> None:
        slot = min(range(len(self.chip.free_s)), key=lambda i: self.chip.free_s[i])
        begun_s = max(self.at_s, self.chip.free_s[slot])
        self.at_s = self.chip.free_s[slot] = begun_s + WORK_S
        self.launched += 1
        self.pending += 1
        self.most_pending = max(self.most_pending, self.pending)

    def wait(self, event: float) -> None:
        assert event <= self.at_s
        self.waited += 1
        self.pending -= 1

    def is_past(self, event: float) -> bool:
        return True

    def elapsed_s(self, start: float, end: float) -> float:
        return end - start

    def delay(self, seconds: float) -> None:
        raise AssertionError

    def synchronize(self) -> None:
        self.pending = 0


@pytest.mark.parametrize(("slots", "latency_s"), [(3, WORK_S), (1, 3 * WORK_S)])
def test_an_inference_is_timed_with_those_beside_it_but_not_in_its_own_queue(
    slots: int, latency_s: float
) -> None:
    chip = Chip(slots)
    streams = [Stream(chip) for _ in range(3)]

    clock = EventStreams([(stream, stream.queue) for stream in streams])
    # Nothing is known yet, so four.
    assert [len(own) for own in clock.time_streams(1.0).spans] == [4] * 3

    spans = clock.time_streams(20 * latency_s * 0.99).spans

    # The ends of a block, where not all are at work, make an inference a little shorter in it.
    count = len(spans[0])
    assert 20 <= count <= 30
    assert [len(own) for own in spans] == [count] * 3
    assert [stream.launched for stream in streams] == [4 + count] * 3
    # One works and one is queued, never more: more would only wait, and fewer starve the device.
    assert {stream.most_pending for stream in streams} == {2}
    for own in spans:
        for span in own[2:]:
            assert span.end_s - span.start_s == pytest.approx(latency_s)


def test_threads_are_in_flight_together_until_the_last_is_done() -> None:
    inside, most = 0, 0
    lock = threading.Lock()
    both = threading.Barrier(2)
    met = threading.Event()

    def call() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        if not met.is_set():
            # Would break if the streams came one after the other.
            both.wait(timeout=120)
            met.set()
        with lock:
            inside -= 1

    found = HostStreams([call, call]).time_streams(0.0)

    assert most == 2
    assert found.until_s is not None
    # What began before that moment has ended in every stream, beside the others.
    assert all(own[-1].end_s >= found.until_s for own in found.spans)
    for own in found.spans:
        assert len(own) >= 4
        for earlier, later in itertools.pairwise(own):
            assert earlier.start_s <= earlier.end_s <= later.start_s


def test_threads_go_on_for_the_time_from_when_the_last_has_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Each call moves the clock by a millisecond, whichever thread makes it.
    ticks, lock = itertools.count(), threading.Lock()
    now_ns = 0

    def call() -> None:
        nonlocal now_ns
        with lock:
            now_ns = next(ticks) * 1_000_000

    played = SimpleNamespace(perf_counter_ns=lambda: now_ns, monotonic=lambda: now_ns * 1e-9)
    monkeypatch.setattr(concurrent, "time", played)

    found = HostStreams([call] * 3).time_streams(0.5)

    began_s = max(own[0].start_s for own in found.spans)
    assert found.until_s is not None
    # Unless the last of them came so late that it had done too little by then.
    assert found.until_s >= began_s + 0.5 - 1e-9
    assert all(own[-1].end_s >= found.until_s for own in found.spans)


def test_a_stream_that_fails_ends_the_others_with_its_error() -> None:
    calls = [0, 0]

    def good() -> None:
        calls[0] += 1

    def bad() -> None:
        calls[1] += 1
        if calls[1] == 5:
            raise EngineError("out of memory", where="net", fix="")

    with pytest.raises(EngineError, match="out of memory"):
        HostStreams([good, bad]).time_streams(1e9)


def test_a_stream_that_fails_before_the_others_begin_is_told_too() -> None:
    def bad() -> None:
        raise EngineError("no kernel", where="net", fix="")

    with pytest.raises(EngineError, match="no kernel"):
        HostStreams([lambda: None, bad, lambda: None]).time_streams(0.1)


class MadeUp:
    """``streams`` streams of inferences that take ``latency_s``, and a clock that they move."""

    name = "made up"

    def __init__(self, streams: int, latency_s: float) -> None:
        self.streams, self.latency_s = streams, latency_s
        self.now_s = 0.0
        self.asked: list[float] = []

    def time_streams(self, seconds: float) -> Streamed:
        self.asked.append(seconds)
        launches = max(4, math.ceil(seconds / self.latency_s))
        self.now_s += launches * self.latency_s
        own = tuple(Span(i * self.latency_s, (i + 1) * self.latency_s) for i in range(launches))
        return Streamed((own,) * self.streams)


def test_blocks_are_taken_in_turn_and_tell_the_rate() -> None:
    one, four = MadeUp(1, 1 / 128), MadeUp(4, 1 / 64)
    samples: dict[int, StreamSamples] = {}
    told: list[float] = []

    sample_streams(
        {1: one, 4: four},
        SamplingPlan(max_samples=1600, max_time_s=1e6, warmup_s=0.0),
        samples,
        on_round=told.append,
        now=lambda: one.now_s + four.now_s,
    )

    # Four rounds warm up, and one tells how long an inference takes.
    assert one.asked[:5] == four.asked[:5] == [0.0] * 4 + [0.2]
    # 0.2 s, or 20 inferences of a stream where those take longer.
    assert set(one.asked[5:]) == {0.2}
    (four_s,) = set(four.asked[5:])
    assert four_s == pytest.approx(20 / 64)
    assert len(samples[1].blocks) == len(samples[4].blocks)
    assert min(len(found.latency_s) for found in samples.values()) >= 1600
    assert samples[4].latency_s == pytest.approx([1 / 64] * len(samples[4].latency_s))
    rate = throughput(samples[4].block_passes, samples[4].block_wall_s)
    assert (rate.value, rate.lower, rate.upper) == pytest.approx((256.0,) * 3)
    assert told[-1] == 1.0
    assert told == sorted(told)


def test_without_a_number_of_samples_there_are_enough_blocks_for_an_interval() -> None:
    fast = MadeUp(4, 1e-4)
    samples: dict[int, StreamSamples] = {}

    sample_streams(
        {4: fast}, SamplingPlan(warmup_s=0.0, max_time_s=30.0), samples, now=lambda: fast.now_s
    )

    assert len(samples[4].blocks) == 8
    assert min(samples[4].block_wall_s) > 0.09


def test_time_ends_it_after_a_block_of_each() -> None:
    one, two = MadeUp(1, 10.0), MadeUp(2, 10.0)
    samples: dict[int, StreamSamples] = {}

    sample_streams(
        {1: one, 2: two},
        SamplingPlan(max_time_s=1.0, warmup_s=0.0),
        samples,
        now=lambda: one.now_s + two.now_s,
    )

    # Of four launches the first begins before counting does, and the last ends after it.
    assert [samples[n].block_passes for n in (1, 2)] == [[2], [4]]


class OneCore:
    """Streams in turn on one core, each for a slice of time, and a clock that they move."""

    name = "one core"
    work_s = 3e-4

    def __init__(self, streams: int) -> None:
        self.streams, self.now_s, self.warmed_s = streams, 0.0, 0.0
        self.draws = np.random.default_rng(0)

    def time_streams(self, seconds: float) -> Streamed:
        if not seconds:
            self.warmed_s = self.now_s
        spans: list[list[Span]] = [[] for _ in range(self.streams)]
        begun_s: list[float | None] = [None] * self.streams
        left_s = [self.work_s] * self.streams
        until_s = math.inf
        for stream in itertools.cycle(range(self.streams)):
            slice_end_s = self.now_s + self.draws.uniform(2e-3, 6e-3)
            while self.now_s < slice_end_s:
                start_s = begun_s[stream]
                if start_s is None:
                    start_s = begun_s[stream] = self.now_s
                spent_s = min(left_s[stream], slice_end_s - self.now_s)
                self.now_s += spent_s
                left_s[stream] -= spent_s
                if left_s[stream] <= 1e-12:
                    spans[stream].append(Span(start_s, self.now_s))
                    begun_s[stream], left_s[stream] = None, self.work_s
            if all(spans) and until_s == math.inf:
                until_s = max(own[0].start_s for own in spans) + seconds
            if min(len(own) for own in spans) >= 4 and all(s[-1].end_s >= until_s for s in spans):
                return Streamed(tuple(map(tuple, spans)), until_s)
        raise AssertionError


@pytest.mark.parametrize("streams", [1, 2, 5, 8])
def test_streams_that_share_a_core_are_all_in_flight_at_its_rate(streams: int) -> None:
    core = OneCore(streams)
    samples: dict[int, StreamSamples] = {}

    sample_streams(
        {streams: core},
        SamplingPlan(warmup_s=0.0, max_time_s=30.0),
        samples,
        now=lambda: core.now_s,
    )

    found = samples[streams]
    rate = throughput(found.block_passes, found.block_wall_s)
    assert rate.value == pytest.approx(1 / core.work_s, rel=0.02)
    assert in_flight(rate.value, found.latency_s) == pytest.approx(streams, rel=0.05)
    # Most of the time is counted.
    assert rate.counted_s > 0.6 * (core.now_s - core.warmed_s)


def test_streams_that_are_never_at_work_together_are_no_measurement() -> None:
    class Apart(MadeUp):
        def time_streams(self, seconds: float) -> Streamed:
            return Streamed(((Span(0.0, 1.0),), (Span(2.0, 3.0),)))

    with pytest.raises(MeasurementError, match="at no time were all streams at work"):
        sample_streams({2: Apart(2, 1.0)}, SamplingPlan(warmup_s=0.0), {}, now=lambda: 0.0)


@pytest.mark.parametrize("slots", [1, 3])
def test_streams_of_a_device_are_all_in_flight_at_its_rate(slots: int) -> None:
    chip = Chip(slots)
    streams = [Stream(chip) for _ in range(3)]
    clock = EventStreams([(stream, stream.queue) for stream in streams])
    samples: dict[int, StreamSamples] = {}

    plan = SamplingPlan(warmup_s=0.0, max_time_s=30.0)
    sample_streams({3: clock}, plan, samples, now=lambda: max(chip.free_s))

    found = samples[3]
    rate = throughput(found.block_passes, found.block_wall_s)
    assert rate.value == pytest.approx(slots / WORK_S, rel=0.02)
    assert in_flight(rate.value, found.latency_s) == pytest.approx(3, rel=0.02)
    assert min(found.block_wall_s) > 0.15
