"""Steps, and what is made of steps, as least squares sees them in AR(1) noise.

Noise of which each value holds ``rho`` of the one before is made white by ``e[t] = x[t] - rho
x[t-1]`` (Prais and Winsten, *Trend estimators and serial correlation*, 1954). How strong ``rho`` is
is not known: everything is computed for each of ``RHOS``, and weighed. A step that begins at value
k is the regressor ``1[t >= k]``; with the level taken out of both, ``moments[rho, k - 1]`` is its
product with the values. A ramp is a mean of steps, and two steps are two regressors: neither needs
anything but the products of steps with each other, and those have a closed form. Of two steps,
whitened, it depends on the later one alone; the level takes the product of what each has of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]
    Places = NDArray[np.intp] | int

RHOS: Final = np.linspace(0.0, 0.9, 10)
_EACH: Final = np.arange(RHOS.size)
_TINY: Final = 1e-12
# Banks of so many lengths are kept: of 400 values, one has half a MB.
_KEPT: Final = 64


@dataclass(frozen=True, eq=False)
class Bank:
    """What does not depend on the values, of stretches of ``count`` of them.

    ``unit`` has shape ``(rhos, n)``: the whitened level, of length 1. The others have an entry for
    each step, ``(rhos, n - 1)``: ``square`` is its product with itself, ``later`` that with every
    step before it while the level is still in both, and ``on_unit`` what it has of the level, so
    that the product of steps i < j is ``later[j] - on_unit[i] on_unit[j]``. ``log_det`` of shape
    ``(rhos,)`` is the part of the restricted likelihood that no step changes.
    """

    count: int
    unit: Values
    square: Values
    later: Values
    on_unit: Values
    log_det: Values

    def product(self, first: Places, last: Places) -> Values:
        """The products ``(rhos,)`` of the steps ``first`` < ``last``, which may differ by rho."""
        on_first, on_last = self.on_unit[_EACH, first], self.on_unit[_EACH, last]
        return np.asarray(self.later[_EACH, last] - on_first * on_last)

    def pair_det(self, first: Places, last: Places) -> Values:
        """The determinants ``(rhos,)`` of the products of two steps, which may differ by rho."""
        both = self.square[_EACH, first] * self.square[_EACH, last]
        return np.asarray(np.maximum(both - self.product(first, last) ** 2, _TINY))

    def ramp_square(self, first: Places, last: Places) -> Values:
        """The squares ``(rhos,)`` of the ramps from ``first`` to ``last``: means of their steps."""
        left, right = self.ramp_factors
        square = (left[_EACH, first] * right[_EACH, :, last]).sum(axis=1)
        return np.asarray(np.maximum(square, _TINY) / (last - first + 1.0) ** 2)

    @cached_property
    def pair_factors(self) -> tuple[tuple[Values, Values], tuple[Values, Values]]:
        """Two of the first step and two of the last, ``(rhos, n - 1)``.

        The sum of their products is that of two steps, each made of unit length.
        """
        lengths = np.sqrt(self.square)
        on_unit = self.on_unit / lengths
        return (1.0 / lengths, -on_unit), (self.later / lengths, on_unit)

    @cached_property
    def pair_rests(self) -> tuple[Values, Values]:
        """Two matrices for each rho, ``(rhos, n - 1, 4)`` and ``(rhos, 4, n - 1)``.

        Their product is what two steps of unit length have not in common: 1 less the square of
        their product.
        """
        (a, b), (c, d) = self.pair_factors
        ones = np.ones_like(a)
        left = (ones, -(a**2), -2.0 * a * b, -(b**2))
        right = (ones, c**2, c * d, d**2)
        return np.stack(left, axis=2), np.stack(right, axis=1)

    @cached_property
    def ramp_factors(self) -> tuple[Values, Values]:
        """Two matrices for each rho, ``(rhos, n - 1, 4)`` and ``(rhos, 4, n - 1)``.

        Their product at (i, j) is the square of the sum of the steps i to j: the squares of each,
        twice the product of each with those before it, less what they have of the level.
        """
        index = np.arange(self.count - 1, dtype=np.float64)
        squares, laters, weighted, on_unit = (
            np.concatenate((np.zeros((RHOS.size, 1)), one.cumsum(axis=1)), axis=1)
            for one in (
                self.square + self.on_unit**2,
                self.later,
                self.later * index,
                self.on_unit,
            )
        )
        of_last = (2.0 * weighted + squares - on_unit**2)[:, 1:]
        of_first = (2.0 * (index * laters[:, :-1] - weighted[:, :-1])) - squares[:, :-1]
        of_first -= on_unit[:, :-1] ** 2
        ones, places = np.ones_like(of_last), np.broadcast_to(index, of_last.shape)
        left = (ones, of_first, -2.0 * places, 2.0 * on_unit[:, :-1])
        right = (of_last, ones, laters[:, 1:], on_unit[:, 1:])
        return np.stack(left, axis=2), np.stack(right, axis=1)


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
    bank = _bank(values.size)
    white = _whitened(values - values.mean())
    level = white - bank.unit * (bank.unit * white).sum(axis=1, keepdims=True)
    later = level[:, ::-1].cumsum(axis=1)[:, ::-1]
    moments = level[:, 1:].copy()
    moments[:, :-1] += (1.0 - RHOS)[:, None] * later[:, 2:]
    return Whitened(bank, moments, (level**2).sum(axis=1) + values.size * floor**2)


def _whitened(values: Values) -> Values:
    white = np.tile(values, (RHOS.size, 1))
    white[:, 1:] -= RHOS[:, None] * values[:-1]
    white[:, 0] *= np.sqrt(1.0 - RHOS**2)
    return white


@lru_cache(maxsize=_KEPT)
def _bank(count: int) -> Bank:
    rho = RHOS[:, None]
    ones = _whitened(np.ones(count))
    norm = np.sqrt((ones**2).sum(axis=1, keepdims=True))
    after = (count - 1 - np.arange(1, count)).astype(np.float64)
    # Whitened, a step is 1 where it begins and 1 - rho after it.
    on_unit = (1.0 - rho) / norm * (1.0 + (1.0 - rho) * after)
    square = 1.0 + (1.0 - rho) ** 2 * after - on_unit**2
    later = (1.0 - rho) + (1.0 - rho) ** 2 * after
    log_det = 0.5 * np.log1p(-(RHOS**2)) - np.log(norm[:, 0])
    return Bank(count, ones / norm, square, later, on_unit, log_det)
