"""What change is none: as asked, as this machine was found to be, or as nobody knows better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.comparison.model import Series
from harness.errors import OptionError
from harness.gate.applying import differences_of
from harness.noise.calibration import load
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.stats.pairs import PairRule
from harness.types import Case

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.noise.calibration import Calibration, SeriesNoise
    from harness.types import Record


@dataclass(frozen=True)
class Threshold:
    """The change that is none, as a fraction, and where it comes from, in words."""

    margin: float
    remarks: tuple[str, ...]


def find_threshold(
    record: Record, cache: Path, given: float | None = None, *, is_paired: bool = True
) -> Threshold:
    """The margin for the pipelines of ``record``: ``given``, or that of the machine's calibration.

    Of several pipelines it is the widest. What the calibration's rates are not of is told.

    Args:
        record: the head's.
        cache: where calibrations are kept.
        given: as asked; None to look for a calibration.
        is_paired: whether the head took turns with what it is held against.

    Raises:
        OptionError: ``given`` is no margin.
        RecordError: the calibration is damaged.
    """
    if given is not None and not 0.0 <= given < 1.0:
        fix = "give a share, such as 0.2%"
        raise OptionError(f"{given:g} is no margin", where="--margin", fix=fix)
    if given is not None:
        return Threshold(given, (f"a change up to {100.0 * given:.3g} % is none, as asked",))
    calibration = load(cache, record.environment, record.pipeline)
    labels = _labels_of(record)
    rows = _rows_of(labels, calibration)
    if calibration is None or not rows:
        margin = PairRule().margin
        remark = (
            f"this machine's noise is not known: a change up to {100.0 * margin:.3g} % is none, "
            "and how often that is wrong here nobody knows; 'harness noise' measures it"
        )
        return Threshold(margin, (remark,))
    widest = max(rows, key=lambda row: row.margin)
    told = [_calibrated(widest, calibration)]
    others = differences_of(widest, record, is_paired=is_paired)
    if others:
        told.append(f"those rates are not of what was measured here: {'; '.join(others)}")
    lacking = [label for label in labels if label not in {row.series for row in rows}]
    if lacking:
        known = "that margin is not of its noise, which nobody knows"
        told.append(f"the calibration has nothing of {'; '.join(lacking)}: {known}")
    return Threshold(widest.margin, tuple(told))


def _labels_of(record: Record) -> list[str]:
    """What a calibration calls the record's whole pipelines."""
    labels = {
        str(Series(m.component, m.variant, Case(m.duration_s, m.batch), m.mode, m.streams))
        for m in record.measurements
        if m.component == WHOLE_PIPELINE
    }
    return sorted(labels)


def _rows_of(labels: Sequence[str], calibration: Calibration | None) -> list[SeriesNoise]:
    """What was found of these."""
    if calibration is None:
        return []
    return [row for row in map(calibration.row, labels) if row is not None]


def _calibrated(row: SeriesNoise, calibration: Calibration) -> str:
    alarms = row.false_alarms
    made_up = ", of SIMULATED times" if row.is_simulated else ""
    told = (
        f"a change up to {100.0 * row.margin:.3g} % is none, by this machine's calibration of "
        f"{(row.created_utc or calibration.created_utc)[:10]} ({row.series}{made_up}): equal "
        f"commits were slower in {alarms.count} of {alarms.total} trials (at most "
        f"{100.0 * alarms.upper:.2g} %)"
    )
    if row.smallest_caught is None:
        return f"{told}, and no slowdown that was tried was found 95 % of the time"
    return (
        f"{told}, and a slowdown of {100.0 * row.smallest_caught:.3g} % is found 95 % of the time"
    )
