"""Streams at the same time: threads that meet, and a device whose streams share it."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import pytest

from harness.errors import EngineError, MeasurementError
from harness.measure.concurrent import EventStreams, HostStreams, StreamSamples, sample_streams
from harness.measure.sampler import SamplingPlan
from harness.stats.throughput import Span

if TYPE_CHECKING:
    from harness.measure.concurrent import Spans

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

    spans = EventStreams([(stream, stream.queue) for stream in streams]).time_streams(20)

    assert [len(own) for own in spans] == [20] * 3
    assert [stream.launched for stream in streams] == [20] * 3
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
            both.wait(timeout=30)
            met.set()
        with lock:
            inside -= 1

    spans = HostStreams([call, call]).time_streams(50)

    assert most == 2
    assert all(len(own) >= 50 for own in spans)
    for own in spans:
        for earlier, later in itertools.pairwise(own):
            assert earlier.start_s <= earlier.end_s <= later.start_s


def test_a_stream_that_fails_ends_the_others_with_its_error() -> None:
    calls = [0, 0]

    def good() -> None:
        calls[0] += 1

    def bad() -> None:
        calls[1] += 1
        if calls[1] == 5:
            raise EngineError("out of memory", where="net", fix="")

    with pytest.raises(EngineError, match="out of memory"):
        HostStreams([good, bad]).time_streams(10_000_000)


def test_a_stream_that_fails_before_the_others_begin_is_told_too() -> None:
    def bad() -> None:
        raise EngineError("no kernel", where="net", fix="")

    with pytest.raises(EngineError, match="no kernel"):
        HostStreams([lambda: None, bad, lambda: None]).time_streams(5)


class MadeUp:
    """``streams`` streams of inferences that take ``latency_s``, and a clock that they move."""

    name = "made up"

    def __init__(self, streams: int, latency_s: float) -> None:
        self.streams, self.latency_s = streams, latency_s
        self.now_s = 0.0
        self.asked: list[int] = []

    def time_streams(self, launches: int) -> Spans:
        self.asked.append(launches)
        self.now_s += launches * self.latency_s
        own = tuple(Span(i * self.latency_s, (i + 1) * self.latency_s) for i in range(launches))
        return (own,) * self.streams


def test_blocks_are_taken_in_turn_and_tell_the_rate() -> None:
    one, four = MadeUp(1, 1 / 128), MadeUp(4, 1 / 64)
    samples: dict[int, StreamSamples] = {}
    told: list[float] = []

    sample_streams(
        {1: one, 4: four},
        SamplingPlan(max_samples=160, max_time_s=1e6, warmup_s=0.0),
        samples,
        on_round=told.append,
        now=lambda: one.now_s + four.now_s,
    )

    # Four rounds warm up. A block is 0.2 s, and no more than an eighth of the samples.
    assert one.asked[:4] == four.asked[:4] == [4] * 4
    assert set(one.asked[4:]) == {20}
    assert set(four.asked[4:]) == {5}
    assert samples[1].block_passes == [20] * 8 == samples[4].block_passes
    assert samples[4].latency_s == pytest.approx([1 / 64] * 160)
    rates = [n / s for n, s in zip(samples[4].block_passes, samples[4].block_wall_s, strict=True)]
    assert rates == pytest.approx([256.0] * 8)
    assert told[-1] == 1.0
    assert told == sorted(told)


def test_time_ends_it_after_a_block_of_each() -> None:
    one, two = MadeUp(1, 10.0), MadeUp(2, 10.0)
    samples: dict[int, StreamSamples] = {}

    sample_streams(
        {1: one, 2: two},
        SamplingPlan(max_time_s=1.0, warmup_s=0.0),
        samples,
        now=lambda: one.now_s + two.now_s,
    )

    assert [samples[n].block_passes for n in (1, 2)] == [[4], [8]]


def test_streams_that_are_never_at_work_together_are_no_measurement() -> None:
    class Apart(MadeUp):
        def time_streams(self, launches: int) -> Spans:
            return ((Span(0.0, 1.0),), (Span(2.0, 3.0),))

    with pytest.raises(MeasurementError, match="at no time were all streams at work"):
        sample_streams({2: Apart(2, 1.0)}, SamplingPlan(warmup_s=0.0), {}, now=lambda: 0.0)
