"""Kill ``asv run`` with SIGKILL at random moments, and see whether a finished commit is ever lost.

Three commits of the demo's repository (made before by demo.py) are measured again and again. Every
attempt and all that it started is killed; then every record must be whole, those that were there
before must still be, and asv's results are made whole by the next ``harness history run``. Where
that ends by itself, asv's figures must be those of the records, and all begins anew.
"""

from __future__ import annotations

import argparse
import ast
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

import psutil

from harness.history.asv_results import read_results, results_files
from harness.history.series import series_of
from harness.store.parquet import read_record

RANGE: Final = "HEAD~3..HEAD"
MACHINE: Final = "simulated"
COMMITS: Final = 3
# How often asv itself is killed rather than the command that starts it, and how often a run goes on
# to its end before all of its commits are there.
_DIRECTLY: Final = 0.5
_TO_THE_END: Final = 0.2


def say(text: str) -> None:
    """Print ``text`` now: this takes minutes."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Kill, check, go on; gives 1 where anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of the demo's repository")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    results = folder / "reports" / "asv" / "results"
    draw = random.Random(options.seed)  # noqa: S311
    shutil.rmtree(results.parent, ignore_errors=True)
    whole_s = _measure_whole(folder, results)
    say(f"one whole run takes {whole_s:.1f} s")
    counts: Counter[str] = Counter()
    shutil.rmtree(results.parent)
    while counts["kills"] < options.kills:
        before = _records(results)
        command = _asv() if before and draw.random() < _DIRECTLY else _history()
        ended = _run_and_kill(command, folder, draw.uniform(0.0, whole_s))
        counts["ended before" if ended else "kills"] += 1
        after = _records(results)
        lost = before - after
        if lost:
            say(f"LOST: {sorted(lost)}")
            return 1
        counts["records that a kill left finished"] += len(after - before)
        counts["asv's files cut off"] += sum(_is_cut_off(path) for path in results_files(results))
        if len(after) >= COMMITS or draw.random() < _TO_THE_END:
            _measure_whole(folder, results)
            counts["whole runs after kills"] += 1
            shutil.rmtree(results.parent)
    for what, count in counts.items():
        say(f"{what}: {count}")
    return 0


def _history() -> list[str]:
    config = ["--config", "asv.conf.json", "--machine", MACHINE]
    return [sys.executable, "-m", "harness", "history", "run", RANGE, *config]


def _asv() -> list[str]:
    options = ["--machine", MACHINE, "--record-samples", "--launch-method", "forkserver"]
    return [sys.executable, "-m", "asv", "run", RANGE, *options, "-a", "rounds=1"]


def _run_and_kill(command: list[str], folder: Path, after_s: float) -> bool:
    """Whether it ended before it was killed; nothing of it is left running."""
    process = subprocess.Popen(  # noqa: S603  # our own interpreter and commands
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        pass
    else:
        return True
    try:
        started = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        started = []
    process.kill()
    process.wait()
    for child in started:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(started, timeout=30)
    return False


def _records(results: Path) -> set[str]:
    """The names of all records; each is read, and must be whole."""
    paths = list((results / MACHINE / "records").glob("*.parquet"))
    for path in paths:
        read_record(path)
    return {path.name for path in paths}


def _is_cut_off(path: Path) -> bool:
    try:
        read_results(path)
    except Exception:  # noqa: BLE001  # whatever it is, it is not whole
        return True
    return False


def _measure_whole(folder: Path, results: Path) -> float:
    """Go on to the end; asv's figures must be those of the records."""
    started = time.monotonic()
    done = subprocess.run(  # noqa: S603
        _history(), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    spent_s = time.monotonic() - started
    held = {}
    for path in results_files(results):
        found = read_results(path)
        held[found.commit] = found
    records: dict[str, list[Path]] = {}
    for path in (results / MACHINE / "records").glob("*.parquet"):
        record = read_record(path)
        assert record.history is not None
        records.setdefault(record.history["commit"], []).append(path)
    assert len(records) == len(held) == COMMITS, (sorted(records), sorted(held))
    for commit, paths in records.items():
        newest = read_record(max(paths, key=lambda path: path.name))
        told = {
            (one.benchmark, one.params): one.samples for one in series_of(newest) if one.samples
        }
        kept = {
            # asv writes parameters as Python would.
            (series.benchmark, tuple(map(ast.literal_eval, combination))): samples
            for series in held[commit].series
            for combination, samples in zip(series.combinations, series.samples, strict=True)
        }
        assert told, commit
        for key, samples in told.items():
            assert tuple(kept[key] or ()) == tuple(samples), key
    return spent_s


if __name__ == "__main__":
    sys.exit(main())
