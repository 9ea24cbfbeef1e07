"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


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
    type=FOLDER,
    help="Folder of exported graphs.  [default: $TRT_HARNESS_CACHE or the user's cache folder]",
)
artifacts_option = click.option(
    "--artifacts",
    type=FOLDER,
    help="The --cache of an interpreter that has PyTorch: take the exports from there.",
)
opset_option = click.option(
    "--opset", type=int, default=20, show_default=True, help="ONNX opset to export, 17 to 20."
)
repository_option = click.option(
    "--repository",
    type=FOLDER,
    default=Path(),
    help="Where git knows the commits, branches and tags.  [default: this folder]",
)
telemetry_option = click.option(
    "--telemetry/--no-telemetry",
    default=True,
    help="Read the machine's state meanwhile, in a process of its own.  [default: on]",
)
energy_option = click.option(
    "--energy/--no-energy",
    default=None,
    help="Hot: run each whole pipeline for 2.5 s more, for its energy.  [default: where told]",
)
canary_option = click.option(
    "--canary/--no-canary",
    default=None,
    help="Hot or cold: time a frozen piece of work as well, to tell the machine's drift.  "
    "[default: on]",
)
component_option = click.option(
    "--component",
    "components",
    multiple=True,
    help="Measure this component only, and not the whole pipeline; repeat for several.",
)
threads_option = click.option(
    "--threads", type=int, help="CPU threads.  [default: all available cores]"
)
seed_option = click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the synthetic inputs."
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
        type=FILE,
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
        "--fp16-accumulation",
        "accumulations",
        multiple=True,
        help="TensorRT 8.5 to 10: what fp16 products are summed in: any (default: as is fastest), "
        "fp32 or tf32 (layers without such a kernel compute in that); repeat for several.",
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
        "--fp32-node",
        "fp32_nodes",
        multiple=True,
        help="TensorRT: COMPONENT:PATTERN, nodes of the graph to leave in fp32 where the builder "
        "may choose; repeat for several.",
    ),
    click.option(
        "--preview-feature",
        "preview_features",
        multiple=True,
        help="TensorRT: set this PreviewFeature, or none; repeat for several.  [default: "
        "FASTER_DYNAMIC_SHAPES_0805 where there is one]",
    ),
    click.option(
        "--plugin",
        "plugins",
        type=FILE,
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


_MEASURING_OPTIONS = (
    click.option(
        "--duration",
        "durations_s",
        type=float,
        multiple=True,
        help="Seconds of input; repeat for several.  [default: the pipeline's]",
    ),
    click.option(
        "--batch",
        "batches",
        type=int,
        multiple=True,
        help="Batch size; repeat for several.  [default: the pipeline's]",
    ),
    click.option(
        "--rel-precision",
        type=PERCENT,
        default="0.5%",
        show_default=True,
        help="How well every median must be known: half its interval over itself. Paced and "
        "concurrent go on to the end, and tell whether it is.",
    ),
    click.option(
        "--tail/--no-tail",
        default=None,
        help="Hot or cold: wait for an interval of every p99 as well.  [default: where there is a "
        "budget]",
    ),
    click.option(
        "--samples",
        type=int,
        help="Samples of each series after which to stop in any case.  [default: of paced and "
        "concurrent 4000]",
    ),
    click.option(
        "--max-time",
        "max_time_s",
        type=float,
        help="Seconds of measuring, for each duration and batch, after which to stop in any case.  "
        "[default: 30; paced also 400 chunks of each, or 60 s of them if that is less]",
    ),
    telemetry_option,
    energy_option,
    canary_option,
    click.option(
        "--mode",
        default="hot",
        show_default=True,
        help="How work arrives: hot (again and again), cold (caches flushed before each), paced "
        "(in real time) or concurrent (streams).",
    ),
    click.option(
        "--period",
        "period_s",
        type=float,
        help="Paced: seconds from one chunk to the next.  [default: the duration]",
    ),
    click.option("--streams", type=int, help="Concurrent: how many streams at a time."),
)


def measuring_options(command: Any) -> Any:  # noqa: ANN401
    """The options of what is measured, how well, and how the work arrives."""
    for option in reversed(_MEASURING_OPTIONS):
        command = option(command)
    return command


_REPLICATION_OPTIONS = (
    component_option,
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
    click.option("--replica", type=FILE, hidden=True),
    click.option("--slowdown", type=FILE, hidden=True),
)


def replication_options(command: Any) -> Any:  # noqa: ANN401
    """The options of what is measured again, and how often."""
    for option in reversed(_REPLICATION_OPTIONS):
        command = option(command)
    return command


_REFERENCE_OPTIONS = (
    click.option(
        "--references",
        is_flag=True,
        help="Also keep what PyTorch fp32 computes, for another interpreter to compare with.",
    ),
    click.option(
        "--duration",
        "durations_s",
        type=float,
        multiple=True,
        help="With --references: seconds of input; repeat for several.  [default: the pipeline's]",
    ),
    click.option(
        "--batch",
        "batches",
        type=int,
        multiple=True,
        help="With --references: batch size; repeat for several.  [default: the pipeline's]",
    ),
    click.option(
        "--seed", type=int, help="With --references: seed of the synthetic inputs.  [default: 0]"
    ),
)


def reference_options(command: Any) -> Any:  # noqa: ANN401
    """The options of which references are made beside graphs."""
    for option in reversed(_REFERENCE_OPTIONS):
        command = option(command)
    return command
