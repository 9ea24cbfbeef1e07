"""A slow drift, and when it will have used up what is left.

The slope is the median of those of all pairs of points (Theil 1950, Sen 1968): a few points that
are off move it little. Its interval is that of Kendall's rank correlation, widened for points that
follow each other being alike (Hamed and Rao, *J. Hydrology* 204, 1998, with an AR(1) of the
residuals): otherwise a random walk of the machine would pass for a drift of the code.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Fewer points have no interval that means much.
MIN_POINTS: Final = 8


@dataclass(frozen=True)
class Slope:
    """How fast a series rises, per step of ``x``, with its interval, and its level at the end.

    ``correlation`` is that of residuals that follow each other, of which the interval knows.
    """

    value: float
    lower: float
    upper: float
    level: float
    count: int
    confidence: float
    correlation: float

    @property
    def is_seen(self) -> bool:
        """Whether it is known to rise, or to fall."""
        return self.lower > 0.0 or self.upper < 0.0


class Fate(enum.Enum):
    """What becomes of the room below a limit, at the slope that is seen."""

    SPENT = "spent"
    RUNS_OUT = "runs out"
    NEVER = "never"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True)
class Outlook:
    """When the limit is reached, in steps of ``x`` from the last point, with its interval.

    ``after`` is None where that is not known, and infinite where it never will be. ``earliest`` is
    known more often: even the steepest slope of the interval takes so long.
    """

    fate: Fate
    after: float | None = None
    earliest: float | None = None
    latest: float | None = None


def fit_slope(x: Sequence[float], y: Sequence[float], *, confidence: float = 0.95) -> Slope | None:
    """The slope of ``y`` over ``x``; None where fewer than ``MIN_POINTS`` places of ``x`` have one.

    Args:
        x: places, such as the number of a commit or its day, shape ``(n,)``, not falling.
        y: the series there, finite, shape ``(n,)``.
        confidence: two-sided.

    Raises:
        ValueError: the two are not as long, ``x`` falls, or a value is not finite.
    """
    places, values = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if places.shape != values.shape or not (np.isfinite(places) & np.isfinite(values)).all():
        raise ValueError("a slope needs a finite value for each place")
    if (np.diff(places) < 0.0).any():
        raise ValueError("the places of a series do not go back")
    if np.unique(places).size < MIN_POINTS:
        return None
    first, second = np.triu_indices(places.size, k=1)
    steps = places[second] - places[first]
    rises = (values[second] - values[first])[steps > 0.0]
    slopes = np.sort(rises / steps[steps > 0.0])
    value = float(np.median(slopes))
    residuals = values - value * places
    offset = float(np.median(residuals))
    correlation = _correlation(residuals - offset)
    lower, upper = _bounds(slopes, places, confidence, correlation)
    level = offset + value * float(places[-1])
    return Slope(value, lower, upper, level, places.size, confidence, correlation)


def _correlation(residuals: NDArray[np.float64]) -> float:
    """Of successive residuals, with Kendall's correction of the bias of a short series; 0 if less.

    By ranks, which a few that are far off do not move.
    """
    count = residuals.size
    order = residuals.argsort(kind="stable").argsort(kind="stable").astype(np.float64)
    ranks = order - order.mean()
    lagged = float((ranks[1:] * ranks[:-1]).sum() / (ranks * ranks).sum())
    # A line takes two parameters: the residuals are less alike than the noise.
    return min(0.95, max(0.0, lagged + (1.0 + 4.0 * lagged) / count))


def _bounds(
    slopes: NDArray[np.float64],
    places: NDArray[np.float64],
    confidence: float,
    correlation: float,
) -> tuple[float, float]:
    """The slopes that Kendall's correlation would not tell from none, once they are taken out."""
    from scipy.special import ndtri  # noqa: PLC0415

    count = places.size
    _, ties = np.unique(places, return_counts=True)
    tied = float((ties * (ties - 1) * (2 * ties + 5)).sum())
    variance = (count * (count - 1) * (2 * count + 5) - tied) / 18.0
    lags = np.arange(1, count)
    weights = (count - lags) * (count - lags - 1) * (count - lags - 2)
    # As ranks have it: Pearson's correlation of ranks of an AR(1).
    alike = 6.0 / math.pi * np.arcsin(np.power(correlation, lags) / 2.0)
    factor = 1.0 + 2.0 / (count * (count - 1) * (count - 2)) * float((weights * alike).sum())
    half = float(ndtri(0.5 + confidence / 2.0)) * math.sqrt(variance * factor)
    low = math.floor((slopes.size - half) / 2.0)
    high = math.ceil((slopes.size + half) / 2.0) - 1
    lower = float(slopes[low]) if low >= 0 else -math.inf
    upper = float(slopes[high]) if high < slopes.size else math.inf
    return lower, upper


def outlook(slope: Slope | None, limit: float) -> Outlook:
    """When a series of that slope reaches ``limit``, by its level at the end."""
    if slope is None:
        return Outlook(Fate.UNKNOWN)
    room = limit - slope.level
    if room <= 0.0:
        return Outlook(Fate.SPENT, 0.0, 0.0, 0.0)
    if slope.upper <= 0.0:
        return Outlook(Fate.NEVER, math.inf, math.inf, math.inf)
    earliest = room / slope.upper
    if slope.lower <= 0.0:
        return Outlook(Fate.UNKNOWN, None, earliest)
    return Outlook(Fate.RUNS_OUT, room / slope.value, earliest, room / slope.lower)
