"""How many inferences a second several streams give together, and how long each takes meanwhile."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import stdtrit

from harness.stats.quantiles import DEFAULT_CONFIDENCE, samples_for_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

# The stream that begins last begins an inference at the very moment from which all are at work.
# Counting starts at a moment that no inference has chosen.
_LEAD: Final = 0.05
# As many as a median takes: of fewer blocks nobody can tell how they are spread.
_LEAST_BLOCKS: Final = samples_for_interval(0.5)


@dataclass(frozen=True)
class Span:
    """When one inference began and ended, in seconds from an origin that all streams share."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class Shared:
    """What streams did while all of them were at work.

    ``latency_s`` are the inferences that began within that time, by when they began.
    ``rate_per_s`` counts those that lie partly in it by their part.
    """

    window_s: float
    rate_per_s: float
    latency_s: tuple[float, ...]


def share(streams: Sequence[Sequence[Span]], until_s: float | None = None) -> Shared:
    """Cut off the ends, where some streams had not begun or were done, and count what is left.

    An inference counts by its beginning. If it had to end in time as well, long ones would be lost
    more often than short ones.

    Args:
        streams: of each stream its inferences in order; they do not overlap.
        until_s: what began before this moment ended while all were still at work. None takes the
            moment at which the first of them began its last inference.

    Raises:
        ValueError: a stream has none, or there is no time at which all were at work,
            or no inference began within it.
    """
    if not streams or not all(streams):
        message = "every stream needs an inference"
        raise ValueError(message)
    from_s = max(spans[0].start_s for spans in streams)
    end_s = min(spans[-1].start_s for spans in streams) if until_s is None else until_s
    if not end_s > from_s:
        message = "at no time were all streams at work"
        raise ValueError(message)
    begin_s = from_s + _LEAD * (end_s - from_s)
    inside = sorted(
        (span.start_s, span.end_s - span.start_s)
        for spans in streams
        for span in spans
        if begin_s <= span.start_s < end_s
    )
    if not inside:
        message = "no inference began within the time at which all streams were at work"
        raise ValueError(message)
    amount = sum(_part_inside(span, begin_s, end_s) for spans in streams for span in spans)
    window_s = end_s - begin_s
    return Shared(window_s, amount / window_s, tuple(latency_s for _, latency_s in inside))


def _part_inside(span: Span, begin_s: float, end_s: float) -> float:
    """The part of an inference that was done within the window, if it went on evenly."""
    if span.end_s <= span.start_s:
        # Too short for the clock: it is in or out.
        return float(begin_s <= span.start_s < end_s)
    inside_s = min(span.end_s, end_s) - max(span.start_s, begin_s)
    return max(0.0, inside_s) / (span.end_s - span.start_s)


@dataclass(frozen=True)
class RateEstimate:
    """Counted inferences over counted time, with an interval; a bound that is not known is ±inf.

    ``count`` is that of the blocks, or processes, that the interval is over.
    """

    value: float
    lower: float
    upper: float
    count: int
    confidence: float
    inferences: int
    counted_s: float

    @property
    def is_finite(self) -> bool:
        """Whether both bounds exist."""
        return math.isfinite(self.lower) and math.isfinite(self.upper)


def throughput(
    passes: Sequence[int], wall_s: Sequence[float], confidence: float = DEFAULT_CONFIDENCE
) -> RateEstimate:
    """The inferences of all blocks over their time, with an interval from six blocks on.

    The interval is that of a ratio by the jackknife, one block left out at a time (Cochran,
    *Sampling Techniques*, 3rd ed., section 6.17), with Student's t.

    Args:
        passes: the inferences of each block.
        wall_s: the seconds that each block took.
        confidence: of the interval, two-sided.

    Raises:
        ValueError: no blocks, or not as many of one as of the other.
    """
    if not passes or len(passes) != len(wall_s):
        message = f"{len(passes)} counts of {len(wall_s)} blocks give no rate"
        raise ValueError(message)
    count, total, time_s = len(passes), sum(passes), math.fsum(wall_s)
    rate = total / time_s
    spread = math.inf
    if count >= _LEAST_BLOCKS:
        left_out = (total - np.asarray(passes)) / (time_s - np.asarray(wall_s))
        error = math.sqrt((count - 1) * float(np.var(left_out)))
        spread = float(stdtrit(count - 1, 0.5 + confidence / 2.0)) * error
    lower = max(0.0, rate - spread) if math.isfinite(spread) else -math.inf
    return RateEstimate(rate, lower, rate + spread, count, confidence, total, time_s)


def in_flight(rate_per_s: float, latency_s: Sequence[float]) -> float:
    """How many inferences were at work at a time, by Little's law: rate times mean latency.

    Streams that begin their next inference when the last has ended give their own number.

    Raises:
        ValueError: there is no latency.
    """
    if not latency_s:
        message = "no latency tells how many were in flight"
        raise ValueError(message)
    return rate_per_s * fmean(latency_s)
