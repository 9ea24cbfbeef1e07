"""Two modes of about equal weight: the median then lies in the gap, where there are no samples.

Launches of one kernel may take one of two times, by where memory was placed or which clock the
device was at. With even weights the sample median jumps from one mode to the other, and a series
whose median looks well known is one in which a mode came up too often by chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.stats.autocorrelation import variance_inflation

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What the middle half between the quartiles holds of a uniform distribution; a peak holds more,
# a gaussian 0.26.
_FLAT_SHARE: Final = 0.25
# Half of that: reached by two gaussians of equal weight that are 4.6 standard deviations apart.
_GAP_SHARE: Final = 0.125
# In standard errors: one-sided, 0.0013.
_GAP_Z: Final = 3.0


@dataclass(frozen=True)
class TwoModes:
    """Two modes with a gap between the quartiles of the samples.

    ``lower`` and ``upper`` are the quartiles, about the middles of the modes if their weights are
    near even, in the unit of the samples. ``minor_weight`` is the share of samples on the side of
    the gap that has fewer, at most 0.5, and ``weight_error`` its standard error.
    """

    lower: float
    upper: float
    minor_weight: float
    weight_error: float

    @property
    def distance(self) -> float:
        """How far the modes are apart."""
        return self.upper - self.lower


def find_two_modes(ordered: NDArray[np.float64], autocorrelation: float = 0.0) -> TwoModes | None:
    """The two modes of ``ordered`` samples if there is a gap between the quartiles, else None.

    The middle half of the range between the quartiles holds a quarter of the samples if these are
    spread evenly, more if there is a peak, and next to none if each quartile is in a mode of its
    own. Modes count if it holds less than an eighth, and significantly less than a quarter. A minor
    mode of weight below 1/4 is not seen: the median then lies far inside the other.

    Args:
        ordered: finite samples in ascending order, of shape ``(n,)``.
        autocorrelation: of the samples in the order measured; the more, the fewer they are worth.
    """
    count = int(ordered.size)
    if count == 0:
        return None
    lower, upper = (float(value) for value in np.quantile(ordered, (0.25, 0.75)))
    quarter = (upper - lower) / 4.0
    if quarter <= 0.0:
        return None
    first, split, last = np.searchsorted(
        ordered, (lower + quarter, lower + 2.0 * quarter, upper - quarter)
    )
    share = float(last - first) / count
    worth = count / variance_inflation(autocorrelation)
    error = _GAP_Z * math.sqrt(_FLAT_SHARE * (1.0 - _FLAT_SHARE) / worth)
    if share >= min(_GAP_SHARE, _FLAT_SHARE - error):
        return None
    below = float(split) / count
    return TwoModes(
        lower=lower,
        upper=upper,
        minor_weight=min(below, 1.0 - below),
        weight_error=math.sqrt(below * (1.0 - below) / worth),
    )
