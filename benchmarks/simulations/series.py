"""Simulated latencies of known median, in units of about 1; one function makes one series."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.special import ndtr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MODE_GAP = 0.02
MODE_NOISE = 0.003


@dataclass(frozen=True)
class Shape:
    """A distribution: ``kind`` is gaussian, log-normal, bimodal, AR(1) or blocks.

    ``parameter`` is the minor weight of a bimodal, the rho of an AR(1) or the standard deviation of
    the blocks' levels, ``noise`` the standard
    deviation (of logs; within a mode) over the median.
    """

    kind: str
    noise: float
    parameter: float = 0.0

    def __str__(self) -> str:
        """Name for a table."""
        noise = f"{100.0 * self.noise:g} %"
        if self.kind == "bimodal":
            gap = f"{100.0 * MODE_GAP:g} %"
            return f"bimodal, minor weight {self.parameter:g} (modes {gap} apart, noise {noise})"
        if self.kind == "AR(1)":
            return f"AR(1), rho {self.parameter:g}, noise {noise}"
        if self.kind == "blocks":
            return f"blocks, levels {100.0 * self.parameter:g} %, noise {noise}"
        return f"{self.kind}, noise {noise}"

    @property
    def median(self) -> float:
        """The true median."""
        if self.kind != "bimodal":
            return 1.0

        def excess(value: float) -> float:
            major = ndtr((value - 1.0) / self.noise)
            minor = ndtr((value - 1.0 - MODE_GAP) / self.noise)
            return float((1.0 - self.parameter) * major + self.parameter * minor - 0.5)

        return float(brentq(excess, 0.9, 1.1, xtol=1e-12))

    def draw(
        self, rng: np.random.Generator, count: int, passes: Sequence[int] = ()
    ) -> NDArray[np.float64]:
        """A series of ``count`` latencies, measured in blocks of ``passes``."""
        noise = rng.standard_normal(count)
        if self.kind == "blocks":
            levels = np.repeat(rng.standard_normal(len(passes)), passes)[:count]
            return 1.0 + self.parameter * levels + self.noise * noise
        if self.kind == "gaussian":
            return 1.0 + self.noise * noise
        if self.kind == "log-normal":
            return np.exp(self.noise * noise)
        if self.kind == "bimodal":
            return 1.0 + MODE_GAP * (rng.random(count) < self.parameter) + self.noise * noise
        if self.kind != "AR(1)":
            raise ValueError(f"no such kind: {self.kind}")
        # Stationary from the first sample on.
        noise[1:] *= math.sqrt(1.0 - self.parameter**2)
        series: NDArray[np.float64] = lfilter([1.0], [1.0, -self.parameter], noise)
        return 1.0 + self.noise * series
