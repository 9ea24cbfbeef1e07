"""asv itself reads what was made of records."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.history.rebuild import rebuild
from harness.history.series import BENCHMARKS
from tests.history.records import CONTEXT, measurement, record
from tests.history.records import keep_results as keep

if TYPE_CHECKING:
    from pathlib import Path


def test_asv_itself_shows_and_compares_what_was_made(tmp_path: Path) -> None:
    """The real command, over a repository with two commits, of which the second is slower."""
    run = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    subprocess.run([*run, "init", "-q", "-b", "main"], check=True)
    commits = []
    for text in ("one", "two"):
        subprocess.run([*run, "commit", "-q", "--allow-empty", "-m", text], check=True)
        head = [*run, "rev-parse", "HEAD"]
        commits.append(
            subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()
        )
    conf = {"version": 1, "project": "tiny", "repo": ".", "branches": ["main"]}
    conf |= {"results_dir": "results", "html_dir": "html", "environment_type": "existing"}
    (tmp_path / "asv.conf.json").write_text(json.dumps(conf))
    for index, commit in enumerate(commits):
        samples = tuple(0.01 * (1 + index) + 1e-6 * i for i in range(20))
        context = replace(CONTEXT, commit=commit)
        keep(
            tmp_path / "results",
            record(f"r{index}", [measurement(latency_s=samples)], context),
        )
    rebuild(tmp_path / "results")

    def asv(*words: str) -> str:
        command = [sys.executable, "-m", "asv", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warn" not in done.stdout.lower()
        return done.stdout

    shown = asv("show", "--machine", "bench", commits[1])
    assert "latency.Pipeline.track_latency" in shown
    assert "20.0±0ms" in shown
    compared = asv("compare", "--machine", "bench", "-f", "1.02", *commits)
    worse = [line for line in compared.splitlines() if "track_latency" in line]
    assert [(line.split()[1], line.split()[7]) for line in worse] == [("+", "2")]


def test_every_benchmark_has_a_unit_that_asv_shows() -> None:
    assert {one.unit for one in BENCHMARKS.values()} == {"seconds", "bytes", "1", "joules"}
