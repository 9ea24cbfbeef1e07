"""Open an engine file, with a clear error for one that is not for this machine."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any, Final

from harness.backends.tensorrt.header import check_header, read_header
from harness.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

    from harness.backends.tensorrt.library import Library

_runtimes: Final[dict[str, Any]] = {}


def open_engine(library: Library, path: Path, plugins: tuple[str, ...] = ()) -> Any:  # noqa: ANN401
    """The ``ICudaEngine`` of the file at ``path``; its runtime lives as long as the process.

    Raises:
        EngineError: it is no engine, is cut off or damaged, or was built by another version or for
            another GPU.
        FeatureUnavailableError: the library cannot run engines by name.
    """
    check_header(read_header(path), library.name, library.version, path)
    library.check_runtime()
    # An engine may hold plugins of the library's own, such as that of instance normalization.
    library.open_plugins(plugins)
    library.problem()
    if library.name not in _runtimes:
        runtime = library.module.Runtime(library.logger)
        if runtime is None:
            raise _refused(library, path)
        _runtimes[library.name] = runtime
        # Before the CUDA context goes, which is older.
        atexit.register(dict.clear, _runtimes)
    engine = _runtimes[library.name].deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise _refused(library, path)
    return engine


def _refused(library: Library, path: Path) -> EngineError:
    problem = library.problem() or "it gives no reason"
    what = f"{library} cannot open it: {problem[:400]}"
    fix = "build it again on this machine"
    if "memory" in problem.lower():
        fix = "free device memory"
    elif "compute" in problem.lower() or "sm" in problem.lower().split():
        fix = "it is for another GPU: build it again on this one"
    return EngineError(what, where=str(path), fix=fix)
