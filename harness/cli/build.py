"""``harness build``."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from harness.api import build_engines, make_backends
from harness.artifacts.cache import Cache, default_cache_root
from harness.artifacts.contract import graph_files
from harness.artifacts.precision import FP32, check_precisions
from harness.artifacts.worker import WorkerPool
from harness.cli.graphs import build_options
from harness.cli.output import tell
from harness.cli.progress import ProgressObserver
from harness.errors import EXIT_PASS
from harness.files import check_folder, check_writable, written_whole
from harness.pipeline.loader import load_pipeline
from harness.plan import plan_build
from harness.prepare import prepare_models
from harness.report.words import held_sentence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.artifacts.export import OnnxModel
    from harness.backends.protocol import Backend
    from harness.backends.tensorrt.options import TensorRTChoice
    from harness.observer import Observer
    from harness.pipeline.pipeline import Pipeline
    from harness.prepare import BuildOptions


def build_command(
    *,
    pipeline: str,
    out: Path | None,
    plan: bool,
    backend: str | None,
    tensorrt: TensorRTChoice,
    precisions: tuple[str, ...],
    calibration_file: Path | None,
    calibration_method: str | None,
    percentile: float | None,
    artifacts: Path | None,
    cache: Path | None,
    opset: int,
) -> int:
    """Export and convert, say where each graph is, and give the exit code."""
    wanted = tuple(dict.fromkeys(precisions)) or (FP32,)
    check_precisions(wanted)
    options = build_options(
        precisions, calibration_file, calibration_method, percentile, opset, artifacts
    )
    loaded = load_pipeline(pipeline)
    backends = [] if backend is None else make_backends([backend], wanted, tensorrt=tensorrt)
    own = Cache(cache or default_cache_root())
    if plan:
        tell("\n".join(plan_build(loaded, backends, wanted, own, options)))
        return EXIT_PASS
    if out is not None:
        check_folder(out)
    with ProgressObserver() as observer, WorkerPool() as pool:
        if any(made.builds_engines for made in backends):
            _build_engines(loaded, backends, options, own, pool, observer, out)
            return EXIT_PASS
        prepared = prepare_models(loaded, wanted, options, own, pool, observer)
    for precision, models in prepared.models.items():
        for model in models.values():
            path = model.path if out is None else _copy(model, _folder(out, precision, wanted))
            tell(f"{_label(model, wanted)}: {path}")
    return EXIT_PASS


def _build_engines(
    pipeline: Pipeline,
    backends: Sequence[Backend],
    options: BuildOptions,
    cache: Cache,
    pool: WorkerPool,
    observer: Observer,
    out: Path | None,
) -> None:
    made = build_engines(pipeline, backends, options, cache, pool, observer)
    for variant, engines in made.items():
        folder = out
        if out is not None and len(made) > 1:
            folder = out / "-".join(filter(None, (variant.precision, variant.route)))
        for name, built in engines.items():
            path = built.path if folder is None else _copy_engine(built.path, folder)
            spent = "cached, " if built.was_cached else ""
            size = f"{(built.size_bytes or 0) / 1e6:.2f} MB"
            tell(f"{name} {variant} ({size}, {spent}built in {built.build_s or 0.0:.1f} s): {path}")


def _copy_engine(path: Path, folder: Path) -> Path:
    """Copy an engine and the sidecar that tells what it is."""
    for source in (path.with_suffix(".json"), path):
        _copy_file(source, folder / source.name)
    return folder / path.name


def _copy_file(source: Path, target: Path) -> None:
    check_writable(target)
    with written_whole(target) as scratch:
        shutil.copyfile(source, scratch)


def _folder(out: Path, precision: str, wanted: tuple[str, ...]) -> Path:
    """A folder for each precision, where there are several: the files have the same names."""
    return out if wanted == (FP32,) else out / precision


def _label(model: OnnxModel, wanted: tuple[str, ...]) -> str:
    if wanted == (FP32,):
        return model.component
    held = "" if model.nodes is None else f" ({held_sentence(model.precision, model.nodes)})"
    return f"{model.component} {model.precision}{held}"


def _copy(model: OnnxModel, folder: Path) -> Path:
    """Copy a graph as ``COMPONENT.onnx``, and external data under the names that it uses."""
    target = folder / f"{model.component}.onnx"
    for source in reversed(graph_files(model.path)):
        copy = target if source == model.path else folder / source.relative_to(model.path.parent)
        _copy_file(source, copy)
    return target
