"""Steps, and what is made of steps, as least squares sees them in AR(1) noise.

Noise of which each value holds ``rho`` of the one before is made white by ``e[t] = x[t] - rho
x[t-1]`` (Prais and Winsten, *Trend estimators and serial correlation*, 1954). How strong ``rho`` is
is not known: everything is computed for each of ``RHOS``, and weighed. A step that begins at value
k is the regressor ``1[t >= k]``; with the level taken out of both, ``moments[rho, k - 1]`` is its
product with the values and ``gram[rho]`` the products of steps with each other. A ramp is a mean of
steps, and two steps are two regressors: neither needs anything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.stats.changes.model import LEAST_AFTER, LEAST_INCREMENTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

RHOS: Final = np.linspace(0.0, 0.9, 10)
# Banks of stretches up to this long are kept, some hundred KB each.
_KEPT: Final = 64
_TINY: Final = 1e-12


@dataclass(frozen=True, eq=False)
class Bank:
    """What does not depend on the values, of stretches of ``count`` of them.

    ``unit`` has shape ``(rhos, n)``: the whitened level, of length 1. ``gram`` has shape ``(rhos,
    n - 1, n - 1)``, ``sums[rho, i, j]`` is the sum of its first i rows and j columns, and
    ``log_det`` of shape ``(rhos,)`` is the part of the restricted likelihood that no step changes.
    """

    count: int
    unit: Values
    gram: Values
    sums: Values
    log_det: Values

    @cached_property
    def square(self) -> Values:
        """The products of each step with itself, of shape ``(rhos, n - 1)``."""
        return np.ascontiguousarray(np.diagonal(self.gram, axis1=1, axis2=2))

    @cached_property
    def ramps(self) -> Ramps:
        """All ramps of at least ``LEAST_INCREMENTS``."""
        first, last = np.triu_indices(self.count - 1, LEAST_INCREMENTS - 1)
        length = (last - first + 1).astype(np.float64)
        sums = self.sums
        square = sums[:, last + 1, last + 1] - 2.0 * sums[:, first, last + 1]
        square = np.maximum(square + sums[:, first, first], _TINY) / length**2
        return Ramps(first, last, length, square.astype(np.float64))

    @cached_property
    def pairs(self) -> Pairs:
        """All pairs of steps with enough values about them."""
        first, last = np.triu_indices(self.count - 1, LEAST_AFTER)
        may = (first >= LEAST_AFTER - 1) & (last <= self.count - 1 - LEAST_AFTER)
        first, last = first[may], last[may]
        own, other = self.square[:, first], self.square[:, last]
        cross = self.gram[:, first, last]
        det = np.maximum(own * other - cross**2, _TINY)
        return Pairs(first, last, own / det, other / det, cross / det, det)


@dataclass(frozen=True, eq=False)
class Ramps:
    """Ramps from the step ``first`` to the step ``last``, ``length`` of them, and their squares."""

    first: NDArray[np.intp]
    last: NDArray[np.intp]
    length: Values
    square: Values


@dataclass(frozen=True, eq=False)
class Pairs:
    """The steps ``first`` and ``last``: ``own``, ``other``, ``cross`` are products over ``det``."""

    first: NDArray[np.intp]
    last: NDArray[np.intp]
    own: Values
    other: Values
    cross: Values
    det: Values


@dataclass(frozen=True, eq=False)
class Whitened:
    """One stretch: its ``bank``, ``moments`` ``(rhos, n - 1)`` and ``rss`` ``(rhos,)``.

    ``rss`` is the sum of squares about one level.
    """

    bank: Bank
    moments: Values
    rss: Values


def whiten(values: Values, floor: float) -> Whitened:
    """The sums of a stretch of at least two values, to which noise of ``floor`` is added."""
    held = _kept_bank(values.size) if values.size <= _KEPT else _bank(values.size)
    white = _whitened(values - values.mean())
    level = white - held.unit * (held.unit * white).sum(axis=1, keepdims=True)
    later = level[:, ::-1].cumsum(axis=1)[:, ::-1]
    moments = level[:, 1:].copy()
    moments[:, :-1] += (1.0 - RHOS)[:, None] * later[:, 2:]
    return Whitened(held, moments, (level**2).sum(axis=1) + values.size * floor**2)


def _whitened(values: Values) -> Values:
    white = np.tile(values, (RHOS.size, 1))
    white[:, 1:] -= RHOS[:, None] * values[:-1]
    white[:, 0] *= np.sqrt(1.0 - RHOS**2)
    return white


def _bank(count: int) -> Bank:
    rho = RHOS[:, None]
    ones = _whitened(np.ones(count))
    norm = np.sqrt((ones**2).sum(axis=1, keepdims=True))
    unit = ones / norm
    begins = np.arange(1, count)
    after = (count - 1 - begins).astype(np.float64)
    # Whitened, a step is 1 where it begins and 1 - rho after it.
    square = 1.0 + (1.0 - rho) ** 2 * after
    product = (1.0 - rho) + (1.0 - rho) ** 2 * after
    later = np.maximum.outer(begins, begins) - 1
    gram = product[:, later]
    index = np.arange(count - 1)
    gram[:, index, index] = square
    on_unit = (1.0 - rho) / norm * (1.0 + (1.0 - rho) * after)
    gram -= on_unit[:, :, None] * on_unit[:, None, :]
    sums = np.zeros((RHOS.size, count, count))
    sums[:, 1:, 1:] = gram.cumsum(axis=1).cumsum(axis=2)
    log_det = 0.5 * np.log1p(-(RHOS**2)) - np.log(norm[:, 0])
    return Bank(count, unit, gram, sums, log_det)


_kept_bank = lru_cache(maxsize=_KEPT)(_bank)
