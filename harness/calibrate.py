"""Make a calibration set: diverse inputs, and what the fp32 pipeline makes of them."""

from __future__ import annotations

import importlib.metadata
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.artifacts.calibration import MIN_SAMPLES, CalibrationSet, make_set
from harness.artifacts.export import DEFAULT_OPSET, export_pipeline
from harness.artifacts.sources import pipeline_hash
from harness.audio import read_samples, window_samples
from harness.backends.onnxruntime import OnnxRuntimeBackend
from harness.backends.protocol import as_built
from harness.errors import CalibrationError, HarnessError, OptionError
from harness.pipeline.feeds import calibration_inputs, check_seed, recording_inputs
from harness.pipeline.fingerprint import hash_file
from harness.reference import Feed, run_stack, seek_reference, why_no_reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.artifacts.cache import Cache
    from harness.artifacts.export import OnnxModel
    from harness.artifacts.foreign import ForeignCache
    from harness.artifacts.worker import WorkerPool
    from harness.pipeline.pipeline import Pipeline

logger = logging.getLogger("harness.calibrate")

DEFAULT_SAMPLES: Final = 16
# Raised whenever the same seed would make another set.
GENERATOR_VERSION: Final = 1
# The result must not depend on how many cores there are, nor on how a sum is split among them.
_THREADS: Final = 1
_NAMED_FILES: Final = 5


