"""``harness build``."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import click

from harness.artifacts.cache import Cache, default_cache_root
from harness.artifacts.contract import graph_files
from harness.artifacts.precision import FP32, check_precisions
from harness.artifacts.worker import WorkerPool
from harness.cli.graphs import build_options
from harness.cli.progress import ProgressObserver
from harness.errors import EXIT_PASS
from harness.files import check_folder, check_writable, written_whole
from harness.pipeline.loader import load_pipeline
from harness.prepare import prepare_models
from harness.report.words import held_sentence

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.export import OnnxModel


def build_command(
    *,
    pipeline: str,
    out: Path | None,
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
    if out is not None:
        check_folder(out)
    with ProgressObserver() as observer, WorkerPool() as pool:
        own = Cache(cache or default_cache_root())
        prepared = prepare_models(loaded, wanted, options, own, pool, observer)
    for precision, models in prepared.models.items():
        for model in models.values():
            path = model.path if out is None else _copy(model, _folder(out, precision, wanted))
            click.echo(f"{_label(model, wanted)}: {path}")
    return EXIT_PASS


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
        check_writable(copy)
        with written_whole(copy) as scratch:
            shutil.copyfile(source, scratch)
    return target
