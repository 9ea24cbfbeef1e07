"""What is so now is what is so of the newest commit, whenever that was measured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.dashboard.gather import gather
from tests.history.records import CONTEXT, keep_results, measurement, record

if TYPE_CHECKING:
    from pathlib import Path


def test_a_budget_is_told_of_the_newest_commit_though_that_was_measured_first(
    tmp_path: Path,
) -> None:
    for place, (commit, created) in enumerate((("aa", "02"), ("bb", "01"))):
        samples = tuple(0.01 * (1 + place) + 1e-6 * i for i in range(40))
        context = replace(CONTEXT, commit=commit * 20, commit_unix_s=1.7e9 + place)
        one = record(commit, [measurement(latency_s=samples)], context)
        keep_results(tmp_path, replace(one, created_utc=f"2026-01-{created}T00:00:00+00:00"))

    found = gather([str(tmp_path)])

    (budget,) = found.budgets
    assert budget.commit is not None
    assert found.commits[budget.commit].hash == "bb" * 20
    assert budget.record_id == "bb"
