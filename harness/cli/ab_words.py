"""The options of ``harness run`` that a comparison of commits passes on, and those of a plan."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from harness.cli.options import (
    PERCENT,
    canary_option,
    component_option,
    energy_option,
    engine_options,
    graph_options,
    opset_option,
    seed_option,
    session_options,
    telemetry_option,
    threads_option,
)
from harness.errors import OptionError
from harness.history.plan import PLAN_NAME, read_plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from harness.backends.protocol import Backend
    from harness.backends.simulated import SimulationOptions
    from harness.history.plan import HistoryPlan

# Of a process: its median must be known better than processes differ.
REL_PRECISION: Final = 0.001
PROCESS_TIME_S: Final = 5.0
# What a plan calls them, and the options of the command line.
_TENSORRT: Final = {
    "fp16": "--fp16",
    "int8": "--int8",
    "fp16_accumulation": "--fp16-accumulation",
    "workspace_mib": "--workspace",
    "tf32": "--tf32",
    "optimization_level": "--optimization-level",
    "tactic_sources": "--tactic-source",
    "builder_flags": "--builder-flag",
    "precision_constraints": "--precision-constraints",
    "fp32_nodes": "--fp32-node",
    "preview_features": "--preview-feature",
}
# What is passed on as it was given.
_PASSED: Final = frozenset(
    {
        *("backends", "precisions", "calibration_file", "calibration_method", "percentile"),
        *("fp16_routes", "int8_routes", "accumulations", "workspace_mib", "tf32"),
        *("optimization_level", "tactic_sources", "builder_flags", "constraints", "fp32_nodes"),
        *("preview_features", "plugins", "engines", "launches", "layer_times", "nvtx"),
        *("durations_s", "batches", "samples", "telemetry", "energy", "canary", "threads"),
        *("seed", "opset", "components", "mode"),
    }
)

_OPTIONS = (
    click.option(
        "--backend",
        "backends",
        multiple=True,
        help="As for harness run; repeat for several.  [default: the plan's, or onnxruntime]",
    ),
    graph_options,
    engine_options,
    session_options,
    click.option(
        "--duration",
        "durations_s",
        type=float,
        multiple=True,
        help="Seconds of input; repeat for several.  [default: the plan's, or the pipeline's]",
    ),
    click.option(
        "--batch",
        "batches",
        type=int,
        multiple=True,
        help="Batch size; repeat for several.  [default: the plan's, or the pipeline's]",
    ),
    component_option,
    click.option(
        "--rel-precision",
        type=PERCENT,
        default=REL_PRECISION,
        show_default="0.1%",
        help="How well each process must know every median.",
    ),
    click.option(
        "--process-time",
        "process_time_s",
        type=float,
        default=PROCESS_TIME_S,
        show_default=True,
        help="Seconds of measuring in each process, for each duration and batch.",
    ),
    click.option("--samples", type=int, help="Samples of each series in each process, at most."),
    click.option("--mode", default="hot", show_default=True, help="How work arrives: hot or cold."),
    telemetry_option,
    energy_option,
    canary_option,
    threads_option,
    seed_option,
    opset_option,
)


def measuring_words(command: Any) -> Any:  # noqa: ANN401
    """The options of what each process measures."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class Measuring:
    """What each process measures: options of ``harness run``, and what they mean."""

    words: tuple[str, ...]
    backends: tuple[Backend, ...]
    options: Mapping[str, Any]
    simulation: SimulationOptions | None

    @property
    def names(self) -> tuple[str, ...]:
        """The backends' names."""
        return tuple(backend.name for backend in self.backends)

    @property
    def builds_engines(self) -> bool:
        """Whether any of it builds engines."""
        return any(backend.builds_engines for backend in self.backends)


def find_plan(repository: Path) -> HistoryPlan | None:
    """The plan of the repository's history, as it is in its working tree; None without one.

    Raises:
        DeclarationError: it cannot be read.
    """
    path = repository / "benchmarks" / PLAN_NAME
    return read_plan(path) if path.is_file() else None


