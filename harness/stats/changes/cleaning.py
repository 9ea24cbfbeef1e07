"""Values that stand out alone are set apart, so that they make no step and hide none.

After Hampel (*The influence curve and its role in robust estimation*, J. Am. Stat. Assoc. 69, 1974;
as a filter: Pearson and others, *Generalized Hampel filters*, EURASIP J. Adv. Signal Process.
2016), but with a median for each side: the first value of a new level is far from what comes before
it, and near to what comes after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from harness.stats.changes.model import LEAST_BEFORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.stats.changes.model import ChangeRule

    Values = NDArray[np.float64]

# Values on each side. Their median stands two odd ones.
WINDOW: Final = 5
# Of normal values: the standard deviation over the median of absolute deviations ...
_MAD: Final = 1.4826
# ... and the deviation from the median of WINDOW others over that of the values themselves.
_OF_MEDIAN: Final = 1.135


def clean(values: Values, rule: ChangeRule) -> NDArray[np.intp]:
    """The indices of the values that are kept: an outlier stands out from both sides.

    Args:
        values: logarithms, of shape ``(n,)``, finite, at least ``rule.fewest``.
        rule: how far an outlier is.
    """
    before, after = _sides(values)
    deviations = np.concatenate((values - before, values - after))
    known = np.abs(deviations[np.isfinite(deviations)])
    noise = max(_MAD * float(np.median(known)) / _OF_MEDIAN, rule.least_noise)
    limit = rule.outlier_noises * _OF_MEDIAN * noise
    is_out = np.abs(_nearer(values - before, values - after)) > limit
    # After the last one there is nothing: what is there since the one before it is no outlier.
    is_out[-1] = is_out[-1] and abs(values[-1] - values[-2]) > limit
    return np.flatnonzero(~is_out)


def _sides(values: Values) -> tuple[Values, Values]:
    """For each value the median of those just before it, and of those just after; NaN for none.

    So few before the first values tell nothing; after the last, a single one does: what is new
    has not been there for long.
    """
    count = values.size
    padded = np.full(count + 2 * WINDOW, np.nan)
    padded[WINDOW : WINDOW + count] = values
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * WINDOW + 1)
    before = np.full(count, np.nan)
    after = np.full(count, np.nan)
    before[LEAST_BEFORE:] = _medians(windows[LEAST_BEFORE:, :WINDOW])
    after[:-1] = _medians(windows[:-1, WINDOW + 1 :])
    return before, after


def _medians(rows: Values) -> Values:
    """The median of each row; NaN is left out, and some value is there."""
    ordered = np.sort(rows, axis=1)  # NaN comes last
    counts = np.isfinite(rows).sum(axis=1)
    index = np.arange(counts.size)
    medians: Values = 0.5 * (ordered[index, (counts - 1) // 2] + ordered[index, counts // 2])
    return medians


def _nearer(left: Values, right: Values) -> Values:
    """The smaller of two deviations: 0 between two sides, and that of the one that there is."""
    left = np.where(np.isnan(left), right, left)
    right = np.where(np.isnan(right), left, right)
    nearer = np.where(np.abs(left) < np.abs(right), left, right)
    return np.where(left * right < 0.0, 0.0, nearer)
