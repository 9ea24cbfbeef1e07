"""The report of a run as JSON: the record's header, the samples, and the figures."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.files import write_text
from harness.report.modes import concurrent_figure, paced_figure
from harness.report.replication import replication_json

if TYPE_CHECKING:
    from pathlib import Path

    from harness.report.figures import Figures
    from harness.report.modes import ConcurrentFigure, PacedFigure


def to_json(figures: Figures) -> str:
    """The figures as JSON text; seconds throughout, and null for what is infinite or unknown."""
    record = asdict(figures.record)
    if figures.record.validity is not None:
        record["validity"]["status"] = figures.record.validity.status
    rows = [(row, group) for group in figures.groups for row in (*group.rows, *group.transfers)]
    record["measurements"] = [
        {
            **asdict(row.measurement),
            # Of several there is none that the series is of.
            **({"process": None} if row.processes > 1 else {}),
            **({"build": None} if row.builds > 1 else {}),
            "processes": row.processes,
            "builds": row.builds,
            "summary": asdict(row.latency),
            "real_time_factor": row.real_time_factor,
            "ratio_to_torch": row.ratio_to_torch,
            "ratio_to_fp32": row.ratio_to_fp32,
            "size_bytes": row.size_bytes,
            "memory_bytes": row.memory_bytes,
            "graph_nodes": row.graph_nodes and asdict(row.graph_nodes),
            "engine_nodes": row.engine_nodes and asdict(row.engine_nodes),
            "least_s": row.least_s,
            "bound": row.bound or None,
            "peer": str(group.peer) if row.is_pipeline and group.peer else None,
            "ratio_to_peer": group.ratio_to_peer if row.is_pipeline else None,
            "accuracy": _accuracy_of(row.measurement.snr_db),
            "label": row.label,
            "mostly": row.mostly or None,
            "misses_floor": row.misses_floor,
            "paced": _dict_of(paced_figure(group, figures)),
            "concurrent": _dict_of(concurrent_figure(group, figures)),
        }
        for row, group in rows
    ]
    record["simulated"] = figures.is_simulated
    record["replication_figures"] = replication_json(figures.record)
    record["budget_verdicts"] = [
        {
            **asdict(figure.variant),
            "label": figure.label,
            **asdict(figure.case),
            "arrival": figure.arrival,
            "simulated": figure.simulated,
            "limit_s": figure.limit_s,
            "reason": figure.reason or None,
            "verdict": figure.verdict.verdict.value if figure.verdict else "not measured",
            "p99": asdict(figure.verdict.estimate) if figure.verdict else None,
            "p99_process": figure.verdict.process if figure.verdict else None,
            "processes": figure.verdict.processes if figure.verdict else None,
            "missed_in": figure.verdict.missed_in if figure.verdict else None,
            "within_in": figure.verdict.within_in if figure.verdict else None,
        }
        for figure in figures.budgets
    ]
    record["canaries"] = [asdict(canary) for canary in figures.canaries]
    return json.dumps(finite(record), indent=1, allow_nan=False)


def write_json(figures: Figures, path: Path) -> None:
    """Write :func:`to_json` to ``path``, whole or not at all; "-" is standard output.

    Raises:
        StorageError: it cannot be written.
    """
    write_text(path, to_json(figures) + "\n")


def _accuracy_of(snr_db: float | None) -> str:
    """What a null SNR means: JSON has no infinity, and without a reference there is none."""
    if snr_db is None:
        return "none"
    return "exact" if math.isinf(snr_db) and snr_db > 0 else "compared"


def _dict_of(figure: PacedFigure | ConcurrentFigure | None) -> dict[str, Any] | None:
    return None if figure is None else asdict(figure)


def finite(value: Any) -> Any:  # noqa: ANN401
    """``value`` with null for what is infinite or no number, within lists and dictionaries too."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value
