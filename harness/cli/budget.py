"""What ``harness budget`` does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console

from harness.cli.output import tell
from harness.errors import EXIT_PASS, OptionError
from harness.files import check_writable, is_stdout, write_text
from harness.gate.prospect import with_prospects
from harness.gate.records import newest_record
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.report.budget_json import to_budget_json
from harness.report.budget_spent import spent_of
from harness.report.budget_terminal import render_spent
from harness.types import Budget

if TYPE_CHECKING:
    from pathlib import Path

    from harness.types import Record


def budget_command(
    *,
    record: Path,
    pipeline: str | None,
    places: tuple[Path, ...],
    repository: Path,
    limit: str | None,
    json_file: Path | None,
) -> int:
    """Say how it is spent, and give the exit code."""
    if json_file is not None:
        check_writable(json_file, is_text=True)
    found, path = newest_record(record, pipeline, repository)
    budget = _budget(found, limit, str(path))
    spent = with_prospects(spent_of(found, budget), found, places or (path.parent,))
    if json_file is not None:
        write_text(json_file, to_budget_json(spent, found.pipeline, found.record_id))
    console = Console(stderr=json_file is not None and is_stdout(json_file))
    with console.capture() as told:
        console.print(render_spent(spent, found.pipeline))
    tell(told.get().rstrip("\n"), beside=json_file)
    return EXIT_PASS


def _budget(record: Record, limit: str | None, where: str) -> Budget:
    """The record's own, or one of ``limit`` at its size, or at the first that was measured.

    Raises:
        OptionError: there is none, or no pipeline that it could be of.
    """
    from harness.latency_budget import parse_seconds  # noqa: PLC0415

    wholes = [one for one in record.measurements if one.component == WHOLE_PIPELINE]
    if not wholes:
        what = "no whole pipeline was measured, and a budget is one of it"
        raise OptionError(what, where=where, fix="measure it without --component")
    given_s = None if limit is None else parse_seconds(limit, "--limit")
    if record.budget is not None:
        return record.budget if given_s is None else replace(record.budget, p99_s=given_s)
    if given_s is None:
        fix = 'give one: --limit "100 ms"'
        raise OptionError("the pipeline declares no budget", where=where, fix=fix)
    return Budget(given_s, wholes[0].duration_s, wholes[0].batch, "", "")
