"""Make a pipeline's graphs in other precisions, each in a process of its own, into the cache."""

from __future__ import annotations

import importlib.metadata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.errors import OptionError
from harness.files import save_arrays
from harness.pipeline.fingerprint import hash_json
from harness.stats.thresholds import DEFAULT_PERCENTILE, METHODS
from harness.types import NodeCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from harness.artifacts.cache import Cache, Entry
    from harness.artifacts.calibration import CalibrationSet
    from harness.artifacts.export import OnnxModel
    from harness.artifacts.worker import WorkerPool
    from harness.pipeline.pipeline import Pipeline

KIND: Final = "precision"
HISTOGRAMS_KIND: Final = "histograms"
FP32: Final = "fp32"
PRECISIONS: Final = (FP32, "fp16", "int8", "int8-ort", "int8+fp16")
# Raised whenever the same graph and data would make another graph.
_CONVERTER_VERSION: Final = 6
_HISTOGRAMS_VERSION: Final = 3
_KEY_PACKAGES: Final = ("onnx", "onnxruntime", "numpy")
_WORKER: Final = "harness.artifacts.precision_worker"


@dataclass(frozen=True)
class ClippingRule:
    """How wide a range INT8 spreads its 256 steps over, from the histogram of a tensor.

    ``percentile`` is the share of absolute values, in %, that is not clipped; it belongs to the
    method of that name only.
    """

    method: str = "percentile"
    percentile: float = DEFAULT_PERCENTILE

    def __post_init__(self) -> None:
        """Refuse what no histogram answers."""
        if self.method not in METHODS:
            fix = f"choose one of: {', '.join(METHODS)}"
            what = f"there is no method {self.method!r}"
            raise OptionError(what, where="--calibration-method", fix=fix)
        if self.method != "percentile" and self.percentile != DEFAULT_PERCENTILE:
            what = f"the method {self.method} takes no percentile"
            raise OptionError(what, where="--percentile", fix="leave it out")
        if not 0.0 < self.percentile <= 100.0:  # noqa: PLR2004  # per cent
            what = f"{self.percentile:g} is no percentile of values to keep"
            raise OptionError(what, where="--percentile", fix="give more than 0, up to 100")

    def __str__(self) -> str:
        """For reports: ``percentile 99.99``."""
        is_percentile = self.method == "percentile"
        return f"percentile {self.percentile:g}" if is_percentile else self.method


@dataclass(frozen=True)
class Quantization:
    """What INT8 is made with: the set, and the rule that turns its values into ranges."""

    calibration: CalibrationSet
    rule: ClippingRule = field(default_factory=ClippingRule)


def needs_calibration(precision: str) -> bool:
    """Whether graphs of ``precision`` are made with a calibration set."""
    return precision.startswith("int8")


def convert_pipeline(  # noqa: PLR0913  # each is one independent choice
    pipeline: Pipeline,
    models: Mapping[str, OnnxModel],
    precision: str,
    quantization: Quantization | None,
    cache: Cache,
    pool: WorkerPool,
    *,
    workers: int,
    scratch: Cache | None = None,
    on_done: Callable[[OnnxModel], None] = lambda _: None,
) -> dict[str, OnnxModel]:
    """The graphs of ``models`` in ``precision``, by component, from the cache or made now.

    Args:
        pipeline: what the graphs belong to.
        models: the exported graphs, in fp32.
        precision: one of :data:`PRECISIONS`.
        quantization: needed for the INT8 ones.
        cache: where the graphs are kept, and the histograms that INT8 is made from.
        pool: makes them.
        workers: how many at a time.
        scratch: where the graphs go instead, if they are not to be kept.
        on_done: called for each as it is ready.

    Raises:
        OptionError: there is no such precision, or no calibration set for it.
        ContractError, HarnessError: a graph cannot be converted.
    """
    _check_request(precision, quantization)
    if precision == FP32:
        return dict(models)

    def convert(name: str) -> OnnxModel:
        model = models[name]
        recipe: dict[str, Any] = {"converter": _CONVERTER_VERSION}
        histograms = None
        if quantization is not None and needs_calibration(precision):
            calibration, rule = quantization.calibration, quantization.rule
            histograms = find_or_make_histograms(pipeline, model, calibration, cache, pool)
            recipe |= {"calibration": histograms.info["data_hash"], "clipping": asdict(rule)}
        target = scratch or cache
        model = _convert(pipeline.name, model, precision, recipe, histograms, target, pool)
        on_done(model)
        return model

    with ThreadPoolExecutor(max(1, workers)) as executor:
        futures = {name: executor.submit(convert, name) for name in reversed(pipeline.order)}
        try:
            return {name: futures[name].result() for name in pipeline.components}
        except BaseException:
            for future in futures.values():
                future.cancel()
            pool.close()
            raise


