"""How much of a latency's variation lies within a process, between processes, between builds.

The model is nested, on logarithms, so that everything is relative: build + process + sample. Mean
squares are taken apart as in a nested analysis of variance (Searle, Casella & McCulloch, *Variance
Components*, 1992, section 3.6), with each process's median in the place of its mean: latencies have
long tails. A standard deviation of logarithms is a coefficient of variation while it is small.

A process now and then runs by percents off all others, for good: memory that landed elsewhere. One
such process would be most of the variance, so odd ones are told apart, and counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import betaincinv, chdtri

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

CONFIDENCE: Final = 0.95
# A process is odd where its median is off those of its build by more than both.
ODD_SHARE: Final = 0.003
_ODD_SDS: Final = 5.0
# With fewer of them nobody can tell which is the odd one.
MIN_FOR_ODD: Final = 5
# Of normally distributed values: a standard deviation is this many median absolute deviations, and
# a median's variance this many times a mean's.
_MAD_TO_SD: Final = 1.4826
_MEDIAN_VARIANCE: Final = math.pi / 2.0


@dataclass(frozen=True)
class Spread:
    """A standard deviation of logarithms, with its 95 % interval; ``robust_sd`` by medians alone.

    The interval is that of the mean square (chi-square), less what the levels below add to it: an
    approximation, which is 0 at its lower end where nothing shows.
    """

    sd: float
    lower: float
    upper: float
    robust_sd: float


@dataclass(frozen=True)
class Share:
    """``count`` of ``total``, and the 95 % interval of the rate (Clopper & Pearson, 1934)."""

    count: int
    total: int
    lower: float
    upper: float

    @property
    def rate(self) -> float:
        """The share itself."""
        return self.count / self.total


@dataclass(frozen=True)
class Components:
    """What the latencies of several processes, of one or more builds, vary by.

    ``median_s`` is the median of the processes' medians. ``within`` is the standard deviation of
    logarithms within a process, by its median absolute deviation, at the median over processes.
    ``process`` and ``build`` leave odd processes out; None where there are too few to tell.
    ``odd`` holds the numbers of the odd ones, ``odd_share`` their rate (None with fewer than
    :data:`MIN_FOR_ODD` processes of every build), and ``near`` how many medians lie within 0.3 %
    of that of their build.
    """

    processes: int
    builds: int
    median_s: float
    within: float
    process: Spread | None
    build: Spread | None
    odd: tuple[int, ...]
    odd_share: Share | None
    near: Share


@dataclass(frozen=True)
class Sampled:
    """The latencies (seconds) of one process, the number of the process and that of its build."""

    process: int
    build: int
    latency_s: Sequence[float]


def share_of(count: int, total: int, confidence: float = CONFIDENCE) -> Share:
    """``count`` of ``total`` with the exact interval of the rate.

    Raises:
        ValueError: it is no share.
    """
    if not 0 <= count <= total or total < 1:
        message = f"{count} of {total} is no share"
        raise ValueError(message)
    tail = (1.0 - confidence) / 2.0
    lower = 0.0 if count == 0 else float(betaincinv(count, total - count + 1, tail))
    upper = 1.0 if count == total else float(betaincinv(count + 1, total - count, 1.0 - tail))
    return Share(count, total, lower, upper)


def components_of(sampled: Sequence[Sampled]) -> Components:
    """Take the variation of ``sampled`` apart.

    Raises:
        ValueError: there is no process, or one without samples or with one that is not positive.
    """
    if not sampled:
        message = "there is no process"
        raise ValueError(message)
    logs = {one.process: _logarithms(one.latency_s) for one in sampled}
    medians = {number: float(np.median(values)) for number, values in logs.items()}
    builds: dict[int, list[int]] = {}
    for one in sampled:
        builds.setdefault(one.build, []).append(one.process)
    offsets = {
        number: medians[number] - float(np.median([medians[other] for other in its]))
        for its in builds.values()
        for number in its
    }
    odd = _odd(builds, offsets)
    kept = {
        build: [medians[number] for number in its if number not in odd]
        for build, its in builds.items()
    }
    # What a median of so many samples varies by, though nothing but the samples varied.
    within = {number: _robust_sd(values) for number, values in logs.items()}
    noise = float(
        np.mean([_MEDIAN_VARIANCE * within[n] ** 2 / logs[n].size for n in logs if n not in odd])
    )
    process = _between_processes(kept, noise)
    can_tell = any(len(its) >= MIN_FOR_ODD for its in builds.values())
    return Components(
        processes=len(medians),
        builds=len(builds),
        median_s=math.exp(float(np.median(list(medians.values())))),
        within=float(np.median(list(within.values()))),
        process=process,
        build=_between_builds(kept, noise if process is None else process.sd**2 + noise),
        odd=odd,
        odd_share=share_of(len(odd), len(medians)) if can_tell else None,
        near=share_of(
            sum(abs(offset) <= math.log1p(ODD_SHARE) for offset in offsets.values()), len(offsets)
        ),
    )


def _logarithms(latency_s: Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(latency_s, dtype=np.float64)
    if values.size == 0 or not np.isfinite(values).all() or not (values > 0.0).all():
        message = "a process needs samples, all of them positive and finite"
        raise ValueError(message)
    return np.log(values)


def _robust_sd(values: NDArray[np.float64]) -> float:
    return _MAD_TO_SD * float(np.median(np.abs(values - np.median(values))))


def _odd(builds: Mapping[int, Sequence[int]], offsets: Mapping[int, float]) -> tuple[int, ...]:
    found = []
    for its in builds.values():
        if len(its) < MIN_FOR_ODD:
            continue
        sd = _robust_sd(np.asarray([offsets[number] for number in its]))
        limit = max(math.log1p(ODD_SHARE), _ODD_SDS * sd)
        found += [number for number in its if abs(offsets[number]) > limit]
    return tuple(sorted(found))


def _between_processes(kept: Mapping[int, Sequence[float]], noise: float) -> Spread | None:
    """The spread of medians about their build's mean, less ``noise``, that of a median itself."""
    freedom = sum(len(medians) - 1 for medians in kept.values())
    if freedom < 1:
        return None
    residuals = np.concatenate([np.asarray(m) - np.mean(m) for m in kept.values()])
    mean_square = float(np.sum(residuals**2)) / freedom
    centred = np.concatenate([np.asarray(m) - np.median(m) for m in kept.values() if len(m) > 1])
    return _spread(mean_square, freedom, noise, 1.0, _robust_sd(centred))


def _between_builds(kept: Mapping[int, Sequence[float]], of_process: float) -> Spread | None:
    """The spread of the builds' means, less what the processes add: ``of_process`` for each."""
    if len(kept) < 2:  # noqa: PLR2004
        return None
    means = np.asarray([np.mean(medians) for medians in kept.values()])
    # The harmonic mean, where some builds lack processes.
    count = len(kept) / sum(1.0 / len(medians) for medians in kept.values())
    return _spread(
        float(np.var(means, ddof=1)), len(kept) - 1, of_process, count, _robust_sd(means)
    )


def _spread(
    mean_square: float, freedom: int, below: float, count: float, robust_sd: float
) -> Spread:
    """The standard deviation of a level; each of its values is of ``count`` of the level below."""
    tail = (1.0 - CONFIDENCE) / 2.0
    lowest = mean_square * freedom / float(chdtri(freedom, tail))
    highest = mean_square * freedom / float(chdtri(freedom, 1.0 - tail))
    sd, lower, upper = (
        math.sqrt(max(0.0, square - below / count)) for square in (mean_square, lowest, highest)
    )
    robust = math.sqrt(max(0.0, robust_sd**2 - below / count))
    return Spread(sd=sd, lower=lower, upper=upper, robust_sd=robust)
