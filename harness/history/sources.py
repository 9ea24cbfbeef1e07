"""Which records a query is over, and what their headers say; local files, or DuckDB's addresses."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.comparison.built import build_options
from harness.errors import HarnessError, MissingDependencyError, OptionError, RecordError
from harness.history.context import context_in
from harness.history.runs import is_invalid, number_runs
from harness.sharing import one_by_one
from harness.states import Finding, Validity
from harness.stats.fingerprint import fingerprint
from harness.store.headers import METADATA_KEY, decode_header, read_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from duckdb import DuckDBPyConnection

    from harness.history.context import HistoryContext
    from harness.sharing import Each

_ADDRESS: Final = re.compile(r"^[a-z][a-z0-9]+://", re.IGNORECASE)
_WITHOUT_LISTING: Final = ("http://", "https://")
# Requests to an object store wait more than they work.
_REQUESTS: Final = 8
_SUFFIX: Final = ".parquet"
_METADATA: Final = "SELECT value FROM parquet_kv_metadata(?) WHERE decode(key) = ?"


@dataclass
class Headers:
    """What the headers of records say: rows of two tables, and why what was ``skipped``.

    ``records`` has a row for each file, ``builds`` one for each engine of it.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    builds: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Rows:
    """Of one record: its row, those of its engines, and its context where asv's results hold it."""

    record: dict[str, Any]
    builds: list[dict[str, Any]]
    context: HistoryContext | None


def read_headers(
    sources: Sequence[str], connection: DuckDBPyConnection, each: Each = one_by_one
) -> Headers:
    """Read the header of every record in ``sources``; of each but a few words are kept.

    Args:
        sources: files, folders (with all below), patterns, or addresses that DuckDB reads
            (``s3://``, ``gs://``, ``https://``, ...), folders among them where the store lists
            its files.
        connection: reads what is not local.
        each: reads the local files.

    Raises:
        OptionError: a source is not there, or cannot be listed.
        MissingDependencyError: DuckDB has no extension for the address.
    """
    local: dict[str, None] = {}
    remote: dict[str, None] = {}
    for source in sources:
        if is_address(source):
            remote |= dict.fromkeys(_remote_files(source, connection))
        else:
            local |= dict.fromkeys(_local_files(source))
    rows = each(_local_rows, list(local))
    if remote:
        with ThreadPoolExecutor(_REQUESTS) as pool:
            rows += pool.map(partial(_remote_rows, connection), remote)
    return _joined(rows)


def is_address(source: str) -> bool:
    """Whether ``source`` is no path, but an address that DuckDB reads."""
    return _ADDRESS.match(source) is not None


def _joined(rows: Sequence[_Rows | str]) -> Headers:
    """Those of all records; which runs are superseded only all of them tell."""
    read = [one for one in rows if isinstance(one, _Rows)]
    runs = number_runs({one.record["file"]: one.context for one in read if one.context})
    unknown = (None, None)
    for one in read:
        one.record["run"], one.record["superseded"] = runs.get(one.record["file"], unknown)
    return Headers(
        records=[one.record for one in read],
        builds=[build for one in read for build in one.builds],
        skipped=[one for one in rows if isinstance(one, str)],
    )


def _local_rows(name: str) -> _Rows | str:
    return _rows(name, partial(read_header, Path(name)))


def _rows(name: str, read: Callable[[], dict[str, Any]]) -> _Rows | str:
    """The rows of the record called ``name``, or why it has none."""
    try:
        header = read()
        context = context_in(header.get("history"), where=name)
        counts = header["is_complete"] and not is_invalid(header)
        is_asvs = context is not None and counts and not context.imported_from
        return _Rows(
            record=_record_row(name, header, context),
            builds=list(_build_rows(name, header)),
            context=context if is_asvs else None,
        )
    except MissingDependencyError:
        # It is not the record that is wrong.
        raise
    except HarnessError as error:
        return str(error)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return f"{name}: is damaged: {error}; fetch it again"


def _local_files(source: str) -> list[str]:
    path = Path(source)
    if path.is_dir():
        return sorted(str(found) for found in path.rglob(f"*{_SUFFIX}"))
    if path.exists():
        return [source]
    matches = sorted(str(p) for p in Path(path.anchor or ".").glob(_relative(path)))
    if not matches:
        fix = "name a file, a folder, a pattern or an address"
        raise OptionError("there is no such record", where=source, fix=fix)
    return matches


def _relative(path: Path) -> str:
    return str(path.relative_to(path.anchor)) if path.anchor else str(path)


