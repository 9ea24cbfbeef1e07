"""The clock of the host."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from harness.measure.clock import Clock, HostClock

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("count", [0, 1, 7])
def test_block_has_one_latency_for_each_launch(count: int) -> None:
    launched: list[int] = []
    latencies = HostClock().time_block([lambda: launched.append(1)] * count)
    assert len(launched) == count
    assert len(latencies) == count
    assert isinstance(latencies, tuple)
    assert all(latency >= 0.0 for latency in latencies)


def test_launches_are_called_in_order_and_as_often_as_they_are_given() -> None:
    launched: list[str] = []

    def launch(name: str) -> Callable[[], None]:
        return lambda: launched.append(name)

    HostClock().time_block([launch("a"), launch("b"), launch("c")] * 2)
    assert launched == ["a", "b", "c", "a", "b", "c"]


def test_latencies_are_in_the_order_of_the_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = 0

    def taking(seconds: int) -> Callable[[], None]:
        def launch() -> None:
            nonlocal now_ns
            now_ns += seconds * 1_000_000_000

        return launch

    monkeypatch.setattr(time, "perf_counter_ns", lambda: now_ns)
    latencies = HostClock().time_block([taking(3), taking(0), taking(7)])
    assert latencies == pytest.approx((3.0, 0.0, 7.0))


def test_latency_is_at_least_the_time_that_the_launch_took() -> None:
    latencies = HostClock().time_block([lambda: None, lambda: time.sleep(0.05), lambda: None])
    assert latencies[1] >= 0.05


def test_ticks_of_the_counter_become_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    # Between launches the counter runs as well; only what passes during one counts.
    ticks = iter([0, 2_000_000_000, 5_000_000_000, 5_500_000_000])
    monkeypatch.setattr(time, "perf_counter_ns", lambda: next(ticks))
    latencies = HostClock().time_block([lambda: None] * 2)
    assert latencies == pytest.approx((2.0, 0.5))


def test_failing_launch_ends_the_block() -> None:
    launched: list[int] = []

    def launch() -> None:
        launched.append(1)
        if len(launched) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        HostClock().time_block([launch] * 5)
    assert len(launched) == 3


def test_host_clock_is_a_real_clock() -> None:
    clock: Clock = HostClock()
    assert clock.name == "host"
    assert not clock.is_simulated
