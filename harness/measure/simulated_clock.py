"""A clock that says what launches would take, with seeded noise; nothing is run or waited for."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SIMULATED: Final = "simulated"
GAUSSIAN, LOGNORMAL = "gaussian", "lognormal"
SHAPES: Final = (GAUSSIAN, LOGNORMAL)
# Drawn at a time.
_CHUNK: Final = 256
# No launch takes less than this share of its time, however far a gaussian reaches.
_LEAST: Final = 0.01


@dataclass(frozen=True)
class Noise:
    """What times are multiplied with: its median is 1.

    ``rel_sd`` is the standard deviation, ``shape`` that of the distribution, and ``rho`` the
    correlation of successive samples of one series (AR(1), of the gaussian underneath).
    """

    rel_sd: float = 0.0
    shape: str = GAUSSIAN
    rho: float = 0.0

    def factors(self, rng: np.random.Generator) -> Iterator[float]:
        """One after the other, without end; the same for the same generator."""
        fresh = math.sqrt(1.0 - self.rho**2)
        # A lognormal with this in its exponent has about the standard deviation rel_sd.
        sigma = math.sqrt(math.log1p(self.rel_sd**2))
        state = float(rng.standard_normal())
        while True:
            for drawn in rng.standard_normal(_CHUNK).tolist():
                yield (
                    max(_LEAST, 1.0 + self.rel_sd * state)
                    if self.shape == GAUSSIAN
                    else math.exp(sigma * state)
                )
                state = self.rho * state + fresh * drawn


class SimulatedLaunch:
    """Does nothing when it is called; :class:`SimulatedClock` says that it took ``seconds``."""

    def __init__(self, seconds: float, noise: Noise, rng: np.random.Generator) -> None:
        self.seconds = seconds
        self._factors = noise.factors(rng)

    def __call__(self) -> None:
        """Do nothing."""

    def take(self) -> float:
        """The seconds of the next launch."""
        return self.seconds * next(self._factors)


class SimulatedClock:
    """Gives every :class:`SimulatedLaunch` the seconds that are made up for it."""

    name = SIMULATED
    is_simulated = True

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        """The made up seconds of each of ``launches``; none of them is called.

        Raises:
            TypeError: one is no :class:`SimulatedLaunch`: nothing is known of its time.
        """
        taken = []
        for launch in launches:
            if not isinstance(launch, SimulatedLaunch):
                message = f"{launch!r} has no simulated time"
                raise TypeError(message)
            taken.append(launch.take())
        return tuple(taken)


def seeded(seed: int, *keys: object) -> np.random.Generator:
    """A generator of ``seed`` that is another for other ``keys``, in every process the same."""
    return np.random.default_rng([seed, zlib.crc32("|".join(map(str, keys)).encode())])
