"""Whether ``asv continuous -f 1.02`` and ``asv compare -f 1.02`` flag 5 % more, and nothing else.

Of the demo's repository (made before by demo.py) two pairs of commits are compared again and again,
each time measured anew: equal ones, and ones of which the second has about 5 % more work. With
``--backend simulated`` the times are made up, with other noise each time; with ``onnxruntime`` they
are real, and the extra work is really done.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

from demo import SIMULATION
from repository import Commit, commit_with, odd_taps

FACTOR: Final = "1.02"
BENCHMARK: Final = "latency.Pipeline.track_latency"
_STEP: Final = 0.05
# asv's table: a mark in front of what has changed, "+" for what got slower.
_ROW: Final = re.compile(rf"^\|? ?(?P<mark>[-+x!~ ])[^|]*\|.*{re.escape(BENCHMARK)}")


def main() -> int:
    """Compare pairs, and print how often each was flagged."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of the demo's repository")
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--backend", default="simulated", choices=("simulated", "onnxruntime"))
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    about = [sys.executable, "-m", "asv", "machine", "--yes", "--machine", options.backend]
    subprocess.run(about, cwd=folder, check=True, capture_output=True)  # noqa: S603
    base = commit_with(folder, 0, "The base")
    equal = commit_with(folder, 0, "Nothing of the pipeline")
    taps = odd_taps(_STEP)
    slower = commit_with(folder, taps, "About 5 % more work")
    share = Commit("", taps).macs / Commit("").macs - 1.0
    sys.stdout.write(f"{options.backend}, injected: {100 * share:.2f} % more work\n")
    counts: Counter[str] = Counter()
    for repetition in range(options.repetitions):
        _plan(folder / "benchmarks" / "plan.json", options.backend, repetition)
        for name, commit in (("equal", equal), ("5 % slower", slower)):
            # What the second one looks at is what the first one has measured.
            for command in ("continuous", "compare"):
                words = [base, commit, "--machine", options.backend]
                counts[f"{command}, {name}: flagged"] += _is_flagged(
                    command, folder, words, options.rounds
                )
        sys.stdout.write(f"{repetition + 1}: {dict(counts)}\n")
        sys.stdout.flush()
    return 0


def _plan(path: Path, backend: str, repetition: int) -> None:
    plan: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    plan["backends"] = [backend]
    is_simulated = backend == "simulated"
    plan["simulation"] = {**SIMULATION, "seed": 1 + repetition} if is_simulated else None
    plan["max_time_s"] = None if is_simulated else 2.0
    path.write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")


def _is_flagged(command: str, folder: Path, words: list[str], rounds: int) -> bool:
    """Whether the whole pipeline is told to be slower; ``compare`` takes what is there."""
    options = ["--factor", FACTOR]
    if command == "continuous":
        options += ["--record-samples", "--launch-method", "forkserver"]
        options += ["--bench", BENCHMARK, "-a", f"rounds={rounds}"]
    done = subprocess.run(  # noqa: S603  # our own interpreter and commands
        [sys.executable, "-m", "asv", command, *options, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [match for line in done.stdout.splitlines() if (match := _ROW.search(line))]
    said = f"asv {command} ended with {done.returncode}: {done.stdout}\n{done.stderr}"
    if done.returncode not in {0, 1} or "failed" in done.stdout:
        raise RuntimeError(said)
    if command == "compare" and (not rows or any("n/a" in match.string for match in rows)):
        raise RuntimeError(said)
    return any(match["mark"] == "+" for match in rows)


if __name__ == "__main__":
    sys.exit(main())
