"""Which commits a branch or a range of git is."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from harness.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

_TIMEOUT_S = 60.0
_HASH: Final = re.compile(r"[0-9a-f]{40,64}")
# Hash, seconds of the date, author and subject. Git's texts end at a NUL, so that none holds one;
# whatever else ends or parts lines somewhere may be in them.
_FIELDS: Final = 4
_FORMAT: Final = "%H%x00%ct%x00%an%x00%s"
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
    """A commit that git knows: where it comes in the history, from 0, and what git says of it.

    ``date_utc`` is empty where git has no date of it that is one.
    """

    position: int
    subject: str
    author: str = ""
    date_utc: str = ""


def know_commits(commits: Collection[str], repository: Path) -> dict[str, KnownCommit]:
    """Those of ``commits`` (full hashes) that git knows in ``repository``, by hash.

    Nothing where there is no git, no repository, or none of them in it: dates then give the order.
    """
    command = ["git", "-C", str(repository), "log", "--ignore-missing", "--topo-order", "--reverse"]
    command += ["--no-show-signature", "--encoding=UTF-8", "-z", f"--format={_FORMAT}", "--stdin"]
    asked = "".join(f"{one}\n" for one in commits if _HASH.fullmatch(one))
    try:
        # As bytes: text would have its ends of lines translated.
        done = subprocess.run(  # noqa: S603  # git, with our own arguments
            command, input=asked.encode(), capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return {} if done.returncode else _told(done.stdout.decode("utf-8", "replace"), commits)


def in_order(dates: Mapping[str, str], known: Mapping[str, KnownCommit]) -> tuple[str, ...]:
    """The commits of ``dates`` (ISO 8601, UTC), the oldest first.

    Those that git knows are in its order, and each of the others is before the first of them that
    is younger by its date. Of the same ``known`` commits some have the order among themselves that
    all have.
    """
    reached: dict[str, str] = {}
    latest = ""
    for name in sorted(known, key=lambda name: known[name].position):
        # A commit may be dated before its parent.
        latest = reached[name] = max(latest, known[name].date_utc)

    def key(name: str) -> tuple[str, bool, int, str]:
        if name in known:
            return reached[name], False, known[name].position, name
        return dates[name], True, 0, name

    return tuple(sorted(dates, key=key))


def tied(dates: Mapping[str, str], known: Collection[str]) -> frozenset[str]:
    """Those of ``dates`` that are of the same second as others, where git does not know them all.

    Which of them is newer is not known.
    """
    alike: dict[str, list[str]] = {}
    for name, date in dates.items():
        alike.setdefault(date, []).append(name)
    groups = [names for names in alike.values() if len(names) > 1]
    return frozenset(name for names in groups if not set(names) <= set(known) for name in names)


def _told(said: str, commits: Collection[str]) -> dict[str, KnownCommit]:
    """Those of ``commits`` that git told of; nothing where that cannot be told apart."""
    *fields, _ = said.split("\0")
    names = fields[::_FIELDS]
    if len(fields) % _FIELDS or not all(map(_HASH.fullmatch, names)):
        return {}
    rows = zip(names, fields[1::_FIELDS], fields[2::_FIELDS], fields[3::_FIELDS], strict=True)
    return {
        name: KnownCommit(position, subject, author, _date_of(seconds))
        for position, (name, seconds, author, subject) in enumerate(rows)
        if name in commits
    }


def _date_of(seconds: str) -> str:
    try:
        return datetime.fromtimestamp(int(seconds), timezone.utc).isoformat()
    except (ValueError, OverflowError, OSError):
        # Commits may be written by hand, with any number.
        return ""
