"""``harness build``."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import click

from harness.artifacts.cache import Cache, default_cache_root
from harness.artifacts.export import export_pipeline
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
        path = model.path if out is None else _copy(model.path, out / f"{model.component}.onnx")
        click.echo(f"{model.component}: {path}")
    return EXIT_PASS


def _copy(source: Path, target: Path) -> Path:
    check_writable(target)
    with written_whole(target) as scratch:
        shutil.copyfile(source, scratch)
    return target
