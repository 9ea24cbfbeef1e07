"""What a record holds of the machine's state comes back as it was."""

from __future__ import annotations

import json
import zlib
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from harness.errors import RecordError
from harness.states import FAIL, NOTE, Block, DeviceState, Finding, GpuState, HostState, Validity
from harness.store.parquet import read_record, record_from_json, record_to_json, write_record
from harness.types import MissingProcess, Replication
from tests.report.devices import CPU, FP32, make_record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.types import Record

GPU = GpuState(
    "GPU-é",
    power_w=412.345,
    energy_j=0.1 + 0.2,
    sm_clock_mhz=1980.0,
    memory_clock_mhz=3201.0,
    temperature_c=54.0,
    utilization=0.87,
    memory_used_bytes=3 << 40,
    clock_event_reasons=0x84,
    violation_s={"power": 2.5, "thermal": 0.0},
    process_ids=(10, 20),
)
HOST = HostState(
    load_average_1min=1.25,
    busy=0.5,
    steal=0.0,
    others_busy=0.01,
    clock_mhz=3500.0,
    temperature_c=61.0,
    energy_j=1e9,
    throttle_count=3,
)
TELEMETRY = (
    DeviceState(5_000.123456789, HOST, GPU),
    DeviceState(5_000.2, HostState(), GpuState("GPU-é", process_ids=())),
    DeviceState(5_000.3, HostState()),
)
BLOCKS = (Block("tensorrt fp16, 1 s", 1.0, 1.2, 32), Block("“é”", 1.2, 1.4, 8, "SM clock: 1 MHz"))
VALIDITY = Validity((Finding(FAIL, "it is hot", "cool it"), Finding(NOTE, "é", "nothing")))
MEASURED = {
    "verdict": "inconclusive",
    "verdict_reason": "bimodal",
    "rel_precision": 0.005,
    "autocorrelation": -0.25,
    "clock_tick_s": 3.2e-8,
    "block_passes": (32, 8, 1),
    "rejected_latency_s": (0.1, 0.30000000000000004),
    "energy_j": 0.125,
    "process": 3,
    "build": 1,
}
BARE = make_record(CPU, FP32)
RECORD = replace(
    BARE,
    measurements=(replace(BARE.measurements[0], **MEASURED), *BARE.measurements[1:]),
    telemetry=TELEMETRY,
    blocks=BLOCKS,
    validity=VALIDITY,
    idle_power_w=76.25,
    replication=Replication(
        *(4, 2),
        pins_tactics=True,
        missing=(MissingProcess(2, 1, "died"),),
        experiment="20260101T000000Z-ab",
        turns=(0, 3, 4, 7),
    ),
)


def test_every_field_of_a_state_is_in_this_test() -> None:
    for state in (GPU, HOST):
        assert not [f.name for f in fields(state) if getattr(state, f.name) is None]


@pytest.mark.parametrize(
    "record", [RECORD, BARE, replace(RECORD, validity=Validity()), replace(RECORD, telemetry=())]
)
def test_it_comes_back_from_a_file_and_from_another_process(tmp_path: Path, record: Record) -> None:
    path = tmp_path / "one.parquet"

    write_record(record, path)

    assert read_record(path) == record
    assert record_from_json(record_to_json(record)) == record


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("blocks", lambda rows: [{**row, "rejected": ""} for row in rows]),
        ("validity", lambda _: {"findings": []}),
        ("telemetry", lambda rows: rows[1:]),
    ],
)
def test_a_state_that_was_tampered_with_is_damage(
    tmp_path: Path, name: str, change: Callable[[Any], Any]
) -> None:
    path = tmp_path / "one.parquet"
    write_record(RECORD, path)
    table = pq.read_table(path)
    metadata, key = table.schema.metadata, b"trt_harness"
    header = json.loads(zlib.decompress(metadata[key]))
    header[name] = change(header[name])
    changed = {**metadata, key: zlib.compress(json.dumps(header).encode())}
    pq.write_table(table.replace_schema_metadata(changed), path)

    with pytest.raises(RecordError, match="is damaged: its hash"):
        read_record(path)
