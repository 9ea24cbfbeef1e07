"""How many inferences a second several streams give together, and how long each takes meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.stats.quantiles import DEFAULT_CONFIDENCE, QuantileEstimate, estimate_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Span:
    """When one inference began and ended, in seconds from an origin that all streams share."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class Shared:
    """What streams did while all of them were at work.

    ``latency_s`` are the inferences that lie wholly within that time, by when they began.
    ``rate_per_s`` counts those that lie partly in it by their part.
    """

    window_s: float
    rate_per_s: float
    latency_s: tuple[float, ...]


def share(streams: Sequence[Sequence[Span]]) -> Shared:
    """Cut off the ends, where some streams had not begun or were done, and count what is left.

    Args:
        streams: of each stream its inferences in order; they do not overlap.

    Raises:
        ValueError: a stream has none, or there is no time at which all were at work,
            or no inference within it.
    """
    if not streams or not all(streams):
        message = "every stream needs an inference"
        raise ValueError(message)
    begin_s = max(spans[0].start_s for spans in streams)
    end_s = min(spans[-1].end_s for spans in streams)
    if not end_s > begin_s:
        message = "at no time were all streams at work"
        raise ValueError(message)
    inside = sorted(
        (span.start_s, span.end_s - span.start_s)
        for spans in streams
        for span in spans
        if span.start_s >= begin_s and span.end_s <= end_s
    )
    if not inside:
        message = "no inference lies wholly within the time at which all streams were at work"
        raise ValueError(message)
    amount = sum(_part_inside(span, begin_s, end_s) for spans in streams for span in spans)
    window_s = end_s - begin_s
    return Shared(window_s, amount / window_s, tuple(latency_s for _, latency_s in inside))


def _part_inside(span: Span, begin_s: float, end_s: float) -> float:
    """The part of an inference that was done within the window, if it went on evenly."""
    if span.end_s <= span.start_s:
        # Too short for the clock: it is in or out.
        return float(begin_s <= span.start_s <= end_s)
    inside_s = min(span.end_s, end_s) - max(span.start_s, begin_s)
    return max(0.0, inside_s) / (span.end_s - span.start_s)


def throughput(
    passes: Sequence[int], wall_s: Sequence[float], confidence: float = DEFAULT_CONFIDENCE
) -> QuantileEstimate:
    """The median over blocks of inferences a second, with its interval.

    Args:
        passes: the inferences of each block.
        wall_s: the seconds that each block took.
        confidence: of the interval, two-sided.

    Raises:
        ValueError: no blocks, or not as many of one as of the other.
    """
    rates = [count / seconds for count, seconds in zip(passes, wall_s, strict=True)]
    return estimate_quantile(rates, 0.5, confidence)
