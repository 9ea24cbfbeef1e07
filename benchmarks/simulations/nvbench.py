"""nvbench's default stopping rule, ``stdrel``, on latencies that are all drawn beforehand.

After ``nvbench/detail/stdrel_criterion.cxx``, ``measure_cold.cu`` and ``benchmark_base.cuh`` of
NVIDIA/nvbench at commit 66212f1 (August 2026): at least 10 samples and more than 0.5 s of measured
time, and then either a relative standard deviation below 0.5 %, or, every 16th sample, one that is
stable: over the last 512 samples (more than 64) its own relative standard deviation is below 5 %.
The 15 s timeout is held against the measured time alone, which lets nvbench take more samples than
it would with its overhead counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_NOISE = 0.005
MIN_TIME_S = 0.5
MIN_SAMPLES = 10
TIMEOUT_S = 15.0
_FEWEST_FOR_NOISE = 5
_WINDOW = 512
_MIN_WINDOW = 64
_CHECK_EVERY = 16
_STABLE = 0.05


def stdrel_samples(latency_s: NDArray[np.float64]) -> int | None:
    """How many samples nvbench would take; None if it would go on after the last.

    Args:
        latency_s: positive latencies in seconds, of shape ``(n,)``.
    """
    counts = np.arange(1, latency_s.size + 1)
    total_s = np.cumsum(latency_s)
    mean_s = total_s / counts
    # About a value close to the mean, so that the squares do not cancel.
    shifted = latency_s - latency_s[0]
    shifted_mean = np.cumsum(shifted) / counts
    variance = np.maximum(np.cumsum(shifted**2) / counts - shifted_mean**2, 0.0)
    noise = np.sqrt(variance * counts / np.maximum(counts - 1, 1)) / mean_s
    late = (total_s > MIN_TIME_S) & (counts >= _FEWEST_FOR_NOISE)
    done = late & ((noise < MAX_NOISE) | _is_stable(noise, counts))
    ends = np.flatnonzero(((counts >= MIN_SAMPLES) & done) | (total_s > TIMEOUT_S))
    return int(counts[ends[0]]) if ends.size else None


def _is_stable(noise: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the noise estimates of the last window vary little, where nvbench would look."""
    start = _FEWEST_FOR_NOISE - 1
    # Estimates 0 .. k - 1 summed, from the first that there is.
    estimates = np.where(counts > start, noise, 0.0)
    first = np.concatenate(([0.0], np.cumsum(estimates)))
    second = np.concatenate(([0.0], np.cumsum(estimates**2)))
    since = np.maximum(counts - _WINDOW, start)
    held = np.maximum(counts - since, 1)
    mean = (first[counts] - first[since]) / held
    variance = (second[counts] - second[since]) / held - mean**2
    looks = (counts % _CHECK_EVERY == 0) & (held > _MIN_WINDOW)
    stable: NDArray[np.bool_] = looks & (variance < (_STABLE * mean) ** 2)
    return stable
