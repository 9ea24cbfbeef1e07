"""Chunks that arrive in real time, as those of a microphone do; between them the device is idle.

Arrivals are on an absolute schedule: chunk ``k`` comes ``k`` periods after the first, whatever
happened to those before it. A chunk that comes while another is worked on waits for it, and that
counts: its latency goes from its arrival until its result is on the host. How late the host woke up
for a chunk is a part of that latency, and is told apart, so that it is not taken for the device's.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from harness.errors import OptionError
from harness.measure.causes import OUT_OF_SAMPLES, OUT_OF_TIME
from harness.measure.garbage import no_garbage_collection
from harness.states import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.measure.sampler import SamplingPlan

K = TypeVar("K")

PACED_CLOCK: Final = "host, paced"
HOT_CLOCK: Final = "host, copies included"
# A sleep ends late by this or less where the machine is quiet; the rest is waited for actively.
_SPIN_S: Final = 2e-3
# What has been idle, or busy, for less is not yet as it stays: clocks move, threads fall asleep.
_SETTLE_S: Final = 0.5
_SETTLE_CHUNKS: Final = 2
_BLOCK_S: Final = 5.0
_BLOCKS: Final = 4
_MAX_WARMUP: Final = 10_000
# A p99 has an interval from 368 on; who gives no time does not mean to wait for hours either.
_WORTH_CHUNKS: Final = 400
_WORTH_S: Final = 60.0


class Timer(Protocol):
    """What tells the time and waits."""

    def now(self) -> float:
        """Seconds, from any origin; never less than before."""

    def sleep(self, seconds: float) -> None:
        """Wait about so long."""


class HostTimer:
    """The system's monotonic clock."""

    def now(self) -> float:
        """Seconds of the monotonic clock."""
        return time.perf_counter_ns() * 1e-9

    def sleep(self, seconds: float) -> None:
        """Give the processor away for about so long, mostly longer."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Chunk:
    """One chunk, in seconds from the first arrival.

    ``ready_s`` is when work on it could begin: when it came, or when the one before it was done.
    """

    arrival_s: float
    ready_s: float
    started_s: float
    ended_s: float

    @property
    def latency_s(self) -> float:
        """From its arrival until its result was there."""
        return self.ended_s - self.arrival_s

    @property
    def lateness_s(self) -> float:
        """How late the host noticed that work could begin."""
        return self.started_s - self.ready_s


def run_paced(
    call: Callable[[], None], count: int, period_s: float, timer: Timer
) -> tuple[Chunk, ...]:
    """Call ``call`` for each of ``count`` chunks, ``period_s`` apart, never before its arrival."""
    chunks: list[Chunk] = []
    done_s = 0.0
    # Time to get to the first wait: it is no later than the others.
    origin_s = timer.now() + min(period_s, _SPIN_S)
    for index in range(count):
        # From the origin, not from the chunk before: nothing adds up.
        arrival_s = index * period_s
        _wait_until(origin_s + arrival_s, timer)
        started_s = timer.now() - origin_s
        call()
        ended_s = timer.now() - origin_s
        chunks.append(Chunk(arrival_s, max(arrival_s, done_s), started_s, ended_s))
        done_s = ended_s
    return tuple(chunks)


def _wait_until(due_s: float, timer: Timer) -> None:
    left_s = due_s - timer.now()
    if left_s > _SPIN_S:
        timer.sleep(left_s - _SPIN_S)
    while timer.now() < due_s:
        pass


class RoundTrip(Protocol):
    """A whole inference from host to host: copies to the device, all components, copies back."""

    def time_paced(self, count: int, period_s: float) -> tuple[Chunk, ...]:
        """One for each of ``count`` chunks that come ``period_s`` apart."""

    def time_hot(self, count: int) -> tuple[float, ...]:
        """``count`` of them back to back; gives the seconds of each."""


class HostRoundTrip:
    """One that is made in this process: ``call`` returns when the result is on the host."""

    def __init__(self, call: Callable[[], None], timer: Timer | None = None) -> None:
        self.call = call
        self._timer = timer or HostTimer()

    def time_paced(self, count: int, period_s: float) -> tuple[Chunk, ...]:
        """One for each of ``count`` chunks that come ``period_s`` apart."""
        with no_garbage_collection():
            return run_paced(self.call, count, period_s, self._timer)

    def time_hot(self, count: int) -> tuple[float, ...]:
        """``count`` of them back to back; gives the seconds of each."""
        found = []
        with no_garbage_collection():
            for _ in range(count):
                started_s = self._timer.now()
                self.call()
                found.append(self._timer.now() - started_s)
        return tuple(found)


@dataclass
class PacedSamples:
    """What was measured of one round trip, in the order measured: seconds, by whole blocks.

    ``blocks`` and ``hot_blocks`` tell when each was paced, and when it was back to back.
    """

    paced_s: list[float] = field(default_factory=list)
    lateness_s: list[float] = field(default_factory=list)
    hot_s: list[float] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    hot_blocks: list[Block] = field(default_factory=list)

    @property
    def block_passes(self) -> list[int]:
        """How many samples each block has."""
        return [block.passes for block in self.blocks]


def check_period(period_s: float) -> None:
    """Refuse a period that no chunk comes in.

    Raises:
        OptionError: it is not above 0.
    """
    if not (period_s > 0 and math.isfinite(period_s)):
        raise OptionError(f"{period_s:g} s", where="--period", fix="give more than 0 s")


def least_chunks(plan: SamplingPlan, period_s: float) -> int:
    """So many chunks of each are measured, whatever time that takes; 1 where a time was given."""
    if plan.max_time_s is not None:
        return 1
    return min(_WORTH_CHUNKS, plan.sample_limit, max(1, math.ceil(_WORTH_S / period_s)))


def most_time_s(plan: SamplingPlan, period_s: float, count: int) -> float:
    """About how long (seconds) ``count`` round trips that keep up take at most, by ``plan``."""
    block_s = _block_s(plan)
    settling_s = max(_SETTLE_CHUNKS * period_s, _SETTLE_S)
    # Back to back they take no longer than paced.
    round_s = 2.0 * count * (settling_s + max(block_s, period_s))
    rounds = math.ceil(least_chunks(plan, period_s) / max(1, round(block_s / period_s)))
    return max(plan.time_limit_s, rounds * round_s)


def _block_s(plan: SamplingPlan) -> float:
    return min(_BLOCK_S, plan.time_limit_s / _BLOCKS)


def sample_paced(
    round_trips: Mapping[K, RoundTrip],
    period_s: float,
    plan: SamplingPlan,
    samples: dict[K, PacedSamples],
    *,
    name: Callable[[K], str] = str,
    on_round: Callable[[float], None] = lambda _: None,
    timer: Timer | None = None,
) -> str:
    """Measure ``round_trips`` paced and back to back, a block of each in turn; gives what ended it.

    Before a block counts, about half a second of it is spent, so that the device is as idle, or as
    busy, as it stays. It ends as :func:`~harness.measure.sampler.Sampling` does, after
    ``sample_limit`` chunks or the round that ends the time; ``samples`` grows by whole blocks.
    Where ``plan`` gives no time, 400 chunks of each are measured, or 60 s of chunks if that is
    less, and more if there is still time.

    Args:
        round_trips: what is measured.
        period_s: seconds from one chunk to the next.
        plan: when to stop.
        samples: where the samples go.
        name: what records call one of ``round_trips``; see :func:`series_names`.
        on_round: is told how much of the plan is done, from 0 to 1.
        timer: tells the time and waits.
    """
    check_period(period_s)
    timer = timer or HostTimer()
    started_s = timer.now()
    block_s, least = _block_s(plan), least_chunks(plan, period_s)
    taken = 0
    while True:
        count = max(1, min(plan.sample_limit - taken, round(block_s / period_s)))
        with no_garbage_collection():
            for key, trip in round_trips.items():
                found = samples.setdefault(key, PacedSamples())
                _sample_block(trip, count, period_s, found, series_names(name(key)))
        taken += count
        spent = min((timer.now() - started_s) / plan.time_limit_s, taken / least)
        done = max(spent, taken / plan.sample_limit)
        on_round(min(1.0, done))
        if done >= 1.0:
            # Where no time was given, the last to be spent of time and chunks is what ended it.
            waited = plan.max_time_s is None and taken - count < least
            is_spent = taken >= plan.sample_limit or waited
            return OUT_OF_SAMPLES if is_spent else OUT_OF_TIME


def series_names(name: str) -> tuple[str, str]:
    """What blocks of ``name`` are called: those that are paced, and those back to back."""
    return f"{name}: paced", f"{name}: back to back"


def _sample_block(
    trip: RoundTrip, count: int, period_s: float, found: PacedSamples, names: tuple[str, str]
) -> None:
    settling = max(_SETTLE_CHUNKS, math.ceil(_SETTLE_S / period_s))
    # So long after the first chunk comes the first that counts.
    began_s = time.monotonic() + settling * period_s
    chunks = trip.time_paced(settling + count, period_s)[settling:]
    ended_s = time.monotonic()
    paced = Block(names[0], min(began_s, ended_s), ended_s, count)
    each_s = max(*trip.time_hot(_SETTLE_CHUNKS), _SETTLE_S / _MAX_WARMUP)
    trip.time_hot(max(1, round(_SETTLE_S / each_s)))
    began_s = time.monotonic()
    hot_s = trip.time_hot(count)
    found.hot_blocks.append(Block(names[1], began_s, time.monotonic(), count))
    found.blocks.append(paced)
    found.paced_s.extend(chunk.latency_s for chunk in chunks)
    found.lateness_s.extend(chunk.lateness_s for chunk in chunks)
    found.hot_s.extend(hot_s)
