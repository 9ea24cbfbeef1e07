"""What gates were found to catch, as the machine's cache keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.dashboard.model_rows import NoiseRow
from harness.errors import RecordError
from harness.noise.calibration import files_in, read_calibration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from harness.dashboard.model import Environment
    from harness.noise.calibration import Calibration


def read_noise(
    cache: Path, environments: Sequence[Environment], skipped: list[str]
) -> tuple[NoiseRow, ...]:
    """All calibrations in the folder ``cache``; what is damaged is named in ``skipped``."""
    found: list[NoiseRow] = []
    for path in files_in(cache):
        try:
            found += _rows(read_calibration(path), environments)
        except RecordError as error:
            skipped.append(str(error))
    return tuple(found)


def _rows(calibration: Calibration, environments: Sequence[Environment]) -> Iterator[NoiseRow]:
    its = calibration.fingerprint
    environment = next((one.id for one in environments if one.fingerprint == its), None)
    for row in calibration.rows:
        yield NoiseRow(
            pipeline=calibration.pipeline,
            fingerprint=calibration.fingerprint,
            environment=environment,
            series=row.series,
            within_sd=row.within_sd,
            process_sd=row.process_sd,
            margin=row.margin,
            false_alarms=row.false_alarms.count,
            trials=row.false_alarms.total,
            false_alarm_upper=row.false_alarms.upper,
            smallest_caught=row.smallest_caught,
            created_utc=row.created_utc or calibration.created_utc,
            simulated=row.is_simulated,
        )
