"""Rates of rare events, such as missed deadlines, with exact bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv

from harness.stats.autocorrelation import effective_autocorrelation, effective_count

if TYPE_CHECKING:
    from collections.abc import Sequence

_FEWEST = 2


def upper_bound(
    count: int, total: int, confidence: float = 0.95, *, worth: float | None = None
) -> float:
    """The one-sided upper bound of a rate of which ``count`` of ``total`` were seen.

    Clopper and Pearson, *Biometrika* 26(4), 1934: the rate at which so few are seen with the
    probability ``1 - confidence``. Of none in 300 it is 1 %. Trials that are not independent are
    ``worth`` fewer (see :func:`independent_trials`), at the same rate: Korn and Graubard, *Survey
    Methodology* 24(2), 1998.

    Raises:
        ValueError: no trials, more events than trials, or trials that are worth more than they are.
    """
    if not 0 <= count <= total or total < 1:
        message = f"{count} of {total} is no rate"
        raise ValueError(message)
    trials = float(total) if worth is None else worth
    if not 1.0 <= trials <= total:
        message = f"{total} trials cannot be worth {trials:g}"
        raise ValueError(message)
    if count == total:
        return 1.0
    events = count * trials / total
    return float(betaincinv(events + 1.0, trials - events, confidence))


def independent_trials(events: Sequence[bool], passes: Sequence[int] = ()) -> float:
    """How many independent trials those are worth in which ``events`` came, at least 1.

    The effective sample size of the stopping rule, of the events: those that follow on one another,
    or that come in some blocks and not in others, make it smaller. Of trials that depend on the one
    before alone it is exact. Fewer than two events show no dependence: they count as independent.

    Args:
        events: whether each trial was one, in the order seen.
        passes: the lengths of the blocks that they were seen in, where there are blocks.

    Raises:
        ValueError: no trials, or blocks that do not add up to them.
    """
    flags = np.asarray(events, dtype=np.float64)
    if flags.size == 0:
        raise ValueError("there is no trial")
    if flags.sum() < _FEWEST:
        return float(flags.size)
    return max(1.0, effective_count(flags.size, effective_autocorrelation(flags, passes)))
