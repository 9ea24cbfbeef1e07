"""Make every graph that a run needs: exported, calibrated, in each precision."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from harness.artifacts.calibration import CalibrationSet, load_set
from harness.artifacts.export import DEFAULT_OPSET, OnnxModel, check_opset, export_pipeline
from harness.artifacts.foreign import ForeignCache
from harness.artifacts.precision import (
    FP32,
    ClippingRule,
    Quantization,
    convert_pipeline,
    needs_calibration,
)
from harness.artifacts.sources import pipeline_hash
from harness.backends.protocol import Workshop, variant_of
from harness.calibrate import CalibrationOptions, make_calibration_set
from harness.errors import OptionError
from harness.measure.environment import available_cores
from harness.pipeline.restrict import restrict

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from harness.artifacts.cache import Cache
    from harness.artifacts.worker import WorkerPool
    from harness.backends.protocol import Backend, Built
    from harness.observer import Observer
    from harness.pipeline.pipeline import Pipeline
    from harness.types import Variant


@dataclass(frozen=True)
class BuildOptions:
    """How graphs are made: the export's opset, and what INT8 is calibrated with.

    ``calibration_file`` is a set to read; without one a synthetic set is made. ``artifacts`` is the
    cache of another interpreter, where the exports are then taken from, and the references that it
    holds; a folder that is no cache is refused.
    """

    opset: int = DEFAULT_OPSET
    rule: ClippingRule = field(default_factory=ClippingRule)
    calibration: CalibrationOptions = field(default_factory=CalibrationOptions)
    calibration_file: Path | None = None
    artifacts: Path | None = None

    def __post_init__(self) -> None:
        """Refuse an opset that nothing is exported at, and artifacts of which there are none."""
        check_opset(self.opset)
        _ = self.foreign

    @property
    def foreign(self) -> ForeignCache | None:
        """The cache of another interpreter to take exports and references from, if any."""
        return None if self.artifacts is None else ForeignCache(self.artifacts)


@dataclass(frozen=True)
class WhichBuild:
    """Which of several builds of the same; see :class:`harness.backends.protocol.Workshop`."""

    index: int = 0
    pins_tactics: bool = False
    series: str = ""


FIRST_BUILD: Final = WhichBuild()


@dataclass(frozen=True)
class Prepared:
    """Graphs by precision and component, and the set that the INT8 ones were made with."""

    models: dict[str, dict[str, OnnxModel]]
    calibration: CalibrationSet | None


def prepare_models(
    pipeline: Pipeline,
    precisions: Sequence[str],
    options: BuildOptions,
    cache: Cache,
    pool: WorkerPool,
    observer: Observer,
    *,
    is_calibrated: bool = False,
) -> Prepared:
    """Export ``pipeline``, or take its exports, and convert it to each of ``precisions``.

    ``is_calibrated`` tells that a calibration set is needed whatever the precisions are.

    Raises:
        HarnessError: a graph, the calibration set or a conversion is impossible.
    """
    # A file first: where it does not fit, no export is waited for.
    is_calibrated = is_calibrated or any(needs_calibration(precision) for precision in precisions)
    calibration = _read_calibration(pipeline, options, is_calibrated=is_calibrated)

    def tell(model: OnnxModel) -> None:
        spent = "cached" if model.was_cached else f"{model.export_s:.1f} s"
        observer.step(f"{model.component}: {spent}")

    foreign, count = options.foreign, len(pipeline.components)
    if foreign is None:
        observer.phase("Exporting to ONNX", count)
        models = export_pipeline(pipeline, cache, pool, opset=options.opset, on_done=tell)
    else:
        observer.phase(f"Taking the exports from {foreign.folder}", count)
        models = foreign.take_exports(pipeline, options.opset, on_done=tell)
    if calibration is None and is_calibrated:
        observer.phase("Making the calibration set", 1)
        calibration = make_calibration_set(
            pipeline, options.calibration, cache, pool, models=models, foreign=foreign
        )
        observer.step(f"{len(calibration)} samples")
    quantization = Quantization(calibration, options.rule) if calibration is not None else None
    made = {FP32: models}
    for precision in precisions:
        if precision != FP32:
            observer.phase(f"Converting to {precision}", count)
            made[precision] = convert_pipeline(
                pipeline,
                models,
                precision,
                quantization,
                cache,
                pool,
                workers=available_cores(),
                on_done=tell,
            )
    return Prepared({precision: made[precision] for precision in precisions}, calibration)


def _read_calibration(
    pipeline: Pipeline, options: BuildOptions, *, is_calibrated: bool
) -> CalibrationSet | None:
    if options.calibration_file is None:
        return None
    if not is_calibrated:
        what = "nothing is calibrated: no precision is INT8"
        raise OptionError(what, where="--calibration", fix="add --precision int8, or leave it out")
    return load_set(options.calibration_file, pipeline, pipeline_hash(pipeline))


def prepare_backends(
    pipeline: Pipeline,
    backends: Collection[Backend],
    options: BuildOptions,
    cache: Cache,
    pool: WorkerPool,
    observer: Observer,
) -> Prepared:
    """Every graph that ``backends`` are built from, and the calibration set if one takes it.

    Raises:
        HarnessError: as :func:`prepare_models`.
    """
    graphs = (b.graph_precision for b in backends if b.graph_precision is not None)
    return prepare_models(
        pipeline,
        list(dict.fromkeys(graphs)),
        options,
        cache,
        pool,
        observer,
        is_calibrated=any(backend.is_calibrated for backend in backends),
    )


def build_backends(
    pipeline: Pipeline,
    backends: Mapping[Variant, Backend],
    prepared: Prepared,
    cache: Cache,
    pool: WorkerPool,
    observer: Observer,
    which: WhichBuild = FIRST_BUILD,
) -> dict[Variant, Mapping[str, Built]]:
    """What each backend makes of its graphs, as the build ``which``.

    Raises:
        HarnessError: a component cannot be built.
    """

    def tell(name: str, built: Built) -> None:
        spent = "cached" if built.was_cached else f"{built.build_s or 0.0:.1f} s"
        observer.step(f"{name}: {spent}")

    def progress(_name: str, fraction: float) -> None:
        observer.fraction(fraction)

    workshop = Workshop(
        *(cache, pool, prepared.calibration, tell, progress),
        index=which.index,
        pins_tactics=which.pins_tactics,
        series=which.series,
    )
    made: dict[Variant, Mapping[str, Built]] = {}
    for variant, backend in backends.items():
        models = prepared.models.get(backend.graph_precision or "", {})
        if models and backend.builds_engines:
            again = f", build {which.index + 1}" if which.index else ""
            observer.phase(f"Building {variant}{again}", len(models))
        made[variant] = backend.build(pipeline, models, workshop)
    return made


def build_engines(
    pipeline: Pipeline,
    backends: Sequence[Backend],
    options: BuildOptions,
    cache: Cache,
    pool: WorkerPool,
    observer: Observer,
    components: Collection[str] = (),
) -> dict[Variant, Mapping[str, Built]]:
    """What each of ``backends`` builds, of graphs that are made where they are not there yet.

    Of ``components`` alone, where any are named; graphs and calibration are the whole pipeline's.

    Raises:
        HarnessError: a graph, the calibration set or an engine is impossible.
    """
    part = restrict(pipeline, components)
    prepared = prepare_backends(pipeline, backends, options, cache, pool, observer)
    models = {p: {n: m[n] for n in part.order} for p, m in prepared.models.items()}
    variants = {variant_of(backend): backend for backend in backends}
    return build_backends(part, variants, replace(prepared, models=models), cache, pool, observer)
