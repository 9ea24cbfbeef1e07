"""What the frozen work of a record tells of its machine."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from harness.pipeline.pipeline import CANARY
from harness.stats.drift import Drift, drift_within
from harness.stats.quantiles import DEFAULT_CONFIDENCE
from harness.stats.summary import LatencySummary, summarize, summarize_processes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.types import Measurement, Record


@dataclass(frozen=True)
class CanaryFigure:
    """One canary over the whole run, which is a series of each process at each case.

    ``drifts`` are those of each series, of its last third of samples against its first; ``drift``
    is the largest of those that have an interval. Their confidence is of all series together.
    ``medians_s`` are those of each series, which differ between processes without any drift.
    """

    name: str
    content_hash: str | None
    latency: LatencySummary
    drift: Drift
    drifts: tuple[Drift, ...]
    medians_s: tuple[float, ...]


def canary_figures(record: Record) -> tuple[CanaryFigure, ...]:
    """The figures of each canary that ``record`` holds."""
    by_name: dict[str, list[Measurement]] = {}
    for measurement in record.measurements:
        if measurement.component == CANARY:
            by_name.setdefault(measurement.route, []).append(measurement)
    hashes = record.environment.get("canary", {})
    figures = []
    for name, measured in by_name.items():
        figures.append(_figure(name, hashes.get(name), measured))
    return tuple(figures)


def _figure(name: str, content_hash: str | None, measured: Sequence[Measurement]) -> CanaryFigure:
    confidence = 1.0 - (1.0 - DEFAULT_CONFIDENCE) / len(measured)
    drifts = tuple(
        drift_within(
            one.latency_s, autocorrelation=one.autocorrelation or 0.0, confidence=confidence
        )
        for one in measured
    )
    series = [one.latency_s for one in measured]
    return CanaryFigure(
        name=name,
        content_hash=content_hash,
        latency=summarize(series[0], measured[0].passes)
        if len(series) == 1
        else summarize_processes(series),
        drift=max(drifts, key=lambda drift: (drift.is_finite, abs(drift.value))),
        drifts=drifts,
        medians_s=tuple(median(latency_s) for latency_s in series),
    )
