"""Where a history's p99 is heading, in the environment of a record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Final

from harness.history.kept import kept_in
from harness.history.runs import number_runs
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.report.budget_spent import Prospect, Spent
from harness.report.pools import pool
from harness.stats.fingerprint import fingerprint
from harness.stats.quantiles import estimate_quantile
from harness.stats.trend import fit_slope, outlook
from harness.store.parquet import read_record
from harness.types import HOT, PACED, Case

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.history.kept import Kept
    from harness.types import Measurement, Record, Variant

_DAY_S: Final = 86400.0
# One series of a pipeline: its variant, size, mode and streams.
_Kind = tuple["Variant", Case, str, int]


@dataclass
class _Commit:
    """What was measured of one commit: the p99 of each series, once a round."""

    unix_s: float
    p99_s: dict[_Kind, list[float]]


def with_prospects(
    spent: Sequence[Spent], record: Record, places: Sequence[Path]
) -> tuple[Spent, ...]:
    """``spent`` with the trend of each, over the records of ``places`` (with all below).

    Of those of the same pipeline and environment that are of a commit, complete, valid, and of the
    newest run of their commit. A commit is one point, the median of its rounds' p99; commits are
    in the order of their dates.
    """
    commits = _commits(record, places)
    return tuple(replace(one, prospect=_prospect(one, commits)) for one in spent)


def _commits(record: Record, places: Sequence[Path]) -> list[_Commit]:
    own = fingerprint(record.environment)
    kept = [
        one
        for one in kept_in(places)
        if one.context is not None
        and one.counts
        and one.header["pipeline"] == record.pipeline
        and one.fingerprint == own
    ]
    found: dict[str, _Commit] = {}
    for one in _newest(kept):
        if one.context is None:
            continue
        empty = _Commit(one.context.commit_unix_s, {})
        commit = found.setdefault(one.context.commit, empty)
        for kind, p99_s in _p99s(read_record(one.path)).items():
            commit.p99_s.setdefault(kind, []).append(p99_s)
    return sorted(found.values(), key=lambda commit: commit.unix_s)


def _newest(kept: Sequence[Kept]) -> list[Kept]:
    """Without those that a later run of their commit has taken the place of; a record once."""
    runs = number_runs({str(one.path): one.context for one in kept if one.context})
    once = {one.header["record_id"]: one for one in kept if not runs[str(one.path)][1]}
    return list(once.values())


def _p99s(record: Record) -> Mapping[_Kind, float]:
    """That of each whole pipeline; of several processes the median of theirs."""
    return {
        _kind(held.parts[0]): median(
            estimate_quantile(part.latency_s, 0.99).value for part in held.parts if part.latency_s
        )
        for held in pool(record)
        if held.parts[0].component == WHOLE_PIPELINE and any(part.latency_s for part in held.parts)
    }


def _kind(measured: Measurement) -> _Kind:
    case = Case(measured.duration_s, measured.batch)
    return measured.variant, case, measured.mode, measured.streams


def _prospect(spent: Spent, commits: Sequence[_Commit]) -> Prospect:
    points = [
        (commit.unix_s / _DAY_S, median(values))
        for commit in commits
        if (values := _of(spent, commit.p99_s))
    ]
    days, values_s = [day for day, _ in points], [value for _, value in points]
    by_commit = fit_slope(range(len(points)), values_s)
    by_day = fit_slope(days, values_s)
    limit_s = spent.limit_s
    in_commits, in_days = outlook(by_commit, limit_s), outlook(by_day, limit_s)
    return Prospect(len(points), by_commit, by_day, in_commits, in_days)


def _of(spent: Spent, p99_s: Mapping[_Kind, list[float]]) -> list[float]:
    """Those of the series that the budget is judged by."""
    figure = spent.figure
    for (variant, case, mode, streams), values in p99_s.items():
        arrival = "" if mode == HOT else mode
        alike = figure.arrival.startswith(arrival) if arrival else not figure.arrival
        told = mode in {HOT, PACED} or f" {streams} stream" in figure.arrival
        if (variant, case) == (figure.variant, figure.case) and alike and told:
            return values
    return []
