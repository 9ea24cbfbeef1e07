"""The commands and their options. What a command needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.version import __version__

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


class _Percent(click.ParamType):  # type: ignore[type-arg]  # generic only as a stub
    """A share, written as ``0.5%`` or ``0.005``."""

    name = "share"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:  # noqa: ANN401
        try:
            text = str(value).strip()
            return float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            self.fail(f"{value!r} is no share: write 0.5% or 0.005", param, ctx)


PERCENT = _Percent()

cache_option = click.option(
    "--cache",
    type=_FOLDER,
    help="Folder of exported graphs.  [default: $TRT_HARNESS_CACHE or the user's cache folder]",
)
artifacts_option = click.option(
    "--artifacts",
    type=_FOLDER,
    help="The --cache of an interpreter that has PyTorch: take the exports from there.",
)
opset_option = click.option(
    "--opset", type=int, default=20, show_default=True, help="ONNX opset to export, 17 to 20."
)

_GRAPH_OPTIONS = (
    click.option(
        "--precision",
        "precisions",
        multiple=True,
        help="fp32 (default), fp16, int8, int8-ort or int8+fp16; repeat for several.",
    ),
    click.option(
        "--calibration",
        "calibration_file",
        type=_FILE,
        help="A calibration set for INT8.  [default: one is made, of seed 0]",
    ),
    click.option(
        "--calibration-method",
        help="How INT8 ranges are found: percentile, entropy or minmax.  [default: percentile]",
    ),
    click.option(
        "--percentile",
        type=float,
        help="Of absolute values, what the method percentile does not clip.  [default: 99.99]",
    ),
)


_ENGINE_OPTIONS = (
    click.option(
        "--fp16",
        "fp16_routes",
        multiple=True,
        help="TensorRT: how fp16 is asked for: graph (default) or flag; repeat for both.",
    ),
    click.option(
        "--int8",
        "int8_routes",
        multiple=True,
        help="TensorRT: how INT8 is asked for: qdq (default) or calibrator; repeat for both.",
    ),
    click.option(
        "--workspace",
        "workspace_mib",
        type=click.IntRange(min=1),
        help="TensorRT: the builder's scratch memory in MiB.",
    ),
    click.option("--tf32", is_flag=True, help="TensorRT: let fp32 products run in TF32."),
    click.option(
        "--optimization-level", type=int, help="TensorRT: how long to look for tactics, 0 to 5."
    ),
    click.option(
        "--tactic-source",
        "tactic_sources",
        multiple=True,
        help="TensorRT: take tactics from this TacticSource only; repeat for several.",
    ),
    click.option(
        "--builder-flag",
        "builder_flags",
        multiple=True,
        help="TensorRT: set this BuilderFlag, by its name; repeat for several.",
    ),
    click.option(
        "--precision-constraints",
        "constraints",
        default="obey",
        show_default=True,
        help="TensorRT: whether nodes that must stay in fp32 do: obey, prefer or none.",
    ),
    click.option(
        "--plugin",
        "plugins",
        type=_FILE,
        multiple=True,
        help="TensorRT: a library of plugins to load; repeat for several.",
    ),
)
_SESSION_OPTIONS = (
    click.option(
        "--engine",
        "engines",
        multiple=True,
        help="TensorRT: NAME=FILE, an engine to measure in place of a component's own.",
    ),
    click.option(
        "--launch",
        "launches",
        multiple=True,
        help="On a GPU: graph (default) or enqueue; repeat for both.",
    ),
    click.option("--profile", "layer_times", is_flag=True, help="TensorRT: time every layer."),
    click.option("--nvtx", is_flag=True, help="TensorRT: mark launches for NVIDIA's profilers."),
)


def engine_options(command: Any) -> Any:  # noqa: ANN401
    """The options of how engines are built."""
    for option in reversed(_ENGINE_OPTIONS):
        command = option(command)
    return command


def session_options(command: Any) -> Any:  # noqa: ANN401
    """The options of how engines are run."""
    for option in reversed(_SESSION_OPTIONS):
        command = option(command)
    return command


def graph_options(command: Any) -> Any:  # noqa: ANN401
    """The options of which graphs are made, and how."""
    for option in reversed(_GRAPH_OPTIONS):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="trt-harness")
def app() -> None:
    """Benchmark inference pipelines: export, build, time, check, and keep a record of each run.

    PIPELINE is the name of one that is shipped (voice_conversion, tiny) or a folder that holds a
    pipeline.toml.

    Exit codes: 0 pass, 1 missed, 2 bad input, 3 inconclusive, 130 interrupted.
    """


_REPLICATION_OPTIONS = (
    click.option(
        "--component",
        "components",
        multiple=True,
        help="Measure this component only, and not the whole pipeline; repeat for several.",
    ),
    click.option(
        "--processes",
        type=int,
        help="Measure in this many fresh processes, of each build.  [default: in this one]",
    ),
    click.option(
        "--builds",
        type=int,
        default=1,
        show_default=True,
        help="Build the engines this many times, choosing tactics anew, and measure each build.",
    ),
    click.option(
        "--pin-tactics",
        "pins_tactics",
        is_flag=True,
        help="With --builds: the later builds take the tactics that the first has found.",
    ),
    click.option("--replica", type=_FILE, hidden=True),
)


def replication_options(command: Any) -> Any:  # noqa: ANN401
    """The options of what is measured again, and how often."""
    for option in reversed(_REPLICATION_OPTIONS):
        command = option(command)
    return command


@app.command()
@click.argument("pipeline")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    help="tensorrt, tensorrt-rtx, auto, onnxruntime (default), onnxruntime-cuda, torch, "
    "torch-cuda, torch-cuda-benchmark or torch-cuda-compile; repeat for several.",
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
@click.option(
    "--duration",
    "durations_s",
    type=float,
    multiple=True,
    help="Seconds of input; repeat for several.  [default: the pipeline's]",
)
@click.option(
    "--batch",
    "batches",
    type=int,
    multiple=True,
    help="Batch size; repeat for several.  [default: the pipeline's]",
)
@click.option(
    "--rel-precision",
    type=PERCENT,
    default="0.5%",
    show_default=True,
    help="How well every median must be known: half its interval over itself.",
)
@click.option(
    "--tail/--no-tail",
    default=None,
    help="Wait for an interval of every p99 as well.  [default: where there is a budget]",
)
@click.option("--samples", type=int, help="Samples of each series after which to stop in any case.")
@click.option(
    "--max-time",
    "max_time_s",
    type=float,
    default=30.0,
    show_default=True,
    help="Seconds of measuring, for each duration and batch, after which to stop in any case.",
)
@click.option(
    "--telemetry/--no-telemetry",
    default=True,
    help="Read the machine's state meanwhile, in a process of its own.  [default: on]",
)
@click.option(
    "--energy/--no-energy",
    default=True,
    help="Run each whole pipeline for 2.5 s more, for its energy.  [default: where told]",
)
@click.option(
    "--canary/--no-canary",
    default=True,
    help="Time a frozen piece of work as well, to tell the machine's drift.  [default: on]",
)
@click.option(
    "--mode",
    default="hot",
    show_default=True,
    help="How work arrives: hot (again and again), cold (caches flushed before each), paced (in "
    "real time) or concurrent (streams).",
)
@click.option(
    "--period",
    "period_s",
    type=float,
    help="Paced: seconds from one chunk to the next.  [default: the duration]",
)
@click.option("--streams", type=int, help="Concurrent: how many streams at a time.")
@click.option("--threads", type=int, help="CPU threads.  [default: all available cores]")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the synthetic inputs."
)
@click.option("--audio", type=_FILE, help="A recording to feed instead of synthetic inputs.")
@click.option(
    "--converted",
    type=_FILE,
    help="Where the recording's conversion goes.  [default: OUT/NAME-converted.wav]",
)
@click.option(
    "--out", type=_FOLDER, default=Path("reports"), show_default=True, help="Folder of records."
)
@click.option("--json", "json_file", type=_FILE, help="Write the figures as JSON as well.")
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
@click.option("--out", type=_FOLDER, help="Copy the graphs, or engines, into this folder.")
@click.option(
    "--backend",
    help="Build engines for it: tensorrt, tensorrt-rtx (needs no GPU) or auto.",
)
@graph_options
@engine_options
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
    "--out", type=_FILE, help="Where the set goes.  [default: reports/NAME-calibration.npz]"
)
@click.option(
    "--samples", type=int, default=16, show_default=True, help="Windows that the set holds."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the synthetic samples.")
@click.option("--audio", type=_FOLDER, help="Take windows of the recordings in this folder.")
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
@click.option("--json", "json_file", type=_FILE, help="Write what was found as JSON as well.")
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
    default=0.0,
    help="Only what is older than this many days.  [default: everything]",
)
@cache_option
def cache_prune(**options: object) -> int:
    """Remove what is in the cache."""
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
@click.option("--out", type=_FILE, required=True, help="Where the readings go: lines of JSON.")
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
    "--time", "time_s", type=float, default=60.0, show_default=True, help="Seconds in all."
)
@click.option(
    "--block", "block_s", type=float, default=0.5, show_default=True, help="Seconds of a block."
)
@_interval_option
@click.option("--threads", type=int, help="CPU threads.  [default: all available cores]")
@click.option("--json", "json_file", type=_FILE, help="Write the figures as JSON as well.")
@artifacts_option
@cache_option
@opset_option
def telemetry_overhead(**options: object) -> int:
    """Measure what telemetry costs: the same work with it and without, in turn."""
    from harness.cli.engines import take_choice  # noqa: PLC0415
    from harness.cli.telemetry import overhead_command  # noqa: PLC0415

    return overhead_command(tensorrt=take_choice(options), **options)  # type: ignore[arg-type]
