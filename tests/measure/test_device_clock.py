"""Clocks of a device's events, on a device whose time and whose host's time pass apart."""

from __future__ import annotations

import functools
import itertools
from collections import deque
from typing import TYPE_CHECKING

import pytest

from harness.errors import EXIT_INCONCLUSIVE, FeatureUnavailableError, MeasurementError
from harness.measure import device_clock
from harness.measure.clock import cold_clock
from harness.measure.device_clock import EnqueueClock, HandOverClock, QueuedClock
from tests.devices import MadeUp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.measure.clock import Clock

MS = 1e-3
US = 1e-6
HOST_S, DEVICE_S = 50 * US, 20 * US
FLUSH_S = 60 * US
# What the two ends of an interval are apart besides the launch itself: the host's next record.
EVENT_S = 1 * US
# The longest that a launch may be told to wait before the clock gives up.
LIMIT_S = 0.5


class Event:
    """A place in the queue; the device comes to it at ``at_s``."""

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s


class Timeline:
    """A stream whose queue takes ``depth`` entries, and the host that fills it.

    The host's time passes as it queues and waits, the device's as it does what is queued: it begins
    nothing before the host has queued it. Stands in for the clocks' ``time`` as well.
    """

    def __init__(self, depth: int = 1024) -> None:
        self.host_s = 100.0
        self.device_s = 0.0
        self.depth = depth
        self.ends_s: deque[float] = deque()
        self.delays_s: list[float] = []
        self.flushed_at_s: list[float] = []
        self.recorded = 0
        self.synchronized = 0
        self.launched = 0

    def perf_counter(self) -> float:
        return self.host_s

    def perf_counter_ns(self) -> int:
        return round(self.host_s * 1e9)

    def record(self) -> Event:
        self.recorded += 1
        return Event(self.queue(0.0, host_s=EVENT_S))

    def is_past(self, event: Event) -> bool:
        return event.at_s <= self.host_s

    def elapsed_s(self, start: Event, end: Event) -> float:
        assert self.is_past(start)
        assert self.is_past(end), "the device has not come to it"
        return end.at_s - start.at_s

    def flush(self) -> None:
        self.flushed_at_s.append(self.queue(FLUSH_S, host_s=5 * US))

    def delay(self, seconds: float) -> None:
        self.delays_s.append(seconds)
        self.queue(seconds, host_s=5 * US)

    def synchronize(self) -> None:
        self.synchronized += 1
        self.host_s = max(self.host_s, self.device_s) + 2 * US
        self.ends_s.clear()

    def queue(self, device_s: float, *, host_s: float) -> float:
        """Queue work that the host takes ``host_s`` to hand over; gives when the device ends it."""
        self.host_s += host_s
        while self.ends_s and self.ends_s[0] <= self.host_s:
            self.ends_s.popleft()
        if len(self.ends_s) >= self.depth:
            self.host_s = self.ends_s.popleft()
        self.device_s = max(self.device_s, self.host_s) + device_s
        self.ends_s.append(self.device_s)
        return self.device_s

    def launch(
        self, host_s: float = HOST_S, device_s: float = DEVICE_S, *, waits: bool = False
    ) -> Callable[[], None]:
        """A launch; one that ``waits`` returns when the device has done it."""

        def call() -> None:
            self.launched += 1
            self.queue(device_s, host_s=host_s)
            if waits:
                self.host_s = max(self.host_s, self.device_s)

        return call

    def kernels(self, count: int, host_s: float, device_s: float) -> Callable[[], None]:
        """A launch of ``count`` kernels one by one."""

        def call() -> None:
            for _ in range(count):
                self.queue(device_s, host_s=host_s)

        return call


class Stalling(Timeline):
    """A timeline whose host stands still for ``stall_s`` at each of the launches numbered."""

    def __init__(self, stall_s: float, at: Iterable[int]) -> None:
        super().__init__()
        self.stall_s = stall_s
        self.at = frozenset(at)

    def launch(
        self, host_s: float = HOST_S, device_s: float = DEVICE_S, *, waits: bool = False
    ) -> Callable[[], None]:
        usual = super().launch(host_s, device_s, waits=waits)

        def call() -> None:
            self.host_s += self.stall_s * (self.launched in self.at)
            usual()

        return call


