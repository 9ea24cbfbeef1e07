"""``harness history``: figures of a pipeline over the commits of its repository."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import click

from harness.cli.history_detect import detect
from harness.cli.history_records import COMMANDS
from harness.cli.options import FILE, FOLDER
from harness.errors import EXIT_BAD_INPUT, EXIT_PASS, HarnessError, missing_dependency


@click.group()
def history() -> None:
    """Measure commits with asv, query the records, find what changed, and make asv's results."""


for _command in (*COMMANDS, detect):
    history.add_command(_command)


@history.command("run")
@click.argument("range_spec", metavar="RANGE", default="NEW")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("asv.conf.json"),
    show_default=True,
    help="asv's configuration, or the folder that holds it.",
)
@click.option("--rounds", type=int, default=1, show_default=True, help="Fresh processes a commit.")
@click.option("--steps", type=int, help="At most so many commits, spread over the range.")
@click.option("--machine", help="What this machine is called.  [default: its host name]")
@click.option(
    "--export-python",
    type=click.Path(path_type=Path),
    help="The Python with PyTorch that exports each commit, where this one has none.",
)
@click.option(
    "--retry-failed", is_flag=True, help="Try commits again that could not be built or measured."
)
@click.option("--again", is_flag=True, help="Measure all of them anew, as after a change of plan.")
def run(
    *,
    range_spec: str,
    config: Path,
    rounds: int,
    steps: int | None,
    machine: str | None,
    export_python: Path | None,
    retry_failed: bool,
    again: bool,
) -> int:
    """Measure the commits of RANGE that have not been: v1..v2, HEAD~10..HEAD, NEW (the default).

    Asks nothing, and can be interrupted at any moment: what is finished is kept, and the next run
    goes on. Exits 0 also where there is nothing new, 2 where a commit failed.
    """
    try:
        from harness.history.instrument import find_python  # noqa: PLC0415
        from harness.history.running import RunRequest, run_history  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "asv":
            raise
        raise missing_dependency("asv", "history", "running over commits") from error

    started = time.monotonic()
    exporter = find_python(export_python)
    request = RunRequest(config, range_spec, rounds, machine, steps, retry_failed, again, exporter)
    summary = run_history(request, lambda line: click.echo(line, err=True))
    spent_s = time.monotonic() - started
    if not summary.measured and not summary.has_failed:
        click.echo("Nothing new: every commit of the range has been measured, or has failed before")
        return EXIT_PASS
    told = {name: summary.spent_s.get(name, 0.0) for name in ("measure", "export", "install")}
    told["all else"] = spent_s - sum(told.values())
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in told.items())
    click.echo(f"{summary.measured} rounds measured in {spent_s:.1f} s: {parts}")
    for commit, reason in summary.failed.items():
        click.echo(f"{commit} failed: {reason}")
    if summary.asv_problem:
        click.echo(f"harness: asv ended early: {summary.asv_problem}", err=True)
    return EXIT_BAD_INPUT if summary.has_failed else EXIT_PASS


@history.command("measure")
@click.option("--plan", type=FILE, required=True, help="The file plan.json.")
@click.option("--checkout", type=FOLDER, required=True, help="The commit's working tree.")
@click.option(
    "--python",
    type=click.Path(path_type=Path),
    required=True,
    help="The interpreter that exports: the one that the commit is installed in, or another.",
)
@click.option(
    "--packages",
    type=FOLDER,
    multiple=True,
    help="Where that one looks for the commit's packages first; repeat for several.",
)
@click.option("--exports", type=FOLDER, required=True, help="The cache that it exports into.")
@click.option("--records", type=FOLDER, required=True, help="Where the record goes.")
@click.option("--context", required=True, help="Of which commit it is, as JSON.")
@click.option("--round", "round_", type=int, default=0, show_default=True, help="Which round.")
@click.option("--out", type=FILE, help="Where the figures go that asv's benchmarks pick from.")
def measure(
    *,
    plan: Path,
    checkout: Path,
    python: Path,
    packages: tuple[Path, ...],
    exports: Path,
    records: Path,
    context: str,
    round_: int,
    out: Path | None,
) -> int:
    """Measure one round of one commit; asv's suites start it."""
    from harness.artifacts.cache import default_cache_root  # noqa: PLC0415
    from harness.cli.progress import ProgressObserver  # noqa: PLC0415
    from harness.history.context import HistoryContext  # noqa: PLC0415
    from harness.history.measure import (  # noqa: PLC0415
        Order,
        flagged,
        measure_commit,
        refuse_invalid,
        values_of,
    )
    from harness.history.places import MEASURE, Failure, write_failure  # noqa: PLC0415
    from harness.history.told import tell  # noqa: PLC0415
    from harness.store.parquet import ParquetStore  # noqa: PLC0415

    started = time.monotonic()
    made = replace(HistoryContext(**json.loads(context)), round=round_, started_unix_s=time.time())
    store = ParquetStore(records)
    store.check()
    order = Order(plan, checkout, python, exports, default_cache_root(), made, packages)
    try:
        with ProgressObserver() as observer:
            record = measure_commit(order, observer)
        figures = values_of(record)
        refuse_invalid(record, store)
    except HarnessError as error:
        # Where the checkout lies is of no interest.
        reason = str(error).replace(f"{checkout}/", "")
        failure = Failure(made.commit, made.environment_name, MEASURE, reason, time.time())
        write_failure(records, failure)
        tell("failed", commit=made.commit, stage=MEASURE, reason=reason)
        raise
    # The record first: asv's results can be made again from it.
    path = store.append(record)
    if out is not None:
        out.write_text(json.dumps(figures), encoding="utf-8")
    spent_s = time.monotonic() - started
    facts = {"phases_s": record.phases_s, "flagged": flagged(record)}
    tell("measured", commit=made.commit, round=round_, seconds=spent_s, **facts)
    click.echo(f"Record: {path}")
    return EXIT_PASS


@history.command("init")
@click.argument("folder", type=FOLDER, default=Path())
@click.option("--pipeline", help="Its folder, from the top of the repository.")
def init(*, folder: Path, pipeline: str | None) -> int:
    """Write asv's configuration, the suites and a plan into a repository of your own."""
    from harness.history.start import init_history  # noqa: PLC0415

    begun = init_history(folder, pipeline)
    for path in begun.written:
        click.echo(f"written: {path}")
    ignored = begun.ignored
    if ignored.lines:
        done = "written" if ignored.is_new else "extended"
        click.echo(f"{done}: {ignored.path}, with {', '.join(ignored.lines)}")
    else:
        click.echo("git ignores already what is made here")
    click.echo("Commit them, then: harness history run HEAD")
    return EXIT_PASS
