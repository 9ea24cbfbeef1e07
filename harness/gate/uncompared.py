"""What one side alone has measured, or both in ways that cannot be compared: it is no pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.comparison.sides import measured_by
from harness.gate.against import is_peer
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.report.gate_model import REGRESSION, Check, Status
from harness.report.gate_words import setting_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.comparison.model import Comparison
    from harness.comparison.sides import Measured
    from harness.types import Record


def uncompared_checks(
    head: Record, comparison: Comparison | None, baseline: Sequence[Record]
) -> Iterator[Check]:
    """One for each setting of which a series was not compared, and why; all are inconclusive.

    A series that the baseline has and the head lacks is one, whatever became of it: a component
    that is gone, or a whole variant. Of what only the head has, whole pipelines are. PyTorch, the
    peer, is none unless it is alone.

    Args:
        head: the head's record.
        comparison: of the baseline with the head; None where there is no baseline.
        baseline: the records that ``comparison`` has as its base.

    Raises:
        RecordError: a record is damaged.
        ComparisonError: a latency is no number above 0.
    """
    if comparison is None:
        return
    of_base, of_head = measured_by(baseline), measured_by([head])
    compared = {row.series for row in comparison.rows}
    every = dict.fromkeys((*of_base, *of_head, *compared))
    ships = {one for one in every if not is_peer(one.variant)} or set(every)
    found: dict[tuple[str, str], list[str]] = {}
    for series in (one for one in every if one in ships and one not in compared):
        if series in of_base or series.component == WHOLE_PIPELINE:
            key = setting_of(series), _why(of_base.get(series), of_head.get(series))
            found.setdefault(key, []).append(series.component)
    for (setting, why), components in found.items():
        yield _check(setting, why, components)


def _why(base: Measured | None, head: Measured | None) -> str:
    if base is None:
        return "the baseline has nothing measured of it"
    if head is None:
        return "the head has nothing measured of it, and the baseline has"
    if base.how != head.how:
        return f"it was not timed alike: {base.how} / {head.how}"
    return "no pair of processes has measured it"


def _check(setting: str, why: str, components: Sequence[str]) -> Check:
    """Of one setting: named by it where the whole is among ``components``, else by those."""
    others = [one for one in components if one != WHOLE_PIPELINE]
    if len(others) == len(components):
        return Check(REGRESSION, Status.INCONCLUSIVE, why, f"{', '.join(others)}, {setting}")
    more = f"; so it is with {', '.join(others)}" if others else ""
    return Check(REGRESSION, Status.INCONCLUSIVE, f"{why}{more}", setting)
