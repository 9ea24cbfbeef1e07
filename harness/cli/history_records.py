"""``harness history query``, ``rebuild`` and ``import``: what is made of records."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import FILE, FOLDER, repository_option
from harness.cli.selecting import selection_options

_RESULTS = Path("reports/asv/results")


@click.command("query")
@click.argument("sources", nargs=-1)
@selection_options
@repository_option
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="median and p99 (default), samples, count, mean, min, max, p90, snr, relative-error, "
    "energy, load, first, build, bytes, memory or verdict; repeat for several.",
)
@click.option("--sql", help="A query of your own, over series, records, measurements and builds.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(("table", "csv", "json", "parquet")),
    help="[default: that of --out, else table]",
)
@click.option("--out", type=FILE, help="Write to this file.")
def query(**options: object) -> int:
    """Print or export any series of the records in SOURCES, oldest commit first.

    SOURCES are files, folders, patterns, or addresses that DuckDB reads (s3://, gs://, https://).
    [default: reports]
    """
    from harness.cli.history_query import query_command  # noqa: PLC0415

    return query_command(**options)  # type: ignore[arg-type]


@click.command("rebuild")
@click.argument("results", type=FOLDER, default=_RESULTS)
def rebuild(results: Path) -> int:
    """Make asv's results again, from the records in RESULTS/MACHINE/records alone.

    What is damaged is set aside, as *.damaged.  [default: reports/asv/results]
    """
    from harness.cli.history_query import rebuild_command  # noqa: PLC0415

    return rebuild_command(results=results)


@click.command("import")
@click.argument("results", type=FOLDER)
@click.option(
    "--pipeline", default="imported", show_default=True, help="The name that the records get."
)
@click.option("--out", type=FOLDER, help="Folder of records.  [default: RESULTS/MACHINE/records]")
def import_(**options: object) -> int:
    """Make records of RESULTS, asv's own results of before, so that they can be queried.

    Of benchmarks in seconds; what asv does not tell (backend, precision) is 'unknown'.
    """
    from harness.cli.history_query import import_command  # noqa: PLC0415

    return import_command(**options)  # type: ignore[arg-type]


COMMANDS = (query, rebuild, import_)
