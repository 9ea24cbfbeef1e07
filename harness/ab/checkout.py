"""A tree of its own for each side: a clone that shares the objects of the user's repository.

Nothing is written to that repository, and git tells in the clone of which commit a file is.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from harness.ab.revisions import run_git
from harness.errors import StorageError, WorkerError, storage_errors

if TYPE_CHECKING:
    from pathlib import Path

    from harness.ab.revisions import Revision


def check_out(revision: Revision, repository: Path, tree: Path) -> Path:
    """Make ``tree`` hold ``revision``; gives it.

    Of the working tree it has all files but those that git ignores.

    Raises:
        WorkerError: git cannot check it out.
        StorageError: the disk is full.
    """
    with storage_errors(tree):
        tree.parent.mkdir(parents=True, exist_ok=True)
    clone = ["clone", "--quiet", "--shared", "--no-checkout", str(repository), str(tree)]
    _do(revision, tree.parent, *clone)
    # As it was written: what a user's settings would change is no part of a commit.
    _do(revision, tree, "config", "advice.detachedHead", "false")
    _do(revision, tree, "checkout", "--quiet", "--force", "--detach", revision.commit)
    if revision.is_worktree:
        _copy_changes(repository, tree)
    return tree


def _do(revision: Revision, folder: Path, *arguments: str) -> str:
    code, out, said = run_git(folder, *arguments)
    if code:
        reason = (said.splitlines() or ["no reason"])[-1]
        if "No space left" in said:
            fix = "free some space, or set TMPDIR"
            raise StorageError("the disk is full", where=str(folder), fix=fix)
        what = f"git cannot check it out: {reason}"
        fix = "nothing is measured of it; is the clone shallow, or damaged?"
        raise WorkerError(what, where=f"commit {revision.name}", fix=fix)
    return out


def _copy_changes(repository: Path, tree: Path) -> None:
    """Bring the files of the working tree over those of its commit, and take away the others."""
    _, there, _ = run_git(
        repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard"
    )
    kept = {name for name in there.split("\0") if name}
    _, before, _ = run_git(tree, "ls-files", "-z")
    with storage_errors(tree):
        for name in sorted({name for name in before.split("\0") if name} | kept):
            source, target = repository / name, tree / name
            if name in kept and (source.is_file() or source.is_symlink()):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.unlink(missing_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
            elif target.is_file() or target.is_symlink():
                target.unlink()
    # What is new counts as a change of the commit, and what is built here later does not.
    run_git(tree, "add", "--intent-to-add", "--", ".")
