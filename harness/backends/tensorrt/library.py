"""TensorRT or TensorRT-RTX, whichever is here: the only module that imports either.

Versions differ in what they have, and the same bit means different flags in them, so that nothing
outside asks for a version or a bit: a feature is asked for by its name.
"""

from __future__ import annotations

import importlib
from collections import deque
from typing import Any, Final

from harness.backends.gpu import gpu_problem
from harness.backends.tensorrt.tactics import TacticNames
from harness.errors import (
    EngineError,
    FeatureUnavailableError,
    MissingDependencyError,
    OptionError,
)

TENSORRT, TENSORRT_RTX, AUTO = "tensorrt", "tensorrt-rtx", "auto"
_MODULES: Final = {TENSORRT: "tensorrt", TENSORRT_RTX: "tensorrt_rtx"}
_NAMES: Final = {TENSORRT: "TensorRT", TENSORRT_RTX: "TensorRT-RTX"}
_BUILD_WITHOUT_GPU: Final = (TENSORRT_RTX,)
_EXTRAS: Final = {TENSORRT: "tensorrt", TENSORRT_RTX: "tensorrt-rtx"}
# What opening and running an engine uses, of every version from 8.5 on. Memory is under one of two
# names.
RUNTIME_API: Final = {
    "Runtime": ("deserialize_cuda_engine",),
    "ICudaEngine": (
        "create_engine_inspector",
        "create_execution_context",
        "get_tensor_dtype",
        "get_tensor_location",
        "get_tensor_mode",
        "get_tensor_name",
        "get_tensor_profile_shape",
        "get_tensor_shape",
        "num_io_tensors",
    ),
    "IExecutionContext": (
        "execute_async_v3",
        "get_tensor_shape",
        "infer_shapes",
        "profiler",
        "set_input_shape",
        "set_tensor_address",
    ),
    "EngineInspector": ("get_engine_information",),
    "IProfiler": ("report_layer_time",),
    "TensorIOMode": ("INPUT",),
    "TensorLocation": ("DEVICE",),
    "LayerInformationFormat": ("JSON",),
}
MEMORY_API: Final = ("device_memory_size_v2", "device_memory_size")
_KEPT_LINES: Final = 12


class Library:
    """An imported TensorRT library.

    ``name`` is ``tensorrt`` or ``tensorrt-rtx``, and ``version`` its full version.
    """

    def __init__(self, name: str, module: Any) -> None:  # noqa: ANN401
        self.name = name
        self.module = module
        self.version = str(module.__version__)
        self.logger: Any = _logger(module)

    def __str__(self) -> str:
        """For messages: ``TensorRT 8.5.3.1``."""
        return f"{_NAMES[self.name]} {self.version}"

    @property
    def builds_without_gpu(self) -> bool:
        """Whether engines can be built on a machine that has no GPU."""
        return self.name in _BUILD_WITHOUT_GPU

    @property
    def is_weakly_typed(self) -> bool:
        """Whether precisions can be asked of the builder, rather than written in the graph."""
        return self.has("BuilderFlag", "FP16")

    @property
    def has_calibrators(self) -> bool:
        """Whether the builder can find INT8's ranges by itself, from batches of data."""
        return self.has("IInt8EntropyCalibrator2")

    @property
    def has_timing_cache(self) -> bool:
        """Whether tactics are timed, and the timings can be kept; RTX has the calls only."""
        return self.has("ITimingCache") and self.name != TENSORRT_RTX

    def has(self, kind: str, member: str = "") -> bool:
        """Whether the library has ``kind``, and its ``member`` if one is named."""
        found = getattr(self.module, kind, None)
        return found is not None and (not member or hasattr(found, member))

    def member(self, kind: str, name: str) -> Any:  # noqa: ANN401
        """The member ``name`` of the enum ``kind``.

        Raises:
            FeatureUnavailableError: this version has none; the message names those that it has.
        """
        # Not by attribute: a class has others than its members.
        members = getattr(getattr(self.module, kind, None), "__members__", {})
        if name in members:
            return members[name]
        what = f"{self} has no {kind} called {name!r}"
        fix = f"it has: {', '.join(sorted(members)) or 'none'}"
        raise FeatureUnavailableError(what, where=self.name, fix=fix)

    def flag_bits(self, kind: str, *names: str) -> int:
        """The bits of those of ``names`` that the enum ``kind`` has, for calls that take a mask."""
        enum = getattr(self.module, kind)
        return sum(1 << int(getattr(enum, name)) for name in names if self.has(kind, name))

    def problem(self) -> str:
        """The last errors that the library logged, on one line; they are then forgotten."""
        return str(self.logger.take())

    @property
    def tactics(self) -> TacticNames:
        """The names of tactics that this process knows: the log tells of each that is timed."""
        found: TacticNames = self.logger.tactics
        return found

    def check_runtime(self) -> None:
        """Check that the library has all that running an engine takes.

        Raises:
            FeatureUnavailableError: naming what it lacks.
        """
        missing = [
            f"{kind}.{name}"
            for kind, names in RUNTIME_API.items()
            for name in names
            if not self.has(kind, name)
        ]
        if missing:
            what = f"{self} lacks {', '.join(missing)}"
            raise FeatureUnavailableError(what, where=self.name, fix="install 8.5 or later")

    def open_plugins(self, paths: tuple[str, ...]) -> None:
        """Load libraries of plugins, and the library's own plugins with them.

        Raises:
            EngineError: a file cannot be loaded.
        """
        import ctypes  # noqa: PLC0415

        for path in paths:
            try:
                # Plugins register themselves when they are loaded, and must be seen by the parser.
                ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
            except OSError as error:
                what = f"cannot be loaded: {error}"
                raise EngineError(what, where=path, fix="name a library of plugins") from error
        if hasattr(self.module, "init_libnvinfer_plugins"):
            self.module.init_libnvinfer_plugins(self.logger, "")


