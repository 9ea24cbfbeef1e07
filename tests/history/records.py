"""Records of a history, without measuring anything."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from harness.history.context import HistoryContext
from harness.history.places import records_folder
from harness.store.parquet import ParquetStore
from harness.types import Artifact, Budget, Engine, Measurement, Record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONTEXT = HistoryContext(
    commit=COMMIT,
    commit_unix_s=1_700_000_000.0,
    machine="bench",
    environment_name="shared-py3.11-torch2.13.0",
    requirements={"torch": "2.13.0"},
    python="3.11",
    round=0,
    started_unix_s=1_700_001_000.0,
    machine_values={
        "machine": "bench",
        "os": "Linux 6.1",
        "arch": "x86_64",
        "cpu": "some",
        "num_cpu": "2",
        "ram": "16000000",
        "gpu": "none",
    },
)


def measurement(component: str = "pipeline", **changes: Any) -> Measurement:
    samples = tuple(0.01 + 0.0001 * i for i in range(10))
    base = Measurement(
        component=component,
        backend="onnxruntime",
        precision="fp32",
        mode="hot",
        clock="perf_counter",
        duration_s=1.0,
        batch=1,
        threads=2,
        load_s=0.2,
        first_s=0.1,
        latency_s=samples,
        relative_l2=1e-6,
        snr_db=120.0,
        energy_j=0.5 if component == "pipeline" else None,
    )
    return replace(base, **changes)


def record(
    name: str = "a",
    measurements: Sequence[Measurement] | None = None,
    context: HistoryContext | None = CONTEXT,
    **changes: Any,
) -> Record:
    if measurements is None:
        measurements = (measurement("encoder"), measurement())
    base = Record(
        record_id=name,
        created_utc="2026-01-01T00:00:00+00:00",
        harness_version="0.1.0",
        pipeline="tiny",
        command=("harness", "history", "measure"),
        inputs={"kind": "synthetic", "seed": 0},
        budget=Budget(0.05, 1.0, 1, "", ""),
        environment={"cpu": "some", "gpu": None},
        artifacts=(Artifact("encoder", "fp32", "00" * 20, 1000, 10, 1e-7),),
        engines=(Engine("encoder", "onnxruntime", "fp32", 5000, None, 1.0, 1),),
        calibration=None,
        measurements=tuple(measurements),
        history=None if context is None else asdict(context),
    )
    return replace(base, **changes)


def keep_results(results: Path, *records: Record) -> None:
    """Keep them where the history keeps its own."""
    for one in records:
        machine = (one.history or {}).get("machine", "bench")
        folder = "bench" if machine == ".." else machine
        ParquetStore(records_folder(results, folder)).append(one)
