"""The time of each layer of an engine, by TensorRT's own profiler: where to look, not how long."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from harness.backends.cuda import CudaDevice
    from harness.backends.tensorrt.engine import OpenEngine
    from harness.backends.tensorrt.library import Library

_REPEATS: Final = 20
_SHOWN: Final = 30


def time_layers(library: Library, engine: OpenEngine, device: CudaDevice) -> list[dict[str, Any]]:
    """The slowest layers of a bound engine: name and median seconds, the slowest first.

    The layers run one by one and are waited for: their sum is more than the engine's latency.
    """
    base = library.module.IProfiler
    times_s: dict[str, list[float]] = {}

    class Profiler(base):  # type: ignore[misc,valid-type]
        def __init__(self) -> None:
            base.__init__(self)

        def report_layer_time(self, name: str, milliseconds: float) -> None:
            times_s.setdefault(name, []).append(milliseconds * 1e-3)

    profiler = Profiler()
    engine.context.profiler = profiler
    for _ in range(_REPEATS):
        engine.enqueue(device.stream_handle)
        device.synchronize()
    medians_s = {name: statistics.median(taken) for name, taken in times_s.items()}
    slowest = sorted(medians_s, key=lambda name: medians_s[name], reverse=True)
    return [{"layer": name, "median_s": medians_s[name]} for name in slowest[:_SHOWN]]
