"""``harness build``."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import click

from harness.artifacts.cache import Cache, default_cache_root
from harness.artifacts.export import export_pipeline
from harness.artifacts.worker import WorkerPool
from harness.cli.progress import ProgressObserver
from harness.errors import EXIT_PASS, storage_errors
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
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(source, scratch)
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)
    return target
