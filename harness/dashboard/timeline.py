"""The commits of a dashboard in one order: git's, and by date where it does not know them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.dashboard.model import Commit
from harness.history.commits import know_commits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.dashboard.histories import NamedCommit
    from harness.history.commits import KnownCommit

_HASH: str = "{hash}"


@dataclass(frozen=True)
class Timeline:
    """All commits, the oldest first; ``places`` is where each is, and ``known`` what git knows.

    ``is_by_date`` says that git does not know all of them. What is of no commit has one for itself,
    named by when it was recorded, and these are ``of_none``.
    """

    commits: tuple[Commit, ...]
    places: Mapping[str, int]
    known: Mapping[str, KnownCommit]
    is_by_date: bool
    of_none: frozenset[str]


def order_commits(
    named: Iterable[NamedCommit], repository: Path | None, commit_url: str
) -> Timeline:
    """The timeline of ``named`` commits.

    Those that git knows in ``repository`` are in its order, and each of the others is before the
    first of them that is younger. ``commit_url`` has ``{hash}`` where the commit's hash belongs.
    """
    by_name = {one.name: one for one in sorted(named, key=lambda one: (one.date_utc, one.name))}
    hashes = {name for name, one in by_name.items() if not one.record_id}
    known = know_commits(hashes, repository) if repository is not None and hashes else {}
    ordered = _merged(by_name, known)
    return Timeline(
        commits=tuple(_commit(one, known.get(one.name), commit_url) for one in ordered),
        places={one.name: place for place, one in enumerate(ordered)},
        known=known,
        is_by_date=not known.keys() >= hashes,
        of_none=frozenset(by_name) - hashes,
    )


def _merged(
    by_name: Mapping[str, NamedCommit], known: Mapping[str, KnownCommit]
) -> list[NamedCommit]:
    others = [one for name, one in by_name.items() if name not in known]
    ordered = []
    for name in sorted(known, key=lambda name: known[name].position):
        while others and others[0].date_utc < by_name[name].date_utc:
            ordered.append(others.pop(0))
        ordered.append(by_name[name])
    return [*ordered, *others]


def _commit(one: NamedCommit, known: KnownCommit | None, commit_url: str) -> Commit:
    if one.record_id:
        return Commit(one.name, one.date_utc, f"of no commit: record {one.record_id}")
    url = commit_url.replace(_HASH, one.name) if commit_url else ""
    if known is None:
        return Commit(one.name, one.date_utc, url=url)
    return Commit(one.name, known.date_utc, known.subject, known.author, url)
