"""Warm up before measuring: until the times no longer fall."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.stats.steady import is_steady

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.measure.clock import Clock

_FEWEST_PASSES: Final = 4


@dataclass(frozen=True)
class WarmUp:
    """How a group was warmed up: the seconds that a pass takes, and whether it was steady."""

    pass_s: float
    is_steady: bool


def warm_up(
    launches: Sequence[Callable[[], None]], clock: Clock, least_s: float, most_s: float
) -> WarmUp:
    """Launch all in order, again and again, until the passes' times are steady.

    At least ``least_s`` and at most ``most_s`` seconds, by the clock's own time or the host's: a
    simulated clock need not advance. With ``least_s`` 0 it does no more than a few passes.
    """
    pass_s: list[float] = []
    wall_s: list[float] = []
    spent_s = 0.0
    started = time.monotonic()
    while True:
        begun = time.monotonic()
        pass_s.append(sum(clock.time_block(launches)))
        # What a clock does beside the launches, such as flushing caches, takes time as well.
        wall_s.append(max(pass_s[-1], time.monotonic() - begun))
        spent_s += pass_s[-1]
        passed_s = max(spent_s, time.monotonic() - started)
        steady = len(pass_s) >= _FEWEST_PASSES and is_steady(pass_s)
        if passed_s >= least_s and (steady or passed_s >= most_s or least_s == 0.0):
            return WarmUp(statistics.median(wall_s[len(wall_s) // 2 :]), steady or least_s == 0.0)
