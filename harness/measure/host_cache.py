"""Flushing the processor's caches: other data is written over what they hold.

Every available core writes its own part, since a cache that only one core uses is filled by that
core alone, and those of the others would stay warm. Together the cores write twice what each cache
that they share holds.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

logger = logging.getLogger("harness.cold")

FALLBACK_BYTES: Final = 64 << 20
_TIMES: Final = 2
_SYSTEM: Final = Path("/sys/devices/system/cpu")
_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class DataCache:
    """A cache that holds data: its size, and the cores that share it."""

    level: int
    size_bytes: int
    cores: frozenset[int]


def read_caches(cores: Iterable[int], system: Path = _SYSTEM) -> list[DataCache]:
    """The data caches of ``cores``, as Linux tells of them; none where it does not."""
    found: dict[tuple[int, frozenset[int]], DataCache] = {}
    for core in cores:
        for index in sorted(system.glob(f"cpu{core}/cache/index*")):
            try:
                kind, level, size, shared = (
                    (index / name).read_text(encoding="ascii").strip()
                    for name in ("type", "level", "size", "shared_cpu_list")
                )
                cache = DataCache(int(level), _bytes(size), _cores(shared))
            except (OSError, ValueError):
                continue
            if kind != "Instruction":
                found[cache.level, cache.cores] = cache
    return list(found.values())


def bytes_by_core(cores: Iterable[int], caches: Iterable[DataCache]) -> dict[int, int]:
    """How much each of ``cores`` has to write, so that each cache sees twice its size.

    Where no cache is known, the cores together write twice :data:`FALLBACK_BYTES`.
    """
    available = sorted(cores)
    known = list(caches)
    if not known:
        return dict.fromkeys(available, -(-_TIMES * FALLBACK_BYTES // len(available)))
    return {
        core: max(
            -(-_TIMES * cache.size_bytes // len(cache.cores.intersection(available)))
            for cache in known
            if core in cache.cores
        )
        for core in available
        if any(core in cache.cores for cache in known)
    }


class HostCaches:
    """The caches of the cores that this process may run on; a warning where they are not known."""

    def __init__(self, system: Path = _SYSTEM) -> None:
        cores = os.sched_getaffinity(0)
        caches = read_caches(cores, system)
        if not caches:
            logger.warning(
                "the sizes of the processor's caches are not known here: %d MiB are taken for the "
                "last level",
                FALLBACK_BYTES >> 20,
            )
        sizes = bytes_by_core(cores, caches)
        self.size_bytes = sum(sizes.values())
        self._buffers = {core: np.zeros(size // 8 + 1, np.uint64) for core, size in sizes.items()}
        self._pool = ThreadPoolExecutor(len(sizes), "harness-flush")

    def flush(self) -> None:
        """Write over what the caches hold; returns when all cores have."""
        barrier = threading.Barrier(len(self._buffers))
        parts = [
            self._pool.submit(_write, core, buffer, barrier)
            for core, buffer in self._buffers.items()
        ]
        wait(parts)
        for part in parts:
            part.result()


@functools.cache
def host_caches() -> HostCaches:
    """Those of this process: one set of buffers and threads, however many clocks use them."""
    return HostCaches()


def _write(core: int, buffer: NDArray[Any], barrier: threading.Barrier) -> None:
    # Each part on a thread of its own: one that was quick would else take two of them.
    barrier.wait()
    os.sched_setaffinity(threading.get_native_id(), {core})
    # Read and written: memory that is only filled may be written past the caches.
    np.add(buffer, 1, out=buffer)


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+)([KMG]?)", text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * _UNITS[match[2]]


def _cores(text: str) -> frozenset[int]:
    cores: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        cores.update(range(int(first), int(last or first) + 1))
    return frozenset(cores)
