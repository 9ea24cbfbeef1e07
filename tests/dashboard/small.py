"""A dashboard with as little in it as can be shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.dashboard.model import Commit, Dashboard, Run

RUN = Run(
    record_id="a",
    environment=0,
    commit=0,
    created_utc="2026-01-01T00:00:00+00:00",
    pipeline="tiny",
    command="harness run tiny",
    validity="valid",
    sentences=(),
    readings={},
    blocks=(),
    simulated=False,
)
EMPTY = Dashboard("", "2026-01-01T00:00:00+00:00", "0.1.0", ("reports",))


def small_dashboard(**changes: Any) -> Dashboard:
    made = replace(EMPTY, commits=(Commit("ab" * 20, "2026-01-01"),), runs=(RUN,))
    return replace(made, **changes)
