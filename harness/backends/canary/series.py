"""The canaries of this machine: a fixed ONNX graph on the CPU, a fixed kernel on the GPU.

Their files are shipped and never change: a change is another canary, by another name, whose figures
nobody compares. What still may differ is what makes machine code of them, ONNX Runtime's version
and the GPU's driver, and both are in every record.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from harness.backends.onnxruntime_session import open_graph
from harness.backends.protocol import Series
from harness.backends.tensorrt.backend import TensorRTBackend
from harness.errors import HarnessError
from harness.measure.device_clock import EventDevice, QueuedClock
from harness.pipeline.fingerprint import hash_file
from harness.pipeline.pipeline import CANARY
from harness.states import NOTE, Finding
from harness.types import CALL, ENQUEUE, Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.backends.protocol import Backend

logger = logging.getLogger("harness.canary")

_FOLDER: Final = Path(__file__).resolve().parent
CPU: Final = "cpu-1"
CUDA: Final = "cuda-1"
# What is frozen of the GPU's canary beside its text: about 0.2 ms on an H200 at 1980 MHz.
_KERNEL: Final = "harness_canary"
_BLOCKS, _THREADS, _ROUNDS = 2112, 256, 192
_OFFSET: Final = -1.7
# What else is measured may have many more launches in a block, of which these take their share.
MAX_PASSES: Final = 8


class KernelDevice(EventDevice, Protocol):
    """A device that also launches kernels given as PTX."""

    def launcher(
        self, ptx: str, name: str, blocks: int, threads: int, arguments: tuple[np.generic, ...]
    ) -> Callable[[], None]:
        """What queues the kernel ``name`` of ``ptx``."""

    def allocate(self, size_bytes: int) -> int:
        """The address of ``size_bytes`` of the device's memory."""


@dataclass(frozen=True)
class Canary:
    """A frozen piece of work: its name, the hash of its file, and how it is timed."""

    name: str
    content_hash: str
    series: Series

    @property
    def variant(self) -> Variant:
        """What its samples are labelled with; its name is the route."""
        return Variant(CANARY, "fp32", self.name, self.series.launch)


def canary_path(name: str) -> Path:
    """The frozen file of the canary ``name``."""
    (path,) = _FOLDER.glob(f"canary-{name}.*")
    return path


def cpu_canary() -> Canary:
    """The graph on one thread of the CPU, about 1 ms; timed by the host's clock.

    Raises:
        ContractError: ONNX Runtime cannot load it.
    """
    path = canary_path(CPU)
    session = open_graph(path, threads=1)
    (declared,) = session.get_inputs()
    (output,) = session.get_outputs()
    count = int(np.prod(declared.shape))
    binding = session.io_binding()
    binding.bind_cpu_input(
        declared.name, np.sin(np.arange(count, dtype=np.float32)).reshape(declared.shape)
    )
    # Its memory is taken once.
    made = np.zeros(output.shape, np.float32)
    binding.bind_output(
        output.name, "cpu", 0, np.float32, output.shape, made.__array_interface__["data"][0]
    )

    def launch(_kept: object = made) -> None:
        session.run_with_iobinding(binding)

    return Canary(CPU, hash_file(path), Series(CALL, {CANARY: launch}))


def cuda_canary(device: KernelDevice) -> Canary:
    """The kernel on all of a GPU, queued ahead and timed by the device's own events.

    Raises:
        EngineError: the device refuses it.
    """
    path = canary_path(CUDA)
    arguments = (np.uint64(device.allocate(4)), np.float32(_OFFSET), np.uint32(_ROUNDS))
    launch = device.launcher(
        path.read_text(encoding="ascii"), _KERNEL, _BLOCKS, _THREADS, arguments
    )
    return Canary(CUDA, hash_file(path), Series(ENQUEUE, {CANARY: launch}, QueuedClock(device)))


def open_canaries(backends: Iterable[Backend]) -> tuple[Canary, ...]:
    """The canary of the CPU, and that of the GPU which ``backends`` use in this process, if any.

    One that cannot be opened is left out with a warning: nothing that is measured depends on it.
    """
    openers: list[Callable[[], Canary]] = [cpu_canary]
    engines = [backend for backend in backends if isinstance(backend, TensorRTBackend)]
    if engines:
        openers.append(lambda: cuda_canary(engines[0].device()))
    found = []
    for opener in openers:
        try:
            found.append(opener())
        except HarnessError as error:
            logger.warning("a canary is left out: %s", error)
    return tuple(found)


def find_missing(backends: Iterable[Backend], canaries: Iterable[Canary]) -> tuple[Finding, ...]:
    """What to know of ``canaries``: that the GPU which ``backends`` use has none."""
    used = [backend for backend in backends if backend.uses_gpu]
    if not used or any(canary.name == CUDA for canary in canaries):
        return ()
    has_engine = any(isinstance(backend, TensorRTBackend) for backend in used)
    why = "it could not be opened" if has_engine else "only TensorRT in this process launches it"
    what = f"no canary of the GPU: {why}"
    return (Finding(NOTE, what, "a drift of the GPU is not told from one of the work"),)
