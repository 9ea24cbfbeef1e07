"""Is a latency budget kept? Answered from an interval, not from a point."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.stats.autocorrelation import CorrelatedSeries
from harness.stats.quantiles import QuantileEstimate, samples_for_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Verdict(enum.Enum):
    """The answer to a budget: inconclusive where the interval holds the limit."""

    WITHIN = "within"
    MISSED = "missed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class BudgetVerdict:
    """A verdict with its evidence: the limit and the quantile's estimate, in seconds.

    Of several ``processes`` the estimate is that of the one that the verdict hangs on, which
    ``process`` names; ``missed_in`` of them miss the limit beyond doubt, ``within_in`` keep it.
    """

    verdict: Verdict
    limit_s: float
    estimate: QuantileEstimate
    samples_needed: int
    processes: int = 1
    process: int = 0
    missed_in: int = 0
    within_in: int = 0


def judge_budget(
    latency_s: Sequence[float],
    limit_s: float,
    passes: Sequence[int] = (),
    *,
    quantile: float = 0.99,
    confidence: float = 0.95,
) -> BudgetVerdict:
    """Hold the ``quantile`` of ``latency_s`` against ``limit_s`` (seconds).

    ``within`` if the interval's upper bound is at most the limit, ``missed`` if its lower bound is
    above it, else ``inconclusive``. A p99 needs 368 samples before it can be ``within``, and more
    where successive samples are correlated or blocks differ; far fewer can show that it is
    ``missed``. The interval is the one that :class:`~harness.stats.stopping.TailInterval` waits
    for: what that calls open is never ``within``.

    Args:
        latency_s: in the order measured.
        limit_s: the limit.
        passes: the lengths of the blocks that they were measured in, where there are blocks.
        quantile: strictly between 0 and 1.
        confidence: two-sided.

    Raises:
        ValueError: no samples, one that is not finite, or blocks that do not add up to them.
    """
    estimate = CorrelatedSeries.of(latency_s, passes).estimate(quantile, confidence)
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
        missed_in=int(verdict is Verdict.MISSED),
        within_in=int(verdict is Verdict.WITHIN),
    )


def judge_processes(
    latencies_s: Mapping[int, Sequence[float]],
    limit_s: float,
    passes: Mapping[int, Sequence[int]] | None = None,
    *,
    quantile: float = 0.99,
    confidence: float = 0.95,
) -> BudgetVerdict:
    """Hold the ``quantile`` of each process against ``limit_s`` (seconds).

    What sets a process apart is in all of its samples: an interval of all together is far too
    narrow. ``within`` if every process is within, ``missed`` if any has missed, else
    ``inconclusive``. That all are within needs no wider intervals (Berger, *Technometrics* 24(4),
    1982), that any has missed does: each is asked at ``1 - (1 - confidence) / n`` (Bonferroni).

    Args:
        latencies_s: of each process, by its number, its seconds in the order measured.
        limit_s: the limit.
        passes: of each process, the lengths of its blocks; what is not in it has none.
        quantile: strictly between 0 and 1.
        confidence: two-sided, of all processes together.

    Raises:
        ValueError: no process, or as :func:`judge_budget`.
    """
    if not latencies_s:
        raise ValueError("a verdict needs at least one process")
    surer = 1.0 - (1.0 - confidence) / len(latencies_s)

    def judged(process: int, sure: float) -> BudgetVerdict:
        its = (passes or {}).get(process, ())
        return judge_budget(latencies_s[process], limit_s, its, quantile=quantile, confidence=sure)

    kept = {process: judged(process, confidence) for process in latencies_s}
    again = {p: judged(p, surer) for p, one in kept.items() if one.verdict is Verdict.MISSED}
    missed = {p: one for p, one in again.items() if one.verdict is Verdict.MISSED}
    within_in = sum(one.verdict is Verdict.WITHIN for one in kept.values())
    if missed:
        verdict, process = Verdict.MISSED, max(missed, key=lambda p: missed[p].estimate.lower)
    else:
        verdict = Verdict.WITHIN if within_in == len(kept) else Verdict.INCONCLUSIVE
        process = max(kept, key=lambda p: (kept[p].estimate.upper, kept[p].estimate.value))
    return replace(
        {**kept, **missed}[process],
        verdict=verdict,
        processes=len(kept),
        process=process,
        missed_in=len(missed),
        within_in=within_in,
    )
