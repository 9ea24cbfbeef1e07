"""Benchmark and regression tracking for TensorRT inference pipelines.

The names below are loaded when first used: ``import harness`` itself imports no heavy package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.version import __version__

__all__ = [
    "HarnessError",
    "TensorRTConverter",
    "TensorRTEngine",
    "__version__",
    "benchmark_end_to_end_latency",
    "create_int8_calibration_dataset",
    "export_and_build_engines",
    "load_pipeline",
]

if TYPE_CHECKING:
    from harness.api import (
        TensorRTConverter,
        TensorRTEngine,
        benchmark_end_to_end_latency,
        create_int8_calibration_dataset,
        export_and_build_engines,
        load_pipeline,
    )
    from harness.errors import HarnessError


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    if name == "HarnessError":
        from harness import errors as module  # noqa: PLC0415
    else:
        from harness import api as module  # type: ignore[no-redef]  # noqa: PLC0415
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
