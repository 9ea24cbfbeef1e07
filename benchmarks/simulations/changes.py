"""Simulate histories, and count what is found in them: ours, and what other tools find in the same.

Run as ``make simulate-changes``, ten minutes; with ``--peers`` by an interpreter that has those
(see changes_peers.py), about as long, and half an hour for ruptures. Each writes its part of
changes.json, and changes.md of all.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from changes_peers import peers
from changes_series import NOISES, OUTLIER, STEPS, Case
from changes_text import changes_text, missed_bars

from harness.stats.changes import Change, ChangeKind, ChangeRule, find_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

SEED = 20261128
NEAR = 2
OURS = "ours"
# The steps that all methods are shown, and the flat series and steps of each of them.
PEER_STEPS = STEPS[:3]
PEER_FLAT, PEER_TRIALS = 10_000, 2_000
LENGTHS = (10, 15, 20, 30, 100, 200)
# What is no step: by name, what it is called if it is told as what it is.
SHAPES = {
    "drift of 10 % over all 50 commits": (Case("", 0.10, 0, 49), ChangeKind.DRIFT),
    "drift of 10 % over 20 commits": (Case("", 0.10, 15, 35), ChangeKind.DRIFT),
    "drift of 5 % over 20 commits": (Case("", 0.05, 15, 35), ChangeKind.DRIFT),
    "10 % for one commit": (Case("", 0.10, 25, 26, returns=True), ChangeKind.SPIKE),
    "10 % for 5 commits": (Case("", 0.10, 25, 30, returns=True), ChangeKind.SPIKE),
    "3 % step": (Case("", 0.03, 25), ChangeKind.STEP),
    "10 % step": (Case("", 0.10, 25), ChangeKind.STEP),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write ``changes``, .md and .json; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--flat", type=int, default=20_000, help="flat series of each noise")
    parser.add_argument("--trials", type=int, default=10_000, help="steps of each kind and noise")
    parser.add_argument("--peers", action="store_true", help="other tools, in place of ours")
    parser.add_argument("--peer", default="", help="with --peers: only those so named, in part")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "changes.json"
    document = json.loads(path.read_text()) if path.exists() else {}
    document |= {"simulated": True, "seed": SEED}
    if options.peers:
        flat, trials = min(options.flat, PEER_FLAT), min(options.trials, PEER_TRIALS)
        rows = list(peer_rows(flat, trials, options.peer))
        done = {row["method"] for row in rows}
        document["peers"] = [
            *(row for row in document.get("peers", []) if row["method"] not in done),
            *rows,
        ]
    else:
        document["rule"] = vars(ChangeRule())
        document["ours"] = list(our_rows(options.flat, options.trials))
        document["shapes"] = list(shape_rows(max(1, options.trials // 10)))
        document["lengths"] = list(length_rows(max(1, options.flat // 40)))
    path.write_text(json.dumps(document, indent=1) + "\n")
    (options.out / "changes.md").write_text(changes_text(document))
    missed = missed_bars(document.get("ours", []))
    sys.stdout.write("".join(f"missed: {line}\n" for line in missed) or "all bars are met\n")
    return 1 if missed else 0


def peer_rows(flat: int, trials: int, only: str = "") -> Iterator[dict[str, Any]]:
    """Of each tool that is there: false alarms, and steps found, in each noise."""
    for name, detect in peers().items():
        if only not in name:
            continue
        for case, count in _cases(flat, trials, PEER_STEPS):
            series = np.exp(case.draw(SEED, count))
            yield {**_about(name, case, count), **_counts(case, series, detect)}


def our_rows(flat: int, trials: int) -> Iterator[dict[str, Any]]:
    """The same of ours, and whether ranges and intervals hold the truth where a step was found."""
    for case, count in _cases(flat, trials, STEPS):
        row: dict[str, Any] = {"any": 0, "alarms": 0, "found": 0, "other": 0}
        row |= {"in_range": 0, "in_interval": 0, "range": 0, "spikes": 0}
        for logs in case.draw(SEED, count):
            changes = find_changes(np.exp(logs)).changes
            alarms = [one for one in changes if is_alarm(one, logs - case.levels)]
            hits = [one for one in alarms if case.size and _hits(one, case)]
            row["any"] += bool(alarms)
            row["alarms"] += len(alarms)
            row["spikes"] += len(changes) - len(alarms)
            row["found"] += bool(hits)
            row["other"] += len(alarms) > len(hits)
            for one in hits[:1]:
                row["in_range"] += one.first <= case.begin <= one.last
                row["range"] += one.last - one.first + 1
                row["in_interval"] += one.lower <= 1.0 + case.size <= one.upper
        yield {**_about(OURS, case, count), **row}


def shape_rows(trials: int) -> Iterator[dict[str, Any]]:
    """How often each shape is told as what it is, and as nothing else."""
    for name, (shape, kind) in SHAPES.items():
        for noise in NOISES:
            told: dict[str, int] = {}
            case = Case(noise, shape.size, shape.begin, shape.end, shape.returns)
            for logs in case.draw(SEED, trials):
                changes = find_changes(np.exp(logs)).changes
                off = logs - case.levels
                kinds = [one.kind.value for one in changes if is_alarm(one, off)]
                what = " and ".join(kinds) or "nothing"
                told[what] = told.get(what, 0) + 1
            row = {
                "shape": name,
                "noise": noise,
                "trials": trials,
                "right": told.get(kind.value, 0),
            }
            yield {**row, "told": dict(sorted(told.items(), key=lambda one: -one[1]))}


def length_rows(flat: int) -> Iterator[dict[str, Any]]:
    """False alarms of shorter and longer histories."""
    for count in LENGTHS:
        for noise in NOISES:
            series = Case(noise, count=count).draw(SEED, flat)
            alarms = sum(
                any(is_alarm(one, logs) for one in find_changes(np.exp(logs)).changes)
                for logs in series
            )
            yield {"count": count, "noise": noise, "trials": flat, "any": alarms}


def is_alarm(change: Change, off: NDArray[np.float64]) -> bool:
    """Whether there is no such thing in the noise: of outliers, commits do stand out.

    ``off`` is how far each value is from its true level, in logs.
    """
    are_outliers = off[change.first : change.last + 1] > OUTLIER
    return change.kind is not ChangeKind.SPIKE or not are_outliers.all()


def _hits(change: Change, case: Case) -> bool:
    return change.kind is ChangeKind.STEP and abs(change.index - case.begin) <= NEAR


def _cases(
    flat: int, trials: int, steps: Sequence[tuple[float, int]]
) -> Iterator[tuple[Case, int]]:
    for noise in NOISES:
        yield Case(noise), flat
        for size, begin in steps:
            yield Case(noise, size, begin), trials


def _counts(
    case: Case, series: NDArray[np.float64], detect: Callable[[NDArray[np.float64]], list[int]]
) -> dict[str, Any]:
    row: dict[str, Any] = {"any": 0, "alarms": 0, "found": 0}
    started = time.monotonic()
    for times in series:
        found = detect(times)
        row["any"] += bool(found)
        row["alarms"] += len(found)
        row["found"] += any(abs(index - case.begin) <= NEAR for index in found)
    spent_s = time.monotonic() - started
    sys.stderr.write(f"{case}: {row}, {spent_s:.0f} s\n")
    return row


def _about(method: str, case: Case, trials: int) -> dict[str, Any]:
    about = {"method": method, "noise": case.noise, "size": case.size, "begin": case.begin}
    return {**about, "trials": trials}


if __name__ == "__main__":
    sys.exit(main())
