"""Which caches there are, and that they are written over; no time is asserted but as a ratio."""

from __future__ import annotations

import logging
import os
import statistics
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.measure.clock import ColdHostClock, HostClock, SettledClock, cold_clock
from harness.measure.host_cache import (
    FALLBACK_BYTES,
    DataCache,
    HostCaches,
    bytes_by_core,
    read_caches,
)
from tests.devices import MadeUp

if TYPE_CHECKING:
    from pathlib import Path

KIB = 1 << 10


def _cache(root: Path, core: int, index: int, *facts: str) -> None:
    folder = root / f"cpu{core}" / "cache" / f"index{index}"
    folder.mkdir(parents=True)
    for name, text in zip(("level", "type", "size", "shared_cpu_list"), facts, strict=True):
        (folder / name).write_text(text + "\n", encoding="ascii")


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """Four cores: an L1 each, an L2 for each pair, an L3 for all."""
    for core in range(4):
        first = core // 2 * 2
        _cache(tmp_path, core, 0, "1", "Data", "32K", f"{core}")
        _cache(tmp_path, core, 1, "1", "Instruction", "64M", f"{core}")
        _cache(tmp_path, core, 2, "2", "Unified", "1024K", f"{first},{first + 1}")
        _cache(tmp_path, core, 3, "3", "Unified", "8M", "0-3")
    return tmp_path


def test_each_cache_that_holds_data_is_found_once(system: Path) -> None:
    found = read_caches(range(4), system)

    assert sorted((c.level, c.size_bytes, sorted(c.cores)) for c in found) == [
        *((1, 32 * KIB, [core]) for core in range(4)),
        (2, 1024 * KIB, [0, 1]),
        (2, 1024 * KIB, [2, 3]),
        (3, 8192 * KIB, [0, 1, 2, 3]),
    ]


@pytest.mark.parametrize(
    ("cores", "size"),
    [((0, 1, 2, 3), 2 * 8192 // 4), ((0, 1), 2 * 8192 // 2), ((3,), 2 * 8192)],
)
def test_the_cores_that_may_run_write_twice_what_they_share(
    system: Path, cores: tuple[int, ...], size: int
) -> None:
    assert bytes_by_core(cores, read_caches(cores, system)) == dict.fromkeys(cores, size * KIB)


def test_a_core_writes_twice_its_own_cache_where_that_is_more() -> None:
    caches = [DataCache(2, 3000, frozenset({0})), DataCache(3, 4000, frozenset({0, 1}))]

    assert bytes_by_core({0, 1}, caches) == {0: 6000, 1: 4000}


def test_caches_that_nobody_tells_of_are_taken_for_64_mib_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "harness.cold"):
        caches = HostCaches(tmp_path)

    assert "64 MiB" in caplog.text
    assert caches.size_bytes >= 2 * FALLBACK_BYTES
    assert caches.size_bytes - 2 * FALLBACK_BYTES < 8 * len(os.sched_getaffinity(0))


def test_a_flush_writes_every_byte_of_every_core_once(system: Path) -> None:
    caches = HostCaches(system)
    before = os.sched_getaffinity(0)

    for _ in range(3):
        caches.flush()

    assert [int(b.min()) for b in caches._buffers.values()] == [3] * len(caches._buffers)
    assert [int(b.max()) for b in caches._buffers.values()] == [3] * len(caches._buffers)
    assert os.sched_getaffinity(0) == before, "only its own threads are pinned"


def test_what_was_in_the_caches_takes_longer_after_a_flush() -> None:
    """Half a megabyte is read: within an L2, and many lines from memory."""
    array = np.ones(1 << 16)

    def read() -> None:
        array.sum()

    hot, cold = HostClock(), cold_clock(HostClock())
    assert isinstance(cold, ColdHostClock)
    # In turn, since the machine is shared; each hot block has one that warms it up.
    pairs = [(hot.time_block([read] * 2)[1], cold.time_block([read])[0]) for _ in range(25)]
    hot_s, cold_s = (statistics.median(side) for side in zip(*pairs, strict=True))

    assert cold_s > hot_s


class Counting:
    """Caches that count their flushes."""

    size_bytes = 0

    def __init__(self, events: list[str]) -> None:
        self.events = events

    def flush(self) -> None:
        self.events.append("flush")


def test_every_launch_is_behind_a_flush_of_its_own() -> None:
    events: list[str] = []
    clock = ColdHostClock(Counting(events))  # type: ignore[arg-type]

    found = clock.time_block([lambda: events.append("a"), lambda: events.append("b")])

    assert events == ["flush", "a", "flush", "b"]
    assert len(found) == 2
    assert clock.name == HostClock().name


def test_a_flush_leaves_no_more_threads_than_cores() -> None:
    caches = HostCaches()
    before = threading.active_count()

    for _ in range(5):
        caches.flush()

    assert threading.active_count() - before <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_settled_clock_launches_the_first_before_and_times_what_it_was_asked(count: int) -> None:
    events: list[int] = []
    clock = SettledClock(MadeUp("made up", 1e-3, is_simulated=True))

    found = clock.time_block([lambda n=n: events.append(n) for n in range(count)])  # type: ignore[misc]

    assert found == (1e-3,) * count
    assert events[-count:] == list(range(count))[-count:]
    assert events[: len(events) - count] == [0] * (4 if count else 0)
    assert (clock.name, clock.is_simulated) == ("made up", True)
