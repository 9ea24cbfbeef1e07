"""The public functions; also what chooses the concrete backend, cache and clock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.arrivals import Arrival
from harness.artifacts.cache import Cache, default_cache_root
from harness.artifacts.calibration import CalibrationSet, save_set
from harness.artifacts.export import DEFAULT_OPSET
from harness.artifacts.precision import FP32, ClippingRule, check_precisions
from harness.artifacts.worker import WorkerPool
from harness.backends import peers
from harness.backends.gpu import has_gpu
from harness.backends.simulated import check_simulation, make_simulated
from harness.backends.tensorrt.backend import TensorRTBackend
from harness.backends.tensorrt.library import AUTO, TENSORRT, TENSORRT_RTX, find_library
from harness.backends.tensorrt.options import TensorRTChoice, make_recipes
from harness.backends.tensorrt.standalone import TensorRTConverter, TensorRTEngine
from harness.calibrate import DEFAULT_SAMPLES, CalibrationOptions, make_calibration_set
from harness.cases import default_cases
from harness.errors import OptionError
from harness.files import check_writable
from harness.measure.clock import HostClock
from harness.measure.environment import available_cores
from harness.measure.sampler import DEFAULT_REL_PRECISION, SamplingPlan
from harness.measure.simulated_clock import SIMULATED
from harness.observer import SilentObserver
from harness.pipeline.loader import load_pipeline
from harness.prepare import BuildOptions, build_engines, prepare_models
from harness.runner import Run, RunOptions
from harness.types import GRAPH, HOT, Case

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.artifacts.export import OnnxModel
    from harness.backends.protocol import Backend, Built
    from harness.backends.simulated import SimulationOptions
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
BACKENDS: Final = (*peers.PEERS, TENSORRT, TENSORRT_RTX, AUTO, SIMULATED)
_TENSORRT: Final = (TENSORRT, TENSORRT_RTX, AUTO)


def make_backends(
    names: Sequence[str],
    precisions: Sequence[str],
    *,
    threads: int | None = None,
    launches: Sequence[str] = (GRAPH,),
    tensorrt: TensorRTChoice | None = None,
    interpreters: Mapping[str, Path] | None = None,
    simulation: SimulationOptions | None = None,
) -> list[Backend]:
    """Every named backend at every named precision that it can run, each once.

    PyTorch runs fp32, on a GPU also fp16; with others it is the peer that they are held against.
    ``launches`` are those of a GPU: ``graph``, ``enqueue``. A backend of ``interpreters`` runs in
    that Python. ``simulation`` is that of ``simulated``; by default ``TRT_HARNESS_SIMULATION``.

    Raises:
        FeatureUnavailableError: this version does not have it.
        OptionError: there is no such backend or precision, or none that fit together.
    """
    check_precisions(precisions)
    peers.check_launches(launches)
    interpreters = interpreters or {}
    peers.check_interpreters(interpreters, names)
    made: list[Backend] = []
    for name in dict.fromkeys(names):
        if name in _TENSORRT:
            choice = tensorrt or TensorRTChoice()
            made.extend(_tensorrt_backends(name, precisions, launches, choice))
            continue
        made.extend(
            make_backend(
                name,
                threads=threads,
                precision=precision,
                launches=launches,
                python=interpreters.get(name),
                simulation=simulation,
            )
            for precision in peers.runnable_precisions(name, precisions)
        )
    check_simulation(made)
    return made


def check_used(
    names: Iterable[str], *, tensorrt: Mapping[str, bool], launches: Mapping[str, bool]
) -> None:
    """Check that options which were given, by their names, change what these backends do.

    Raises:
        OptionError: naming the first that would change nothing.
    """
    known = set(names)
    for option in (option for option, is_given in tensorrt.items() if is_given):
        if not known & set(_TENSORRT):
            fix = f"add {TENSORRT}, {TENSORRT_RTX} or {AUTO} with --backend, or leave it out"
            raise OptionError("no backend is a TensorRT", where=option, fix=fix)
    for option in (option for option, is_given in launches.items() if is_given):
        if not any(name in _TENSORRT or name.startswith("torch-cuda") for name in known):
            what = "no backend is launched on a GPU in more ways than one"
            fix = f"add --backend {TENSORRT} or torch-cuda, or leave it out"
            raise OptionError(what, where=option, fix=fix)


def make_backend(
    name: str,
    *,
    threads: int | None = None,
    precision: str = FP32,
    launches: Sequence[str] = (GRAPH,),
    python: Path | None = None,
    simulation: SimulationOptions | None = None,
) -> Backend:
    """The backend called ``name``, using ``threads`` CPU threads (all available ones by default).

    Raises:
        FeatureUnavailableError: this version does not have it.
        OptionError: there is no such backend, or the threads cannot be had.
    """
    threads = available_cores() if threads is None else threads
    if not 1 <= threads <= available_cores():
        what = f"{threads} threads, and {available_cores()} cores are available"
        raise OptionError(what, where="--threads", fix=f"choose 1 to {available_cores()}")
    if name in peers.PEERS:
        return peers.make_peer(
            name, threads=threads, precision=precision, launches=launches, python=python
        )
    if name == SIMULATED:
        return make_simulated(simulation, threads=threads, precision=precision)
    fix = f"choose one of: {', '.join(BACKENDS)}"
    raise OptionError(f"there is no backend {name!r}", where="--backend", fix=fix)


def _tensorrt_backends(
    name: str, precisions: Sequence[str], launches: Sequence[str], choice: TensorRTChoice
) -> list[Backend]:
    library = find_library(name, has_gpu=has_gpu())
    recipes = make_recipes(library, list(dict.fromkeys(precisions)), choice)
    return [
        TensorRTBackend(
            library,
            recipe,
            choice.options,
            launches=dict.fromkeys(launches),
            engines=choice.engines,
        )
        for recipe in recipes
    ]


def export_and_build_engines(  # noqa: PLR0913  # each is one independent choice
    pipeline: str | Path | Pipeline,
    *,
    backend: str = DEFAULT_BACKEND,
    precision: str = FP32,
    tensorrt: TensorRTChoice | None = None,
    calibration: str | Path | None = None,
    clipping: ClippingRule | None = None,
    cache: str | Path | None = None,
    opset: int = DEFAULT_OPSET,
    artifacts: str | Path | None = None,
) -> dict[str, OnnxModel] | dict[str, Built]:
    """Export every component of a pipeline, check it, and keep it in the cache; build its engine.

    Args:
        pipeline: a loaded pipeline, the name of a shipped one, or a folder.
        backend: what to build for: ``tensorrt``, ``tensorrt-rtx`` (needs no GPU) or ``auto``.
            Others, as ``onnxruntime``, run the graphs as they are.
        precision: of the graphs: ``fp32``, ``fp16``, ``int8``, ``int8-ort``, ``int8+fp16``.
        tensorrt: what TensorRT's builder is told, and the one route to the precision
            (:class:`harness.backends.tensorrt.options.TensorRTChoice`); its defaults otherwise.
        calibration: a calibration set for INT8; a synthetic one is made by default.
        clipping: how INT8's ranges are found; percentile 99.99 by default.
        cache: the cache's folder; the user's cache by default.
        opset: the ONNX opset, 17 to 20.
        artifacts: the cache of an interpreter that has PyTorch, to take the exports from.

    Returns:
        By name, in the order of the data, the engine of each component
        (:class:`harness.backends.protocol.Built`: its path, size, seconds of building, details);
        its checked graph for a backend that builds none.

    Raises:
        HarnessError: see :mod:`harness.errors`.
    """
    check_used([backend], tensorrt={"tensorrt": tensorrt is not None}, launches={})
    made = make_backends([backend], [precision], tensorrt=tensorrt)
    if len(made) > 1:
        what = f"{precision} is asked for by several routes"
        raise OptionError(what, where="tensorrt", fix="name one, and call again for the others")
    options = _build_options(calibration, clipping, opset, artifacts)
    loaded, own = _pipeline(pipeline), _cache(cache)
    with WorkerPool() as pool:
        if made[0].builds_engines:
            built = build_engines(loaded, made, options, own, pool, SilentObserver())
            return dict(next(iter(built.values())))
        prepared = prepare_models(loaded, [precision], options, own, pool, SilentObserver())
    return prepared.models[precision]


def benchmark_end_to_end_latency(  # noqa: PLR0913  # each is one independent choice
    pipeline: str | Path | Pipeline,
    *,
    backends: Sequence[str] = (DEFAULT_BACKEND,),
    precisions: Sequence[str] = (FP32,),
    durations_s: Sequence[float] | None = None,
    batches: Sequence[int] | None = None,
    rel_precision: float = DEFAULT_REL_PRECISION,
    tail: bool | None = None,
    max_samples: int | None = None,
    max_time_s: float | None = None,
    mode: str = HOT,
    launches: Sequence[str] | None = None,
    tensorrt: TensorRTChoice | None = None,
    interpreters: Mapping[str, str | Path] | None = None,
    calibration: str | Path | None = None,
    clipping: ClippingRule | None = None,
    threads: int | None = None,
    seed: int = 0,
    cache: str | Path | None = None,
    artifacts: str | Path | None = None,
    simulation: SimulationOptions | None = None,
) -> Record:
    """Measure each component and the whole pipeline, and return the record (nothing is written).

    Args:
        pipeline: a loaded pipeline, the name of a shipped one, or a folder.
        backends: what to measure, in turn in one run: ``tensorrt``, ``tensorrt-rtx``, ``auto``,
            ``onnxruntime``, ``onnxruntime-cuda``, ``torch``, ``torch-cuda``,
            ``torch-cuda-benchmark``, ``torch-cuda-compile``; or, alone, ``simulated``.
        precisions: of the graphs: ``fp32``, ``fp16``, ``int8``, ``int8-ort``, ``int8+fp16``.
        durations_s: seconds of input; those that the pipeline declares by default.
        batches: batch sizes; those that the pipeline declares by default.
        rel_precision: how well every median must be known: half its interval over itself.
        tail: whether to wait for an interval of every p99 as well; no by default.
        max_samples: samples of each series after which to stop in any case.
        max_time_s: seconds of measuring at each duration and batch after which to stop; 30 if None.
        mode: how the work arrives: ``hot`` (again and again) or ``cold`` (caches flushed before
            each).
        launches: how TensorRT and PyTorch are launched on a GPU: ``graph``, which is the default,
            ``enqueue``, or both.
        tensorrt: routes to a precision, what the builder is told, and engines given as files
            (:class:`harness.backends.tensorrt.options.TensorRTChoice`); its defaults otherwise.
        interpreters: by backend, the Python that it runs in, where it is not this one.
        calibration: a calibration set for INT8; a synthetic one is made by default.
        clipping: how INT8's ranges are found; percentile 99.99 by default.
        threads: CPU threads; all available cores by default.
        seed: of the synthetic inputs.
        cache: the cache's folder; the user's cache by default.
        artifacts: the cache of an interpreter that has PyTorch: exports and references.
        simulation: of ``simulated`` (:class:`harness.backends.simulated.SimulationOptions`).

    Raises:
        HarnessError: see :mod:`harness.errors`.
    """
    given = {"launches": launches is not None}
    check_used(backends, tensorrt={"tensorrt": tensorrt is not None}, launches=given)
    loaded = _pipeline(pipeline)
    options = RunOptions(
        cases=choose_cases(loaded, durations_s, batches),
        sampling=SamplingPlan(
            rel_precision=rel_precision, tail=tail, max_samples=max_samples, max_time_s=max_time_s
        ),
        seed=seed,
        build=_build_options(calibration, clipping, DEFAULT_OPSET, artifacts),
        arrival=Arrival(mode),
    )
    chosen = make_backends(
        backends,
        precisions,
        threads=threads,
        launches=launches or (GRAPH,),
        tensorrt=tensorrt,
        # Not resolved: what a link of a virtual environment leads to is not that environment.
        interpreters={
            name: Path(python).absolute() for name, python in (interpreters or {}).items()
        },
        simulation=simulation,
    )
    if not chosen:
        fix = f"name one of: {', '.join(BACKENDS)}"
        raise OptionError("no backend or precision is named", where="backends", fix=fix)
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


def create_int8_calibration_dataset(
    pipeline: str | Path | Pipeline,
    path: str | Path | None = None,
    *,
    samples: int = DEFAULT_SAMPLES,
    seed: int = 0,
    audio: str | Path | None = None,
    cache: str | Path | None = None,
) -> CalibrationSet:
    """Make an INT8 calibration set, and write it to ``path`` (.npz) if that is given.

    It holds what every component is fed, in windows of the profile's opt: diverse synthetic inputs
    and what the fp32 pipeline makes of them. Bool stays bool.

    Args:
        pipeline: a loaded pipeline, the name of a shipped one, or a folder.
        path: where to write it.
        samples: how many windows; 4 or more.
        seed: the same seed gives the same set, bit for bit.
        audio: a folder of recordings to take windows of instead.
        cache: the cache's folder; the user's cache by default.

    Raises:
        HarnessError: see :mod:`harness.errors`.
    """
    options = CalibrationOptions(
        samples=samples, seed=seed, audio=None if audio is None else Path(audio)
    )
    if path is not None:
        check_writable(Path(path))
    with WorkerPool() as pool:
        made = make_calibration_set(_pipeline(pipeline), options, _cache(cache), pool)
    if path is not None:
        save_set(made, Path(path))
    return made


def _build_options(
    calibration: str | Path | None,
    clipping: ClippingRule | None,
    opset: int,
    artifacts: str | Path | None,
) -> BuildOptions:
    return BuildOptions(
        opset=opset,
        rule=clipping or ClippingRule(),
        calibration_file=None if calibration is None else Path(calibration),
        artifacts=None if artifacts is None else Path(artifacts),
    )


def _pipeline(pipeline: str | Path | Pipeline) -> Pipeline:
    return load_pipeline(pipeline) if isinstance(pipeline, (str, Path)) else pipeline


def _cache(root: str | Path | None) -> Cache:
    return Cache(Path(root) if root is not None else default_cache_root())
