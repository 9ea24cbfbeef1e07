"""Simulate the stopping rule: coverage, even modes, and samples against nvbench's rule; and tails.

Run as ``make simulate``. Every figure comes from pseudo-random numbers with fixed seeds, none from
a clock; the same trials give the same figures on any number of processes.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import dependence
import numpy as np
import tables
from nvbench import MIN_TIME_S, TIMEOUT_S, stdrel_samples
from series import MODE_NOISE, Shape
from tables import Counts

from harness.measure.sampler import MAX_PASSES, block_length
from harness.stats.stopping import BIMODAL, Decision, MedianPrecision, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SEED = 20261123
SAMPLE_CAP = 20_000
CHUNK = 50
PROMISED = (
    *(Shape("gaussian", noise) for noise in (0.002, 0.01, 0.03)),
    *(Shape("log-normal", noise) for noise in (0.01, 0.03, 0.1)),
    *(Shape("bimodal", MODE_NOISE, weight) for weight in (0.1, 0.2, 0.3, 0.4, 0.45)),
    *(Shape("AR(1)", noise, rho) for rho in (0.3, 0.6) for noise in (0.003, 0.01, 0.03)),
)
BEYOND = tuple(Shape("AR(1)", noise, 0.9) for noise in (0.003, 0.01, 0.03))
BLOCKS = tuple(Shape("blocks", noise, shift) for noise, shift in ((0.01, 0.005), (0.003, 0.003)))
NEAR_EVEN = tuple(Shape("bimodal", MODE_NOISE, weight) for weight in (0.46, 0.47, 0.48, 0.49, 0.5))
GROUPS = {tables.PROMISED: (*PROMISED, *BLOCKS), tables.BEYOND: BEYOND, tables.NEAR_EVEN: NEAR_EVEN}
NOISES = (0.002, 0.005, 0.01, 0.03)
KERNELS_MS = (0.01, 0.1, 0.3, 0.8, 1.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write ``coverage``, ``samples`` and ``dependence``, .md and .json; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--trials", type=int, default=2000, help="series of each shape")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--dependence", action="store_true", help="write only that")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    trials = options.trials
    _write_dependence(options.out, trials)
    if options.dependence:
        return 0
    shapes = [(group, shape) for group, members in GROUPS.items() for shape in members]
    jobs = [
        (shape, start, min(CHUNK, trials - start))
        for _, shape in shapes
        for start in range(0, trials, CHUNK)
    ]
    kernels = [(max(4, trials // 20), noise, ms) for noise in NOISES for ms in KERNELS_MS]
    with ProcessPoolExecutor(options.processes) as pool:
        parts = list(pool.map(_coverage_chunk, jobs))
        against = list(pool.map(_against_nvbench, kernels))
    per_shape = len(parts) // len(shapes)
    coverage = [
        tables.coverage_row(group, shape, parts[index * per_shape : (index + 1) * per_shape])
        for index, (group, shape) in enumerate(shapes)
    ]
    settings = {"trials": trials, "sample_cap": SAMPLE_CAP, "seed": SEED}
    for name, rows, text in (
        ("coverage", coverage, tables.coverage_text(coverage, settings)),
        ("samples", against, tables.samples_text(against, settings)),
    ):
        document = {"simulated": True, **settings, "rows": rows}
        (options.out / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
        (options.out / f"{name}.md").write_text(text)
    missed = tables.missed_bars(coverage, against)
    sys.stdout.write("".join(f"missed: {line}\n" for line in missed) or "all bars are met\n")
    return 1 if missed else 0


def _write_dependence(out: Path, trials: int) -> None:
    designs = {
        f"{len(passes)} of the sampler, {sum(passes)} samples": passes
        for passes in (block_passes(373), block_passes(1137))
    }
    tails = dependence.tail_rows(trials, SEED, {**designs, **dependence.PACED})
    misses = dependence.miss_rows(trials, SEED)
    settings = {"trials": trials, "seed": SEED}
    document = {"simulated": True, **settings, "tails": tails, "misses": misses}
    (out / "dependence.json").write_text(json.dumps(document, indent=1) + "\n")
    text = dependence.dependence_text(tails, misses, settings)
    (out / "dependence.md").write_text(text)


def run_rule(series: NDArray[np.float64]) -> Decision:
    """What the default rule makes of a series that it may take samples of until there are none.

    The samples come in the blocks that the sampler takes them in.
    """
    rule = MedianPrecision()
    passes = block_passes(int(series.size))
    taken = np.cumsum(passes)
    look = rule.next_look(0)
    while True:
        blocks = passes[: int(np.searchsorted(taken, look)) + 1]
        decision = rule.decide(series[:look], blocks)
        if decision.status is not Status.GO_ON or (look := rule.next_look(look)) > series.size:
            return rule.give_up(decision, "samples")


@functools.cache
def block_passes(count: int) -> tuple[int, ...]:
    """The blocks that the sampler takes about ``count`` samples in, where none is cut by time."""
    rule = MedianPrecision()
    passes: list[int] = []
    taken = 0
    while taken < count:
        passes.append(block_length(taken, rule.next_look(taken), MAX_PASSES))
        taken += passes[-1]
    return tuple(passes)


def _coverage_chunk(job: tuple[Shape, int, int]) -> Counts:
    shape, start, trials = job
    converged = covered = bimodal = 0
    samples = []
    median = shape.median
    for trial in range(start, start + trials):
        rng = np.random.default_rng([SEED, zlib.crc32(str(shape).encode()), trial])
        decision = run_rule(shape.draw(rng, SAMPLE_CAP, block_passes(SAMPLE_CAP)))
        samples.append(decision.estimate.count)
        if decision.status is Status.CONVERGED:
            converged += 1
            covered += decision.estimate.lower <= median <= decision.estimate.upper
        elif decision.reason == BIMODAL:
            bimodal += 1
    return Counts(trials, converged, covered, bimodal, tuple(samples))


def _against_nvbench(job: tuple[int, float, float]) -> dict[str, float]:
    """Both rules on the same gaussian series, of one noise and kernel time."""
    trials, noise, kernel_ms = job
    kernel_s = kernel_ms / 1000.0
    # Enough for either rule almost always, and more than the timeout allows.
    first = max(5000, math.ceil(1.1 * MIN_TIME_S / kernel_s))
    most = math.ceil(1.05 * TIMEOUT_S / kernel_s)
    ours, theirs = [], []
    for trial in range(trials):
        seed = [SEED, round(1e6 * noise), round(1e6 * kernel_ms), trial]
        # A longer series begins with the shorter one of the same seed.
        for count in (first, most):
            rng = np.random.default_rng(seed)
            latency_s = kernel_s * Shape("gaussian", noise).draw(rng, count)
            taken = stdrel_samples(latency_s)
            if taken is not None:
                break
        else:
            raise RuntimeError("nvbench's rule did not end at its timeout")
        theirs.append(taken)
        ours.append(run_rule(latency_s).estimate.count)
    return {
        "noise": noise,
        "kernel_ms": kernel_ms,
        "trials": trials,
        "samples": float(np.mean(ours)),
        "samples_nvbench": float(np.mean(theirs)),
        "ratio": float(np.mean(ours) / np.mean(theirs)),
    }


if __name__ == "__main__":
    sys.exit(main())
