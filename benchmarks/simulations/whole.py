"""Simulate A/Bs of a whole pipeline, with and without waiting for what cannot matter to it.

Run as part of ``make simulate``. The pairs of the A/B of equal commits on an H200
(``reports/examples/h200/ab/equal-*.parquet``) are drawn again and again, all series of a pair
together and with its sides exchanged at random, and grown and judged as ``harness ab`` does. Seeds
are fixed, and no clock is read.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.ab.schedule import SIDES
from harness.comparison.compare import judged_together
from harness.comparison.model import Comparison, Series, SeriesComparison, Side
from harness.comparison.sides import measured_by
from harness.comparison.slight import is_waited_for, weigh
from harness.pipeline.pipeline import TRANSFERS, WHOLE_PIPELINE
from harness.stats.pairs import PairRule, PairStatus, judge_pairs
from harness.stats.variance import share_of
from harness.store.parquet import read_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

SEED = 20261129
FOLDER = Path(__file__).parents[2] / "reports" / "examples" / "h200" / "ab"
RULE = PairRule()
MOST_ALARMS = 0.01
SIDE = Side("", "", ("",), {})
# What is made slower, and by how much of its own time; the whole gets as many seconds slower.
CASES: Mapping[str, Mapping[str, float]] = {
    "equal": {},
    "every component 0.1 % slower": {"": 0.001},
    "vocoder 0.5 % slower": {"vocoder": 0.005},
    "flow decoder 0.5 % slower": {"flow_decoder": 0.005},
    "content encoder 0.5 % slower": {"content_encoder": 0.005},
    "pitch encoder 5 % slower": {"pitch_encoder": 0.05},
    "conditioner 10 % slower": {"conditioner": 0.1},
    "conditioner, pitch encoder and latent-to-mel 5 % slower": {
        "conditioner": 0.05,
        "pitch_encoder": 0.05,
        "latent_to_mel": 0.05,
    },
}


@dataclass(frozen=True)
class Pool:
    """The process medians (s) of every series of an A/B: by side, series and pair."""

    series: tuple[Series, ...]
    medians_s: NDArray[np.float64]

    def draw(self, rng: np.random.Generator, slower: Mapping[str, float]) -> NDArray[np.float64]:
        """As many pairs as the rule takes at most, with what is ``slower`` so on the head."""
        most = RULE.looks[-1]
        found = self.medians_s[:, :, rng.integers(self.medians_s.shape[2], size=most)]
        swapped = rng.random(most) < 0.5  # noqa: PLR2004
        base, head = np.where(swapped, found[::-1], found)
        added = np.zeros_like(head)
        for place, one in enumerate(self.series):
            share = slower.get(one.component, slower.get("", 0.0))
            if one.component not in {WHOLE_PIPELINE, *TRANSFERS}:
                added[place] = share * head[place]
        whole = next(n for n, s in enumerate(self.series) if s.component == WHOLE_PIPELINE)
        added[whole] = added.sum(axis=0)
        return np.stack([base, head + added])


def read_pool(folder: Path) -> Pool:
    """That of the A/B of equal commits."""
    base, head = (measured_by([read_record(folder / f"equal-{s}.parquet")]) for s in SIDES)
    medians = [[list(side[series].latency_s.values()) for series in base] for side in (base, head)]
    return Pool(tuple(base), np.asarray(medians))


def judge(pool: Pool, pairs: NDArray[np.float64], *, waits: bool) -> Comparison:
    """What ``harness ab`` would say of these pairs; ``waits`` for all series, or as it does."""
    rows = [
        SeriesComparison(
            series, float(np.median(base)), float(np.median(head)), judge_pairs(base, head, RULE)
        )
        for series, base, head in zip(pool.series, *pairs, strict=True)
    ]
    judged = judged_together(rows, RULE)
    shown = judged if waits else weigh(judged, RULE.margin)
    return Comparison("", SIDE, SIDE, shown, RULE.margin, is_paired=True)


def grown(
    pool: Pool, name: str, trials: int, slower: Mapping[str, float], *, waits: bool
) -> dict[str, Any]:
    """How ``trials`` A/Bs end that grow until nothing is open, and how many pairs they take."""
    rng = np.random.default_rng([SEED, len(name), sum(name.encode())])
    ends = dict.fromkeys((status.value for status in PairStatus), 0)
    named, pairs = 0, []
    for _ in range(trials):
        drawn = pool.draw(rng, slower)
        for look in RULE.looks:
            found = judge(pool, drawn[:, :, :look], waits=waits)
            if not any(is_waited_for(row, RULE) for row in found.rows):
                break
        ends[found.status.value] += 1
        its = {row.series.component for row in found.rows if row.status is PairStatus.SLOWER}
        named += bool(slower) and its - {WHOLE_PIPELINE} == set(slower)
        pairs.append(look)
    rates = {status: _rate(count, trials) for status, count in ends.items()}
    return {
        "case": name,
        "waits": waits,
        "trials": trials,
        **rates,
        "named": _rate(named, trials),
        "mean_pairs": float(np.mean(pairs)),
        "p90_pairs": float(np.quantile(pairs, 0.9)),
    }


def _rate(count: int, trials: int) -> dict[str, float]:
    share = share_of(count, trials)
    return {"count": count, "lower": share.lower, "upper": share.upper}


def whole_text(document: Mapping[str, Any]) -> str:
    """The table, in Markdown."""
    rows = "".join(
        f"| {row['case']} | {'all' if row['waits'] else 'as it does'} | "
        + " | ".join(_told(row, key) for key in ("slower", "same", "inconclusive", "named"))
        + f" | {row['mean_pairs']:.1f} ({row['p90_pairs']:.0f}) |\n"
        for row in document["rows"]
    )
    return (
        "# A/Bs of a whole pipeline, resampled\n\nSIMULATED: the 12 pairs of the A/B of equal "
        "commits on an H200 ([ab](../h200/README.md)), drawn again with all series of a pair "
        f"together and sides exchanged at random; {document['trials']} A/Bs a row, margin "
        f"{100 * RULE.margin:g} %, 8 to 32 pairs. What is slower is so by multiplication, and the "
        'whole by as many seconds. "Waits for": all series, or as `harness ab` does what could '
        "matter to the whole or may yet be known. A pool of 12 pairs knows no rarer events.\n\n"
        "Ends as, with the 95 % "
        'bounds of the rate; "named": just the components that were made slower are `slower`, '
        "whatever is said of the whole.\n\n| | waits for | slower | same | inconclusive | named | "
        f"pairs, mean (90 %) |\n|---|---|---|---|---|---|---|\n{rows}"
    )


def _told(row: Mapping[str, Any], key: str) -> str:
    found = row[key]
    if key == "named" and row["case"] == "equal":
        return "-"
    rate, bounds = (
        100.0 * found["count"] / row["trials"],
        [100.0 * found[end] for end in ("lower", "upper")],
    )
    return f"{rate:.1f} % ({bounds[0]:.1f} to {bounds[1]:.1f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write ``whole.md`` and ``whole.json``; 1 if equal commits come out slower too often."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--trials", type=int, default=2000, help="A/Bs of each row")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    pool = read_pool(FOLDER)
    rows = [
        grown(pool, name, options.trials, slower, waits=waits)
        for name, slower in CASES.items()
        for waits in (True, False)
    ]
    document = {"simulated": True, "seed": SEED, "trials": options.trials, "rows": rows}
    (options.out / "whole.json").write_text(json.dumps(document, indent=1) + "\n")
    (options.out / "whole.md").write_text(whole_text(document))
    # A rate of so few that there could be more than one in a hundred is none.
    alarms = max(row["slower"]["upper"] for row in rows if row["case"] == "equal")
    told = f"equal commits come out slower in at most {100.0 * alarms:.2g} %"
    is_kept = alarms <= MOST_ALARMS
    sys.stdout.write(f"the bar is met: {told}\n" if is_kept else f"missed: {told}\n")
    return 0 if is_kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
