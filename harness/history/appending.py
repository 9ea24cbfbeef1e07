"""Whether a further round may go to those that are there: by the same plan and harness alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, OptionError
from harness.history.context import context_in
from harness.history.instrument import PACKAGE
from harness.history.places import short
from harness.history.plan import plan_hash, read_plan
from harness.measure.environment import git_state
from harness.store.headers import read_header
from harness.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.history.places import Progress


def check_appendable(commits: Iterable[str], there: Mapping[str, Progress], plan: Path) -> None:
    """Check that the last round of each of ``commits`` was measured as the next one would be.

    Figures of two plans, or of two harnesses, are not to be pooled into one.

    Raises:
        OptionError: one was measured otherwise, or it cannot be told how.
        DeclarationError: the file ``plan`` cannot be used.
    """
    known = {short(commit): there.get(short(commit)) for commit in commits}
    last = {name: progress.newest for name, progress in known.items() if progress}
    made_by = plan_hash(read_plan(plan)), __version__, _commit_of(git_state(PACKAGE))
    others = [name for name, path in last.items() if path and _made_by(path) != made_by]
    if others:
        what = f"{len(others)} commits have rounds by another plan or harness: {others[0]} first"
        fix = "measure them anew with --again, or give a range without them"
        raise OptionError(what, where="--rounds", fix=fix)


def _made_by(path: Path) -> tuple[str, str, str] | None:
    """The plan's hash, the harness's version and its commit; None where that cannot be read."""
    try:
        header = read_header(path)
        context = context_in(header.get("history"), where=str(path))
    except HarnessError:
        return None
    if context is None:
        return None
    commit = _commit_of(header["environment"].get("harness_commit"))
    return context.plan_hash, header["harness_version"], commit


def _commit_of(state: Mapping[str, Any] | None) -> str:
    return str((state or {}).get("commit", ""))
