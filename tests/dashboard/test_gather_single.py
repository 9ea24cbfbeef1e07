"""Records of no history: in series of their own, without changes; sides of A/Bs in none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.dashboard.gather import gather
from harness.dashboard.model import NEWEST_WITH_SAMPLES
from harness.history.detect import find_candidates
from harness.store.parquet import ParquetStore
from harness.types import Replication
from tests.dashboard.histories import commit, keep_history, of_commit
from tests.history.records import record

if TYPE_CHECKING:
    from pathlib import Path

    from harness.dashboard.model import Dashboard, Series
    from harness.types import Record

COUNT = 30
STEP_AT = 15


def single(place: int, *, is_dirty: bool = False, **changes: Any) -> Record:
    """A run of a commit that no history made; slower by a tenth from ``STEP_AT`` on."""
    tree = {"commit": commit(place), "is_dirty": is_dirty}
    one = of_commit(place, 1.1 if place >= STEP_AT else 1.0)
    return record(
        f"s{place}",
        one.measurements,
        None,
        created_utc=f"2026-01-{1 + place // 24:02}T{place % 24:02}:00:00+00:00",
        environment={"cpu": "some", "gpu": None, "pipeline_commit": tree},
        **changes,
    )


def keep(folder: Path, *records: Record) -> None:
    for one in records:
        ParquetStore(folder).append(one)


def encoders(dashboard: Dashboard, *, of_history: bool) -> list[Series]:
    return [
        one
        for one in dashboard.series
        if one.component == "encoder" and one.of_history is of_history
    ]


@pytest.mark.parametrize("is_dirty", [False, True])
def test_single_runs_are_no_history(tmp_path: Path, *, is_dirty: bool) -> None:
    keep(tmp_path, *(single(place, is_dirty=is_dirty) for place in range(COUNT)))

    dashboard = gather([str(tmp_path)])

    assert not find_candidates([str(tmp_path)]).series
    assert not encoders(dashboard, of_history=True)
    (series,) = encoders(dashboard, of_history=False)
    assert np.isfinite(series.median_s).sum() == COUNT
    assert not series.changes
    assert np.isnan(series.levels_s).all()
    assert "no history" in series.canary_note
    assert len(series.samples) == NEWEST_WITH_SAMPLES
    assert any(f"{COUNT} of {COUNT} records are of single runs" in one for one in dashboard.notes)


def test_what_is_of_no_commit_at_all_is_a_single_run(tmp_path: Path) -> None:
    keep(tmp_path, record("bare", context=None))

    assert [one.of_history for one in gather([str(tmp_path)]).series] == [False, False]


def test_single_runs_are_never_joined_with_a_history(tmp_path: Path) -> None:
    keep_history(tmp_path, 40, step_at=25)
    detected = find_candidates([str(tmp_path)])
    own = gather([str(tmp_path)])
    # Of the same commits and the same environment, and very different.
    tree = {"cpu": "some", "gpu": None}
    for place in range(0, 60, 2):
        one = single(place)
        slow = [
            replace(its, latency_s=tuple(3.0 * value for value in its.latency_s))
            for its in one.measurements
        ]
        made = {**tree, "pipeline_commit": {"commit": commit(place), "is_dirty": False}}
        keep(tmp_path, replace(one, measurements=tuple(slow), environment=made))

    dashboard = gather([str(tmp_path)])

    (series,) = encoders(dashboard, of_history=True)
    (before,) = encoders(own, of_history=True)
    np.testing.assert_array_equal(series.median_s, before.median_s)
    np.testing.assert_array_equal(series.levels_s, before.levels_s)
    assert [(one.good, one.bad, one.ratio) for one in series.changes] == [
        (one.good, one.bad, one.change.ratio) for one in detected.candidates
    ]
    again = find_candidates([str(tmp_path)])
    assert [one.change for one in again.candidates] == [one.change for one in detected.candidates]
    # The newest of a history have samples, whatever was measured since.
    assert len(series.samples) >= NEWEST_WITH_SAMPLES
    (others,) = encoders(dashboard, of_history=False)
    assert np.isfinite(others.median_s).sum() == 30
    assert not others.changes


def test_sides_of_an_ab_are_in_no_series(tmp_path: Path) -> None:
    keep_history(tmp_path, 12)
    own = gather([str(tmp_path)])
    for place in range(COUNT):
        sides = Replication(1, 1, experiment=f"x{place // 2}", turns=(0,))
        keep(tmp_path, single(place, replication=sides))

    dashboard = gather([str(tmp_path)])

    assert len(dashboard.series) == len(own.series)
    for one, before in zip(dashboard.series, own.series, strict=True):
        np.testing.assert_array_equal(one.median_s, before.median_s)
        assert not one.changes
    assert not encoders(dashboard, of_history=False)
    assert any("30 of 42 records are sides of A/Bs" in one for one in dashboard.notes)


def test_sides_alone_have_no_series_and_are_shown(tmp_path: Path) -> None:
    for place in range(2):
        keep(tmp_path, single(place, replication=Replication(1, 1, experiment="x", turns=(0,))))

    dashboard = gather([str(tmp_path)])

    assert not dashboard.series
    assert len(dashboard.runs) == 2
