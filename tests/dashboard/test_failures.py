"""Commits that could not be measured are named, with why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.dashboard.gather import gather
from harness.dashboard.looking import look_at
from harness.dashboard.write import DashboardOrder
from harness.history.places import Failure, records_folder, write_failure
from harness.store.parquet import ParquetStore
from tests.dashboard.histories import commit, of_commit
from tests.dashboard.test_gather_asv import keep_results, row
from tests.history.records import CONTEXT

if TYPE_CHECKING:
    from pathlib import Path

REASON = "torch is not installed"
# After what of_commit makes, by when that says it was created.
LATER_S = 1.9e9


def fail(results: Path, place: int, unix_s: float = LATER_S, reason: str = REASON) -> Path:
    failure = Failure(commit(place), CONTEXT.environment_name, "measure", reason, unix_s)
    return write_failure(records_folder(results, "bench"), failure)


def test_a_commit_that_failed_is_named_once_and_has_no_series(tmp_path: Path) -> None:
    ParquetStore(records_folder(tmp_path, "bench")).append(of_commit(0))
    names = ("suite.time_it", "suite.time_more")
    keep_results(tmp_path, 1, {name: row([None], []) for name in names})
    fail(tmp_path, 1)

    dashboard = gather([str(tmp_path)])

    (failure,) = dashboard.failures
    assert (failure.hash, failure.machine, failure.reason) == (commit(1), "bench", REASON)
    assert failure.commit is not None
    assert dashboard.commits[failure.commit].hash == commit(1)
    assert not [one for one in dashboard.series if one.source == "asv"]
    told = [one for one in dashboard.notes if "failed" in one]
    assert told == [
        f"commit {commit(1)[:10]} could not be measured on bench: it failed to measure: {REASON}"
    ]


def test_what_was_measured_since_did_not_fail(tmp_path: Path) -> None:
    ParquetStore(records_folder(tmp_path, "bench")).append(of_commit(0))
    fail(tmp_path, 0, unix_s=1.7e9)
    assert not gather([str(tmp_path)]).failures
    # It did again.
    fail(tmp_path, 0)
    fail(tmp_path, 0, unix_s=LATER_S + 1.0, reason="the newest")
    (failure,) = gather([str(tmp_path)]).failures
    assert (failure.commit, failure.reason) == (0, "the newest")


def test_a_commit_that_could_not_be_built_is_told_without_a_place(tmp_path: Path) -> None:
    ParquetStore(records_folder(tmp_path, "bench")).append(of_commit(0))
    fail(tmp_path, 7)
    dashboard = gather([str(tmp_path)])
    assert [(one.hash, one.commit) for one in dashboard.failures] == [(commit(7), None)]
    assert any(commit(7)[:10] in one for one in dashboard.notes)


def test_there_is_a_page_of_nothing_but_a_failure(tmp_path: Path) -> None:
    keep_results(tmp_path, 0, {"suite.time_it": row([None], [])})
    fail(tmp_path, 0)
    dashboard = gather([str(tmp_path)])
    assert (len(dashboard.series), len(dashboard.failures)) == (0, 1)


def test_benchmarks_that_failed_are_told_with_their_commits_and_together(tmp_path: Path) -> None:
    names = [f"suite.time_{place}" for place in range(8)]
    for place in range(3):
        figure = None if place else 0.1
        keep_results(tmp_path, place, {name: row([figure], []) for name in names})

    (told,) = (one for one in gather([str(tmp_path)]).notes if "failed" in one)

    assert told == (
        f"{', '.join(names[:6])} and 2 more: asv has no figure of 16 runs, which failed, at "
        f"{commit(1)[:10]}, {commit(2)[:10]}"
    )


def test_many_notes_are_cut(tmp_path: Path) -> None:
    ParquetStore(records_folder(tmp_path, "bench")).append(of_commit(0))
    for place in range(1, 21):
        fail(tmp_path, place)
    told = [one for one in gather([str(tmp_path)]).notes if "failed" in one]
    assert len(told) == 13
    assert told[-1] == "and 8 more notes of what failed"


def test_a_served_page_sees_a_failure(tmp_path: Path) -> None:
    order = DashboardOrder((str(tmp_path),), None, None, "", "")
    before = look_at(order)
    fail(tmp_path, 0)
    assert look_at(order) != before
