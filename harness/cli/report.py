"""``harness report``: the command and its options."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import FOLDER, PERCENT, cache_option


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
@click.option(
    "--baseline",
    help="What it is held against: a record's file, a folder (its newest record), or a commit or "
    "branch of which there are records.  [default: the base of the A/B that it is the head of]",
)
@click.option(
    "--records",
    "places",
    type=FOLDER,
    multiple=True,
    default=(Path("reports"),),
    show_default=True,
    help="Where the records of a commit are, with all below; repeat for several.",
)
@click.option(
    "--repository",
    type=FOLDER,
    default=Path(),
    help="Where git knows the commit.  [default: this folder]",
)
@click.option("--across", is_flag=True, help="Compare different environments, and say so.")
@click.option(
    "--margin",
    type=PERCENT,
    help="The change that is none, such as 0.2%.  [default: by this machine's calibration]",
)
@cache_option
def report(**options: object) -> int:
    """Show what a record comes to: its budget, speed, accuracy, and whether it counts.

    RECORD is a record's file, or a folder: what was measured last in it. Exits 0 once it is shown,
    whatever it says: see harness gate for a verdict.
    """
    from harness.cli.reporting import report_command  # noqa: PLC0415

    return report_command(**options)  # type: ignore[arg-type]
