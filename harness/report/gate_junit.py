"""What a gate found, as JUnit's XML: one test case for each check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.report.escaping import attribute
from harness.report.gate_model import Status
from harness.report.gate_words import environment_label, sides_sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.report.gate_model import Check, GateReport


def to_junit(report: GateReport) -> str:
    """A suite of test cases: what is missed fails, what is inconclusive is an error.

    What was not asked is skipped. The time of a case is none: nothing was run.
    """
    return "\n".join(_lines(report)) + "\n"


def _lines(report: GateReport) -> Iterator[str]:
    counts = (
        f'tests="{len(report.checks)}" failures="{report.count(Status.MISSED)}" '
        f'errors="{report.count(Status.INCONCLUSIVE)}" skipped="{report.count(Status.NOT_ASKED)}" '
        'time="0"'
    )
    name = attribute(f"harness gate: {report.pipeline}")
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<testsuites name="trt-harness" {counts}>'
    yield f'  <testsuite name="{name}" {counts}>'
    yield "    <properties>"
    for key, value in _properties(report).items():
        yield f'      <property name="{key}" value="{attribute(value)}"/>'
    yield "    </properties>"
    for check in report.checks:
        yield from _case(report, check)
    yield "  </testsuite>"
    yield "</testsuites>"


def _properties(report: GateReport) -> dict[str, str]:
    found = {
        "compared": sides_sentence(report),
        "machine": report.machine,
        "simulated": "yes" if report.is_simulated else "",
        "environment": environment_label(report),
        "remarks": "; ".join(report.remarks),
    }
    return {key: value for key, value in found.items() if value}


def _case(report: GateReport, check: Check) -> Iterator[str]:
    name = f"{check.name}: {check.subject}" if check.subject else check.name
    simulated = " (SIMULATED)" if report.is_simulated else ""
    opening = (
        f'    <testcase classname="{attribute(f"gate.{report.pipeline}")}" '
        f'name="{attribute(name + simulated)}" time="0"'
    )
    told = attribute(check.sentence)
    if check.status is Status.PASS:
        yield f"{opening}>"
        yield f"      <system-out>{told}</system-out>"
    elif check.status is Status.NOT_ASKED:
        yield f"{opening}>"
        yield f'      <skipped message="not asked: {told}"/>'
    else:
        tag = "failure" if check.status is Status.MISSED else "error"
        yield f"{opening}>"
        yield f'      <{tag} type="{check.status.value}" message="{told}">{told}</{tag}>'
    yield "    </testcase>"
