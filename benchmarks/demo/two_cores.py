"""What A/Bs find on this machine: equal sides, and a slowdown inside the timed work, over and over.

    python benchmarks/demo/two_cores.py OUT.json [--trials 10] [--pairs 12] [--slow 10%] [-- ...]

Each trial is a ``harness noise`` of the tiny pipeline: an A/A, then the same against itself slowed.
Options after ``--`` go to it. What counts is the verdict on each series of a trial: on equal sides
`slower` is a false alarm, on the slowed `same` is a miss, and `inconclusive` is honest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from harness.stats.proportions import upper_bound


def main() -> int:
    """Run the trials, print the counts, and leave them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--slow", default="10%")
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    options = parser.parse_args(words[:end])
    options.more = words[end + 1 :]
    trials: list[dict[str, Any]] = []
    for number in range(options.trials):
        started = time.monotonic()
        trials.append(_trial(options))
        taken_s = time.monotonic() - started
        pipeline = {one["size"]: one["status"] for one in trials[-1]["pipeline"]}
        print(f"{number + 1}: {pipeline} in {taken_s:.0f} s", flush=True)  # noqa: T201
        _write(options.out, options, trials)
    print(json.dumps(_counts(trials), indent=1))  # noqa: T201
    return 0


def _trial(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "noise.json")
        command = [sys.executable, "-m", "harness", "noise", "tiny", f"--pairs={options.pairs}"]
        command += [f"--slow={options.slow}", "--trials=100", f"--json={out}", f"--out={folder}"]
        environment = {**os.environ, "TRT_HARNESS_CACHE": str(options.out.parent / "cache")}
        load_before = os.getloadavg()
        done = subprocess.run(  # noqa: S603  # our own command
            [*command, *options.more], capture_output=True, text=True, check=False, env=environment
        )
        if done.returncode != 0:
            raise SystemExit(f"harness noise ended with {done.returncode}: {done.stderr}")
        found = json.loads(out.read_text(encoding="utf-8"))
    rows = found["injected"]
    return {
        "load_before": load_before[0],
        "rows": rows,
        "pipeline": [one for one in rows if str(one["series"]).startswith("pipeline")],
    }


def _counts(trials: list[dict[str, Any]]) -> dict[str, Any]:
    """How often each verdict came: of whole pipelines, and of all series."""
    counts: dict[str, Any] = {}
    for part in ("pipeline", "rows"):
        for size in sorted({one["size"] for trial in trials for one in trial[part]}):
            found = Counter(
                one["status"] for trial in trials for one in trial[part] if one["size"] == size
            )
            wrong = "slower" if size == 0 else "same"
            total = sum(found.values())
            counts[f"{part}, slowed by {100 * size:g} %"] = {
                **found,
                "wrong": found[wrong],
                "wrong at most": upper_bound(found[wrong], total),
            }
    return counts


def _write(path: Path, options: argparse.Namespace, trials: list[dict[str, Any]]) -> None:
    told = {
        "pairs": options.pairs,
        "options": options.more,
        "counts": _counts(trials),
        "trials": trials,
    }
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
