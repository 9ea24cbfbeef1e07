"""Commits are in one order, that of detect, also where git knows some of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.dashboard.gather import gather
from harness.history.commits import KnownCommit
from harness.history.detect import find_candidates
from harness.store.parquet import ParquetStore
from tests.dashboard.histories import DAY_S, of_commit
from tests.history.records import CONTEXT
from tests.history.repositories import Repository

if TYPE_CHECKING:
    from pathlib import Path

    from harness.types import Record

# As records and git may have it: days after the first.
KNOWN = {"aa" * 20: 0, "bb" * 20: 9, "cc" * 20: 4, "dd" * 20: 12}
UNKNOWN = {"11" * 20: 3, "22" * 20: 6, "33" * 20: 20}


def date_of(days: float) -> str:
    return f"2026-01-{1 + days:02}T00:00:00+00:00"


def of(name: str, place: int, days: float, **changes: Any) -> Record:
    context = replace(
        CONTEXT, commit=name, commit_unix_s=1_767_225_600 + DAY_S * days, started_unix_s=1.8e9
    )
    return of_commit(place, context=context, **changes)


@pytest.fixture
def git(monkeypatch: pytest.MonkeyPatch) -> dict[str, KnownCommit]:
    """What git knows: each after the one before, whatever their dates are."""
    known = {
        name: KnownCommit(place, f"subject {place}", "somebody", date_of(days))
        for place, (name, days) in enumerate(KNOWN.items())
    }
    for module in ("harness.dashboard.timeline", "harness.history.detect"):
        monkeypatch.setattr(f"{module}.know_commits", lambda *_: known)
    return known


@pytest.mark.usefixtures("git")
def test_each_environment_has_the_order_of_detect(tmp_path: Path) -> None:
    other = {"cpu": "other", "gpu": None}
    everything = [*KNOWN.items(), *UNKNOWN.items()]
    for place, (name, days) in enumerate(everything):
        ParquetStore(tmp_path).append(of(name, place, days))
    for place, (name, days) in enumerate([*KNOWN.items()][1:], start=20):
        ParquetStore(tmp_path).append(of(name, place, days, environment=other))

    dashboard = gather([str(tmp_path)], repository=tmp_path)

    names = [one.hash for one in dashboard.commits]
    assert [name for name in names if name in KNOWN] == list(KNOWN)
    detected = find_candidates([str(tmp_path)], repository=tmp_path)
    for one in detected.series:
        (series,) = (
            its
            for its in dashboard.series
            if its.component == one.points.name.component
            and dashboard.environments[its.environment].fingerprint
            == one.points.environment.fingerprint
        )
        assert tuple(names[place] for place in series.commits) == one.points.commits
    assert {one.points.is_by_date for one in detected.series} == {True, False}
    assert any("git does not know 3 of 7 commits" in note for note in dashboard.notes)
    assert not any("in the order of their dates" in note for note in dashboard.notes)


@pytest.mark.usefixtures("git")
def test_what_git_knows_is_held_against_others_by_its_own_date(tmp_path: Path) -> None:
    (name, *_) = KNOWN
    # Nothing but when it was measured is known of it beside git's date: long after it was made.
    environment = {"cpu": "some", "gpu": None}
    measured = {**environment, "pipeline_commit": {"commit": name, "is_dirty": False}}
    single = of_commit(0, context=None, environment=measured)
    ParquetStore(tmp_path).append(replace(single, created_utc="2026-02-01T00:00:00+00:00"))
    for place, (other, days) in enumerate(UNKNOWN.items(), start=1):
        ParquetStore(tmp_path).append(of(other, place, days))

    dashboard = gather([str(tmp_path)], repository=tmp_path)

    assert [one.hash for one in dashboard.commits] == [name, *UNKNOWN]
    dates = [one.date_utc for one in dashboard.commits]
    assert dates == sorted(dates)


def test_a_hostile_subject_is_shown_and_changes_nothing_else(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    first = repository.commit("honest")
    subject = f"oops \u2028{first}\x1f1\x1fEve\x1fforged"
    second = repository.commit(subject)
    for place, name in enumerate((first, second)):
        ParquetStore(tmp_path / "records").append(of(name, place, place))

    dashboard = gather([str(tmp_path / "records")], repository=repository.root)

    assert [one.subject for one in dashboard.commits] == ["honest", subject]
    assert not dashboard.is_by_date
    assert not find_candidates([str(tmp_path / "records")], repository=repository.root).candidates


def test_that_the_order_of_commits_of_one_second_is_not_known_is_told(tmp_path: Path) -> None:
    for place, name in enumerate([*UNKNOWN][:2]):
        ParquetStore(tmp_path).append(of(name, place, 3))
    ParquetStore(tmp_path).append(of("33" * 20, 2, 4))
    (told,) = (one for one in gather([str(tmp_path)]).notes if "same second" in one)
    assert told.startswith("2 of 3 commits are of the same second as others, and git does not know")


def test_commits_of_one_second_that_git_knows_have_an_order(
    tmp_path: Path, git: dict[str, KnownCommit]
) -> None:
    for place, name in enumerate([*KNOWN][:2]):
        ParquetStore(tmp_path).append(of(name, place, 3))
    assert len(git) == len(KNOWN)
    dashboard = gather([str(tmp_path)], repository=tmp_path)
    assert not [one for one in dashboard.notes if "same second" in one]