@pytest.fixture(autouse=True)
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Timeline], Timeline]:
    """Have the clocks see the time of a timeline, and give it back."""

    def choose(timeline: Timeline) -> Timeline:
        monkeypatch.setattr(device_clock, "time", timeline)
        return timeline

    return choose


@pytest.fixture
def timeline(use: Callable[[Timeline], Timeline]) -> Timeline:
    return use(Timeline())


def close_to(*seconds: float) -> object:
    return pytest.approx(seconds, rel=1e-6, abs=1e-10)


# The timeline itself: what two events around a launch measure.


def test_two_events_around_one_launch_on_an_idle_device_measure_the_host(
    timeline: Timeline,
) -> None:
    """Without this, a clock that queued nothing ahead would pass the tests below."""
    start = timeline.record()
    timeline.launch(HOST_S, DEVICE_S)()
    end = timeline.record()
    timeline.synchronize()

    assert timeline.elapsed_s(start, end) == pytest.approx(HOST_S + DEVICE_S)


# Queued ahead.


@pytest.mark.parametrize("host_s", [1 * US, 50 * US, 400 * US, 5 * MS])
def test_queued_ahead_gives_the_devices_time_however_slow_the_host(
    timeline: Timeline, host_s: float
) -> None:
    launches = [timeline.launch(host_s, device_s) for device_s in (20 * US, 3 * US, 90 * US)]

    assert QueuedClock(timeline).time_block(launches) == close_to(20 * US, 3 * US, 90 * US)


def test_queued_ahead_gives_the_devices_time_of_many_kernels_too(timeline: Timeline) -> None:
    launches = [timeline.kernels(5, 30 * US, 2 * US)] * 10

    assert QueuedClock(timeline).time_block(launches) == close_to(*[10 * US] * 10)


def test_queued_ahead_gives_the_devices_time_where_the_device_is_the_slower_one(
    timeline: Timeline,
) -> None:
    launches = [timeline.launch(10 * US, 20 * MS)] * 3

    assert QueuedClock(timeline).time_block(launches) == close_to(*[20 * MS] * 3)
    assert len(timeline.delays_s) == 1


@pytest.mark.parametrize("count", [0, 1, 7, 47, 48, 49, 96, 200])
def test_a_block_of_any_length_has_one_time_for_each_launch_in_order(
    timeline: Timeline, count: int
) -> None:
    expected = [(1 + index) * US for index in range(count)]
    launches = [timeline.launch(10 * US, device_s) for device_s in expected]

    found = QueuedClock(timeline).time_block(launches)

    assert isinstance(found, tuple)
    assert found == close_to(*expected)
    assert timeline.launched == count


def test_more_launches_than_fit_are_queued_in_chunks_of_48(timeline: Timeline) -> None:
    """A device's queue is finite: the host would wait for the very kernel that waits for it."""
    launched_before: list[int] = []
    usual = timeline.delay

    def delay(seconds: float) -> None:
        launched_before.append(timeline.launched)
        usual(seconds)

    timeline.delay = delay  # type: ignore[method-assign]
    QueuedClock(timeline).time_block([timeline.launch(1 * US, DEVICE_S)] * 100)

    assert launched_before == [0, 48, 96]


def test_a_queue_of_a_hundred_entries_is_long_enough_for_launches_of_one_entry(
    use: Callable[[Timeline], Timeline],
) -> None:
    timeline = use(Timeline(depth=48 * 3 + 2))
    launches = [timeline.launch(HOST_S, DEVICE_S)] * 500

    assert QueuedClock(timeline).time_block(launches) == close_to(*[DEVICE_S] * 500)


def test_a_kernel_that_ended_too_early_is_tried_again_longer_and_its_times_are_not_given(
    timeline: Timeline,
) -> None:
    """48 launches of 50 us take the host 2.4 ms, and the first delay is of 1 ms."""
    found = QueuedClock(timeline).time_block([timeline.launch(HOST_S, DEVICE_S)] * 48)

    first, *others = timeline.delays_s
    assert first == pytest.approx(1 * MS)
    assert others
    growth = [after / before for before, after in itertools.pairwise(timeline.delays_s)]
    assert min(growth) >= 1.5
    assert timeline.delays_s[-1] > 48 * HOST_S
    # Each trial launches all again; only the last one's times are given.
    assert timeline.launched == 48 * len(timeline.delays_s)
    assert found == close_to(*[DEVICE_S] * 48)


