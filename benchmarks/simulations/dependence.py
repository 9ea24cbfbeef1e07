"""Simulate what depends on what came before: a p99 in blocks, and deadlines missed in runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri
from tables import HEAD, clopper_pearson, rate

from harness.stats.autocorrelation import CorrelatedSeries
from harness.stats.proportions import independent_trials, upper_bound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

QUANTILE, CONFIDENCE = 0.99, 0.95
LEVELS = (0.0, 0.3, 0.5, 1.0)
# Chunks of a paced run by its defaults, at 0.1 s a chunk, and half as many again and again.
PACED = {"8 blocks of 50": (50,) * 8, "20 blocks of 50": (50,) * 20}
RATES = (0.005, 0.01, 0.02, 0.05, 0.2)
LENGTHS = (1.0, 2.0, 5.0)


def tail_rows(trials: int, seed: int, designs: Mapping[str, Sequence[int]]) -> list[dict[str, Any]]:
    """Coverage of the p99's interval in blocks whose levels differ, by both rules."""
    rows = []
    for name, passes in designs.items():
        for level in LEVELS:
            truth = math.hypot(1.0, level) * float(ndtri(QUANTILE))
            found = {"neighbours": 0, "covered": 0, "bounded_by_neighbours": 0, "bounded": 0}
            for trial in range(trials):
                series = _blocks(np.random.default_rng([seed, trial]), passes, level)
                alone = CorrelatedSeries.of(series).estimate(QUANTILE, CONFIDENCE)
                ours = CorrelatedSeries.of(series, passes).estimate(QUANTILE, CONFIDENCE)
                found["neighbours"] += alone.lower <= truth <= alone.upper
                found["covered"] += ours.lower <= truth <= ours.upper
                found["bounded_by_neighbours"] += alone.is_finite
                found["bounded"] += ours.is_finite
            rows.append({"blocks": name, "level": level, "trials": trials, **found})
    return rows


def miss_rows(trials: int, seed: int) -> list[dict[str, Any]]:
    """How often the 95 % bound of missed deadlines holds their rate, by both rules."""
    rows = []
    for name, passes in PACED.items():
        for true_rate in RATES:
            for length in LENGTHS:
                found: dict[str, float] = {"as_independent": 0, "held": 0, "bound": 0.0}
                for trial in range(trials):
                    rng = np.random.default_rng([seed, trial])
                    missed = _runs(rng, sum(passes), true_rate, length)
                    count, total = sum(missed), len(missed)
                    found["as_independent"] += upper_bound(count, total) >= true_rate
                    bound = upper_bound(count, total, worth=independent_trials(missed, passes))
                    found["held"] += bound >= true_rate
                    found["bound"] += bound / trials
                row = {"blocks": name, "rate": true_rate, "length": length, "trials": trials}
                rows.append({**row, **found})
    return rows


def _blocks(rng: np.random.Generator, passes: Sequence[int], level: float) -> NDArray[np.float64]:
    levels = np.repeat(rng.standard_normal(len(passes)), passes)
    return np.asarray(level * levels + rng.standard_normal(sum(passes)))


def _runs(rng: np.random.Generator, count: int, true_rate: float, length: float) -> list[bool]:
    """Misses that come at ``true_rate``, in runs of ``length`` in the mean: a Markov chain."""
    draws = rng.random(count)
    if length <= 1.0:
        return [bool(draw < true_rate) for draw in draws]
    begins = true_rate / length / (1.0 - true_rate)
    found = [bool(draws[0] < true_rate)]
    for draw in draws[1:]:
        found.append(bool(draw >= 1.0 / length) if found[-1] else bool(draw < begins))
    return found


def dependence_text(
    tails: Sequence[dict[str, Any]], misses: Sequence[dict[str, Any]], settings: Mapping[str, int]
) -> str:
    """Both as Markdown."""
    lines = [
        "# What depends on what came before",
        "",
        HEAD,
        "",
        f"{settings['trials']} series each, seed {settings['seed']}. In brackets the 95 %",
        "Clopper-Pearson interval.",
        "",
        "## The 95 % interval of a p99 in blocks with levels of their own",
        "",
        "Gaussian noise; `level` is the standard deviation of the levels over that of the noise.",
        "Coverage by the correlation of neighbours alone, and with that of the blocks, which is",
        "what budgets, tables and the rule take; and how many series have both bounds. An interval",
        "without an upper bound covers from its lower one on.",
        "",
        "| blocks | level | by neighbours | with blocks | bounded, by neighbours | with blocks |",
        "|---|---|---|---|---|---|",
        *(_tail_line(row) for row in tails),
        "",
        "## The 95 % upper bound of missed deadlines",
        "",
        "Misses in runs of `length` chunks in the mean, at `rate`. How often the bound holds the",
        "rate: with misses as independent, and by the independent chunks that they are worth; and",
        "the mean of that bound. Where few misses are seen, or none, nothing tells that they come",
        "together: at low rates neither holds what it promises.",
        "",
        "| chunks | rate | length | as independent | by what they are worth | mean bound |",
        "|---|---|---|---|---|---|",
        *(_miss_line(row) for row in misses),
    ]
    return "\n".join(lines) + "\n"


def _share(count: int, trials: int) -> str:
    return rate(count / trials, clopper_pearson(count, trials))


def _tail_line(row: Mapping[str, Any]) -> str:
    covered = [_share(row[name], row["trials"]) for name in ("neighbours", "covered")]
    bounded = [
        f"{100.0 * row[name] / row['trials']:.1f} %"
        for name in ("bounded_by_neighbours", "bounded")
    ]
    return f"| {row['blocks']} | {row['level']:g} | {' | '.join((*covered, *bounded))} |"


def _miss_line(row: Mapping[str, Any]) -> str:
    held = [_share(row[name], row["trials"]) for name in ("as_independent", "held")]
    label = f"{row['blocks']} | {100.0 * row['rate']:g} % | {row['length']:g}"
    return f"| {label} | {' | '.join(held)} | {100.0 * row['bound']:.2f} % |"
