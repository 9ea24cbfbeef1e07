"""What was found in histories: a table to read, and JSON for other tools."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from harness.history.series import SIMULATED
from harness.percent import signed_percent
from harness.report.escaping import visible
from harness.stats.changes import ChangeKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from harness.history.detect import ChangeCandidate, Detected, SeriesFindings
    from harness.history.points import SeriesName

_HASH_CHARACTERS: Final = 8
_HEADINGS: Final = ("series", "kind", "change", "commit", "good..bad", "since", "subject")
_WRAPPED: Final = frozenset({"series", "kind", "since", "subject"})


def detected_document(detected: Detected) -> dict[str, Any]:
    """All of it as JSON: times in seconds, ratios of the new level over the old."""
    return {
        "exit_code": detected.exit_code,
        "simulated": any(one.points.is_simulated for one in detected.series),
        "left_out": detected.left_out,
        "series": [_series_document(one) for one in detected.series],
    }


def _series_document(one: SeriesFindings) -> dict[str, Any]:
    points, findings = one.points, one.findings
    return {
        **asdict(points.name),
        "environment": asdict(points.environment),
        "simulated": points.is_simulated,
        "commits": list(points.commits),
        "order": "dates" if points.is_by_date else "git",
        "times_s": list(points.times_s),
        "too_few": findings.too_few,
        "noise": _finite(findings.noise),
        "autocorrelation": _finite(findings.autocorrelation),
        "canary": points.canary or None,
        "canary_note": one.canary_note,
        "is_corrected": one.is_corrected,
        "changes": [_change_document(candidate) for candidate in one.candidates],
    }


def _change_document(candidate: ChangeCandidate) -> dict[str, Any]:
    change = candidate.change
    return {
        "kind": change.kind.value,
        "direction": change.direction.value,
        "commit": candidate.commit,
        "subject": candidate.subject,
        "good": candidate.good,
        "bad": candidate.bad,
        "suspects": list(candidate.suspects),
        "ratio": change.ratio,
        "lower": change.lower,
        "upper": change.upper,
        "confidence": change.confidence,
        "evidence": change.evidence,
        "recovered": change.recovered,
        "note": change.note,
        "simulated": candidate.points.is_simulated,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def render_detected(detected: Detected) -> RenderableType:
    """One table for each environment, and what is to be known beside it."""
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    groups = itertools.groupby(detected.series, key=lambda one: one.points.environment)
    parts = [part for _, its in groups for part in _environment(list(its))]
    if detected.left_out:
        told = f"left out: {detected.left_out} records that are of a commit, and of no history"
        parts.append(Text(f"{told} (--all-records takes them)"))
    return Group(*parts)


def _environment(its: Sequence[SeriesFindings]) -> Iterator[RenderableType]:
    from rich.text import Text  # noqa: PLC0415

    where = its[0].points.environment
    parts = [f"machine {where.machine}"] if where.machine else []
    parts += [where.name] if where.name else []
    told = ", ".join([*parts, f"fingerprint {where.fingerprint[:_HASH_CHARACTERS]}"])
    yield Text(visible(told))
    simulated = sum(one.points.is_simulated for one in its)
    if simulated:
        count = f"{simulated} of {len(its)}"
        yield Text(f"{SIMULATED}: {count} series were timed by a clock that is played back")
    rows = [(one, candidate) for one in its for candidate in one.candidates]
    if rows:
        yield _table(rows, _names(its))
        confidence = 100.0 * rows[0][1].change.confidence
        yield Text(f"intervals in brackets and good..bad: {confidence:g} %")
    for line in _notes(its):
        yield Text(visible(line))
    yield Text("")


def _notes(its: Sequence[SeriesFindings]) -> Iterator[str]:
    if any(one.points.is_by_date for one in its):
        yield "git does not know all of the commits: the others are in the order of their dates"
    names = _names(its)
    quiet = [one for one in its if not one.candidates and not one.findings.too_few]
    if quiet:
        yield f"no change in {len(quiet)} of {len(its)} series"
    for one in its:
        if one.findings.too_few:
            count = one.findings.count
            yield f"{names[one.points.name]}: {count} commits have a time, too few to tell anything"
    yield from dict.fromkeys(one.canary_note for one in its)


def _names(its: Iterable[SeriesFindings]) -> dict[SeriesName, str]:
    """What each series is called; with how it was timed and built where others are called alike."""
    names = dict.fromkeys(one.points.name for one in its)
    counts = Counter(str(name) for name in names)
    return {n: f"{n} ({n.how})" if counts[str(n)] > 1 else str(n) for n in names}


def _table(
    rows: Sequence[tuple[SeriesFindings, ChangeCandidate]], names: Mapping[SeriesName, str]
) -> Table:
    from rich import box  # noqa: PLC0415

    from harness.report.fitting import FittedTable, PlainName  # noqa: PLC0415

    table = FittedTable(box=box.SIMPLE_HEAD, padding=(0, 0), pad_edge=False)
    table.spare = ("subject",)
    for heading in _HEADINGS:
        table.add_column(
            heading,
            justify="right" if heading == "change" else "left",
            no_wrap=heading not in _WRAPPED,
        )
    for _, candidate in rows:
        # Subjects are what others wrote: no markup, and nothing that moves the cursor.
        table.add_row(*(PlainName(visible(cell)) for cell in _row(candidate, names)))
    return table


def _row(candidate: ChangeCandidate, names: Mapping[SeriesName, str]) -> tuple[str, ...]:
    change = candidate.change
    span = f"{candidate.good[:_HASH_CHARACTERS] or '(start)'}..{candidate.bad[:_HASH_CHARACTERS]}"
    interval = f"({signed_percent(change.lower)} to {signed_percent(change.upper)})"
    return (
        names[candidate.points.name],
        f"{change.kind.value}, {change.direction.value}",
        f"{signed_percent(change.ratio)} % {interval}",
        candidate.commit[:_HASH_CHARACTERS],
        span,
        _since(candidate),
        candidate.subject or "-",
    )


def _since(candidate: ChangeCandidate) -> str:
    change = candidate.change
    if change.note:
        return change.note
    if change.kind is ChangeKind.SPIKE or change.recovered:
        return "recovered"
    return f"still {change.direction.value}"