@pytest.mark.parametrize("stalled", [0, 1, 25, 46, 47])
def test_a_host_that_stalls_once_costs_a_trial_and_no_wrong_time(
    use: Callable[[Timeline], Timeline], stalled: int
) -> None:
    timeline = use(Stalling(20 * MS, [stalled]))
    launches = [timeline.launch(1 * US, DEVICE_S)] * 48

    assert QueuedClock(timeline).time_block(launches) == close_to(*[DEVICE_S] * 48)
    assert len(timeline.delays_s) == 2


def test_a_host_that_stalls_between_blocks_is_of_no_matter(
    timeline: Timeline,
) -> None:
    clock = QueuedClock(timeline)
    for _ in range(5):
        timeline.host_s += 1.0
        assert clock.time_block([timeline.launch(1 * US, DEVICE_S)] * 2) == close_to(
            *[DEVICE_S] * 2
        )
    assert len(timeline.delays_s) == 5


def test_work_that_was_queued_before_the_block_is_not_timed(timeline: Timeline) -> None:
    """Nor does it hide that the host is late: the delay begins on an idle device."""
    timeline.queue(300 * MS, host_s=1 * US)
    launches = [timeline.launch(HOST_S, DEVICE_S)] * 48

    assert QueuedClock(timeline).time_block(launches) == close_to(*[DEVICE_S] * 48)
    assert len(timeline.delays_s) > 1


def test_the_delay_that_was_needed_is_kept_for_the_next_block(timeline: Timeline) -> None:
    clock = QueuedClock(timeline)
    launches = [timeline.launch(HOST_S, DEVICE_S)] * 48
    clock.time_block(launches)
    trials = len(timeline.delays_s)

    for _ in range(10):
        clock.time_block(launches)

    assert trials > 1
    assert len(timeline.delays_s) == trials + 10


def test_the_delay_becomes_shorter_again_where_less_is_enough(timeline: Timeline) -> None:
    """The device does nothing meanwhile, and its clock rate falls."""
    clock = QueuedClock(timeline)
    clock.time_block([timeline.launch(2 * MS, DEVICE_S)] * 48)
    longest = timeline.delays_s[-1]

    for _ in range(3):
        clock.time_block([timeline.launch(1 * US, DEVICE_S)])

    assert longest > 90 * MS
    assert 0.0 < timeline.delays_s[-1] < 1 * MS


def test_a_host_that_cannot_queue_in_time_is_refused(timeline: Timeline) -> None:
    clock: Clock = QueuedClock(timeline)

    with pytest.raises(MeasurementError, match="to queue 48 launches") as caught:
        clock.time_block([timeline.launch(20 * MS, DEVICE_S)] * 48)

    assert caught.value.where == clock.name
    assert caught.value.exit_code == EXIT_INCONCLUSIVE
    assert max(timeline.delays_s) <= LIMIT_S


@pytest.mark.parametrize("position", [0, 2, 4])
def test_a_launch_that_waits_for_the_device_is_refused(timeline: Timeline, position: int) -> None:
    """However long the delay is, such a launch outlasts it: queueing ahead is impossible."""
    launches = [timeline.launch(1 * US, DEVICE_S)] * 5
    launches[position] = timeline.launch(1 * US, DEVICE_S, waits=True)

    with pytest.raises(MeasurementError, match="to queue 5 launches") as caught:
        QueuedClock(timeline).time_block(launches)

    assert "wait for the device" in str(caught.value)
    assert timeline.delays_s == sorted(set(timeline.delays_s))
    assert max(timeline.delays_s) <= LIMIT_S


def test_launches_that_fill_the_queue_are_refused_and_not_timed_as_the_devices(
    use: Callable[[Timeline], Timeline],
) -> None:
    """Where the queue is full the host waits, for as long as the delay lasts."""
    timeline = use(Timeline(depth=64))

    with pytest.raises(MeasurementError, match="launches"):
        QueuedClock(timeline).time_block([timeline.launch(1 * US, DEVICE_S)] * 48)


def test_a_launch_that_is_refused_leaves_an_idle_device(timeline: Timeline) -> None:
    with pytest.raises(MeasurementError):
        QueuedClock(timeline).time_block([timeline.launch(waits=True)])

    assert timeline.device_s <= timeline.host_s


