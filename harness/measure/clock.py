"""Clocks: what times a block of launches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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


class HostClock:
    """The host's monotonic clock around each call: right where a launch returns when it is done."""

    name = "host"
    is_simulated = False

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        """Call each of ``launches`` in order; gives the seconds of each."""
        ticks = time.perf_counter_ns
        latency_ns = [0] * len(launches)
        for index, launch in enumerate(launches):
            started = ticks()
            launch()
            latency_ns[index] = ticks() - started
        return tuple(nanoseconds * 1e-9 for nanoseconds in latency_ns)
