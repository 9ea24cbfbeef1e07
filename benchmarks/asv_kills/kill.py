"""Kill ``harness history run`` with SIGKILL at random moments, and see that nothing is lost.

    python benchmarks/asv_kills/kill.py --kills 50 [--commits 12] [--rounds 2] [--seed 0]
        [--json FILE]

A scratch repository of the tiny pipeline is measured over and over, in rounds, after a first run
of one commit that tells how long one takes: kills come within two and a half of that. Runs are over
the branch, or over NEW. Either the command, or asv, or both are killed. After each kill all that
they started must be gone, and each record that was there must be whole. A run over the branch that
says that it is done must have a record of each round of each commit; while kills are left, the
results are then begun anew. A last run, left alone, must end with 0. asv's results must then have
figures of each round of each commit, all finite, and be those that the records alone give.
"""

from __future__ import annotations

import argparse
import json
import math
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
from harness.history.asv_results import read_results, results_files
from harness.history.places import RECORDS
from harness.history.rebuild import rebuild
from harness.history.series import BENCHMARKS, PROCESS_MEDIAN
from harness.history.start import init_history
from harness.pipeline.loader import shipped_pipelines
from harness.store.parquet import read_record

MACHINE = "here"
BRANCH, NEW = "main", "NEW"
LONGEST_COMMITS = 2.5
PATIENCE_S = 20.0
BAD = (
    "processes left",
    "damaged records",
    "records lost",
    "runs done too soon",
    "runs that failed",
)
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


def start(root: Path, rounds: int, commits: str = BRANCH) -> subprocess.Popen[str]:
    """Begin, or go on with, a run over all commits."""
    command = [sys.executable, "-m", "harness", "history", "run", commits, "--machine", MACHINE]
    command += ["--rounds", str(rounds)]
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
    records = set(results.glob(f"{RECORDS}/*.parquet"))
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


def rounds_recorded(machine: Path) -> int:
    """How many rounds of commits have a record that is complete."""
    found = set()
    for path in machine.glob(f"{RECORDS}/*.parquet"):
        record = read_record(path)
        if record.is_complete and record.history is not None:
            found.add((record.history["commit"], record.history["round"]))
    return len(found)


def commits_held(results: Path, rounds: int) -> int:
    """How many commits have a figure of each round in asv's results, all of them finite."""
    count = 0
    for path in results_files(results):
        medians = [
            (result, its)
            for series in read_results(path).series
            if series.benchmark == PROCESS_MEDIAN.name
            for result, its in zip(series.results, series.samples, strict=True)
        ]
        count += bool(medians) and all(
            result is not None
            and its is not None
            and len(its) == rounds
            and all(map(math.isfinite, (result, *its)))
            for result, its in medians
        )
    return count


def rows_astray(results: Path, scratch: Path) -> list[str]:
    """The figures in which asv's results differ from what the records alone give."""
    copy = scratch / "again"
    shutil.copytree(results, copy)
    for path in list(results_files(copy)):
        path.unlink()
    rebuild(copy)
    held, given = figures_in(results), figures_in(copy)
    return sorted(str(key) for key in held.keys() | given.keys() if held.get(key) != given.get(key))


def figures_in(results: Path) -> dict[tuple[str, ...], Any]:
    """Each figure of the harness's benchmarks with its samples, but what does not apply (NaN)."""
    return {
        (path.name, series.benchmark, *params): (result, samples)
        for path in results_files(results)
        for series in read_results(path).series
        if series.benchmark in BENCHMARKS
        for params, result, samples in zip(
            series.combinations, series.results, series.samples, strict=True
        )
        if result is None or not math.isnan(result)
    }


def calibrate(root: Path, rounds: int) -> float:
    """The longest that a run is left alone, in seconds."""
    longest_s = 0.0
    # The exports are there after the first.
    for _ in range(2):
        started_s = time.monotonic()
        start(root, rounds, "HEAD").communicate()
        longest_s = LONGEST_COMMITS * (time.monotonic() - started_s)
        shutil.rmtree(root / "reports/asv/results", ignore_errors=True)
    return longest_s


def attack(
    root: Path, kills: int, commits: int, rounds: int, generator: random.Random
) -> Counter[str]:
    """Kill so many runs; what came of it."""
    told: Counter[str] = Counter()
    results, known = root / "reports/asv/results" / MACHINE, set()
    longest_s = calibrate(root, rounds)
    while told["kills"] < kills:
        over = generator.choice([BRANCH, NEW])
        run = start(root, rounds, over)
        try:
            run.communicate(timeout=generator.uniform(0.2, longest_s))
        except subprocess.TimeoutExpired:
            whom = generator.choice(["asv", "command", "both"])
            started = kill(run, whom)
            deadline = time.monotonic() + PATIENCE_S
            while any(map(is_alive, started)) and time.monotonic() < deadline:
                time.sleep(0.05)
            left = [" ".join(one.cmdline())[:200] for one in started if is_alive(one)]
            told.update({"kills": 1, f"of {whom}": 1, f"over {over}": 1})
            told["processes left"] += len(left)
            records = look(results, told)
            told["records lost"] += len(known - records)
            known = records
            print(f"{told['kills']}: {whom}, {len(known)} records, left: {left}", flush=True)  # noqa: T201
        else:
            told["runs that ended before"] += 1
            is_whole = rounds_recorded(results) == commits * rounds
            # NEW may be fewer.
            told["runs done too soon"] += run.returncode == 0 and over == BRANCH and not is_whole
            told["runs that failed"] += run.returncode != 0
            known = look(results, told)
            if is_whole and told["kills"] < kills:
                shutil.rmtree(root / "reports/asv/results")
                known = set()
    return told


def finish(root: Path, commits: int, rounds: int) -> dict[str, Any]:
    """A last run, and what asv's results then hold."""
    run = start(root, rounds)
    said, _ = run.communicate()
    results = root / "reports/asv/results"
    return {
        "exit code": run.returncode,
        "complete": commits_held(results, rounds),
        "of": commits,
        "rounds": rounds,
        "rounds recorded": rounds_recorded(results / MACHINE),
        "figures": len(figures_in(results)),
        "figures other than the records'": rows_astray(results, root.parent),
        "said": said[-500:],
    }


def is_good(facts: dict[str, Any]) -> bool:
    """Whether nothing was lost, left or left out."""
    last = facts["last run"]
    return (
        not any(facts[what] for what in BAD)
        and last["exit code"] == 0
        and last["complete"] == last["of"] > 0
        and last["rounds recorded"] == last["of"] * last["rounds"]
        and not last["figures other than the records'"]
    )


def main() -> int:
    """Make the repository, kill, finish, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--commits", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="asv-kills-") as name:
        os.environ |= {"HOME": name, "TRT_HARNESS_CACHE": str(Path(name, "cache"))}
        root = Path(name, "repository")
        make_repository(root, given.commits)
        generator = random.Random(given.seed)  # noqa: S311
        told = attack(root, given.kills, given.commits, given.rounds, generator)
        end = finish(root, given.commits, given.rounds)
    facts: dict[str, Any] = {**dict.fromkeys(BAD, 0), **told, "last run": end}
    facts["good"] = is_good(facts)
    print(json.dumps(facts, indent=1))  # noqa: T201
    if given.json is not None:
        given.json.write_text(f"{json.dumps(facts, indent=1)}\n", encoding="utf-8")
    return 0 if facts["good"] else 1


if __name__ == "__main__":
    sys.exit(main())
