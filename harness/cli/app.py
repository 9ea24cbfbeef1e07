"""The commands and their options. What a command needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.ab import ab
from harness.cli.bisect import bisect
from harness.cli.compare import compare
from harness.cli.dashboard import dashboard
from harness.cli.gates import budget, gate
from harness.cli.history import history
from harness.cli.noise import noise
from harness.cli.options import (
    FILE,
    FOLDER,
    artifacts_option,
    cache_option,
    engine_options,
    graph_options,
    measuring_options,
    opset_option,
    reference_options,
    replication_options,
    seed_option,
    session_options,
    threads_option,
)
from harness.cli.report import report
from harness.version import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="trt-harness")
def app() -> None:
    """Benchmark inference pipelines: export, build, time, check, and keep a record of each run.

    PIPELINE is the name of one that is shipped (voice_conversion, tiny) or a folder that holds a
    pipeline.toml.

    Exit codes: 0 pass, 1 missed, 2 bad input, 3 inconclusive, 70 a fault of its
    own, 130 interrupted.
    """


@app.command()
@click.argument("pipeline")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    help="tensorrt, tensorrt-rtx, auto, onnxruntime (default), onnxruntime-cuda, torch, "
    "torch-cuda, torch-cuda-benchmark or torch-cuda-compile; repeat for several. Alone: simulated, "
    "of made up times.",
)
@click.option(
    "--interpreter",
    "interpreters",
    multiple=True,
    metavar="BACKEND=PYTHON",
    help="The Python that a backend runs in, where it is not this one; repeat for several.",
)
@graph_options
@engine_options
@session_options
@measuring_options
@threads_option
@seed_option
@click.option("--audio", type=FILE, help="A recording to feed instead of synthetic inputs.")
@click.option(
    "--converted",
    type=FILE,
    help="Where the recording's conversion goes.  [default: OUT/NAME-converted.wav]",
)
@click.option(
    "--out", type=FOLDER, default=Path("reports"), show_default=True, help="Folder of records."
)
@click.option("--json", "json_file", type=FILE, help="Write the figures as JSON as well.")
@click.option(
    "--enforce", is_flag=True, help="Exit 1 if a budget or floor is missed, 3 if that is open."
)
@replication_options
@click.option("--plan", is_flag=True, help="Print what would be done, and do nothing.")
@artifacts_option
@cache_option
@opset_option
def run(**options: object) -> int:
    """Measure a pipeline: each component and the whole, against its latency budget."""
    from harness.cli.engines import take_choice  # noqa: PLC0415
    from harness.cli.run import run_command  # noqa: PLC0415

    arguments = click.get_current_context().obj
    return run_command(tensorrt=take_choice(options), arguments=arguments, **options)  # type: ignore[arg-type]


@app.command()
@click.argument("pipeline")
@click.option("--out", type=FOLDER, help="Copy the graphs, or engines, into this folder.")
@click.option(
    "--backend",
    help="Build engines for it: tensorrt, tensorrt-rtx (needs no GPU) or auto.",
)
@click.option(
    "--component",
    "components",
    multiple=True,
    help="Build this component only; repeat for several.  [default: all]",
)
@graph_options
@engine_options
@reference_options
@click.option("--plan", is_flag=True, help="Print what would be done, and do nothing.")
@artifacts_option
@cache_option
@opset_option
def build(**options: object) -> int:
    """Export a pipeline's components to ONNX, or build engines, without measuring."""
    from harness.cli.build import build_command  # noqa: PLC0415
    from harness.cli.engines import take_choice  # noqa: PLC0415

    return build_command(tensorrt=take_choice(options), **options)  # type: ignore[arg-type]


