"""A table that fits its terminal without a figure being cut."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Column

# Names are broken into lines of no less, so long as there is a column that may go.
_LEAST_NAME: Final = 12
_UNBOUND: Final = 10_000
_AFTER: Final = re.compile(r"[\s_\-/.,+]")


@dataclass(frozen=True)
class _Width:
    """What a column takes, and the least that it can do with."""

    natural: int
    least: int


class PlainName(Text):
    """A name that others chose: it is no markup, and is broken into lines as a plain one is."""


class FittedTable(Table):
    """The first column holds names, which go to several lines where there is no room for them.

    Where that is not enough, columns of ``spare`` are left out, by their heading and from the first
    on, and the caption says which. What then is still too wide is split into tables below each
    other. A column that may wrap, wraps between words.
    """

    spare: Sequence[str] = ()
    # Where a reader finds what was left out.
    all_in: str = "--json has all"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, or the tables that it is split into."""
        for part in self._parts(console, options):
            yield from Table.__rich_console__(part, console, options)

    def _parts(self, console: Console, options: ConsoleOptions) -> Iterator[FittedTable]:
        kept, left_out = self._kept(console, options)
        chunks = list(self._chunks(kept, options.max_width))
        for index, chunk in enumerate(chunks):
            part = self._of(chunk, options.max_width)
            if index > 0:
                part.title = None
            if index < len(chunks) - 1:
                part.caption = None
            elif left_out:
                note = f"left out for want of width: {', '.join(left_out)} ({self.all_in})"
                part.caption = f"{self.caption}; {note}" if self.caption else note
            yield part

    def _kept(
        self, console: Console, options: ConsoleOptions
    ) -> tuple[list[tuple[Column, _Width]], list[str]]:
        """The columns that are shown, with their widths, and the headings of the others."""
        wide = options.update(max_width=_UNBOUND)
        kept = []
        for index, column in enumerate(self.columns):
            found = self._measure_column(console, wide, column)
            least = found.maximum if column.no_wrap else found.minimum
            if index == 0:
                least = min(_LEAST_NAME, found.maximum)
            kept.append((column, _Width(found.maximum, least)))
        left_out = []
        for heading in self.spare:
            if _total(width.least for _, width in kept) <= options.max_width:
                break
            rest = [pair for pair in kept if _heading(pair[0]) != heading]
            if len(rest) < len(kept):
                kept = rest
                left_out.append(heading)
        return kept, left_out

    def _chunks(
        self, kept: Sequence[tuple[Column, _Width]], room: int
    ) -> Iterator[list[tuple[Column, _Width]]]:
        """Columns that fit beside each other, each time after the names."""
        names, *others = kept
        chunk = [names]
        for pair in others:
            if len(chunk) > 1 and _total(w.least for _, w in (*chunk, pair)) > room:
                yield chunk
                chunk = [names]
            chunk.append(pair)
        yield chunk

    def _of(self, chunk: Sequence[tuple[Column, _Width]], room: int) -> FittedTable:
        """A table of these columns, in which what may wrap is as wide as there is room."""
        slack = room - _total(width.least for _, width in chunk)
        if slack < 0:
            # A single column that is wider than the terminal: it goes on in the next line.
            (names, name), (column, width) = chunk
            least = _Width(width.natural, max(1, width.least + slack))
            chunk = ((names, name), (replace(column, no_wrap=False, overflow="fold"), least))
            slack = 0
        part = copy.copy(self)
        part.columns = []
        for index, (column, width) in enumerate(chunk):
            more = min(slack, width.natural - width.least)
            slack -= more
            own = width.least + more
            cells = [_folded(c, own) if index == 0 else c for c in column._cells]  # noqa: SLF001
            fixed = replace(column, _index=index, _cells=cells, min_width=own, max_width=own)
            part.columns.append(fixed)
        return part


def _total(widths: Iterator[int] | Sequence[int]) -> int:
    """With a space between columns, and at either edge."""
    found = list(widths)
    return sum(found) + len(found) + 1


def _heading(column: Column) -> str:
    return " ".join(str(column.header).split())


def _folded(cell: RenderableType, width: int) -> RenderableType:
    if isinstance(cell, PlainName):
        return Text("\n".join(fold_name(cell.plain, width)))
    return "\n".join(fold_name(cell, width)) if isinstance(cell, str) else cell


def fold_name(name: str, width: int) -> list[str]:
    """``name`` in lines of at most ``width``, broken after an underscore and such if it can be."""
    lines = []
    while len(name) > width:
        ends = [match.end() for match in _AFTER.finditer(name) if match.end() <= width + 1]
        # A space may go over the edge, where it is not seen.
        ends = [end for end in ends if len(name[:end].rstrip()) <= width]
        end = ends[-1] if ends else width
        lines.append(name[:end].rstrip())
        name = name[end:].lstrip()
    return [*lines, name]
