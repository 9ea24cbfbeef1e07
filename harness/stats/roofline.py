"""How fast a device could run a graph at best, from what the graph must compute and move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.types import GraphCost


@dataclass(frozen=True)
class Roofline:
    """The two times, in seconds, that no inference can be shorter than."""

    compute_s: float
    memory_s: float

    @property
    def bound(self) -> Literal["compute", "memory"]:
        """Which of the two is longer; ``memory`` where they are equal."""
        return "compute" if self.compute_s > self.memory_s else "memory"

    @property
    def time_s(self) -> float:
        """The longer of the two."""
        return max(self.compute_s, self.memory_s)


def roofline(
    cost: GraphCost, matrix_macs_per_s: Mapping[str, float], copy_bytes_per_s: float
) -> Roofline:
    """The roofline of a graph on a device: its products and its traffic, fully overlapped.

    Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for
    multicore architectures", Communications of the ACM 52(4), 2009: attainable performance is the
    lesser of peak arithmetic and memory bandwidth times operational intensity. As a time that is
    the longer of work / peak and traffic / bandwidth. Products of several precisions take turns on
    the same units, so their times add up.

    Args:
        cost: what the graph does at one size.
        matrix_macs_per_s: multiply-accumulates per second (half of the FLOP/s) of large matrix
            products, by precision: ``int8``, ``fp16``, ``fp32``.
        copy_bytes_per_s: bytes that cross the device's memory per second, reads and writes both
            counted.

    Raises:
        ValueError: a rate is not positive, or that of a precision which the graph has is missing.
    """
    macs = cost.macs_by_precision
    by_precision = {"int8": macs.int8, "fp16": macs.fp16, "fp32": macs.fp32}
    compute_s = sum(
        count / _checked(matrix_macs_per_s.get(precision), f"matrix_macs_per_s[{precision!r}]")
        for precision, count in by_precision.items()
        if count
    )
    memory_s = cost.bytes / _checked(copy_bytes_per_s, "copy_bytes_per_s")
    return Roofline(compute_s=float(compute_s), memory_s=memory_s)


def _checked(rate: float | None, name: str) -> float:
    if rate is None or not rate > 0.0:
        raise ValueError(f"{name} must be a positive number, not {rate}")
    return rate
