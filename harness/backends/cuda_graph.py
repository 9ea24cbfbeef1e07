"""CUDA graphs through NVIDIA's own bindings, the only module that imports them: PyCUDA has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import EngineError, missing_dependency

if TYPE_CHECKING:
    from collections.abc import Callable


def import_driver() -> Any:  # noqa: ANN401
    """NVIDIA's bindings of the driver.

    Raises:
        MissingDependencyError: cuda-bindings is not installed.
    """
    try:
        from cuda.bindings import driver  # noqa: PLC0415
    except ImportError as error:
        raise missing_dependency("cuda-bindings", "cuda", "a CUDA graph") from error
    return driver


class CudaGraph:
    """What ``enqueue`` queues on a stream, recorded once and launched as one.

    The addresses and shapes are those of the recording: after a change, record again.

    Args:
        stream_handle: the stream to record on and to launch on.
        enqueue: queues the work; it must have been called once before, as libraries allocate and
            load on their first call, which no recording allows.

    Raises:
        MissingDependencyError: cuda-bindings is not installed.
        EngineError: the work cannot be recorded.
    """

    def __init__(self, stream_handle: int, enqueue: Callable[[], None]) -> None:
        self._driver = driver = import_driver()
        self._stream = driver.CUstream(stream_handle)
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._call(driver.cuStreamBeginCapture(self._stream, mode))
        try:
            enqueue()
        finally:
            # Also after a failure: a stream that records takes no other work.
            ended = driver.cuStreamEndCapture(self._stream)
        self._graph = self._call(ended)
        try:
            self._executable = self._call(driver.cuGraphInstantiate(self._graph, 0))
        except EngineError:
            driver.cuGraphDestroy(self._graph)
            raise

    def _call(self, answer: tuple[Any, ...]) -> Any:  # noqa: ANN401
        code, *values = answer
        if int(code) != 0:
            what = f"CUDA answers {code.name}"
            fix = "does the work wait for the device, or allocate, while it is recorded?"
            raise EngineError(what, where="CUDA graph", fix=fix)
        return values[0] if values else None

    def launch(self) -> None:
        """Queue all of it on the stream."""
        (code,) = self._driver.cuGraphLaunch(self._executable, self._stream)
        if int(code) != 0:
            self._call((code,))

    def close(self) -> None:
        """Free it."""
        self._driver.cuGraphExecDestroy(self._executable)
        self._driver.cuGraphDestroy(self._graph)
