"""What is said of a comparison of commits beside its table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness.comparison.built import same_graphs, single_builds
from harness.report.comparisons import to_comparison_json
from harness.report.escaping import visible
from harness.report.replication import replication_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.ab.experiment import Outcome
    from harness.ab.revisions import Revision
    from harness.types import Record


def describe_sides(base: Revision, head: Revision) -> list[str]:
    """Which two are compared, and whether they are one."""
    lines = [
        f"{side}: {one}, on top of {one.commit[:8]}"
        if one.is_worktree
        else f"{side}: {one}: {visible(one.subject)}"
        for side, one in (("base", base), ("head", head))
    ]
    if (base.commit, base.is_worktree) == (head.commit, head.is_worktree):
        lines.append("Both are the same: an A/A, which tells of the machine and not of the code.")
    return lines


def describe_invalid(outcome: Outcome) -> list[str]:
    """That nothing follows from what was measured, and why; empty where that is not so."""
    if not outcome.invalid:
        return []
    reasons = "; ".join(outcome.invalid)
    return [f"INVALID, so that nothing is known: {reasons}. Measure it again."]


def describe_outcome(outcome: Outcome) -> list[str]:
    """All else that a reader must know: equal graphs, why it ended, odd and missing processes."""
    lines = []
    same = same_graphs(outcome.base, outcome.head)
    if same:
        names = "every component" if len(same) == _components(outcome.base) else ", ".join(same)
        lines.append(f"The same graph on both sides: {names}.")
    lines.append(f"Ended since {outcome.ended.value}.")
    for side, record in (("base", outcome.base), ("head", outcome.head)):
        missing = record.replication.missing if record.replication else ()
        lines += [f"Missing: process {one.process} of {side}: {one.reason}" for one in missing]
        lines += list(_variances(side, record))
    return lines


def _components(record: Record) -> int:
    return len({artifact.component for artifact in record.artifacts})


def _variances(side: str, record: Record) -> Iterator[str]:
    """What builds differ by, and what processes of one build do, where engines were built anew."""
    if record.replication is None or record.replication.builds == 1:
        return
    for figure in replication_of(record):
        found = figure.components
        if found.build is not None and found.process is not None:
            yield (
                f"Variance of {figure.label} by {figure.variant} at {figure.case}, {side}: "
                f"builds {100.0 * found.build.sd:.2f} % (up to {100.0 * found.build.upper:.2f} %), "
                f"processes of one build {100.0 * found.process.sd:.2f} %."
            )


def outcome_json(outcome: Outcome) -> str:
    """The comparison as JSON text, with why it ended and what else is said beside it."""
    told = {
        **json.loads(to_comparison_json(outcome.comparison)),
        "status": outcome.status.value,
        "invalid": outcome.invalid,
        "ended": outcome.ended.value,
        "same_graphs": same_graphs(outcome.base, outcome.head),
        "single_builds": single_builds(outcome.base, outcome.head),
        "notes": [*describe_invalid(outcome), *describe_outcome(outcome)],
    }
    return f"{json.dumps(told, indent=1)}\n"
