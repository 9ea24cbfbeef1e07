"""Clocks of work that is queued on a device: its own events around each launch.

Two events around a launch measure the device's work only where the launch was queued before the
device came to it. Otherwise the device waits for the host between the two, and the interval is the
host's. So launches that are to be timed as the device's work are queued behind a kernel that only
waits, and a block in which that kernel ended before the last launch was queued is thrown away.

A cold clock flushes the device's caches before each launch and waits for that, as nvbench does, so
that each launch begins alone, on a device that does nothing else. Queued one after the other, a
product took 3 % less on an H200 than cuda-bench's cold median of the same work.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from harness.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# A device's queue takes about a thousand entries before the host has to wait. A launch is three:
# an event, a graph, an event.
_CHUNK: Final = 48
_FIRST_DELAY_S: Final = 1e-3
_MAX_DELAY_S: Final = 0.5
_MARGIN: Final = 1.5


class EventDevice(Protocol):
    """A device's stream: everything is queued on it in order, but what waits."""

    def record(self) -> Any:  # noqa: ANN401  # the library's own event
        """Queue an event, and give it."""

    def is_past(self, event: Any) -> bool:  # noqa: ANN401
        """Whether the device has come to ``event``."""

    def elapsed_s(self, start: Any, end: Any) -> float:  # noqa: ANN401
        """Seconds between two events that are past."""

    def delay(self, seconds: float) -> None:
        """Queue a kernel that does nothing for ``seconds``."""

    def flush(self) -> None:
        """Queue the writing of twice as many bytes as the device's L2 cache has."""

    def synchronize(self) -> None:
        """Wait until the device has done all that is queued."""


class QueuedClock:
    """The device's own time of each launch, all queued ahead: right for CUDA graphs.

    Raises from ``time_block``:
        MeasurementError: the host cannot queue launches as fast as the device does them.
    """

    name = "cuda events, queued ahead"
    is_simulated = False

    def __init__(self, device: EventDevice, before_each: Callable[[], None] | None = None) -> None:
        self._device = device
        self._before_each = before_each
        self._delay_s = _FIRST_DELAY_S

    def cold(self) -> QueuedClock:
        """The same, with the device's caches flushed before each launch."""
        # Once now: its memory is not to be taken within a block.
        self._device.flush()
        return QueuedClock(self._device, self._device.flush)

    def wait(self, seconds: float) -> None:
        """Queue a kernel that takes ``seconds``, behind what is queued."""
        self._device.delay(seconds)

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        """Call each of ``launches`` in order; gives the seconds of each."""
        found: list[float] = []
        chunk = _CHUNK if self._before_each is None else 1
        for start in range(0, len(launches), chunk):
            found.extend(self._time_chunk(launches[start : start + chunk]))
        return tuple(found)

    def _time_chunk(self, launches: Sequence[Callable[[], None]]) -> list[float]:
        while True:
            if self._before_each is not None:
                self._before_each()
            self._device.synchronize()
            begun = time.perf_counter()
            self._device.delay(self._delay_s)
            released = self._device.record()
            pairs = _queue(self._device, launches)
            is_ahead = not self._device.is_past(released)
            spent_s = time.perf_counter() - begun
            self._device.synchronize()
            if is_ahead:
                # No longer than it takes: the device cools down while it waits.
                self._delay_s = max(_FIRST_DELAY_S / 10, min(self._delay_s, spent_s * 2 * _MARGIN))
                return [self._device.elapsed_s(start, end) for start, end in pairs]
            self._delay_s = _MARGIN * max(self._delay_s, spent_s)
            if self._delay_s > _MAX_DELAY_S:
                what = f"the host takes {spent_s:.3f} s to queue {len(launches)} launches"
                fix = "is the machine busy, or does a launch wait for the device?"
                raise MeasurementError(what, where=self.name, fix=fix)


class EnqueueClock:
    """The interval between events around each launch as the host hands it over, nothing ahead.

    Every launch begins on an idle device, as it does where one inference is waited for. Where the
    launch is many kernels, this is mostly the host's time, not the device's.
    """

    name = "cuda events, as enqueued"
    is_simulated = False

    def __init__(self, device: EventDevice, before_each: Callable[[], None] | None = None) -> None:
        self._device = device
        self._before_each = before_each

    def cold(self) -> EnqueueClock:
        """The same, with the device's caches flushed before each launch."""
        # Once now: its memory is not to be taken within a block.
        self._device.flush()
        return EnqueueClock(self._device, self._device.flush)

    def wait(self, seconds: float) -> None:
        """Queue a kernel that takes ``seconds``, behind what is queued."""
        self._device.delay(seconds)

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        """Call each of ``launches`` in order; gives the seconds of each."""
        found: list[float] = []
        self._device.synchronize()
        for launch in launches:
            if self._before_each is not None:
                # Done before the first event, so that the launch begins on an idle device.
                self._before_each()
                self._device.synchronize()
            pairs = _queue(self._device, [launch])
            self._device.synchronize()
            found.extend(self._device.elapsed_s(start, end) for start, end in pairs)
        return tuple(found)


class HandOverClock:
    """The host's time to hand each launch over, on an idle device, without waiting for its end."""

    name = "host, without waiting"
    is_simulated = False

    def __init__(self, device: EventDevice) -> None:
        self._device = device

    def cold(self) -> HandOverClock:
        """Itself: the host's part does not depend on what the device's caches hold."""
        return self

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        """Call each of ``launches`` in order; gives the seconds of each."""
        latency_ns = []
        for launch in launches:
            self._device.synchronize()
            started = time.perf_counter_ns()
            launch()
            latency_ns.append(time.perf_counter_ns() - started)
        self._device.synchronize()
        return tuple(nanoseconds * 1e-9 for nanoseconds in latency_ns)


def _queue(device: EventDevice, launches: Sequence[Callable[[], None]]) -> list[tuple[Any, Any]]:
    pairs = []
    for launch in launches:
        start = device.record()
        launch()
        pairs.append((start, device.record()))
    return pairs
