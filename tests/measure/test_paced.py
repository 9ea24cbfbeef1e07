"""Chunks in real time, on a clock whose time passes as it is told."""

from __future__ import annotations

import itertools
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import OptionError
from harness.measure.paced import (
    HostRoundTrip,
    HostTimer,
    PacedSamples,
    run_paced,
    sample_paced,
)
from harness.measure.sampler import SamplingPlan

TICK_S = 1e-6


@pytest.fixture(autouse=True)
def short_measuring() -> None:
    """Here time is no cost."""


class Clock:
    """A timer, and work that takes as long as it is told; sleeps end ``oversleep_s`` late."""

    def __init__(
        self,
        work_s: list[float] | None = None,
        oversleep_s: list[float] | None = None,
        *,
        tick_s: float = TICK_S,
    ) -> None:
        self.now_s = 1000.0
        self.tick_s = tick_s
        self.work_s = itertools.cycle(work_s or [0.0])
        self.oversleep_s = itertools.cycle(oversleep_s or [0.0])
        self.called_s: list[float] = []
        self.slept_s = 0.0

    def now(self) -> float:
        self.now_s += self.tick_s
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        spent = seconds + next(self.oversleep_s)
        self.slept_s += spent
        self.now_s += spent

    def work(self) -> None:
        self.called_s.append(self.now_s)
        self.now_s += next(self.work_s)


def test_a_chunk_is_never_begun_before_it_comes_and_the_device_is_idle_between() -> None:
    clock = Clock([0.02])

    chunks = run_paced(clock.work, 5, 0.1, clock)

    assert [chunk.arrival_s for chunk in chunks] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    for chunk in chunks:
        assert 0 <= chunk.lateness_s < 10 * TICK_S
        assert chunk.latency_s == pytest.approx(0.02, abs=10 * TICK_S)
    gaps = [b - a for a, b in itertools.pairwise(clock.called_s)]
    assert gaps == pytest.approx([0.1] * 4, abs=10 * TICK_S)
    # All but the little that is waited for actively is slept.
    assert clock.slept_s == pytest.approx(4 * (0.1 - 0.02 - 2e-3), abs=1e-3)


def test_a_late_chunk_makes_those_behind_it_wait_and_then_the_schedule_is_kept_again() -> None:
    clock = Clock([0.01, 0.25, 0.01, 0.01, 0.01])

    chunks = run_paced(clock.work, 5, 0.1, clock)

    latency_s = [chunk.latency_s for chunk in chunks]
    # 2 comes at 0.2 and begins at 0.35; 3 comes at 0.3 and begins at 0.36; 4 has nothing before it.
    assert latency_s == pytest.approx([0.01, 0.25, 0.16, 0.07, 0.01], abs=1e-4)
    assert [latency_s > 0.1 for latency_s in latency_s] == [False, True, True, False, False]
    # Waiting for another chunk is no lateness of the host.
    assert all(chunk.lateness_s < 10 * TICK_S for chunk in chunks)


def test_what_the_host_oversleeps_is_lateness_and_a_part_of_the_latency() -> None:
    clock = Clock([0.01], [0.0, 0.005, 0.0])

    chunks = run_paced(clock.work, 4, 0.1, clock)

    # The first is waited for actively; of the three sleeps the second ends 5 ms late, 2 of which
    # would have been waited for anyway.
    assert [chunk.lateness_s for chunk in chunks] == pytest.approx([0, 0, 0.003, 0], abs=1e-4)
    assert chunks[2].latency_s == pytest.approx(0.013, abs=1e-4)


@given(
    period_s=st.floats(1e-4, 2.0),
    count=st.integers(1, 60),
    seed=st.integers(0, 1 << 32),
    load=st.floats(0.0, 3.0),
)
def test_the_schedule_never_drifts_and_every_second_is_accounted_for(
    period_s: float, count: int, seed: int, load: float
) -> None:
    random_ = random.Random(seed)  # noqa: S311
    work_s = [random_.uniform(0.0, load * period_s) for _ in range(count)]
    clock = Clock(work_s, [random_.expovariate(1 / (0.2 * period_s)) for _ in range(count)])

    chunks = run_paced(clock.work, count, period_s, clock)

    origin_s = clock.called_s[0] - chunks[0].started_s
    done_s = 0.0
    for index, (chunk, took_s) in enumerate(zip(chunks, work_s, strict=True)):
        # To the rounding of one product, however many came before.
        assert chunk.arrival_s == index * period_s
        assert chunk.started_s >= chunk.arrival_s
        assert clock.called_s[index] - origin_s == pytest.approx(chunk.started_s, abs=3 * TICK_S)
        waited_s = max(0.0, done_s - chunk.arrival_s)
        assert chunk.ready_s == max(chunk.arrival_s, done_s)
        assert chunk.lateness_s >= 0
        assert chunk.latency_s == pytest.approx(
            waited_s + chunk.lateness_s + took_s, abs=3 * TICK_S
        )
        done_s = chunk.ended_s


