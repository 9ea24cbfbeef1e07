"""The changes of one history of times: cleaned, segmented, and told as what they are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.stats.changes.cleaning import clean
from harness.stats.changes.model import ChangeRule, Findings
from harness.stats.changes.segmentation import fit_levels, noise_about, segment
from harness.stats.changes.telling import Told, spread_levels, tell_found, tell_spikes

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_RULE: Final = ChangeRule()


def find_changes(times_s: Sequence[float | None], rule: ChangeRule = DEFAULT_RULE) -> Findings:
    """Find what changed in ``times_s``, one positive figure a commit, the oldest first.

    None or NaN is a commit without a figure. Of more than ``rule.most`` figures the last ones are
    looked at. The method, its rates and what it cannot see are in docs/changes.md.

    Raises:
        ValueError: a time is not positive, or is infinite.
    """
    given = np.array([math.nan if value is None else value for value in times_s], dtype=np.float64)
    if (given <= 0.0).any() or np.isinf(given).any():
        raise ValueError("times are positive, and finite")
    places = np.flatnonzero(np.isfinite(given))[-rule.most :]
    logs = np.log(given[places])
    kept = clean(logs, rule) if logs.size >= rule.fewest else places[:0]
    if kept.size < rule.fewest:
        return Findings((), int(places.size), too_few=True)
    found = segment(logs[kept], rule)
    levels = fit_levels(logs[kept], found)
    left = noise_about(logs[kept], found, rule)
    spread = spread_levels(levels, logs, kept)
    told = Told(logs, places, kept, spread, left.deviation)
    changes = (*tell_found(found, told, rule), *tell_spikes(told, rule))
    ordered = tuple(sorted(changes, key=lambda one: (one.index, one.last)))
    all_levels = np.full(given.size, math.nan)
    all_levels[places] = np.exp(spread)
    return Findings(
        changes=ordered,
        count=int(places.size),
        noise=left.deviation,
        autocorrelation=left.rho,
        levels=tuple(all_levels.tolist()),
    )
