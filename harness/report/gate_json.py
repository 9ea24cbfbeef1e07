"""What a gate found, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from harness.report.gate_words import headline
from harness.report.json import finite

if TYPE_CHECKING:
    from harness.comparison.model import Side
    from harness.report.gate_model import Change, GateReport, Movement
    from harness.stats.pairs import PairVerdict

# Of the fields below; another number where one is taken away, or means something else.
FORMAT: Final = 1


def to_gate_json(report: GateReport) -> str:
    """All of it; seconds and shares throughout, and null for what is infinite or unknown."""
    content = {
        "format": FORMAT,
        "pipeline": report.pipeline,
        "status": report.status.value,
        "exit_code": report.exit_code,
        "headline": headline(report),
        "simulated": report.is_simulated,
        "head": _side(report.head),
        "base": None if report.base is None else _side(report.base),
        "differences": list(report.differences),
        "machine": report.machine,
        "margin": report.margin,
        "remarks": list(report.remarks),
        "checks": [
            {
                "name": check.name,
                "subject": check.subject,
                "status": check.status.value,
                "sentence": check.sentence,
            }
            for check in report.checks
        ],
        "movements": [_movement(movement) for movement in report.movements],
    }
    return json.dumps(finite(content), indent=1, allow_nan=False) + "\n"


def _side(side: Side) -> dict[str, Any]:
    return {
        "label": side.label,
        "commit": side.commit,
        "record_ids": list(side.record_ids),
        "simulated": side.is_simulated,
    }


def _movement(movement: Movement) -> dict[str, Any]:
    series, culprit = movement.series, movement.culprit
    return {
        "component": series.component,
        **asdict(series.variant),
        **asdict(series.case),
        "mode": series.mode,
        **_change(movement.change),
        "rest_s": movement.rest_s,
        "moved": culprit.component if culprit else None,
        "moved_against": [part.component for part in movement.against],
        "components": [
            {"component": part.component, **_change(part.change), "share": part.share}
            for part in movement.parts
        ],
    }


def _change(change: Change) -> dict[str, Any]:
    found = change.time
    return {
        "base_s": change.base_s,
        "head_s": change.head_s,
        "change_s": change.change_s,
        "lower_s": change.lower_s,
        "upper_s": change.upper_s,
        **_verdict(found),
        "is_discovery": change.is_discovery,
        "cycles": None if change.cycles is None else _verdict(change.cycles),
    }


def _verdict(found: PairVerdict) -> dict[str, Any]:
    return {
        "ratio": found.ratio,
        "lower": found.lower,
        "upper": found.upper,
        "confidence": found.confidence,
        "p_value": found.p_value,
        "pairs": found.pairs,
        "verdict": found.status.value,
        "reason": found.reason,
    }
