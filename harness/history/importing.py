"""asv's own results of before, as records: marked as such, to be queried beside the rest."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from harness.errors import HarnessError, RecordError
from harness.files import check_folder
from harness.history.asv_results import (
    BENCHMARKS_FILE,
    BENCHMARKS_FORMAT,
    AsvFile,
    AsvSeries,
    read_json,
    read_results,
    results_files,
)
from harness.history.context import HistoryContext
from harness.history.places import records_folder
from harness.history.series import BENCHMARKS, SECONDS, check_samples
from harness.pipeline.fingerprint import hash_json
from harness.store.parquet import write_record
from harness.types import Measurement, Record
from harness.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# What asv does not tell.
UNKNOWN: Final = "unknown"
ASV_CLOCK: Final = "asv"
ONLY_MEDIAN: Final = "only the median was kept"
_log = logging.getLogger(__name__)
_ID_CHARACTERS: Final = 12
# What asv times itself, by the beginning of a function's name.
_TIMED: Final = ("time_", "timeraw_", "Time")


@dataclass(frozen=True)
class Imported:
    """The records ``written``, how many were ``known`` already, and what was left out, and why."""

    written: tuple[Path, ...]
    known: int
    left_out: tuple[str, ...]


def import_results(results_dir: Path, *, pipeline: str, out: Path | None = None) -> Imported:
    """Make a record of each of asv's result files below ``results_dir``; what is one is kept.

    Each combination of parameters of a benchmark in seconds becomes a series: its ``component`` is
    the benchmark's name with its parameters, its ``clock`` ``asv``, and its backend, precision and
    mode are ``unknown``, which asv does not tell. Where asv kept no samples the one sample is its
    median. What is in other units, unreadable, or has samples that are none, is left out and told
    in a warning; benchmarks of the harness have records of their own.

    Args:
        results_dir: asv's folder of results.
        pipeline: the name that the records get.
        out: the folder of the records; beside asv's results, by machine, if None.

    Raises:
        RecordError: there are no results.
        StorageError: a record cannot be written.
    """
    left_out: list[str] = []
    units = _units(results_dir, left_out)
    written, known, files = [], 0, 0
    for path in results_files(results_dir):
        files += 1
        try:
            found = read_results(path)
        except RecordError as error:
            left_out.append(str(error))
            continue
        measurements = tuple(_measurements(found, units, left_out))
        if not measurements:
            continue
        record = _record(found, measurements, pipeline)
        folder = out or records_folder(results_dir, found.machine)
        target = folder / f"{pipeline}-{record.record_id}.parquet"
        if target.exists():
            known += 1
            continue
        check_folder(folder)
        write_record(record, target)
        written.append(target)
    if not files:
        fix = "name the folder that asv.conf.json calls results_dir"
        raise RecordError("has no results of asv", where=str(results_dir), fix=fix)
    # What is wrong with a benchmark is so at every commit.
    reasons = tuple(dict.fromkeys(left_out))
    for reason in reasons:
        _log.warning("left out: %s", reason)
    return Imported(tuple(written), known, reasons)


def _units(results_dir: Path, left_out: list[str]) -> dict[str, str]:
    """The unit of each benchmark that asv's list names; none where there is no list."""
    path = results_dir / BENCHMARKS_FILE
    if not path.exists():
        return {}
    try:
        listed = read_json(path, BENCHMARKS_FORMAT)
    except HarnessError as error:
        left_out.append(str(error))
        return {}
    return {name: str(one.get("unit")) for name, one in listed.items() if isinstance(one, dict)}


def _measurements(
    found: AsvFile, units: Mapping[str, str], left_out: list[str]
) -> Iterator[Measurement]:
    for series in found.series:
        name = series.benchmark
        if name in BENCHMARKS:
            continue
        is_timed = name.rpartition(".")[2].startswith(_TIMED)
        unit = units.get(name, SECONDS if is_timed else UNKNOWN)
        if unit != SECONDS:
            left_out.append(f"{name}: its unit is {unit}, and only seconds become records")
            continue
        rows = zip(series.combinations, series.results, series.samples, strict=True)
        for params, result, samples in rows:
            # It failed, or does not apply.
            if result is None or math.isnan(result):
                continue
            label = _label(series, params)
            values = (result,) if samples is None else samples
            try:
                check_samples(values, of=label, where=str(found.path))
            except RecordError as error:
                left_out.append(str(error))
                continue
            yield _measurement(label, values, "" if samples is not None else ONLY_MEDIAN)


def _label(series: AsvSeries, params: tuple[str, ...]) -> str:
    """As asv shows it: ``suite.time_it(32, 'fp32')``."""
    return f"{series.benchmark}({', '.join(params)})" if params else series.benchmark


def _measurement(component: str, latency_s: tuple[float, ...], reason: str) -> Measurement:
    return Measurement(
        component=component,
        backend=UNKNOWN,
        precision=UNKNOWN,
        mode=UNKNOWN,
        clock=ASV_CLOCK,
        duration_s=None,
        batch=1,
        threads=0,
        load_s=0.0,
        first_s=0.0,
        latency_s=latency_s,
        verdict_reason=reason,
    )


def _record(found: AsvFile, measurements: tuple[Measurement, ...], pipeline: str) -> Record:
    starts = [one.started_unix_s for one in found.series if one.started_unix_s is not None]
    started_unix_s = min(starts, default=found.commit_unix_s)
    # The same file gives the same record, which is not written twice.
    digest = hash_json(found.content)[:_ID_CHARACTERS]
    source = f"{found.machine}/{found.path.name}"
    known = {"python", *found.requirements}
    machine = {k: str(v) for k, v in found.params.items() if k not in known}
    context = HistoryContext(
        commit=found.commit,
        commit_unix_s=found.commit_unix_s,
        machine=found.machine,
        environment_name=found.environment_name,
        requirements=found.requirements,
        python=found.python,
        round=0,
        started_unix_s=started_unix_s,
        machine_values=machine,
        env_vars=found.env_vars,
        imported_from=source,
    )
    created = datetime.fromtimestamp(started_unix_s, timezone.utc)
    return Record(
        record_id=f"asv-{found.commit[:8]}-{digest}",
        created_utc=created.isoformat(timespec="seconds"),
        harness_version=__version__,
        pipeline=pipeline,
        command=("asv", "run"),
        inputs={},
        budget=None,
        environment={"cpu": machine.get("cpu"), "python": found.python, "gpu": None},
        artifacts=(),
        engines=(),
        calibration=None,
        measurements=measurements,
        history=asdict(context),
    )
