"""How sure to be at each of several looks at growing data, so that all together err seldom enough.

Each look is one more chance of an error. The error that is allowed over all of them is spent as the
data grow (Lan and DeMets, *Discrete sequential boundaries for clinical trials*, Biometrika 70,
1983). Two fifths of it are due at the first look, the least by which eight pairs can decide at an
error of 2 %; the rest comes with the power 3/2 of the pairs that were added, so that later looks
are surer to find what earlier ones missed. What a look cannot spend, since ranks have few values,
is left to the next.

What a look may spend follows from how the statistics of several looks hang together, which is taken
to be as for sums of normal values (Armitage, McPherson and Rowe, *Repeated significance tests on
accumulating data*, J. R. Statist. Soc. A 132, 1969): the integral over what has not been decided
before is carried on from look to look.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from harness.stats.ranks import attained_level

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIRST_SHARE: Final = 0.4
_SPENDING_POWER: Final = 1.5
_NODES: Final = 120
# Where normal values and their sums do not come to, in standard deviations.
_FAR_SDS: Final = 8.0


class _Undecided:
    """The distribution of a sum of so many standard normal values that no look has ended."""

    def __init__(self) -> None:
        self.count = 0.0
        self._at: NDArray[np.float64] = np.zeros(1)
        self._mass: NDArray[np.float64] = np.ones(1)

    def beyond(self, count: float, z: float) -> float:
        """The probability that the sum of ``count`` is above ``z`` of its standard deviations."""
        sd = np.sqrt(count - self.count)
        return float(self._mass @ ndtr((self._at - z * np.sqrt(count)) / sd))

    def end(self, count: float, z: float) -> None:
        """Go on to ``count``, without what is above ``z`` there."""
        nodes, weights = _gauss()
        high = z * np.sqrt(count)
        low = -_FAR_SDS * np.sqrt(count)
        at = (high - low) / 2.0 * nodes + (high + low) / 2.0
        variance = count - self.count
        steps = (at[:, None] - self._at[None, :]) ** 2 / variance
        density = (np.exp(-steps / 2.0) / np.sqrt(2.0 * np.pi * variance)) @ self._mass
        self.count, self._at = count, at
        self._mass = density * weights * (high - low) / 2.0


@functools.lru_cache
def look_levels(looks: tuple[int, ...], error: float) -> tuple[float, ...]:
    """The one-sided error of each look, with which that of all is at most ``error``.

    It is one that signed ranks of so many pairs attain: 0 where they are too few for any.

    Args:
        looks: the numbers of pairs at which one looks, growing.
        error: the one-sided error of all looks, above 0 and below 0.5.
    """
    undecided = _Undecided()
    spent, found = 0.0, []
    for look in looks:
        share = error * _due(look, looks) - spent
        z = brentq(lambda z: undecided.beyond(look, z) - share, -_FAR_SDS, _FAR_SDS)  # noqa: B023
        level = attained_level(look, float(ndtr(-z)))
        z = _z_of(level)
        spent += undecided.beyond(look, z)
        undecided.end(look, z)
        found.append(level)
    return tuple(found)


def _due(look: int, looks: tuple[int, ...]) -> float:
    """The part of the error that may be spent up to ``look``."""
    if look == looks[-1]:
        return 1.0
    added = (look - looks[0]) / (looks[-1] - looks[0])
    return _FIRST_SHARE + (1.0 - _FIRST_SHARE) * float(added**_SPENDING_POWER)


def _z_of(level: float) -> float:
    return min(float(-ndtri(level)), _FAR_SDS)


@functools.lru_cache(maxsize=65536)
def error_of_all(looks: tuple[int, ...], levels: tuple[float, ...]) -> float:
    """The one-sided error of all ``looks`` together where each has that of ``levels``."""
    undecided = _Undecided()
    found = 0.0
    for look, level in zip(looks, levels, strict=True):
        z = _z_of(min(level, 0.5))
        found += undecided.beyond(look, z)
        undecided.end(look, z)
    return found


@functools.cache
def _gauss() -> tuple[Any, Any]:
    """The places and weights of Gauss and Legendre's integration from -1 to 1."""
    return np.polynomial.legendre.leggauss(_NODES)
