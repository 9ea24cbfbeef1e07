"""The series of all records, a row for each commit of each: read by one query, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.dashboard.model import QUANTILES
from harness.history.series import variant_name
from harness.pipeline.pipeline import TRANSFERS, WHOLE_PIPELINE
from harness.stats.quantiles import DEFAULT_CONFIDENCE, interval_ranks
from harness.types import Case, Variant

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
    *("options", "simulated", "backend", "precision", "route", "launch", "is_single"),
)
# Figures of a tree that was changed are of no commit; neither is what was measured of none.
COMMIT: Final = """if(commit IS NULL OR is_dirty IS TRUE,
    strftime(created_utc, '%Y%m%dT%H%M%SZ') || ' ' || record_id, commit)"""
# As harness.history.points has it: what else was measured is of single runs.
_SINGLE: Final = "round IS NULL OR commit IS NULL OR is_dirty IS TRUE"
# What is at an address cannot be opened as a file.
LOCAL: Final = "file NOT LIKE '%://%'"
# A number takes the place of what is the same of a whole record: texts of it all are much larger.
_OF_RECORD: Final = (*ENVIRONMENT, "pipeline", "is_single", "commit")
_PLACES: Final = f"""
CREATE OR REPLACE TEMP TABLE places AS
SELECT file, kind, created_utc, record_id, pipeline, {COMMIT} AS commit, {_SINGLE} AS is_single,
    {", ".join(f"coalesce({name}, '') AS {name}" for name in ENVIRONMENT)},
    dense_rank() OVER (ORDER BY {", ".join(ENVIRONMENT)}, pipeline, {_SINGLE}, {COMMIT}) - 1
        AS place
FROM records LEFT JOIN alike USING (file)
WHERE is_complete AND superseded IS NOT TRUE AND validity IS DISTINCT FROM 'invalid'
    AND slowed_by IS NULL AND experiment IS NULL
"""  # noqa: S608  # constants
_PLACES_ASKED: Final = f"""
SELECT DISTINCT place, {", ".join(_OF_RECORD)} FROM places ORDER BY place
"""  # noqa: S608  # constants
# Most records are built alike: what is the same of many is joined once.
_ALIKE: Final = """
CREATE OR REPLACE TEMP TABLE alike AS
SELECT file, dense_rank() OVER (ORDER BY told) AS kind FROM (
    SELECT file, list((component, backend, precision, route, options)
        ORDER BY component, backend, precision, route) AS told
    FROM builds WHERE options IS NOT NULL GROUP BY file
)
"""
# As harness.history.points has it: the options of the whole are those of all its components.
_BUILT: Final = f"""
CREATE OR REPLACE TEMP TABLE built AS
WITH firsts AS (
    SELECT kind, builds.* FROM builds
    JOIN (SELECT kind, min(file) AS file FROM alike GROUP BY kind) USING (file)
    WHERE options IS NOT NULL
)
SELECT kind, backend, precision, route, component, concat(component, ' ', options) AS options
FROM firsts WHERE component != '{WHOLE_PIPELINE}'
UNION ALL
SELECT kind, backend, precision, route, '{WHOLE_PIPELINE}',
    string_agg(concat(component, ' ', options), ' ' ORDER BY component)
FROM firsts GROUP BY ALL
"""  # noqa: S608  # constants
_RAW: Final = (
    *("place", "component", "backend", "precision", "route", "launch", "duration_s", "batch"),
    *("mode", "streams", "threads", "clock", "simulated", "options"),
)
_SELECTED: Final = ", ".join(
    {"place": "place", "options": "coalesce(options, '') AS options"}.get(name, f"rows.{name}")
    for name in _RAW
)
_FROM: Final = f"""
FROM measurements AS rows
JOIN places ON places.file = rows.filename
LEFT JOIN built ON built.kind = places.kind AND built.backend = rows.backend
    AND built.precision = rows.precision AND built.route = rows.route
    AND built.component = rows.component
WHERE len(latency_s) > 0
    AND rows.component NOT IN ({", ".join(f"'{name}'" for name in TRANSFERS)})
"""
_ROWS: Final = f"""
WITH parts AS (
    SELECT {_SELECTED}, latency_s, energy_j, snr_db,
        list_aggregate(latency_s, 'quantile_cont', 0.5) AS median_s {_FROM}
)
SELECT {", ".join(_RAW)}, len(flatten(list(latency_s))) AS count,
    list_aggregate(flatten(list(latency_s)), 'quantile_cont', {list(QUANTILES)}) AS quantiles,
    coalesce(list(median_s) FILTER (isfinite(median_s) AND median_s > 0.0), []) AS medians_s,
    if(count(*) = 1, list_sort(flatten(list(latency_s)))[first(bounds.lower)], NULL) AS lower_s,
    if(count(*) = 1, list_sort(flatten(list(latency_s)))[first(bounds.upper)], NULL) AS upper_s,
    avg(energy_j) AS energy_j, min(snr_db) AS snr_db
