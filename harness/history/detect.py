"""What changed over the commits of a history: which commit, by how much, and whether it lasts.

A candidate only asks for a comparison of its two commits, measured side by side: it does not decide
anything by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from harness.errors import EXIT_INCONCLUSIVE, EXIT_MISSED, EXIT_PASS
from harness.history.commits import know_commits
from harness.history.points import read_points
from harness.history.query import Records, Selection
from harness.percent import signed_percent
from harness.stats.changes import DEFAULT_RULE, ChangeKind, find_changes, machine_drift

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.history.commits import KnownCommit
    from harness.history.points import Points
    from harness.stats.changes import Change, ChangeRule, Findings, MachineDrift


_OF_NO_HISTORY: Final = (
    "SELECT count(*) AS count FROM records WHERE commit IS NOT NULL AND round IS NULL"
)


@dataclass(frozen=True)
class ChangeCandidate:
    """One change of one history, by commits (full hashes).

    ``commit`` is the likeliest to have made it. ``good`` is the last one that is surely before it,
    and ``bad`` the first that surely has it (of a spike or a drift, the last that is of it): it is
    among ``good..bad`` in git's words, by ``change.confidence``. ``suspects`` are those of them
    that have a figure, ``bad`` included. ``subject`` is what git calls ``commit``, where it knows.
    """

    points: Points
    change: Change
    commit: str
    good: str
    bad: str
    suspects: tuple[str, ...]
    subject: str = ""


@dataclass(frozen=True)
class SeriesFindings:
    """What was found in one history; ``drift`` is that of its canary, None where it has none.

    ``is_corrected`` says that the canary's drift was taken out before.
    """

    points: Points
    findings: Findings
    candidates: tuple[ChangeCandidate, ...]
    drift: MachineDrift | None = None

    @property
    def is_corrected(self) -> bool:
        """Whether the figures are those that the machine of the first commit would have given."""
        return self.drift is not None and bool(self.drift.changes)

    @property
    def canary_note(self) -> str:
        """What the canary says, and what was done about it."""
        if self.drift is None:
            return "no canary: a drift of the machine is not told from one of the work"
        name = f"canary {self.points.canary}"
        if self.drift.too_few:
            return f"{name} has too few figures: nothing taken out"
        if not self.drift.changes:
            return f"{name} shows no change of the machine: nothing taken out"
        parts = [
            f"{one.kind.value} of {signed_percent(one.ratio)} % at "
            f"{self.points.commits[one.index][:8]}"
            for one in self.drift.changes
        ]
        return f"{name} shows the machine's own: {', '.join(parts)}; taken out"


@dataclass(frozen=True)
class Detected:
    """All histories that were looked at, in the order of environments and of names.

    ``left_out`` counts the records of a commit that were not looked at, being of no history.
    """

    series: tuple[SeriesFindings, ...]
    left_out: int = 0

    @property
    def candidates(self) -> tuple[ChangeCandidate, ...]:
        """All changes of all of them."""
        return tuple(candidate for one in self.series for candidate in one.candidates)

    @property
    def exit_code(self) -> int:
        """1 where something got slower and still is, 3 where no history is long enough, else 0."""
        if any(one.change.is_open_slowdown for one in self.candidates):
            return EXIT_MISSED
        if not self.series or all(one.findings.too_few for one in self.series):
            return EXIT_INCONCLUSIVE
        return EXIT_PASS


def find_candidates(
    sources: Sequence[str],
    selection: Selection = Selection(),  # noqa: B008  # frozen
    *,
    repository: Path | None = None,
    rule: ChangeRule = DEFAULT_RULE,
    any_record: bool = False,
) -> Detected:
    """Find what changed in the histories that the records in ``sources`` hold.

    Args:
        sources: as those of :class:`Records`.
        selection: which series, and which commits.
        repository: where git looks up the order and the subjects of commits; without it, commits
            are in the order of their dates, and so is each that it does not know.
        rule: by what a change counts.
        any_record: take records that are of no history as well.

    Raises:
        MissingDependencyError: DuckDB is not installed, or has no extension for an address.
        OptionError: one of the places is not there.
        RecordError: there is no record in them.
    """
    with Records(sources) as records:
        rows = records.rows("SELECT DISTINCT commit FROM records WHERE commit IS NOT NULL", {})
        commits = {str(row["commit"]) for row in rows}
        known = know_commits(commits, repository) if repository is not None and commits else {}
        points = read_points(records, selection, known, any_record=any_record)
        (row,) = records.rows(_OF_NO_HISTORY, {})
    left_out = 0 if any_record else int(row["count"])
    return Detected(tuple(detect_in(one, rule, known) for one in points), left_out)


def detect_in(
    points: Points, rule: ChangeRule = DEFAULT_RULE, known: Mapping[str, KnownCommit] | None = None
) -> SeriesFindings:
    """Find what changed in one history."""
    drift = _drift(points.canary_s, rule) if points.canary else None
    times_s = drift.taken_out_of(points.times_s) if drift else points.times_s
    findings = find_changes(times_s, rule)
    candidates = tuple(_candidate(points, one, known or {}) for one in findings.changes)
    return SeriesFindings(points, findings, candidates, drift)


@lru_cache(maxsize=16)
def _drift(canary_s: tuple[float | None, ...], rule: ChangeRule) -> MachineDrift:
    """The canary's: that of many series is one."""
    return machine_drift(canary_s, rule)


def _candidate(points: Points, change: Change, known: Mapping[str, KnownCommit]) -> ChangeCandidate:
    has_figure = [time is not None for time in points.times_s]
    before = [index for index in range(change.first) if has_figure[index]]
    # What a spike of one commit came with is that commit, whatever it is.
    last = change.index if change.kind is ChangeKind.SPIKE else change.last
    suspects = [index for index in range(change.first, last + 1) if has_figure[index]]
    commit = points.commits[change.index]
    return ChangeCandidate(
        points=points,
        change=change,
        commit=commit,
        good=points.commits[before[-1]] if before else "",
        bad=points.commits[change.last],
        suspects=tuple(points.commits[index] for index in suspects),
        subject=known[commit].subject if commit in known else "",
    )
