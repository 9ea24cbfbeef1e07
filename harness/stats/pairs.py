"""Whether one of two sides is slower, by the medians of processes that took turns."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class PairStatus(enum.Enum):
    """What is known of the ratio of head to base."""

    SLOWER = "slower"
    FASTER = "faster"
    SAME = "same"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class PairVerdict:
    """The ratio of head to base, its interval, and what follows.

    ``odd_base`` and ``odd_head`` number the processes that are far off their side's others.
    ``p_value`` is of the hypothesis that the ratio is within the margin.
    """

    status: PairStatus
    ratio: float
    lower: float
    upper: float
    confidence: float
    p_value: float
    pairs: int
    reason: str = ""
    odd_base: tuple[int, ...] = ()
    odd_head: tuple[int, ...] = ()


@dataclass(frozen=True)
class PairRule:
    """When to look, and how sure to be at each look.

    ``margin`` is the change, as a fraction, that is none; ``alpha`` the two-sided error of each
    look.
    """

    margin: float = 0.002
    alpha: float = 0.02
    looks: tuple[int, ...] = (8, 12, 16, 20, 24, 28, 32)
