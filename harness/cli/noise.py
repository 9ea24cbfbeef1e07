"""``harness noise``: what this machine's noise is, and what a gate can tell in it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.ab_words import measuring_words, read_measuring
from harness.cli.options import FILE, FOLDER, PERCENT, artifacts_option, cache_option
from harness.errors import EXIT_PASS, OptionError

if TYPE_CHECKING:
    from harness.cli.ab_words import Measuring
    from harness.noise.measuring import Noise, NoisePlan
    from harness.store.parquet import ParquetStore

_PAIRS = 16
_LEAST_PAIRS = 8
_TRIALS = 1000
_LEAST_TRIALS = 100


@click.command("noise")
@click.argument("pipeline")
@click.option(
    "--pairs",
    type=int,
    default=_PAIRS,
    show_default=True,
    help="Pairs of processes of the A/A, and at most of each slowdown.",
)
@click.option(
    "--slow",
    "sizes",
    type=PERCENT,
    multiple=True,
    help="Measure with a slowdown of this size, inside the timed work; repeat for several, 0 for "
    "none.  [default: 1%, 3%, 10%]",
)
@click.option(
    "--trials",
    type=int,
    default=_TRIALS,
    show_default=True,
    help="Trials resampled for each rate.",
)
@click.option(
    "--margin",
    type=PERCENT,
    default="0.2%",
    show_default=True,
    help="The smallest change that shall be any.",
)
@measuring_words
@click.option(
    "--out", type=FOLDER, default=Path("reports"), show_default=True, help="Folder of records."
)
@click.option("--json", "json_file", type=FILE, help="Write the calibration as JSON as well.")
@artifacts_option
@cache_option
@click.pass_context
def noise(context: click.Context, /, **options: Any) -> int:  # noqa: ANN401
    """Measure PIPELINE against itself in fresh processes, then slowed on purpose.

    Tells the noise of each series, how often a gate would raise a false alarm, and the smallest
    slowdown that it would catch; and keeps that as this machine's calibration, in the cache.
    """
    from harness.artifacts.cache import default_cache_root  # noqa: PLC0415
    from harness.cli.output import tell  # noqa: PLC0415
    from harness.files import check_folder, check_writable, is_stdout, write_text  # noqa: PLC0415
    from harness.noise.calibration import save  # noqa: PLC0415
    from harness.pipeline.loader import load_pipeline  # noqa: PLC0415
    from harness.store.parquet import ParquetStore  # noqa: PLC0415

    # An unknown one is told of before anything is read of the options.
    load_pipeline(options["pipeline"])
    plan = read_plan(options)
    measuring = read_measuring(context, None)
    store, json_file = ParquetStore(options["out"]), options["json_file"]
    cache = (options["cache"] or default_cache_root()).resolve()
    store.check()
    check_folder(cache)
    if json_file is not None:
        check_writable(json_file, is_text=True)
    given = [options["pipeline"]]
    if options["artifacts"] is not None:
        given += ["--artifacts", str(options["artifacts"].resolve())]
    found = _measure(given, plan, measuring, store, cache)
    path = save(found.calibration, cache)
    is_simulated = found.calibration.is_simulated
    lines = ["SIMULATED: the times are made up"] if is_simulated else []
    lines += [_table(found, beside=json_file), f"Calibration: {path}"]
    if json_file is not None:
        content = {"is_simulated": is_simulated, **asdict(found.calibration)}
        write_text(json_file, f"{json.dumps(content, indent=1)}\n")
        lines.append(f"JSON: {'standard output' if is_stdout(json_file) else json_file}")
    tell("\n".join(lines), beside=json_file)
    return EXIT_PASS


def read_plan(options: dict[str, Any]) -> NoisePlan:
    """How much is measured and resampled.

    Raises:
        OptionError: an option is out of range.
    """
    from harness.noise.measuring import NoisePlan  # noqa: PLC0415
    from harness.stats.pairs import PairRule  # noqa: PLC0415

    sizes = options["sizes"] or NoisePlan.sizes
    for option, value, is_good, fix in (
        ("--pairs", options["pairs"], options["pairs"] >= _LEAST_PAIRS, "give 8 or more"),
        ("--trials", options["trials"], options["trials"] >= _LEAST_TRIALS, "give 100 or more"),
        ("--margin", options["margin"], 0.0 <= options["margin"] < 1.0, "give a share"),
        ("--slow", max(sizes), all(0.0 <= size <= 1.0 for size in sizes), "give 0 to 100%"),
    ):
        if not is_good:
            raise OptionError(f"{value:g} is out of range", where=option, fix=fix)
    return NoisePlan(
        pairs=options["pairs"],
        sizes=tuple(dict.fromkeys(size for size in sizes if size > 0.0)),
        trials=options["trials"],
        seed=options["seed"],
        rule=PairRule(margin=options["margin"]),
    )


def _measure(
    given: list[str], plan: NoisePlan, measuring: Measuring, store: ParquetStore, cache: Path
) -> Noise:
    """Measure ``given``, a pipeline and where its exports are."""
    import tempfile  # noqa: PLC0415

    from harness.ab.experiment import Experiment  # noqa: PLC0415
    from harness.ab.running import PairPlan  # noqa: PLC0415
    from harness.ab.side import Workplace  # noqa: PLC0415
    from harness.cli.progress import ProgressObserver  # noqa: PLC0415
    from harness.history.exporting import ExportSizes  # noqa: PLC0415
    from harness.noise.measuring import measure_noise  # noqa: PLC0415

    def keep(*records: Any) -> None:  # noqa: ANN401
        for record in records:
            path, slowed_by = store.append(record), record.replication.slowed_by
            note = f" (slowed by {100.0 * slowed_by:g} % on purpose: of no commit)"
            click.echo(f"Record: {path}{note if slowed_by else ''}", err=True)

    # Nothing is checked out: only how it is measured is told.
    place = Workplace(
        Path(),
        given[0],
        measuring.words,
        measuring.names,
        ExportSizes(),
        cache,
        Path(sys.executable),
    )
    experiment = Experiment(
        place, PairPlan(), measuring.simulation, command=("harness", *sys.argv[1:]), keep=keep
    )
    words = ["run", *given, "--cache", str(cache), *measuring.words]
    with tempfile.TemporaryDirectory(prefix="harness-noise-") as name, ProgressObserver() as shown:
        return measure_noise(words, experiment, plan, Path(name), shown)


def _table(found: Noise, *, beside: Path | None) -> str:
    from rich.console import Console  # noqa: PLC0415

    from harness.files import is_stdout  # noqa: PLC0415
    from harness.report.noise import render_noise  # noqa: PLC0415

    told = asdict(found.calibration)
    title = f"Noise of {told['pipeline']}: {told['processes']} processes"
    title += ", SIMULATED" if found.equal.comparison.is_simulated else ""
    console = Console(highlight=False, stderr=beside is not None and is_stdout(beside))
    with console.capture() as table:
        console.print(render_noise(title, told["rows"], told["injected"]))
    return table.get().rstrip("\n")
