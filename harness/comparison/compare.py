"""Records of two sides held against each other: what is comparable, and the verdict on each."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Final

from harness.comparison.built import different_options, same_graphs, single_builds
from harness.comparison.model import CHANGES, Comparison, Series, SeriesComparison
from harness.comparison.sides import (
    Measured,
    Unit,
    experiment_of,
    figures_of_both,
    measured_by,
    side_of,
    slowed_by,
    why_invalid,
)
from harness.comparison.slight import weigh
from harness.errors import ComparisonError
from harness.stats.families import discoveries
from harness.stats.fingerprint import differences
from harness.stats.pairs import judge_pairs, judge_unpaired

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from harness.stats.pairs import PairRule, PairVerdict
    from harness.types import Record

# What says the same of every A/B; more differences than these are told by their number.
_MOST_TOLD: Final = 6


def compare_records(
    base: Sequence[Record],
    head: Sequence[Record],
    rule: PairRule,
    *,
    across: bool = False,
    labels: tuple[str, str] | None = None,
    components: Collection[str] = (),
) -> Comparison:
    """Judge every series that both sides have, and all of them together.

    One record a side of one experiment is judged in pairs, the k-th process of each side; all else
    by processes that took no turns. What is invalid, interrupted or missing is told as a finding.

    Args:
        base: the records of the base, one or more.
        head: those of the head.
        rule: the margin, and how sure to be; the error of the whole table is its ``alpha``.
        across: compare although the environments differ in what latency depends on; it is told.
        labels: what the sides are called; without, by their records.
        components: which to compare; all if empty. The whole is ``pipeline``. What is named here
            is never slight.

    Raises:
        ComparisonError: the sides cannot be held against each other.
        RecordError: a record is damaged.
    """
    _check_pipelines((*base, *head))
    names = labels or (_named(base), _named(head))
    for records, name in zip((base, head), names, strict=True):
        _check_one_environment(records, name)
    found = _differences(base[0], head[0])
    if found and not across:
        what = f"not the same environment: {_listed(found)}"
        fix = "compare records of one environment, or give --across, and it is told everywhere"
        raise ComparisonError(what, where=" and ".join(names), fix=fix)
    measured = measured_by(base), measured_by(head)
    is_paired = experiment_of(base) == experiment_of(head) != ""
    rows, findings, unjudged = _rows(*measured, rule, components, is_paired=is_paired)
    if not rows:
        raise _nothing_in_common(*measured, names, components)
    judged = judged_together(rows, rule)
    # Whatever took no turns with the other side may have drifted, the same graph or not.
    same = same_graphs(base[0], head[0]) if is_paired else ()
    return Comparison(
        pipeline=base[0].pipeline,
        base=side_of(base, names[0]),
        head=side_of(head, names[1]),
        rows=weigh(judged, rule.margin, asked=components, same=same),
        margin=rule.margin,
        is_paired=is_paired,
        differences=found,
        findings=(
            *_doubts((*base, *head)),
            *_of_making(base[0], head[0], is_paired=is_paired),
            *findings,
        ),
        unjudged=tuple(unjudged),
    )


def check_valid(records: Sequence[Record]) -> None:
    """Check that no record was judged invalid.

    Raises:
        ComparisonError: one was.
    """
    for record in records:
        reasons = why_invalid(record)
        if reasons:
            what = f"the machine's state makes it invalid: {reasons}"
            raise ComparisonError(what, where=record.record_id, fix="measure it again")


def check_distinct(base: Sequence[Record], head: Sequence[Record]) -> None:
    """Check that no record is of both sides: it is no baseline of itself.

    Raises:
        ComparisonError: one is.
    """
    common = {one.record_id for one in base} & {one.record_id for one in head}
    if common:
        what = "it is of both sides: nothing is slower than itself"
        raise ComparisonError(what, where=min(common), fix="name another record of a side")


def _check_pipelines(records: Sequence[Record]) -> None:
    names = list(dict.fromkeys(record.pipeline for record in records))
    if len(names) > 1:
        what = f"records of {' and '.join(names)} are of different pipelines"
        raise ComparisonError(what, fix="compare records of one pipeline")


def _check_one_environment(records: Sequence[Record], name: str) -> None:
    for record in records[1:]:
        found = _differences(records[0], record)
        if found:
            what = f"its records are of several environments: {_listed(found)}"
            raise ComparisonError(what, where=name, fix="name those of one, by file or id")


def _differences(a: Record, b: Record) -> tuple[str, ...]:
    """In words, what latency depends on and is not the same."""
    found = differences(a.environment, b.environment)
    return tuple(str(one) for one in found if one.affects_latency)


def _listed(found: Sequence[str]) -> str:
    rest = len(found) - _MOST_TOLD
    shown = ", ".join(found[:_MOST_TOLD])
    return f"{shown} and {rest} more" if rest > 0 else shown


def _named(records: Sequence[Record]) -> str:
    first = records[0].record_id
    return first if len(records) == 1 else f"{first} and {len(records) - 1} more"


def _rows(
    base: Mapping[Series, Measured],
    head: Mapping[Series, Measured],
    rule: PairRule,
    components: Collection[str],
    *,
    is_paired: bool,
) -> tuple[list[SeriesComparison], list[str], list[str]]:
    """A row of each common series, what is said of the others, and those of the base of these."""
    rows, findings, judged = [], [], set()
    every = dict.fromkeys((*base, *head))
    wanted = [series for series in every if not components or series.component in components]
    for series in (one for one in wanted if one in base and one in head):
        a, b = base[series], head[series]
        if a.how != b.how:
            findings.append(f"not timed alike, and not compared: {series} ({a.how} / {b.how})")
            continue
        row = _row(series, a, b, rule, is_paired=is_paired)
        if row is None:
            findings.append(f"no pair of processes has measured it: {series}")
        else:
            rows.append(row)
            judged.add(series)
    findings += _of_one_side(wanted, base, "base", head)
    findings += _of_one_side(wanted, head, "head", base)
    unjudged = [str(series) for series in wanted if series in base and series not in judged]
    return rows, findings, unjudged


def _of_one_side(
    wanted: Sequence[Series],
    side: Mapping[Series, Measured],
    name: str,
    other: Mapping[Series, Measured],
) -> list[str]:
    """What only one side has, all components of one variant, size and mode in one line."""
    lone: dict[str, list[str]] = {}
    for series in (one for one in wanted if one in side and one not in other):
        where = str(series).removeprefix(f"{series.component}, ")
        lone.setdefault(where, []).append(series.component)
    return [f"only of the {name}: {where}: {', '.join(its)}" for where, its in lone.items()]


def _row(
    series: Series, base: Measured, head: Measured, rule: PairRule, *, is_paired: bool
) -> SeriesComparison | None:
    time = _verdict(base.latency_s, head.latency_s, rule, is_paired=is_paired)
    if time is None:
        return None
    cycles = None
    if base.cycles and head.cycles:
        cycles = _verdict(base.cycles, head.cycles, rule, is_paired=is_paired)
    return SeriesComparison(
        series=series,
        base_s=median(base.latency_s.values()),
        head_s=median(head.latency_s.values()),
        time=time,
        cycles=cycles,
        figures=figures_of_both(base, head),
        how=base.how,
    )


def _verdict(
    base: Mapping[Unit, float], head: Mapping[Unit, float], rule: PairRule, *, is_paired: bool
) -> PairVerdict | None:
    """The verdict, in which odd processes have their own numbers; None where there is no pair."""
    if not is_paired:
        found = judge_unpaired(list(base.values()), list(head.values()), rule)
        return _numbered(found, list(base), list(head))
    # Of one record each: the processes of a pair have one number.
    sides = [{number: value for (_, number), value in side.items()} for side in (base, head)]
    numbers = sorted(sides[0].keys() & sides[1].keys())
    if not numbers:
        return None
    values = [[side[number] for number in numbers] for side in sides]
    units = [("", number) for number in numbers]
    return _numbered(judge_pairs(values[0], values[1], rule), units, units)


def _numbered(verdict: PairVerdict, base: Sequence[Unit], head: Sequence[Unit]) -> PairVerdict:
    """With the numbers of odd processes; of several records, their places among all."""
    return replace(
        verdict,
        odd_base=_numbers(verdict.odd_base, base),
        odd_head=_numbers(verdict.odd_head, head),
    )


def _numbers(places: tuple[int, ...], units: Sequence[Unit]) -> tuple[int, ...]:
    is_of_one = len({record for record, _ in units}) == 1
    return tuple(units[place][1] for place in places) if is_of_one else places


def judged_together(
    rows: Sequence[SeriesComparison], rule: PairRule
) -> tuple[SeriesComparison, ...]:
    """``rows`` with what stands among all of them (Benjamini and Hochberg)."""
    stands = discoveries([row.time.p_value for row in rows], rule.alpha)
    return tuple(
        replace(row, is_discovery=stand or row.time.status not in CHANGES)
        for row, stand in zip(rows, stands, strict=True)
    )


def _doubts(records: Sequence[Record]) -> list[str]:
    """What makes less of a record than was asked for, or nothing at all."""
    found = []
    for record in records:
        if not record.is_complete:
            found.append(f"{record.record_id} was interrupted")
        if slowed_by(record):
            share = f"{100.0 * slowed_by(record):.3g} %"
            found.append(
                f"{record.record_id} was made {share} slower on purpose: it is of no commit"
            )
        missing = len(record.replication.missing) if record.replication else 0
        if missing:
            found.append(f"{missing} processes of {record.record_id} measured nothing")
        if record.validity is not None and record.validity.status in {"invalid", "flagged"}:
            first = next(f.what for f in record.validity.findings if f.level in {"fail", "flag"})
            found.append(f"{record.record_id} is {record.validity.status}: {first}")
    return found


def _of_making(base: Record, head: Record, *, is_paired: bool) -> list[str]:
    """What of the sides was not made alike, beside their code."""
    found = [] if base.inputs == head.inputs else ["the sides were fed different inputs"]
    options = different_options(base, head)
    found += [f"built by other options, which may be all: {one}" for one in options]
    single = single_builds(base, head) if is_paired else ()
    if single:
        found.append(
            f"one build a side of {', '.join(single)}: a build's luck counts as the code's"
        )
    return found


def _nothing_in_common(
    base: Mapping[Series, Measured],
    head: Mapping[Series, Measured],
    names: tuple[str, str],
    components: Collection[str],
) -> ComparisonError:
    told = [f"{name} has {_first(side)}" for name, side in zip(names, (base, head), strict=True)]
    asked = f" of {', '.join(components)}" if components else ""
    what = f"no series{asked} is common to both: {', '.join(told)}"
    fix = "measure the same components, backends, precisions and sizes of both"
    return ComparisonError(what, fix=fix)


def _first(side: Mapping[Series, Measured]) -> str:
    names = [str(series) for series in side]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}" if names else "nothing"
