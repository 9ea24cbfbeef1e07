"""The gate: a record, its limits and a comparison make a report."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from harness.comparison.model import Side
from harness.gate.against import regression_checks, rise_checks
from harness.gate.checks import (
    SIMULATED,
    budget_checks,
    deadline_checks,
    floor_checks,
    record_check,
    record_doubts,
)
from harness.gate.movement import movements_of
from harness.gate.uncompared import uncompared_checks
from harness.report.figures import figures_of
from harness.report.gate_model import (
    BUDGET,
    DEADLINES,
    ENERGY,
    MEMORY,
    RECORD,
    REGRESSION,
    Check,
    GateReport,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.comparison.model import Comparison
    from harness.gate.limits import Limits
    from harness.report.gate_model import Movement
    from harness.types import Record

# What the state of the machine, or a clock that is made up, spoils: not accuracy, nor memory.
_OF_TIME: Final = frozenset({BUDGET, DEADLINES, REGRESSION, ENERGY})
_NO_TURNS: Final = (
    "the processes of both took no turns: a drift of the machine between them would look like "
    "a change of the code, or hide one ('harness ab' tells them apart)"
)
_AS_ASKED: Final = "; what is slower counts all the same, as asked (--without-turns)"
_MAY_DRIFT: Final = (
    "the two took no turns, and what is slower may be the machine's drift (it counts only with "
    "--without-turns)"
)
_AGAINST: Final = frozenset({REGRESSION, ENERGY, MEMORY})


def judge(
    record: Record,
    limits: Limits,
    comparison: Comparison | None = None,
    baseline: Sequence[Record] = (),
    remarks: Sequence[str] = (),
) -> GateReport:
    """Hold ``record`` against ``limits`` and what its pipeline declares.

    What an invalid or interrupted record says of time is inconclusive, whatever it says, as are
    times that are made up, whatever is held against a baseline of another environment or one that
    is invalid itself, and what is slower than one that it took no turns with, unless that was
    asked for. An accuracy floor that is missed stays missed.

    Args:
        record: the head's.
        limits: what is asked beside the pipeline's own budget and floors.
        comparison: of the baseline with the head; None where there is no baseline.
        baseline: the records that ``comparison`` has as its base.
        remarks: what a reader must know besides.
    """
    movements = None if comparison is None else movements_of(comparison)
    checks = [
        _weighed(check, record, limits, comparison, baseline)
        for check in _checks(record, limits, comparison, movements, baseline)
    ]
    return GateReport(
        pipeline=record.pipeline,
        head=comparison.head if comparison else _side(record),
        base=comparison.base if comparison else None,
        checks=tuple(checks),
        movements=movements or (),
        remarks=(*remarks, *_told(record, comparison, limits)),
        differences=comparison.differences if comparison else (),
        machine=_machine(record),
        margin=comparison.margin if comparison else None,
    )


def _told(record: Record, comparison: Comparison | None, limits: Limits) -> list[str]:
    """What the comparison says of itself, but for what the checks of ``record`` say as well."""
    if comparison is None:
        return []
    own = f"{record.record_id} "
    found = [finding for finding in comparison.findings if not finding.startswith(own)]
    if comparison.is_paired:
        return found
    return [f"{_NO_TURNS}{_AS_ASKED if limits.without_turns else ''}", *found]


def _checks(
    record: Record,
    limits: Limits,
    comparison: Comparison | None,
    movements: Sequence[Movement] | None,
    baseline: Sequence[Record],
) -> Iterator[Check]:
    figures = figures_of(record)
    found = (
        [record_check(record)],
        budget_checks(figures),
        deadline_checks(figures),
        regression_checks(movements),
        uncompared_checks(record, comparison, baseline),
        floor_checks(figures),
        rise_checks(ENERGY, comparison, limits),
        rise_checks(MEMORY, comparison, limits),
    )
    for checks in found:
        for check in checks:
            if check.name in limits.skipped:
                yield replace(check, status=Status.NOT_ASKED)
            else:
                yield check


def _weighed(
    check: Check,
    record: Record,
    limits: Limits,
    comparison: Comparison | None,
    baseline: Sequence[Record],
) -> Check:
    """``check``, or that it is open where what it is answered from does not count."""
    if check.name == RECORD or check.status not in {Status.PASS, Status.MISSED}:
        return check
    doubts: list[str] = []
    if check.name in _OF_TIME:
        doubts += [f"it does not count: {what}" for what in record_doubts(record)]
        if _is_simulated(record) and not limits.takes_simulated:
            doubts.append(SIMULATED)
    if check.name in _AGAINST and comparison is not None:
        if comparison.differences:
            doubts.append(f"not the same environment: {', '.join(comparison.differences)}")
        for one in baseline if check.name in _OF_TIME else ():
            doubts += [f"the baseline {one.record_id}: {what}" for what in record_doubts(one)]
        is_slower = check.name == REGRESSION and check.status is Status.MISSED
        if is_slower and not comparison.is_paired and not limits.without_turns:
            doubts.append(_MAY_DRIFT)
    if not doubts:
        return check
    sentence = "; ".join((*doubts, check.sentence))
    return replace(check, status=Status.INCONCLUSIVE, sentence=sentence)


def _is_simulated(record: Record) -> bool:
    return any(one.simulated for one in record.measurements)


def _side(record: Record) -> Side:
    """The head, where it was held against nothing."""
    commit = (record.history or {}).get("commit") or (
        record.environment.get("pipeline_commit") or {}
    ).get("commit", "")
    return Side(
        label=record.record_id,
        commit=commit or "",
        record_ids=(record.record_id,),
        environment=record.environment,
        is_simulated=_is_simulated(record),
    )


def _machine(record: Record) -> str:
    """The machine in words."""
    environment = record.environment
    gpu = environment.get("gpu") or {}
    names = (gpu.get("name"), environment.get("cpu"))
    return "; ".join(str(name) for name in names if name)
