"""A whole dashboard from records and results of asv, wherever they lie."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.dashboard.asv_reading import AsvHistories, find_results, read_asv
from harness.dashboard.asv_series import environments_of_asv, series_of_asv
from harness.dashboard.calibrations import read_noise
from harness.dashboard.changes import STRIDE, WINDOW
from harness.dashboard.environments import read_environments
from harness.dashboard.experiments import read_comparisons
from harness.dashboard.failures import failure_notes, open_failures
from harness.dashboard.histories import read_commits, read_histories
from harness.dashboard.model import Dashboard
from harness.dashboard.runs import read_runs
from harness.dashboard.sampling import around_changes, with_samples
from harness.dashboard.series import series_of_records
from harness.dashboard.statuses import read_statuses
from harness.dashboard.timeline import order_commits
from harness.errors import RecordError
from harness.history.query import Records
from harness.history.sources import is_address, read_headers
from harness.sharing import one_by_one
from harness.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.dashboard.model import BudgetStatus, Series
    from harness.dashboard.timeline import Timeline
    from harness.sharing import Each

_TITLE: Final = "trt-harness"
# What does not fit goes to disk; the rest of a page takes about as much again.
_MEMORY: Final = "400MB"
_FIX: Final = "measure one with 'harness run' or 'harness history run', or name where they are"
_COUNTS: Final = """
SELECT count(*) AS records,
    count(*) FILTER (slowed_by IS NOT NULL) AS slowed,
    count(*) FILTER (validity = 'invalid') AS invalid,
    count(*) FILTER (NOT is_complete) AS interrupted,
    count(*) FILTER (superseded) AS superseded,
    count(*) FILTER (experiment IS NOT NULL AND slowed_by IS NULL) AS side,
    count(*) FILTER (experiment IS NULL AND slowed_by IS NULL AND is_complete
        AND superseded IS NOT TRUE AND validity IS DISTINCT FROM 'invalid'
        AND (round IS NULL OR commit IS NULL OR is_dirty IS TRUE)) AS single