@dataclass(frozen=True)
class CalibrationOptions:
    """What to make a set of: ``samples`` synthetic ones, or those of the files under ``audio``."""

    samples: int = DEFAULT_SAMPLES
    seed: int = 0
    audio: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no set."""
        if self.samples < MIN_SAMPLES:
            what = f"{self.samples} is too few to show a range"
            raise OptionError(what, where="--samples", fix=f"give {MIN_SAMPLES} or more")
        check_seed(self.seed)


def make_calibration_set(
    pipeline: Pipeline,
    options: CalibrationOptions,
    cache: Cache,
    pool: WorkerPool,
    *,
    opset: int = DEFAULT_OPSET,
    models: Mapping[str, OnnxModel] | None = None,
    foreign: ForeignCache | None = None,
) -> CalibrationSet:
    """Make a set of windows in the shape of the profile's opt.

    What feeds a later component is what the earlier ones make of the same sample, in PyTorch fp32
    (in ONNX Runtime where a component is given as ONNX, or without PyTorch). ``models`` are the
    exports that this takes, if they are made already; else it makes them, at ``opset``. What
    ``foreign`` holds is not computed again.

    Raises:
        CalibrationError: there is nothing readable, or too little, under ``options.audio``.
        HarnessError: the pipeline cannot be run; see :mod:`harness.errors`.
    """
    if options.audio is None:
        feeds = list(_synthetic(pipeline, options))
        origin: dict[str, Any] = {"kind": "synthetic", "seed": options.seed}
    else:
        feeds, origin = _recorded(pipeline, options, options.audio)
    inputs = {name: np.stack([feed[name] for feed in feeds]) for name in feeds[0]}
    made = _torch_tensors(pipeline, feeds, cache, pool, foreign)
    if made is None:
        models = models or export_pipeline(pipeline, cache, pool, opset=opset)
        made = _onnx_tensors(pipeline, inputs, models)
    tensors, reference = made
    info = {
        "pipeline": pipeline.name,
        "pipeline_hash": pipeline_hash(pipeline),
        "generator_version": GENERATOR_VERSION,
        "window": pipeline.profile("opt"),
        "fp32": reference,
        **origin,
    }
    return make_set(pipeline, {**inputs, **tensors}, info, f"the set of {pipeline.name}")


def _synthetic(pipeline: Pipeline, options: CalibrationOptions) -> Iterator[Feed]:
    sizes = pipeline.profile("opt")
    for index in range(options.samples):
        yield calibration_inputs(pipeline, sizes, seed=options.seed, index=index)


def _torch_tensors(
    pipeline: Pipeline,
    feeds: Sequence[Feed],
    cache: Cache,
    pool: WorkerPool,
    foreign: ForeignCache | None,
) -> tuple[dict[str, NDArray[Any]], str] | None:
    """What PyTorch makes of ``feeds``, and the name of what made it; None where it cannot."""
    if why_no_reference(pipeline, foreign):
        return None
    sizes = pipeline.profile("opt")
    found = seek_reference(pipeline, sizes, feeds, cache, pool, threads=_THREADS, foreign=foreign)
    if found is None:
        return None
    # Without the build's own tag: CPU and CUDA builds of a version agree on the CPU.
    return found.tensors, f"torch {found.torch_version.split('+')[0]}"


def _onnx_tensors(
    pipeline: Pipeline, inputs: Mapping[str, NDArray[Any]], models: Mapping[str, OnnxModel]
) -> tuple[dict[str, NDArray[Any]], str]:
    session = OnnxRuntimeBackend(threads=_THREADS).open(pipeline, as_built(models))
    try:
        tensors = run_stack(pipeline, session, pipeline.profile("opt"), inputs)
    finally:
        session.close()
    return tensors, f"onnxruntime {importlib.metadata.version('onnxruntime')}"


def _recorded(
    pipeline: Pipeline, options: CalibrationOptions, folder: Path
) -> tuple[list[Feed], dict[str, Any]]:
    """Windows of the recordings under ``folder``, drawn without replacement by the seed."""
    sizes = pipeline.profile("opt")
    windows, files = _windows(pipeline, folder)
    if len(windows) < MIN_SAMPLES:
        what = f"the recordings make {len(windows)} windows, at least {MIN_SAMPLES} are needed"
        raise CalibrationError(what, where=str(folder), fix="add longer or more recordings")
    rng = np.random.default_rng(options.seed)
    chosen = rng.permutation(len(windows))[: options.samples]
    if len(chosen) < options.samples:
        logger.warning(
            "%s: %d windows for the %d samples asked for", folder, len(chosen), options.samples
        )
    feeds = [recording_inputs(pipeline, windows[index], sizes) for index in sorted(chosen)]
    return feeds, {"kind": "recordings", "seed": options.seed, "files": files}


def _windows(
    pipeline: Pipeline, folder: Path
) -> tuple[list[NDArray[np.float32]], list[dict[str, str]]]:
    """Every whole window of every readable file, and a padded one of a file that is shorter."""
    if not folder.is_dir():
        fix = "give a folder of recordings"
        raise CalibrationError("is no folder", where=str(folder), fix=fix)
    length = window_samples(pipeline)
    windows: list[NDArray[np.float32]] = []
    files, problems = [], []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not _is_hidden(p, folder)):
        try:
            samples, _ = read_samples(pipeline, path)
        except HarnessError as error:
            problems.append((path, error.what))
            continue
        if not len(samples):
            problems.append((path, "holds no samples"))
            continue
        padded = np.pad(samples, (0, max(0, length - len(samples))))
        count = len(padded) // length
        windows.extend(padded[: count * length].reshape(count, length))
        files.append({"file": str(path.relative_to(folder)), "content_hash": hash_file(path)})
    if not files:
        raise CalibrationError(
            _nothing_readable(problems), where=str(folder), fix="give WAV or FLAC files"
        )
    for path, problem in problems:
        logger.warning("%s is left out: %s", path, problem)
    return windows, files


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _nothing_readable(problems: Sequence[tuple[Path, str]]) -> str:
    if not problems:
        return "there is no file in it"
    tried = ", ".join(path.name for path, _ in problems[:_NAMED_FILES])
    more = len(problems) - _NAMED_FILES
    tried += f" and {more} more" if more > 0 else ""
    return f"nothing in it can be read as sound; tried: {tried}"
