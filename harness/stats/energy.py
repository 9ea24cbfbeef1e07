"""Energy over a stretch of work, from a counter that a machine keeps.

A GPU's power readings see only a part of the time (a quarter of it on an A100 or H100: Yang, Adamek
and Armour, arXiv 2312.02741), its energy counter all of it. But the counter moves only about every
0.1 s, so that what it gains over a fraction of a second says little: it takes seconds.
"""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.states import DeviceState

MIN_WINDOW_S: Final = 2.0
GPU, HOST = "gpu", "host"


@dataclass(frozen=True)
class EnergyEstimate:
    """What a stretch of ``window_s`` took: all that the device took meanwhile, idle power included.

    ``energy_j`` and ``power_w``, the mean, are None where ``reason`` says why. ``rel_error`` bounds
    what the counter's steps make of them: its readings may lie a step behind at either end.
    """

    window_s: float
    energy_j: float | None = None
    power_w: float | None = None
    rel_error: float | None = None
    reason: str = ""

    def per_inference_j(self, count: int) -> float | None:
        """The energy of one of ``count`` inferences that filled the stretch."""
        return None if self.energy_j is None or count < 1 else self.energy_j / count


def estimate_energy(
    states: Sequence[DeviceState],
    started_s: float,
    ended_s: float,
    *,
    source: str = GPU,
    min_window_s: float = MIN_WINDOW_S,
) -> EnergyEstimate:
    """The energy between two moments of the system's monotonic clock, during which all is alike.

    The mean power is the counter's gain between the first and the last reading of the stretch at
    which it had moved, over the time between the two; the energy is that times the stretch. What is
    read before or after it would bring in what the device did then.

    Args:
        states: readings in the order of time.
        started_s: when the stretch began.
        ended_s: when it ended.
        source: whose counter: ``gpu``, or ``host`` for the processor's.
        min_window_s: the shortest time between the two readings that will do.
    """
    window_s = ended_s - started_s
    counters = [
        (state.monotonic_s, joules)
        for state in states
        if started_s <= state.monotonic_s <= ended_s
        and (joules := counter_j(state, source)) is not None
    ]
    if not counters:
        return EnergyEstimate(window_s, reason=f"the {source} shows no energy counter")
    steps = list(itertools.pairwise(counters))
    if any(after[1] < before[1] for before, after in steps):
        return EnergyEstimate(window_s, reason=f"the {source}'s energy counter started again")
    # When it moved, and since when it might have.
    moved = [(after, after[0] - before[0]) for before, after in steps if after[1] > before[1]]
    span_s = moved[-1][0][0] - moved[0][0][0] if moved else 0.0
    if span_s < min_window_s:
        seen = f"the energy counter was seen to move over {span_s:.2f} s"
        return EnergyEstimate(window_s, reason=f"{seen}, and {min_window_s:g} s are needed")
    (first, first_gap_s), (last, last_gap_s) = moved[0], moved[-1]
    power_w = (last[1] - first[1]) / span_s
    return EnergyEstimate(
        window_s,
        energy_j=power_w * window_s,
        power_w=power_w,
        rel_error=max(first_gap_s, last_gap_s) / span_s,
    )


def estimate_idle_power_w(
    states: Sequence[DeviceState], before_s: float, *, source: str = GPU
) -> float | None:
    """The power that the device takes for nothing: by the counter where it was read long enough.

    Otherwise it is the median of the power readings, None where there are none; idle, power is
    steady, and seeing a part of it will do. ``before_s`` is when the first work began.
    """
    before = [state for state in states if state.monotonic_s < before_s]
    if not before:
        return None
    counted = estimate_energy(before, before[0].monotonic_s, before_s, source=source)
    if counted.power_w is not None:
        return counted.power_w
    read = [s.gpu.power_w for s in before if s.gpu is not None and s.gpu.power_w is not None]
    return statistics.median(read) if read and source == GPU else None


def counter_j(state: DeviceState, source: str) -> float | None:
    """The energy counter (joules) of ``source`` in ``state``; None where there is none."""
    if source == HOST:
        return state.host.energy_j
    return None if state.gpu is None else state.gpu.energy_j
