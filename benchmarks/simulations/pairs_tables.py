"""The tables and bars of the simulated A/Bs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tables import HEAD, clopper_pearson, rate

if TYPE_CHECKING:
    from collections.abc import Mapping

# The bars, of equal commits and of a slowdown of 0.5 %.
MOST_FALSE, LEAST_FOUND = 0.01, 0.95


def pairs_text(document: Mapping[str, Any]) -> str:
    """All as Markdown."""
    rule = document["rule"]
    looks = ", ".join(str(look) for look in rule["looks"])
    lines = [
        "# A/Bs of two commits: false alarms, slowdowns found, and pairs taken",
        "",
        HEAD,
        "The pools are of a real H200: 31 fresh processes of",
        "`reports/examples/h200/processes.parquet`. Each A/B draws processes with replacement, and",
        "within each its samples in blocks of 64.",
        "",
        f"The rule: a margin of {100.0 * rule['margin']:g} %, looks at {looks} pairs, and",
        f"{100.0 * rule['alpha']:g} % of error, on both sides, in all of them.",
        f"{document['trials']} A/Bs a row, seed {document['seed']}. In brackets the 95 %",
        "Clopper-Pearson interval. `1 in 13 odd`: each process runs 1.7 % faster with that",
        "probability, as the flow decoder's did.",
        "`each look`: the plain rule, with that error at each look and every pair counted.",
        "",
        "## Equal commits, and a slowdown of 0.5 %",
        "",
        "| pool | rule | slowdown | slower | faster | same | pairs, mean | p90 |",
        "|---|---|---|---|---|---|---|---|",
        *(_pool_line(row) for row in document["pools"]),
        "",
        "What is left is inconclusive after 32 pairs.",
        "",
        "## The smallest slowdown that is found in 95 % of A/Bs",
        "",
        "| pool | sd between processes | slowdown | found |",
        "|---|---|---|---|",
        *(_smallest_line(row) for row in document["smallest"]),
        "",
        "## One slow series in a table of several",
        "",
        "One of so many series is 0.5 % slower, the others are equal, half of them of each pool.",
        "Found is what stands when all are judged together (Benjamini-Hochberg); false, a change",
        "of another that stood at any look until then.",
        "",
        "| slow | series | A/Bs | found | false | pairs, mean | p90 |",
        "|---|---|---|---|---|---|---|",
        *(_table_line(row) for row in document["tables"]),
        "",
        "## Equal commits where the noise dwarfs the margin",
        "",
        "A standard deviation of 5 % between processes, so that the margin is of no help: each of",
        "`slower` and `faster` may come to half of the error. In turns as they are named; a drift",
        "that is steady.",
        "",
        "| noise | rule | slower | faster |",
        "|---|---|---|---|",
        *(_noise_line(row) for row in document["noise"]),
        "",
        "## Two runs that took no turns",
        "",
        "By Mann-Whitney. How often the second is found slower: equal, 0.5 % slower, and where the",
        "*machine* became 1 % slower between the runs, which only turns could tell.",
        "",
        "| pool | processes a run | equal | 0.5 % | drift |",
        "|---|---|---|---|---|",
        *(_unpaired_line(row) for row in document["unpaired"]),
    ]
    return "\n".join(lines) + "\n"


def missed_bars(document: Mapping[str, Any]) -> list[str]:
    """What of our rule falls short: false alarms by their upper bound, and what is found."""
    missed = []
    for row in document["pools"]:
        _, upper = clopper_pearson(row["slower"], row["trials"])
        if row["rule"] != "ours":
            continue
        if row["slowdown"] == 0.0 and upper > MOST_FALSE:
            missed.append(f"{row['pool']}: {row['slower']} of {row['trials']} equal ones slower")
        if row["slowdown"] > 0.0 and row["slower"] < LEAST_FOUND * row["trials"]:
            missed.append(f"{row['pool']}: {row['slower']} of {row['trials']} slowdowns found")
    return missed


def _share(count: int, trials: int) -> str:
    return rate(count / trials, clopper_pearson(count, trials))


def _pool_line(row: Mapping[str, Any]) -> str:
    label = f"{row['pool']} | {row['rule']} | {100.0 * row['slowdown']:g} %"
    rates = " | ".join(_share(row[name], row["trials"]) for name in ("slower", "faster", "same"))
    return f"| {label} | {rates} | {row['mean_pairs']:.1f} | {row['p90_pairs']:.0f} |"


def _smallest_line(row: Mapping[str, Any]) -> str:
    least = row["least"]
    told = "none that was tried | -"
    if least is not None:
        told = f"{100.0 * least['slowdown']:.2f} % | {_share(least['found'], row['trials'])}"
    return f"| {row['pool']} | {100.0 * row['process_sd']:.2f} % | {told} |"


def _table_line(row: Mapping[str, Any]) -> str:
    label = f"{row['slow']} | {row['series']} | {row['trials']}"
    rates = " | ".join(_share(row[name], row["trials"]) for name in ("found", "false"))
    return f"| {label} | {rates} | {row['mean_pairs']:.1f} | {row['p90_pairs']:.0f} |"


def _noise_line(row: Mapping[str, Any]) -> str:
    rates = " | ".join(_share(row[name], row["trials"]) for name in ("slower", "faster"))
    return f"| {row['noise']} | {row['rule']} | {rates} |"


def _unpaired_line(row: Mapping[str, Any]) -> str:
    rates = " | ".join(_share(row[name], row["trials"]) for name in ("equal", "found", "drifted"))
    return f"| {row['pool']} | {row['processes']} | {rates} |"
