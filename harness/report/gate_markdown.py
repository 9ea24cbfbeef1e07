"""What a gate found, as Markdown for a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.percent import signed_percent
from harness.report.escaping import markdown, marker
from harness.report.gate_model import Status
from harness.report.gate_words import (
    environment_label,
    headline,
    interval_percent,
    setting_of,
    share_percent,
    sides_sentence,
    signed_ms,
    verdict_word,
)
from harness.report.words import milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.report.gate_model import Change, GateReport, Movement

_SIGNS: Final = {
    Status.PASS: "✅ pass",
    Status.MISSED: "❌ **missed**",
    Status.INCONCLUSIVE: "⚠️ inconclusive",
    Status.NOT_ASKED: "not asked",
}

_HEADINGS: Final = (
    *("component", "base ms", "head ms", "change ms", "change %", "interval %", "share %"),
    "verdict",
)


def to_markdown(report: GateReport) -> str:
    """A comment for a pull request; its first line is hidden, and the same in each of a pipeline.

    By that a bot finds the comment that it is to write over.
    """
    return "\n".join(_lines(report)) + "\n"


def marker_line(pipeline: str) -> str:
    """The hidden line that the comment on ``pipeline`` begins with."""
    return f"<!-- trt-harness gate: {marker(pipeline)} -->"


def _lines(report: GateReport) -> Iterator[str]:
    yield marker_line(report.pipeline)
    yield f"### {markdown(report.pipeline)}: {markdown(headline(report))}"
    yield ""
    yield f"Held: {markdown(sides_sentence(report))}."
    if report.is_simulated:
        yield ""
        yield "> **SIMULATED**: these times come from no real clock."
    label = environment_label(report)
    if label:
        yield ""
        yield f"> **{markdown(label)}**"
    yield ""
    yield "| | check | found |"
    yield "|---|---|---|"
    for check in report.checks:
        name = f"{check.name}: {check.subject}" if check.subject else check.name
        yield f"| {_SIGNS[check.status]} | {markdown(name)} | {markdown(check.sentence)} |"
    for movement in report.movements:
        yield ""
        yield from _movement(movement)
    notes = [*report.remarks]
    notes += [f"On: {report.machine}"] if report.machine else []
    if notes:
        yield ""
        yield from (f"- {markdown(note)}" for note in notes)


def _movement(movement: Movement) -> Iterator[str]:
    series = movement.series
    what = markdown(setting_of(series))
    yield f"<details><summary>By component: {what}</summary>"
    yield ""
    yield f"| {' | '.join(_HEADINGS)} |"
    yield f"|---{'|--:' * 6}|---|"
    for part in movement.parts:
        yield _row(part.component, part.change, share_percent(part))
    if movement.rest_s is not None:
        yield f"| *the rest* | | | {signed_ms(movement.rest_s)} | | | | |"
    yield _row(series.component, movement.change, "100" if movement.change.is_known else "-")
    yield ""
    yield "</details>"


def _row(name: str, change: Change, share: str) -> str:
    cells = [
        markdown(name),
        milliseconds(change.base_s),
        milliseconds(change.head_s),
        signed_ms(change.change_s),
        signed_percent(change.time.ratio),
        markdown(interval_percent(change)),
        share,
        verdict_word(change),
    ]
    return f"| {' | '.join(cells)} |"
