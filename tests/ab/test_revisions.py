"""What is named: commits, branches, tags and the working tree; and a tree of each."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.ab.checkout import check_out
from harness.ab.revisions import check_clean, find_repository, resolve
from harness.errors import FeatureUnavailableError, OptionError
from harness.measure.environment import describe_environment, git_state
from tests.history.repositories import Repository

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    found = Repository(tmp_path / "repository")
    found.commit("First", {"a/one.txt": "1", "b.txt": "b", ".gitignore": "*.log\n"})
    found.git("tag", "v1")
    found.commit("Second", {"a/one.txt": "2"})
    return found


def test_a_commit_is_found_by_any_name(repository: Repository) -> None:
    first, second = repository.git("rev-list", "--reverse", "HEAD").split()
    for label, commit, subject in (
        ("v1", first, "First"),
        ("main", second, "Second"),
        (first[:10], first, "First"),
        ("HEAD~1", first, "First"),
        (".", second, "Second"),
        ("WORKTREE", second, "Second"),
    ):
        found = resolve(label, repository.root)
        assert (found.commit, found.subject) == (commit, subject)
        assert found.is_worktree == (label in {".", "WORKTREE"})
    assert str(resolve("v1", repository.root)) == f"v1 ({first[:8]})"
    assert str(resolve(first, repository.root)) == first[:8]
    assert str(resolve(".", repository.root)) == "the working tree"
    assert str(replace(resolve("v1", repository.root), label="a\x1b[2J\n")).startswith(
        "a\\x1b[2J\\x0a ("
    )


@pytest.mark.parametrize("label", ["v2", "0" * 40, "--all", "main..v1", "HEAD:b.txt", ""])
def test_what_git_does_not_know_is_refused(repository: Repository, label: str) -> None:
    with pytest.raises(OptionError, match="git knows no commit, branch or tag") as caught:
        resolve(label, repository.root)
    assert caught.value.where == label


def test_a_shallow_clone_is_told_to_be_one(repository: Repository, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    command = ["git", "clone", "--quiet", "--depth=1", f"file://{repository.root}", str(shallow)]
    subprocess.run(command, check=True)
    with pytest.raises(OptionError, match="the clone is shallow; fetch the rest: git fetch --uns"):
        resolve("HEAD~1", shallow)


def test_a_folder_in_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is in no repository of git"):
        find_repository(tmp_path)


def test_git_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FeatureUnavailableError, match="git cannot be run"):
        find_repository(tmp_path)


def test_the_top_is_found_from_within(repository: Repository) -> None:
    assert find_repository(repository.root / "a") == repository.root.resolve()


def test_changes_that_would_be_left_out_are_told(repository: Repository) -> None:
    head, before, tree = (resolve(label, repository.root) for label in ("HEAD", "v1", "."))
    check_clean([before, head], repository.root)
    (repository.root / "new.txt").write_text("not tracked")
    check_clean([before, head], repository.root)

    (repository.root / "b.txt").write_text("changed")

    with pytest.raises(OptionError, match=r"differs from it in 1 file, as b.txt") as caught:
        check_clean([before, head], repository.root)
    assert caught.value.where == "HEAD"
    # Those that are named, and commits that are not checked out, leave nothing out.
    check_clean([before, tree], repository.root)
    check_clean([before, before], repository.root)


def test_a_commits_tree_is_as_it_was_and_the_repository_is_not_touched(
    repository: Repository, tmp_path: Path
) -> None:
    (repository.root / "b.txt").write_text("changed")
    status, head = repository.git("status", "--porcelain"), repository.git("rev-parse", "HEAD")
    first = resolve("v1", repository.root)

    tree = check_out(first, repository.root, tmp_path / "side" / "tree")

    assert (tree / "a/one.txt").read_text() == "1"
    assert (tree / "b.txt").read_text() == "b"
    assert git_state(tree) == {"commit": first.commit, "is_dirty": False}
    assert repository.git("status", "--porcelain") == status
    assert repository.git("rev-parse", "HEAD") == head
    assert repository.git("worktree", "list").count("\n") == 0


def test_the_working_tree_is_taken_as_it_is(repository: Repository, tmp_path: Path) -> None:
    (repository.root / "b.txt").unlink()
    (repository.root / "a/one.txt").write_text("mine")
    (repository.root / "a/new é.txt").write_text("new")
    (repository.root / "a/link").symlink_to("one.txt")
    (repository.root / "x.log").write_text("ignored")

    tree = check_out(resolve(".", repository.root), repository.root, tmp_path / "tree")

    assert (tree / "a/one.txt").read_text() == "mine"
    assert (tree / "a/new é.txt").read_text() == "new"
    assert (tree / "a/link").is_symlink()
    assert not (tree / "b.txt").exists()
    assert not (tree / "x.log").exists()
    state = git_state(tree)
    assert state is not None
    assert state["is_dirty"]


@pytest.mark.parametrize("changed", ["b.txt", "new.txt"])
def test_the_working_tree_is_no_commit_wherever_it_differs(
    repository: Repository, tmp_path: Path, changed: str
) -> None:
    here = resolve(".", repository.root)
    same = check_out(here, repository.root, tmp_path / "same")
    (repository.root / changed).write_text("mine")
    tree = check_out(here, repository.root, tmp_path / "tree")

    # The pipeline's own folder is as it is in the commit; what it imports is not.
    for folder, is_dirty in ((same, False), (tree, True)):
        # Such as a build leaves behind.
        (folder / "left-over.txt").write_text("built")
        found = describe_environment(folder / "a")["pipeline_commit"]
        assert found == {"commit": here.commit, "is_dirty": is_dirty}
