"""Is a latency budget kept? Answered from an interval, not from a point."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.stats.autocorrelation import estimate_correlated, lag1_autocorrelation
from harness.stats.quantiles import QuantileEstimate, samples_for_interval

if TYPE_CHECKING:
    from collections.abc import Sequence


class Verdict(enum.Enum):
    """The answer to a budget: inconclusive where the interval holds the limit."""

    WITHIN = "within"
    MISSED = "missed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class BudgetVerdict:
    """A verdict with its evidence: the limit and the quantile's estimate, in seconds."""

    verdict: Verdict
    limit_s: float
    estimate: QuantileEstimate
    samples_needed: int


def judge_budget(
    latency_s: Sequence[float], limit_s: float, *, quantile: float = 0.99, confidence: float = 0.95
) -> BudgetVerdict:
    """Hold the ``quantile`` of ``latency_s`` against ``limit_s`` (seconds).

    ``within`` if the interval's upper bound is at most the limit, ``missed`` if its lower bound is
    above it, else ``inconclusive``. A p99 needs 368 samples before it can be ``within``, and more
    where successive samples are correlated; far fewer can show that it is ``missed``.
    """
    ordered = np.sort(np.asarray(latency_s, dtype=np.float64))
    if ordered.size == 0:
        raise ValueError("a verdict needs at least one sample, and all of them finite")
    rho = lag1_autocorrelation(latency_s)
    estimate = estimate_correlated(ordered, quantile, confidence, rho)
    if estimate.upper <= limit_s:
        verdict = Verdict.WITHIN
    elif estimate.lower > limit_s:
        verdict = Verdict.MISSED
    else:
        verdict = Verdict.INCONCLUSIVE
    return BudgetVerdict(
        verdict=verdict,
        limit_s=limit_s,
        estimate=estimate,
        samples_needed=samples_for_interval(quantile, confidence),
    )
