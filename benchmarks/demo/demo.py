"""``make demo-history``: 30 commits of the tiny pipeline, exported for real, timed by no machine.

Each commit is exported, converted and checked as any other; its times are those of the backend
``simulated``, made up from the graphs' multiply-accumulates with seeded noise. So the truth is
known, and every record, series and page says ``simulated``.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from repository import PIPELINE, make_repository

from harness.history.series import series_of
from harness.store.parquet import read_record

TINY: Final = Path(__file__).resolve().parents[2] / "fixtures" / "tiny"
MACHINE: Final = "simulated"
# About 11 ms for the whole pipeline; the noise is relative, of samples and of whole processes.
SIMULATION: Final = {
    "macs_per_s": 2.5e8,
    "overhead_s": 0.0,
    "noise": 0.004,
    "process_noise": 0.002,
    "seed": 0,
}


def main() -> int:
    """Make the repository, measure its commits and publish; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of the repository; made if it is not there")
    parser.add_argument("--range", default="ALL", help="of commits, as asv takes it")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--no-publish", dest="publish", action="store_false")
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    if not folder.exists():
        make_repository(folder, TINY)
    if not (folder / "asv.conf.json").exists():
        _run(["history", "init", str(folder), "--pipeline", PIPELINE], folder)
        _simulate(folder / "benchmarks" / "plan.json")
    config = ["--config", "asv.conf.json", "--machine", MACHINE]
    rounds = ["--rounds", str(options.rounds)]
    code = _run(["history", "run", options.range, *config, *rounds], folder)
    if options.publish:
        subprocess.run([sys.executable, "-m", "asv", "publish"], cwd=folder, check=True)
        count = check_pages(folder / "reports" / "asv")
        sys.stdout.write(f"{count} figures of asv's pages are those of the records\n")
    # 2: one commit cannot be built, as is meant.
    return 0 if code in {0, 2} else code


def _simulate(path: Path) -> None:
    plan: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    plan |= {"backends": ["simulated"], "simulation": SIMULATION}
    path.write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")


def check_pages(asv_folder: Path) -> int:
    """Hold every latency on asv's pages against the records' medians; gives how many there are.

    Raises:
        ValueError: one is another, or is of a commit that has no record.
    """
    html, records = asv_folder / "html", asv_folder / "results" / MACHINE / "records"
    medians: dict[tuple[str, str], list[float]] = {}
    for record in map(read_record, records.glob("*.parquet")):
        for one in series_of(record):
            if one.samples and record.history is not None:
                key = (record.history["commit"], f"{one.benchmark}({', '.join(one.params)})")
                medians.setdefault(key, []).extend(one.samples)
    index = json.loads((html / "index.json").read_text(encoding="utf-8"))
    count = 0
    for path in html.glob("graphs/arch-*/**/latency.*.track_latency.json"):
        about = index["benchmarks"][path.stem]
        combinations = list(itertools.product(*map(_unquoted, about["params"])))
        for revision, values in json.loads(path.read_text(encoding="utf-8")):
            commit = index["revision_to_hash"][str(revision)]
            for combination, value in zip(combinations, values, strict=True):
                if value is None:
                    continue
                samples = medians.get((commit, f"{path.stem}({', '.join(combination)})"))
                if samples is None or not math.isclose(statistics.median(samples), value):
                    message = f"{path.stem} {combination} at {commit}: {value} is not the record's"
                    raise ValueError(message)
                count += 1
    return count


def _unquoted(values: list[str]) -> list[str]:
    """Parameters as they are: asv writes them as Python would."""
    return [str(ast.literal_eval(value)) for value in values]


def _run(arguments: list[str], folder: Path) -> int:
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(command, cwd=folder, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
