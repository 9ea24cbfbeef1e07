"""Records as Parquet files: written once, whole or not at all, and read back as they were."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.errors import RecordError, StorageError
from harness.store.parquet import (
    SCHEMA_VERSION,
    ParquetStore,
    read_record,
    record_from_json,
    record_to_json,
    write_record,
)
from harness.types import (
    Artifact,
    Budget,
    Engine,
    Measurement,
    MissingProcess,
    NodeCounts,
    Record,
    Replication,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# Small ones that earlier commits of the harness wrote, by the name of their schema.
OLD = Path(__file__).with_name("data")
HEADER, VERSION = b"trt_harness", b"trt_harness_schema_version"
EXAMPLES = Path(__file__).parents[2] / "reports" / "examples" / "h200"
MEASUREMENT = Measurement(
    component="Sprachkodierer_é_音声",
    backend="onnxruntime",
    precision="fp32",
    mode="eager",
    clock="host",
    duration_s=1.0,
    batch=2,
    threads=4,
    load_s=0.25,
    first_s=0.125,
    latency_s=(0.1, 1e-9, 0.30000000000000004),
    accuracy_inputs=4,
    snr_db=math.inf,
    constant_snr_db=1.25,
    dependent_snr_db=-math.inf,
    relative_l2=0.0,
    log_spectral_distance_db=0.5,
    min_snr_db=40.0,
)
RECIPE = {"clipping": {"method": "percentile", "percentile": 99.99}, "kept_fp32": ["Log_1"]}
RECORD = Record(
    record_id="20260101T000000-abcd",
    created_utc="2026-01-01T00:00:00+00:00",
    harness_version="0.1.0",
    pipeline="Stimme_音声",
    command=("harness", "run", "Stimme_音声", "--samples", "400"),
    inputs={"kind": "synthetic", "seed": 1, "lengths": [1, 2.5, None]},
    budget=Budget(p99_s=0.05, duration_s=1.0, batch=1, includes="alles", excludes="“nichts”"),
    environment={"cpu": None, "packages": {"numpy": "2.0"}, "harness_commit": None},
    artifacts=(
        Artifact("encoder", "fp32", "00" * 20, 1 << 40, 1_000, 1e-7),
        Artifact("decoder", "int8+fp16", "ff" * 20, 0, None, None, NodeCounts(3, 2, 1), RECIPE),
    ),
    engines=(
        Engine("encoder", "onnxruntime", "fp32", 1 << 40, NodeCounts(fp32=7), 1.0, 2),
        Engine("decoder", "onnxruntime", "int8+fp16", None, None, None, 1),
        Engine(
            *("encoder", "tensorrt", "fp16", 1 << 33, NodeCounts(fp16=7), 1.0, 2),
            route="flag",
            size_bytes=1 << 31,
            build_s=0.30000000000000004,
            details={
                "library": "tensorrt 10.0",
                "device": {"name": "Gerät “é”", "capability": [9, 0]},
                "timing_cache": None,
                "layer_times": [{"name": "音声", "precision": "fp16", "ms": 1e-9}],
                "is_hardware_compatible": False,
            },
        ),
    ),
    calibration={"kind": "recordings", "files": [{"file": "é.wav"}], "clipping": "minmax"},
    measurements=(
        MEASUREMENT,
        replace(
            MEASUREMENT,
            component="pipeline",
            duration_s=None,
            latency_s=(),
            accuracy_inputs=0,
            snr_db=None,
            constant_snr_db=None,
            dependent_snr_db=None,
            relative_l2=None,
            log_spectral_distance_db=None,
            min_snr_db=None,
            simulated=True,
        ),
        replace(
            MEASUREMENT,
            backend="tensorrt",
            precision="fp16",
            clock="cuda events, queued ahead",
            route="flag",
            launch="graph",
        ),
    ),
    phases_s={"export": 1.5, "measure": 30.0},
)
BARE = Record(
    record_id="bare",
    created_utc="2026-01-02T00:00:00+00:00",
    harness_version="0.1.0",
    pipeline="tiny",
    command=(),
    inputs={},
    budget=None,
    environment={},
    artifacts=(),
    engines=(),
    calibration=None,
    measurements=(),
    is_complete=False,
)


def named(name: str, pipeline: str = "tiny", day: int = 1) -> Record:
    created_utc = f"2026-01-{day:02}T00:00:00+00:00"
    return replace(BARE, record_id=name, pipeline=pipeline, created_utc=created_utc)


def rewrite_header(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Put back the file at ``path`` with what ``change`` makes of its header."""
    header = change(json.loads(zlib.decompress(pq.read_schema(path).metadata[HEADER])))
    rewrite_metadata(path, {HEADER: zlib.compress(json.dumps(header).encode())})


