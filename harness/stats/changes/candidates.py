"""The strongest step, drift and pair of steps in a stretch, each with its evidence.

Of each candidate, least squares in AR(1) noise gives by how much it lessens the sum of squares, in
units of the noise that it leaves: its *gain*, for each ``rho``. These are averaged with the weights
that the restricted likelihood (Patterson and Thompson, *Biometrika* 58, 1971) gives ``rho`` where
the best candidate is taken out. The weights are raised to ``TEMPER``: of so few values, and after
the best of many candidates was chosen, the likelihood of ``rho`` is much too sure of itself. The
gain is then put on the scale of twice a log-likelihood ratio, so that one threshold serves long
and short stretches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.stats.changes.model import LEAST_AFTER, LEAST_BEFORE
from harness.stats.changes.scanning import (
    largest,
    largest_mean,
    pair_gains,
    ramp_gains,
)
from harness.stats.changes.whitening import RHOS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from harness.stats.changes.scanning import Largest
    from harness.stats.changes.whitening import Whitened

    Values = NDArray[np.float64]

TEMPER: Final = 0.3
_TINY: Final = 1e-12
# What rounding may take from a bound.
_ROUNDED: Final = 1.0 + 1e-9


@dataclass(frozen=True, eq=False)
class Noise:
    """What is left where changes are taken out.

    ``weights`` and ``variances`` (of the whitened values) have one entry for each of ``RHOS``;
    ``free`` is how many values they rest on, less the parameters.
    """

    weights: Values
    variances: Values
    free: int

    @property
    def deviation(self) -> float:
        """The standard deviation of the values."""
        return float(np.sqrt(self.weights @ (self.variances / (1.0 - RHOS**2))))

    @property
    def rho(self) -> float:
        """The autocorrelation of neighbours."""
        return float(self.weights @ RHOS)

    def evidence(self, gains: Values) -> Values:
        """Twice the log-likelihood ratios that ``gains`` ``(rhos, candidates)`` are worth."""
        mean = self.weights @ (gains / self.variances[:, None])
        # Half a degree less: the mean of the logarithm of a chi-squared variable.
        scores: Values = (self.free - 0.5) * np.log1p(mean / self.free)
        return scores

    def losses(self, gains: Values, best: int) -> Values:
        """By how much twice the log-likelihoods of ``gains`` are less than that of ``best``."""
        more = self.weights @ ((gains[:, [best]] - gains) / self.variances[:, None])
        return np.asarray(self.free * np.log1p(np.maximum(more, 0.0) / self.free))

    def size(self, sizes: Values, inverse: Values) -> tuple[float, float]:
        """A size over all rho, and its standard error, in which they differ as well."""
        mean = float(self.weights @ sizes)
        variance = self.weights @ (self.variances * inverse + (sizes - mean) ** 2)
        return mean, float(np.sqrt(variance))


@dataclass(frozen=True, eq=False)
class Candidate:
    """The best of a kind: where, how strong, and how large.

    ``begins`` are the values at which levels begin (of a drift: its first increment and its last).
    ``sizes`` are in logs, with the standard errors ``errors``; ``losses`` is, of a step, how
    much less likely it is at every place (twice the logarithm), infinite where none may be.
    """

    evidence: float
    begins: tuple[int, ...]
    sizes: tuple[float, ...]
    errors: tuple[float, ...]
    noise: Noise
    losses: Values | None = None


@dataclass(frozen=True, eq=False)
class Beside:
    """The sums of stretches about levels of their own: ``rss`` and ``log_det``, for each rho."""

    rss: Values
    log_det: Values
    free: int

    @classmethod
    def of(cls, stretches: Sequence[Whitened]) -> Beside:
        """Those of ``stretches``, which may be none."""
        return cls(
            rss=sum((one.rss for one in stretches), np.zeros(RHOS.size)),
            log_det=sum((one.bank.log_det for one in stretches), np.zeros(RHOS.size)),
            free=sum(one.bank.count - 1 for one in stretches),
        )

    def noise(self) -> Noise:
        """The noise of them all."""
        return _noise(self.rss, self.log_det, self.free)


NOTHING: Final = Beside.of(())


def best_step(
    white: Whitened,
    beside: Beside = NOTHING,
    noise: Noise | None = None,
    *,
    least_before: int = LEAST_BEFORE,
) -> Candidate:
    """The strongest single step, with at least so many values before it.

    Its noise is what it leaves, of its stretch and of what lies ``beside`` it, if not given.
    """
    square = white.bank.square
    gains = white.moments**2 / square
    may = np.zeros(gains.shape[1], dtype=bool)
    may[least_before - 1 : gains.shape[1] + 1 - LEAST_AFTER] = True
    gains = np.where(may, gains, 0.0)
    best = gains.argmax(axis=1)
    rows = np.arange(RHOS.size)
    found = noise or _noise_about(
        white, beside, gains[rows, best], square[rows, best], parameters=2
    )
    scores = np.where(may, found.evidence(gains), 0.0)
    place = int(scores.argmax())
    losses = np.where(may, found.losses(gains, place), np.inf)
    size, error = found.size(white.moments[:, place] / square[:, place], 1 / square[:, place])
    return Candidate(float(scores[place]), (place + 1,), (size,), (error,), found, losses)


def best_drift(
    white: Whitened,
    beside: Beside = NOTHING,
    noise: Noise | None = None,
    *,
    least: float = -np.inf,
) -> Candidate | None:
    """The strongest ramp of at least ``LEAST_INCREMENTS``.

    None where there is no room for one, and where none has more evidence than ``least``.
    """
    bank = white.bank
    most = None if noise else largest(ramp_gains(white))
    if most:
        square = bank.ramp_square(most.first, most.last)
        noise = _noise_about(white, beside, most.gains, square, parameters=3)
    if noise is None or (most and not _may_exceed(least, noise, most)):
        return None
    best = largest_mean(ramp_gains(white), noise.weights / noise.variances)
    if best is None:
        return None
    first, last = best
    square = bank.ramp_square(first, last)
    moment = white.moments[:, first : last + 1].mean(axis=1)
    evidence = float(noise.evidence((moment**2 / square)[:, None])[0])
    size, error = noise.size(moment / square, 1 / square)
    return Candidate(evidence, (first + 1, last + 1), (size,), (error,), noise)


def best_pair(
    white: Whitened,
    beside: Beside = NOTHING,
    *,
    least_before: int = LEAST_BEFORE,
    least: float = -np.inf,
) -> Candidate | None:
    """The strongest two steps together.

    None where there is no room for them, and where none has more evidence than ``least``.
    """
    bank = white.bank
    most = largest(pair_gains(white, least_before))
    if most is None:
        return None
    det = bank.pair_det(most.first, most.last)
    noise = _noise_about(white, beside, most.gains, det, parameters=4)
    if not _may_exceed(least, noise, most):
        return None
    best = largest_mean(pair_gains(white, least_before), noise.weights / noise.variances)
    if best is None:
        return None
    first, last = best
    det = bank.pair_det(first, last)
    y, z = white.moments[:, first], white.moments[:, last]
    own, other = bank.square[:, first] / det, bank.square[:, last] / det
    cross = bank.product(first, last) / det
    gains = y * (y * other - 2.0 * z * cross) + z**2 * own
    evidence = float(noise.evidence(gains[:, None])[0])
    one, its_error = noise.size(y * other - z * cross, other)
    two, others_error = noise.size(z * own - y * cross, own)
    begins = (first + 1, last + 1)
    return Candidate(evidence, begins, (one, two), (its_error, others_error), noise)


def _may_exceed(least: float, noise: Noise, most: Largest) -> bool:
    """Whether a candidate may have more evidence than ``least``, were it the best for every rho."""
    return bool(noise.evidence(most.gains[:, None])[0] * _ROUNDED > least)


def _noise_about(
    white: Whitened, beside: Beside, gains: Values, square: Values, *, parameters: int
) -> Noise:
    """The noise that is left by the best candidate for each rho, of ``gains`` and ``square``."""
    left = np.maximum(white.rss - gains, _TINY * white.rss)
    log_det = white.bank.log_det - 0.5 * np.log(square)
    free = white.bank.count - parameters + beside.free
    return _noise(left + beside.rss, log_det + beside.log_det, free)


def _noise(rss: Values, log_det: Values, free: int) -> Noise:
    free = max(free, 1)
    logs = TEMPER * (log_det - 0.5 * free * np.log(rss))
    weights = np.exp(logs - logs.max())
    return Noise(weights / weights.sum(), rss / free, free)
