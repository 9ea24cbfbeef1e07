"""Where the p99 of whole pipelines is heading, as ``harness budget`` says, of many records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.dashboard.environments import KEY, key_of
from harness.dashboard.histories import ENVIRONMENT
from harness.history.points import Environment
from harness.history.prospects import MOST_COMMITS, Tail, Way, is_alike, prospect_of
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.report.budget_terminal import prospect_lines
from harness.types import Case, Variant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.dashboard.environments import Key
    from harness.history.query import Records

# Those of a history that count, of the newest commits alone.
_FILES: Final = f"""
SELECT file, {KEY}, pipeline, commit, epoch(commit_utc) AS unix_s, record_id FROM records
WHERE round IS NOT NULL AND is_complete AND superseded IS NOT TRUE AND is_dirty IS NOT TRUE
    AND validity IS DISTINCT FROM 'invalid' AND slowed_by IS NULL
    AND pipeline = $pipeline
QUALIFY dense_rank() OVER (
    PARTITION BY {", ".join(f"records.{name}" for name in ENVIRONMENT)}
    ORDER BY commit_utc DESC, commit DESC
) <= {MOST_COMMITS}
"""  # noqa: S608  # constants
# As harness.history.prospects has them.
_P99S: Final = f"""
WITH built AS (
    SELECT file, backend, precision, route,
        string_agg(concat(component, ' ', options), ' ' ORDER BY component) AS options
    FROM builds
    WHERE list_contains($files, file) AND options IS NOT NULL AND component != '{WHOLE_PIPELINE}'
    GROUP BY ALL
)
SELECT filename AS file, rows.backend, rows.precision, rows.route, launch, duration_s, batch, mode,
    streams, simulated, threads, clock, coalesce(options, '') AS options, process,
    list_aggregate(latency_s, 'quantile_cont', 0.99) AS p99_s
FROM measurements AS rows LEFT JOIN built ON file = filename
    AND built.backend = rows.backend AND built.precision = rows.precision
    AND built.route = rows.route
WHERE rows.component = '{WHOLE_PIPELINE}' AND len(latency_s) > 0
"""  # noqa: S608  # a constant


class Trends:
    """The trends of what ``records`` have, each pipeline read when one of it is asked for."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._tails: dict[str, dict[Environment, list[Tail]]] = {}

    def told(self, key: Key, pipeline: str, way: Way, limit_s: float) -> str:
        """In words, where ``way`` is heading; empty where there are too few commits to tell.

        Raises:
            RecordError: no record can be read.
        """
        if pipeline not in self._tails:
            self._tails[pipeline] = self._read(pipeline)
        own = Environment(*key)
        tails = [
            one
            for environment, held in self._tails[pipeline].items()
            if is_alike(environment, own)
            for one in held
        ]
        prospect = prospect_of(tails, way, limit_s)
        return "" if prospect.by_commit is None else "; ".join(prospect_lines(prospect))

    def _read(self, pipeline: str) -> dict[Environment, list[Tail]]:
        files = self._records.table(_FILES, {"pipeline": pipeline}).to_pylist()
        held = {row["file"]: row for row in files}
        found: dict[Environment, list[Tail]] = {}
        if held:
            with self._records.among(set(held)):
                for row in self._records.table(_P99S, {"files": [*held]}).to_pylist():
                    tail = _tail(row, held[row["file"]])
                    found.setdefault(tail.environment, []).append(tail)
        return found


def _tail(row: Mapping[str, Any], of_file: Mapping[str, Any]) -> Tail:
    variant = Variant(row["backend"], row["precision"], row["route"], row["launch"])
    way = Way(
        *(variant, Case(row["duration_s"], row["batch"]), row["mode"], row["streams"]),
        *(bool(row["simulated"]), row["threads"], row["clock"], row["options"]),
    )
    return Tail(
        environment=Environment(*key_of(of_file)),
        pipeline=of_file["pipeline"],
        commit=of_file["commit"],
        unix_s=of_file["unix_s"],
        record_id=of_file["record_id"],
        process=row["process"],
        way=way,
        p99_s=row["p99_s"],
    )
