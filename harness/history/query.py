"""Queries over records with DuckDB: nothing is copied, and samples are read where asked for."""

from __future__ import annotations

import logging
import re
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from harness.errors import OptionError, RecordError, missing_dependency
from harness.history.series import SIMULATED
from harness.history.sources import read_headers
from harness.sharing import one_by_one

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from duckdb import DuckDBPyConnection

    from harness.sharing import Each

_log = logging.getLogger(__name__)
_Given = TypeVar("_Given")


@dataclass(frozen=True)
class Metric:
    """A figure of a series: its column, and what DuckDB computes it by."""

    column: str
    expression: str


METRICS: Final = {
    "median": Metric("median_s", "list_aggregate(latency_s, 'quantile_cont', 0.5)"),
    "p90": Metric("p90_s", "list_aggregate(latency_s, 'quantile_cont', 0.9)"),
    "p99": Metric("p99_s", "list_aggregate(latency_s, 'quantile_cont', 0.99)"),
    "mean": Metric("mean_s", "list_aggregate(latency_s, 'avg')"),
    "min": Metric("min_s", "list_aggregate(latency_s, 'min')"),
    "max": Metric("max_s", "list_aggregate(latency_s, 'max')"),
    "count": Metric("count", "len(latency_s)"),
    "samples": Metric("latency_s", "latency_s"),
    "snr": Metric("snr_db", "snr_db"),
    "relative-error": Metric("relative_l2", "relative_l2"),
    "energy": Metric("energy_j", "energy_j"),
    "load": Metric("load_s", "load_s"),
    "first": Metric("first_s", "first_s"),
    "build": Metric("build_s", "build_s"),
    "bytes": Metric("size_bytes", "size_bytes"),
    "memory": Metric("memory_bytes", "memory_bytes"),
    "verdict": Metric("verdict", "verdict"),
}
# What says which series a row is of, and in which order rows come.
LABELS: Final = (
    *("commit_utc", "created_utc", "commit", "machine", "environment", "run", "superseded"),
    *("round", "pipeline", "component", "variant", "size", "mode", "streams", "process"),
    *("validity", "is_complete", "simulated", "imported", "slowed_by"),
)
_ORDER: Final = (
    "coalesce(commit_utc, created_utc), commit, machine, environment, run, round, created_utc, "
    "record_id, pipeline, component, variant, duration_s, batch, mode, streams, process"
)
_RECORDS: Final = """
    file VARCHAR, record_id VARCHAR, created_utc TIMESTAMP, pipeline VARCHAR, commit VARCHAR,
    commit_utc TIMESTAMP, is_dirty BOOLEAN, machine VARCHAR, environment VARCHAR, run BIGINT,
    superseded BOOLEAN, round BIGINT, requirements VARCHAR, imported_from VARCHAR, python VARCHAR,
    cpu VARCHAR, gpu VARCHAR, driver VARCHAR, harness_version VARCHAR, harness_commit VARCHAR,
    is_complete BOOLEAN, validity VARCHAR, schema_version BIGINT, fingerprint VARCHAR,
    slowed_by DOUBLE, experiment VARCHAR"""
_BUILDS: Final = """
    file VARCHAR, component VARCHAR, backend VARCHAR, precision VARCHAR, route VARCHAR,
    build_s DOUBLE, size_bytes BIGINT, memory_bytes BIGINT, options VARCHAR"""
# What DuckDB raises for a query that is wrong, whatever the files hold.
_MISTAKES: Final = (
    *("BinderException", "CatalogException", "ParserException", "SyntaxException"),
    "OutOfMemoryException",
)
# What does not fit goes to disk.
_MEMORY: Final = "1GB"
# As harness.history.series names variants and sizes.
_SERIES: Final = f"""
CREATE OR REPLACE VIEW series AS SELECT
    records.*, measured.* EXCLUDE (filename),
    builds.build_s, builds.size_bytes, builds.memory_bytes,
    concat(
        measured.backend, ' ', measured.precision,
        if(measured.route = '', '', ' by ' || measured.route),
        if(measured.launch = 'call', '', ', ' || measured.launch),
        if(simulated AND NOT starts_with(measured.backend, '{SIMULATED}'), ', {SIMULATED}', '')
    ) AS variant,
    concat(
        if(duration_s IS NULL, 'opt', format('{{:g}} s', duration_s)),
        if(batch = 1, '', ', batch ' || batch)
    ) AS size,
    records.imported_from IS NOT NULL AS imported
FROM measurements AS measured
JOIN records ON records.file = measured.filename
LEFT JOIN builds ON builds.file = measured.filename AND builds.component = measured.component
    AND builds.backend = measured.backend AND builds.precision = measured.precision
    AND builds.route = measured.route
"""  # noqa: S608  # a constant