def rewrite_metadata(path: Path, changes: dict[bytes, bytes | None]) -> None:
    """Put back the file at ``path`` with ``changes`` of its metadata; None leaves one out."""
    table = pq.read_table(path)
    metadata = {**table.schema.metadata, **changes}
    kept = {key: value for key, value in metadata.items() if value is not None}
    pq.write_table(table.replace_schema_metadata(kept), path)


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        BARE,
        replace(RECORD, budget=None),
        replace(RECORD, artifacts=()),
        replace(RECORD, engines=(), calibration=None),
        replace(RECORD, budget=Budget(0.05, None, 1, "", "")),
        replace(RECORD, measurements=(replace(MEASUREMENT, snr_db=-math.inf),)),
    ],
    ids=["full", "bare", "no budget", "no artifacts", "no INT8", "no duration", "minus infinity"],
)
def test_record_comes_back_as_it_was(tmp_path: Path, record: Record) -> None:
    path = ParquetStore(tmp_path).append(record)
    assert read_record(path) == record
    assert list(ParquetStore(tmp_path).query()) == [record]


def test_every_field_of_a_measurement_is_a_column_of_its_type(tmp_path: Path) -> None:
    path = ParquetStore(tmp_path).append(RECORD)
    types = {field.name: field.type for field in pq.read_schema(path)}
    assert types["latency_s"] == pa.list_(pa.float64())
    assert {types[name] for name in ("accuracy_inputs", "batch", "threads")} == {pa.int64()}
    times = ("duration_s", "load_s", "first_s")
    ratios = ("snr_db", "constant_snr_db", "dependent_snr_db", "relative_l2", "min_snr_db")
    numbers = (*times, *ratios, "log_spectral_distance_db")
    assert {types[name] for name in numbers} == {pa.float64()}
    assert types["simulated"] == pa.bool_()
    words = ("component", "backend", "precision", "mode", "clock", "route", "launch")
    assert {types[name] for name in words} == {pa.string()}


def test_record_lies_in_the_folder_of_the_store_alone(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet" / "there"
    path = ParquetStore(folder).append(named("first"))
    assert list(folder.iterdir()) == [path]


def test_record_is_never_overwritten(tmp_path: Path) -> None:
    path = ParquetStore(tmp_path).append(RECORD)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="exists already") as caught:
        ParquetStore(tmp_path).append(replace(RECORD, harness_version="9.9.9"))
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "Permission denied"),
    ],
)
def test_failed_write_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, reason: str
) -> None:
    def half_write(table: pa.Table, where: Path) -> None:
        where.write_bytes(b"PAR1 and some of the data")
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(pq, "write_table", half_write)
    with pytest.raises(StorageError, match=reason) as caught:
        ParquetStore(tmp_path).append(RECORD)
    assert caught.value.where == str(tmp_path / f"Stimme_音声-{RECORD.record_id}.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failure", [KeyboardInterrupt, MemoryError])
def test_interrupted_write_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: type[BaseException]
) -> None:
    def half_write(table: pa.Table, where: Path) -> None:
        where.write_bytes(b"PAR1 and some of the data")
        raise failure

    monkeypatch.setattr(pq, "write_table", half_write)
    with pytest.raises(failure):
        ParquetStore(tmp_path).append(RECORD)
    assert list(tmp_path.iterdir()) == []


