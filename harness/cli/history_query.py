"""What the commands of ``harness history`` over records do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from harness.cli.output import tell
from harness.cli.selecting import DEFAULT_SOURCE, take_selection
from harness.errors import EXIT_PASS, OptionError
from harness.files import reader_may_leave
from harness.history.importing import import_results
from harness.history.output import FORMATS, print_answer, simulated_note, write_answer
from harness.history.query import Records, Selection
from harness.history.rebuild import rebuild

if TYPE_CHECKING:
    from pathlib import Path

    from harness.history.query import Answer

_DEFAULT_METRICS = ("median", "p99")


def query_command(
    *,
    sources: tuple[str, ...],
    repository: Path,
    metrics: tuple[str, ...],
    sql: str | None,
    kind: str | None,
    out: Path | None,
    **selected: Any,  # noqa: ANN401
) -> int:
    """Ask, print or write, and give the exit code."""
    chosen = kind or _kind_of(out)
    if chosen == "parquet" and out is None:
        raise OptionError("parquet is no text", where="--format", fix="name a file with --out")
    selection = take_selection(selected, repository)
    if sql is not None and (selection != Selection() or metrics):
        what = "a query of your own selects for itself"
        raise OptionError(what, where="--sql", fix="leave the other options out")
    with Records(sources or (DEFAULT_SOURCE,)) as records:
        if sql is None:
            answer = records.select(selection, metrics or _DEFAULT_METRICS)
        else:
            answer = records.ask(sql)
        if out is not None:
            write_answer(answer, chosen, out)
            tell(f"{out}: {answer.row_count} rows")
        else:
            _print(answer, chosen)
    if not answer.row_count:
        click.echo("harness: note: nothing in the records is what was asked for", err=True)
    note = simulated_note(answer)
    if note and (chosen != "table" or out is not None):
        click.echo(f"harness: note: {note}", err=True)
    return EXIT_PASS


def _print(answer: Answer, kind: str) -> None:
    with reader_may_leave():
        print_answer(answer, kind, sys.stdout)


def _kind_of(out: Path | None) -> str:
    """The format that the name of the file asks for.

    Raises:
        OptionError: it asks for none.
    """
    if out is None:
        return "table"
    kind = {".txt": "table"}.get(out.suffix, out.suffix.removeprefix("."))
    if kind not in FORMATS:
        fix = "name it .csv, .json, .parquet or .txt, or give --format"
        raise OptionError(f"{out.suffix or 'no suffix'} is no format", where=str(out), fix=fix)
    return kind


def rebuild_command(*, results: Path) -> int:
    """Make asv's results again, say what was written, and give the exit code."""
    made = rebuild(results)
    parts = [f"wrote {len(made.written)} files"]
    parts += [f"set {len(made.set_aside)} aside"] if made.set_aside else []
    parts += [f"left {len(made.left_out)} records out"] if made.left_out else []
    tell(f"{results}: {', '.join(parts)}")
    return EXIT_PASS


def import_command(*, results: Path, pipeline: str, out: Path | None) -> int:
    """Make records of asv's results, say how many, and give the exit code."""
    made = import_results(results, pipeline=pipeline, out=out)
    known = f", {made.known} were there already" if made.known else ""
    tell(f"{results}: wrote {len(made.written)} records{known}")
    return EXIT_PASS