FROM parts LEFT JOIN bounds ON bounds.count = len(latency_s)
GROUP BY {", ".join(_RAW)}
"""  # noqa: S608  # constants
_SAMPLES: Final = f"""
SELECT {_SELECTED}, latency_s {_FROM} AND list_contains($commits, commit)
ORDER BY created_utc, record_id, process
"""  # constants
_FILES_OF: Final = "SELECT file FROM places WHERE list_contains($commits, commit)"
_COUNTS_ASKED: Final = "SELECT DISTINCT len(latency_s) AS count FROM measurements"
_COMMITS: Final = f"""
SELECT {COMMIT} AS commit, coalesce(min(commit_utc), min(created_utc)) AS dated,
    bool_or(commit IS NULL OR is_dirty IS TRUE) AS is_of_none, any_value(record_id) AS record_id
FROM records WHERE slowed_by IS NULL GROUP BY ALL ORDER BY dated, 1
"""  # noqa: S608  # constants


@dataclass(frozen=True, eq=False)
class Histories:
    """What the records hold, a row for each series at each of its commits, in no order.

    Sides of an A/B are in none. ``labels`` has the values of ``LABELS`` of each series, of which
    those of single runs are series of their own; ``series`` and ``commit`` say, by their
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
    _prepare(records)
    table = records.table(_ROWS, {})
    places = _places(records)
    place = table["place"].combine_chunks().to_numpy(zero_copy_only=False).astype(np.intp)
    # Of a place whose files are damaged there is no row.
    shown, at = np.unique(place, return_inverse=True)
    names = [places[number][-1] for number in shown.tolist()]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    codes, labels = _distinct(table, place, places)
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
        commits=tuple(numbers),
        series=codes,
        commit=np.array([numbers[name] for name in names], dtype=np.intp)[at],
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
    places = _places(records)
    raw = zip(*(table[name].to_pylist() for name in _RAW), strict=True)
    keys = [(_label(one, places[one[0]]), places[one[0]][-1]) for one in raw]
    lists = table["latency_s"].combine_chunks()
    starts = lists.offsets.to_numpy()
    values = lists.values.to_numpy(zero_copy_only=False)
    found: dict[tuple[tuple[Any, ...], str], list[Doubles]] = {}
    for row, key in enumerate(keys):
        found.setdefault(key, []).append(values[starts[row] : starts[row + 1]])
    return found


def _prepare(records: Records) -> None:
    """Make the tables that the queries join: places, options, and the ranks that bound a median."""
    counts = records.table(_COUNTS_ASKED, {})["count"].to_pylist()
    # Of each number of samples that occurs.
    rows = [
        (count, *interval_ranks(count, 0.5, DEFAULT_CONFIDENCE)) for count in counts if count
    ] or [(1, 0, 2)]
    values = ", ".join(str(row) for row in rows)
    for text in (
        "CREATE OR REPLACE TEMP TABLE bounds (count BIGINT, lower BIGINT, upper BIGINT)",
        f"INSERT INTO bounds VALUES {values}",  # noqa: S608  # whole numbers
        _ALIKE,
        _BUILT,
        _PLACES,
    ):
        records.connection.execute(text)


def _places(records: Records) -> list[tuple[Any, ...]]:
    """Environment, pipeline and commit of each place."""
    rows = records.table(_PLACES_ASKED, {}).to_pylist()
    return [tuple(row[name] for name in _OF_RECORD) for row in rows]


def _distinct(
    table: Any,  # noqa: ANN401  # of Arrow
    place: Places,
    places: Sequence[tuple[Any, ...]],
) -> tuple[Places, tuple[tuple[Any, ...], ...]]:
    """For each row the place of its labels among the different ones, and these."""
    owners = {owner: number for number, owner in enumerate(dict.fromkeys(p[:-1] for p in places))}
    codes = np.array([owners[one[:-1]] for one in places], dtype=np.intp)[place]
    for name in _RAW[1:]:
        encoded = table[name].combine_chunks().dictionary_encode(null_encoding="encode")
        its = encoded.indices.to_numpy(zero_copy_only=False).astype(np.intp)
        # Renumbered each time, so that the product stays small.
        _, codes = np.unique(codes * len(encoded.dictionary) + its, return_inverse=True)
    _, firsts = np.unique(codes, return_index=True)
    raw = zip(*(table[name].take(firsts).to_pylist() for name in _RAW), strict=True)
    labels = [_label(one, places[one[0]]) for one in raw]
    # Whatever order the query gave them in.
    order = sorted(range(len(labels)), key=labels.__getitem__)
    ranks = np.zeros(len(order), dtype=np.intp)
    ranks[order] = np.arange(len(order))
    return ranks[codes], tuple(labels[one] for one in order)


def _label(raw: tuple[Any, ...], of_record: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values of ``LABELS``, as harness.history.series names variants and sizes."""
    named = dict(zip(_RAW, raw, strict=True)) | dict(zip(_OF_RECORD, of_record, strict=True))
    variant = Variant(named["backend"], named["precision"], named["route"], named["launch"])
    named["variant"] = variant_name(variant, simulated=bool(named["simulated"]))
    named["size"] = str(Case(named["duration_s"], named["batch"]))
    return tuple(named[name] for name in LABELS)


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
