"""When a series has enough samples: rules that give a decision, which is a value with a reason.

A rule is asked at :meth:`StoppingRule.next_look` and nowhere else: each look is one more chance to
stop on a lucky run of samples, so there are few of them, at ``32 * 1.25^k`` samples. See
``docs/adr/0006-stopping-rule.md`` for the choices and ``reports/examples/simulations`` for what
they come to.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from harness.stats.autocorrelation import CorrelatedSeries
from harness.stats.modes import find_two_modes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.stats.modes import TwoModes
    from harness.stats.quantiles import QuantileEstimate

DEFAULT_REL_PRECISION: Final = 0.005

# Reasons of a decision.
PRECISION: Final = "precision"
BIMODAL: Final = "bimodal"
TAIL: Final = "tail"

_FIRST_LOOK: Final = 32
_LOOK_GROWTH: Final = 1.25
# An interval that says what lies just outside the one that is judged.
_GUARD_CONFIDENCE: Final = 0.9999
_GUARD_FACTOR: Final = 2.0
# A minor weight above 0.45 is near even. Each bound is about 4 000 samples' worth away from that;
# the one for converging is in more standard errors, since a series that converges because a mode
# came up too seldom is wrong, and one that goes on is only longer.
_NEAR_EVEN_WEIGHT: Final = 0.45
_UNEVEN_WEIGHT, _UNEVEN_Z = 0.44, 2.576
_EVEN_WEIGHT, _EVEN_Z = 0.475, 5.0


class Status(enum.Enum):
    """Whether to stop, and with what."""

    CONVERGED = "converged"
    GO_ON = "go on"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Decision:
    """What a rule makes of a series.

    ``reason`` is ``precision`` or ``tail`` where the width of an interval decided, ``bimodal``
    where two modes did, or the cause of giving up. ``estimate`` is the quantile that the rule is
    about, with its interval corrected for ``autocorrelation``, that of successive samples.
    """

    status: Status
    reason: str
    estimate: QuantileEstimate
    autocorrelation: float


class StoppingRule(Protocol):
    """When to look, what to make of it, and what is left where time runs out first."""

    def next_look(self, count: int) -> int:
        """The sample count, above ``count``, at which the rule is next asked."""
        ...

    def decide(self, samples: Sequence[float], passes: Sequence[int] = ()) -> Decision:
        """Judge ``samples`` (seconds, in the order measured; at least one, all finite).

        ``passes`` are the lengths of the blocks that they were measured in, where there are blocks.
        """
        ...

    def give_up(self, decision: Decision, cause: str) -> Decision:
        """The final decision where ``cause`` ends a series that ``decision`` would go on with."""
        ...


@dataclass(frozen=True)
class MedianPrecision:
    """Stop when the median is known to ``rel_precision`` of itself, or to a step of the clock.

    The half-width of its order-statistic interval must be at most the larger of the two. The
    interval has a ``confidence`` of 99 %, so that it covers 97 % for all the looks together. That
    of 99.99 % may be at most twice as wide as is asked: where it is not, a gap begins just outside.

    Attributes:
        rel_precision: half-width over estimate, above 0.
        clock_tick_s: the clock's step, in seconds.
        confidence: two-sided, of one look.

    Raises:
        ValueError: a precision that is not above 0, a negative step or a confidence out of (0, 1).
    """

    rel_precision: float = DEFAULT_REL_PRECISION
    clock_tick_s: float = 0.0
    confidence: float = 0.99

    def __post_init__(self) -> None:
        """Refuse settings that no series could meet."""
        _check(self.rel_precision, self.clock_tick_s, self.confidence)

    def next_look(self, count: int) -> int:
        """The first of ``32 * 1.25^k`` samples, rounded up, that is above ``count``."""
        return next_look(count)

    def decide(self, samples: Sequence[float], passes: Sequence[int] = ()) -> Decision:
        """Converged, inconclusive for two even modes, or to go on; the estimate is the median.

        Raises:
            ValueError: no samples, or one that is not finite.
        """
        return self.judge(CorrelatedSeries.of(samples, passes))

    def judge(self, series: CorrelatedSeries) -> Decision:
        """As :meth:`decide`, of a series that is sorted already."""
        estimate = series.estimate(0.5, self.confidence)
        tolerance = max(self.rel_precision * abs(estimate.value), self.clock_tick_s)
        modes = find_two_modes(series.ordered, series.autocorrelation)
        # Modes so near each other that an interval over both is narrow enough do no harm.
        if modes is not None and modes.distance <= 2.0 * tolerance:
            modes = None
        status, reason = Status.GO_ON, PRECISION
        if modes is not None and _is_near_even(modes):
            status, reason = Status.INCONCLUSIVE, BIMODAL
        elif modes is not None and modes.minor_weight > _NEAR_EVEN_WEIGHT:
            reason = BIMODAL
        elif (modes is None or _is_uneven(modes)) and estimate.count >= _FIRST_LOOK:
            guard = series.estimate(0.5, _GUARD_CONFIDENCE)
            if _half_width(estimate) <= tolerance and _reach(guard) <= _GUARD_FACTOR * tolerance:
                status = Status.CONVERGED
        return Decision(status, reason, estimate, series.autocorrelation)

    def give_up(self, decision: Decision, cause: str) -> Decision:
        """See :func:`give_up`."""
        return give_up(decision, cause)


@dataclass(frozen=True)
class TailInterval:
    """Stop when the median is known as :class:`MedianPrecision` asks and a p99 has both bounds.

    For independent samples that takes 368 of them, so the look at 373.

    Attributes:
        rel_precision: of the median.
        clock_tick_s: the clock's step, in seconds.
        confidence: of one look at the median.
        quantile: the tail's.
        tail_confidence: two-sided, of the tail's interval.

    Raises:
        ValueError: as for :class:`MedianPrecision`; a quantile or confidence out of (0, 1).
    """

    rel_precision: float = DEFAULT_REL_PRECISION
    clock_tick_s: float = 0.0
    confidence: float = 0.99
    quantile: float = 0.99
    tail_confidence: float = 0.95

    def __post_init__(self) -> None:
        """Refuse settings that no series could meet."""
        _check(self.rel_precision, self.clock_tick_s, self.confidence)
        _check_probability("quantile", self.quantile)
        _check_probability("tail_confidence", self.tail_confidence)

    def next_look(self, count: int) -> int:
        """As of :meth:`MedianPrecision.next_look`."""
        return next_look(count)

    def decide(self, samples: Sequence[float], passes: Sequence[int] = ()) -> Decision:
        """The median's decision, held back until the tail's interval is finite.

        The estimate is the tail's, and the reason ``tail`` where it alone is waited for.

        Raises:
            ValueError: no samples, or one that is not finite.
        """
        series = CorrelatedSeries.of(samples, passes)
        rule = MedianPrecision(self.rel_precision, self.clock_tick_s, self.confidence)
        decision = replace(
            rule.judge(series), estimate=series.estimate(self.quantile, self.tail_confidence)
        )
        if decision.status is Status.CONVERGED and not decision.estimate.is_finite:
            return replace(decision, status=Status.GO_ON, reason=TAIL)
        return decision

    def give_up(self, decision: Decision, cause: str) -> Decision:
        """See :func:`give_up`."""
        return give_up(decision, cause)


def next_look(count: int) -> int:
    """The first of ``32 * 1.25^k`` samples, rounded up, that is above ``count``."""
    steps = 0
    while (look := math.ceil(_FIRST_LOOK * _LOOK_GROWTH**steps)) <= count:
        steps += 1
    return look


def give_up(decision: Decision, cause: str) -> Decision:
    """The final decision where ``cause`` (``time``, ``samples``, ...) ends a series.

    Value and interval stay. A decision that was to stop anyway is given back as it is, and one that
    has seen two even modes keeps ``bimodal`` as its reason, which tells more than the cause. Where
    the tail alone was waited for the reason is ``tail: `` and the cause: the median is known.
    """
    if decision.status is not Status.GO_ON:
        return decision
    reason = {BIMODAL: BIMODAL, TAIL: f"{TAIL}: {cause}"}.get(decision.reason, cause)
    return replace(decision, status=Status.INCONCLUSIVE, reason=reason)


def _is_near_even(modes: TwoModes) -> bool:
    return modes.minor_weight - _UNEVEN_Z * modes.weight_error > _UNEVEN_WEIGHT


def _is_uneven(modes: TwoModes) -> bool:
    return modes.minor_weight + _EVEN_Z * modes.weight_error < _EVEN_WEIGHT


def _half_width(estimate: QuantileEstimate) -> float:
    return (estimate.upper - estimate.lower) / 2.0


def _reach(estimate: QuantileEstimate) -> float:
    return max(estimate.upper - estimate.value, estimate.value - estimate.lower)


def _check(rel_precision: float, clock_tick_s: float, confidence: float) -> None:
    if not rel_precision > 0.0 or not clock_tick_s >= 0.0:
        message = f"rel_precision {rel_precision} must be above 0, clock_tick_s {clock_tick_s} not"
        raise ValueError(f"{message} below")
    _check_probability("confidence", confidence)


def _check_probability(name: str, value: float) -> None:
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name} {value} must be between 0 and 1")
