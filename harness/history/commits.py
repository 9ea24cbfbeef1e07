"""Which commits a branch or a range of git is."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from harness.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_TIMEOUT_S = 60.0
_HASH: Final = re.compile(r"[0-9a-f]{40,64}")
# Hash, seconds of the date, author and subject; neither of the last two holds the character.
_SEPARATOR: Final = "\x1f"
_FORMAT: Final = "%H%x1f%ct%x1f%an%x1f%s"
_GIVEN_HASH: Final = re.compile(r"[0-9a-f]{7,40}")


def is_hash(name: str) -> bool:
    """Whether ``name`` is a hash, whole or begun, so that it means one commit and no other."""
    return _GIVEN_HASH.fullmatch(name) is not None


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


@dataclass(frozen=True)
class KnownCommit:
    """A commit that git knows: where it comes in the history, from 0, and what git says of it."""

    position: int
    subject: str
    author: str = ""
    date_utc: str = ""


def know_commits(commits: Collection[str], repository: Path) -> dict[str, KnownCommit]:
    """Those of ``commits`` (full hashes) that git knows in ``repository``, by hash.

    Nothing where there is no git, no repository, or none of them in it: dates then give the order.
    """
    command = ["git", "-C", str(repository), "log", "--ignore-missing", "--topo-order", "--reverse"]
    command += ["--no-show-signature", f"--format={_FORMAT}", "--stdin"]
    try:
        done = subprocess.run(  # noqa: S603  # git, with our own arguments
            command,
            input="".join(f"{one}\n" for one in commits if _HASH.fullmatch(one)),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if done.returncode:
        return {}
    found = {}
    for position, line in enumerate(done.stdout.splitlines()):
        name, seconds, author, subject = (*line.split(_SEPARATOR, 3), "", "", "")[:4]
        if name in commits:
            date = datetime.fromtimestamp(float(seconds or 0.0), timezone.utc).isoformat()
            found[name] = KnownCommit(position, subject, author, date)
    return found
