"""The options of ``harness run`` that a comparison of commits passes on, and those of a plan."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from harness.errors import OptionError
from harness.history.plan import PLAN_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.backends import simulated
    from harness.cli.app import run
    from harness.cli.engines import take_choice
    from harness.types import COLD, GRAPH, HOT

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