def _remote_files(source: str, connection: DuckDBPyConnection) -> list[str]:
    import duckdb  # noqa: PLC0415

    is_file = source.endswith(_SUFFIX)
    if is_file and "*" not in source:
        return [source]
    if source.lower().startswith(_WITHOUT_LISTING):
        fix = f"name each file (…{_SUFFIX}), or use the store's own address (s3://, gs://)"
        raise OptionError("files at such an address cannot be listed", where=source, fix=fix)
    pattern = source if is_file else f"{source.rstrip('/')}/**/*{_SUFFIX}"
    try:
        rows = connection.execute("SELECT file FROM glob(?) ORDER BY file", [pattern]).fetchall()
    except duckdb.Error as error:
        raise extension_error(error, source) or _unreadable(error, source) from error
    if not rows:
        raise OptionError("there is no record at that address", where=source, fix="look into it")
    return [name for (name,) in rows]


def _remote_rows(connection: DuckDBPyConnection, name: str) -> _Rows | str:
    def read() -> dict[str, Any]:
        import duckdb  # noqa: PLC0415

        try:
            with connection.cursor() as cursor:
                row = cursor.execute(_METADATA, [name, METADATA_KEY.decode()]).fetchone()
        except duckdb.Error as error:
            raise extension_error(error, name) or _unreadable(error, name) from error
        return decode_header({METADATA_KEY: row[0]} if row else {}, where=name)

    return _rows(name, read)


def extension_error(error: Exception, source: str) -> HarnessError | None:
    """The error where DuckDB wants an extension for ``source`` that it has not and cannot get."""
    asked = re.search(r"extension '?\"?([a-z_]+)", str(error))
    words = ("install", "load", "download")
    if asked is None or not any(word in str(error).lower() for word in words):
        return None
    name = asked.group(1)
    return MissingDependencyError(
        f"DuckDB's extension {name} is not installed, and cannot be fetched from here",
        where=source,
        fix=f"run INSTALL {name} in DuckDB once where there is a network, or fetch the records",
    )


def _unreadable(error: Exception, source: str) -> RecordError:
    what = f"cannot be read: {str(error).splitlines()[0]}"
    return RecordError(
        what, where=source, fix="see that it is whole, and that address and credentials are right"
    )


def _record_row(
    name: str, header: dict[str, Any], context: HistoryContext | None
) -> dict[str, Any]:
    """The columns of the table ``records``; what a record does not tell is None."""
    environment = header["environment"]
    gpu = environment.get("gpu") or {}
    commit = environment.get("pipeline_commit") or {}
    replication = header.get("replication") or {}
    slowed_by = float(replication.get("slowed_by") or 0.0)
    measured = context.commit if context else commit.get("commit")
    validity = header["validity"] and Validity(
        tuple(Finding(**one) for one in header["validity"]["findings"])
    )
    return {
        "file": name,
        "record_id": header["record_id"],
        "created_utc": _utc(datetime.fromisoformat(header["created_utc"])),
        "pipeline": header["pipeline"],
        # What was slowed on purpose is of no commit.
        "commit": None if slowed_by else measured,
        "commit_utc": context and _utc(datetime.fromtimestamp(context.commit_unix_s, timezone.utc)),
        "is_dirty": commit.get("is_dirty"),
        "machine": context.machine if context else None,
        "environment": context.environment_name if context else None,
        "round": context.round if context else None,
        "requirements": json.dumps(context.requirements) if context else None,
        "imported_from": (context.imported_from or None) if context else None,
        "python": context.python if context else environment.get("python"),
        "cpu": environment.get("cpu"),
        "gpu": gpu.get("name"),
        "driver": gpu.get("driver"),
        "harness_version": header["harness_version"],
        "harness_commit": (environment.get("harness_commit") or {}).get("commit"),
        "is_complete": bool(header["is_complete"]),
        "validity": validity.status if validity else None,
        "schema_version": int(header["schema_version"]),
        "fingerprint": fingerprint(environment),
        "slowed_by": slowed_by or None,
        "experiment": replication.get("experiment") or None,
    }


def _utc(when: datetime) -> datetime:
    """Without its zone, as DuckDB's TIMESTAMP is."""
    if when.tzinfo is None:
        return when
    return when.astimezone(timezone.utc).replace(tzinfo=None)


def _build_rows(name: str, header: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of the table ``builds``: of several engines of one kind, the first."""
    graphs = {(a["component"], a["precision"]): a["size_bytes"] for a in header["artifacts"]}
    seen = set()
    # Engines of one record are built alike, but for a few.
    told: dict[str, str] = {}
    for engine in header["engines"]:
        kind = tuple(engine[key] for key in ("component", "backend", "precision", "route"))
        if kind in seen:
            continue
        seen.add(kind)
        recipe = engine["details"].get("recipe") or {}
        options = build_options(engine["details"])
        key = repr(options)
        if options and key not in told:
            told[key] = json.dumps(options, sort_keys=True)
        # A builder may have made it of a graph in another precision.
        graph = (engine["component"], recipe.get("graph_precision", engine["precision"]))
        yield {
            "file": name,
            **dict(zip(("component", "backend", "precision", "route"), kind, strict=True)),
            "build_s": engine["build_s"],
            "size_bytes": engine["size_bytes"] or graphs.get(graph),
            "memory_bytes": engine["memory_bytes"],
            "options": told.get(key),
        }
