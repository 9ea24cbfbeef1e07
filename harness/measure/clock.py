"""Clocks: what times a block of launches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from harness.errors import FeatureUnavailableError
from harness.measure.host_cache import host_caches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.measure.host_cache import HostCaches


class Clock(Protocol):
    """Times launches one by one; the extension point for CUDA events and for played-back clocks.

    A block is handed over whole, so that a clock may synchronize once at its end.
    """

    @property
    def name(self) -> str:
        """What records call it."""

    @property
    def is_simulated(self) -> bool:
        """Whether its times are made up; then every record and report says so."""

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        """Call each of ``launches`` in order; gives the seconds of each."""


@runtime_checkable
class FlushingClock(Clock, Protocol):
    """A clock that can also time launches that find the caches cold."""

    def cold(self) -> Clock:
        """The same clock, with the caches flushed before each launch, outside its interval."""


def cold_clock(clock: Clock) -> Clock:
    """``clock`` with the caches flushed before each launch.

    Raises:
        FeatureUnavailableError: it cannot do that.
    """
    if not isinstance(clock, FlushingClock):
        what = f"the clock {clock.name!r} cannot flush caches before a launch"
        fix = "measure with --mode hot, or with another backend"
        raise FeatureUnavailableError(what, where="--mode cold", fix=fix)
    return clock.cold()


class SettledClock:
    """A clock that launches the first of each block a few times before it times any.

    What it times does not depend on what ran before, and found its data in the caches.
    """

    _SETTLING = 4

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.name = clock.name
        self.is_simulated = clock.is_simulated

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        """Call each of ``launches`` in order; gives the seconds of each."""
        settling = [*launches[:1]] * self._SETTLING
        return self._clock.time_block([*settling, *launches])[len(settling) :]


class HostClock:
    """The host's monotonic clock around each call: right where a launch returns when it is done."""

    name = "host"
    is_simulated = False

    def cold(self) -> ColdHostClock:
        """The same, with the processor's caches flushed before each launch."""
        return ColdHostClock()

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        """Call each of ``launches`` in order; gives the seconds of each."""
        ticks = time.perf_counter_ns
        latency_ns = [0] * len(launches)
        for index, launch in enumerate(launches):
            started = ticks()
            launch()
            latency_ns[index] = ticks() - started
        return tuple(nanoseconds * 1e-9 for nanoseconds in latency_ns)


class ColdHostClock:
    """The host's clock around each call, with the processor's caches flushed before it."""

    name = "host"
    is_simulated = False

    def __init__(self, caches: HostCaches | None = None) -> None:
        self._caches = caches or host_caches()
        self._clock = HostClock()

    def cold(self) -> ColdHostClock:
        """Itself."""
        return self

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        """Call each of ``launches`` in order; gives the seconds of each."""
        latency_s: list[float] = []
        for launch in launches:
            self._caches.flush()
            latency_s.extend(self._clock.time_block([launch]))
        return tuple(latency_s)
