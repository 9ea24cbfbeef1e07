"""``harness compare``: the command and its options."""

from __future__ import annotations

import click

from harness.cli.options import FILE, FOLDER, PERCENT, repository_option


@click.command("compare")
@click.argument("base")
@click.argument("head")
@click.option(
    "--records",
    "places",
    type=FOLDER,
    multiple=True,
    help="Where records of ids and commits are looked for; repeat for several.  [default: reports]",
)
@repository_option
@click.option(
    "--margin",
    type=PERCENT,
    help="The change that is none.  [default: that of an A/B's records, else 0.2%]",
)
@click.option(
    "--alpha",
    type=PERCENT,
    help="How often a change may be found where there is none, in either direction.  "
    "[default: that of an A/B's records, else 2%]",
)
@click.option("--across", is_flag=True, help="Compare different environments, and say so.")
@click.option(
    "--component",
    "components",
    multiple=True,
    help="Compare this one only; the whole is 'pipeline'; repeat for several.  [default: all]",
)
@click.option("--json", "json_file", type=FILE, help="Write the comparison as JSON as well.")
def compare(**options: object) -> int:
    """Hold HEAD against BASE: files or folders of records, their ids, or commits.

    A commit stands for its newest run in --records. Records of one 'harness ab' are judged by the
    pairs of processes that took turns, others by five or more processes a side.

    Exits 0 where nothing is slower, 1 where something is, 3 where that is open of anything that
    could matter.
    """
    from harness.cli.comparing import compare_command  # noqa: PLC0415

    return compare_command(**options)  # type: ignore[arg-type]
