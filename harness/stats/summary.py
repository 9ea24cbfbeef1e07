"""What a set of latency samples comes to."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.stats.autocorrelation import CorrelatedSeries
from harness.stats.quantiles import (
    DEFAULT_CONFIDENCE,
    QuantileEstimate,
    estimate_quantile,
    samples_for_interval,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class LatencySummary:
    """Order statistics of latencies, in seconds, with the interval of each quantile.

    ``jitter_s`` is the mean absolute difference between successive latencies: the quantity that
    RFC 3550, section 6.4.1 smooths, here over the whole sample.
    """

    count: int
    min_s: float
    max_s: float
    median: QuantileEstimate
    p90: QuantileEstimate
    p95: QuantileEstimate
    p99: QuantileEstimate
    jitter_s: float


def summarize(latency_s: Sequence[float], passes: Sequence[int] = ()) -> LatencySummary:
    """Summarize ``latency_s`` (seconds, in the order measured, in blocks of ``passes`` samples).

    The intervals are corrected for the autocorrelation of successive samples, and for blocks that
    differ.

    Raises:
        ValueError: no samples, one that is not finite, or blocks that do not add up to them.
    """
    values = np.asarray(latency_s, dtype=np.float64)
    series = CorrelatedSeries.of(values, passes)
    quantiles = {q: series.estimate(q, DEFAULT_CONFIDENCE) for q in (0.5, 0.9, 0.95, 0.99)}
    jitter_s = float(np.abs(np.diff(values)).mean()) if values.size > 1 else 0.0
    return LatencySummary(
        count=int(values.size),
        min_s=float(values.min()),
        max_s=float(values.max()),
        median=quantiles[0.5],
        p90=quantiles[0.9],
        p95=quantiles[0.95],
        p99=quantiles[0.99],
        jitter_s=jitter_s,
    )


def summarize_processes(latencies_s: Sequence[Sequence[float]]) -> LatencySummary:
    """Summarize what several processes have measured of the same, each a sequence of seconds.

    The median is that of the processes' medians, with the interval of those: samples of one process
    share what sets it apart, so that an interval of all samples would be far too narrow. The other
    quantiles are of all samples, with the interval of the processes' own quantiles, which is made
    wider where it would leave the value out, and infinite where all samples are too few.

    Raises:
        ValueError: no process, no samples, or one that is not finite.
    """
    apart = [summarize(latency_s) for latency_s in latencies_s]
    pooled = summarize([value for latency_s in latencies_s for value in latency_s])
    return replace(
        pooled,
        median=estimate_quantile([one.median.value for one in apart], 0.5),
        p90=_across(pooled.p90, [one.p90.value for one in apart]),
        p95=_across(pooled.p95, [one.p95.value for one in apart]),
        p99=_across(pooled.p99, [one.p99.value for one in apart]),
        jitter_s=float(np.mean([one.jitter_s for one in apart])),
    )


def _across(pooled: QuantileEstimate, apart: Sequence[float]) -> QuantileEstimate:
    """A quantile of all samples with the interval of what each process has ``apart``."""
    if pooled.count < samples_for_interval(pooled.quantile, pooled.confidence):
        return replace(pooled, lower=-math.inf, upper=math.inf)
    spread = estimate_quantile(apart, 0.5, pooled.confidence)
    return replace(
        pooled,
        lower=min(spread.lower, pooled.value),
        upper=max(spread.upper, pooled.value),
    )


def real_time_factor(latency_s: float, duration_s: float) -> float:
    """Processing time over the duration of what was processed: below 1 is faster than real time."""
    return latency_s / duration_s
