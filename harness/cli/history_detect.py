"""``harness history detect``: what changed over the commits of a history."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from harness.cli.options import FILE, FOLDER

_DEFAULT_SOURCE = "reports"
_WIDTH = 200


@click.command("detect")
@click.argument("sources", nargs=-1)
@click.option("--pipeline", "pipelines", multiple=True, help="Of this pipeline.")
@click.option(
    "--component", "components", multiple=True, help="Of this one; the whole is 'pipeline'."
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    help="Whole ('tensorrt fp16 by flag, graph'), or a backend, a precision or backend/precision.",
)
@click.option("--size", "sizes", multiple=True, help="At this size: '1 s', '1 s, batch 2'.")
@click.option("--machine", "machines", multiple=True, help="On this machine.")
@click.option(
    "--commits",
    metavar="RANGE",
    help="A branch, or a range as v1..v2 or HEAD~10..HEAD, as git rev-list takes it.",
)
@click.option(
    "--repository",
    type=FOLDER,
    default=Path(),
    help="Where git looks up commits, their order and their subjects.  [default: here]",
)
@click.option("--json", "json_file", type=FILE, help="Write it as JSON as well.")
def detect(
    *,
    sources: tuple[str, ...],
    pipelines: tuple[str, ...],
    components: tuple[str, ...],
    variants: tuple[str, ...],
    sizes: tuple[str, ...],
    machines: tuple[str, ...],
    commits: str | None,
    repository: Path,
    json_file: Path | None,
) -> int:
    """Find the commits of SOURCES at which something got slower or faster, drifted, or spiked.

    SOURCES are files, folders, patterns or addresses of records, as of "query"; each environment is
    a history of its own. What is found asks for a comparison of its two commits, which decides.
    [default: reports]

    Exit codes: 0 nothing is slower, 1 something got slower and still is, 2 bad input, 3 too few
    commits to tell.
    """
    from rich.console import Console  # noqa: PLC0415

    from harness.files import (  # noqa: PLC0415
        check_writable,
        is_stdout,
        reader_may_leave,
        write_text,
    )
    from harness.history.commits import resolve_commits  # noqa: PLC0415
    from harness.history.detect import find_candidates  # noqa: PLC0415
    from harness.history.detected import detected_document, render_detected  # noqa: PLC0415
    from harness.history.query import Selection  # noqa: PLC0415

    if json_file is not None:
        check_writable(json_file, is_text=True)
    selection = Selection(
        *(pipelines, components, variants, sizes, machines),
        commits=None if commits is None else resolve_commits(commits, repository),
    )
    detected = find_candidates(sources or (_DEFAULT_SOURCE,), selection, repository=repository)
    is_taken = json_file is not None and is_stdout(json_file)
    file = sys.stderr if is_taken else sys.stdout
    with reader_may_leave():
        console = Console(file=file, width=None if file.isatty() else _WIDTH, highlight=False)
        console.print(render_detected(detected))
    if json_file is not None:
        text = json.dumps(detected_document(detected), indent=1, allow_nan=False)
        write_text(json_file, text + "\n")
    return detected.exit_code
