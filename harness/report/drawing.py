"""Bars and traces as characters: blocks where there are any, else ASCII."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.report.budget_spent import HEADROOM
from harness.report.summary_machine import steps_of

if TYPE_CHECKING:
    from harness.report.summary import Span, Trace

_FULL, _ROOM, _LITTLE = ("█", "#"), ("░", "."), ("▏", ":")
_LEVELS: Final = ("▁▂▃▄▅▆▇█", "_.-=+*%#")
# What moves by less than this share of its most is shown as still: a line that jumps by a step for
# each MHz shows nothing but the scale.
_LEAST_RANGE: Final = 0.05


def bar(span: Span | None, width: int, *, is_ascii: bool = False) -> str:
    """Blanks for what was before, then the part itself; nothing for none."""
    if span is None:
        return ""
    first, last = round(width * span.begin), round(width * span.end)
    mark = (_ROOM if span.kind == HEADROOM else _FULL)[is_ascii]
    if last > first:
        return " " * first + mark * (last - first)
    return " " * min(first, width - 1) + _LITTLE[is_ascii]


def sparkline(trace: Trace, width: int, *, is_ascii: bool = False) -> str:
    """A character for each step, of eight heights; a blank where nothing was read."""
    steps = list(steps_of(trace, width))
    heights = heights_of(trace, tuple(steps))
    levels = _LEVELS[is_ascii]
    last = len(levels) - 1
    return "".join(" " if height is None else levels[round(last * height)] for height in heights)


def heights_of(trace: Trace, steps: tuple[float | None, ...] = ()) -> tuple[float | None, ...]:
    """How high each step is, from 0, the least, to 1; what hardly moves is low."""
    known = [value for value in trace.values if value is not None]
    if not known:
        return tuple(None for _ in steps or trace.values)
    least = min(known)
    span = max(max(known) - least, _LEAST_RANGE * abs(max(known)), 1e-12)
    return tuple(
        None if value is None else (value - least) / span for value in steps or trace.values
    )
