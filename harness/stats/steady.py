"""When a warm-up has done its work: the launches are no longer getting faster."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_WARMUP_S: Final = 0.2
MAX_WARMUP_S: Final = 5.0

# Fewer launches are no two halves, and tell nothing.
FEWEST: Final = 4
# The median's standard error over that of the mean, for gaussian noise: sqrt(pi / 2).
_MEDIAN_ERROR: Final = math.sqrt(math.pi / 2.0)
# From a median absolute deviation to a gaussian's standard deviation.
_MAD_SCALE: Final = 1.4826
_Z: Final = 3.0


class Warmth(enum.Enum):
    """What to do with a warm-up."""

    STEADY = "steady"
    GO_ON = "go on"
    NOT_STEADY = "not steady"


@dataclass(frozen=True)
class WarmUp:
    """What a warm-up has come to.

    ``earlier_s`` and ``later_s`` are the medians of the last two half-windows, in seconds, and
    ``tolerance_s`` by how much they may differ.
    """

    warmth: Warmth
    earlier_s: float
    later_s: float
    tolerance_s: float


@dataclass(frozen=True)
class SteadyState:
    """Warm up for ``min_s`` and until the medians of the last two half-windows agree.

    The window is the later half of the launches so far, so that what was slow at first falls out of
    it. The medians agree if they differ by at most the largest of ``rel_tolerance`` of the median,
    a step of the clock, and three standard errors of that difference, the noise taken from the
    median absolute deviations within the half-windows: noise alone is no reason to go on.

    Attributes:
        min_s: seconds that are always spent.
        max_s: seconds after which it is ``not steady``.
        rel_tolerance: of the median.
        clock_tick_s: the clock's step, in seconds.

    Raises:
        ValueError: limits that are negative or in the wrong order.
    """

    min_s: float = MIN_WARMUP_S
    max_s: float = MAX_WARMUP_S
    rel_tolerance: float = 0.005
    clock_tick_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse limits that cannot be kept."""
        if not 0.0 <= self.min_s <= self.max_s:
            raise ValueError(f"warm-up from {self.min_s} s to {self.max_s} s: not an interval")
        if not self.rel_tolerance >= 0.0 or not self.clock_tick_s >= 0.0:
            message = f"rel_tolerance {self.rel_tolerance}, clock_tick_s {self.clock_tick_s}"
            raise ValueError(f"{message}: neither may be negative")

    def judge(self, latency_s: Sequence[float], elapsed_s: float) -> WarmUp:
        """Judge the launches so far.

        Args:
            latency_s: of each launch, in seconds, in the order made; at least one, all finite.
            elapsed_s: since the warm-up began, in seconds.

        Raises:
            ValueError: no launches, or a latency that is not finite.
        """
        values = np.asarray(latency_s, dtype=np.float64)
        if values.size == 0 or not np.isfinite(values).all():
            raise ValueError("a warm-up needs at least one launch, and finite latencies")
        half = max(1, int(values.size) // 4)
        window = values[-2 * half :]
        earlier, later = window[:-half], window[-half:]
        if earlier.size == 0:
            earlier = later
        medians = float(np.median(earlier)), float(np.median(later))
        noise_s = _MAD_SCALE * float(
            np.median(np.abs(np.concatenate((earlier - medians[0], later - medians[1]))))
        )
        tolerance_s = max(
            self.rel_tolerance * abs(medians[1]),
            self.clock_tick_s,
            _Z * _MEDIAN_ERROR * noise_s * math.sqrt(2.0 / half),
        )
        agree = values.size >= FEWEST and abs(medians[1] - medians[0]) <= tolerance_s
        warmth = Warmth.GO_ON
        if agree and elapsed_s >= self.min_s:
            warmth = Warmth.STEADY
        elif elapsed_s >= self.max_s:
            warmth = Warmth.NOT_STEADY
        return WarmUp(warmth, medians[0], medians[1], tolerance_s)
