"""Which two commits to hold against each other next, until one commit is left.

Of a range ``low .. high`` it is known how much slower its end is than its begin. The commit in the
middle is held against the begin, with half of that change as the margin: what is slower than that
holds the larger part of the change before it, what is not holds it after it. So the search ends at
a commit that is a large part of the change, also where there are several.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from harness.percent import signed_percent
from harness.stats.pairs import PairStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Of a change that is more than threefold.
_MOST_MARGIN: Final = 0.9


@dataclass(frozen=True)
class Step:
    """What an A/B of ``head`` against ``base`` (full hashes) said of the benchmark.

    ``ratio`` is head over base, with its interval. ``skipped`` tells why there was none: a commit
    that cannot be built, say. ``remarks`` are what else a reader must know of it. ``is_final`` says
    that measuring it again would tell no more: it was not the time, or the machine, that ended it.
    """

    base: str
    head: str
    margin: float
    status: str = PairStatus.INCONCLUSIVE.value
    ratio: float = 1.0
    lower: float = 0.0
    upper: float = math.inf
    pairs: int = 0
    record_ids: tuple[str, ...] = ()
    skipped: str = ""
    remarks: tuple[str, ...] = ()
    is_simulated: bool = False
    is_final: bool = True


@dataclass(frozen=True)
class Ask:
    """An A/B to be made: of ``head`` against ``base``, with that margin."""

    base: str
    head: str
    margin: float


@dataclass(frozen=True)
class Found:
    """The end: the commits that may be it, one where it is known; what was held against it.

    ``evidence`` is the A/B of the one against the commit before it. ``reason`` tells why several
    are left, or why there is nothing to find.
    """

    suspects: tuple[str, ...]
    evidence: Step | None = None
    reason: str = ""

    @property
    def culprit(self) -> str:
        """The one commit; empty where it is not known."""
        return self.suspects[0] if len(self.suspects) == 1 and not self.reason else ""


@dataclass
class Search:
    """The search in ``commits``, from the good one to the bad one, each the next one's parent.

    It is a function of the steps that were made: the same steps lead to the same place.
    """

    commits: Sequence[str]
    margin: float
    steps: Mapping[tuple[str, str, str], Step] = field(default_factory=dict)

    def next(self) -> Ask | Found:
        """What to measure next, or what was found."""
        commits = self.commits
        low, high = 0, len(commits) - 1
        whole = self._step(commits[low], commits[high], self.margin)
        if isinstance(whole, Ask):
            return whole
        if whole.status != PairStatus.SLOWER.value:
            return Found((), whole, _nothing(whole))
        change = math.log(whole.ratio)
        while high - low > 1:
            found = self._narrow(low, high, change)
            if not isinstance(found, tuple):
                return found
            low, high, change = found
        evidence = self._step(commits[low], commits[high], self.margin)
        if isinstance(evidence, Ask):
            return evidence
        if evidence.status != PairStatus.SLOWER.value:
            what = f"it is not slower than the commit before it by itself: {evidence.status}"
            return Found((commits[high],), evidence, evidence.skipped or what)
        return Found((commits[high],), evidence)

    def _narrow(self, low: int, high: int, change: float) -> tuple[int, int, float] | Ask | Found:
        """The range and its change after one more commit is judged."""
        commits, reasons = self.commits, []
        margin = min(math.expm1(change / 2.0), _MOST_MARGIN)
        for middle in _from_the_middle(low, high):
            step = self._step(commits[low], commits[middle], margin)
            if isinstance(step, Ask):
                return step
            is_bad = _is_bad(step, change)
            if is_bad is None:
                text = "; ".join((step.status, *step.remarks))
                reasons.append(step.skipped or f"{commits[middle][:8]} is {text}")
                continue
            own = math.log(step.ratio)
            return (low, middle, own) if is_bad else (middle, high, change - own)
        left = tuple(commits[low + 1 : high + 1])
        return Found(left, None, f"the commits between cannot be judged: {'; '.join(reasons)}")

    def _step(self, base: str, head: str, margin: float) -> Step | Ask:
        ask = Ask(base, head, margin)
        return self.steps.get(key_of(ask), ask)


def key_of(ask: Ask | Step) -> tuple[str, str, str]:
    """What tells an A/B from others."""
    return ask.base, ask.head, f"{ask.margin:.6g}"


def _from_the_middle(low: int, high: int) -> list[int]:
    """The places between, the nearest to the middle first."""
    middle = (low + high) / 2.0
    return sorted(range(low + 1, high), key=lambda place: (abs(place - middle), place))


def _is_bad(step: Step, change: float) -> bool | None:
    """Whether the larger part of ``change`` is before the head of ``step``; None if that is open.

    Where all of the interval is between none and all of it, there are several parts: then the
    estimate decides which is larger, and either leads to one of them.
    """
    if step.skipped:
        return None
    if step.status == PairStatus.SLOWER.value:
        return True
    if step.status in {PairStatus.SAME.value, PairStatus.FASTER.value}:
        return False
    if step.lower > 1.0 and math.log(step.upper) < change:
        return math.log(step.ratio) > change / 2.0
    return None


def _nothing(step: Step) -> str:
    if step.skipped:
        return step.skipped
    change = f"{signed_percent(step.ratio)} %"
    if step.status == PairStatus.INCONCLUSIVE.value:
        told = "; ".join((change, *step.remarks))
        return f"it is open whether the bad commit is slower than the good one ({told})"
    return f"the bad commit is not slower than the good one: {step.status} ({change})"
