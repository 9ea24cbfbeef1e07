"""What ``harness report`` tells of one record, whatever renders it.

A summary is statements and tables, and all of its numbers are :class:`Figure`s in tables: in
seconds, bytes and fractions for machines, with the text that people see. So every format has the
same figures, and rounds them alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# How a statement, a word or a figure is to be taken; empty where it is neither.
BAD, OPEN, GOOD, MADE_UP = "bad", "open", "good", "made up"
# What the whole comes to. NONE: no budget is declared, and nothing else is missed or open.
WITHIN, MISSED, INCONCLUSIVE, NONE = "within", "missed", "inconclusive", "no budget"
# What a column shows of its figures.
VALUE, INTERVAL = "value", "interval"
# By the tables' names.
BUDGET, COMPONENTS, VARIANTS, ARRIVALS = "budget", "components", "variants", "arrivals"
MACHINE, CANARIES, COMPARISON = "machine", "canaries", "comparison"
# Units of figures, as files have them.
SECONDS, BYTES, DECIBELS, JOULES = "s", "B", "dB", "J"
FRACTION, RATIO, COUNT, PER_SECOND = "fraction", "ratio", "count", "1/s"
MEGAHERTZ, WATTS, CELSIUS, LOAD = "MHz", "W", "degC", "load"
DASH: Final = "-"


@dataclass(frozen=True)
class Subject:
    """What a figure is of; empty where that does not apply."""

    variant: str = ""
    size: str = ""
    mode: str = ""
    component: str = ""


@dataclass(frozen=True)
class Figure:
    """One number in ``unit``, with its interval; None where that is not known, or has no bound.

    ``text`` is the value as people see it, in the unit of its column, and ``interval`` its bounds.
    ``count`` is of how many samples it is.
    """

    subject: Subject
    quantity: str
    unit: str
    value: float | None
    text: str
    lower: float | None = None
    upper: float | None = None
    interval: str = ""
    count: int | None = None
    level: str = ""


@dataclass(frozen=True)
class Word:
    """A word in a table: a verdict, or the size of a row."""

    text: str
    level: str = ""


@dataclass(frozen=True)
class Span:
    """A bar from ``begin`` to ``end``, as fractions of the widest; ``kind`` is the slice's."""

    begin: float
    end: float
    kind: str


@dataclass(frozen=True)
class Trace:
    """A quantity over the time of a run in steps of the same length; None where none was read."""

    values: tuple[float | None, ...]


Cell = Figure | Word | Span | Trace | None


@dataclass(frozen=True)
class Column:
    """A heading of two lines at most, the unit below.

    A column ``is_spare`` where there may be no room for it. ``shows`` is the value or the interval.
    """

    heading: str
    is_spare: bool = False
    shows: str = VALUE

    @property
    def name(self) -> str:
        """The heading on one line."""
        return self.heading.replace("\n", " ")


@dataclass(frozen=True)
class Row:
    """A name, and a cell for each column; ``is_whole`` sets off what is of a whole pipeline."""

    name: str
    cells: tuple[Cell, ...]
    is_whole: bool = False
    begins: bool = False


@dataclass(frozen=True)
class Table:
    """``key`` is one of the tables' names above, and ``names`` the heading of the rows' names.

    ``notes`` explain it.
    """

    key: str
    title: str
    names: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    @property
    def figures(self) -> Iterator[Figure]:
        """Each once."""
        for row in self.rows:
            yield from self.figures_of(row)

    def figures_of(self, row: Row) -> Iterator[Figure]:
        """Those of one row."""
        for column, cell in zip(self.columns, row.cells, strict=True):
            if isinstance(cell, Figure) and column.shows == VALUE:
                yield cell


@dataclass(frozen=True)
class Statement:
    """A sentence, and how it is to be taken."""

    text: str
    level: str = ""


@dataclass(frozen=True)
class Summary:
    """All that is told of a record.

    ``marks`` are told before anything else: times that are made up, a run that was interrupted or
    does not count. ``status`` is what the whole comes to, and ``headline`` says so. ``verdicts``
    follow it, then ``tables``, and ``notes`` last. ``machine`` is the device's name,
    ``environment`` a sentence, and ``fingerprint`` a hash of what latency depends on.
    """

    pipeline: str
    record_id: str
    created_utc: str
    commit: str
    command: str
    machine: str
    environment: str
    fingerprint: str
    validity: str
    is_simulated: bool
    is_complete: bool
    status: str
    headline: str
    marks: tuple[Statement, ...] = ()
    verdicts: tuple[Statement, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[Statement, ...] = ()

    @property
    def figures(self) -> Iterator[tuple[Table, Figure]]:
        """Every figure, with the table that it is of."""
        for table in self.tables:
            for figure in table.figures:
                yield table, figure
