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
from typing import TYPE_CHECKING, Any, Final

from repository import (
    CHANGING,
    DRIFT,
    PIPELINE,
    commit_names,
    make_repository,
    plan_changes,
    plan_commits,
)

from harness.history.detect import find_candidates
from harness.history.places import read_failures
from harness.history.series import series_of
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.stats.changes import ChangeKind
from harness.store.parquet import ParquetStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.types import Record

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
# Of a median; five standard deviations of a process.
_TOLERANCE: Final = 0.01
# Of a commit's name.
_SHOWN: Final = 12


def main() -> int:
    """Make the repository, measure its commits and publish; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of the repository; made if it is not there")
    parser.add_argument("--range", default="ALL", help="of commits, as asv takes it")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--no-publish", dest="publish", action="store_false")
    parser.add_argument(
        "--bisect", action="store_true", help="only bisect all commits, several minutes"
    )
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    if not folder.exists():
        make_repository(folder, TINY)
    if not (folder / "asv.conf.json").exists():
        _run(["history", "init", str(folder), "--pipeline", PIPELINE], folder)
        _simulate(folder / "benchmarks" / "plan.json")
    if options.bisect:
        _say(f"bisected: {check_bisection(folder)}")
        return 0
    config = ["--config", "asv.conf.json", "--machine", MACHINE]
    _run(["history", "run", options.range, *config, "--rounds", str(options.rounds)], folder)
    is_whole = options.range == "ALL"
    records = check_records(folder, is_whole=is_whole)
    rest = "; the broken one failed, and no other" if is_whole else ""
    _say(f"{len(records)} commits took what their work takes{rest}")
    if is_whole:
        _run(["history", "detect", str(_results(folder)), "--component", WHOLE_PIPELINE], folder)
        count = check_changes(folder)
        _say(f"{count} histories: the steps, the spike and the drift are told as that, no other")
    if options.publish:
        subprocess.run([sys.executable, "-m", "asv", "publish"], cwd=folder, check=True)
        count = check_pages(folder / "reports" / "asv" / "html", records)
        _say(f"{count} figures of asv's pages are those of the records")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _results(folder: Path) -> Path:
    return folder / "reports" / "asv" / "results"


def check_changes(folder: Path) -> int:
    """Hold what is found in the histories against what the commits do; gives how many there are.

    Only the vocoder, and the whole pipeline with it, do change.

    Raises:
        ValueError: a change is missed, at another commit, taken for another kind, or there is none.
    """
    detected = find_candidates([str(_results(folder))], repository=folder)
    told = {
        component: [
            (one.change.kind.value, "" if one.change.kind is ChangeKind.DRIFT else one.commit)
            for one in detected.candidates
            if one.points.name.component == component
        ]
        for component in (series.points.name.component for series in detected.series)
    }
    names = commit_names(folder)
    changes = [("" if kind == DRIFT else names[place], kind) for place, kind in plan_changes()]
    for component, found in told.items():
        does_change = component in {WHOLE_PIPELINE, CHANGING}
        expected = [(kind, commit) for commit, kind in changes] if does_change else []
        if found != expected:
            message = f"{component}: {found} was found, and {expected} is so"
            raise ValueError(message)
    return len(detected.series)


def check_bisection(folder: Path) -> Path:
    """Bisect from the first commit to the last, and hold it against what the commits do.

    The steps and the answer are written into the file that is given back.

    Raises:
        ValueError: it ended at another commit than the largest step, or without saying simulated.
    """
    names = commit_names(folder)
    out = folder / "reports" / "bisect"
    out.mkdir(parents=True, exist_ok=True)
    told = out / "found.json"
    words = ["harness", "bisect", names[0][:_SHOWN], names[-1][:_SHOWN]]
    words += ["--benchmark", WHOLE_PIPELINE]
    command = [sys.executable, "-m", *words, "--out", str(out), "--json", str(told)]
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, check=False, text=True, capture_output=True
    )
    if done.returncode:
        message = f"harness bisect ended with {done.returncode}: {done.stderr}"
        raise ValueError(message)
    steps = [line for line in done.stderr.splitlines() if line.startswith("step ")]
    answer = [line for line in done.stdout.splitlines() if not line.startswith("JSON: ")]
    path = out / "bisect.txt"
    path.write_text("\n".join([f"$ {' '.join(words)}", *steps, *answer, ""]), encoding="utf-8")
    found = json.loads(told.read_text(encoding="utf-8"))
    (place, _), *_ = plan_changes()
    if found["culprit"] != names[place] or not found["is_simulated"]:
        message = f"{found['culprit']} was found, and {names[place]} is the largest step"
        raise ValueError(message)
    return path


def check_records(folder: Path, *, is_whole: bool) -> dict[str, list[Record]]:
    """The records of each commit's last run, of which the truth is known.

    Raises:
        ValueError: a commit took another time than its work takes, failed though it can be built,
            or, of the whole, is missing.
    """
    results = _results(folder) / MACHINE / "records"
    found: dict[str, list[Record]] = {}
    for record in ParquetStore(results).query():
        history = record.history or {}
        its = found.setdefault(history["commit"], [])
        if not history["round"]:
            its.clear()
        its.append(record)
    told = dict(zip(commit_names(folder), plan_commits(), strict=False))
    for name, records in found.items():
        expected_s = told[name].macs / SIMULATION["macs_per_s"]
        for record in records:
            (whole,) = (m for m in record.measurements if m.component == WHOLE_PIPELINE)
            latency_s = statistics.median(whole.latency_s)
            if not whole.simulated or abs(latency_s / expected_s - 1.0) > _TOLERANCE:
                message = f"{name} took {latency_s:g} s, and its work takes {expected_s:g} s"
                raise ValueError(message)
    failed = {failure.commit for failure in read_failures(results)}
    broken = {name for name, commit in told.items() if commit.is_broken}
    if failed - broken or (is_whole and found.keys() | failed != told.keys()):
        message = (
            f"failed: {sorted(failed)}; missing: {sorted(told.keys() - found.keys() - failed)}"
        )
        raise ValueError(message)
    return found


def _simulate(path: Path) -> None:
    plan: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    plan |= {"backends": ["simulated"], "simulation": SIMULATION}
    path.write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")


def check_pages(html: Path, records: Mapping[str, Sequence[Record]]) -> int:
    """Hold every latency on asv's pages against the records' medians; gives how many there are.

    Raises:
        ValueError: one is another, is of a commit that has no record, or is not there.
    """
    medians: dict[tuple[str, str], list[float]] = {}
    for commit, its in records.items():
        for one in (one for record in its for one in series_of(record)):
            if one.samples and one.benchmark.endswith(".track_latency"):
                key = (commit, f"{one.benchmark}({', '.join(one.params)})")
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
    if count != len(medians):
        message = f"the pages have {count} figures, the records {len(medians)}"
        raise ValueError(message)
    return count


def _unquoted(values: list[str]) -> list[str]:
    """Parameters as they are: asv writes them as Python would."""
    return [str(ast.literal_eval(value)) for value in values]


def _run(arguments: list[str], folder: Path) -> int:
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(command, cwd=folder, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