def test_record_that_the_system_refuses_to_write_whole_leaves_no_file(tmp_path: Path) -> None:
    """A limit on the size of files is the nearest thing to a full disk that needs no disk."""
    script = """
import resource, sys
from pathlib import Path
from harness.errors import StorageError
from harness.store.parquet import ParquetStore
from harness.types import Measurement, Record

latency_s = tuple(1.0 / number for number in range(1, 20_001))
row = Measurement("a", "b", "c", "d", "e", None, 1, 1, 0.0, 0.0, latency_s)
record = Record("id", "now", "0", "tiny", (), {}, None, {}, (), (), None, (row,))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    ParquetStore(Path(sys.argv[1])).append(record)
except StorageError as error:
    print(error.what)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "records")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "cannot write: the disk is full", done.stderr
    assert list((tmp_path / "records").iterdir()) == []


@pytest.mark.parametrize("kept", [0, 3, 4, 100, -1])
def test_truncated_file_is_refused_by_name(tmp_path: Path, kept: int) -> None:
    path = ParquetStore(tmp_path).append(RECORD)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(RecordError, match="is no record, or is damaged") as caught:
        read_record(path)
    assert caught.value.where == str(path)
    assert list(ParquetStore(tmp_path).query()) == []


def test_file_that_is_no_parquet_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.parquet"
    path.write_text("not a table at all")
    with pytest.raises(RecordError, match="is no record") as caught:
        read_record(path)
    assert caught.value.where == str(path)


def test_table_of_somebody_else_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"component": ["a"]}), path)
    with pytest.raises(RecordError, match="is no record") as caught:
        read_record(path)
    assert caught.value.where == str(path)


def test_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there is no such file; mend the path") as caught:
        read_record(tmp_path / "missing.parquet")
    assert caught.value.where == str(tmp_path / "missing.parquet")


def test_counts_of_nodes_come_back_as_such(tmp_path: Path) -> None:
    """They can be added up again, as no dictionary can."""
    record = read_record(ParquetStore(tmp_path).append(RECORD))

    (encoder, *_), (_, decoder) = record.engines, record.artifacts
    assert encoder.nodes is not None
    assert decoder.nodes is not None
    assert encoder.nodes + decoder.nodes == NodeCounts(int8=3, fp16=2, fp32=8)
    assert decoder.recipe["clipping"]["percentile"] == 99.99


def test_how_an_engine_was_built_and_what_was_timed_of_it_come_back(tmp_path: Path) -> None:
    record = read_record(ParquetStore(tmp_path).append(RECORD))

    *plain, engine = record.engines
    assert (engine.route, engine.size_bytes, engine.build_s) == (
        *("flag", 1 << 31, 0.30000000000000004),
    )
    assert engine.details["device"] == {"name": "Gerät “é”", "capability": [9, 0]}
    assert engine.details["layer_times"][0]["ms"] == 1e-9
    assert all((e.route, e.size_bytes, e.build_s, e.details) == ("", None, None, {}) for e in plain)
    assert [str(m.variant) for m in record.measurements] == [
        *("onnxruntime fp32", "onnxruntime fp32", "tensorrt fp16 by flag, graph"),
    ]


def test_details_that_were_changed_afterwards_are_damage(tmp_path: Path) -> None:
    path = ParquetStore(tmp_path).append(RECORD)

    def change(header: dict[str, Any]) -> dict[str, Any]:
        header["engines"][-1]["details"]["library"] = "tensorrt 8.6"
        return header

    rewrite_header(path, change)

    with pytest.raises(RecordError, match="its hash is not that of its content"):
        read_record(path)


def test_a_record_of_an_older_version_is_refused_by_name(tmp_path: Path) -> None:
    path = ParquetStore(tmp_path).append(RECORD)
    rewrite_header(path, lambda header: {**header, "schema_version": 3})

    with pytest.raises(RecordError, match="has schema version 3, this is version 6") as caught:
        read_record(path)

    assert caught.value.where == str(path)
    assert SCHEMA_VERSION == 6


def test_a_record_of_the_version_before_has_no_history() -> None:
    record = read_record(EXAMPLES / "fp16.parquet")
    assert record.history is None
    assert record.pipeline == "voice_conversion"


def test_the_history_comes_back_as_it_was(tmp_path: Path) -> None:
    history = {"commit": "ab" * 20, "round": 2, "requirements": {"gpu": "é"}, "env_vars": {}}
    record = replace(RECORD, history=history)
    path = ParquetStore(tmp_path).append(record)
    assert read_record(path).history == history
    assert record_from_json(record_to_json(record)) == record


@pytest.mark.parametrize("version", [0, 1, 2, SCHEMA_VERSION + 1, str(SCHEMA_VERSION), None])
def test_record_of_another_schema_version_is_refused_by_name(
    tmp_path: Path, version: object
) -> None:
    path = ParquetStore(tmp_path).append(RECORD)
    rewrite_header(path, lambda header: {**header, "schema_version": version})
    with pytest.raises(RecordError, match=f"has schema version {version}") as caught:
        read_record(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_record_that_an_older_harness_wrote_is_told_by_its_version(version: int) -> None:
    path = OLD / f"schema-{version}.parquet"
    with pytest.raises(RecordError, match=f"has schema version {version}, this is version 6"):
        read_record(path)


def test_a_record_of_version_4_from_before_its_metadata_was_compressed_is_read() -> None:
    record = read_record(OLD / "schema-4-plain.parquet")
    assert [(m.component, m.latency_s) for m in record.measurements] == [("encoder", (0.1, 0.2))]


def test_a_record_of_version_5_is_of_no_experiment() -> None:
    record = read_record(OLD / "schema-5.parquet")
    missing = (MissingProcess(1, 0, "died"),)
    assert record.replication == Replication(2, 1, missing=missing, experiment="", turns=())
    assert record.history == {"commit": "ab" * 20}


@pytest.mark.parametrize("version", [3, 7, 12])
def test_the_version_is_told_whatever_the_rest_is(tmp_path: Path, version: int) -> None:
    path = ParquetStore(tmp_path).append(RECORD)
    assert pq.read_schema(path).metadata[VERSION] == b"6"
    rewrite_metadata(path, {VERSION: str(version).encode(), HEADER: b"of another encoding"})

    with pytest.raises(RecordError, match=f"has schema version {version}, this is version 6"):
        read_record(path)


def test_a_record_from_before_its_version_was_plain_is_read(tmp_path: Path) -> None:
    path = ParquetStore(tmp_path).append(RECORD)
    rewrite_metadata(path, {VERSION: None})
    assert read_record(path) == RECORD


@pytest.mark.parametrize(
    "changes",
    [
        {VERSION: b"four"},
        {HEADER: b'{"schema_version": 3'},
        {HEADER: b"[3]"},
        {HEADER: None},
        {HEADER: None, VERSION: None},
    ],
)
def test_metadata_that_no_version_wrote_is_damage(
    tmp_path: Path, changes: dict[bytes, bytes | None]
) -> None:
    path = ParquetStore(tmp_path).append(RECORD)
    rewrite_metadata(path, changes)
    with pytest.raises(RecordError, match="is no record, or is damaged"):
        read_record(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: {name: header[name] for name in header if name != "command"},
        lambda header: {name: header[name] for name in header if name != "pipeline"},
        lambda header: {**header, "surplus": 1},
        lambda header: {**header, "artifacts": 3},
        lambda header: {name: header[name] for name in header if name != "engines"},
        lambda header: {**header, "engines": [{"component": "a"}]},
        lambda header: {**header, "engines": [{**header["engines"][0], "nodes": {"int4": 1}}]},
        lambda header: {**header, "budget": {"p99_s": 1.0}},
    ],
    ids=[
        "no command",
        "no pipeline",
        "surplus key",
        "bad artifacts",
        "no engines",
        "half an engine",
        "other counts",
        "half a budget",
    ],
)
def test_damaged_header_is_refused_by_name(
    tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    path = ParquetStore(tmp_path).append(RECORD)
    rewrite_header(path, change)
    with pytest.raises(RecordError, match="is damaged") as caught:
        read_record(path)
    assert caught.value.where == str(path)


def test_missing_column_is_refused_by_name(tmp_path: Path) -> None:
    path = ParquetStore(tmp_path).append(RECORD)
    pq.write_table(pq.read_table(path).drop_columns(["latency_s"]), path)
    with pytest.raises(RecordError, match="is damaged") as caught:
        read_record(path)
    assert caught.value.where == str(path)


def test_query_gives_the_oldest_first_whatever_the_names(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    for name, day in (("a", 3), ("b", 1), ("c", 4), ("d", 2)):
        store.append(named(name, day=day))
    assert [record.record_id for record in store.query()] == ["b", "d", "a", "c"]


def test_query_gives_only_the_pipeline_that_is_named(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    # The names of these files all begin alike.
    for day, pipeline in enumerate(["tiny", "tiny-b", "tiny", "other"], start=1):
        store.append(named(f"b-{day}", pipeline, day))
    assert [record.record_id for record in store.query(pipeline="tiny")] == ["b-1", "b-3"]
    assert [record.record_id for record in store.query(pipeline="tiny-b")] == ["b-2"]
    assert list(store.query(pipeline="absent")) == []
    assert len(list(store.query())) == 4


def test_query_sees_only_parquet_files(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    path = store.append(named("first"))
    (tmp_path / "README.md").write_text("notes")
    (tmp_path / f".{path.name}.123").write_bytes(b"of a run that is writing now")
    assert [record.record_id for record in store.query()] == ["first"]


def test_query_leaves_a_damaged_file_out_and_tells_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = ParquetStore(tmp_path)
    store.append(named("first"))
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(b"PAR1")

    assert [record.record_id for record in store.query()] == ["first"]

    (message,) = caplog.messages
    assert message.startswith(f"{damaged}: is no record, or is damaged; ")


def test_query_of_a_missing_folder_is_empty(tmp_path: Path) -> None:
    assert list(ParquetStore(tmp_path / "missing").query()) == []


def test_check_makes_the_folder_and_leaves_it_empty(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    ParquetStore(folder).check()
    ParquetStore(folder).check()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("below", ["", "records"])
def test_folder_that_cannot_be_made_is_refused_before_and_at_writing(
    tmp_path: Path, below: str
) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    store = ParquetStore(file / below)
    with pytest.raises(StorageError) as caught:
        store.check()
    assert caught.value.where == str(file / below)
    with pytest.raises(StorageError):
        store.append(RECORD)
    assert file.read_text() == "in the way"


def test_write_into_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file or directory"):
        write_record(RECORD, tmp_path / "missing" / "record.parquet")


def test_a_flipped_bit_never_passes_for_another_run(tmp_path: Path) -> None:
    path = ParquetStore(tmp_path).append(RECORD)
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[position] ^= 0x04
        path.write_bytes(bytes(flipped))
        try:
            assert read_record(path) == RECORD
        except RecordError as error:
            assert error.where == str(path)  # noqa: PT017  # either is right, a wrong record is not
