"""What a run would do, with the time that each part should take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.artifacts.export import KIND as ONNX_KIND
from harness.artifacts.export import find_export
from harness.artifacts.precision import FP32, needs_calibration
from harness.artifacts.precision import KIND as PRECISION_KIND
from harness.backends.protocol import variant_of
from harness.backends.tensorrt.engines import KIND as ENGINE_KIND
from harness.backends.tensorrt.engines import engine_label
from harness.measure.environment import available_cores
from harness.measure.paced import least_chunks, most_time_s
from harness.measuring import ENERGY_TIME_S
from harness.pipeline.unrun import check_factories
from harness.reference import KIND as REFERENCE_KIND
from harness.reference import has_torch, why_no_reference
from harness.types import CONCURRENT, PACED, Replication

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from harness.artifacts.cache import Cache
    from harness.backends.protocol import Backend
    from harness.options import RunOptions
    from harness.pipeline.pipeline import Pipeline
    from harness.prepare import BuildOptions
    from harness.types import Case

# Used until this machine has done such a step once; then its own time is.
_UNKNOWN_S: Final = 20.0


def plan_run(
    pipeline: Pipeline,
    backends: Sequence[Backend],
    cache: Cache,
    options: RunOptions,
    replication: Replication | None = None,
) -> Iterator[str]:
    """The lines of the plan; nothing is built and nothing is written."""
    options = options.for_backends(backends)
    total_s = 0.0
    known_s, build = _known_times(cache), options.build
    if any(backend.graph_precision is not None for backend in backends):
        for line, export_s in _exports(pipeline, cache, build, known_s):
            yield line
            total_s += export_s
    for line, reference_s in _references(pipeline, options, known_s):
        yield line
        total_s += reference_s
    graphs = dict.fromkeys(b.graph_precision for b in backends if b.graph_precision is not None)
    for line, conversion_s in _conversions(pipeline, graphs, build, known_s):
        yield line
        total_s += conversion_s
    replication = replication or Replication(processes=1, builds=1)
    measured = options.components or pipeline.order
    for line, build_s in _engines(measured, pipeline, backends, build, known_s):
        yield line
        total_s += build_s * replication.builds
    repeats = replication.processes * replication.builds
    if repeats > 1:
        yield (
            f"all that follows in {replication.processes} processes for each of "
            f"{replication.builds} builds"
        )
    for case in options.cases:
        line, at_most_s = _measuring(case, measured, backends, options)
        yield line
        total_s += at_most_s * repeats
    yield _besides(options)
    yield _in_all(total_s)


def plan_build(
    pipeline: Pipeline,
    backends: Sequence[Backend],
    precisions: Sequence[str],
    cache: Cache,
    build: BuildOptions,
) -> Iterator[str]:
    """The lines of what making graphs of ``precisions``, and engines, would do; nothing is done."""
    known_s = _known_times(cache)
    graphs = [b.graph_precision for b in backends if b.builds_engines] or precisions
    steps = (
        *_exports(pipeline, cache, build, known_s),
        *_conversions(pipeline, dict.fromkeys(g for g in graphs if g is not None), build, known_s),
        *_engines(pipeline.order, pipeline, backends, build, known_s),
    )
    yield from (line for line, _ in steps)
    yield _in_all(sum(step_s for _, step_s in steps))


def _known_times(cache: Cache) -> dict[tuple[str, str], float]:
    """By kind and label, the seconds that making the newest such entry took."""
    entries = sorted(cache.entries(), key=lambda entry: entry.created_unix_s)
    return {(entry.kind, entry.label): entry.build_s for entry in entries}


def _in_all(total_s: float) -> str:
    return f"in all at most about {total_s:.0f} s, with {available_cores()} exports at a time"


def _conversions(
    pipeline: Pipeline,
    graphs: Iterable[str],
    build: BuildOptions,
    known_s: Mapping[tuple[str, str], float],
) -> Iterator[tuple[str, float]]:
    """The lines of what each precision needs, and the seconds that each adds to the whole."""
    for precision in (precision for precision in graphs if precision != FP32):
        if needs_calibration(precision) and build.calibration_file is None:
            yield f"calibrate {precision}: with a set of seed {build.calibration.seed}", 0.0
        for name in pipeline.components:
            step_s = known_s.get((PRECISION_KIND, f"{pipeline.name}/{name} {precision}"))
            line = f"convert {name} to {precision}: {_about(step_s)}, unless it is in the cache"
            yield line, (step_s or _UNKNOWN_S) / available_cores()


def _measuring(
    case: Case, measured: Sequence[str], backends: Sequence[Backend], options: RunOptions
) -> tuple[str, float]:
    """The line of what is measured at ``case``, and the seconds that this takes at most."""
    arrival, sampling, count = options.arrival, options.sampling, len(backends)
    at_most_s = sampling.time_limit_s + count * sampling.warmup_s
    if arrival.mode == PACED:
        period_s = arrival.period_of(case)
        at_most_s = most_time_s(sampling, period_s, count)
        # What is paced is also measured back to back.
        series, how = 2 * count, f"paced, a chunk every {period_s:g} s, and back to back"
    elif arrival.mode == CONCURRENT:
        streams = dict.fromkeys((1, arrival.streams or 1))
        series, how = count * len(streams), f"in {' and '.join(map(str, streams))} streams at once"
    else:
        # Without components of its own the whole pipeline is measured as well.
        series, how = count * (len(measured) + (not options.components)), arrival.mode
    names = " and ".join(str(variant_of(backend)) for backend in backends)
    limit = sampling.max_samples
    if limit is None and arrival.is_whole:
        limit = sampling.sample_limit
    samples = f" or {limit} samples each" if limit is not None else ""
    if arrival.mode == PACED and sampling.max_time_s is None:
        samples = f" for {least_chunks(sampling, arrival.period_of(case))} chunks each or more"
    if not arrival.is_whole:
        tail = " and each p99 has an interval" if sampling.tail else ""
        samples += f", or until each median is known to {100 * sampling.rel_precision:g} %{tail}"
    line = f"measure {series} series at {case} by {names}, {how}: at most about {at_most_s:.0f} s"
    return line + samples, at_most_s


def _besides(options: RunOptions) -> str:
    """What else is done beside the measuring: telemetry, energy, the canary."""
    done = {
        "telemetry": options.telemetry,
        "energy": options.has_energy,
        "canary": options.has_canary,
    }
    if done["energy"]:
        done[f"energy ({ENERGY_TIME_S:g} s each, where a counter tells)"] = done.pop("energy")
    chosen = [name for name, is_done in done.items() if is_done]
    left = [name for name, is_done in done.items() if not is_done]
    without = f"; without {', '.join(left)}" if left else ""
    return f"besides: {', '.join(chosen) or 'nothing'}{without}"


def _engines(
    measured: Sequence[str],
    pipeline: Pipeline,
    backends: Sequence[Backend],
    build: BuildOptions,
    known_s: Mapping[tuple[str, str], float],
) -> Iterator[tuple[str, float]]:
    """The line of each engine, and the seconds that its build may take."""
    for backend in (backend for backend in backends if backend.builds_engines):
        variant = variant_of(backend)
        if backend.is_calibrated and build.calibration_file is None:
            seed = build.calibration.seed
            yield f"calibrate {variant}: with a set of seed {seed}", 0.0
        for name in measured:
            label = engine_label(pipeline.name, name, variant)
            step_s = known_s.get((ENGINE_KIND, label))
            about = f"{_about(step_s)}, unless it is in the cache"
            yield f"build {name} for {variant}: {about}", step_s or _UNKNOWN_S


def _exports(
    pipeline: Pipeline, cache: Cache, build: BuildOptions, known_s: Mapping[tuple[str, str], float]
) -> Iterator[tuple[str, float]]:
    """The line of each component, and the seconds that its export will add to the whole."""
    at_a_time = min(available_cores(), len(pipeline.components))
    foreign, opset = build.foreign, build.opset
    if foreign is None:
        check_factories(pipeline)
    # What is missing there is told now, by an error that tells how to make it.
    taken = {} if foreign is None else foreign.find_exports(pipeline, opset)
    for name, component in pipeline.components.items():
        if foreign is not None and name in taken:
            yield f"export {name}: from {foreign.folder}", 0.0
        elif component.onnx or find_export(pipeline, name, cache, opset):
            yield f"export {name}: in the cache", 0.0
        else:
            step_s = known_s.get((ONNX_KIND, f"{pipeline.name}/{name}"))
            yield f"export {name}: {_about(step_s)}", (step_s or _UNKNOWN_S) / at_a_time


def _references(
    pipeline: Pipeline, options: RunOptions, known_s: Mapping[tuple[str, str], float]
) -> Iterator[tuple[str, float]]:
    """The line of each case that has a reference, and the seconds that this may take."""
    foreign = options.build.foreign
    if why_no_reference(pipeline, foreign):
        return
    step_s = known_s.get((REFERENCE_KIND, f"{pipeline.name}/reference"))
    for case in options.cases:
        made = f"{_about(step_s)}, unless it is in the cache"
        if foreign is None:
            yield f"reference at {case}: {made}", step_s or _UNKNOWN_S
        elif has_torch():
            line = f"reference at {case}: from {foreign.folder} if it holds one; else {made}"
            yield line, step_s or _UNKNOWN_S
        else:
            yield f"reference at {case}: from {foreign.folder} if it holds one; else none", 0.0


def _about(seconds: float | None) -> str:
    if seconds is None:
        return f"about {_UNKNOWN_S:.0f} s (never done here)"
    return f"about {seconds:.0f} s (as last time)"
