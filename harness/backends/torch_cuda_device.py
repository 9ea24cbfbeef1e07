"""What PyTorch is asked of CUDA: one stream, its events, graphs. All CUDA calls are here."""

from __future__ import annotations

import functools
import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from harness.errors import EngineError, FeatureUnavailableError, HarnessError, ModelError
from harness.pipeline.modules import import_torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SLEEP_CYCLES: Final = 20_000_000  # about 10 ms
_CHECK_SHAPES: Final = "check the declared shapes against the module"


class Graph:
    """A captured graph, the tensors that its outputs live in, and how to run it again."""

    def __init__(self, outputs: dict[str, Any], replay: Callable[[], None]) -> None:
        self.outputs = outputs
        self.replay = replay


class CudaDevice:
    """PyTorch's present GPU, and the one side stream on which everything of this process runs."""

    def __init__(self, torch: Any) -> None:  # noqa: ANN401
        self._torch = torch
        self.device = torch.device("cuda", torch.cuda.current_device())
        self._stream = torch.cuda.Stream(self.device)
        self._flushed: Any = None
        self.activate()
        self._cycles_per_s = self._find_sleep_rate()

    def _find_sleep_rate(self) -> float:
        """How many of _sleep()'s cycles make a second; the first sleep wakes the GPU's clock."""
        for _ in range(2):
            start = self.record()
            self._torch.cuda._sleep(_SLEEP_CYCLES)  # noqa: SLF001  # there is no public one
            end = self.record()
            self.synchronize()
        return _SLEEP_CYCLES / self.elapsed_s(start, end)

    def activate(self) -> None:
        """Let PyTorch queue on our stream.

        Once for all, not around each launch: the context manager would be part of the launch.
        """
        self._torch.cuda.set_stream(self._stream)

    def record(self) -> Any:  # noqa: ANN401
        """Queue an event, and give it."""
        event = self._torch.cuda.Event(enable_timing=True)
        event.record(self._stream)
        return event

    def is_past(self, event: Any) -> bool:  # noqa: ANN401
        """Whether the device has come to ``event``."""
        return bool(event.query())

    def elapsed_s(self, start: Any, end: Any) -> float:  # noqa: ANN401
        """Seconds between two events that are past."""
        return float(start.elapsed_time(end)) * 1e-3

    def delay(self, seconds: float) -> None:
        """Queue a kernel that does nothing for ``seconds``."""
        self._torch.cuda._sleep(max(1, int(seconds * self._cycles_per_s)))  # noqa: SLF001

    def flush(self) -> None:
        """Queue the writing of twice as many bytes as the L2 cache has."""
        if self._flushed is None:
            properties = self._torch.cuda.get_device_properties(self.device)
            size_bytes = 2 * properties.L2_cache_size
            self._flushed = self._torch.empty(
                size_bytes, dtype=self._torch.uint8, device=self.device
            )
        self._flushed.zero_()

    def synchronize(self) -> None:
        """Wait until the device has done all that is queued."""
        self._stream.synchronize()

    def capture(self, work: Callable[[], dict[str, Any]]) -> Graph:
        """Capture what ``work`` queues; its outputs keep their memory as long as the graph."""
        graph = self._torch.cuda.CUDAGraph()
        # Of this thread alone: others, such as one that reads telemetry, may call CUDA meanwhile.
        with self._torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            outputs = work()
        return Graph(outputs, graph.replay)

    def pin(self, tensor: Any) -> Any:  # noqa: ANN401
        """A copy of ``tensor`` in host memory that the device reads and writes by itself."""
        return tensor.pin_memory()

    def release(self) -> None:
        """Give back the memory that nothing uses any more."""
        self._torch.cuda.empty_cache()

    def details(self) -> dict[str, Any]:
        """What a record says of PyTorch and its GPU."""
        properties = self._torch.cuda.get_device_properties(self.device)
        return {
            "torch": str(self._torch.__version__),
            "cuda": str(self._torch.version.cuda),
            "cudnn": self._torch.backends.cudnn.version(),
            "gpu": properties.name,
            "gpu_uuid": str(getattr(properties, "uuid", "")),
            "tf32": bool(
                self._torch.backends.cuda.matmul.allow_tf32 or self._torch.backends.cudnn.allow_tf32
            ),
        }


@functools.cache
def open_device() -> CudaDevice:
    """The GPU of this process, with TF32 off: fp32 means fp32.

    Raises:
        MissingDependencyError: torch is not installed.
        FeatureUnavailableError: this PyTorch has no CUDA, or finds no GPU.
    """
    torch = import_torch("the backend torch-cuda")
    installed = f"PyTorch {torch.__version__}"
    if torch.version.cuda is None:
        what = f"{installed} is built without CUDA"
        fix = "install a CUDA build, or name an interpreter that has one: --interpreter torch-cuda="
        raise FeatureUnavailableError(what, where="torch-cuda", fix=fix)
    if not torch.cuda.is_available():
        what = f"{installed} for CUDA {torch.version.cuda} finds no GPU"
        fix = "does nvidia-smi list one, of a driver that new? else use the backend torch"
        raise FeatureUnavailableError(what, where="torch-cuda", fix=fix)
    with warnings.catch_warnings():
        # Newer switches exist, but a mixture of the two is an error in some versions.
        warnings.simplefilter("ignore")
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    return CudaDevice(torch)


@contextmanager
def running(component: str) -> Iterator[None]:
    """Turn what a component raises on the device into an error that names it.

    Raises:
        EngineError: the GPU has too little memory, or CUDA failed.
        ModelError: the module itself failed.
    """
    torch = import_torch("the backend torch-cuda")
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        # A capture that is broken off raises an error of its own over the one that broke it.
        chain: list[BaseException] = [error]
        while chain[-1].__context__ is not None:
            chain.append(chain[-1].__context__)
        for found in chain:
            if isinstance(found, HarnessError):
                raise found from None
            if isinstance(found, torch.cuda.OutOfMemoryError):
                raise _out_of_memory(component, found) from error
        if "CUDA error" in str(error):
            fix = "try --launch enqueue; nvidia-smi tells of other users of the GPU"
            raise EngineError(f"CUDA failed: {error}", where=component, fix=fix) from error
        what = f"forward() raised {type(error).__name__}: {error}"
        raise ModelError(what, where=component, fix=_CHECK_SHAPES) from error


def _out_of_memory(component: str, error: BaseException) -> EngineError:
    asked = re.search(r"Tried to allocate ([\d.]+ \w+)", str(error))
    free = re.search(r"of which ([\d.]+ \w+) is free", str(error))
    what = "the GPU has too little memory"
    what += f": {asked[1]} more are needed" if asked else ""
    what += f", {free[1]} are free" if free else ""
    fix = "measure a shorter --duration or a smaller --batch, or end what else uses the GPU"
    return EngineError(what, where=component, fix=fix)
