"""The step of a clock, as its own samples show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Below this, two times are the same but for rounding: no clock here is as fine.
_ROUNDING_S: Final = 1e-10
# No clock here is as coarse: a wider gap is one of the work itself, as between two modes.
MAX_TICK_S: Final = 1e-6
# Two exact times always lie on a grid: that of their difference.
MIN_VALUES: Final = 8
# How far from the grid, in steps of it.
_OFF: Final = 0.05


def clock_tick_s(series: Iterable[Sequence[float]]) -> float:
    """The smallest step (seconds) between two different samples of one series of a clock.

    It is the clock's tick, or a multiple of it where there are few samples or much noise. It is
    believed only where at least ``MIN_VALUES`` different samples of one series are whole steps
    apart, and up to ``MAX_TICK_S``; otherwise it is 0: not known.
    """
    distinct = [_distinct(samples) for samples in series]
    steps = [float(np.diff(values).min()) for values in distinct if values.size > 1]
    if not steps:
        return 0.0
    least = min(steps)
    if least > MAX_TICK_S * (1 + 1e-6):
        return 0.0
    return least if any(_on_grid(values, least) >= MIN_VALUES for values in distinct) else 0.0


def _distinct(samples: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The different samples in order, those that differ by rounding once."""
    values = np.unique(np.asarray(samples, dtype=np.float64))
    return values[np.diff(values, prepend=-np.inf) > _ROUNDING_S]


def _on_grid(values: np.ndarray[tuple[int], np.dtype[np.float64]], step_s: float) -> int:
    """How many of ``values`` lie whole steps from the first."""
    if not values.size:
        return 0
    away = (values - values[0]) / step_s
    return int(np.sum(np.abs(away - np.rint(away)) <= _OFF))