@dataclass(frozen=True)
class Selection:
    """Which series; empty is all.

    A variant is named whole (``tensorrt fp16 by flag, graph``), or by its backend, precision or
    both (``tensorrt/fp16``); a size as ``1 s``; commits by their full hashes.
    """

    pipelines: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    commits: tuple[str, ...] | None = None

    def where(self) -> tuple[str, dict[str, Any]]:
        """The condition in SQL, and its parameters."""
        tests = {
            "pipelines": "list_contains($pipelines, pipeline)",
            "components": "list_contains($components, component)",
            "variants": "list_has_any($variants, "
            "[variant, backend, precision, backend || '/' || precision])",
            "sizes": "list_contains($sizes, size)",
            "machines": "list_contains($machines, machine)",
            "commits": "list_contains($commits, commit)",
        }
        values = {name: getattr(self, name) for name in tests}
        given = {
            name: list(its)
            for name, its in values.items()
            if its or (name == "commits" and its == ())
        }
        return " AND ".join(tests[name] for name in given) or "true", given


@dataclass(frozen=True)
class Answer:
    """The rows of a query, which are in the table ``answer`` until the next query.

    ``simulated_count`` is how many of the ``series_count`` series that it may be made of were timed
    by a clock that is played back.
    """

    columns: tuple[str, ...]
    row_count: int
    simulated_count: int
    series_count: int
    connection: DuckDBPyConnection = field(repr=False)

    def rows(self, *, batch: int = 1000) -> Iterator[tuple[Any, ...]]:
        """The rows, fetched ``batch`` at a time."""
        self.connection.execute("SELECT * FROM answer")
        while rows := self.connection.fetchmany(batch):
            yield from rows


