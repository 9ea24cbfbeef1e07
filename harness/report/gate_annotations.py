"""What a gate found, as workflow commands of GitHub: a line for each check that is not kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.report.escaping import annotation, annotation_property, visible
from harness.report.gate_model import Status
from harness.report.gate_words import headline, sides_sentence

if TYPE_CHECKING:
    from harness.report.gate_model import Check, GateReport


def to_annotations(report: GateReport) -> str:
    """An error for what is missed, a warning for what is open, and a notice of the whole."""
    lines = [
        _line("error" if check.status is Status.MISSED else "warning", report, check)
        for check in report.checks
        if check.status in {Status.MISSED, Status.INCONCLUSIVE}
    ]
    whole = f"{headline(report)}; {sides_sentence(report)}"
    title = annotation_property(visible(f"Gate of {report.pipeline}"))
    lines.append(f"::notice title={title}::{annotation(visible(whole))}")
    return "\n".join(lines) + "\n"


def _line(level: str, report: GateReport, check: Check) -> str:
    simulated = ", SIMULATED" if report.is_simulated else ""
    subject = f", {check.subject}" if check.subject else ""
    told = f"{report.pipeline}: {check.name} {check.status.value}{subject}{simulated}"
    title = annotation_property(visible(told))
    # A file's name is as it is, or it would be of another: what would end the line is escaped.
    file = f"file={annotation_property(report.source)}," if report.source else ""
    return f"::{level} {file}title={title}::{annotation(visible(check.sentence))}"