def test_a_block_after_a_refused_one_is_timed_right(timeline: Timeline) -> None:
    clock = QueuedClock(timeline)
    with pytest.raises(MeasurementError):
        clock.time_block([timeline.launch(waits=True)])

    assert clock.time_block([timeline.launch(HOST_S, DEVICE_S)] * 3) == close_to(*[DEVICE_S] * 3)


# As enqueued.


def test_as_enqueued_gives_the_hosts_time_where_that_is_the_longer_one(
    timeline: Timeline,
) -> None:
    """200 kernels of 2 us, of which each takes the host 10 us: the device waits for the host."""
    launch = timeline.kernels(200, 10 * US, 2 * US)

    enqueued = EnqueueClock(timeline).time_block([launch] * 3)
    ahead = QueuedClock(timeline).time_block([launch] * 3)

    assert enqueued == close_to(*[200 * 10 * US + 2 * US] * 3)
    assert ahead == close_to(*[200 * 2 * US] * 3)


def test_as_enqueued_gives_the_devices_time_where_that_is_the_longer_one(
    timeline: Timeline,
) -> None:
    launch = timeline.kernels(200, 2 * US, 10 * US)

    assert EnqueueClock(timeline).time_block([launch] * 2) == close_to(*[2 * US + 2 * MS] * 2)


def test_as_enqueued_begins_each_launch_on_an_idle_device(timeline: Timeline) -> None:
    """The one before never hides what the host takes, nor is it waited for within the interval."""
    launches = [timeline.launch(HOST_S, device_s) for device_s in (80 * MS, DEVICE_S, 0.0)]
    timeline.queue(300 * MS, host_s=1 * US)

    found = EnqueueClock(timeline).time_block(launches)

    assert found == close_to(HOST_S + 80 * MS, HOST_S + DEVICE_S, HOST_S + EVENT_S)
    assert timeline.delays_s == []


def test_as_enqueued_times_a_launch_that_waits_too(timeline: Timeline) -> None:
    found = EnqueueClock(timeline).time_block([timeline.launch(HOST_S, DEVICE_S, waits=True)])

    assert found == close_to(HOST_S + DEVICE_S + EVENT_S)


# Handed over.


@pytest.mark.parametrize("device_s", [0.0, 20 * US, 80 * MS])
def test_handing_over_is_the_hosts_time_alone(timeline: Timeline, device_s: float) -> None:
    launches = [timeline.launch(host_s, device_s) for host_s in (30 * US, 70 * US, 10 * US)]

    found = HandOverClock(timeline).time_block(launches)

    assert found == pytest.approx((30 * US, 70 * US, 10 * US), abs=2e-9)
    assert timeline.recorded == 0


def test_handing_over_begins_each_launch_on_an_idle_device(
    use: Callable[[Timeline], Timeline],
) -> None:
    """Else a queue that is full would be waited for."""
    timeline = use(Timeline(depth=4))
    timeline.queue(300 * MS, host_s=1 * US)
    launches = [timeline.launch(30 * US, 80 * MS)] * 20

    found = HandOverClock(timeline).time_block(launches)

    assert found == pytest.approx((30 * US,) * 20, abs=2e-9)


def test_handing_over_ends_with_the_device_idle(timeline: Timeline) -> None:
    """What comes next, on another clock, is not held up by it."""
    HandOverClock(timeline).time_block([timeline.launch(1 * US, 80 * MS)])

    assert timeline.device_s <= timeline.host_s


# All of them.

CLOCKS = (QueuedClock, EnqueueClock, HandOverClock)


@pytest.mark.parametrize("make", CLOCKS)
def test_every_launch_is_called_in_order(
    timeline: Timeline, make: Callable[[Timeline], Clock]
) -> None:
    launched: list[str] = []
    launches = [functools.partial(launched.append, name) for name in ("a", "b", "c")] * 20

    found = make(timeline).time_block(launches)

    assert len(found) == 60
    assert launched == ["a", "b", "c"] * 20


