"""Simulate A/Bs: false alarms, slowdowns found and pairs taken, from an H200's own processes.

Run as part of ``make simulate``. The processes of ``reports/examples/h200/processes.parquet`` are
drawn again and again, and within each its samples in blocks; noise that dwarfs the margin comes
from pseudo-random numbers. Seeds are fixed, and no clock is read.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pairs_tables import missed_bars, pairs_text

from harness.stats.families import discoveries
from harness.stats.overhead import is_on
from harness.stats.pairs import PairRule, PairStatus, judge_pairs, judge_unpaired
from harness.stats.ranks import hodges_lehmann
from harness.store.parquet import read_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

SEED = 20261128
RECORD = Path(__file__).parents[2] / "reports" / "examples" / "h200" / "processes.parquet"
RULE = PairRule()
MOST = RULE.looks[-1]
SLOWDOWN = 0.005
# An odd process: as often, and as far off, as the flow decoder's on an H200.
ODD_RATE, ODD_SHIFT = 1 / 13, math.log1p(-0.017)
# Samples of a process hang together: they are drawn again in blocks of so many.
BLOCK = 64
BANK = 200
STEPS = 60
NOISE = 0.05
DRIFT = 0.01
RUNS = (5, 13, 31)
# So many series of a table; as many trials would take hours.
SERIES = 8
FEWER = 10

if TYPE_CHECKING:
    # The logarithms of both sides' process medians, in pairs.
    Sides = tuple[NDArray[np.float64], NDArray[np.float64]]
    Draw = Callable[[np.random.Generator], Sides]
    Judge = Callable[[NDArray[np.float64], NDArray[np.float64]], PairStatus]


@dataclass(frozen=True)
class Pool:
    """The processes of one component: medians (logarithms) of their samples, drawn again.

    ``bank`` has one row for each process. ``step`` is that of the slowdowns which are tried.
    """

    name: str
    bank: NDArray[np.float64]
    step: float
    odd_rate: float = 0.0

    def draw(self, rng: np.random.Generator) -> Sides:
        """As many processes of both sides as the rule takes at most."""
        shape = (2, MOST)
        rows = rng.integers(len(self.bank), size=shape)
        medians = self.bank[rows, rng.integers(self.bank.shape[1], size=shape)]
        medians = medians + ODD_SHIFT * (rng.random(shape) < self.odd_rate)
        return medians[0], medians[1]


def by_rule(base_s: NDArray[np.float64], head_s: NDArray[np.float64]) -> PairStatus:
    """What the rule says."""
    return judge_pairs(base_s, head_s, RULE).status


def by_each_look(base_s: NDArray[np.float64], head_s: NDArray[np.float64]) -> PairStatus:
    """What it would say if each look erred by alpha alone, and every pair counted."""
    _, lower, upper = hodges_lehmann(np.log(head_s / base_s), 1.0 - RULE.alpha)
    margin = math.log1p(RULE.margin)
    if lower > margin:
        return PairStatus.SLOWER
    if upper < -margin:
        return PairStatus.FASTER
    is_same = -margin <= lower and upper <= margin
    return PairStatus.SAME if is_same else PairStatus.INCONCLUSIVE


JUDGES = {"ours": by_rule, "each look": by_each_look}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write ``pairs.md`` and ``pairs.json``; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--trials", type=int, default=10_000, help="A/Bs of each row")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    trials = options.trials
    measured = read_pools(RECORD)
    odd = [Pool(f"{p.name}, 1 in 13 odd", p.bank, p.step, ODD_RATE) for p in measured[:2]]
    pools = [*measured[:2], *odd]
    document = {
        "simulated": True,
        "seed": SEED,
        "trials": trials,
        "rule": {"margin": RULE.margin, "alpha": RULE.alpha, "looks": RULE.looks},
        "pools": [
            {
                "pool": pool.name,
                "slowdown": slowdown,
                "rule": name,
                **grown(pool.draw, pool.name, trials, judge, slowdown),
            }
            for pool in pools
            for slowdown in (0.0, SLOWDOWN)
            for name, judge in JUDGES.items()
        ],
        "smallest": [smallest(pool, trials) for pool in (*pools, *measured[2:])],
        "noise": [
            {"noise": name, "rule": rule, **grown(draw, name, trials, judge)}
            for name, draw in noises()
            for rule, judge in JUDGES.items()
        ],
        "tables": [in_a_table(measured[:2], slow, max(2, trials // FEWER)) for slow in range(2)],
        "unpaired": [row for pool in pools for row in unpaired(pool, trials)],
    }
    (options.out / "pairs.json").write_text(json.dumps(document, indent=1) + "\n")
    (options.out / "pairs.md").write_text(pairs_text(document))
    missed = missed_bars(document)
    sys.stdout.write("".join(f"missed: {line}\n" for line in missed) or "all bars are met\n")
    return 1 if missed else 0


def read_pools(path: Path) -> list[Pool]:
    """Those of the components, then that of the CPU's canary, whose noise is ten times theirs."""
    record = read_record(path)
    pools = []
    for component, route, step in (
        ("content_encoder", "flag", 0.0001),
        ("vocoder", "flag", 0.0001),
        ("canary", "cpu-1", 0.001),
    ):
        processes = [
            measurement.latency_s
            for measurement in record.measurements
            if (measurement.component, measurement.route) == (component, route)
        ]
        rng = np.random.default_rng([SEED, len(pools)])
        bank = np.array([_medians_again(np.asarray(latency_s), rng) for latency_s in processes])
        pools.append(Pool(component, bank, step))
    return pools


