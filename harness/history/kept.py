"""The records in folders, by what their headers say."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.errors import RecordError
from harness.history.context import context_in
from harness.history.runs import is_invalid, number_runs
from harness.stats.fingerprint import fingerprint
from harness.store.headers import read_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from harness.history.context import HistoryContext

_log = logging.getLogger(__name__)
# What the names of both records of an A/B end in.
BASE_SUFFIX: Final = "-base"


@dataclass(frozen=True)
class Kept:
    """A record's file, and what its header says."""

    path: Path
    header: Mapping[str, Any]
    context: HistoryContext | None

    @property
    def commit(self) -> str:
        """The full hash; empty where it was of no commit, or of one that was changed or slowed."""
        if self.slowed_by:
            return ""
        if self.context is not None:
            return self.context.commit
        told = self.header["environment"].get("pipeline_commit") or {}
        return "" if self.is_dirty else str(told.get("commit") or "")

    @property
    def is_dirty(self) -> bool:
        """Whether its tree had changes that no commit has."""
        return bool((self.header["environment"].get("pipeline_commit") or {}).get("is_dirty"))

    @property
    def experiment(self) -> str:
        """The experiment of two sides that it is one of; empty if of none."""
        return str((self.header.get("replication") or {}).get("experiment", ""))

    @property
    def is_base(self) -> bool:
        """Whether it is the base of an A/B."""
        return bool(self.experiment) and str(self.header["record_id"]).endswith(BASE_SUFFIX)

    @property
    def slowed_by(self) -> float:
        """The share by which it was made slower on purpose; 0 where it was not."""
        return float((self.header.get("replication") or {}).get("slowed_by") or 0.0)

    @property
    def created(self) -> tuple[str, str]:
        """What records are sorted by."""
        return str(self.header["created_utc"]), str(self.header["record_id"])

    @property
    def fingerprint(self) -> str:
        """That of the environment that it was measured in."""
        return fingerprint(self.header["environment"])

    @property
    def counts(self) -> bool:
        """Whether it is complete, not invalid, and not slowed on purpose."""
        is_whole = bool(self.header["is_complete"]) and not is_invalid(self.header)
        return is_whole and not self.slowed_by


def rounds_of(newest: Kept, among: Sequence[Kept]) -> list[Kept]:
    """All rounds of the run that ``newest`` is of, oldest first; itself where it is of no history.

    They are of one folder, pipeline, environment and machine. ``among``, of one commit, are those
    that runs are told apart by.
    """
    if newest.context is None:
        return [newest]
    runs = number_runs({str(one.path): one.context for one in among if one.context is not None})
    context = newest.context
    return [
        one
        for one in sorted(among, key=lambda one: one.created)
        if one.context is not None
        and one.path.parent == newest.path.parent
        and one.header["pipeline"] == newest.header["pipeline"]
        and one.fingerprint == newest.fingerprint
        and one.context.machine == context.machine
        and one.context.environment_name == context.environment_name
        and runs[str(one.path)] == runs[str(newest.path)]
    ]


def kept_in(places: Iterable[Path]) -> list[Kept]:
    """Every record below ``places``; what is none, or damaged, is left out with a warning."""
    found = []
    for place in places:
        for path in sorted(place.rglob("*.parquet")):
            try:
                header = read_header(path)
                context = context_in(header.get("history"), where=str(path))
                found.append(Kept(path, header, context))
            except RecordError as error:
                _log.warning("%s; it is left out", error)
    return found
