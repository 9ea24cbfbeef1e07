"""Where to clip a tensor for symmetric INT8, from a histogram of its absolute values.

A threshold ``t`` maps ``[-t, t]`` to the integers and saturates what lies outside: a small one
spends the levels on the bulk of the values, a large one keeps the outliers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHODS: Final = ("percentile", "entropy", "minmax")
DEFAULT_PERCENTILE: Final = 99.99

_LEVELS = 128
_STEPS = 256
# Half a count: less than any bin that holds something, so that an empty one never looks better.
_SMOOTHING = 0.5
_ROUNDING = 1e-12
# In nats: far above the rounding of the sums, far below a difference that matters.
_DIVERGENCE_ROUNDING = 1e-9


@dataclass(frozen=True)
class Histogram:
    """Distribution of a tensor: ``counts`` of ``|x|`` in equal bins over ``[0, largest]``.

    ``counts`` has shape ``(bins,)``; the last bin holds its upper edge. ``lowest`` and ``highest``
    are the signed extremes of ``x``, in its own unit.
    """

    counts: NDArray[np.int64]
    lowest: float
    highest: float

    @property
    def largest(self) -> float:
        """The largest ``|x|``, the upper edge of the last bin."""
        return max(abs(self.lowest), abs(self.highest))


def clip_threshold(
    histogram: Histogram, method: str, *, percentile: float = DEFAULT_PERCENTILE
) -> float:
    """The ``|x|`` at which to clip, in the unit of ``x``; 0 for a tensor of zeros.

    ``minmax`` clips nothing. ``percentile`` is the upper edge of the first bin up to which at
    least that share of the values lies. ``entropy`` loses least information, measured as the
    Kullback-Leibler divergence of the quantized distribution (Migacz, *8-bit Inference with
    TensorRT*, GTC 2017).

    Args:
        histogram: of the tensor, over all its values.
        method: one of :data:`METHODS`.
        percentile: above 0 and at most 100, which is the largest value; for ``percentile`` only.

    Raises:
        ValueError: an unknown method, a percentile out of range, a histogram without values, or
            extremes that are not finite.
    """
    if method not in METHODS:
        message = f"unknown method {method!r}: choose one of {', '.join(METHODS)}"
        raise ValueError(message)
    share = percentile / 100.0
    if not 0.0 < share <= 1.0:
        message = f"percentile {percentile} must be above 0 and at most 100"
        raise ValueError(message)
    if not histogram.counts.any() or not math.isfinite(histogram.largest):
        message = "a threshold needs at least one value, and all of them finite"
        raise ValueError(message)
    kept = histogram.counts.size
    if method == "percentile":
        kept = _percentile_bins(histogram.counts, share)
    elif method == "entropy":
        kept = _entropy_bins(histogram.counts)
    # The share first: for all bins it is exactly 1.
    return histogram.largest * (kept / histogram.counts.size)


def clip_range(
    histogram: Histogram, method: str, *, percentile: float = DEFAULT_PERCENTILE
) -> tuple[float, float]:
    """The range to keep for asymmetric quantization: the extremes, clipped at the threshold.

    It always contains 0, which must be exact: it is what padding and ReLU give.

    Args:
        histogram: as for :func:`clip_threshold`.
        method: as for :func:`clip_threshold`.
        percentile: as for :func:`clip_threshold`.

    Returns:
        Lower and upper end, in the unit of ``x``.

    Raises:
        ValueError: as from :func:`clip_threshold`.
    """
    threshold = clip_threshold(histogram, method, percentile=percentile)
    return (
        min(0.0, max(histogram.lowest, -threshold)),
        max(0.0, min(histogram.highest, threshold)),
    )


def _percentile_bins(counts: NDArray[np.int64], share: float) -> int:
    cumulative = np.cumsum(counts)
    # A tie up to rounding counts as met: 99.99 % of 10 000 values are 9 999.
    needed = float(cumulative[-1]) * share * (1.0 - _ROUNDING)
    return int(np.searchsorted(cumulative, needed)) + 1


def _entropy_bins(counts: NDArray[np.int64]) -> int:
    """How many of the lowest bins to keep for the least divergence.

    Bin 0 is given the count of bin 1, as NVIDIA's pytorch-quantization does: the many zeros of a
    ReLU or of padding are exact at any threshold, but as the bulk of the distribution they would
    draw the threshold to its minimum.
    """
    bins = counts.size
    if bins <= _LEVELS:
        return bins  # there is a level for each bin
    adjusted = np.concatenate((counts[1:2], counts[1:]))
    kept = np.union1d(np.arange(_LEVELS, bins, max(1, bins // _STEPS)), bins)
    divergence = _divergences(adjusted, kept)
    # Of equally good thresholds the largest: it clips least.
    best = np.flatnonzero(divergence <= divergence.min() + _DIVERGENCE_ROUNDING)[-1]
    return int(kept[best])


def _divergences(counts: NDArray[np.int64], kept: NDArray[np.int64]) -> NDArray[np.float64]:
    """KL divergence ``D(P || Q)`` in nats for each candidate of ``kept``, with the same shape.

    For the candidate ``i``, ``P`` is ``counts[:i]`` with all counts above it added to its last
    bin. ``Q`` is ``counts[:i]`` without them, merged to 128 levels of equal width and spread evenly
    over those bins of a level that are not empty. Both are normalized. Infinite where nothing is
    kept.

    ``Q`` is thus zero with ``P`` above zero in one case only, an empty last bin with counts above
    it: that bin of ``Q`` is then given half a count. And ``log Q`` is the same for all bins of a
    level, so that sums over levels, differences of cumulative sums, do for all candidates at once.
    """
    below = _cumulative(counts)
    total = below[-1]
    last = counts[kept - 1]
    clipped = total - below[kept]
    # First bin of each level, ceil(level * i / 128), and the end: (candidates, 129).
    edges = -(-np.arange(_LEVELS + 1) * kept[:, np.newaxis] // _LEVELS)
    mass = np.diff(below[edges], axis=1)
    occupied = np.diff(_cumulative(counts > 0)[edges], axis=1)
    log_level = np.log(np.where(mass > 0, mass / np.maximum(occupied, 1), 1.0))
    log_last = np.where(last > 0, log_level[:, -1], math.log(_SMOOTHING))
    cross = (mass * log_level).sum(axis=1) + clipped * log_last
    own = _cumulative(_times_log(counts))[kept - 1] + _times_log(last + clipped)
    kept_mass = below[kept] + np.where((last == 0) & (clipped > 0), _SMOOTHING, 0.0)
    divergence = np.full(kept.shape, math.inf)
    usable = below[kept] > 0
    divergence[usable] = ((own - cross)[usable] / total) + np.log(kept_mass[usable] / total)
    return divergence


def _cumulative(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Sums of the first 0, 1, … values: one more than there are values."""
    return np.concatenate(([0.0], np.cumsum(values, dtype=np.float64)))


def _times_log(counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """``n log n`` of whole numbers, 0 for 0."""
    whole = counts.astype(np.float64)
    return whole * np.log(np.maximum(whole, 1.0))
