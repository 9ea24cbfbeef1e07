"""What a page is made of is looked at: records, results, calibrations, and what git knows."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from harness.dashboard.looking import look_at
from harness.dashboard.write import DashboardOrder
from harness.noise.calibration import calibration_path
from tests.history.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_new_changed_and_removed_files_are_seen(tmp_path: Path) -> None:
    record = tmp_path / "reports" / "here" / "a.parquet"
    sources = (str(tmp_path / "reports"), str(tmp_path / "*.parquet"), "s3://bucket/a.parquet")
    order = DashboardOrder(sources)
    nothing = look_at(order)
    assert nothing == look_at(order) == frozenset()

    record.parent.mkdir(parents=True)
    record.write_bytes(b"1")
    new = look_at(order)
    assert new != nothing
    record.write_bytes(b"22")
    changed = look_at(order)
    assert changed != new
    (record.parent / "b.json").touch()
    (tmp_path / "c.parquet").touch()
    assert len(look_at(order)) == 3
    assert len(look_at(DashboardOrder((*sources, str(tmp_path / "c.parquet"))))) == 3
    # What is no source: the page itself, scratch files, notes.
    (record.parent / "index.html").touch()
    (record.parent / ".a.parquet.1234").touch()
    assert len(look_at(order)) == 3
    record.unlink()
    assert len(look_at(order)) == 2


def test_calibrations_are_seen_where_harness_noise_writes_them(tmp_path: Path) -> None:
    order = DashboardOrder((), cache=tmp_path)
    assert look_at(order) == frozenset()

    path = calibration_path(tmp_path, {"machine": "here"}, "tiny")
    path.parent.mkdir(parents=True)
    path.write_text("{}")

    assert {name for name, _, _ in look_at(order)} == {str(path)}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    made.commit("one", {"a": "1", "within/b": "1"})
    return made


CHANGES: dict[str, Callable[[Repository], object]] = {
    "a commit": lambda made: made.commit("two", {"a": "2"}),
    "an amended one": lambda made: made.git("commit", "--amend", "-m", "other", "--quiet"),
    "another branch": lambda made: made.git("checkout", "--quiet", "-b", "other"),
    "no branch": lambda made: made.git("checkout", "--quiet", "--detach"),
    "a fetch": lambda made: made.git("update-ref", "refs/remotes/origin/x", "HEAD"),
    "refs in one file": lambda made: made.git("pack-refs", "--all"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("place", ["", "within"])
def test_what_git_comes_to_know_is_seen(repository: Repository, change: str, place: str) -> None:
    order = DashboardOrder((), repository=repository.root / place)
    before = look_at(order)
    assert before == look_at(order) != frozenset()

    CHANGES[change](repository)

    assert look_at(order) != before


def test_what_git_does_otherwise_is_not(repository: Repository) -> None:
    order = DashboardOrder((), repository=repository.root)
    before = look_at(order)

    (repository.root / "a").write_text("changed")
    repository.git("add", "--all")
    repository.git("status")
    repository.git("gc", "--quiet", "--no-prune")
    # Refs were packed by that, once.
    packed = look_at(order)
    repository.git("fetch", "--quiet", ".")

    assert look_at(order) == packed != before


def test_a_work_tree_and_a_submodule_have_their_folders_elsewhere(repository: Repository) -> None:
    tree = repository.root.parent / "tree"
    repository.git("worktree", "add", "--quiet", "-b", "other", str(tree))
    order = DashboardOrder((), repository=tree)
    before = look_at(order)
    os.utime(repository.root / ".git" / "HEAD", ns=(1, 1))
    assert look_at(order) == before

    made = Repository.__new__(Repository)
    made.root = tree
    made.commit("in it", {"a": "3"})
    committed = look_at(order)
    assert committed != before
    made.git("checkout", "--quiet", "--detach")
    assert look_at(order) != committed


def test_a_bare_repository_and_none_are_looked_at(repository: Repository) -> None:
    bare = repository.root.parent / "bare"
    shutil.copytree(repository.root / ".git", bare)
    assert any(name.endswith("heads/main") for name, _, _ in look_at(DashboardOrder((), bare)))

    nowhere = repository.root.parent / "nowhere"
    nowhere.mkdir()
    assert look_at(DashboardOrder((), nowhere)) == frozenset()
    (nowhere / ".git").write_text("nothing that git writes")
    assert look_at(DashboardOrder((), nowhere)) == frozenset()
    (nowhere / ".git").write_text("gitdir: gone")
    assert look_at(DashboardOrder((), nowhere)) == frozenset()
