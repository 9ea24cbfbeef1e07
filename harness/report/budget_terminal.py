"""How a latency budget is spent, on a terminal: a bar for each part, where the last has ended."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from rich.console import Group as Lines
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.report.budget_bars import scale_of, span_of
from harness.report.budget_spent import GAPS, HEADROOM, TAIL
from harness.report.drawing import bar
from harness.report.escaping import visible
from harness.report.words import bare_milliseconds, budget_subject, milliseconds
from harness.stats.budget import Verdict
from harness.stats.trend import MIN_POINTS, Fate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from harness.report.budget_spent import Headroom, Prospect, Spent
    from harness.stats.trend import Outlook, Slope

_STYLES: Final = {GAPS: "yellow", TAIL: "magenta", HEADROOM: "green"}
_VERDICTS: Final = {
    Verdict.WITHIN: "green",
    Verdict.MISSED: "bold red",
    Verdict.INCONCLUSIVE: "yellow",
}
_LEAST_BAR, _NAME, _FIGURES = 10, 28, 18
_LONG: Final = 1000.0


def render_spent(spent: Sequence[Spent], pipeline: str) -> RenderableType:
    """A table for each variant, with its headroom and its trend in words."""
    parts: list[RenderableType] = []
    for one in spent:
        figure = one.figure
        title = f"{pipeline}, {budget_subject(figure)}, {figure.case}"
        title += f", {figure.arrival}" if figure.arrival else ""
        parts.append(Text(visible(title), style="bold"))
        if figure.simulated:
            parts.append(Text("SIMULATED: these times come from no real clock", "bold magenta"))
        if one.slices:
            parts.append(_Waterfall(one))
        parts += [Padding(Text(line), (0, 0, 0, 2)) for line in _beside(one)]
        parts.append(_headroom(one))
        if one.prospect is not None:
            parts += [Padding(Text(line), (0, 0, 0, 2)) for line in prospect_lines(one.prospect)]
    return Lines(*parts)


class _Waterfall:
    """Names, milliseconds, per cent of the budget, and a bar as wide as there is room."""

    def __init__(self, spent: Spent) -> None:
        self._spent = spent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        slices, limit_s = self._spent.slices, self._spent.limit_s
        longest = max(len(visible(one.name)) for one in slices)
        name = min(longest, _NAME, max(8, options.max_width - _FIGURES - _LEAST_BAR))
        width = options.max_width - name - _FIGURES
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column(f"p99 <= {bare_milliseconds(limit_s)} ms", width=name, overflow="fold")
        table.add_column("ms", justify="right", no_wrap=True, min_width=7)
        table.add_column("% of it", justify="right", no_wrap=True, min_width=7)
        if width >= _LEAST_BAR:
            table.add_column("", no_wrap=True, width=width)
        (scale_s, is_of_all), begun_s = scale_of(slices, limit_s), 0.0
        for one in slices:
            style = _STYLES.get(one.kind, "")
            cells = [_signed(one.time_s), _percent(one.time_s / limit_s)]
            if width >= _LEAST_BAR:
                cells.append(bar(span_of(one, begun_s, scale_s, is_of_all=is_of_all), width))
            # What is taken back, such as a gap below 0, begins where the next one does.
            begun_s += one.time_s
            table.add_row(Text(visible(one.name)), *(Text(cell, style) for cell in cells))
        yield table
        if width >= _LEAST_BAR and not is_of_all:
            yield Padding(Text("bars: of the p99, not of the budget", "dim"), (0, 0, 0, 2))


def _percent(share: float) -> str:
    """In % with one place; not ``-0.0``."""
    return f"{round(100.0 * share, 1) + 0.0:.1f}"


def _signed(seconds: float) -> str:
    text = milliseconds(abs(seconds))
    return f"-{text}" if seconds < 0.0 and float(text) else text


def _beside(spent: Spent) -> list[str]:
    if not spent.beside:
        return []
    told = ", ".join(f"{one.name} {milliseconds(one.time_s)} ms" for one in spent.beside)
    return [f"beside it, and not in it: {told}"]


def _headroom(spent: Spent) -> Padding:
    figure = spent.figure
    if figure.verdict is None or spent.headroom is None:
        told = Text(figure.reason, "yellow")
    else:
        sentence = headroom_sentence(spent.headroom, spent)
        told = Text(sentence, _VERDICTS[figure.verdict.verdict])
    return Padding(told, (0, 0, 0, 2))


def headroom_sentence(room: Headroom, spent: Spent) -> str:
    """What is left, with its interval, and the verdict."""
    figure = spent.figure
    verdict = "" if figure.verdict is None else f"{figure.verdict.verdict.value.upper()}: "
    bounds = f"{_bound(room.lower_s)} to {_bound(room.upper_s)}"
    count = 0 if figure.verdict is None else figure.verdict.estimate.count
    return (
        f"{verdict}headroom {_signed(room.value_s)} ms, {_percent(room.value_s / spent.limit_s)} "
        f"% of the budget (95 % confidence: {bounds} ms, n = {count})"
    )


def _bound(seconds: float) -> str:
    return _signed(seconds) if math.isfinite(seconds) else "no bound"


def prospect_lines(prospect: Prospect) -> list[str]:
    """The trend in words, and when the budget will be spent."""
    slope = prospect.by_commit
    if slope is None:
        told = f"{prospect.commits} commits were measured in this environment"
        return [f"trend: cannot tell: {told}, and {MIN_POINTS} are the least"]
    lines = [f"trend of the p99: {_slope(slope, 'commit')} (over {prospect.commits} commits)"]
    if prospect.by_day is not None:
        lines[0] += f", {_slope(prospect.by_day, 'day')}"
    lines.append(f"at that slope: {_fate(prospect)}")
    return lines


def _slope(slope: Slope, unit: str) -> str:
    values = (_micro(value) for value in (slope.value, slope.lower, slope.upper))
    value, lower, upper = values
    return f"{value} us a {unit} (95 %: {lower} to {upper})"


def _micro(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "no bound"
    value = f"{1e6 * seconds:+.3g}"
    return f"{float(value):+.0f}" if "e+" in value else value


def _fate(prospect: Prospect) -> str:
    fate = prospect.in_commits.fate
    if fate is Fate.SPENT:
        return "it is spent"
    if fate is Fate.NEVER:
        return "never: the p99 falls"
    pairs = ((prospect.in_commits, "commits"), (prospect.in_days, "days"))
    if fate is Fate.UNKNOWN:
        known = [
            f"{_whole(look.earliest)} {unit}"
            for look, unit in pairs
            if look.earliest is not None and math.isfinite(look.earliest)
        ]
        least = f", but not within {' or '.join(known)}" if known else ""
        return f"cannot tell, the slope may be none{least}"
    told = [_when(look, unit) for look, unit in pairs if look.fate is Fate.RUNS_OUT]
    return f"it will be spent in {' or '.join(told)}"


def _when(look: Outlook, unit: str) -> str:
    bounds = [_whole(bound) for bound in (look.earliest, look.latest)]
    return f"{_whole(look.after)} {unit} (95 %: {bounds[0]} to {bounds[1]})"


def _whole(count: float | None) -> str:
    if count is None or not math.isfinite(count):
        return "ever"
    # Three digits: more are not known.
    return f"{count:.0f}" if count < _LONG else f"{float(f'{count:.3g}'):.0f}"