def _medians_again(latency_s: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Medians, in logarithms, of the samples drawn again in blocks that go round at the end."""
    count = len(latency_s)
    starts = rng.integers(count, size=(BANK, math.ceil(count / BLOCK)))
    places = (starts[:, :, None] + np.arange(BLOCK)).reshape(BANK, -1)[:, :count] % count
    return np.log(np.median(latency_s[places], axis=1))


def grown(
    draw: Draw, name: str, trials: int, judge: Judge = by_rule, slowdown: float = 0.0
) -> dict[str, Any]:
    """How ``trials`` A/Bs end that grow until they are conclusive, and how many pairs they take."""
    ends = dict.fromkeys((status.value for status in PairStatus), 0)
    pairs = []
    for rng in _generators(name, trials):
        base, head = draw(rng)
        base_s, head_s = np.exp(base), np.exp(head + math.log1p(slowdown))
        for look in RULE.looks:
            status = judge(base_s[:look], head_s[:look])
            if status is not PairStatus.INCONCLUSIVE:
                break
        ends[status.value] += 1
        pairs.append(look)
    p90 = float(np.quantile(pairs, 0.9))
    return {"trials": trials, **ends, "mean_pairs": float(np.mean(pairs)), "p90_pairs": p90}


def smallest(pool: Pool, trials: int) -> dict[str, Any]:
    """The smallest slowdown of a grid that is found in 95 % of A/Bs, and all rates.

    A slowdown moves both ends of every interval by its logarithm, and which process is odd does not
    depend on it.
    """
    ends = np.empty((2, trials, len(RULE.looks)))
    for trial, rng in enumerate(_generators(f"smallest {pool.name}", trials)):
        base, head = np.exp(pool.draw(rng))
        for place, look in enumerate(RULE.looks):
            verdict = judge_pairs(base[:look], head[:look], RULE)
            ends[:, trial, place] = np.log(np.maximum((verdict.lower, verdict.upper), 1e-300))
    margin = math.log1p(RULE.margin)
    found = []
    for slowdown in pool.step * np.arange(1, STEPS * 2 + 1):
        lower, upper = ends + math.log1p(slowdown)
        decided = (lower > margin) | (upper < -margin) | ((lower >= -margin) & (upper <= margin))
        first = decided.argmax(axis=1)
        at_first = lower[np.arange(trials), first] > margin
        found.append({"slowdown": float(slowdown), "found": int(np.count_nonzero(at_first))})
    enough = next((row for row in found if row["found"] >= 0.95 * trials), None)
    sd = float(np.std(np.median(pool.bank, axis=1), ddof=1))
    return {"pool": pool.name, "process_sd": sd, "trials": trials, "least": enough, "rates": found}


def noises() -> Iterator[tuple[str, Draw]]:
    """Equal sides whose noise dwarfs the margin, so that nothing but the error shows."""
    yield "gaussian", lambda rng: _apart(rng.standard_normal((2, MOST)))
    yield (
        "gaussian, 1 in 13 odd",
        lambda rng: _apart(
            rng.standard_normal((2, MOST)) + 6.0 * (rng.random((2, MOST)) < ODD_RATE)
        ),
    )
    yield "Student's t of 2 degrees", lambda rng: _apart(rng.standard_t(2, (2, MOST)))
    yield "exponential", lambda rng: _apart(rng.exponential(size=(2, MOST)))
    for rho in (0.3, 0.6):
        yield (
            f"AR(1) {rho:g}, ABBA ABBA",
            lambda rng, rho=rho: _in_turns(_ar(rng, rho), [0, 1, 1, 0]),
        )
        yield (
            f"AR(1) {rho:g}, ABBA BAAB",
            lambda rng, rho=rho: _in_turns(_ar(rng, rho), [0, 1, 1, 0, 1, 0, 0, 1]),
        )
    for name, order in (
        ("ABBA ABBA", [0, 1, 1, 0]),
        ("ABBA BAAB", [int(is_on(i)) for i in range(8)]),
    ):
        yield (
            f"gaussian, a drift of 1 sd a pair, {name}",
            lambda rng, order=order: _in_turns(
                rng.standard_normal(2 * MOST) + np.arange(2 * MOST) / 2.0, order
            ),
        )


def _apart(values: NDArray[np.float64]) -> Sides:
    return NOISE * values[0], NOISE * values[1]


def _in_turns(values: NDArray[np.float64], order: Sequence[int]) -> Sides:
    sides = np.resize(order, 2 * MOST)
    return NOISE * values[sides == 0], NOISE * values[sides == 1]


def _ar(rng: np.random.Generator, rho: float) -> NDArray[np.float64]:
    values = rng.standard_normal(2 * MOST)
    for place in range(1, 2 * MOST):
        values[place] = rho * values[place - 1] + math.sqrt(1.0 - rho**2) * values[place]
    return values


def in_a_table(pools: Sequence[Pool], slow: int, trials: int) -> dict[str, Any]:
    """One slow series among :data:`SERIES` of both pools, all of them judged together."""
    found = false = 0
    pairs = []
    for rng in _generators(f"table {slow}", trials):
        sides = [np.exp(pools[place % len(pools)].draw(rng)) for place in range(SERIES)]
        sides[slow][1] *= 1.0 + SLOWDOWN
        wrong = False
        for look in RULE.looks:
            verdicts = [judge_pairs(base[:look], head[:look], RULE) for base, head in sides]
            stands = discoveries([verdict.p_value for verdict in verdicts], RULE.alpha)
            wrong |= any(stand for place, stand in enumerate(stands) if place != slow)
            if stands[slow]:
                break
        found += stands[slow]
        false += wrong
        pairs.append(look)
    return {
        "slow": pools[slow].name,
        "series": SERIES,
        "trials": trials,
        "found": found,
        "false": false,
        "mean_pairs": float(np.mean(pairs)),
        "p90_pairs": float(np.quantile(pairs, 0.9)),
    }


def unpaired(pool: Pool, trials: int) -> list[dict[str, Any]]:
    """How two runs that took no turns are judged: equal, slowed down, and with a drift between."""
    rows = []
    for runs in RUNS:
        ends = {"equal": 0, "found": 0, "drifted": 0}
        for rng in _generators(f"unpaired {pool.name} {runs}", trials):
            base, head = (side[:runs] for side in pool.draw(rng))
            for name, shift in (("equal", 0.0), ("found", SLOWDOWN), ("drifted", DRIFT)):
                verdict = judge_unpaired(np.exp(base), np.exp(head + math.log1p(shift)), RULE)
                ends[name] += verdict.status is PairStatus.SLOWER
        rows.append({"pool": pool.name, "processes": runs, "trials": trials, **ends})
    return rows


def _generators(name: str, trials: int) -> Iterator[np.random.Generator]:
    for trial in range(trials):
        yield np.random.default_rng([SEED, zlib.crc32(name.encode()), trial])


if __name__ == "__main__":
    sys.exit(main())
