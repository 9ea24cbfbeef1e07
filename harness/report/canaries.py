"""What the frozen work of a record tells of its machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.pipeline.pipeline import CANARY
from harness.stats.drift import Drift, drift_within
from harness.stats.summary import LatencySummary, summarize

if TYPE_CHECKING:
    from harness.types import Measurement, Record


@dataclass(frozen=True)
class CanaryFigure:
    """One canary over the whole run, all cases together.

    ``drift`` is that of its last third of samples against its first.
    """

    name: str
    content_hash: str | None
    latency: LatencySummary
    drift: Drift


def canary_figures(record: Record) -> tuple[CanaryFigure, ...]:
    """The figures of each canary that ``record`` holds."""
    by_name: dict[str, list[Measurement]] = {}
    for measurement in record.measurements:
        if measurement.component == CANARY:
            by_name.setdefault(measurement.route, []).append(measurement)
    hashes = record.environment.get("canary", {})
    figures = []
    for name, measured in by_name.items():
        latency_s = [sample for one in measured for sample in one.latency_s]
        autocorrelation = max((one.autocorrelation or 0.0 for one in measured), default=0.0)
        figures.append(
            CanaryFigure(
                name=name,
                content_hash=hashes.get(name),
                latency=summarize(latency_s),
                drift=drift_within(latency_s, autocorrelation=autocorrelation),
            )
        )
    return tuple(figures)