@app.command()
@click.argument("pipeline")
@click.option(
    "--out", type=FILE, help="Where the set goes.  [default: reports/NAME-calibration.npz]"
)
@click.option(
    "--samples", type=int, default=16, show_default=True, help="Windows that the set holds."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the synthetic samples.")
@click.option("--audio", type=FOLDER, help="Take windows of the recordings in this folder.")
@click.option(
    "--sweep", is_flag=True, help="Print how accurate INT8 is with each method and percentile."
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    help="With --sweep: which INT8; repeat for several.  [default: int8]",
)
@cache_option
@opset_option
def calibrate(**options: object) -> int:
    """Make an INT8 calibration set, and tell what it is good for."""
    from harness.cli.calibrate import calibrate_command  # noqa: PLC0415

    return calibrate_command(**options)  # type: ignore[arg-type]


@app.command()
@click.option(
    "--backend",
    "backends",
    multiple=True,
    help="Look at this backend, and fail if it cannot run; repeat for several.  [default: all]",
)
@click.option("--json", "json_file", type=FILE, help="Write what was found as JSON as well.")
@cache_option
def doctor(**options: object) -> int:
    """Check the machine and each backend, and say what to do; changes nothing.

    Exits 3 where a figure from here would not count, or a named backend cannot run.
    """
    from harness.cli.doctor import doctor_command  # noqa: PLC0415

    return doctor_command(**options)  # type: ignore[arg-type]


@app.command()
def schema() -> int:
    """Print the JSON Schema of pipeline.toml."""
    import json  # noqa: PLC0415

    from harness.pipeline.declaration import json_schema  # noqa: PLC0415

    click.echo(json.dumps(json_schema(), indent=2))
    return 0


app.add_command(ab)
app.add_command(bisect)
app.add_command(compare)
app.add_command(dashboard)
app.add_command(history)
app.add_command(gate)
app.add_command(budget)
app.add_command(noise)
app.add_command(report)


@app.group()
def cache() -> None:
    """Look into the cache of exported graphs, or clear it."""


@cache.command("list")
@cache_option
def cache_list(**options: object) -> int:
    """List what is in the cache."""
    from harness.cli.cache import list_command  # noqa: PLC0415

    return list_command(**options)  # type: ignore[arg-type]


@cache.command("prune")
@click.option(
    "--older-than",
    "older_than_days",
    type=click.FloatRange(min=0),
    help="Only what is older than this many days.",
)
@click.option("--all", "is_all", is_flag=True, help="Everything.")
@cache_option
def cache_prune(**options: object) -> int:
    """Remove what is in the cache: all of it, or what is old."""
    from harness.cli.cache import prune_command  # noqa: PLC0415

    return prune_command(**options)  # type: ignore[arg-type]


@app.group()
def telemetry() -> None:
    """Record the machine's state, or see what reading it costs."""


_interval_option = click.option(
    "--interval",
    "interval_s",
    type=float,
    default=0.1,
    show_default=True,
    help="Seconds between two readings.",
)


@telemetry.command("record")
@click.option("--out", type=FILE, required=True, help="Where the readings go: lines of JSON.")
@click.option(
    "--seconds",
    "duration_s",
    type=click.FloatRange(min=0, min_open=True),
    required=True,
    help="How long to read.",
)
@_interval_option
def telemetry_record(**options: object) -> int:
    """Read the machine's state for a while, and write it to a file."""
    from harness.cli.telemetry import record_command  # noqa: PLC0415

    return record_command(**options)  # type: ignore[arg-type]


@telemetry.command("overhead")
@click.argument("pipeline")
@click.option(
    "--backend", "backends", multiple=True, help="As for harness run; one.  [default: onnxruntime]"
)
@click.option(
    "--interpreter",
    "interpreters",
    multiple=True,
    metavar="BACKEND=PYTHON",
    help="The Python that the backend runs in, where it is not this one.",
)
@graph_options
@engine_options
@session_options
@click.option("--component", help="Measure this one alone.  [default: the whole pipeline]")
@click.option(
    "--duration",
    "duration_s",
    type=float,
    help="Seconds of input.  [default: the pipeline's first]",
)
@click.option(
    "--time", "time_s", type=float, default=60.0, show_default=True, help="Seconds in all."
)
@click.option(
    "--block", "block_s", type=float, default=0.5, show_default=True, help="Seconds of a block."
)
@_interval_option
@threads_option
@click.option("--json", "json_file", type=FILE, help="Write the figures as JSON as well.")
@artifacts_option
@cache_option
@opset_option
def telemetry_overhead(**options: object) -> int:
    """Measure what telemetry costs: the same work with it and without, in turn."""
    from harness.cli.engines import take_choice  # noqa: PLC0415
    from harness.cli.telemetry import overhead_command  # noqa: PLC0415

    return overhead_command(tensorrt=take_choice(options), **options)  # type: ignore[arg-type]
