"""The machine's own drift, as a frozen piece of work tells it, taken out of other histories."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.stats.changes.finding import DEFAULT_RULE, find_changes
from harness.stats.changes.model import Change, ChangeKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.stats.changes.model import ChangeRule


@dataclass(frozen=True)
class MachineDrift:
    """What the canary did: ``changes``, and by what factor all is slower at each commit.

    ``factors`` are of the level of the first commit, and 1 throughout where the canary has neither
    step nor drift: its noise is not taken out, as it would be added to that of the work.
    ``too_few`` says that it has too few figures to tell.
    """

    factors: tuple[float, ...]
    changes: tuple[Change, ...] = ()
    too_few: bool = False

    def taken_out_of(self, times_s: Sequence[float | None]) -> tuple[float, ...]:
        """``times_s`` as the machine of the first commit would have had them; NaN for None."""
        pairs = zip(times_s, self.factors, strict=True)
        return tuple(math.nan if time is None else time / factor for time, factor in pairs)


def machine_drift(
    canary_s: Sequence[float | None], rule: ChangeRule = DEFAULT_RULE
) -> MachineDrift:
    """What the canary's own history tells of the machine.

    Where a commit has no figure of it, its level is that of the commit before, or else after.

    Args:
        canary_s: its times, of the same commits as the histories that it is taken out of.
        rule: by what its changes count.

    Raises:
        ValueError: a time is not positive, or is infinite.
    """
    findings = find_changes(canary_s, rule)
    lasting = tuple(one for one in findings.changes if one.kind is not ChangeKind.SPIKE)
    if not lasting:
        return MachineDrift((1.0,) * len(canary_s), too_few=findings.too_few)
    levels = np.array(findings.levels)
    known = np.flatnonzero(np.isfinite(levels))
    nearest = np.maximum(np.searchsorted(known, np.arange(levels.size), side="right") - 1, 0)
    factors = levels[known[nearest]] / levels[known[0]]
    return MachineDrift(tuple(factors.tolist()), lasting)
