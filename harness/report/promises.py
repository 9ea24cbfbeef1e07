"""What the name of a precision promises, and whether most of a graph is in it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.types import NodeCounts


def named_precision(precision: str) -> str:
    """What ``precision`` promises of convolutions and matrix products: int8 for ``int8+fp16``."""
    return precision.split("+", maxsplit=1)[0].split("-", maxsplit=1)[0]


def mostly_other(precision: str, nodes: NodeCounts) -> str:
    """The precision of most of ``nodes``, if under half of them are in what ``precision`` names."""
    named = named_precision(precision)
    held = asdict(nodes)
    if 2 * held.pop(named) >= nodes.total:
        return ""
    return max(held, key=lambda other: held[other])
