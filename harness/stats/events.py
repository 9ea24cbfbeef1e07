"""What the readings of a GPU tell of a stretch of time: why its clock was held back, who used it.

The bits are NVML's ``nvmlClocksEventReasons`` (nvml.h), the counters those of
``nvmlDeviceGetViolationStatus``: the time spent under each limit since the driver was loaded. A bit
is the state of one instant; a counter's difference also sees what falls between two readings, and
how long it lasted. Either is enough: some devices have no counters.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from harness.states import Block, DeviceState

# Of nvml.h, with the words of its documentation.
SW_POWER_CAP: Final = 0x04
HARD_REASONS: Final = {
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
THERMAL, POWER = "thermal", "power"


@dataclass(frozen=True)
class Rise:
    """By how much (seconds) a violation counter rose between two readings."""

    started_s: float
    ended_s: float
    rise_s: float


class Timeline:
    """Readings in the order of their time, whatever the order that they are given in."""

    def __init__(self, states: Sequence[DeviceState]) -> None:
        self.states = sorted(states, key=lambda state: state.monotonic_s)
        self._times = [state.monotonic_s for state in self.states]
        self._rises = {name: _rises(self.states, name) for name in (THERMAL, POWER)}
        self._rise_ends = {n: [rise.ended_s for rise in found] for n, found in self._rises.items()}

    def near(self, block: Block, margin_s: float) -> list[DeviceState]:
        """Those within ``block``, or at most ``margin_s`` before or after it."""
        first = bisect_left(self._times, block.started_s - margin_s)
        return self.states[first : bisect_right(self._times, block.ended_s + margin_s)]

    def rises(self, block: Block, counter: str) -> list[Rise]:
        """How a counter rose from reading to reading, where that touches ``block``."""
        found = []
        first = bisect_right(self._rise_ends[counter], block.started_s)
        for rise in self._rises[counter][first:]:
            if rise.started_s >= block.ended_s:
                break
            found.append(rise)
        return found


def _rises(states: Sequence[DeviceState], counter: str) -> list[Rise]:
    known = [
        (state.monotonic_s, state.gpu.violation_s[counter])
        for state in states
        if state.gpu is not None and counter in state.gpu.violation_s
    ]
    # A counter that falls has begun anew: nothing is known of that stretch.
    return [
        Rise(before_s, after_s, max(0.0, after - before))
        for (before_s, before), (after_s, after) in pairwise(known)
    ]


def reasons_of(state: DeviceState) -> int:
    """The bits of why the clock is not higher; 0 where they are not known."""
    return 0 if state.gpu is None else state.gpu.clock_event_reasons or 0


def hard_events(states: Sequence[DeviceState], thermal: Sequence[Rise]) -> list[str]:
    """What in these readings makes figures worthless, each kind with how often or how long."""
    found = []
    for bit, name in HARD_REASONS.items():
        count = sum(bool(reasons_of(state) & bit) for state in states)
        if count:
            found.append(f"{name} ({bit:#04x}) in {count} of {len(states)} readings")
    rise_s = sum(rise.rise_s for rise in thermal)
    if rise_s > 0.0:
        found.append(f"{rise_s:.3g} s under a thermal limit, by its counter")
    return found


def foreign_processes(states: Sequence[DeviceState], own_pids: Collection[int]) -> tuple[int, ...]:
    """The processes on the GPU that are not ``own_pids``, in order."""
    seen = {
        pid
        for state in states
        if state.gpu is not None and state.gpu.process_ids is not None
        for pid in state.gpu.process_ids
    }
    return tuple(sorted(seen - set(own_pids)))


def uuids_of(states: Sequence[DeviceState]) -> tuple[str, ...]:
    """Every GPU that the readings are of, each once, in order of appearance."""
    return tuple(dict.fromkeys(state.gpu.uuid for state in states if state.gpu is not None))
