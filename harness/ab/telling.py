"""What is said of a comparison of commits beside its table."""

from __future__ import annotations

import enum
import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.ab.experiment import same_graphs
from harness.report.replication import replication_of
from harness.report.words import milliseconds
from harness.stats.pairs import PairStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.ab.experiment import Outcome
    from harness.ab.revisions import Revision
    from harness.comparison.model import SeriesComparison, Side
    from harness.types import Record


def describe_sides(base: Revision, head: Revision) -> list[str]:
    """Which two are compared, and whether they are one."""
    lines = [f"base: {base}: {base.subject}", f"head: {head}: {head.subject}"]
    if head.is_worktree:
        lines[1] = f"head: {head}, on top of {head.commit[:8]}"
    if base.is_worktree:
        lines[0] = f"base: {base}, on top of {base.commit[:8]}"
    if (base.commit, base.is_worktree) == (head.commit, head.is_worktree):
        lines.append("Both are the same: an A/A, which tells of the machine and not of the code.")
    return lines


def describe_row(row: SeriesComparison) -> str:
    """One line of a series: its verdict, its ratio with the interval, and both latencies."""
    found = row.time
    change, lower, upper = (
        100.0 * (ratio - 1.0) for ratio in (found.ratio, found.lower, found.upper)
    )
    text = f"{row.series}: {found.status.value}, {change:+.2f} % ({lower:+.2f} to {upper:+.2f} %)"
    text += f", {milliseconds(row.base_s)} -> {milliseconds(row.head_s)} ms, {found.pairs} pairs"
    if found.status is PairStatus.INCONCLUSIVE and found.reason:
        text += f": {found.reason}"
    return text


def describe_outcome(outcome: Outcome) -> list[str]:
    """All else that a reader must know: equal graphs, why it ended, odd and missing processes."""
    lines = []
    if outcome.comparison.is_simulated:
        lines.append("Simulated: the times are made up.")
    same = same_graphs(outcome.base, outcome.head)
    if same:
        names = "every component" if len(same) == _components(outcome.base) else ", ".join(same)
        lines.append(f"The same graph on both sides: {names}.")
    lines.append(f"Ended since {outcome.ended.value}.")
    lines += [
        f"Odd processes of {row.series}: {', '.join(odd)}."
        for row in outcome.comparison.rows
        if (odd := list(_odd(row)))
    ]
    for side, record in (("base", outcome.base), ("head", outcome.head)):
        missing = record.replication.missing if record.replication else ()
        lines += [f"Missing: process {one.process} of {side}: {one.reason}" for one in missing]
        lines += list(_variances(side, record))
    return lines


def _components(record: Record) -> int:
    return len({artifact.component for artifact in record.artifacts})


def _odd(row: SeriesComparison) -> Iterator[str]:
    for side, odd in (("base", row.time.odd_base), ("head", row.time.odd_head)):
        yield from (f"{number} of {side}" for number in odd)


def _variances(side: str, record: Record) -> Iterator[str]:
    """What builds differ by, and what processes of one build do, where engines were built anew."""
    for figure in replication_of(record):
        found = figure.components
        if found.build is not None and found.process is not None:
            yield (
                f"Variance of {figure.label} by {figure.variant} at {figure.case}, {side}: "
                f"builds {100.0 * found.build.sd:.2f} % (up to {100.0 * found.build.upper:.2f} %), "
                f"processes of one build {100.0 * found.process.sd:.2f} %."
            )


def outcome_json(outcome: Outcome) -> str:
    """The comparison as JSON text, with what is said beside it; null for what is infinite."""
    comparison = outcome.comparison
    told: dict[str, Any] = {
        "pipeline": comparison.pipeline,
        "simulated": comparison.is_simulated,
        "margin": comparison.margin,
        "ended": outcome.ended.value,
        "base": _side_json(comparison.base),
        "head": _side_json(comparison.head),
        "same_graphs": same_graphs(outcome.base, outcome.head),
        "rows": [{**asdict(row), "label": str(row.series)} for row in comparison.rows],
        "notes": describe_outcome(outcome),
    }
    return f"{json.dumps(_plain(told), indent=1)}\n"


def _side_json(side: Side) -> dict[str, Any]:
    return {"label": side.label, "commit": side.commit, "record_ids": side.record_ids}


def _plain(value: Any) -> Any:  # noqa: ANN401
    """``value`` as JSON holds it."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, enum.Enum):
        return value.value
    return None if isinstance(value, float) and not math.isfinite(value) else value