def read_measuring(context: click.Context, plan: HistoryPlan | None) -> Measuring:
    """What the command line, and for the rest the plan, says of each process.

    A plan's backends, and what it says of them, count where none is named.

    Raises:
        HarnessError: an option is wrong; the same as ``harness run`` would raise.
    """
    from harness.api import DEFAULT_BACKEND, make_backends  # noqa: PLC0415  # loads numpy
    from harness.artifacts.precision import FP32  # noqa: PLC0415
    from harness.backends import simulated  # noqa: PLC0415
    from harness.cli.app import run  # noqa: PLC0415
    from harness.cli.engines import take_choice  # noqa: PLC0415
    from harness.types import COLD, GRAPH, HOT  # noqa: PLC0415

    given = {
        param.name: list(_as_words(param, context.params[param.name]))
        for param in context.command.params
        if param.name in _PASSED
        and context.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
    }
    is_planned = plan is not None and "backends" not in given
    if plan is not None:
        given = {**_planned(plan, of_backends=is_planned), **given}
    values = context.params
    fixed = [f"--rel-precision={values['rel_precision']!r}", "--no-tail"]
    fixed.append(f"--max-time={values['process_time_s']!r}")
    words = [word for its in given.values() for word in its] + fixed
    options = run.make_context("run", ["x", *words]).params
    if options["mode"] not in {HOT, COLD}:
        fix = "choose hot or cold"
        raise OptionError(f"{options['mode']} takes no turns", where="--mode", fix=fix)
    names = options["backends"] or (DEFAULT_BACKEND,)
    simulation = _simulation(plan if is_planned else None)
    backends = make_backends(
        names,
        options["precisions"] or (FP32,),
        threads=options["threads"],
        launches=options["launches"] or (GRAPH,),
        tensorrt=take_choice(dict(options)),
        simulation=simulation,
    )
    if simulated.is_simulated(backends):
        simulation = simulation or simulated.simulation_from_environment()
    return Measuring(tuple(words), tuple(backends), options, simulation)


def _simulation(plan: HistoryPlan | None) -> SimulationOptions | None:
    from harness.backends.simulated import read_simulation  # noqa: PLC0415

    if plan is None or plan.simulation is None:
        return None
    return read_simulation(plan.simulation, f"{PLAN_NAME}: simulation")


def _as_words(param: click.Parameter, value: Any) -> Iterator[str]:  # noqa: ANN401
    """The words of the command line that give ``value``."""
    option = param.opts[0]
    if isinstance(value, bool):
        yield option if value else param.secondary_opts[0]
        return
    for one in value if isinstance(value, (tuple, list)) else (value,):
        yield f"{option}={one}"


def _planned(plan: HistoryPlan, *, of_backends: bool) -> dict[str, list[str]]:
    """The words of what a plan says, by the options' names."""

    def words(option: str, values: Iterable[object]) -> list[str]:
        return [f"{option}={value}" for value in values]

    found = {
        "durations_s": words("--duration", plan.durations_s),
        "batches": words("--batch", plan.batches),
        "seed": words("--seed", [plan.seed]),
        "opset": words("--opset", [plan.opset]),
        "energy": [] if plan.energy else ["--no-energy"],
        "threads": [] if plan.threads is None else words("--threads", [plan.threads]),
    }
    if of_backends:
        found["backends"] = words("--backend", plan.backends)
        found["precisions"] = words("--precision", plan.precisions)
        found["launches"] = words("--launch", plan.launches)
        for name, value in (plan.tensorrt or {}).items():
            found[f"tensorrt {name}"] = list(_tensorrt_words(name, value))
    return found


def _tensorrt_words(name: str, value: Any) -> Iterator[str]:  # noqa: ANN401
    if name not in _TENSORRT:
        what = f"{json.dumps(name)} is not known"
        fix = f"choose from: {', '.join(_TENSORRT)}"
        raise OptionError(what, where=f"{PLAN_NAME}: tensorrt", fix=fix)
    option = _TENSORRT[name]
    if isinstance(value, bool):
        yield from [option] if value else []
    elif name == "preview_features" and not value:
        yield f"{option}=none"
    else:
        for one in value if isinstance(value, list) else [value]:
            yield f"{option}={one}"
