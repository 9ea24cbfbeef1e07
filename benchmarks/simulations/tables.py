"""Rows, tables and bars of the simulations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import betaincinv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from series import Shape

PROMISED = "promised"
BEYOND = "beyond what is promised"
NEAR_EVEN = "near even"

# The bars.
LEAST_COVERAGE = 0.97
LARGEST_RATIO = 0.2
LARGEST_NOISE = 0.01

HEAD = "**Simulated**: pseudo-random numbers, no device and no clock. Made by `make simulate`."


@dataclass(frozen=True)
class Counts:
    """How some trials of one shape ended, and the samples that each took."""

    trials: int
    converged: int
    covered: int
    bimodal: int
    samples: tuple[int, ...]


def clopper_pearson(successes: int, trials: int) -> tuple[float, float]:
    """The exact two-sided 95 % interval of a rate (Clopper and Pearson, Biometrika 26, 1934)."""
    if trials == 0:
        return 0.0, 1.0
    failures = trials - successes
    lower = betaincinv(successes, failures + 1, 0.025) if successes else 0.0
    upper = betaincinv(successes + 1, failures, 0.975) if failures else 1.0
    return float(lower), float(upper)


def coverage_row(group: str, shape: Shape, parts: Sequence[Counts]) -> dict[str, Any]:
    """All parts of one shape together, each rate with its bounds."""
    trials = sum(part.trials for part in parts)
    converged = sum(part.converged for part in parts)
    covered = sum(part.covered for part in parts)
    bimodal = sum(part.bimodal for part in parts)
    samples = np.concatenate([part.samples for part in parts])
    return {
        "group": group,
        "shape": str(shape),
        "trials": trials,
        "converged": converged,
        "covered": covered,
        "bimodal": bimodal,
        "coverage": covered / converged if converged else None,
        "coverage_bounds": clopper_pearson(covered, converged),
        "bimodal_bounds": clopper_pearson(bimodal, trials),
        "median_samples": float(np.median(samples)),
        "p95_samples": float(np.quantile(samples, 0.95)),
    }


def coverage_text(rows: Sequence[dict[str, Any]], settings: dict[str, int]) -> str:
    """The coverage as Markdown."""
    lines = [
        "# Coverage of the median's interval where the rule stops",
        "",
        HEAD,
        "",
        f"`MedianPrecision()` at its defaults, {settings['trials']} series of each shape, at most",
        f"{settings['sample_cap']} samples, seed {settings['seed']}.",
        "Coverage: of the series that converged, how many have an interval that holds the true",
        "median. Bimodal: how many of all end `inconclusive: bimodal`; what is left ran out of",
        "samples. In brackets the 95 % Clopper-Pearson interval.",
    ]
    for group in dict.fromkeys(row["group"] for row in rows):
        lines += ["", f"## {group.capitalize()}", ""]
        lines += ["| shape | converged | coverage | bimodal | samples, median | p95 |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += [_coverage_line(row) for row in rows if row["group"] == group]
    return "\n".join(lines) + "\n"


def _coverage_line(row: dict[str, Any]) -> str:
    coverage = "none converged"
    if row["coverage"] is not None:
        coverage = rate(row["coverage"], row["coverage_bounds"])
    bimodal = rate(row["bimodal"] / row["trials"], row["bimodal_bounds"])
    converged = f"{100.0 * row['converged'] / row['trials']:.1f} %"
    samples = f"{row['median_samples']:.0f} | {row['p95_samples']:.0f}"
    return f"| {row['shape']} | {converged} | {coverage} | {bimodal} | {samples} |"


def rate(found: float, bounds: tuple[float, float]) -> str:
    """A rate and its bounds in %."""
    return f"{100.0 * found:.2f} % ({100.0 * bounds[0]:.2f} to {100.0 * bounds[1]:.2f})"


def samples_text(rows: Sequence[dict[str, float]], settings: dict[str, int]) -> str:
    """The samples against nvbench's as Markdown."""
    lines = [
        "# Samples for ±0.5 % of the median, against nvbench's stdrel rule",
        "",
        HEAD,
        "",
        "`MedianPrecision()` and nvbench's rule, both at their defaults, on the same gaussian",
        f"series, seed {settings['seed']}. Means over the series of a row. nvbench stops on",
        "dispersion and 0.5 s of measured time, not on precision; its 15 s timeout is held against",
        "the kernels' time alone.",
        "",
        "| noise | kernel | series | samples | nvbench's | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        label = f"{100.0 * row['noise']:g} % | {row['kernel_ms']:g} ms | {row['trials']}"
        counts = f"{row['samples']:.1f} | {row['samples_nvbench']:.1f}"
        lines.append(f"| {label} | {counts} | {row['ratio']:.4f} |")
    return "\n".join(lines) + "\n"


def missed_bars(
    coverage: Sequence[dict[str, Any]], against: Sequence[dict[str, float]]
) -> list[str]:
    """What falls short: coverage with its lower bound, and samples up to 1 % noise."""
    missed = [
        f"{row['shape']}: coverage {row['covered']} of {row['converged']}"
        for row in coverage
        if row["group"] == PROMISED and row["coverage_bounds"][0] < LEAST_COVERAGE
    ]
    missed += [
        f"noise {row['noise']:g}, {row['kernel_ms']:g} ms: ratio {row['ratio']:.3f}"
        for row in against
        if row["noise"] <= LARGEST_NOISE and row["ratio"] > LARGEST_RATIO
    ]
    return missed
