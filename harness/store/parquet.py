"""Records as Parquet files: one file a run, one row a measurement, its raw samples in a list."""

from __future__ import annotations

import json
import logging
import zlib
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Protocol

from harness.errors import RecordError
from harness.files import check_folder, written_whole
from harness.pipeline.fingerprint import hash_json
from harness.states import Block, DeviceState, Finding, GpuState, HostState, Validity
from harness.store.headers import (
    METADATA_KEY,
    SCHEMA_VERSION,
    VERSION_KEY,
    decode_header,
    no_record,
)
from harness.types import (
    Artifact,
    Budget,
    Ceilings,
    ComponentCost,
    Engine,
    GraphCost,
    MacCounts,
    Measurement,
    MissingProcess,
    NodeCounts,
    Record,
    Replication,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


logger = logging.getLogger("harness.store")
_HASH_KEY = "content_hash"


class Store(Protocol):
    """Keeps records; the extension point for other places than a folder."""

    def append(self, record: Record) -> object:
        """Keep ``record``; nothing that is kept is ever changed."""

    def query(self, *, pipeline: str | None = None) -> Iterator[Record]:
        """The records kept, oldest first; those of one pipeline if it is named."""


class ParquetStore:
    """A folder of records; each is a file of its own, written once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self) -> None:
        """Make the folder and see that it can be written, before anything long is begun.

        Raises:
            StorageError: it cannot.
        """
        check_folder(self.folder)

    def append(self, record: Record) -> Path:
        """Write ``record`` to a new file of the folder, whole or not at all; gives its path.

        Raises:
            StorageError: the folder cannot be written.
        """
        path = self.folder / f"{record.pipeline}-{record.record_id}.parquet"
        check_folder(self.folder)
        write_record(record, path)
        return path

    def query(self, *, pipeline: str | None = None) -> Iterator[Record]:
        """The folder's records, oldest first.

        A file that is damaged, or of another schema, is left out with a warning.
        """
        records = []
        for path in sorted(self.folder.glob("*.parquet")):
            try:
                records.append(read_record(path))
            except RecordError as error:
                logger.warning("%s; it is left out", error)
        for record in sorted(records, key=lambda r: (r.created_utc, r.record_id)):
            if pipeline in {None, record.pipeline}:
                yield record


def write_record(record: Record, path: Path) -> None:
    """Write ``record`` to ``path`` atomically.

    Raises:
        StorageError: it cannot be written, or ``path`` exists: records are never overwritten.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    header = asdict(record)
    rows = header.pop("measurements")
    header = {"schema_version": SCHEMA_VERSION, **header, _HASH_KEY: _hash(header, rows)}
    columns = {f.name: [row[f.name] for row in rows] for f in fields(Measurement)}
    arrays = {name: pa.array(values, type=_column_type(name)) for name, values in columns.items()}
    # Readings of a machine are much alike: a tenth of their size is left.
    metadata = {
        METADATA_KEY: zlib.compress(json.dumps(header).encode()),
        VERSION_KEY: str(SCHEMA_VERSION).encode(),
    }
    table = pa.table(arrays).replace_schema_metadata(metadata)
    with written_whole(path, overwrite=False) as scratch:
        pq.write_table(table, scratch)


def _hash(header: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """What the file says, whatever the encoding: a damaged file must not pass for another run."""
    return hash_json({"header": header, "rows": rows})


def _column_type(name: str) -> Any:  # noqa: ANN401
    import pyarrow as pa  # noqa: PLC0415

    kind = str(next(f.type for f in fields(Measurement) if f.name == name)).partition(" |")[0]
    return {
        "tuple[float, ...]": pa.list_(pa.float64()),
        "tuple[int, ...]": pa.list_(pa.int64()),
        "int": pa.int64(),
        "bool": pa.bool_(),
        "float": pa.float64(),
        "str": pa.string(),
    }[kind]


def read_record(path: Path) -> Record:
    """Read the record at ``path``.

    Raises:
        RecordError: it is no record, is damaged, or is of another schema version.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(path) as file:
            header = decode_header(file.schema_arrow.metadata or {}, where=str(path))
            rows = file.read().to_pylist()
    except FileNotFoundError as error:
        raise RecordError("there is no such file", where=str(path), fix="mend the path") from error
    except (pa.ArrowException, OSError, TypeError, ValueError) as error:
        raise no_record(str(path)) from error
    del header["schema_version"]
    try:
        is_sound = header.pop(_HASH_KEY, None) == _hash(header, rows)
    except (TypeError, ValueError):
        # A damaged type turns the numbers into something that no record holds.
        is_sound = False
    if not is_sound:
        what, fix = "is damaged: its hash is not that of its content", "fetch it again"
        raise RecordError(what, where=str(path), fix=fix)
    try:
        return _rebuild(header, rows)
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"is damaged: {error}", where=str(path), fix="fetch it again") from error


def record_of_header(header: dict[str, Any], *, where: str) -> Record:
    """What a record's header says, as a record without its measurements; its hash is not checked.

    Args:
        header: as :func:`harness.store.headers.read_header` gives it.
        where: names the file.

    Raises:
        RecordError: it is damaged.
    """
    told = {key: its for key, its in header.items() if key not in {"schema_version", _HASH_KEY}}
    try:
        return _rebuild(told, [])
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"is damaged: {error}", where=where, fix="fetch it again") from error


def record_to_json(record: Record) -> str:
    """``record`` as text that :func:`record_from_json` reads, for another process of one run.

    Nothing that takes a second to load is needed for it.
    """
    return json.dumps(asdict(record))


def record_from_json(text: str) -> Record:
    """The record in ``text``."""
    header = dict(json.loads(text))
    return _rebuild(header, header.pop("measurements"))


def _rebuild(header: dict[str, Any], rows: list[dict[str, Any]]) -> Record:
    header["command"] = tuple(header["command"])
    header["budget"] = None if header["budget"] is None else Budget(**header["budget"])
    header["artifacts"] = tuple(Artifact(**_with_counts(a)) for a in header["artifacts"])
    header["engines"] = tuple(Engine(**_with_counts(engine)) for engine in header["engines"])
    header["costs"] = tuple(_cost(row) for row in header["costs"])
    ceilings = header["ceilings"]
    header["ceilings"] = None if ceilings is None else Ceilings(**ceilings)
    header["telemetry"] = tuple(_state(row) for row in header["telemetry"])
    header["blocks"] = tuple(Block(**row) for row in header["blocks"])
    validity = header["validity"]
    if validity is not None:
        header["validity"] = Validity(tuple(Finding(**f) for f in validity["findings"]))
    header["replication"] = _replication(header["replication"])
    measurements = tuple(Measurement(**_with_tuples(row)) for row in rows)
    return Record(**header, measurements=measurements)


def _replication(row: dict[str, Any] | None) -> Replication | None:
    if row is None:
        return None
    missing = tuple(MissingProcess(**one) for one in row["missing"])
    # Before version 6 there were no turns, and no rule.
    return Replication(**{**_with_tuples(row), "missing": missing})


def _with_tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in row.items()}


def _state(row: dict[str, Any]) -> DeviceState:
    gpu = row["gpu"]
    if gpu is not None:
        ids = gpu["process_ids"]
        gpu = GpuState(**{**gpu, "process_ids": None if ids is None else tuple(ids)})
    return DeviceState(row["monotonic_s"], HostState(**row["host"]), gpu)


def _cost(row: dict[str, Any]) -> ComponentCost:
    cost = row["cost"]
    macs = MacCounts(**cost["macs_by_precision"])
    return ComponentCost(**{**row, "cost": GraphCost(**{**cost, "macs_by_precision": macs})})


def _with_counts(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "nodes": None if row["nodes"] is None else NodeCounts(**row["nodes"])}