def test_paced_and_back_to_back_take_turns_and_what_settles_is_left_out() -> None:
    clock = Clock([0.01])
    trip = HostRoundTrip(clock.work, clock)
    samples: dict[str, PacedSamples] = {}
    told: list[float] = []

    plan = SamplingPlan(max_samples=120, max_time_s=1000.0)
    sample_paced({"one": trip}, 0.1, plan, samples, on_round=told.append, timer=clock)

    found = samples["one"]
    assert found.block_passes == [50, 50, 20]
    assert [len(x) for x in (found.paced_s, found.lateness_s, found.hot_s)] == [120] * 3
    assert found.hot_s == pytest.approx([0.01] * 120, abs=1e-4)
    # Half a second of chunks, and of calls, before each block; two calls tell how many those are.
    assert len(clock.called_s) == sum(5 + n + 2 + 50 + n for n in found.block_passes)
    assert told == pytest.approx([50 / 120, 100 / 120, 1.0])


def test_the_time_ends_it_and_a_block_is_a_quarter_of_it_at_most() -> None:
    clock = Clock([0.001])
    samples: dict[str, PacedSamples] = {}

    cause = sample_paced(
        {"one": HostRoundTrip(clock.work, clock)},
        0.1,
        SamplingPlan(max_samples=10_000, max_time_s=4.0),
        samples,
        timer=clock,
    )

    assert cause == "time"

    assert set(samples["one"].block_passes) == {10}
    assert 2 <= len(samples["one"].block_passes) <= 4


@pytest.mark.parametrize(
    ("period_s", "limit", "least"), [(0.1, None, 400), (1.0, None, 60), (0.1, 200, 200)]
)
def test_without_a_time_there_are_enough_chunks(
    period_s: float, limit: int | None, least: int
) -> None:
    # Waiting actively takes two thousand of the short steps.
    clock = Clock([0.05], tick_s=1e-3)
    samples: dict[str, PacedSamples] = {}
    trips = {name: HostRoundTrip(clock.work, clock) for name in ("one", "two")}

    cause = sample_paced(trips, period_s, SamplingPlan(max_samples=limit), samples, timer=clock)

    # They were waited for, longer than the time that there is otherwise.
    assert cause == "samples"
    block = round(5 / period_s)
    for found in samples.values():
        assert least <= len(found.paced_s) < least + block


def test_chunks_that_come_soon_are_more_than_enough_and_time_ends_them() -> None:
    clock = Clock([0.0005])
    samples: dict[str, PacedSamples] = {}
    trip = {"one": HostRoundTrip(clock.work, clock)}

    # 400 chunks take 4 s, and there is 1 s of time for each of few blocks: here 8.
    plan = SamplingPlan(max_samples=100_000, block_s=0.2)
    cause = sample_paced(trip, 0.002, plan, samples, timer=clock)

    assert cause == "time"
    assert len(samples["one"].paced_s) > 400


def test_a_block_is_told_by_when_it_was_paced_and_when_back_to_back() -> None:
    samples: dict[str, PacedSamples] = {}
    plan = SamplingPlan(max_samples=3, max_time_s=1000.0)
    before_s = time.monotonic()
    sample_paced(
        {"one": HostRoundTrip(lambda: time.sleep(1e-4))}, 0.01, plan, samples, name=str.upper
    )
    after_s = time.monotonic()

    (paced,), (hot,) = samples["one"].blocks, samples["one"].hot_blocks
    assert (paced.series, hot.series) == ("ONE: paced", "ONE: back to back")
    assert (paced.passes, hot.passes) == (3, 3)
    # What settles is before them: 50 chunks of 10 ms, and half a second of calls.
    assert before_s + 0.5 <= paced.started_s < paced.ended_s < hot.started_s < hot.ended_s
    assert hot.ended_s <= after_s


def test_an_interruption_keeps_the_blocks_that_are_complete() -> None:
    clock = Clock([0.01])
    trip = HostRoundTrip(clock.work, clock)
    calls = itertools.count()

    def interrupt() -> None:
        if next(calls) == 160:
            raise KeyboardInterrupt
        clock.work()

    trip.call = interrupt
    samples: dict[str, PacedSamples] = {}
    with pytest.raises(KeyboardInterrupt):
        sample_paced({"one": trip}, 0.1, SamplingPlan(max_time_s=30.0), samples, timer=clock)

    found = samples["one"]
    assert found.block_passes == [50]
    assert [len(x) for x in (found.paced_s, found.lateness_s, found.hot_s)] == [50] * 3


@pytest.mark.parametrize("period_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_period_in_which_nothing_comes_is_refused(period_s: float) -> None:
    with pytest.raises(OptionError, match="--period"):
        sample_paced({}, period_s, SamplingPlan(), {})


def test_the_hosts_timer_goes_on_while_it_sleeps() -> None:
    timer = HostTimer()
    before_s = timer.now()
    timer.sleep(0.01)
    assert timer.now() - before_s >= 0.0099
