"""What asv is told of a record: pure, and the same for a run and for results made again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from harness.errors import RecordError
from harness.pipeline.pipeline import CANARY, TRANSFERS, WHOLE_PIPELINE
from harness.report.figures import REFERENCE_BACKEND
from harness.report.pools import pool
from harness.stats.quantiles import estimate_quantile
from harness.types import HOT, Case

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.report.pools import Pool
    from harness.types import Engine, Measurement, Record, Variant

SECONDS, BYTES, RATIO, JOULES = "seconds", "bytes", "1", "joules"
SIMULATED: Final = "simulated"


@dataclass(frozen=True)
class Benchmark:
    """A series of asv: its name, the names of its parameters, and its unit."""

    name: str
    param_names: tuple[str, ...]
    unit: str


_OF_COMPONENT = ("component", "variant", "size")
_OF_PIPELINE = ("variant", "size")
_OF_BUILD = ("component", "variant")

COMPONENT_LATENCY = Benchmark("latency.Components.track_latency", _OF_COMPONENT, SECONDS)
PIPELINE_LATENCY = Benchmark("latency.Pipeline.track_latency", _OF_PIPELINE, SECONDS)
PROCESS_MEDIAN = Benchmark("latency.Pipeline.track_process_median", _OF_PIPELINE, SECONDS)
PIPELINE_P99 = Benchmark("latency.Pipeline.track_p99", _OF_PIPELINE, SECONDS)
BUDGET_P99 = Benchmark("latency.Budget.track_p99", ("size",), SECONDS)
CANARY_LATENCY = Benchmark("latency.Canary.track_latency", ("canary",), SECONDS)
BUILD_SECONDS = Benchmark("build.Components.track_seconds", _OF_BUILD, SECONDS)
BUILD_BYTES = Benchmark("build.Components.track_bytes", _OF_BUILD, BYTES)
BUILD_MEMORY = Benchmark("build.Components.track_memory", _OF_BUILD, BYTES)
COMPONENT_ERROR = Benchmark("accuracy.Components.track_relative_error", _OF_COMPONENT, RATIO)
PIPELINE_ERROR = Benchmark("accuracy.Pipeline.track_relative_error", _OF_PIPELINE, RATIO)
PIPELINE_ENERGY = Benchmark("energy.Pipeline.track_energy", _OF_PIPELINE, JOULES)

BENCHMARKS: Final = {
    one.name: one
    for one in (
        COMPONENT_LATENCY,
        PIPELINE_LATENCY,
        PROCESS_MEDIAN,
        PIPELINE_P99,
        BUDGET_P99,
        CANARY_LATENCY,
        BUILD_SECONDS,
        BUILD_BYTES,
        BUILD_MEMORY,
        COMPONENT_ERROR,
        PIPELINE_ERROR,
        PIPELINE_ENERGY,
    )
}


@dataclass(frozen=True)
class AsvValue:
    """One figure of a benchmark at one set of parameters: samples, or a plain number.

    Exactly one of ``samples`` and ``value`` is given. ``unit`` is that of the benchmark.
    """

    benchmark: str
    params: tuple[str, ...]
    unit: str
    samples: tuple[float, ...] | None
    value: float | None


def series_of(record: Record) -> tuple[AsvValue, ...]:
    """All that asv is told of ``record``; what is not known of it is left out.

    Raises:
        RecordError: a series has no samples, or one that is not finite, or is there twice.
    """
    return tuple(_all_of(record))


def variant_label(measured: Measurement) -> str:
    """The variant as asv shows it: ``onnxruntime fp32``; a played-back clock is always told."""
    return variant_name(measured.variant, simulated=measured.simulated)


def variant_name(variant: Variant, *, simulated: bool) -> str:
    """What ``variant`` is called where its times are ``simulated``, or are not."""
    label = str(variant)
    return f"{label}, {SIMULATED}" if simulated and not label.startswith(SIMULATED) else label


def size_label(measured: Measurement) -> str:
    """The size as asv shows it: ``1 s``."""
    return str(Case(measured.duration_s, measured.batch))


def check_samples(samples: tuple[float, ...], *, of: str, where: str) -> None:
    """Check that ``samples`` are some, and all finite.

    Raises:
        RecordError: they are not; ``of`` names the series and ``where`` the record.
    """
    fix = "measure it again"
    if not samples:
        raise RecordError(f"{of} has no samples", where=where, fix=fix)
    odd = next((value for value in samples if not math.isfinite(value)), None)
    if odd is not None:
        raise RecordError(f"{of} has {odd} among its samples", where=where, fix=fix)


def _all_of(record: Record) -> Iterator[AsvValue]:
    seen: set[tuple[str, str]] = set()
    canaries: dict[str, list[float]] = {}
    for held in pool(record):
        first = held.parts[0]
        if first.mode != HOT or first.component in TRANSFERS:
            continue
        label = variant_label(first)
        of = f"{first.component} at {size_label(first)} by {label}"
        for part in held.parts:
            check_samples(part.latency_s, of=of, where=record.record_id)
        if first.component == CANARY:
            # It is the same frozen work at every size: what was taken beside them is one series.
            canaries.setdefault(first.route, []).extend(_joined(held))
            continue
        yield from _of_series(held, (label, size_label(first)))
        if first.component != WHOLE_PIPELINE and (first.component, label) not in seen:
            seen.add((first.component, label))
            yield from _of_build(record, first, (first.component, label))
    for name, samples in canaries.items():
        yield AsvValue(CANARY_LATENCY.name, (name,), SECONDS, tuple(samples), None)
    if record.budget is not None:
        size = str(Case(record.budget.duration_s, record.budget.batch))
        yield from _numbers({BUDGET_P99: record.budget.p99_s}, (size,))


def _of_series(held: Pool, params: tuple[str, str]) -> Iterator[AsvValue]:
    whole = held.measurement()
    if whole.component != WHOLE_PIPELINE:
        params_of_component = (whole.component, *params)
        yield _samples(COMPONENT_LATENCY, params_of_component, held)
        yield from _numbers({COMPONENT_ERROR: whole.relative_l2}, params_of_component)
        return
    yield _samples(PIPELINE_LATENCY, params, held)
    medians = tuple(float(median(part.latency_s)) for part in held.parts)
    yield AsvValue(PROCESS_MEDIAN.name, params, SECONDS, medians, None)
    figures = {
        PIPELINE_P99: estimate_quantile(whole.latency_s, 0.99).value,
        PIPELINE_ERROR: whole.relative_l2,
        PIPELINE_ENERGY: whole.energy_j,
    }
    yield from _numbers(figures, params)


def _of_build(record: Record, measured: Measurement, params: tuple[str, str]) -> Iterator[AsvValue]:
    """What its engine took; the bytes of its graph where there is no file of an engine."""
    kind = (measured.component, measured.backend, measured.precision, measured.route)
    engines = (e for e in record.engines if (e.component, *_made_by(e)) == kind)
    engine = next(engines, None)
    recipe = engine.details.get("recipe", {}) if engine else {}
    # A builder may have made it of a graph in another precision.
    precision = recipe.get("graph_precision", measured.precision)
    # PyTorch runs the modules, not the graph.
    is_peer = measured.backend.startswith(REFERENCE_BACKEND)
    graph = (measured.component, "" if is_peer else precision)
    sizes = (a.size_bytes for a in record.artifacts if (a.component, a.precision) == graph)
    figures = {
        BUILD_SECONDS: engine.build_s if engine else None,
        BUILD_BYTES: (engine.size_bytes if engine else None) or next(sizes, None),
        BUILD_MEMORY: engine.memory_bytes if engine else None,
    }
    yield from _numbers(figures, params)


def _made_by(engine: Engine) -> tuple[str, str, str]:
    return engine.backend, engine.precision, engine.route


def _samples(benchmark: Benchmark, params: tuple[str, ...], held: Pool) -> AsvValue:
    return AsvValue(benchmark.name, params, benchmark.unit, _joined(held), None)


def _joined(held: Pool) -> tuple[float, ...]:
    return tuple(float(value) for part in held.parts for value in part.latency_s)


def _numbers(figures: dict[Benchmark, float | None], params: tuple[str, ...]) -> Iterator[AsvValue]:
    for benchmark, figure in figures.items():
        if figure is not None and math.isfinite(figure):
            yield AsvValue(benchmark.name, params, benchmark.unit, None, float(figure))
