"""``harness history detect``: what changed over the commits of a history."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import FILE, FOLDER, repository_option
from harness.cli.output import tell
from harness.cli.selecting import DEFAULT_SOURCE, selection_options, take_selection

if TYPE_CHECKING:
    from harness.history.confirming import Confirmation
    from harness.history.detect import Detected

_WIDTH = 200


@click.command("detect")
@click.argument("sources", nargs=-1)
@selection_options
@repository_option
@click.option(
    "--all-records",
    is_flag=True,
    help="Take records of no history as well, as of 'harness ab', be they of any branch.",
)
@click.option(
    "--confirm",
    is_flag=True,
    help="Measure both commits of each open slowdown here, by the repository's plan.",
)
@click.option(
    "--out",
    type=FOLDER,
    default=Path("reports"),
    show_default=True,
    help="With --confirm: folder of the records.",
)
@click.option("--json", "json_file", type=FILE, help="Write it as JSON as well.")
def detect(
    *,
    sources: tuple[str, ...],
    repository: Path,
    all_records: bool,
    confirm: bool,
    out: Path,
    json_file: Path | None,
    **selected: Any,  # noqa: ANN401
) -> int:
    """Find the commits of SOURCES at which something got slower or faster, drifted, or spiked.

    SOURCES are files, folders, patterns or addresses of records, as of "query"; each environment is
    a history of its own. What is found asks for a comparison of its two commits, which decides.
    [default: reports]

    Exit codes: 0 nothing is slower, 1 something got slower and still is, 2 bad input, 3 too few
    commits to tell. With --confirm the measurement decides: 1 where a slowdown is confirmed, 3
    where one stays open, else 0.
    """
    from rich.console import Console  # noqa: PLC0415

    from harness.files import (  # noqa: PLC0415
        check_writable,
        is_stdout,
        reader_may_leave,
        write_text,
    )
    from harness.history.confirming import exit_code_of  # noqa: PLC0415
    from harness.history.detect import find_candidates  # noqa: PLC0415
    from harness.history.detected import detected_document, render_detected  # noqa: PLC0415

    if json_file is not None:
        check_writable(json_file, is_text=True)
    selection = take_selection(selected, repository)
    detected = find_candidates(
        sources or (DEFAULT_SOURCE,), selection, repository=repository, any_record=all_records
    )
    is_taken = json_file is not None and is_stdout(json_file)
    file = sys.stderr if is_taken else sys.stdout
    with reader_may_leave():
        console = Console(file=file, width=None if file.isatty() else _WIDTH, highlight=False)
        console.print(render_detected(detected))
    document = detected_document(detected)
    code = detected.exit_code
    if confirm:
        confirmations = _confirmed(detected, repository.resolve(), out, json_file)
        document["confirmations"] = [one.to_json() for one in confirmations]
        code = exit_code_of(confirmations) if confirmations else code
        document["exit_code"] = code
    if json_file is not None:
        write_text(json_file, json.dumps(document, indent=1, allow_nan=False) + "\n")
    return code


def _confirmed(
    detected: Detected, repository: Path, out: Path, json_file: Path | None
) -> list[Confirmation]:
    """Measure, telling of each as it is known."""
    from harness.history.confirming import confirm as measure_candidates  # noqa: PLC0415

    tell("Measured on this machine:", beside=json_file)
    confirmations = []
    for one in measure_candidates(detected.candidates, repository, out.resolve()):
        confirmations.append(one)
        tell(f"  {one}", beside=json_file)
    if not confirmations:
        tell("  nothing: there is no open slowdown", beside=json_file)
    return confirmations
