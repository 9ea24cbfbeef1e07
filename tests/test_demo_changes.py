"""The demo's history, on records that are made up at once: what is found is what its commits do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.history.detect import find_candidates
from harness.stats.changes import ChangeKind, find_changes
from harness.store.parquet import ParquetStore
from tests.history.records import CONTEXT, measurement, record
from tests.test_demo_history import ROOT, load

if TYPE_CHECKING:
    from pathlib import Path

demo: Any = load(ROOT / "benchmarks" / "demo" / "repository.py", "demo_repository_of_changes")

# Of medians: those of processes, and of 10 samples at 0.4 %.
NOISE, SAMPLE_NOISE = 0.002, 0.004


def test_the_changes_are_named_exactly_and_as_what_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(20261128)
    for index, commit in enumerate(demo.plan_commits()):
        if commit.is_broken:
            continue
        time_s = commit.macs / 2.5e8 * (1.0 + NOISE * rng.standard_normal())
        samples = time_s * (1.0 + SAMPLE_NOISE * rng.standard_normal(40))
        measured = measurement(latency_s=tuple(samples), simulated=True, backend="simulated")
        context = replace(CONTEXT, commit=f"{index:040x}", commit_unix_s=1.7e9 + 86_400.0 * index)
        ParquetStore(tmp_path).append(record(f"r{index}", [measured], context))

    detected = find_candidates([str(tmp_path)])

    (one,) = detected.series
    assert one.points.is_simulated
    assert detected.exit_code == 1
    found = [(int(a.commit, 16), a.change.kind.value) for a in one.candidates]
    steps = [pair for pair in found if pair[1] != "drift"]
    assert steps == [pair for pair in demo.plan_changes() if pair[1] != "drift"]
    drift = one.candidates[-1]
    assert drift.change.kind is ChangeKind.DRIFT
    # Six increments, from commit 22 to commit 27.
    assert abs(int(drift.commit, 16) - 22) <= 1
    assert abs(int(drift.bad, 16) - 27) <= 1
    by_kind = {a.change.kind: a.change for a in one.candidates[1:]}
    assert by_kind[ChangeKind.STEP].ratio == pytest.approx(1.031, abs=0.005)
    assert by_kind[ChangeKind.SPIKE].recovered
    assert by_kind[ChangeKind.DRIFT].is_open_slowdown


def test_it_is_so_with_nearly_every_noise() -> None:
    commits = demo.plan_commits()
    logs = np.log([commit.macs for commit in commits])
    right = 0
    for seed in range(20):
        noise = NOISE * np.random.default_rng(seed).standard_normal(len(commits))
        times = np.exp(logs + noise)
        times[[commit.is_broken for commit in commits]] = np.nan
        found = [(one.index, one.kind.value) for one in find_changes(times.tolist()).changes]
        right += [kind for _, kind in found] == ["step", "step", "spike", "drift"] and found[
            :3
        ] == list(demo.plan_changes()[:3])
    assert right >= 19
