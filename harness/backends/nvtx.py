"""Ranges that NVIDIA's profilers show, through NVIDIA's own package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import missing_dependency

if TYPE_CHECKING:
    from collections.abc import Callable


def check_nvtx() -> None:
    """See that launches can be marked.

    Raises:
        MissingDependencyError: nvtx is not installed.
    """
    marked(lambda: None, "")


def marked(launch: Callable[[], None], name: str) -> Callable[[], None]:
    """``launch`` inside a range of that name.

    Raises:
        MissingDependencyError: nvtx is not installed.
    """
    try:
        import nvtx  # noqa: PLC0415
    except ImportError as error:
        raise missing_dependency("nvtx", "cuda", "--nvtx") from error

    def ranged() -> None:
        with nvtx.annotate(name, domain="trt-harness"):
            launch()

    return ranged
