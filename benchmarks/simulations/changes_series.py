"""Simulated histories: logs of times, one a commit, of which it is known what changed."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import lfilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOISE = 0.01
GAUSSIAN, OUTLIERS, CORRELATED = "gaussian", "5 % outliers of 5 to 20 %", "AR(1), rho 0.6"
NOISES = (GAUSSIAN, OUTLIERS, CORRELATED)
# What is further off than that, in logs, is an outlier: of 5 % or more, but for the noise.
OUTLIER = 0.035
_RHO = 0.6
_OUTLIER_SHARE = 0.05


@dataclass(frozen=True)
class Case:
    """Histories of ``count`` commits: the levels are ``size`` higher from commit ``begin`` on.

    Up to commit ``end`` they grow evenly (a drift), or it is where they are as before (a spike).
    """

    noise: str
    size: float = 0.0
    begin: int = 0
    end: int | None = None
    returns: bool = False
    count: int = 50

    @property
    def levels(self) -> NDArray[np.float64]:
        """The true levels, in logs."""
        commits = np.arange(self.count)
        log_size = math.log1p(self.size)
        if self.end is None:
            return log_size * (commits >= self.begin)
        if self.returns:
            return log_size * ((commits >= self.begin) & (commits < self.end))
        return log_size * np.clip((commits - self.begin) / (self.end - self.begin), 0.0, 1.0)

    def draw(self, seed: int, trials: int) -> NDArray[np.float64]:
        """Series of shape ``(trials, count)``; fewer trials are the first of more."""
        rng = np.random.default_rng([seed, zlib.crc32(repr(self).encode())])
        return np.array([self._one(rng) for _ in range(trials)]) + self.levels

    def _one(self, rng: np.random.Generator) -> NDArray[np.float64]:
        noise = rng.standard_normal(self.count)
        if self.noise == CORRELATED:
            noise[1:] *= math.sqrt(1.0 - _RHO**2)
            noise = lfilter([1.0], [1.0, -_RHO], noise)
        logs: NDArray[np.float64] = np.log1p(NOISE * noise)
        if self.noise == OUTLIERS:
            is_out = rng.random(self.count) < _OUTLIER_SHARE
            logs = logs + is_out * np.log1p(rng.uniform(0.05, 0.2, self.count))
        return logs


STEPS = ((0.10, 25), (0.03, 25), (0.10, 48), (0.03, 40), (-0.03, 25))
