"""Autocorrelation of successive samples, and how much wider it makes the interval of a quantile.

Samples of one process are not always independent: a clock that wanders or a cache that fills makes
neighbours alike. An interval that counts them as independent is then too narrow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import ndtri, owens_t, stdtrit

from harness.stats.quantiles import QuantileEstimate, interval_ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

# Nearer to 1 the effective sample size would be that of a fraction of a sample.
_LARGEST: Final = 0.99
_FEWEST: Final = 8
_MEDIAN: Final = 0.5
_NEGLIGIBLE: Final = 1e-3
# Two-sided 99 %, as the stopping rule asks.
_CONFIDENT: Final = 0.995
_MOST_INFLATION: Final = 199.0


def lag1_autocorrelation(samples: ArrayLike) -> float:
    """The correlation of each sample with the next, between -0.99 and 0.99.

    It is taken of the samples' ranks, so that an outlier counts as no more than the largest sample
    and skewness does not matter. Ranks ``r`` of a gaussian series are correlated by
    ``rho_S = 6 / pi * asin(rho / 2)`` (Pearson 1907), which is turned back. The mean is taken off
    a short series with its slow part: Kendall (*Biometrika* 41, 1954) gives the bias
    ``-(1 + 3 rho) / n``, which is corrected.

    Returns:
        0 for fewer than 8 samples, and where all are equal.

    Raises:
        ValueError: a sample is not finite.
    """
    values = np.asarray(samples, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("an autocorrelation needs finite samples")
    count = int(values.size)
    if count < _FEWEST:
        return 0.0
    ranks = _centred_ranks(values)
    variance = float(ranks @ ranks) / count
    if variance == 0.0:
        return 0.0
    spearman = float(ranks[:-1] @ ranks[1:]) / (count - 1) / variance
    pearson = 2.0 * math.sin(math.pi / 6.0 * max(-1.0, min(1.0, spearman)))
    corrected = (pearson + 1.0 / count) / (1.0 - 3.0 / count)
    return max(-_LARGEST, min(_LARGEST, corrected))


def variance_inflation(autocorrelation: float) -> float:
    """By how much the variance of a mean grows, ``(1 + rho) / (1 - rho)``, and never below 1.

    That of an AR(1) series of many samples (Bartlett, *Supplement to the Journal of the Royal
    Statistical Society* 8, 1946). For the share of samples below the median it is an upper bound
    where rho is positive: indicators of a gaussian series are correlated less than the series.
    Alternating samples would make it less than 1, which is not used: it is never safe to claim more
    samples than there are.

    Raises:
        ValueError: the autocorrelation is not inside (-1, 1).
    """
    if not -1.0 < autocorrelation < 1.0:
        raise ValueError(f"autocorrelation {autocorrelation} must be between -1 and 1")
    return max(1.0, (1.0 + autocorrelation) / (1.0 - autocorrelation))


@lru_cache(maxsize=1024)
def count_inflation(quantile: float, autocorrelation: float) -> float:
    """By how much the variance of the count of samples above a quantile grows; never below 1.

    Of a gaussian AR(1) series, or one that is a monotone function of it: ``1 + 2 sum_k c_k``, where
    ``c_k`` is the correlation of two such indicators ``k`` apart, by Owen's T function (Owen,
    *Annals of Mathematical Statistics* 27, 1956). What is rare is hardly correlated: for a p99 it
    is far less than :func:`variance_inflation`.

    Raises:
        ValueError: the quantile is not inside (0, 1), or the autocorrelation not inside (-1, 1).
    """
    if not 0.0 < quantile < 1.0 or not -1.0 < autocorrelation < 1.0:
        raise ValueError(f"quantile {quantile}, autocorrelation {autocorrelation}: out of range")
    if autocorrelation <= 0.0:
        return 1.0
    lags = np.arange(1, math.ceil(math.log(_NEGLIGIBLE) / math.log(autocorrelation)) + 1)
    return max(1.0, 1.0 + 2.0 * float(_indicators(quantile, autocorrelation**lags).sum()))


def block_count_inflation(quantile: float, inflation: float, passes: Sequence[int]) -> float:
    """What :func:`block_inflation` is for the count of samples above a ``quantile``; at least 1.

    Two samples of one block of ``m`` are correlated by ``r`` where the variance of a mean grows by
    ``1 + (m - 1) r``, and the indicators that both lie above the quantile by what that comes to in
    a gaussian pair. Of a tail that is far less: blocks of 64 whose levels are half of the noise
    (``r`` 0.2) make it 13.6 for a mean and 2.2 for a p99.

    Args:
        quantile: strictly between 0 and 1.
        inflation: what :func:`block_inflation` is, with what few blocks leave open.
        passes: the samples of each block.
    """
    counts = np.asarray(passes, dtype=np.float64)
    if inflation <= 1.0 or counts.size < 2:  # noqa: PLR2004
        return 1.0
    total = float(counts.sum())
    size = (total - float((counts**2).sum()) / total) / (counts.size - 1)
    of_ranks = (inflation - 1.0) / (inflation - 1.0 + size)
    shared = min(_LARGEST, 2.0 * math.sin(math.pi / 6.0 * of_ranks))
    return max(1.0, 1.0 + (size - 1.0) * float(_indicators(quantile, shared)))


def _indicators(quantile: float, rho: ArrayLike) -> NDArray[np.float64]:
    """The correlation of two indicators, of gaussians correlated by ``rho`` above a quantile."""
    tail = 1.0 - quantile
    rho = np.asarray(rho, dtype=np.float64)
    both = tail - 2.0 * owens_t(float(ndtri(tail)), np.sqrt((1.0 - rho) / (1.0 + rho)))
    return np.asarray((both - tail**2) / (tail * quantile), dtype=np.float64)


def block_inflation(samples: ArrayLike, passes: Sequence[int]) -> float:
    """By how much blocks that differ from each other widen an interval's variance; at least 1.

    Between two blocks something else was measured, clocks moved or caches filled, and a block may
    have a level of its own, which neighbours within it do not show. With ``b`` blocks the variance
    of a mean is that between the blocks over ``b``: the ratio of mean squares ``MSB / MSW`` of a
    one-way analysis of variance (Kish's design effect), taken of the samples' ranks; and Student's
    t with ``b - 1`` degrees of freedom takes the place of the normal's quantile, at 99 %.

    Args:
        samples: in the order measured.
        passes: the samples of each block, in that order; they add up to all.

    Returns:
        1 for fewer than two blocks, or where a block has but one sample.

    Raises:
        ValueError: the blocks do not add up to the samples.
    """
    values = np.asarray(samples, dtype=np.float64)
    counts = np.asarray(passes, dtype=np.int64)
    if int(counts.sum()) != values.size:
        raise ValueError(f"blocks of {int(counts.sum())} samples for {values.size}")
    blocks = int(counts.size)
    if blocks < 2 or values.size <= blocks:  # noqa: PLR2004
        return 1.0
    ranks = _centred_ranks(values)
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    sums = np.add.reduceat(ranks, starts)
    between = float((sums**2 / counts).sum()) / (blocks - 1)
    within = (float(ranks @ ranks) - float((sums**2 / counts).sum())) / (values.size - blocks)
    if within <= 0.0:
        return _MOST_INFLATION if between > 0.0 else 1.0
    share = between / within
    if share <= 1.0:
        return 1.0
    widening = float(stdtrit(blocks - 1, _CONFIDENT)) / float(ndtri(_CONFIDENT))
    return min(_MOST_INFLATION, share * widening**2)


def effective_autocorrelation(samples: ArrayLike, passes: Sequence[int] = ()) -> float:
    """The autocorrelation whose :func:`variance_inflation` is what ``samples`` need.

    That of successive samples, or what blocks that differ come to where that is more.

    Raises:
        ValueError: a sample is not finite, or the blocks do not add up to the samples.
    """
    return _larger(
        lag1_autocorrelation(samples), block_inflation(samples, passes) if passes else 1.0
    )


def _larger(rho: float, inflation: float) -> float:
    """``rho``, or the autocorrelation that comes to the ``inflation`` of blocks if that is more."""
    if inflation <= variance_inflation(rho):
        return rho
    return min(_LARGEST, (inflation - 1.0) / (inflation + 1.0))


def effective_count(count: int, autocorrelation: float) -> float:
    """How many independent samples ``count`` are worth: ``n (1 - rho) / (1 + rho)``, at most ``n``.

    Raises:
        ValueError: the autocorrelation is not inside (-1, 1).
    """
    return count / variance_inflation(autocorrelation)


def correlated_ranks(
    count: int, quantile: float, confidence: float, autocorrelation: float
) -> tuple[int, int]:
    """Ranks of the interval for ``quantile`` in ``count`` correlated samples.

    Those of :func:`harness.stats.quantiles.interval_ranks`, moved away from the quantile's own
    rank by the root of :func:`variance_inflation` for the median, which is the larger and what the
    simulations of the stopping rule were made with, and of :func:`count_inflation` else: it is the
    count of samples below the quantile that the ranks bound, and the variance of that count which
    grows (Gastwirth and Rubin, *The behavior of robust estimators on dependent data*, Annals of
    Statistics 3, 1975). 0 and ``count + 1`` again mean that no sample can serve.
    """
    if quantile == _MEDIAN:
        inflation = variance_inflation(autocorrelation)
    else:
        inflation = count_inflation(quantile, autocorrelation)
    return inflated_ranks(count, quantile, confidence, inflation)


def inflated_ranks(
    count: int, quantile: float, confidence: float, inflation: float
) -> tuple[int, int]:
    """The ranks of independent samples, away from the quantile's own by the root of ``inflation``.

    That of the variance of the count of samples below the quantile; 1 or more.
    """
    lower, upper = interval_ranks(count, quantile, confidence)
    stretch = math.sqrt(inflation)
    # What is exact for the quantile needs no further margin: to the nearest rank.
    outwards = 0.5 if quantile == _MEDIAN else 0.0
    if stretch == 1.0:
        return lower, upper
    centre = count * quantile + 0.5
    stretched_lower = math.floor(centre - (centre - lower) * stretch + 0.5 - outwards)
    stretched_upper = math.ceil(centre + (upper - centre) * stretch - 0.5 + outwards)
    # In a few samples the quantile's own rank may lie outside: never narrower.
    return max(0, min(lower, stretched_lower)), min(count + 1, max(upper, stretched_upper))


def estimate_correlated(
    ordered: NDArray[np.float64], quantile: float, confidence: float, autocorrelation: float
) -> QuantileEstimate:
    """The ``quantile`` of ``ordered`` samples with the interval of :func:`correlated_ranks`.

    Args:
        ordered: finite samples in ascending order, of shape ``(n,)``; at least one.
        quantile: strictly between 0 and 1.
        confidence: two-sided, strictly between 0 and 1.
        autocorrelation: of the samples in the order measured.

    Returns:
        As of :func:`harness.stats.quantiles.estimate_quantile`, which it equals for an
        autocorrelation of 0 or less.
    """
    ranks = correlated_ranks(int(ordered.size), quantile, confidence, autocorrelation)
    return _estimate(ordered, quantile, confidence, ranks)


def _estimate(
    ordered: NDArray[np.float64], quantile: float, confidence: float, ranks: tuple[int, int]
) -> QuantileEstimate:
    count = int(ordered.size)
    lower, upper = ranks
    value = float(np.quantile(ordered, quantile))
    return QuantileEstimate(
        quantile=quantile,
        value=value,
        lower=min(value, float(ordered[lower - 1])) if lower >= 1 else -math.inf,
        upper=max(value, float(ordered[upper - 1])) if upper <= count else math.inf,
        count=count,
        confidence=confidence,
    )


@dataclass(frozen=True)
class CorrelatedSeries:
    """Samples in ascending order, and what they had in common in the order measured.

    Whatever says how well a quantile is known asks this, so that no two of them disagree: when to
    stop, whether a budget is kept, what a table shows. ``autocorrelation`` is the effective one
    (:func:`effective_autocorrelation`), ``lag1`` that of neighbours alone, and ``inflation`` what
    the blocks of ``passes`` come to (:func:`block_inflation`).
    """

    ordered: NDArray[np.float64]
    autocorrelation: float
    lag1: float
    inflation: float = 1.0
    passes: tuple[int, ...] = ()

    @classmethod
    def of(cls, samples: ArrayLike, passes: Sequence[int] = ()) -> CorrelatedSeries:
        """Of ``samples`` in the order measured, in blocks of ``passes``; none are known if empty.

        Raises:
            ValueError: no samples, one that is not finite, or blocks that do not add up to them.
        """
        values = np.asarray(samples, dtype=np.float64)
        if values.size == 0:
            raise ValueError("a quantile needs at least one sample, and all of them finite")
        rho = lag1_autocorrelation(values)
        inflation = block_inflation(values, passes) if passes else 1.0
        return cls(np.sort(values), _larger(rho, inflation), rho, inflation, tuple(passes))

    def estimate(self, quantile: float, confidence: float) -> QuantileEstimate:
        """The ``quantile`` with the interval of its inflated ranks.

        Those of the median are moved by the effective autocorrelation, others by that of neighbours
        or by the blocks, whichever moves them further.
        """
        if quantile == _MEDIAN:
            return estimate_correlated(self.ordered, quantile, confidence, self.autocorrelation)
        inflation = max(
            count_inflation(quantile, self.lag1),
            block_count_inflation(quantile, self.inflation, self.passes),
        )
        ranks = inflated_ranks(int(self.ordered.size), quantile, confidence, inflation)
        return _estimate(self.ordered, quantile, confidence, ranks)


def _centred_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks less their mean; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2.0)[inverse]
    return ranks - (values.size + 1) / 2.0
