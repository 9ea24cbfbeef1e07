"""Records as a pandas table, for notebooks and for other tools."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from harness.types import Record


def samples_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row a sample, with everything that labels it.

    The columns are those of :class:`~harness.types.Measurement`, with one ``latency_s`` (seconds) a
    row, and ``record_id``, ``created_utc``, ``pipeline`` and ``sample``, its place in its series.
    """
    import pandas as pd  # noqa: PLC0415

    rows: list[dict[str, Any]] = []
    for record in records:
        run = {
            "record_id": record.record_id,
            "created_utc": record.created_utc,
            "pipeline": record.pipeline,
        }
        for measurement in record.measurements:
            series = run | asdict(measurement)
            rows.extend(
                {**series, "sample": sample, "latency_s": latency_s}
                for sample, latency_s in enumerate(measurement.latency_s)
            )
    frame: pd.DataFrame = pd.DataFrame(rows)
    return frame