@pytest.mark.parametrize("make", CLOCKS)
def test_an_interruption_ends_the_block(
    timeline: Timeline, make: Callable[[Timeline], Clock]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(timeline).time_block([timeline.launch(), interrupt, timeline.launch()])

    assert timeline.launched == 1


def test_each_has_a_name_of_its_own_and_none_is_simulated(timeline: Timeline) -> None:
    clocks: list[Clock] = [make(timeline) for make in CLOCKS]

    assert len({clock.name for clock in clocks}) == 3
    assert not any(clock.is_simulated for clock in clocks)


# Cold.


@pytest.mark.parametrize("host_s", [1 * US, 50 * US, 5 * MS])
def test_a_cold_clock_times_the_launch_and_not_the_flush(timeline: Timeline, host_s: float) -> None:
    launches = [timeline.launch(host_s, device_s) for device_s in (20 * US, 3 * US, 90 * US)]

    found = cold_clock(QueuedClock(timeline)).time_block(launches)

    assert found == close_to(20 * US, 3 * US, 90 * US)


def test_every_launch_has_a_flush_before_it_that_is_over_and_is_queued_ahead(
    timeline: Timeline,
) -> None:
    flushes: list[int] = []
    waited_s: list[float] = []

    def launch() -> None:
        flushes.append(len(timeline.flushed_at_s))
        # Only the delay lies between the flush and what is queued behind it.
        waited_s.append(timeline.device_s - timeline.flushed_at_s[-1])
        timeline.queue(DEVICE_S, host_s=1 * US)

    clock = cold_clock(QueuedClock(timeline))
    timeline.flushed_at_s.clear()
    clock.time_block([launch] * 5)

    assert flushes == [1, 2, 3, 4, 5]
    assert len(timeline.delays_s) == 5
    assert waited_s == pytest.approx(timeline.delays_s, abs=20 * US)
    # The device waits for no longer than the host takes to queue one launch.
    assert timeline.delays_s == sorted(timeline.delays_s, reverse=True)
    assert timeline.delays_s[0] > timeline.delays_s[1]


def test_a_hot_clock_flushes_nothing_and_what_is_made_of_it_takes_its_memory_at_once(
    timeline: Timeline,
) -> None:
    hot = QueuedClock(timeline)
    cold = cold_clock(hot)

    assert len(timeline.flushed_at_s) == 1
    hot.time_block([timeline.launch()] * 3)
    assert len(timeline.flushed_at_s) == 1
    cold.time_block([timeline.launch(1 * US)] * 3)
    assert len(timeline.flushed_at_s) == 4


def test_the_queueing_of_flushes_counts_for_the_delay(timeline: Timeline) -> None:
    """48 launches of 17 us are queued within the first delay of 1 ms, but not with flushes."""
    launches = [timeline.launch(17 * US, DEVICE_S)] * 48
    hot, cold = QueuedClock(timeline), cold_clock(QueuedClock(timeline))

    assert hot.time_block(launches) == close_to(*[DEVICE_S] * 48)
    trials = len(timeline.delays_s)
    timeline.delays_s.clear()
    timeline.host_s += 1.0
    assert cold.time_block(launches) == close_to(*[DEVICE_S] * 48)

    assert trials == 1
    assert len(timeline.delays_s) > 1


def test_a_queue_that_takes_a_chunk_of_four_entries_each_is_long_enough(
    use: Callable[[Timeline], Timeline],
) -> None:
    timeline = use(Timeline(depth=48 * 4 + 2))
    launches = [timeline.launch(HOST_S, DEVICE_S)] * 100

    assert cold_clock(QueuedClock(timeline)).time_block(launches) == close_to(*[DEVICE_S] * 100)


def test_as_enqueued_and_cold_begins_on_an_idle_device_after_the_flush(timeline: Timeline) -> None:
    launches = [timeline.launch(HOST_S, device_s) for device_s in (80 * MS, DEVICE_S)]

    found = cold_clock(EnqueueClock(timeline)).time_block(launches)

    assert found == close_to(HOST_S + 80 * MS, HOST_S + DEVICE_S)
    assert len(timeline.flushed_at_s) == 1 + 2


def test_handing_over_is_the_same_hot_and_cold(timeline: Timeline) -> None:
    clock = HandOverClock(timeline)

    assert cold_clock(clock) is clock
    assert timeline.flushed_at_s == []


def test_a_clock_that_cannot_flush_is_refused() -> None:
    with pytest.raises(FeatureUnavailableError, match="'made up' cannot flush") as caught:
        cold_clock(MadeUp("made up", 1.0))

    assert caught.value.where == "--mode cold"
