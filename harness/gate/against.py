"""The checks against a baseline: a regression of time, and rises of energy and memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from harness.comparison.model import Figure
from harness.percent import signed_percent
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.report.gate_model import ENERGY, MEMORY, REGRESSION, Check, Status
from harness.report.gate_words import change_sentence, movement_sentence, setting_of
from harness.stats.pairs import PairStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.comparison.model import Comparison, SeriesComparison
    from harness.gate.limits import Limits
    from harness.report.gate_model import Movement
    from harness.types import Variant

_NO_BASELINE: Final = "there is no baseline to hold it against (--baseline)"
_PEERS: Final = "torch"
_FIGURES: Final = {ENERGY: "energy_j", MEMORY: "memory_bytes"}
_UNITS: Final = {ENERGY: (1.0, "J"), MEMORY: (1e-6, "MB")}
_OPTIONS: Final = {ENERGY: "--max-energy-rise", MEMORY: "--max-memory-rise"}


def regression_checks(movements: Sequence[Movement] | None) -> Iterator[Check]:
    """One for each pipeline that ships; ``movements`` is None where there is no baseline."""
    if movements is None:
        yield Check(REGRESSION, Status.NOT_ASKED, _NO_BASELINE)
        return
    # PyTorch is the peer that others are held against, unless it is all that was measured.
    ships = [m for m in movements if not is_peer(m.series.variant)] or list(movements)
    for movement in ships:
        told = [change_sentence(movement.change), movement_sentence(movement)]
        sentence = "; ".join(filter(None, told))
        yield Check(REGRESSION, _status_of(movement), sentence, _subject(movement))


def is_peer(variant: Variant) -> bool:
    """Whether it is PyTorch's, which others are held against and which does not ship."""
    return variant.backend.startswith(_PEERS)


def _subject(movement: Movement) -> str:
    series = movement.series
    return setting_of(series) if series.component == WHOLE_PIPELINE else str(series)


def _status_of(movement: Movement) -> Status:
    change = movement.change
    if change.time.status is PairStatus.INCONCLUSIVE:
        return Status.INCONCLUSIVE
    if change.time.status is PairStatus.SLOWER:
        # One of many series is slower by luck; and what the clock did is not the code's.
        is_real = change.is_discovery and not change.is_of_the_clock
        return Status.MISSED if is_real else Status.INCONCLUSIVE
    return Status.PASS


def rise_checks(name: str, comparison: Comparison | None, limits: Limits) -> Iterator[Check]:
    """Whether the energy, or the memory, of each pipeline rose by more than was asked."""
    limit = limits.max_energy_rise if name == ENERGY else limits.max_memory_rise
    if comparison is None:
        status = Status.NOT_ASKED if limit is None else Status.INCONCLUSIVE
        yield Check(name, status, _NO_BASELINE)
        return
    open_ = Status.NOT_ASKED if limit is None else Status.INCONCLUSIVE
    rows = [row for row in comparison.rows if row.series.component == WHOLE_PIPELINE]
    ships = [row for row in rows if not is_peer(row.series.variant)] or rows
    found = [(row, _figure(row, _FIGURES[name])) for row in ships]
    known = [row for row, figure in found if _rise(figure) is not None]
    for row, figure in found:
        if row in known:
            yield _rise_check(name, row, figure, limit)
        elif limit is not None:
            # One that is known does not answer for another.
            yield Check(name, open_, _unknown(name, figure), setting_of(row.series))
    if not known and (limit is None or not found):
        yield Check(name, open_, "it was not measured of both sides")


def _figure(row: SeriesComparison, name: str) -> Figure:
    """That of ``row``; of nothing known where it has none."""
    return next((one for one in row.figures if one.name == name), Figure(name, None, None))


def _unknown(name: str, figure: Figure) -> str:
    """Why there is no ratio."""
    sides = (("baseline", figure.base), ("head", figure.head))
    lacking = [side for side, value in sides if value is None]
    if lacking:
        return f"the {name} of the {' and the '.join(lacking)} is not known"
    factor, unit = _UNITS[name]
    told = " to ".join(f"{factor * (value or 0.0):.4g}" for _, value in sides)
    return f"no ratio can be made of {told} {unit}"


def _rise(figure: Figure) -> float | None:
    """The ratio of head to base; None where one is not known, or makes none."""
    if figure.base is None or figure.head is None or not figure.base > 0.0:
        return None
    ratio = figure.head / figure.base
    return ratio if math.isfinite(ratio) else None


def _rise_check(name: str, row: SeriesComparison, figure: Figure, limit: float | None) -> Check:
    ratio = _rise(figure) or 0.0
    factor, unit = _UNITS[name]
    base, head = (factor * (value or 0.0) for value in (figure.base, figure.head))
    told = f"{signed_percent(ratio)} %, {base:.4g} to {head:.4g} {unit}"
    subject = setting_of(row.series)
    if limit is None:
        return Check(name, Status.NOT_ASKED, f"{told} (no {_OPTIONS[name]})", subject)
    # A sum of doubles may be a last digit above what was meant.
    is_kept = ratio - 1.0 <= limit + 1e-12
    limit_told = f"at most {100.0 * limit:+g} % was asked"
    status = Status.PASS if is_kept else Status.MISSED
    return Check(name, status, f"{told}; {limit_told}", subject)
