"""A CUDA device through PyCUDA, the only module that imports it: memory, a stream, its events."""

from __future__ import annotations

import atexit
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.backends.gpu import read_gpu
from harness.errors import EngineError, HarnessError, missing_dependency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_OLDEST: Final = "sm_50"
# Spins until the device's clock has gone on by so many nanoseconds. As PTX it needs no compiler:
# the driver makes machine code of it, for any device from that architecture on.
_DELAY_PTX: Final = """
.version 6.3
.target sm_50
.address_size 64
.visible .entry harness_delay(.param .u64 duration)
{
    .reg .pred %waiting;
    .reg .b64 %limit, %start, %now, %spent;
    ld.param.u64 %limit, [duration];
    mov.u64 %start, %globaltimer;
AGAIN:
    mov.u64 %now, %globaltimer;
    sub.u64 %spent, %now, %start;
    setp.lt.u64 %waiting, %spent, %limit;
    @%waiting bra AGAIN;
    ret;
}
"""


class CudaDevice:
    """The first visible GPU, with a stream of its own; everything is queued on that stream.

    It shares the device's primary context with whatever else uses the CUDA runtime here.

    Raises:
        FeatureUnavailableError: there is no GPU.
        MissingDependencyError: PyCUDA is not installed.
    """

    def __init__(self) -> None:
        self.info = read_gpu()
        try:
            from pycuda import driver  # noqa: PLC0415
        except ImportError as error:
            raise missing_dependency("pycuda", "pycuda", "running TensorRT engines") from error
        self._driver = driver
        with _device_errors():
            driver.init()
            self._context = driver.Device(0).retain_primary_context()
            self._context.push()
            self._stream = driver.Stream()
        self._is_closed = False
        self._thread = threading.get_ident()
        self._buffers: dict[int, Any] = {}
        self._flushed: tuple[int, int] | None = None
        # PyCUDA aborts the process if a context is left at its end.
        atexit.register(self.close)
        self._delay = self._kernel(_DELAY_PTX, "harness_delay")

    def _kernel(self, ptx: str, name: str) -> Any:  # noqa: ANN401  # PyCUDA's function
        """A kernel of PTX that is written for the oldest architecture."""
        if float(self.info.compute_capability) >= 7.5:  # noqa: PLR2004
            # Newer drivers have forgotten it.
            ptx = ptx.replace(f".target {_OLDEST}", ".target sm_75")
        with _device_errors():
            return self._driver.module_from_buffer(ptx.encode() + b"\0").get_function(name)

    def stream(self) -> CudaDevice:
        """The same device with another stream: what is queued on it runs beside all else.

        Its memory is the device's, and goes with it.
        """
        view: CudaDevice = object.__new__(CudaDevice)
        view.__dict__ |= self.__dict__
        with _device_errors():
            view._stream = self._driver.Stream()
        # The context is not its own to leave.
        view._is_closed = True
        return view

    def check_thread(self) -> None:
        """Check that this is the thread that made it: a CUDA context is current in one.

        Raises:
            EngineError: it is another.
        """
        if threading.get_ident() != self._thread:
            what = "the GPU is in use by another thread of this process"
            raise EngineError(what, where="CUDA", fix="run all that uses it in one thread")

    @property
    def stream_handle(self) -> int:
        """The stream, as other libraries take it."""
        return int(self._stream.handle)

    def close(self) -> None:
        """Free all memory and leave the context; a second time does nothing."""
        atexit.unregister(self.close)
        if self._is_closed:
            return
        self._is_closed = True
        try:
            # After a failure of the device nothing works any more, and all is freed anyway.
            with suppress(Exception):
                self._stream.synchronize()
                for buffer in self._buffers.values():
                    buffer.free()
            self._buffers.clear()
        finally:
            self._context.pop()

    def allocate(self, size_bytes: int) -> int:
        """The address of ``size_bytes`` of the device's memory; at least one byte is taken.

        Raises:
            EngineError: the device has no more; the message tells how much was asked for.
        """
        try:
            buffer = self._driver.mem_alloc(max(1, size_bytes))
        except self._driver.MemoryError as error:
            free, total = self._driver.mem_get_info()
            what = (
                f"the device is out of memory: {size_bytes / 1e6:.1f} MB are needed, "
                f"{free / 1e6:.1f} of {total / 1e6:.1f} MB are free"
            )
            raise EngineError(what, where="CUDA", fix="free some, or measure less") from error
        self._buffers[int(buffer)] = buffer
        return int(buffer)

    def free(self, address: int) -> None:
        """Give back what ``allocate()`` gave."""
        with _device_errors():
            self._buffers.pop(address).free()

    def pinned(self, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        """An array of page-locked host memory, which copies need not stage."""
        with _device_errors():
            array: NDArray[Any] = self._driver.pagelocked_empty(shape, np.dtype(dtype))
            return array

    def upload(self, array: NDArray[Any], address: int) -> None:
        """Copy ``array`` to the device, and wait for it."""
        self.queue_upload(np.ascontiguousarray(array), address)
        self.synchronize()

    def download(self, address: int, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        """Copy an array from the device, and wait for it."""
        array = np.empty(shape, dtype=np.dtype(dtype))
        self.queue_download(array, address)
        self.synchronize()
        return array

    def queue_upload(self, array: NDArray[Any], address: int) -> None:
        """Queue a copy to the device; ``array`` must stay as it is until it is done."""
        with _device_errors():
            self._driver.memcpy_htod_async(address, array, self._stream)

    def queue_download(self, array: NDArray[Any], address: int) -> None:
        """Queue a copy from the device."""
        with _device_errors():
            self._driver.memcpy_dtoh_async(array, address, self._stream)

    def fill(self, address: int, byte: int, size_bytes: int) -> None:
        """Queue the filling of memory with ``byte``."""
        with _device_errors():
            self._driver.memset_d8_async(address, byte, size_bytes, self._stream)

    def queue_copy(self, target: int, source: int, size_bytes: int) -> None:
        """Queue a copy within the device's memory."""
        with _device_errors():
            self._driver.memcpy_dtod_async(target, source, size_bytes, self._stream)

    def record(self) -> Any:  # noqa: ANN401  # PyCUDA's event
        """Queue an event, and give it."""
        event = self._driver.Event()
        event.record(self._stream)
        return event

    def is_past(self, event: Any) -> bool:  # noqa: ANN401
        """Whether the device has come to ``event``."""
        with _device_errors():
            return bool(event.query())

    def wait(self, event: Any) -> None:  # noqa: ANN401
        """Wait until the device has come to ``event``."""
        with _device_errors():
            event.synchronize()

    def elapsed_s(self, start: Any, end: Any) -> float:  # noqa: ANN401
        """Seconds between two events that are past, in steps of half a microsecond or so."""
        with _device_errors():
            return float(start.time_till(end)) * 1e-3

    def launcher(
        self, ptx: str, name: str, blocks: int, threads: int, arguments: tuple[np.generic, ...]
    ) -> Callable[[], None]:
        """What queues the kernel ``name`` of ``ptx``, written for sm_50, with fixed arguments.

        Raises:
            EngineError: the driver makes no machine code of it.
        """
        kernel = self._kernel(ptx, name)

        def launch() -> None:
            kernel(*arguments, block=(threads, 1, 1), grid=(blocks, 1), stream=self._stream)

        return launch

    def delay(self, seconds: float) -> None:
        """Queue a kernel that does nothing for ``seconds``."""
        nanoseconds = np.uint64(seconds * 1e9)
        self._delay(nanoseconds, block=(1, 1, 1), grid=(1, 1), stream=self._stream)

    def flush(self) -> None:
        """Queue the writing of twice as many bytes as the L2 cache has.

        Raises:
            EngineError: the device has no memory for so much, or did not tell its cache's size.
        """
        if self._flushed is None:
            attribute = self._driver.device_attribute.L2_CACHE_SIZE
            size_bytes = 2 * self._driver.Device(0).get_attribute(attribute)
            self._flushed = (self.allocate(size_bytes), size_bytes)
        address, size_bytes = self._flushed
        self.fill(address, 0, size_bytes)

    def synchronize(self) -> None:
        """Wait until the device has done all that is queued.

        Raises:
            EngineError: something that was queued failed.
        """
        with _device_errors():
            self._stream.synchronize()


@contextmanager
def _device_errors() -> Iterator[None]:
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        what = f"the device failed: {type(error).__name__}: {error}"
        fix = "start again; the context is lost"
        if "memory" in str(error).lower() and "illegal" not in str(error).lower():
            fix = "free device memory, or measure less"
        raise EngineError(what, where="CUDA", fix=fix) from error
