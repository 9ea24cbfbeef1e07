"""How sure to be at each of several looks at growing data, so that all together err seldom enough.

Each look is one more chance of an error. The error that is allowed over all of them is spent as the
data grow (Lan and DeMets, *Discrete sequential boundaries for clinical trials*, Biometrika 70,
1983): after the part t of the largest count, t^(2/3) of it is spent, a member of the family of Kim
and DeMets (Biometrika 74, 1987). That power spends enough of it on the first look for eight pairs
to decide at an error of 2 %, and the rest evenly.

What a look may spend follows from how the statistics of several looks hang together, which is taken
to be as for sums of normal values (Armitage, McPherson and Rowe, 1969): the integral over what has
not been decided before is carried on from look to look.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SPENDING_POWER: Final = 2.0 / 3.0
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
        high = min(z, _FAR_SDS) * np.sqrt(count)
        low = -_FAR_SDS * np.sqrt(count)
        at = (high - low) / 2.0 * nodes + (high + low) / 2.0
        variance = count - self.count
        steps = (at[:, None] - self._at[None, :]) ** 2 / variance
        density = (np.exp(-steps / 2.0) / np.sqrt(2.0 * np.pi * variance)) @ self._mass
        self.count, self._at = count, at
        self._mass = density * weights * (high - low) / 2.0


@functools.lru_cache
def look_levels(looks: tuple[int, ...], error: float) -> tuple[float, ...]:
    """The one-sided error of each look, with which that of all is ``error``.

    Args:
        looks: the counts at which one looks, growing.
        error: the one-sided error of all looks, above 0 and below 0.5.
    """
    undecided = _Undecided()
    spent, found = 0.0, []
    for look in looks:
        due = error * (look / looks[-1]) ** _SPENDING_POWER
        share = due - spent
        z = brentq(lambda z: undecided.beyond(look, z) - share, -_FAR_SDS, _FAR_SDS)  # noqa: B023
        undecided.end(look, z)
        spent = due
        found.append(float(ndtr(-z)))
    return tuple(found)


@functools.lru_cache(maxsize=65536)
def error_of_all(looks: tuple[int, ...], levels: tuple[float, ...]) -> float:
    """The one-sided error of all ``looks`` together where each has that of ``levels``."""
    undecided = _Undecided()
    found = 0.0
    for look, level in zip(looks, levels, strict=True):
        z = float(-ndtri(min(level, 0.5)))
        found += undecided.beyond(look, z)
        undecided.end(look, z)
    return found


@functools.cache
def _gauss() -> tuple[Any, Any]:
    """The places and weights of Gauss and Legendre's integration from -1 to 1."""
    return np.polynomial.legendre.leggauss(_NODES)
