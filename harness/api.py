"""The public functions; also what chooses the concrete backend, cache and clock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from harness.artifacts.cache import Cache, default_cache_root
from harness.artifacts.export import DEFAULT_OPSET, OnnxModel, export_pipeline
from harness.artifacts.worker import WorkerPool
from harness.backends.onnxruntime import OnnxRuntimeBackend
from harness.backends.torch import TorchBackend
from harness.errors import FeatureUnavailableError, OptionError
from harness.measure.clock import HostClock
from harness.measure.environment import available_cores
from harness.measure.sampler import DEFAULT_MAX_SAMPLES, DEFAULT_MAX_TIME_S, SamplingPlan
from harness.pipeline.loader import load_pipeline
from harness.runner import Run, RunOptions, default_cases
from harness.types import Case
from harness.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.backends.protocol import Backend
    from harness.pipeline.pipeline import Pipeline
    from harness.types import Record

__all__ = [
    "TensorRTConverter",
    "TensorRTEngine",
    "benchmark_end_to_end_latency",
    "create_int8_calibration_dataset",
    "export_and_build_engines",
    "load_pipeline",
]

DEFAULT_BACKEND: Final = "onnxruntime"
BACKENDS: Final = (DEFAULT_BACKEND, "torch")
_LATER: Final = ("tensorrt", "tensorrt-rtx")


def make_backend(name: str, *, threads: int | None = None) -> Backend:
    """The backend called ``name``, using ``threads`` CPU threads (all available ones by default).

    Raises:
        FeatureUnavailableError: this version does not have it.
        OptionError: there is no such backend, or the threads cannot be had.
    """
    threads = available_cores() if threads is None else threads
    if not 1 <= threads <= available_cores():
        what = f"{threads} threads, and {available_cores()} cores are available"
        raise OptionError(what, where="--threads", fix=f"choose 1 to {available_cores()}")
    if name == DEFAULT_BACKEND:
        return OnnxRuntimeBackend(threads=threads)
    if name == "torch":
        return TorchBackend(threads=threads)
    if name in _LATER:
        raise _not_yet(f"the backend {name}")
    fix = f"choose one of: {', '.join(BACKENDS)}"
    raise OptionError(f"there is no backend {name!r}", where="--backend", fix=fix)


def export_and_build_engines(
    pipeline: str | Path | Pipeline,
    *,
    backend: str = DEFAULT_BACKEND,
    cache: str | Path | None = None,
    opset: int = DEFAULT_OPSET,
) -> dict[str, OnnxModel]:
    """Export every component of a pipeline, check it, and keep it in the cache.

    Args:
        pipeline: a loaded pipeline, the name of a shipped one, or a folder.
        backend: what to build for. ONNX Runtime runs the exported graphs as they are.
        cache: the cache's folder; the user's cache by default.
        opset: the ONNX opset, 17 to 20.

    Returns:
        The checked graph of each component, by name, in the order of the data.

    Raises:
        HarnessError: see :mod:`harness.errors`.
    """
    make_backend(backend)
    with WorkerPool() as pool:
        return export_pipeline(_pipeline(pipeline), _cache(cache), pool, opset=opset)


def benchmark_end_to_end_latency(  # noqa: PLR0913  # each is one independent choice
    pipeline: str | Path | Pipeline,
    *,
    backends: Sequence[str] = (DEFAULT_BACKEND,),
    durations_s: Sequence[float] | None = None,
    batches: Sequence[int] | None = None,
    max_samples: int = DEFAULT_MAX_SAMPLES,
    max_time_s: float = DEFAULT_MAX_TIME_S,
    threads: int | None = None,
    seed: int = 0,
    cache: str | Path | None = None,
) -> Record:
    """Measure each component and the whole pipeline, and return the record (nothing is written).

    Args:
        pipeline: a loaded pipeline, the name of a shipped one, or a folder.
        backends: what to measure, in turn in one run: ``onnxruntime``, ``torch``.
        durations_s: seconds of input; those that the pipeline declares by default.
        batches: batch sizes; those that the pipeline declares by default.
        max_samples: samples of each series after which to stop.
        max_time_s: seconds of measuring at each duration and batch after which to stop.
        threads: CPU threads; all available cores by default.
        seed: of the synthetic inputs.
        cache: the cache's folder; the user's cache by default.

    Raises:
        HarnessError: see :mod:`harness.errors`.
    """
    loaded = _pipeline(pipeline)
    options = RunOptions(
        cases=choose_cases(loaded, durations_s, batches),
        sampling=SamplingPlan(max_samples=max_samples, max_time_s=max_time_s),
        seed=seed,
    )
    chosen = [make_backend(name, threads=threads) for name in dict.fromkeys(backends)]
    if not chosen:
        fix = f"name one of: {', '.join(BACKENDS)}"
        raise OptionError("no backend is named", where="backends", fix=fix)
    return Run(loaded, chosen, _cache(cache), options, HostClock()).execute().record


def choose_cases(
    pipeline: Pipeline, durations_s: Sequence[float] | None, batches: Sequence[int] | None
) -> tuple[Case, ...]:
    """Every asked duration at every asked batch, checked against the profile.

    Raises:
        OptionError: one lies outside the profile; the message names the range.
    """
    declared = default_cases(pipeline)
    chosen_durations: Sequence[float | None]
    chosen_durations = durations_s or [case.duration_s for case in declared]
    chosen_batches = batches or [case.batch for case in declared]
    # One asked for twice is measured once.
    cases = tuple(dict.fromkeys(Case(d, b) for b in chosen_batches for d in chosen_durations))
    for case in cases:
        pipeline.sizes(duration_s=case.duration_s, batch=case.batch)
    return cases


def create_int8_calibration_dataset(*_args: object, **_options: object) -> NoReturn:
    """Make a synthetic INT8 calibration set; not in this version.

    Raises:
        FeatureUnavailableError: always.
    """
    raise _not_yet("create_int8_calibration_dataset()")


class TensorRTConverter:
    """Builds TensorRT engines; not in this version."""

    def __init__(self, *_args: object, **_options: object) -> None:
        """Refuse, with what to use instead.

        Raises:
            FeatureUnavailableError: always.
        """
        raise _not_yet("TensorRTConverter")


class TensorRTEngine:
    """Runs a TensorRT engine; not in this version."""

    def __init__(self, *_args: object, **_options: object) -> None:
        """Refuse, with what to use instead.

        Raises:
            FeatureUnavailableError: always.
        """
        raise _not_yet("TensorRTEngine")


def _not_yet(what: str) -> FeatureUnavailableError:
    message = f"{what} is not in version {__version__}"
    fix = f"use the backend {DEFAULT_BACKEND} until a version that has it"
    return FeatureUnavailableError(message, fix=fix)


def _pipeline(pipeline: str | Path | Pipeline) -> Pipeline:
    return load_pipeline(pipeline) if isinstance(pipeline, (str, Path)) else pipeline


def _cache(root: str | Path | None) -> Cache:
    return Cache(Path(root) if root is not None else default_cache_root())
