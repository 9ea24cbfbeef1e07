"""How far a median moved: within a run, or from one run to another.

The ratio of two medians has the interval of Price and Bonett, *Distribution-free confidence
intervals for difference and ratio of medians*, J. Stat. Comput. Simul. 72(2), 2002: the variance of
the logarithm of each median comes from how far apart two of its order statistics are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import bdtr, ndtri

from harness.stats.quantiles import DEFAULT_CONFIDENCE, samples_for_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

# Successive samples that are nearly copies of each other say nothing, but not less than that.
_MAX_AUTOCORRELATION: Final = 0.99


@dataclass(frozen=True)
class Drift:
    """By what fraction a median changed, with its interval: 0.003 is 0.3 % slower than before.

    The interval is that of the samples; where there are too few of them, it is infinite.
    """

    value: float
    lower: float
    upper: float
    before_count: int
    after_count: int
    confidence: float

    @property
    def is_finite(self) -> bool:
        """Whether the interval says something."""
        return math.isfinite(self.lower) and math.isfinite(self.upper)

    @property
    def is_seen(self) -> bool:
        """Whether the samples show a change at all: the interval leaves 0 out."""
        return self.is_finite and not self.lower <= 0.0 <= self.upper


def drift_between(
    before_s: Sequence[float],
    after_s: Sequence[float],
    *,
    autocorrelation: float = 0.0,
    confidence: float = DEFAULT_CONFIDENCE,
) -> Drift:
    """How the median of ``after_s`` differs from that of ``before_s``, samples of the same work.

    Of two processes, the interval leaves out what differs from process to process.

    Args:
        before_s: positive seconds.
        after_s: positive seconds.
        autocorrelation: that of successive samples; the interval is as wide as that of as many
            independent samples as they are worth, ``n (1 - r) / (1 + r)``.
        confidence: two-sided, strictly between 0 and 1.

    Raises:
        ValueError: no samples, or one that is no positive finite number.
    """
    before, after = (_logarithms(samples) for samples in (before_s, after_s))
    change = float(np.median(after) - np.median(before))
    bounded = min(max(autocorrelation, 0.0), _MAX_AUTOCORRELATION)
    inflation = (1.0 + bounded) / (1.0 - bounded)
    half = math.inf
    if min(before.size, after.size) >= samples_for_interval(0.5):
        variance = inflation * (_median_variance(before) + _median_variance(after))
        half = float(ndtri((1.0 + confidence) / 2.0)) * math.sqrt(variance)
    return Drift(
        value=math.expm1(change),
        lower=math.expm1(change - half) if math.isfinite(half) else -math.inf,
        upper=math.expm1(change + half),
        before_count=int(before.size),
        after_count=int(after.size),
        confidence=confidence,
    )


def drift_within(
    latency_s: Sequence[float],
    *,
    autocorrelation: float = 0.0,
    confidence: float = DEFAULT_CONFIDENCE,
) -> Drift:
    """How the median of the last third of ``latency_s`` differs from that of the first third.

    Args:
        latency_s: positive seconds, in the order measured.
        autocorrelation: see :func:`drift_between`.
        confidence: two-sided, strictly between 0 and 1.

    Raises:
        ValueError: no samples, or one that is no positive finite number.
    """
    third = max(1, len(latency_s) // 3)
    return drift_between(
        latency_s[:third],
        latency_s[-third:],
        autocorrelation=autocorrelation,
        confidence=confidence,
    )


def _logarithms(samples: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    values = np.asarray(samples, dtype=np.float64)
    if values.size == 0 or not (np.isfinite(values) & (values > 0.0)).all():
        message = "a drift needs samples, and all of them positive and finite"
        raise ValueError(message)
    return np.sort(np.log(values))


def _median_variance(ordered: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """The variance of the median of sorted values; the paper's equations 2 and 3."""
    count = int(ordered.size)
    rank = max(1, round((count + 1) / 2 - math.sqrt(count)))
    # P(the median lies outside x(rank) to x(count - rank + 1)).
    outside = 2.0 * float(bdtr(rank - 1, count, 0.5))
    spread = float(ordered[count - rank] - ordered[rank - 1])
    return (spread / (2.0 * float(ndtri(1.0 - outside / 2.0)))) ** 2
