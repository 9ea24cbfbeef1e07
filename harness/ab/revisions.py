"""What is named on the command line: a commit of a repository, or its working tree as it is."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.children import git_environment
from harness.errors import FeatureUnavailableError, OptionError
from harness.report.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

# What stands for the working tree.
WORKTREE: Final = frozenset({".", "WORKTREE"})
_TIMEOUT_S: Final = 120.0
_SHORT: Final = 8


@dataclass(frozen=True)
class Revision:
    """One side: ``label`` as it was named, the full hash of its commit, and that commit's subject.

    With ``is_worktree`` it is the working tree, which may differ from ``commit``.
    """

    label: str
    commit: str
    subject: str
    is_worktree: bool = False

    @property
    def name(self) -> str:
        """For messages: the short hash, or ``the working tree``."""
        return "the working tree" if self.is_worktree else self.commit[:_SHORT]

    def __str__(self) -> str:
        """For tables: ``main (0123abcd)``; on one line, whatever it is called."""
        if self.is_worktree:
            return "the working tree"
        short = self.commit[:_SHORT]
        if self.commit.startswith(self.label):
            return short
        return f"{visible(self.label)} ({short})"


def find_repository(folder: Path) -> Path:
    """The top of the repository that ``folder`` is in.

    Raises:
        FeatureUnavailableError: git is not installed.
        OptionError: it is in none.
    """
    code, out, _ = run_git(folder, "rev-parse", "--show-toplevel")
    if code:
        what = f"{folder} is in no repository of git"
        raise OptionError(what, where="--repository", fix="name one that holds the commits")
    return Path(out)


def resolve(label: str, repository: Path) -> Revision:
    """The commit, branch or tag called ``label``; ``.`` or ``WORKTREE`` is the working tree.

    Raises:
        OptionError: git does not know it.
    """
    is_worktree = label in WORKTREE
    name = "HEAD" if is_worktree else label
    # What begins with a dash would be an option of git's.
    words = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    code, commit, _ = run_git(repository, *words)
    if code:
        raise _unknown(label, repository)
    _, subject, _ = run_git(repository, "log", "-1", "--format=%s", commit)
    return Revision(label, commit, subject, is_worktree)


def _unknown(label: str, repository: Path) -> OptionError:
    what = f"git knows no commit, branch or tag {label!r}"
    _, shallow, _ = run_git(repository, "rev-parse", "--is-shallow-repository")
    if shallow == "true":
        what += ", and the clone is shallow"
        return OptionError(what, where=label, fix="fetch the rest: git fetch --unshallow")
    fix = "name one of this repository, or . for the working tree as it is"
    return OptionError(what, where=label, fix=fix)


def check_clean(sides: Sequence[Revision], repository: Path) -> None:
    """Refuse what would leave out changes that are in the working tree and in no commit.

    That is where a side is the very commit that is checked out, and no side the working tree.

    Raises:
        OptionError: there are such changes.
    """
    if any(side.is_worktree for side in sides):
        return
    code, head, _ = run_git(repository, "rev-parse", "HEAD")
    here = next((side for side in sides if side.commit == head), None)
    if code or here is None:
        return
    _, changed, _ = run_git(
        repository, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=untracked"
    )
    if changed:
        first, count = changed.splitlines()[0].split()[-1], len(changed.splitlines())
        what = f"the working tree differs from it in {count} file{'s' * (count > 1)}, as {first}"
        fix = "name . to measure it as it is, commit the changes, or add --committed"
        raise OptionError(what, where=here.label, fix=fix)


def run_git(folder: Path, *arguments: str, index: Path | None = None) -> tuple[int, str, str]:
    """Run git in ``folder``: its exit code, and what it wrote to its output and to its errors.

    Raises:
        FeatureUnavailableError: it is not installed, or does not end.
    """
    environment = git_environment()
    if index is not None:
        environment["GIT_INDEX_FILE"] = str(index)
    try:
        done = subprocess.run(  # noqa: S603  # git, with our own arguments
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
            timeout=_TIMEOUT_S,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        what = f"git cannot be run: {error}"
        fix = "install git, and name a folder that there is"
        raise FeatureUnavailableError(what, where=str(folder), fix=fix) from error
    return done.returncode, done.stdout.rstrip("\n"), done.stderr.strip()
