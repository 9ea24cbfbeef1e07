"""The machine's state over the time of a run, and what was measured when."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.dashboard.environments import KEY, key_of
from harness.dashboard.histories import COMMIT, LOCAL
from harness.dashboard.model import NEWEST_WITH_SAMPLES, BlockSpan, Run
from harness.errors import RecordError
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.report.trust import state_sentences
from harness.store.headers import read_header
from harness.store.parquet import record_of_header
from harness.types import Case, Variant

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.dashboard.environments import Environments, Key
    from harness.dashboard.timeline import Timeline
    from harness.history.query import Records
    from harness.states import Block, DeviceState
    from harness.types import Record

    Values = NDArray[np.float32]

# No more runs than that, the newest ones.
MOST_RUNS: Final = 100
MOST_READINGS: Final = 300
# Of one run; of each series every n-th is shown where there are more.
MOST_BLOCKS: Final = 200
# Of seconds in a chart of minutes.
_DIGITS: Final = 4
_FILES: Final = f"""
SELECT file, record_id, {COMMIT} AS commit, {KEY}
FROM records WHERE slowed_by IS NULL AND {LOCAL} ORDER BY created_utc DESC, record_id
"""  # noqa: S608  # constants
_COLUMNS: Final = (
    *("component", "backend", "precision", "route", "launch", "duration_s", "batch", "process"),
    *("simulated", "latency_s", "block_passes"),
)


def read_runs(
    records: Records,
    environments: Environments,
    timeline: Timeline,
    around: Collection[int],
    skipped: list[str],
) -> tuple[Run, ...]:
    """The runs of the newest commits, of those ``around`` changes, and of no commit, oldest first.

    ``around`` are places in the timeline. What is damaged is named in ``skipped``.

    Raises:
        RecordError: no record can be read.
    """
    rows = records.table(_FILES, {}).to_pylist()
    wanted = {*around} | _newest(rows, timeline)
    chosen = [
        row
        for row in rows
        if row["commit"] in timeline.of_none or timeline.places[row["commit"]] in wanted
    ]
    found = []
    for row in chosen[:MOST_RUNS]:
        place = timeline.places[row["commit"]]
        try:
            found.append(_run(Path(row["file"]), environments.ids[key_of(row)], place))
        except RecordError as error:
            skipped.append(str(error))
    return tuple(reversed(found))


def _newest(rows: Sequence[Mapping[str, Any]], timeline: Timeline) -> set[int]:
    """The newest commits of each environment, also such as have no figures that count."""
    held: dict[Key, set[int]] = {}
    for row in rows:
        held.setdefault(key_of(row), set()).add(timeline.places[row["commit"]])
    return {place for its in held.values() for place in sorted(its)[-NEWEST_WITH_SAMPLES:]}


def _run(path: Path, environment: int, commit: int) -> Run:
    record = record_of_header(read_header(path), where=str(path))
    rows = _rows(path)
    origin_s = min(
        (*(one.monotonic_s for one in record.telemetry), *(b.started_s for b in record.blocks)),
        default=0.0,
    )
    return Run(
        record_id=record.record_id,
        environment=environment,
        commit=commit,
        created_utc=record.created_utc,
        pipeline=record.pipeline,
        command=" ".join(record.command),
        validity=record.validity.status if record.validity else "unknown",
        sentences=tuple(state_sentences(record)),
        readings=_readings(record.telemetry, origin_s),
        blocks=tuple(_spans(record, rows, origin_s)),
        simulated=any(row["simulated"] for row in rows),
        is_complete=record.is_complete,
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    """The measurements, with those of their columns that blocks are told by."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        table = pq.read_table(path, columns=list(_COLUMNS), use_threads=False)
        rows: list[dict[str, Any]] = table.drop_columns(["latency_s"]).to_pylist()
        lists = table["latency_s"].combine_chunks()
    except (pa.ArrowException, OSError, ValueError) as error:
        what = f"is damaged: {str(error).splitlines()[0]}"
        raise RecordError(what, where=str(path), fix="fetch it again") from error
    starts = lists.offsets.to_numpy()
    values = lists.values.to_numpy(zero_copy_only=False)
    for place, row in enumerate(rows):
        row["latency_s"] = values[starts[place] : starts[place + 1]]
    return rows


def _readings(states: Sequence[DeviceState], origin_s: float) -> dict[str, Values]:
    """What is known of the machine over time, at no more than so many readings."""
    step = max(-(-len(states) // MOST_READINGS), 1)
    shown = states[::step]
    columns: dict[str, list[float | None]] = {
        "time_s": [one.monotonic_s - origin_s for one in shown],
        "sm_clock_mhz": [getattr(one.gpu, "sm_clock_mhz", None) for one in shown],
        "power_w": [getattr(one.gpu, "power_w", None) for one in shown],
        "temperature_c": [_temperature_c(one) for one in shown],
        "cpu_clock_mhz": [one.host.clock_mhz for one in shown],
        "others_busy": [one.host.others_busy for one in shown],
    }
    return {
        name: np.array([np.nan if one is None else one for one in values], dtype=np.float32)
        for name, values in columns.items()
        if any(one is not None for one in values)
    }


def _temperature_c(one: DeviceState) -> float | None:
    """The GPU's, or the processor's where there is none."""
    return one.host.temperature_c if one.gpu is None else one.gpu.temperature_c


def _spans(record: Record, rows: Sequence[dict[str, Any]], origin_s: float) -> Iterator[BlockSpan]:
    medians = _medians(record.blocks, rows)
    step = max(-(-len(record.blocks) // MOST_BLOCKS), 1)
    seen: dict[str, int] = {}
    for index, block in enumerate(record.blocks):
        # Series take turns: every n-th of all might leave some of them out.
        seen[block.series] = seen.get(block.series, -1) + 1
        if seen[block.series] % step:
            continue
        yield BlockSpan(
            block.series,
            round(block.started_s - origin_s, _DIGITS),
            round(block.ended_s - origin_s, _DIGITS),
            medians.get(index),
            block.rejected,
        )


def _medians(blocks: Sequence[Block], rows: Sequence[dict[str, Any]]) -> dict[int, float]:
    """The median of the whole pipeline's samples in each block, or of the last component's.

    Only where the passes of the blocks that count are those of the samples, one by one.
    """
    held: dict[str, dict[int, dict[str, Any]]] = {}
    for row in rows:
        variant = Variant(row["backend"], row["precision"], row["route"], row["launch"])
        its = held.setdefault(f"{variant}, {Case(row['duration_s'], row['batch'])}", {})
        before = its.get(row["process"])
        if before is None or before["component"] != WHOLE_PIPELINE:
            its[row["process"]] = row
    counted: dict[str, list[int]] = {}
    for index, block in enumerate(blocks):
        if not block.rejected:
            counted.setdefault(block.series, []).append(index)
    found: dict[int, float] = {}
    for series, indices in counted.items():
        parts = [row for _, row in sorted(held.get(series, {}).items())]
        passes = [count for row in parts for count in row["block_passes"]]
        samples = np.concatenate([row["latency_s"] for row in parts]) if parts else np.zeros(0)
        if passes != [blocks[index].passes for index in indices] or sum(passes) != samples.size:
            continue
        blocks_of = np.split(samples, np.cumsum(passes)[:-1])
        found |= {
            index: float(f"{median(one.tolist()):.7g}")
            for index, one in zip(indices, blocks_of, strict=True)
            if one.size
        }
    return found
