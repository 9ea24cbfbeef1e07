"""Warm up before measuring: until the times no longer fall."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.stats.steady import FEWEST, SteadyState, Warmth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.measure.clock import Clock


@dataclass(frozen=True)
class WarmedUp:
    """How a group was warmed up: the seconds that a pass takes, and whether it was steady.

    What is so slow that a few passes take all the time is not said to be unsteady.
    """

    pass_s: float
    is_steady: bool


def warm_up(
    launches: Sequence[Callable[[], None]], clock: Clock, least_s: float, most_s: float
) -> WarmedUp:
    """Launch all in order, again and again, until the times of the passes are steady.

    For ``least_s`` to ``most_s`` seconds, of the clock's own time or the host's: a simulated clock
    need not advance.
    """
    rule = SteadyState(min_s=least_s, max_s=max(least_s, most_s))
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
        warmth = rule.judge(pass_s, max(spent_s, time.monotonic() - started)).warmth
        if warmth is not Warmth.GO_ON:
            later = wall_s[len(wall_s) // 2 :]
            is_steady = warmth is Warmth.STEADY or len(pass_s) < FEWEST
            return WarmedUp(statistics.median(later), is_steady)
