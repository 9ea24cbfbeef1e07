"""``harness telemetry``."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from harness.api import DEFAULT_BACKEND, choose_cases, make_backends
from harness.artifacts.cache import Cache, default_cache_root
from harness.artifacts.precision import FP32
from harness.backends.gpu import has_gpu, read_gpu
from harness.backends.tensorrt.choice import check_components
from harness.cli.graphs import build_options
from harness.cli.interpreters import parse_interpreters
from harness.cli.output import tell
from harness.cli.progress import ProgressObserver
from harness.errors import EXIT_INTERRUPTED, EXIT_PASS, OptionError
from harness.files import check_writable, write_text
from harness.measure.telemetry import write_recorded
from harness.measure.telemetry_process import TelemetryProcess
from harness.overhead import OverheadOptions, OverheadResult, measure_overhead
from harness.pipeline.loader import load_pipeline
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.report.words import milliseconds
from harness.stats.overhead import MIN_GROUPS
from harness.types import GRAPH

if TYPE_CHECKING:
    from pathlib import Path

    from harness.backends.protocol import Backend
    from harness.backends.tensorrt.options import TensorRTChoice
    from harness.stats.overhead import Effect


def record_command(*, out: Path, duration_s: float, interval_s: float) -> int:
    """Read, write, say what was read, and give the exit code."""
    _check_interval(interval_s)
    check_writable(out, is_text=True)
    is_complete = True
    with TelemetryProcess(
        read_gpu().uuid if has_gpu() else None, interval_s=interval_s
    ) as telemetry:
        try:
            time.sleep(duration_s)
        except KeyboardInterrupt:
            is_complete = False
        states, problem = telemetry.states(), telemetry.problem
    write_recorded(out, states, interval_s=interval_s, problem=problem)
    spent_s = states[-1].monotonic_s - states[0].monotonic_s if states else 0.0
    tell(f"{out}: {len(states)} readings over {spent_s:.1f} s", beside=out)
    if problem:
        click.echo(f"harness: warning: {problem}", err=True)
    return EXIT_PASS if is_complete else EXIT_INTERRUPTED


def overhead_command(
    *,
    pipeline: str,
    backends: tuple[str, ...],
    interpreters: tuple[str, ...],
    precisions: tuple[str, ...],
    calibration_file: Path | None,
    calibration_method: str | None,
    percentile: float | None,
    launches: tuple[str, ...],
    tensorrt: TensorRTChoice,
    component: str | None,
    duration_s: float | None,
    time_s: float,
    block_s: float,
    interval_s: float,
    threads: int | None,
    json_file: Path | None,
    artifacts: Path | None,
    cache: Path | None,
    opset: int,
) -> int:
    """Measure, print the effects, and give the exit code."""
    _check_interval(interval_s)
    loaded = load_pipeline(pipeline)
    check_components(tensorrt, loaded)
    (backend,) = _only_one(
        make_backends(
            backends or (DEFAULT_BACKEND,),
            precisions or (FP32,),
            threads=threads,
            launches=launches or (GRAPH,),
            interpreters=parse_interpreters(interpreters),
            tensorrt=tensorrt,
        ),
        launches,
    )
    options = OverheadOptions(
        case=choose_cases(loaded, None if duration_s is None else (duration_s,), None)[0],
        component=component or WHOLE_PIPELINE,
        time_s=time_s,
        block_s=block_s,
        interval_s=interval_s,
        build=build_options(
            precisions, calibration_file, calibration_method, percentile, opset, artifacts
        ),
    )
    if json_file is not None:
        check_writable(json_file, is_text=True)
    with ProgressObserver() as observer:
        own = Cache(cache or default_cache_root())
        result = measure_overhead(loaded, backend, own, options, observer)
    if json_file is not None:
        _write_json(result, json_file)
    tell("\n".join(_lines(result)), beside=json_file)
    return EXIT_PASS


def _check_interval(interval_s: float) -> None:
    if not interval_s > 0:
        raise OptionError(f"{interval_s:g} s", where="--interval", fix="give more than 0 s")


def _only_one(backends: list[Backend], launches: tuple[str, ...]) -> list[Backend]:
    if len(backends) != 1 or len(set(launches)) > 1:
        what = "the overhead is that on one backend, precision, route and launch"
        raise OptionError(what, where="harness telemetry overhead", fix="name one of each")
    return backends


def _lines(result: OverheadResult) -> list[str]:
    gpu = "processor and GPU" if result.gpu_uuid else "processor"
    of = f"{result.pipeline}, {result.component}, {result.variant}, {result.case}"
    shape = f"{result.groups} groups of 4 blocks of {result.block_passes} launches"
    order = f"(off on on off, on off off on); {result.readings} readings; clock: {result.clock}"
    lines = [
        f"Telemetry of {gpu} every {result.interval_s:g} s, against none: {of}",
        *(_effect_line(effect, result) for effect in result.effects),
        f"  {shape} {order}",
        *(f"  {effect.figure}: {effect.method}" for effect in result.effects),
    ]
    lines += [f"  {found.level}: {found.what}; {found.fix}" for found in result.findings]
    if result.problem:
        lines.append(f"  Not all was read: {result.problem}")
    return lines


def _effect_line(effect: Effect, result: OverheadResult) -> str:
    without, with_it = milliseconds(effect.off), milliseconds(effect.on)
    interval = "no interval: more time can tell"
    if result.groups < MIN_GROUPS:
        # A group begins only if it is likely to end in time.
        needed_s = math.ceil(1.1 * MIN_GROUPS * result.group_s)
        interval = (
            f"no interval: it takes {MIN_GROUPS} groups, and there are {result.groups}; "
            f"--time {needed_s} should do"
        )
    elif math.isfinite(effect.lower) and math.isfinite(effect.upper):
        bounds = f"{effect.lower:+.3%} to {effect.upper:+.3%}"
        interval = f"{effect.confidence:.0%} interval {bounds}"
    return (
        f"  {effect.figure:6} {effect.relative:+.3%}, {interval} (off {without} ms, on {with_it})"
    )


def _write_json(result: OverheadResult, path: Path) -> None:
    text = json.dumps(_finite(asdict(result)), indent=1, allow_nan=False)
    write_text(path, f"{text}\n")


def _finite(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