_loggers: dict[str, Any] = {}


def _logger(module: Any) -> Any:  # noqa: ANN401
    """The one logger of a process: TensorRT takes the first that it is given for all."""
    if module.__name__ in _loggers:
        return _loggers[module.__name__]

    class Log(module.ILogger):  # type: ignore[misc]
        """Keeps the last errors, which the library's own calls do not give."""

        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
            self.tactics = TacticNames()

        def log(self, severity: Any, message: str) -> None:  # noqa: ANN401
            if severity.name in {"INTERNAL_ERROR", "ERROR"}:
                self.lines.append(" ".join(str(message).split()))
            elif severity.name == "VERBOSE":
                self.tactics.read_log(str(message))

        def take(self) -> str:
            text = " | ".join(dict.fromkeys(self.lines))
            self.lines.clear()
            return text

    return _loggers.setdefault(module.__name__, Log())


def find_library(name: str, *, has_gpu: bool) -> Library:
    """The library called ``name``; ``auto`` is the first that can build here.

    Raises:
        OptionError: there is no such library.
        FeatureUnavailableError: there is no GPU, and it needs one, whether it is installed or not.
        MissingDependencyError: it is not installed, or only a part of it is.
    """
    if name != AUTO and name not in _MODULES:
        fix = f"choose one of: {', '.join((AUTO, *_MODULES))}"
        raise OptionError(f"there is no library {name!r}", where="library", fix=fix)
    if name != AUTO:
        # The GPU first: without one it would help nobody to install the library.
        if not has_gpu and name not in _BUILD_WITHOUT_GPU:
            why = gpu_problem()
            what = (
                f"{_NAMES[name]} builds and runs engines on an NVIDIA GPU, and there is none here"
            )
            fix = (
                "build with --backend tensorrt-rtx (it needs no GPU), or measure with "
                "--backend onnxruntime"
            )
            raise FeatureUnavailableError(
                f"{what} ({why})" if why else what, where=f"--backend {name}", fix=fix
            )
        return _import(name)
    problems = []
    for candidate in (TENSORRT, TENSORRT_RTX):
        try:
            return find_library(candidate, has_gpu=has_gpu)
        except (MissingDependencyError, FeatureUnavailableError) as error:
            problems.append(error.what)
    what = f"no TensorRT can build here: {'; '.join(problems)}"
    fix = "pip install 'trt-harness[tensorrt-rtx]', or use --backend onnxruntime"
    raise MissingDependencyError(what, where="--backend auto", fix=fix)


def _import(name: str) -> Library:
    try:
        module = importlib.import_module(_MODULES[name])
    except (ImportError, OSError) as error:
        what = f"{_MODULES[name]} cannot be imported: {error}"
        fix = f"pip install 'trt-harness[{_EXTRAS[name]}]', or use --backend onnxruntime"
        raise MissingDependencyError(what, where=f"--backend {name}", fix=fix) from error
    # A package of that name without the library in it can be imported all the same.
    if not hasattr(module, "Builder"):
        what = f"{_MODULES[name]} is installed without its library: it has no Builder"
        fix = "install the full package; the lean and dispatch runtimes cannot build"
        raise MissingDependencyError(what, where=f"--backend {name}", fix=fix)
    return Library(name, module)
