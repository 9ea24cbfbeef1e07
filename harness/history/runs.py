"""Which records of a commit are of one run of asv, and which a later run has taken the place of."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from harness.states import FAIL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.history.context import HistoryContext


def is_invalid(header: Mapping[str, Any]) -> bool:
    """Whether the record of that header was judged invalid: it is kept, and is no figure."""
    found = (header.get("validity") or {}).get("findings", ())
    return any(finding["level"] == FAIL for finding in found)


def order_of(context: HistoryContext, name: str) -> tuple[float, int, str]:
    """What records of one commit are sorted by; ``name`` is that of the record's file."""
    return context.started_unix_s, context.round, name


def is_new_run(context: HistoryContext, last: HistoryContext) -> bool:
    """Whether ``context`` begins a run that takes the place of that of ``last``, before it."""
    is_same_round = (context.round, context.started_unix_s) == (last.round, last.started_unix_s)
    return context.round <= last.round and not is_same_round


def number_runs(contexts: Mapping[str, HistoryContext]) -> dict[str, tuple[int, bool]]:
    """For each file its run, from 0 by commit, machine and environment, and if it is superseded.

    Files of different folders are of different results of asv. ``contexts`` are those of files that
    asv's results are made of: what was interrupted, invalid or imported is not among them.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for file, its in contexts.items():
        key = (str(PurePosixPath(file).parent), its.machine, its.environment_name, its.commit)
        groups.setdefault(key, []).append(file)
    found = {}
    for files in groups.values():
        run, numbers, last = 0, {}, None
        for file in sorted(files, key=lambda name: order_of(contexts[name], name)):
            if last is not None and is_new_run(contexts[file], last):
                run += 1
            numbers[file], last = run, contexts[file]
        found.update({file: (number, number < run) for file, number in numbers.items()})
    return found
