"""``harness gate`` and ``harness budget``: their options."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.baselines import baseline_options
from harness.cli.options import FILE, FOLDER, PERCENT, cache_option, repository_option

_PLACE = click.Path(path_type=Path)
# As harness.report.gate_model has them, but for the record itself.
_CHECKS = ("budget", "deadlines", "regression", "accuracy", "energy", "memory")


_pipeline_option = click.option(
    "--pipeline", help="Of a folder, the records of this pipeline.  [default: there is one]"
)


@click.command()
@click.argument("record", type=_PLACE, default=Path("reports"))
@_pipeline_option
@baseline_options
@click.option(
    "--max-energy-rise", type=PERCENT, help="Miss it if the energy rises by more, such as 5%."
)
@click.option(
    "--max-memory-rise", type=PERCENT, help="Miss it if the memory rises by more, such as 5%."
)
@click.option(
    "--skip",
    "skipped",
    type=click.Choice(_CHECKS),
    multiple=True,
    help="Do not ask this, only tell of it; repeat for several.",
)
@click.option(
    "--without-turns",
    is_flag=True,
    help="What is slower than a baseline of another time counts, though the machine may drift.",
)
@click.option("--simulated", "takes_simulated", is_flag=True, help="Times that are made up count.")
@click.option("--markdown", "markdown_file", type=FILE, help="For a pull request: a file, or -.")
@click.option("--junit", "junit_file", type=FILE, help="JUnit's XML, a test case for each check.")
@click.option("--json", "json_file", type=FILE, help="All that was found, as JSON: a file, or -.")
@click.option("--annotations", is_flag=True, help="Print what is not kept as GitHub's commands.")
@click.option(
    "--source",
    help="The file that annotations point to.  [default: the pipeline's pipeline.toml, if known]",
)
@cache_option
def gate(**options: object) -> int:
    """Hold a record against its budget, its floors and a baseline: for CI, and after an A/B.

    RECORD is a record's file, or a folder: its newest record, of a history that of the newest
    commit. Exits 0 where all is kept, 1 where anything is missed beyond doubt, 3 where that is
    open: too few samples, an invalid record, a baseline of another machine, or slower than one that
    it took no turns with.
    """
    from harness.cli.gate import gate_command  # noqa: PLC0415

    return gate_command(**options)  # type: ignore[arg-type]


@click.command()
@click.argument("record", type=_PLACE, default=Path("reports"))
@_pipeline_option
@click.option(
    "--records",
    "places",
    type=FOLDER,
    multiple=True,
    help="Where the history's records are, with all below; repeat for several.  [default: beside "
    "the record]",
)
@repository_option
@click.option("--limit", help='The p99 to keep, such as "100 ms".  [default: what is declared]')
@click.option("--json", "json_file", type=FILE, help="Write it as JSON as well: a file, or -.")
def budget(**options: object) -> int:
    """Show how a latency budget is spent, what is left of it, and when it will run out.

    RECORD is a record's file, or a folder: its newest record, of a history that of the newest
    commit. Judges nothing: see harness gate.
    """
    from harness.cli.budget import budget_command  # noqa: PLC0415

    return budget_command(**options)  # type: ignore[arg-type]
