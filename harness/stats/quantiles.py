"""Quantiles with distribution-free confidence intervals.

The interval is the one of order statistics: for the sorted sample ``x(1) … x(n)`` the bounds
``[x(r), x(s)]`` cover the ``q``-quantile with probability ``P(r <= B <= s - 1)``, where
``B ~ Binomial(n, q)`` counts the samples below it (David & Nagaraja, *Order Statistics*, 3rd ed.,
section 7.1). Nothing is assumed of the distribution but independent samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import bdtr

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_CONFIDENCE = 0.95
_ROUNDING = 1e-12


@dataclass(frozen=True)
class QuantileEstimate:
    """A quantile of ``count`` samples with its interval; a bound that the data cannot give is ±inf.

    ``value``, ``lower`` and ``upper`` have the unit of the samples.
    """

    quantile: float
    value: float
    lower: float
    upper: float
    count: int
    confidence: float

    @property
    def is_finite(self) -> bool:
        """Whether both bounds exist, so that the interval says something."""
        return math.isfinite(self.lower) and math.isfinite(self.upper)


@lru_cache(maxsize=1024)
def interval_ranks(count: int, quantile: float, confidence: float) -> tuple[int, int]:
    """One-based ranks ``(r, s)`` of the interval for ``quantile`` in ``count`` samples.

    ``r`` is the largest rank with ``P(B < r) <= (1 - confidence) / 2`` and ``s`` the smallest with
    ``P(B >= s) <= (1 - confidence) / 2``; ``r = 0`` and ``s = count + 1`` mean that no sample can
    serve as that bound.
    """
    tail = (1.0 - confidence) / 2.0
    # P(B <= k) for k from 0 to count - 1; a tie up to rounding counts as met.
    cumulative = bdtr(np.arange(count), count, quantile)
    lower_rank = int(np.searchsorted(cumulative, tail + _ROUNDING, side="right"))
    upper_rank = int(np.searchsorted(cumulative, 1.0 - tail - _ROUNDING, side="left")) + 1
    return lower_rank, upper_rank


def estimate_quantile(
    samples: Sequence[float], quantile: float, confidence: float = DEFAULT_CONFIDENCE
) -> QuantileEstimate:
    """The ``quantile`` of ``samples`` and its two-sided ``confidence`` interval.

    The point estimate interpolates linearly between order statistics (definition 7 of Hyndman and
    Fan, *The American Statistician* 50(4), 1996, which numpy and most tools use). In a few samples
    it may lie beside the order statistic that is the bound: the interval then reaches to it, and
    only covers more.

    Args:
        samples: at least one finite number.
        quantile: strictly between 0 and 1.
        confidence: two-sided, strictly between 0 and 1.

    Raises:
        ValueError: no samples, a sample that is not finite, or a probability outside (0, 1).
    """
    if not 0.0 < quantile < 1.0 or not 0.0 < confidence < 1.0:
        message = f"quantile {quantile} and confidence {confidence} must be between 0 and 1"
        raise ValueError(message)
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    if ordered.size == 0 or not np.isfinite(ordered).all():
        message = "a quantile needs at least one sample, and all of them finite"
        raise ValueError(message)
    count = int(ordered.size)
    lower_rank, upper_rank = interval_ranks(count, quantile, confidence)
    value = float(np.quantile(ordered, quantile))
    return QuantileEstimate(
        quantile=quantile,
        value=value,
        lower=min(value, float(ordered[lower_rank - 1])) if lower_rank >= 1 else -math.inf,
        upper=max(value, float(ordered[upper_rank - 1])) if upper_rank <= count else math.inf,
        count=count,
        confidence=confidence,
    )


def samples_for_interval(quantile: float, confidence: float = DEFAULT_CONFIDENCE) -> int:
    """The smallest sample count with a finite two-sided interval: 6, 36, 72, 368 for p50 to p99."""
    tail = (1.0 - confidence) / 2.0
    extreme = max(quantile, 1.0 - quantile)
    # With the same tie as in the ranks.
    return math.ceil(math.log(tail + _ROUNDING) / math.log(extreme))
