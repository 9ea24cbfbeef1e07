"""The series of all records, a row for each commit of each: read by one query, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.dashboard.model import QUANTILES
from harness.history.points import OPTIONS
from harness.pipeline.pipeline import TRANSFERS
from harness.stats.quantiles import DEFAULT_CONFIDENCE, interval_ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from harness.history.query import Records

    Doubles = NDArray[np.float64]
    Places = NDArray[np.intp]

# What sets series apart, environments first; the rest only tells of them.
ENVIRONMENT: Final = ("machine", "environment", "requirements", "fingerprint")
LABELS: Final = (
    *ENVIRONMENT,
    *("pipeline", "component", "variant", "size", "mode", "streams", "threads", "clock"),
    *("options", "simulated", "backend", "precision", "route", "launch"),
)
# Figures of a tree that was changed are of no commit; neither is what was measured of none.
COMMIT: Final = """if(commit IS NULL OR is_dirty IS TRUE,
    strftime(created_utc, '%Y%m%dT%H%M%SZ') || ' ' || record_id, commit)"""
# What is at an address cannot be opened as a file.
LOCAL: Final = "file NOT LIKE '%://%'"
COUNTS: Final = f"""is_complete AND superseded IS NOT TRUE AND validity IS DISTINCT FROM 'invalid'
    AND slowed_by IS NULL AND len(latency_s) > 0
    AND component NOT IN ({", ".join(f"'{name}'" for name in TRANSFERS)})"""
_SELECTED: Final = ", ".join(
    {"options": f"{OPTIONS} AS options"}.get(name, f"coalesce({name}, '') AS {name}")
    if name in {*ENVIRONMENT, "options"}
    else name
    for name in LABELS
)
_ROWS: Final = f"""
WITH parts AS (
    SELECT {_SELECTED}, {COMMIT} AS commit, latency_s, energy_j, snr_db,
        list_aggregate(latency_s, 'quantile_cont', 0.5) AS median_s
    FROM series WHERE {COUNTS}
)
SELECT {", ".join(LABELS)}, commit, count(*) AS parts, len(flatten(list(latency_s))) AS count,
    list_aggregate(flatten(list(latency_s)), 'quantile_cont', {list(QUANTILES)}) AS quantiles,
    coalesce(list(median_s) FILTER (isfinite(median_s) AND median_s > 0.0), []) AS medians_s,
    if(count(*) = 1, list_sort(flatten(list(latency_s)))[first(bounds.lower)], NULL) AS lower_s,
    if(count(*) = 1, list_sort(flatten(list(latency_s)))[first(bounds.upper)], NULL) AS upper_s,
    avg(energy_j) AS energy_j, min(snr_db) AS snr_db
FROM parts LEFT JOIN bounds ON bounds.count = len(latency_s)
GROUP BY {", ".join(LABELS)}, commit
"""  # noqa: S608  # constants
_SAMPLES: Final = f"""
SELECT {_SELECTED}, {COMMIT} AS commit, latency_s
FROM series WHERE {COUNTS} AND list_contains($commits, {COMMIT})
ORDER BY created_utc, record_id, process
"""  # noqa: S608  # constants
_FILES_OF: Final = f"""
SELECT file FROM records WHERE list_contains($commits, {COMMIT})
"""  # noqa: S608  # constants
_COUNTS_ASKED: Final = "SELECT DISTINCT len(latency_s) AS count FROM measurements"
_COMMITS: Final = f"""
SELECT {COMMIT} AS commit, min(coalesce(commit_utc, created_utc)) AS dated,
    bool_or(commit IS NULL OR is_dirty IS TRUE) AS is_of_none, any_value(record_id) AS record_id
