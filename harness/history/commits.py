"""Which commits a branch or a range of git is."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from harness.errors import OptionError

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT_S = 60.0


def resolve_commits(revisions: str, repository: Path) -> tuple[str, ...]:
    """The full hashes of ``revisions`` in ``repository``, as ``git rev-list`` takes them.

    A range (``v1..v2``, ``HEAD~10..HEAD``) is the commits in it, a branch all that it is made of.

    Raises:
        OptionError: git does not know them, or there is no git.
    """
    # What begins with a dash would be an option of git's.
    command = ["git", "-C", str(repository), "rev-list", "--end-of-options", revisions, "--"]
    try:
        done = subprocess.run(  # noqa: S603  # git, with our own arguments
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        what = f"git cannot be run: {error}"
        raise OptionError(what, where=revisions, fix="install git, or leave it out") from error
    if done.returncode:
        what = f"git does not know it: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}"
        fix = "name a branch or a range (v1..v2) of --repository"
        raise OptionError(what, where=revisions, fix=fix)
    return tuple(done.stdout.split())
