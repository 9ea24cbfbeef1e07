"""``harness build``."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import click

from harness.artifacts.cache import Cache, default_cache_root
from harness.artifacts.contract import graph_files
from harness.artifacts.export import OnnxModel, export_pipeline
from harness.artifacts.worker import WorkerPool
from harness.cli.progress import ProgressObserver
from harness.errors import EXIT_PASS
from harness.files import check_writable, written_whole
from harness.pipeline.loader import load_pipeline

if TYPE_CHECKING:
    from pathlib import Path


def build_command(*, pipeline: str, out: Path | None, cache: Path | None, opset: int) -> int:
    """Export, say where each graph is, and give the exit code."""
    loaded = load_pipeline(pipeline)
    with ProgressObserver() as observer, WorkerPool() as pool:
        observer.phase("Exporting to ONNX", len(loaded.components))
        models = export_pipeline(
            loaded,
            Cache(cache or default_cache_root()),
            pool,
            opset=opset,
            on_done=lambda model: observer.step(model.component),
        )
    for model in models.values():
        path = model.path if out is None else _copy(model, out)
        click.echo(f"{model.component}: {path}")
    return EXIT_PASS


def _copy(model: OnnxModel, folder: Path) -> Path:
    """Copy a graph as ``COMPONENT.onnx``, and external data under the names that it uses."""
    target = folder / f"{model.component}.onnx"
    for source in reversed(graph_files(model.path)):
        copy = target if source == model.path else folder / source.relative_to(model.path.parent)
        check_writable(copy)
        with written_whole(copy) as scratch:
            shutil.copyfile(source, scratch)
    return target