class Records:
    """The records of some places, as DuckDB's tables and views.

    ``records`` has a row a file, ``measurements`` the rows of the files themselves (a series each),
    ``builds`` a row an engine, and ``series`` joins the three. What is no record, is damaged or of
    another schema is left out, and told in a warning. It is to be closed, as a ``with`` does.
    ``each`` reads the headers.

    Raises:
        MissingDependencyError: DuckDB is not installed, or has no extension for an address.
        OptionError: one of the places is not there.
        RecordError: there is no record in them.
    """

    def __init__(self, sources: Sequence[str], each: Each = one_by_one) -> None:
        try:
            import duckdb  # noqa: PLC0415
        except ImportError as error:
            raise missing_dependency("duckdb", "history", "a query") from error
        self._scratch = tempfile.TemporaryDirectory(prefix="trt-harness-")
        self.connection = duckdb.connect(
            config={"memory_limit": _MEMORY, "temp_directory": self._scratch.name}
        )
        try:
            self._read(sources, each)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Records:  # noqa: PYI034  # typing.Self is not in Python 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        self.connection.close()
        self._scratch.cleanup()

    def _read(self, sources: Sequence[str], each: Each) -> None:
        self._sources = ", ".join(sources)
        headers = read_headers(sources, self.connection, each)
        for reason in headers.skipped:
            _log.warning("skipped: %s", reason)
        self.skipped = tuple(headers.skipped)
        self._fill("records", _RECORDS, headers.records)
        self._fill("builds", _BUILDS, headers.builds)
        self._files = [row["file"] for row in headers.records]
        self._see_files()

    def select(self, selection: Selection, metrics: Sequence[str]) -> Answer:
        """The ``metrics`` of the series of ``selection``, oldest commit first.

        Raises:
            OptionError: there is no such metric.
            RecordError: no record can be read.
        """
        unknown = next((name for name in metrics if name not in METRICS), None)
        if unknown is not None:
            fix = f"choose of {', '.join(METRICS)}"
            raise OptionError(f"there is no metric {unknown!r}", where="--metric", fix=fix)
        chosen = [METRICS[name] for name in dict.fromkeys(metrics)]
        columns = ", ".join((*LABELS, *(f"{m.expression} AS {m.column}" for m in chosen)))
        condition, values = selection.where()
        text = f"SELECT {columns} FROM series WHERE {condition} ORDER BY {_ORDER}"  # noqa: S608
        return self._answer(text, values, told_by="answer")

    def ask(self, sql: str) -> Answer:
        """The rows that ``sql``, of the user, gives.

        Raises:
            OptionError: DuckDB does not take it.
            RecordError: no record can be read.
        """
        text = f"SELECT * FROM ({sql.strip().rstrip(';')}\n)"  # noqa: S608
        # It may leave out what tells.
        return self._answer(text, {}, told_by="measurements")

    def rows(self, sql: str, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The rows of a query of our own, by the names of its columns.

        Raises:
            OptionError: DuckDB does not take it.
            RecordError: no record can be read.
        """
        answer = self._answer(sql, dict(values), told_by="measurements")
        for row in answer.rows():
            yield dict(zip(answer.columns, row, strict=True))

    @contextmanager
    def among(self, files: Collection[str]) -> Iterator[None]:
        """Look at the measurements of ``files`` alone: those of all others need not be read.

        Raises:
            RecordError: none of them is among those that can be read.
        """
        whole = self._files
        self._files = [name for name in whole if name in files]
        left = set(self._files)
        try:
            self._see_files()
            yield
        finally:
            damaged = left.difference(self._files)
            self._files = [name for name in whole if name not in damaged]
            self._see_files()

    def table(self, sql: str, values: Mapping[str, Any]) -> Any:  # noqa: ANN401  # pyarrow's
        """The rows of a query of our own as a table of Arrow: quick, where there are many.

        Raises:
            OptionError: DuckDB does not take it.
            RecordError: no record can be read.
        """
        given = dict(values)
        return self._tried(lambda: self.connection.sql(sql, params=given).to_arrow_table())

    def _tried(self, ask: Callable[[], _Given]) -> _Given:
        """What ``ask`` gives, without the files that are damaged if it does not otherwise."""
        import duckdb  # noqa: PLC0415

        try:
            return ask()
        except duckdb.Error as error:
            # A file may be damaged behind its header.
            if type(error).__name__ in _MISTAKES or not self._leave_out_damaged():
                what = " ".join(str(error).split())
                raise OptionError(what, where="the query", fix="see docs/records.md") from error
            return ask()

    def _answer(self, sql: str, values: dict[str, Any], *, told_by: str) -> Answer:
        """Ask ``sql``; ``told_by`` names the table that says which series were simulated."""
        text = f"CREATE OR REPLACE TABLE answer AS {sql}"
        self._tried(lambda: self.connection.execute(text, values))
        columns = tuple(row[0] for row in self.connection.execute("DESCRIBE answer").fetchall())
        counts = f"SELECT count(*), count(*) FILTER (simulated) FROM {told_by}"  # noqa: S608
        series, simulated = self.connection.execute(counts).fetchall()[0]
        rows = self.connection.execute("SELECT count(*) FROM answer").fetchall()[0][0]
        return Answer(columns, rows, simulated, series, self.connection)

    def _fill(self, name: str, columns: str, rows: list[dict[str, Any]]) -> None:
        import pyarrow as pa  # noqa: PLC0415

        self.connection.execute(f"CREATE TABLE {name} ({columns})")
        if rows:
            self.connection.register("given", pa.Table.from_pylist(rows))
            self.connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM given")  # noqa: S608
            self.connection.unregister("given")

    def _see_files(self) -> None:
        """Make the views over the files that are left.

        Raises:
            RecordError: there are none.
        """
        if not self._files:
            fix = "name a folder of records"
            raise RecordError("has no record that can be read", where=self._sources, fix=fix)
        files = ", ".join(f"'{_literal(name)}'" for name in self._files)
        self.connection.execute(
            "CREATE OR REPLACE VIEW measurements AS "  # noqa: S608  # our own names
            f"SELECT * FROM read_parquet([{files}], filename = true)"
        )
        self.connection.execute(_SERIES)

    def _leave_out_damaged(self) -> bool:
        """Leave out what cannot be read to its end; says whether there was any."""
        import duckdb  # noqa: PLC0415

        sound = []
        for name in self._files:
            try:
                self.connection.execute("SELECT * FROM read_parquet(?)", [_pattern(name)])
                while self.connection.fetchmany(1000):
                    pass
            except duckdb.Error as error:
                reason = f"{name}: is damaged: {str(error).splitlines()[0]}; fetch it again"
                self.skipped = (*self.skipped, reason)
                _log.warning("skipped: %s", reason)
            else:
                sound.append(name)
        damaged = sorted(set(self._files).difference(sound))
        for table in ("records", "builds"):
            condition = "WHERE list_contains($damaged, file)"
            self.connection.execute(f"DELETE FROM {table} {condition}", {"damaged": damaged})  # noqa: S608
        self._files = sound
        self._see_files()
        return bool(damaged)


def _literal(name: str) -> str:
    return _pattern(name).replace("'", "''")


def _pattern(name: str) -> str:
    """``name`` such that DuckDB takes no part of it for a pattern."""
    return re.sub(r"([*?\[])", r"[\1]", name)
