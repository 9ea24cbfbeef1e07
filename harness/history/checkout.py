"""Whether a working tree still is the commit that is to be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import WorkerError
from harness.measure.environment import git_state

if TYPE_CHECKING:
    from pathlib import Path


def check_checkout(checkout: Path, commit: str, part: str) -> None:
    """Check that ``checkout`` is at ``commit``, and its folder ``part`` as it is there.

    Files that git does not track are no matter: building and importing leave some behind.

    Raises:
        WorkerError: it is not, or git cannot tell.
    """
    found = git_state(checkout, part, untracked=False)
    if found == {"commit": commit, "is_dirty": False}:
        return
    if found is None or found["is_dirty"] is None:
        what = f"git cannot tell of which commit the checkout is, or has no {part} in it"
    elif found["commit"] != commit:
        what = f"the checkout is at {found['commit'][:8]}: something else has checked that out"
    else:
        what = f"files of {part} are not as they are in the commit: something has changed them"
    fix = "let nothing else use env_dir; then try again with --retry-failed"
    raise WorkerError(what, where=f"commit {commit[:8]}", fix=fix)
