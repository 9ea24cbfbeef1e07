"""Of which commit a record is, and where and in which round it was measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.errors import RecordError

if TYPE_CHECKING:
    from harness.types import Record


@dataclass(frozen=True)
class HistoryContext:
    """What asv's results of a commit say beside the figures, so that they can be made again.

    ``commit`` is the full hash and ``commit_unix_s`` its date, in seconds. ``machine`` and
    ``environment_name`` are asv's names, ``requirements`` what the environment was made with and
    ``python`` its version. ``round`` is counted from 0 within one run of asv: one that is not above
    the round before it, by ``started_unix_s``, begins a new run, which takes the place of the old
    one, as it does in asv. ``machine_values`` is the content of asv's machine file, without its
    version, and ``env_vars`` the variables that asv set for the environment. ``imported_from``
    names the file of asv's results that the record was made from; empty where it was measured.
    ``plan_hash`` is that of the plan it was measured by; empty where that is not known.
    """

    commit: str
    commit_unix_s: float
    machine: str
    environment_name: str
    requirements: dict[str, str]
    python: str
    round: int
    started_unix_s: float
    machine_values: dict[str, str] = field(default_factory=dict)
    env_vars: dict[str, str] = field(default_factory=dict)
    imported_from: str = ""
    plan_hash: str = ""


def context_of(record: Record) -> HistoryContext | None:
    """The context in ``record``; None where it was not measured for the history.

    Raises:
        RecordError: it is not what :class:`HistoryContext` holds.
    """
    return context_in(record.history, where=record.record_id)


def context_in(history: dict[str, Any] | None, *, where: str) -> HistoryContext | None:
    """The context that ``history`` holds, a record's field of that name.

    Raises:
        RecordError: it is another one; ``where`` names the record.
    """
    if history is None:
        return None
    try:
        return HistoryContext(**history)
    except TypeError as error:
        fix = "read it with the harness that wrote it"
        what = f"its history is of another kind: {error}"
        raise RecordError(what, where=where, fix=fix) from error
