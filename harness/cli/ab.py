"""``harness ab``: two commits in turns."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.ab_words import find_plan, measuring_words, read_measuring
from harness.cli.options import FILE, FOLDER, PERCENT, cache_option
from harness.errors import (
    EXIT_INTERRUPTED,
    OptionError,
)

if TYPE_CHECKING:
    from harness.ab.experiment import Experiment, Outcome
    from harness.ab.revisions import Revision
    from harness.ab.running import PairPlan
    from harness.cli.ab_words import Measuring
    from harness.history.plan import HistoryPlan

_PAIRS = "8:32"
# Fewer leave no interval at the error that is allowed.
_LEAST_PAIRS = 7

_PAIR_OPTIONS = (
    click.option(
        "--repository",
        type=FOLDER,
        default=Path(),
        show_default=True,
        help="The repository that holds the commits.",
    ),
    click.option(
        "--pipeline",
        help="The pipeline's folder in it.  [default: that of benchmarks/plan.json]",
    ),
    click.option(
        "--margin",
        type=PERCENT,
        default="0.2%",
        show_default=True,
        help="The change that is none.",
    ),
    click.option(
        "--pairs",
        default=_PAIRS,
        show_default=True,
        metavar="MIN:MAX",
        help="How many pairs of processes: at least, and at most.",
    ),
    click.option(
        "--max-time",
        "max_time_s",
        type=float,
        help="Seconds of measuring in all, after which no pair is begun.  [default: none]",
    ),
    click.option(
        "--engines",
        "engine_builds",
        type=click.Choice(["pin", "rebuild"]),
        default="pin",
        show_default=True,
        help="Whether equal graphs share the very same engine, or each pair builds its own.",
    ),
    click.option(
        "--export-python",
        type=click.Path(path_type=Path),
        help="The Python with PyTorch that exports each commit, where this one has none.",
    ),
    click.option(
        "--committed",
        is_flag=True,
        help="Measure the commit that is checked out although the working tree differs from it.",
    ),
)


def pair_options(command: Any) -> Any:  # noqa: ANN401
    """The options of how two commits are compared."""
    for option in reversed(_PAIR_OPTIONS):
        command = option(command)
    return command


@click.command("ab")
@click.argument("base")
@click.argument("head")
@pair_options
@measuring_words
@click.option(
    "--out", type=FOLDER, default=Path("reports"), show_default=True, help="Folder of records."
)
@click.option("--json", "json_file", type=FILE, help="Write the comparison as JSON as well.")
@cache_option
@click.pass_context
def ab(context: click.Context, /, **options: Any) -> int:  # noqa: ANN401
    """Measure two commits in turns, in fresh processes, until it is known which is slower.

    BASE and HEAD are commits, branches or tags; "." is the working tree as it is. Exits 0 where
    nothing is slower, 1 where something is, 3 where that is open of anything that could matter.
    """
    from harness.ab.experiment import run_experiment  # noqa: PLC0415  # loads numpy and the like
    from harness.ab.revisions import check_clean, find_repository, resolve  # noqa: PLC0415
    from harness.cli.progress import ProgressObserver  # noqa: PLC0415
    from harness.files import check_writable  # noqa: PLC0415
    from harness.store.parquet import ParquetStore  # noqa: PLC0415

    repository = find_repository(options["repository"])
    base, head = (resolve(options[side], repository) for side in ("base", "head"))
    if not options["committed"]:
        check_clean([base, head], repository)
    plan = find_plan(repository)
    measuring = read_measuring(context, plan)
    store, written = ParquetStore(options["out"]), list[Path]()
    experiment = replace(
        make_experiment(repository, options, measuring, plan),
        keep=lambda *records: written.extend(map(store.append, records)),
    )
    store.check()
    if options["json_file"] is not None:
        check_writable(options["json_file"], is_text=True)
    with ProgressObserver() as observer:
        outcome = run_experiment(base, head, experiment, observer)
    for line in outcome.said:
        click.echo(line, err=True)
    report(outcome, (base, head), written, options["json_file"])
    return exit_code(outcome)


def make_experiment(
    repository: Path, options: dict[str, Any], measuring: Measuring, plan: HistoryPlan | None
) -> Experiment:
    """What the command line asks for.

    Raises:
        OptionError: an option means nothing.
    """
    from harness.ab.experiment import Experiment  # noqa: PLC0415
    from harness.ab.side import Workplace  # noqa: PLC0415
    from harness.artifacts.cache import default_cache_root  # noqa: PLC0415
    from harness.history.exporting import ExportSizes  # noqa: PLC0415
    from harness.history.instrument import find_python  # noqa: PLC0415

    its = measuring.options
    place = Workplace(
        repository,
        _pipeline(options["pipeline"], plan),
        measuring.words,
        measuring.names,
        ExportSizes(its["durations_s"], its["batches"], its["seed"], its["opset"]),
        (options["cache"] or default_cache_root()).resolve(),
        find_python(options["export_python"]) or Path(sys.executable),
    )
    pairs = read_pairs(options)
    if pairs.rebuilds and not measuring.builds_engines:
        fix = "add --backend tensorrt or tensorrt-rtx, or leave it out"
        raise OptionError("no backend builds engines", where="--engines", fix=fix)
    return Experiment(place, pairs, measuring.simulation, command=("harness", *sys.argv[1:]))


def _pipeline(given: str | None, plan: HistoryPlan | None) -> str:
    from pathlib import PurePosixPath  # noqa: PLC0415

    if given is None and plan is None:
        what = "it is not told which pipeline of the repository to measure"
        fix = "name its folder, from the top of the repository"
        raise OptionError(what, where="--pipeline", fix=fix)
    found = plan.pipeline if given is None and plan is not None else str(given)
    parts = PurePosixPath(found)
    if parts.is_absolute() or ".." in parts.parts:
        what = f"{found!r} is no folder of the repository"
        fix = "give its path from the top of the repository"
        raise OptionError(what, where="--pipeline", fix=fix)
    return str(parts)


def read_pairs(options: dict[str, Any]) -> PairPlan:
    """How many pairs, and when to look.

    Raises:
        OptionError: an option is out of range.
    """
    from harness.ab.running import PairPlan  # noqa: PLC0415
    from harness.stats.pairs import PairRule  # noqa: PLC0415

    text = options["pairs"]
    first, _, last = text.partition(":")
    try:
        least, most = int(first), int(last or first)
    except ValueError:
        least, most = 0, 0
    if not _LEAST_PAIRS <= least <= most:
        what = f"{text!r} is no range of pairs"
        fix = f"give MIN:MAX, such as {_PAIRS}, of {_LEAST_PAIRS} or more"
        raise OptionError(what, where="--pairs", fix=fix)
    if not 0.0 <= options["margin"] < 1.0:
        what = f"a margin of {options['margin']:g}"
        raise OptionError(what, where="--margin", fix="give a share, such as 0.2%")
    max_time_s = options["max_time_s"]
    if max_time_s is not None and not max_time_s > 0.0:
        raise OptionError(f"{max_time_s:g} s", where="--max-time", fix="give more than 0")
    looks = dict.fromkeys((*range(least, most, 4), most))
    rule = PairRule(margin=options["margin"], looks=tuple(looks))
    return PairPlan(rule, max_time_s, rebuilds=options["engine_builds"] == "rebuild")


def report(
    outcome: Outcome,
    revisions: tuple[Revision, Revision],
    written: list[Path],
    json_file: Path | None,
) -> None:
    """Print the comparison, and write its JSON."""
    from rich.console import Console  # noqa: PLC0415

    from harness.ab.telling import (  # noqa: PLC0415
        describe_invalid,
        describe_outcome,
        describe_sides,
        outcome_json,
    )
    from harness.cli.output import tell  # noqa: PLC0415
    from harness.files import is_stdout, write_text  # noqa: PLC0415
    from harness.report.comparisons import render_comparison  # noqa: PLC0415

    lines = [*describe_invalid(outcome), *describe_sides(*revisions)]
    console = Console(highlight=False, stderr=json_file is not None and is_stdout(json_file))
    with console.capture() as table:
        console.print(render_comparison(outcome.comparison))
    lines += [table.get().rstrip("\n"), *describe_outcome(outcome)]
    lines += [f"Record: {path}" for path in written]
    if json_file is not None:
        write_text(json_file, outcome_json(outcome))
        lines.append(f"JSON: {'standard output' if is_stdout(json_file) else json_file}")
    tell("\n".join(lines), beside=json_file)


def exit_code(outcome: Outcome) -> int:
    """0 where nothing is slower, 1 where something is, 3 where that is open or the run invalid."""
    from harness.ab.running import Ended  # noqa: PLC0415
    from harness.cli.comparing import EXITS  # noqa: PLC0415

    if outcome.ended is Ended.INTERRUPTED:
        return EXIT_INTERRUPTED
    return EXITS[outcome.status]
