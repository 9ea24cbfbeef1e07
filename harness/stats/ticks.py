"""The step of a clock, as its own samples show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Below this, two times are the same but for rounding: no clock here is as fine.
_ROUNDING_S: Final = 1e-10


def clock_tick_s(series: Iterable[Sequence[float]]) -> float:
    """The smallest step (seconds) between two different samples of one series of a clock.

    It is the clock's tick, or a multiple of it where there are few samples or much noise; 0 where
    no two samples of a series differ.
    """
    least = np.inf
    for samples in series:
        steps = np.diff(np.unique(np.asarray(samples, dtype=np.float64)))
        steps = steps[steps > _ROUNDING_S]
        if steps.size:
            least = min(least, float(steps.min()))
    return float(least) if np.isfinite(least) else 0.0
