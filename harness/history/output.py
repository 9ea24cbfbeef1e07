"""The answer to a query: a table to read, or CSV, JSON and Parquet for other tools."""

from __future__ import annotations

import csv
import json
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from harness.errors import OptionError
from harness.files import check_writable, written_whole
from harness.history.query import LABELS
from harness.history.series import SIMULATED
from harness.report.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import TextIO

    from rich.console import RenderableType
    from rich.table import Table

    from harness.history.query import Answer

FORMATS: Final = ("table", "csv", "json", "parquet")
_SECONDS, _MILLISECONDS = "_s", "_ms"
_HASH_CHARACTERS: Final = 8
_SHOWN_SAMPLES: Final = 3
_WIDTH: Final = 240
_ROW_GROUP: Final = 2048
# What says which series a row is of: where all rows agree, it is said once, above them.
_LABELS: Final = frozenset(LABELS) - {"commit_utc", "created_utc", "commit"}
# Of these the value says what it is.
_NAMES: Final = frozenset(
    {
        *("pipeline", "component", "variant", "size"),
        *("simulated", "imported", "superseded", "is_complete"),
    }
)
# What is so of nearly all rows, and what is told of those of which it is not.
_USUAL: Final = {"is_complete": "interrupted"}


def simulated_note(answer: Answer) -> str:
    """What is to be said of clocks that were played back; empty where there was none."""
    if not answer.simulated_count:
        return ""
    count = f"{answer.simulated_count} of {answer.series_count}"
    return f"{SIMULATED}: {count} series were timed by a clock that is played back, not measured"


def write_answer(answer: Answer, kind: str, path: Path) -> None:
    """Write ``answer`` to ``path`` as ``kind``, one of ``FORMATS``, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    check_writable(path)
    with written_whole(path) as scratch:
        if kind == "parquet":
            name = str(scratch).replace("'", "''")
            # Samples make rows long: fewer of them are held at a time than DuckDB would.
            options = f"FORMAT parquet, ROW_GROUP_SIZE {_ROW_GROUP}"
            answer.connection.execute(f"COPY answer TO '{name}' ({options})")
            return
        with scratch.open("w", encoding="utf-8", newline="") as file:
            print_answer(answer, kind, file)


def print_answer(answer: Answer, kind: str, file: TextIO) -> None:
    """Print ``answer`` to ``file`` as ``kind``; rows are fetched as they are printed.

    Raises:
        OptionError: Parquet is no text.
    """
    if kind == "parquet":
        raise OptionError("parquet is no text", where="--format", fix="name a file with --out")
    if kind == "csv":
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows([_csv_cell(cell) for cell in row] for row in answer.rows())
    elif kind == "json":
        separator = "[\n"
        for row in answer.rows():
            cells = dict(zip(answer.columns, map(_plain, row), strict=True))
            file.write(separator + json.dumps(cells, allow_nan=False))
            separator = ",\n"
        file.write("[]\n" if separator == "[\n" else "\n]\n")
    else:
        from rich.console import Console  # noqa: PLC0415

        # A table that is piped on is not cut to the width of a screen.
        console = Console(file=file, width=None if file.isatty() else _WIDTH, highlight=False)
        console.print(render_answer(answer))


def render_answer(answer: Answer) -> RenderableType:
    """A table to read: times in ms, what all rows have in common above, what is no clock below."""
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    names, rows = _dated(answer.columns, list(answer.rows()))
    common = [i for i, name in enumerate(names) if name in _LABELS and _is_common(i, rows)]
    title = ", ".join(
        _text(names[i], rows[0][i]) if names[i] in _NAMES else f"{names[i]} {rows[0][i]}"
        for i in common
        if _is_telling(names[i], rows[0][i])
    )
    shown = [i for i in range(len(names)) if i not in common]
    texts = [title, simulated_note(answer)]
    above, below = ([Text(text)] if text else [] for text in texts)
    return Group(
        *above, _table([names[i] for i in shown], [[r[i] for i in shown] for r in rows]), *below
    )


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    from rich import box  # noqa: PLC0415

    from harness.report.fitting import FittedTable, PlainName  # noqa: PLC0415

    table = FittedTable(box=box.SIMPLE_HEAD, padding=(0, 0), pad_edge=False)
    for name, *cells in zip(names, *rows, strict=True):
        is_number = any(isinstance(c, (int, float)) and not isinstance(c, bool) for c in cells)
        table.add_column(
            name.removesuffix(_SECONDS) + _MILLISECONDS if _is_time(name) else name,
            justify="right" if is_number else "left",
            # A variant's name is long, and may take several lines.
            no_wrap=name not in {"variant", "environment"},
        )
    for row in rows:
        # What others named is no markup, and moves no cursor.
        table.add_row(*(PlainName(visible(_text(*pair))) for pair in zip(names, row, strict=True)))
    return table


def _dated(
    columns: Sequence[str], rows: list[tuple[Any, ...]]
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """With one date a row: that of the commit, or of the record where it is of no history."""
    if tuple(columns[:2]) != ("commit_utc", "created_utc"):
        return list(columns), rows
    return ["date", *columns[2:]], [(row[0] or row[1], *row[2:]) for row in rows]


def _is_common(index: int, rows: Sequence[tuple[Any, ...]]) -> bool:
    return len({row[index] for row in rows}) == 1


def _is_telling(name: str, cell: Any) -> bool:  # noqa: ANN401
    """Whether to say it: not what is not known or not so, or is the first of its kind, or usual."""
    if name in _USUAL:
        return cell is False
    return cell not in {None, False} and (name, cell) != ("streams", 1)


def _is_time(name: str) -> bool:
    return name.endswith(_SECONDS)


def _text(name: str, cell: Any) -> str:  # noqa: ANN401
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        yes, no = ("", _USUAL[name]) if name in _USUAL else (name, "")
        return yes if cell else no
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d %H:%M}"
    if isinstance(cell, list):
        first = ", ".join(_text(name, one) for one in cell[:_SHOWN_SAMPLES])
        return first if len(cell) <= _SHOWN_SAMPLES else f"{first}, … ({len(cell)})"
    if isinstance(cell, float):
        return f"{cell * 1e3 if _is_time(name) else cell:.4g}"
    return str(cell)[:_HASH_CHARACTERS] if name.endswith("commit") else str(cell)


def _csv_cell(cell: Any) -> Any:  # noqa: ANN401
    """Numbers to their last digit; lists as JSON; nothing where there is nothing."""
    if isinstance(cell, (list, dict)):
        return json.dumps(_plain(cell))
    return _stamp(cell) if isinstance(cell, datetime) else cell


def _plain(cell: Any) -> Any:  # noqa: ANN401
    """As JSON has it: null for what is infinite or no number."""
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    if isinstance(cell, (list, tuple)):
        return [_plain(one) for one in cell]
    if isinstance(cell, dict):
        return {str(key): _plain(one) for key, one in cell.items()}
    if isinstance(cell, datetime):
        return _stamp(cell)
    if cell is None or isinstance(cell, (bool, int, str)):
        return cell
    return str(cell)


def _stamp(when: datetime) -> str:
    """DuckDB's times have no zone: they are UTC."""
    return f"{when.isoformat(timespec='seconds')}Z"
