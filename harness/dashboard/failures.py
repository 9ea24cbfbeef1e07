"""Commits that could not be measured, and why: the notes beside the records of a history."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.dashboard.model_rows import CommitFailure
from harness.history.places import FAILURE_SUFFIX, read_failures

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from harness.dashboard.asv_reading import AsvHistories
    from harness.dashboard.timeline import Timeline
    from harness.history.query import Records

_MEASURED: Final = """
SELECT commit, machine, environment, max(epoch(created_utc)) AS unix_s
FROM records WHERE commit IS NOT NULL AND machine IS NOT NULL GROUP BY ALL
"""
_SHORT: Final = 10
_MOST_NAMED: Final = 6
_MOST_NOTES: Final = 12
Where = tuple[str, str, str]


def open_failures(
    sources: Sequence[str], records: Records | None, timeline: Timeline
) -> tuple[CommitFailure, ...]:
    """The last failure of each commit in each environment that has not been measured since.

    Those below the folders among ``sources``; newest commits first.
    """
    rows = [] if records is None else records.table(_MEASURED, {}).to_pylist()
    measured_s = {
        (one["commit"], one["machine"], one["environment"]): one["unix_s"] for one in rows
    }
    found: dict[Where, CommitFailure] = {}
    for folder in _folders(sources):
        # RESULTS/MACHINE/records
        machine = folder.parent.name
        for one in read_failures(folder):
            where = (one.commit, machine, one.environment_name)
            if one.unix_s > measured_s.get(where, 0.0):
                found[where] = CommitFailure(
                    hash=one.commit,
                    commit=timeline.places.get(one.commit),
                    machine=machine,
                    environment_name=one.environment_name,
                    stage=one.stage,
                    reason=one.reason,
                    created_utc=datetime.fromtimestamp(one.unix_s, timezone.utc).isoformat(),
                )
    return tuple(sorted(found.values(), key=lambda one: (_place(one), one.hash), reverse=True))


def failure_notes(failures: Sequence[CommitFailure], asv: AsvHistories) -> tuple[str, ...]:
    """A sentence for each commit that failed, and for benchmarks that did so at the same commits.

    Of a commit whose reason is known, the benchmarks that asv has no figure of are not told.
    """
    notes = [
        f"commit {one.hash[:_SHORT]} could not be measured on {one.machine}: it failed to "
        f"{one.stage}: {one.reason}"
        for one in failures
    ]
    notes += _of_benchmarks(asv.failed, {one.hash for one in failures})
    left = len(notes) - _MOST_NOTES
    return (*notes[:_MOST_NOTES], *([f"and {left} more notes of what failed"] if left > 0 else []))


def _of_benchmarks(failed: Mapping[str, Mapping[str, int]], told: Collection[str]) -> Iterator[str]:
    """Of each set of benchmarks that failed together, at which commits."""
    together: dict[tuple[str, ...], list[str]] = {}
    for commit, benchmarks in failed.items():
        if commit not in told:
            together.setdefault(tuple(sorted(benchmarks)), []).append(commit)
    for names, commits in together.items():
        hashes = [one[:_SHORT] for one in commits]
        runs = sum((Counter(failed[one]) for one in commits), Counter[str]()).total()
        yield (
            f"{_named(names)}: asv has no figure of {runs} run{'s' if runs > 1 else ''}, which "
            f"failed, at {_named(hashes)}"
        )


def _named(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _folders(sources: Sequence[str]) -> Iterable[Path]:
    folders = [Path(source) for source in sources if Path(source).is_dir()]
    notes = (path for one in folders for path in sorted(one.rglob(f"*{FAILURE_SUFFIX}")))
    return dict.fromkeys(path.resolve().parent for path in notes)


def _place(one: CommitFailure) -> int:
    return -1 if one.commit is None else one.commit