def check_precisions(precisions: Iterable[str]) -> None:
    """Check that there are such precisions.

    Raises:
        OptionError: naming those that there are.
    """
    for precision in precisions:
        if precision not in PRECISIONS:
            fix = f"choose one of: {', '.join(PRECISIONS)}"
            raise OptionError(f"there is no precision {precision!r}", where="--precision", fix=fix)


def _check_request(precision: str, quantization: Quantization | None) -> None:
    check_precisions([precision])
    if needs_calibration(precision) and quantization is None:
        what = f"{precision} needs a calibration set"
        raise OptionError(what, where="--precision", fix="give one")


def _convert(
    pipeline: str,
    model: OnnxModel,
    precision: str,
    recipe: Mapping[str, Any],
    histograms: Entry | None,
    cache: Cache,
    pool: WorkerPool,
) -> OnnxModel:
    request: dict[str, Any] = {
        "component": model.component,
        "graph": str(model.path),
        "precision": precision,
    }
    if histograms is not None:
        file = str(histograms.file("histograms.npz"))
        request |= {"histograms": file, "clipping": recipe["clipping"]}

    def build(folder: Path) -> Mapping[str, Any]:
        function = f"{_WORKER}:convert_component"
        return pool.run(function, {**request, "folder": str(folder)}, threads=1)

    entry, was_cached = cache.get_or_build(
        KIND,
        hash_json({"graph": model.content_hash, "precision": precision, **_versions(), **recipe}),
        f"{pipeline}/{model.component} {precision}",
        build,
        is_cancelled=lambda: pool.is_closed,
    )
    return replace(
        model,
        path=entry.file(f"{model.component}.onnx"),
        content_hash=entry.info["content_hash"],
        size_bytes=entry.size_bytes,
        worst_relative_l2=None,
        was_cached=was_cached,
        export_s=0.0 if was_cached else entry.build_s,
        precision=precision,
        nodes=NodeCounts(**entry.info["nodes"]),
        recipe={**recipe, "kept_fp32": entry.info["kept_fp32"]},
    )


def find_or_make_histograms(
    pipeline: Pipeline,
    model: OnnxModel,
    calibration: CalibrationSet,
    cache: Cache,
    pool: WorkerPool,
) -> Entry:
    """The values that every tensor of a graph takes over a calibration set; keyed on both."""
    data_hash = calibration.component_hash(pipeline, model.component)

    def build(folder: Path) -> Mapping[str, Any]:
        feeds = [
            calibration.component_inputs(pipeline, model.component, index)
            for index in range(len(calibration))
        ]
        stacks = {name: np.stack([feed[name] for feed in feeds]) for name in feeds[0]}
        inputs = folder / "inputs.npz"
        save_arrays(inputs, stacks)
        request = {
            "graph": str(model.path),
            "inputs": str(inputs),
            "histograms": str(folder / "histograms.npz"),
        }
        try:
            pool.run(f"{_WORKER}:collect_histograms", request, threads=1)
        finally:
            inputs.unlink(missing_ok=True)
        return {"data_hash": data_hash}

    key = {"graph": model.content_hash, "data": data_hash, "collector": _HISTOGRAMS_VERSION}
    entry, _ = cache.get_or_build(
        HISTOGRAMS_KIND,
        hash_json({**key, **_versions()}),
        f"{pipeline.name}/{model.component} histograms",
        build,
        is_cancelled=lambda: pool.is_closed,
    )
    return entry


def _versions() -> dict[str, Any]:
    return {"versions": {name: importlib.metadata.version(name) for name in _KEY_PACKAGES}}
