"""Where records and failures lie, and what their names tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import StorageError
from harness.history.lock import hold_folders, release
from harness.history.places import (
    BUILD,
    Failure,
    Progress,
    read_failures,
    read_progress,
    record_label,
    records_folder,
    write_failure,
)

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT = "shared-py3.11-torch2.13.0+cpu"
COMMIT, OTHER = "a" * 40, "b" * 40
# 2026-11-28 19:00:00 UTC
START_S = 1795892400.0


def _record(folder: Path, time: str, commit: str, round_: int, environment: str) -> None:
    label = record_label(commit, environment, round_)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"tiny-20261128T{time}Z-abc123-{label}.parquet").touch()


def _failure(seconds: float, commit: str = COMMIT, environment: str = ENVIRONMENT) -> Failure:
    return Failure(commit, environment, BUILD, "a word is missing", START_S + seconds)


def test_rounds_are_counted_by_commit_and_environment(tmp_path: Path) -> None:
    _record(tmp_path, "190001", COMMIT, 0, ENVIRONMENT)
    _record(tmp_path, "190002", COMMIT, 1, ENVIRONMENT)
    _record(tmp_path, "190003", OTHER, 0, ENVIRONMENT)
    _record(tmp_path, "190004", OTHER, 1, "another")
    (tmp_path / "tiny-20261128T190000Z-abc123.parquet").touch()

    assert read_progress(tmp_path, ENVIRONMENT) == {
        "aaaaaaaa": Progress(2),
        "bbbbbbbb": Progress(1),
    }
    assert read_progress(tmp_path / "none", ENVIRONMENT) == {}


def test_a_new_run_of_a_commit_begins_its_rounds_anew(tmp_path: Path) -> None:
    for time, round_ in (("190001", 0), ("190002", 1), ("190003", 2), ("190009", 0)):
        _record(tmp_path, time, COMMIT, round_, ENVIRONMENT)

    assert read_progress(tmp_path, ENVIRONMENT) == {"aaaaaaaa": Progress(1)}


def test_a_failure_counts_until_the_commit_is_measured(tmp_path: Path) -> None:
    write_failure(tmp_path, _failure(5))
    write_failure(tmp_path, _failure(5, OTHER, "another"))
    assert read_progress(tmp_path, ENVIRONMENT) == {"aaaaaaaa": Progress(0, has_failed=True)}

    _record(tmp_path, "190006", COMMIT, 0, ENVIRONMENT)
    assert read_progress(tmp_path, ENVIRONMENT) == {"aaaaaaaa": Progress(1)}

    write_failure(tmp_path, _failure(7))
    assert read_progress(tmp_path, ENVIRONMENT) == {"aaaaaaaa": Progress(1, has_failed=True)}


def test_failures_are_read_oldest_first_and_damaged_ones_left_out(tmp_path: Path) -> None:
    late, early = _failure(9), _failure(1, OTHER)
    folder = records_folder(tmp_path, "here")
    paths = [write_failure(folder, one) for one in (late, early, early)]
    (folder / "20261128T190000Z-a-b-c.failed").write_text("{")
    paths[2].write_text("[]")

    assert read_failures(folder) == (early, late)
    assert folder == tmp_path / "here" / "records"
    # asv takes every JSON file below its results for one of its own.
    assert not list(folder.glob("*.json"))


def test_one_run_at_a_time_holds_the_results_and_the_environments(tmp_path: Path) -> None:
    results, environments, others = (tmp_path / name for name in ("a", "b", "c"))
    held = hold_folders(results, environments)

    with pytest.raises(StorageError, match="another run works on these results"):
        hold_folders(results, others)
    with pytest.raises(StorageError, match="another run works in this env_dir"):
        hold_folders(others, environments)

    # What was refused holds nothing.
    release(hold_folders(others, others))
    release(held)
    release(hold_folders(results, environments))
