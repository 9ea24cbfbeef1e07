"""``harness report``: the command and its options."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.baselines import baseline_options
from harness.cli.options import cache_option


@click.command()
@click.argument("record", type=click.Path(path_type=Path), default=Path("reports"))
@click.option(
    "--pipeline", help="Of a folder, the newest record of this pipeline.  [default: of any]"
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(("terminal", "markdown", "html", "csv", "json")),
    default="terminal",
    show_default=True,
    help="The same figures in each: for a pull request, a browser, a spreadsheet or a program.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("-"),
    help="The file that it goes to.  [default: standard output]",
)
@click.option(
    "--details",
    is_flag=True,
    help="All that harness run told of it, with every component of every variant; with --format "
    "json as harness run --json has it, samples included.",
)
@baseline_options
@click.option("--across", is_flag=True, help="Compare different environments, and say so.")
@cache_option
def report(**options: object) -> int:
    """Show what a record comes to: its budget, speed, accuracy, and whether it counts.

    RECORD is a record's file, or a folder: its newest record, of a history that of the newest
    commit. Exits 0 once it is shown, whatever it says: see harness gate for a verdict.
    """
    from harness.cli.reporting import report_command  # noqa: PLC0415

    return report_command(**options)  # type: ignore[arg-type]
