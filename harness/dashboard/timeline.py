"""The commits of a dashboard in one order, that of ``harness history detect``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.dashboard.model import Commit
from harness.history.commits import in_order, know_commits, tied

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from harness.dashboard.histories import NamedCommit
    from harness.history.commits import KnownCommit

_HASH: str = "{hash}"


@dataclass(frozen=True)
class Timeline:
    """All commits, the oldest first; ``places`` is where each is, and ``known`` what git knows.

    What is of no commit has one for itself, named by when it was recorded, and these are
    ``of_none``. Of the commits that are ``tied`` it is not known which is newer.
    """

    commits: tuple[Commit, ...]
    places: Mapping[str, int]
    known: Mapping[str, KnownCommit]
    of_none: frozenset[str]
    tied: frozenset[str] = frozenset()

    @property
    def unknown(self) -> frozenset[str]:
        """The commits that git does not know: their dates say where they are."""
        return frozenset(self.places) - self.of_none - self.known.keys()

    @property
    def is_by_date(self) -> bool:
        """Whether git does not know all of them."""
        return bool(self.unknown)


def order_commits(
    named: Iterable[NamedCommit], repository: Path | None, commit_url: str
) -> Timeline:
    """The timeline of ``named`` commits.

    Those that git knows in ``repository`` are in its order, and each of the others is where its
    date puts it. ``commit_url`` has ``{hash}`` where the commit's hash belongs.
    """
    by_name = {one.name: one for one in named}
    hashes = {name for name, one in by_name.items() if not one.record_id}
    known = know_commits(hashes, repository) if repository is not None and hashes else {}
    dates = {name: one.date_utc for name, one in by_name.items()}
    names = in_order(dates, known)
    ordered = [by_name[name] for name in names]
    return Timeline(
        commits=tuple(_commit(one, known.get(one.name), commit_url) for one in ordered),
        places={one.name: place for place, one in enumerate(ordered)},
        known=known,
        of_none=frozenset(by_name) - hashes,
        tied=tied({name: dates[name] for name in hashes}, known),
    )


def _commit(one: NamedCommit, known: KnownCommit | None, commit_url: str) -> Commit:
    if one.record_id:
        return Commit(one.name, one.date_utc, f"of no commit: record {one.record_id}")
    url = commit_url.replace(_HASH, one.name) if commit_url else ""
    if known is None:
        return Commit(one.name, one.date_utc, url=url)
    return Commit(one.name, known.date_utc or one.date_utc, known.subject, known.author, url)
