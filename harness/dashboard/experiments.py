"""Records of two sides that took turns, held against each other pair by pair."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.ab.schedule import BASE, HEAD
from harness.comparison.compare import compare_records
from harness.comparison.sides import measured_by
from harness.dashboard.environments import KEY, key_of
from harness.dashboard.histories import COMMIT, LOCAL
from harness.dashboard.model import PairedComparison, PairedSeries, PairPoint
from harness.errors import HarnessError
from harness.stats.pairs import PairRule
from harness.store.parquet import read_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.comparison.model import Comparison, Series
    from harness.dashboard.environments import Environments
    from harness.dashboard.timeline import Timeline
    from harness.history.query import Records
    from harness.types import Record

# The newest ones.
MOST_COMPARISONS: Final = 20
_SIDES: Final = f"""
SELECT file, record_id, experiment, {COMMIT} AS commit, {KEY}, created_utc
FROM records WHERE experiment IS NOT NULL AND slowed_by IS NULL AND {LOCAL}
ORDER BY created_utc DESC, record_id
"""  # noqa: S608  # constants


def read_comparisons(
    records: Records, environments: Environments, timeline: Timeline, skipped: list[str]
) -> tuple[PairedComparison, ...]:
    """The comparisons of all experiments, the newest first.

    Those that cannot be judged are named in ``skipped``.

    Raises:
        RecordError: no record can be read.
    """
    sides: dict[str, list[dict[str, Any]]] = {}
    for row in records.table(_SIDES, {}).to_pylist():
        sides.setdefault(row["experiment"], []).append(row)
    found: list[PairedComparison] = []
    for experiment, rows in sides.items():
        if len(found) == MOST_COMPARISONS:
            break
        try:
            one = _comparison(experiment, rows, environments, timeline)
        except HarnessError as error:
            skipped.append(f"experiment {experiment}: {error}")
            continue
        found += [one] if one else []
    return tuple(found)


def _comparison(
    experiment: str,
    rows: Sequence[Mapping[str, Any]],
    environments: Environments,
    timeline: Timeline,
) -> PairedComparison | None:
    """None where one of its sides is not there, as where it was slowed on purpose."""
    # A record may lie in two folders.
    once = {row["record_id"]: row for row in rows}
    if len(once) != len((BASE, HEAD)):
        return None
    read = [(read_record(Path(row["file"])), row) for row in once.values()]
    (base, base_row), (head, head_row) = sorted(read, key=lambda pair: _is_head(pair[0]))
    compared = compare_records((base,), (head,), _rule(base), across=True)
    told = (compared.base.invalid, compared.head.invalid)
    return PairedComparison(
        experiment=experiment,
        pipeline=compared.pipeline,
        environment=environments.ids[key_of(base_row)],
        base=base.record_id,
        head=head.record_id,
        base_commit=timeline.places.get(base_row["commit"]),
        head_commit=timeline.places.get(head_row["commit"]),
        margin=compared.margin,
        status=compared.status.value,
        created_utc=head.created_utc,
        findings=(*compared.differences, *compared.findings, *filter(None, told)),
        rows=_series(compared, base, head),
        simulated=compared.is_simulated,
    )


def _is_head(record: Record) -> bool:
    """Whether it is the second side: by its name, or else by its turn, which was not the first."""
    if record.record_id.endswith((f"-{BASE}", f"-{HEAD}")):
        return record.record_id.endswith(f"-{HEAD}")
    turns = record.replication.turns if record.replication else ()
    return 0 not in turns


def _rule(record: Record) -> PairRule:
    """That which the sides were judged by."""
    own, usual = record.replication, PairRule()
    if own is None or own.margin is None or own.alpha is None or not own.looks:
        return usual
    return PairRule(own.margin, own.alpha, own.looks)


def _series(compared: Comparison, base: Record, head: Record) -> tuple[PairedSeries, ...]:
    sides = [
        ({series: its.latency_s for series, its in measured_by((record,)).items()}, record)
        for record in (base, head)
    ]
    return tuple(
        PairedSeries(
            label=str(row.series),
            status=row.word,
            reason=row.reason,
            ratio=row.time.ratio,
            lower=row.time.lower,
            upper=row.time.upper,
            pairs=_pairs(row.series, sides),
        )
        for row in compared.rows
    )


def _pairs(
    series: Series,
    sides: Sequence[tuple[Mapping[Series, Mapping[tuple[str, int], float]], Record]],
) -> tuple[PairPoint, ...]:
    """The pairs in their order: processes of one number, or builds where there are several."""
    medians = [{number: s for (_, number), s in held[series].items()} for held, _ in sides]
    turns = [_turns(record) for _, record in sides]
    points = [
        PairPoint(
            base_s=medians[0][number],
            head_s=medians[1][number],
            base_turn=turns[0].get(number, 2 * number),
            head_turn=turns[1].get(number, 2 * number + 1),
        )
        for number in medians[0].keys() & medians[1].keys()
    ]
    return tuple(sorted(points, key=lambda one: min(one.base_turn, one.head_turn)))


def _turns(record: Record) -> dict[int, int]:
    """By the number of a process, or of a build, its first place in the order of both sides."""
    own = record.replication
    if own is None:
        return {}
    has_builds = own.builds > 1
    found: dict[int, int] = {}
    for one in record.measurements:
        if one.process < len(own.turns):
            number, turn = one.build if has_builds else one.process, own.turns[one.process]
            found[number] = min(found.get(number, turn), turn)
    return found