FROM records
"""
_IMPORTED: Final = """
SELECT DISTINCT imported_from AS file FROM records WHERE imported_from IS NOT NULL
"""
# A history keeps its results of a commit as records and for asv; a single run does not.
_RECORDED: Final = """
SELECT DISTINCT commit FROM records WHERE commit IS NOT NULL AND round IS NOT NULL
"""
_REMOTE: Final = "SELECT count(*) AS count FROM records WHERE file LIKE '%://%'"
_LEFT_OUT: Final = {
    "slowed": "were slowed on purpose: they are of no commit, and not shown",
    "invalid": "are invalid, by the machine's state: their figures are in no series",
    "interrupted": "were interrupted: their figures are in no series",
    "superseded": "were measured anew later: their figures are in no series",
    "side": "are sides of A/Bs, which may be of any branch: their figures are in no series",
    "single": "are of single runs ('harness run', or a changed tree): their figures are in series "
    "of their own, in which no changes are looked for",
}


@dataclass
class _Notes:
    """What could not be read, and what else must be known."""

    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def gather(
    sources: Sequence[str],
    *,
    repository: Path | None = None,
    cache: Path | None = None,
    title: str = "",
    commit_url: str = "",
    each: Each = one_by_one,
) -> Dashboard:
    """Everything that the page shows of the records and asv results in ``sources``.

    Args:
        sources: files and folders of records, as a query takes them, and folders of asv's results,
            or such that hold them.
        repository: where git looks up the order, subjects and authors of commits; without it,
            commits are in the order of their dates.
        cache: the cache folder, with the calibrations of the machine's noise; none without it.
        title: of the page.
        commit_url: where a commit is shown, with ``{hash}`` for its hash.
        each: does what is long: a :class:`harness.sharing.SecondProcess` takes half of it.

    Raises:
        RecordError: there is nothing in them that can be shown.
        OptionError: one of the places is not there.
        MissingDependencyError: DuckDB is not installed, or has no extension for an address.
    """
    told = _Notes()
    records = _open(sources, told, each)
    if records is None:
        asv = read_asv(find_results(sources), (), (), told.skipped)
        dashboard = _of_asv_alone(asv, sources, repository, commit_url, told)
    else:
        with records:
            dashboard = _of_records(records, sources, repository, commit_url, told, each)
            told.skipped[:0] = records.skipped
    if not dashboard.series and not dashboard.runs and not dashboard.failures:
        what = "has no record and no result of asv that can be shown"
        reasons = "".join(f" ({reason})" for reason in told.skipped[:1])
        raise RecordError(f"{what}{reasons}", where=", ".join(sources), fix=_FIX)
    noise = read_noise(cache, dashboard.environments, told.skipped) if cache else ()
    told.notes += _of_old_commits(dashboard.series)
    return replace(
        dashboard,
        title=title or _TITLE,
        created_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        sources=tuple(sources),
        noise=noise,
        skipped=tuple(dict.fromkeys(told.skipped)),
        notes=tuple(dict.fromkeys(told.notes)),
    )


def _open(sources: Sequence[str], told: _Notes, each: Each) -> Records | None:
    """The records; None where there is none that can be read."""
    if not any(_may_hold_records(source) for source in sources):
        return None
    try:
        return Records(sources, each)
    except RecordError:
        # Why none can be read is told by each.
        import duckdb  # noqa: PLC0415

        with duckdb.connect() as connection:
            told.skipped += read_headers(sources, connection).skipped
        return None


def _may_hold_records(source: str) -> bool:
    """Whether a source is anything but a folder without records."""
    path = Path(source)
    return is_address(source) or not path.is_dir() or any(path.rglob("*.parquet"))


def _empty() -> Dashboard:
    return Dashboard("", "", __version__, ())


def _of_asv_alone(
    asv: AsvHistories,
    sources: Sequence[str],
    repository: Path | None,
    commit_url: str,
    told: _Notes,
) -> Dashboard:
    timeline = order_commits(asv.commits, repository, commit_url)
    failures = open_failures(sources, None, timeline)
    environments = environments_of_asv(asv, 0)
    told.notes += [
        *failure_notes(failures, asv),
        *asv.notes,
        *_of_order(timeline, repository),
    ]
    return replace(
        _empty(),
        commits=timeline.commits,
        environments=tuple(environments.values()),
        series=series_of_asv(asv, environments, timeline, 0),
        failures=failures,
        is_by_date=timeline.is_by_date,
    )


def _of_records(
    records: Records,
    sources: Sequence[str],
    repository: Path | None,
    commit_url: str,
    told: _Notes,
    each: Each,
) -> Dashboard:
    records.connection.execute(f"SET memory_limit = '{_MEMORY}'")
    histories = read_histories(records)
    named = read_commits(records)
    imported = {Path(one).name for one in records.table(_IMPORTED, {})["file"].to_pylist()}
    recorded = set(records.table(_RECORDED, {})["commit"].to_pylist())
    asv = read_asv(find_results(sources), recorded, imported, told.skipped)
    own = {one.name for one in named}
    more = [one for one in asv.commits if one.name not in own]
    timeline = order_commits((*named, *more), repository, commit_url)
    environments = read_environments(records)
    series = series_of_records(histories, timeline, environments, each)
    series = with_samples(series, histories.labels, records, timeline.commits)
    statuses = read_statuses(records, environments, timeline, series, told.skipped)
    around = set(itertools.chain.from_iterable(map(around_changes, series)))
    of_asv = environments_of_asv(asv, len(environments.shown))
    failures = open_failures(sources, records, timeline)
    told.notes += [
        *failure_notes(failures, asv),
        *_of_records_left_out(records),
        *asv.notes,
        *_of_order(timeline, repository),
    ]
    return replace(
        _empty(),
        commits=timeline.commits,
        environments=(*environments.shown, *of_asv.values()),
        differences=environments.differences,
        series=(
            *_with_budgets(series, statuses.budgets),
            *series_of_asv(asv, of_asv, timeline, len(series)),
        ),
        budgets=statuses.budgets,
        runs=read_runs(records, environments, timeline, around, told.skipped),
        comparisons=read_comparisons(records, environments, timeline, told.skipped),
        trades=statuses.trades,
        roofline=statuses.roofline,
        failures=failures,
        is_by_date=timeline.is_by_date,
    )


def _with_budgets(series: Iterable[Series], budgets: Iterable[BudgetStatus]) -> Iterable[Series]:
    """``series`` with the budget that each is held against."""
    limits = {one.series: one.limit_s for one in budgets if one.series is not None}
    return (replace(one, budget_s=limits.get(one.id)) for one in series)


def _of_records_left_out(records: Records) -> Iterable[str]:
    (row,) = records.table(_COUNTS, {}).to_pylist()
    for name, words in _LEFT_OUT.items():
        if row[name]:
            yield f"{row[name]:g} of {row['records']} records {words}"
    (remote,) = records.table(_REMOTE, {})["count"].to_pylist()
    if remote:
        yield f"of {remote} records at addresses only the series are shown"


def _of_order(timeline: Timeline, repository: Path | None) -> Iterable[str]:
    if timeline.of_none:
        count = len(timeline.of_none)
        yield (
            f"{count} record{'s are' if count > 1 else ' is'} of no commit, or of a changed tree: "
            "each stands for itself, by its date"
        )
    others = len(timeline.commits) - len(timeline.of_none)
    if timeline.known and timeline.unknown:
        count = len(timeline.unknown)
        yield f"git does not know {count} of {others} commits: each is where its date puts it"
    elif timeline.unknown and others > 1:
        why = "git knows none of them" if repository else "no repository was given"
        yield f"commits are in the order of their dates: {why}"
    if timeline.tied:
        count = len(timeline.tied)
        yield (
            f"{count} of {others} commits are of the same second as others, and git does not know "
            "which is newer: the order in which they are shown among themselves says nothing"
        )


def _of_old_commits(series: Iterable[Series]) -> Iterable[str]:
    if any(int(np.count_nonzero(np.isfinite(one.median_s))) > WINDOW for one in series):
        yield (
            f"changes are looked for among the newest {WINDOW} commits, as 'harness history "
            f"detect' does, and among older ones every {STRIDE} commits; what is at the border of "
            "a search is told by the one that has more on both sides of it"
        )
