"""What a history may hold, and by what rule it is looked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Final


class ChangeKind(str, Enum):
    """How a history changed."""

    STEP = "step"
    SPIKE = "spike"
    DRIFT = "drift"


class Direction(str, Enum):
    """Which way, of times: more of them is slower."""

    SLOWER = "slower"
    FASTER = "faster"


@dataclass(frozen=True)
class ChangeRule:
    """By what a change counts; the rates of these figures are in docs/changes.md.

    ``threshold`` is what a step's evidence must reach: twice the logarithm of a likelihood ratio.
    ``drift_more`` and ``second_more`` are what a drift and two steps at once need beyond it.
    A change is no smaller than ``least_ratio`` (0.003 is 0.3 %) and than ``least_noises`` times the
    noise between commits. A commit that stands out by ``outlier_noises`` from both sides is set
    apart, and told as a spike from ``spike_noises`` on. Noise below ``least_noise`` (relative) is
    taken for that. ``confidence`` is that of the intervals and of the commit ranges.
    """

    threshold: float = 18.0
    drift_more: float = 18.0
    second_more: float = 18.0
    least_ratio: float = 0.003
    least_noises: float = 1.5
    outlier_noises: float = 3.2
    spike_noises: float = 6.0
    least_noise: float = 1e-4
    confidence: float = 0.95
    fewest: int = 8
    most: int = 400

    def __post_init__(self) -> None:
        """Check the figures."""
        if not 0.0 < self.confidence < 1.0 or self.least_noise <= 0.0:
            message = "a confidence lies between 0 and 1, and there is always some noise"
            raise ValueError(message)
        if not FEWEST <= self.fewest <= self.most:
            message = f"a history has at least {FEWEST} commits"
            raise ValueError(message)


# Commits before and after a step: what is on one side of it must be more than one odd figure.
LEAST_BEFORE: Final = 3
LEAST_AFTER: Final = 2
FEWEST: Final = LEAST_BEFORE + LEAST_AFTER
# Increments of a drift: fewer of them are steps.
LEAST_INCREMENTS: Final = 4


@dataclass(frozen=True)
class Change:
    """One change of a history; indices count the values that were given, those left out included.

    A step is between two values: the new level begins at ``index``, and by ``confidence`` at one
    of ``first`` to ``last``. A spike is the values ``first`` to ``last``, a drift grows from the
    value ``first`` to the value ``last``; ``index`` is the first that is off. ``ratio`` is the new
    level over the old (of a spike, over what is around it), with its interval; ``evidence`` is
    twice the logarithm of the likelihood ratio, of a spike the distance in noises. ``recovered``:
    a later level is as low (or as high) as that before it.
    """

    kind: ChangeKind
    index: int
    first: int
    last: int
    ratio: float
    lower: float
    upper: float
    confidence: float
    evidence: float
    recovered: bool = False
    note: str = ""

    @property
    def direction(self) -> Direction:
        """Which way it went."""
        return Direction.SLOWER if self.ratio > 1.0 else Direction.FASTER

    @property
    def is_open_slowdown(self) -> bool:
        """Whether something is slower since, and still is."""
        lasts = self.kind is not ChangeKind.SPIKE
        return lasts and not self.recovered and self.direction is Direction.SLOWER


@dataclass(frozen=True)
class Findings:
    """What was found in one history, oldest first.

    ``noise`` is the relative standard deviation between commits where nothing changes, and
    ``autocorrelation`` that of neighbours; both are NaN where there are ``too_few`` values.
    ``levels`` are the times that the values are about, of all that were given: NaN where a commit
    has no figure; empty where there are too few.
    """

    changes: tuple[Change, ...]
    count: int
    noise: float = math.nan
    autocorrelation: float = math.nan
    too_few: bool = False
    levels: tuple[float, ...] = field(default=(), repr=False)