FROM records WHERE slowed_by IS NULL GROUP BY ALL ORDER BY dated, 1
"""  # noqa: S608  # constants


@dataclass(frozen=True, eq=False)
class Histories:
    """What the records hold, a row for each series at each of its commits, in no order.

    ``labels`` has the values of ``LABELS`` of each series; ``series`` and ``commit`` say, by their
    places in ``labels`` and in ``commits``, what a row is of. ``quantiles`` are of all samples and
    have shape ``(rows, len(QUANTILES))``. ``median_s`` is the median of the processes' medians
    with its 95 % interval; of one process it is that of its samples. NaN is what is not known.
    """

    labels: tuple[tuple[Any, ...], ...]
    commits: tuple[str, ...]
    series: Places
    commit: Places
    counts: Doubles
    quantiles: Doubles
    median_s: Doubles
    lower_s: Doubles
    upper_s: Doubles
    energy_j: Doubles
    snr_db: Doubles


def read_histories(records: Records) -> Histories:
    """The histories of all series, whatever commit and environment they are of.

    Raises:
        RecordError: no record can be read.
    """
    _make_bounds(records)
    table = records.table(_ROWS, {})
    codes, labels = _distinct([table[name] for name in LABELS])
    commits = table["commit"].combine_chunks().dictionary_encode()
    medians = _medians(table["medians_s"].combine_chunks())
    lower_s, upper_s = (
        np.where(np.isnan(own), several, own)
        for own, several in zip(
            (_doubles(table["lower_s"]), _doubles(table["upper_s"])), medians[1:], strict=True
        )
    )
    quantiles = table["quantiles"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return Histories(
        labels=labels,
        commits=tuple(commits.dictionary.to_pylist()),
        series=codes,
        commit=commits.indices.to_numpy(zero_copy_only=False).astype(np.intp),
        counts=_doubles(table["count"]),
        quantiles=quantiles.reshape(-1, len(QUANTILES)),
        median_s=medians[0],
        # An interpolated median may lie beside the order statistic that is its bound.
        lower_s=np.minimum(lower_s, medians[0]),
        upper_s=np.maximum(upper_s, medians[0]),
        energy_j=_doubles(table["energy_j"]),
        snr_db=_doubles(table["snr_db"]),
    )


@dataclass(frozen=True)
class NamedCommit:
    """A commit of records: its date, and the record that it stands for where it is none."""

    name: str
    date_utc: str
    record_id: str = ""


def read_commits(records: Records) -> tuple[NamedCommit, ...]:
    """All commits that ``records`` are of, by their dates."""
    return tuple(
        NamedCommit(
            str(row["commit"]),
            f"{row['dated'].isoformat()}+00:00",
            str(row["record_id"]) if row["is_of_none"] else "",
        )
        for row in records.table(_COMMITS, {}).to_pylist()
    )


def read_samples(
    records: Records, commits: Sequence[str]
) -> dict[tuple[tuple[Any, ...], str], list[Doubles]]:
    """The raw samples of all series at ``commits``: by label and commit, those of each process."""
    asked = {"commits": list(commits)}
    files = records.table(_FILES_OF, asked)["file"].to_pylist()
    if not files:
        return {}
    with records.among(set(files)):
        table = records.table(_SAMPLES, asked)
    labels = list(zip(*(table[name].to_pylist() for name in LABELS), strict=True))
    lists = table["latency_s"].combine_chunks()
    starts = lists.offsets.to_numpy()
    values = lists.values.to_numpy(zero_copy_only=False)
    found: dict[tuple[tuple[Any, ...], str], list[Doubles]] = {}
    for row, key in enumerate(zip(labels, table["commit"].to_pylist(), strict=True)):
        found.setdefault(key, []).append(values[starts[row] : starts[row + 1]])
    return found


def _make_bounds(records: Records) -> None:
    """Make a table of the ranks that bound a median, for every number of samples that occurs."""
    counts = records.table(_COUNTS_ASKED, {})["count"].to_pylist()
    rows = [
        (count, *interval_ranks(count, 0.5, DEFAULT_CONFIDENCE)) for count in counts if count
    ] or [(1, 0, 2)]
    records.connection.execute(
        "CREATE OR REPLACE TEMP TABLE bounds (count BIGINT, lower BIGINT, upper BIGINT)"
    )
    values = ", ".join(str(row) for row in rows)
    records.connection.execute(f"INSERT INTO bounds VALUES {values}")  # noqa: S608  # whole numbers


def _distinct(columns: Sequence[Any]) -> tuple[Places, tuple[tuple[Any, ...], ...]]:
    """For each row the place of its values among the different ones, and these."""
    codes = np.zeros(len(columns[0]), dtype=np.intp)
    for column in columns:
        encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
        its = encoded.indices.to_numpy(zero_copy_only=False).astype(np.intp)
        # Renumbered each time, so that the product stays small.
        _, codes = np.unique(codes * len(encoded.dictionary) + its, return_inverse=True)
    _, firsts = np.unique(codes, return_index=True)
    labels = zip(*(column.take(firsts).to_pylist() for column in columns), strict=True)
    return codes, tuple(labels)


def _medians(lists: Any) -> tuple[Doubles, Doubles, Doubles]:  # noqa: ANN401  # of Arrow
    """The median of each list with its interval; NaN where it has none."""
    starts = lists.offsets.to_numpy()
    values = lists.values.to_numpy(zero_copy_only=False)
    counts = np.diff(starts)
    found = np.full((3, counts.size), np.nan)
    for count in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == count)
        ordered = np.sort(values[starts[rows][:, None] + np.arange(count)], axis=1)
        found[0, rows] = 0.5 * (ordered[:, (count - 1) // 2] + ordered[:, count // 2])
        if count == 1:
            continue
        lower, upper = interval_ranks(int(count), 0.5, DEFAULT_CONFIDENCE)
        if lower >= 1 and upper <= count:
            found[1, rows], found[2, rows] = ordered[:, lower - 1], ordered[:, upper - 1]
    return found[0], found[1], found[2]


def _doubles(column: Any) -> Doubles:  # noqa: ANN401  # of Arrow
    values = column.combine_chunks().to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)
