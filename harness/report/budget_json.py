"""How a latency budget is spent, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from harness.report.json import finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.report.budget_spent import Prospect, Spent
    from harness.stats.trend import Outlook

# Of the fields below; another number where one is taken away, or means something else.
FORMAT: Final = 1


def to_budget_json(spent: Sequence[Spent], pipeline: str, record_id: str) -> str:
    """All of it in seconds; null for what is infinite or unknown."""
    content = {
        "format": FORMAT,
        "pipeline": pipeline,
        "record_id": record_id,
        "variants": [_spent(one) for one in spent],
    }
    return json.dumps(finite(content), indent=1, allow_nan=False) + "\n"


def _spent(one: Spent) -> dict[str, Any]:
    figure = one.figure
    return {
        **asdict(figure.variant),
        "label": figure.label,
        **asdict(figure.case),
        "arrival": figure.arrival,
        "simulated": figure.simulated,
        "limit_s": figure.limit_s,
        "verdict": figure.verdict.verdict.value if figure.verdict else None,
        "reason": figure.reason or None,
        "median_s": one.median_s,
        "p99": asdict(figure.verdict.estimate) if figure.verdict else None,
        "headroom": None if one.headroom is None else asdict(one.headroom),
        "slices": [{**asdict(part), "share": part.time_s / one.limit_s} for part in one.slices],
        "beside": [asdict(part) for part in one.beside],
        "trend": None if one.prospect is None else _prospect(one.prospect),
    }


def _prospect(prospect: Prospect) -> dict[str, Any]:
    return {
        "commits": prospect.commits,
        "by_commit": None if prospect.by_commit is None else asdict(prospect.by_commit),
        "by_day": None if prospect.by_day is None else asdict(prospect.by_day),
        "in_commits": _outlook(prospect.in_commits),
        "in_days": _outlook(prospect.in_days),
    }


def _outlook(look: Outlook) -> dict[str, Any]:
    return {**asdict(look), "fate": look.fate.value}
