"""Why what was measured cannot answer whether a latency budget is kept, however quick it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.report.figures import figures_of
from harness.report.words import floor_sentence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.types import Measurement, Record

SIMULATED: Final = "its times are simulated, and count only with simulated=True"


class RecordDoubts:
    """Why series of ``record`` do not answer: what is not there, or made up, or wrong.

    With ``takes_simulated`` times that are made up count.
    """

    def __init__(self, record: Record, *, takes_simulated: bool) -> None:
        self._takes_simulated = takes_simulated
        self._of_record = tuple(_gaps(record))
        figures = figures_of(record)
        self._floors = [(row.measurement, floor_sentence(row)) for row in figures.missed_floors]
        for row in figures.unchecked_floors:
            one = row.measurement
            what = f"{one.component} ({one.backend}, {row.label}) was not held against its floor"
            self._floors.append((one, f"{what} of {one.min_snr_db:g} dB"))

    def of(self, parts: Sequence[Measurement]) -> tuple[str, ...]:
        """Those of one pipeline, whose components were measured alike, by one or more processes."""
        is_made_up = any(part.simulated for part in parts) and not self._takes_simulated
        setting = _setting(parts[0])
        floors = (what for one, what in self._floors if _setting(one) == setting)
        return (*((SIMULATED,) if is_made_up else ()), *self._of_record, *floors)


def _gaps(record: Record) -> Iterator[str]:
    if not record.is_complete:
        yield "the run was interrupted"
    missing = len(record.replication.missing) if record.replication else 0
    if missing:
        yield f"{missing} of its processes measured nothing"


def _setting(measured: Measurement) -> tuple[object, ...]:
    size = (measured.duration_s, measured.batch)
    return (measured.variant, *size, measured.mode, measured.streams)
