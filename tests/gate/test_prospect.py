"""The trend of a history's p99: of one environment, a point a commit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.gate.prospect import with_prospects
from harness.report.budget_spent import Prospect, spent_of
from harness.states import FAIL, Finding, Validity
from harness.stats.trend import Fate
from harness.store.parquet import ParquetStore
from harness.types import Budget, Replication
from tests.gate.made import samples
from tests.history.records import CONTEXT, measurement, record

if TYPE_CHECKING:
    from pathlib import Path

    from harness.types import Record

BUDGET = Budget(0.05, 1.0, 1, "", "")
DAY_S = 86400.0


def of_commit(number: int, ms: float, round_: int = 0, **changes: Any) -> Record:
    context = replace(
        CONTEXT,
        commit=f"{number:040x}",
        commit_unix_s=CONTEXT.commit_unix_s + 2 * DAY_S * number,
        round=round_,
        started_unix_s=CONTEXT.started_unix_s + number * 100 + round_,
    )
    measured = measurement(latency_s=samples(100, ms))
    return record(f"{number}-{round_}", [measured], context, **changes)


def keep(folder: Path, *records: Record) -> None:
    for one in records:
        ParquetStore(folder).append(one)


def prospect(folder: Path, head: Record) -> Prospect:
    (found,) = with_prospects(spent_of(head, BUDGET), head, [folder])
    assert found.prospect is not None
    return found.prospect


@pytest.fixture
def rising(tmp_path: Path) -> Record:
    """Twelve commits, each 0.5 ms slower than the last, two days apart."""
    keep(tmp_path, *(of_commit(i, 20.0 + 0.5 * i) for i in range(12)))
    return of_commit(11, 25.5)


def test_a_steady_rise_runs_out_in_commits_and_days(tmp_path: Path, rising: Record) -> None:
    found = prospect(tmp_path, rising)
    assert found.commits == 12
    assert found.by_commit is not None
    assert found.by_commit.value == pytest.approx(0.5e-3, rel=1e-2)
    assert found.by_day is not None
    assert found.by_day.value == pytest.approx(0.25e-3, rel=1e-2)
    assert found.in_commits.fate is Fate.RUNS_OUT
    # 50 ms less 25.5 ms and a little, at half a millisecond a commit.
    assert found.in_commits.after == pytest.approx(49.0, rel=2e-2)
    assert found.in_days.after == pytest.approx(98.0, rel=2e-2)


def test_rounds_of_a_commit_are_one_point_at_their_median(tmp_path: Path, rising: Record) -> None:
    for i in range(12):
        keep(tmp_path, of_commit(i, 20.0 + 0.5 * i, 1), of_commit(i, 500.0, 2))
    found = prospect(tmp_path, rising)
    assert found.commits == 12
    assert found.by_commit is not None
    assert found.by_commit.value == pytest.approx(0.5e-3, rel=1e-2)


def test_other_environments_and_what_does_not_count_are_left_out(
    tmp_path: Path, rising: Record
) -> None:
    invalid = Validity((Finding(FAIL, "hot", "cool it"),))
    keep(
        tmp_path,
        of_commit(20, 900.0, environment={"cpu": "another"}),
        of_commit(21, 900.0, is_complete=False),
        of_commit(22, 900.0, validity=invalid),
        of_commit(23, 900.0, pipeline="other"),
        replace(of_commit(24, 900.0), history=None),
    )
    assert prospect(tmp_path, rising).commits == 12


def test_what_was_slowed_on_purpose_is_left_out(tmp_path: Path, rising: Record) -> None:
    before = prospect(tmp_path, rising)
    slowed = Replication(8, 1, experiment="n", slowed_by=0.1)
    keep(tmp_path, *(of_commit(i, 90.0, 1, replication=slowed) for i in range(12, 15)))
    assert prospect(tmp_path, rising) == before


def test_a_run_that_was_made_again_takes_the_place_of_the_old_one(
    tmp_path: Path, rising: Record
) -> None:
    for i in range(12):
        again = of_commit(i, 20.0 + 1.0 * i)
        later = {**(again.history or {}), "started_unix_s": 2e9}
        keep(tmp_path, replace(again, record_id=f"again-{i}", history=later))
    found = prospect(tmp_path, rising)
    assert found.commits == 12
    assert found.by_commit is not None
    assert found.by_commit.value == pytest.approx(1.0e-3, rel=1e-2)


def test_other_variants_and_sizes_are_series_of_their_own(tmp_path: Path, rising: Record) -> None:
    for changes in ({"precision": "fp16"}, {"duration_s": 2.0}, {"mode": "cold"}):
        head = replace(rising, measurements=(measurement(**changes),))
        case = replace(BUDGET, duration_s=changes.get("duration_s", 1.0))
        (found,) = with_prospects(spent_of(head, case), head, [tmp_path])  # type: ignore[arg-type]
        assert found.prospect is not None
        if "mode" not in changes:
            assert found.prospect.commits == 0


def test_the_trend_is_of_how_the_work_arrived(tmp_path: Path) -> None:
    def both(number: int) -> Record:
        made = of_commit(number, 20.0)
        paced = measurement(
            mode="paced",
            period_s=0.1,
            missed_deadlines=0,
            latency_s=samples(100, 20.0 + 0.5 * number),
        )
        return replace(made, measurements=(*made.measurements, paced))

    keep(tmp_path, *(both(i) for i in range(10)))
    found = prospect(tmp_path, both(9))
    assert found.by_commit is not None
    assert found.by_commit.value == pytest.approx(0.5e-3, rel=1e-2)


def test_a_flat_history_cannot_tell(tmp_path: Path) -> None:
    for i in range(12):
        keep(tmp_path, of_commit(i, 20.0 + 0.1 * ((5 * i) % 7)))
    found = prospect(tmp_path, of_commit(11, 20.0))
    assert found.in_commits.fate is Fate.UNKNOWN
    assert found.in_commits.earliest is not None


def test_few_commits_cannot_tell(tmp_path: Path) -> None:
    keep(tmp_path, *(of_commit(i, 20.0 + i) for i in range(5)))
    found = prospect(tmp_path, of_commit(4, 24.0))
    assert (found.commits, found.by_commit, found.in_commits.fate) == (5, None, Fate.UNKNOWN)
