"""How often the interval of a history's slope holds the true one, and how wide it is.

``trend.py FOLDER [--trials N]`` writes ``trend.json`` and ``trend.md`` there.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
from scipy.stats import beta

from harness.stats.trend import fit_slope

SEED = 20261128
# Shares of the latency: the noise of a commit, and the true slope a commit.
NOISE, SLOPE = 0.01, 0.001
COMMITS = (10, 20, 50)
OUTLIERS = 0.05
SHAPES = {"gaussian": 0.0, "with outliers": 0.0, "AR(1), 0.3": 0.3, "AR(1), 0.6": 0.6}


def draw(shape: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """A history of ``count`` commits around 1, with the slope."""
    noise = rng.standard_normal(count)
    if shape == "with outliers":
        noise += (rng.random(count) < OUTLIERS) * rng.uniform(5.0, 20.0, count)
    rho = SHAPES[shape]
    for i in range(1, count):
        noise[i] = rho * noise[i - 1] + math.sqrt(1.0 - rho * rho) * noise[i]
    return 1.0 + SLOPE * np.arange(count) + NOISE * noise


def simulate(shape: str, count: int, trials: int) -> dict[str, object]:
    rng = np.random.default_rng([SEED, count, [*SHAPES].index(shape)])
    held, widths = 0, []
    for _ in range(trials):
        found = fit_slope(range(count), draw(shape, count, rng))
        assert found is not None
        held += found.lower <= SLOPE <= found.upper
        widths.append(found.upper - found.lower)
    lower = float(beta.ppf(0.025, held, trials - held + 1)) if held else 0.0
    upper = float(beta.ppf(0.975, held + 1, trials - held)) if held < trials else 1.0
    return {
        "shape": shape,
        "commits": count,
        "trials": trials,
        "held": held,
        "lower": lower,
        "upper": upper,
        "median_width": float(np.median(widths)),
    }


def tabled(rows: list[dict[str, object]]) -> str:
    lines = [
        "# The interval of a history's slope",
        "",
        "**Simulated**: pseudo-random numbers. Made by `make simulate`.",
        "",
        f"Histories with {NOISE:.0%} of noise and a rise of {SLOPE:.1%} a commit, seed {SEED}:",
        "how often the 95 % interval of `harness budget` held that slope (with the 95 % interval",
        "of the rate), and its median width in % of the latency a commit. Outliers: one commit in",
        "20, by 5 to 20 %. AR(1): successive commits are alike by so much.",
        "",
        "| noise | commits | histories | held | 95 % of that | width |",
        "|---|--:|--:|--:|---|--:|",
    ]
    for row in rows:
        rate = 100.0 * int(str(row["held"])) / int(str(row["trials"]))
        bounds = " to ".join(f"{100.0 * float(str(row[end])):.1f}" for end in ("lower", "upper"))
        width = 100.0 * float(str(row["median_width"]))
        names = f"| {row['shape']} | {row['commits']} | {row['trials']} |"
        lines.append(f"{names} {rate:.1f} % | {bounds} | {width:.3f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=4000)
    asked = parser.parse_args()
    rows = [simulate(shape, count, asked.trials) for shape in SHAPES for count in COMMITS]
    asked.folder.mkdir(parents=True, exist_ok=True)
    document = {"simulated": True, "seed": SEED, "rows": rows}
    (asked.folder / "trend.json").write_text(json.dumps(document, indent=1) + "\n")
    (asked.folder / "trend.md").write_text(tabled(rows))
    print(tabled(rows))  # noqa: T201  # a script


if __name__ == "__main__":
    main()
