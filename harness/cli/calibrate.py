"""``harness calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from harness.artifacts.cache import Cache, default_cache_root
from harness.artifacts.calibration import load_set, save_set
from harness.artifacts.export import check_opset, export_pipeline
from harness.artifacts.precision import check_precisions, needs_calibration
from harness.artifacts.sources import pipeline_hash
from harness.artifacts.worker import WorkerPool
from harness.calibrate import CalibrationOptions, make_calibration_set
from harness.cli.output import tell
from harness.cli.progress import ProgressObserver
from harness.errors import EXIT_PASS, OptionError
from harness.files import check_writable
from harness.pipeline.loader import load_pipeline
from harness.report.sweep import render_sweep
from harness.sweep import sweep as sweep_rules

if TYPE_CHECKING:
    from harness.artifacts.calibration import CalibrationSet
    from harness.pipeline.pipeline import Pipeline


def calibrate_command(
    *,
    pipeline: str,
    out: Path | None,
    samples: int,
    seed: int,
    audio: Path | None,
    sweep: bool,
    precisions: tuple[str, ...],
    cache: Path | None,
    opset: int,
) -> int:
    """Make and write the set, sweep if asked to, and give the exit code."""
    check_opset(opset)
    if precisions and not sweep:
        what = "nothing is converted without --sweep"
        raise OptionError(what, where="--precision", fix="add --sweep, or leave it out")
    wanted = tuple(dict.fromkeys(precisions)) or ("int8",)
    check_precisions(wanted)
    for precision in wanted:
        if not needs_calibration(precision):
            what = f"{precision} is not calibrated"
            raise OptionError(what, where="--precision", fix="name one of the INT8 ones")
    options = CalibrationOptions(samples=samples, seed=seed, audio=audio)
    loaded = load_pipeline(pipeline)
    path = out or Path("reports") / f"{loaded.name}-calibration.npz"
    check_writable(path)
    artifacts = Cache(cache or default_cache_root())
    with ProgressObserver() as observer, WorkerPool() as pool:
        observer.phase("Making the calibration set", 1)
        made = make_calibration_set(loaded, options, artifacts, pool, opset=opset)
        save_set(made, path)
        observer.step(f"{len(made)} samples")
        rows = []
        if sweep:
            observer.phase("Exporting to ONNX", len(loaded.components))
            models = export_pipeline(loaded, artifacts, pool, opset=opset)
            rows = list(sweep_rules(loaded, models, wanted, made, artifacts, pool, observer))
    _print(loaded, made, path)
    if rows:
        Console().print(render_sweep(rows))
    return EXIT_PASS


def _print(pipeline: Pipeline, made: CalibrationSet, path: Path) -> None:
    # Read again: what is on the disk is what is told of.
    held = load_set(path, pipeline, pipeline_hash(pipeline))
    tell(f"{path}: {len(held)} samples, {path.stat().st_size / 1e6:.2f} MB")
    tell(f"  hash {made.content_hash}")
    for name, array in held.tensors.items():
        shape = ", ".join(map(str, array.shape[1:]))
        tell(f"  {name}: {array.dtype} [{shape}], {array.min():g} to {array.max():g}")
