"""Kill ``harness history run`` with SIGKILL at random moments, and see that nothing is lost.

    python benchmarks/asv_kills/kill.py --kills 50 [--commits 12] [--seed 0] [--json FILE]

A scratch repository of the tiny pipeline is measured over and over, after a first run of one commit
that tells how long one takes: kills come within two and a half of that. Either the command, or asv,
or both are killed. After each kill all that they started must be gone, and each record that
was there must be whole. When all commits are measured while kills are left, the results are begun
anew. A last run, left alone, must end with 0 and have every commit in asv's results.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from harness.errors import RecordError
from harness.history.start import init_history
from harness.pipeline.loader import shipped_pipelines
from harness.store.parquet import read_record

LONGEST_COMMITS = 2.5
PATIENCE_S = 20.0
PLAN = {"durations_s": [0.5], "max_time_s": 5, "max_samples": 12, "energy": False, "threads": 1}


def make_repository(root: Path, commits: int) -> None:
    """A repository of so many commits, which all hold the same pipeline."""
    root.mkdir()
    own = [
        "-c",
        "user.name=kills",
        "-c",
        "user.email=kills@localhost",
        "-c",
        "commit.gpgsign=false",
    ]
    git(root, "init", "--quiet", "-b", "main")
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(shipped_pipelines()["tiny"], root / "tiny", ignore=skipped)
    init_history(root, "tiny")
    plan = root / "benchmarks" / "plan.json"
    plan.write_text(json.dumps({**json.loads(plan.read_text()), **PLAN}))
    (root / ".gitignore").write_text(".asv/\n/reports/\n__pycache__/\n")
    for number in range(commits):
        (root / "number").write_text(str(number))
        git(root, "add", "--all")
        git(root, *own, "commit", "--quiet", "-m", str(number))


def git(root: Path, *words: str) -> None:
    """Run git there."""
    subprocess.run(["git", "-C", str(root), *words], check=True)  # noqa: S603, S607


def start(root: Path, commits: str = "main") -> subprocess.Popen[str]:
    """Begin, or go on with, a run over all commits."""
    command = [sys.executable, "-m", "harness", "history", "run", commits, "--machine", "here"]
    return subprocess.Popen(  # noqa: S603
        [*command, "--config", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill(run: subprocess.Popen[str], whom: str) -> list[psutil.Process]:
    """Kill it; gives all that it had started."""
    started = psutil.Process(run.pid).children(recursive=True)
    asv = [one for one in started if is_alive(one) and "asv.main" in " ".join(one.cmdline())]
    if whom != "asv" or not asv:
        run.kill()
    if whom != "command":
        for one in asv[:1]:
            one.kill()
    run.communicate()
    # asv that goes on alone is no leftover: it holds the lock, and ends by itself.
    for one in asv[:1]:
        if is_alive(one):
            one.kill()
    return started


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def look(results: Path, told: Counter[str]) -> set[Path]:
    """The records that are there; a damaged one, and asv's files that are cut off, are counted."""
    records = set(results.glob("records/*.parquet"))
    for path in records:
        try:
            read_record(path)
        except RecordError:
            told["damaged records"] += 1
    for path in results.glob("*.json"):
        try:
            json.loads(path.read_text())
        except ValueError:
            told["files of asv's cut off"] += 1
    return records


def attack(root: Path, kills: int, generator: random.Random) -> Counter[str]:
    """Kill so many runs; what came of it."""
    told: Counter[str] = Counter()
    results, known = root / "reports/asv/results/here", set()
    # The exports are there after the first.
    for _ in range(2):
        shutil.rmtree(root / "reports/asv/results", ignore_errors=True)
        started_s = time.monotonic()
        start(root, "HEAD").communicate()
        longest_s = LONGEST_COMMITS * (time.monotonic() - started_s)
    while told["kills"] < kills:
        run = start(root)
        try:
            run.communicate(timeout=generator.uniform(0.2, longest_s))
        except subprocess.TimeoutExpired:
            whom = generator.choice(["asv", "command", "both"])
            started = kill(run, whom)
            deadline = time.monotonic() + PATIENCE_S
            while any(map(is_alive, started)) and time.monotonic() < deadline:
                time.sleep(0.05)
            left = [" ".join(one.cmdline())[:200] for one in started if is_alive(one)]
            told.update({"kills": 1, f"of {whom}": 1, "processes left": len(left)})
            records = look(results, told)
            told["records lost"] += len(known - records)
            known = records
            print(f"{told['kills']}: {whom}, {len(known)} records, left: {left}", flush=True)  # noqa: T201
        else:
            told["runs that ended before"] += 1
            if run.returncode == 0 and told["kills"] < kills:
                shutil.rmtree(root / "reports/asv/results")
                known = set()
    return told


def finish(root: Path, commits: int) -> dict[str, Any]:
    """A last run, and what asv's results then hold."""
    run = start(root)
    said, _ = run.communicate()
    held = []
    for path in (root / "reports/asv/results/here").glob("*-*.json"):
        rows = json.loads(path.read_text())["results"]
        held.append(bool(rows["latency.Pipeline.track_process_median"][0][0]))
    return {"exit code": run.returncode, "complete": sum(held), "of": commits, "said": said[-500:]}


def main() -> int:
    """Make the repository, kill, finish, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--commits", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="asv-kills-") as name:
        os.environ |= {"HOME": name, "TRT_HARNESS_CACHE": str(Path(name, "cache"))}
        root = Path(name, "repository")
        make_repository(root, given.commits)
        told = attack(root, given.kills, random.Random(given.seed))  # noqa: S311
        end = finish(root, given.commits)
    bad = ("processes left", "damaged records", "records lost")
    is_good = not any(told[what] for what in bad) and end["exit code"] == 0
    is_good &= end["complete"] == given.commits
    facts = {**dict.fromkeys(bad, 0), **told, "last run": end, "good": is_good}
    print(json.dumps(facts, indent=1))  # noqa: T201
    if given.json is not None:
        given.json.write_text(f"{json.dumps(facts, indent=1)}\n", encoding="utf-8")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
