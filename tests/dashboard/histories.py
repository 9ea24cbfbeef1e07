"""Records of many commits for dashboards, without measuring anything."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.history.places import records_folder
from harness.store.parquet import ParquetStore
from tests.history.records import CONTEXT, measurement, record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.types import Record

DAY_S = 86_400.0


def commit(place: int) -> str:
    return f"{place:08x}" * 5


def of_commit(place: int, ratio: float = 1.0, **changes: Any) -> Record:
    """The record of a commit, whose encoder is slower by ``ratio``."""
    rng = np.random.default_rng(place)
    context = replace(
        CONTEXT,
        commit=commit(place),
        commit_unix_s=CONTEXT.commit_unix_s + DAY_S * place,
        started_unix_s=CONTEXT.started_unix_s + DAY_S * place,
    )
    measured = []
    for component, level in (("encoder", 0.002 * ratio), ("pipeline", 0.01)):
        samples = level * (1.0 + rng.normal(0.0, 0.004)) * (1.0 + rng.uniform(0.0, 0.01, 21))
        measured.append(measurement(component, latency_s=tuple(samples.tolist())))
    given: Mapping[str, Any] = {
        "measurements": measured,
        "context": context,
        "created_utc": f"2026-01-01T{place // 60:02}:{place % 60:02}:00+00:00",
        **changes,
    }
    return record(f"r{place}", **given)


def keep_history(results: Path, count: int, step_at: int | None = None) -> None:
    """Keep a record of each of ``count`` commits; the encoder is slower from ``step_at`` on."""
    store = ParquetStore(records_folder(results, "bench"))
    for place in range(count):
        ratio = 1.1 if step_at is not None and place >= step_at else 1.0
        store.append(of_commit(place, ratio))
