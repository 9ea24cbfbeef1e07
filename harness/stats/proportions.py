"""Rates of rare events, such as missed deadlines, with exact bounds."""

from __future__ import annotations

from scipy.special import betaincinv


def upper_bound(count: int, total: int, confidence: float = 0.95) -> float:
    """The one-sided upper bound of a rate of which ``count`` of ``total`` were seen.

    Clopper and Pearson, *Biometrika* 26(4), 1934: the rate at which so few are seen with the
    probability ``1 - confidence``. Of none in 300 it is 1 %. It takes the trials as independent.

    Raises:
        ValueError: no trials, or more events than trials.
    """
    if not 0 <= count <= total or total < 1:
        message = f"{count} of {total} is no rate"
        raise ValueError(message)
    if count == total:
        return 1.0
    return float(betaincinv(count + 1, total - count, confidence))
