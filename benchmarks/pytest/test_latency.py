"""``pytest benchmarks/pytest --benchmark-only``: the harness measures, pytest-benchmark reports.

What a host's timer would see around a launch is not what the device takes. So pytest-benchmark is
given a timer that plays back what was measured: one round for each sample, of exactly its seconds.
It must not calibrate that timer, which does not advance by itself: ``pedantic`` does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conftest import Series
    from pytest_benchmark.fixture import BenchmarkFixture


class Playback:
    """A timer for ``pedantic``, which reads it before and after each round."""

    __name__ = "played_back"

    def __init__(self) -> None:
        self._ticks: Iterator[float] = iter(())

    def load(self, latency_s: Sequence[float]) -> None:
        """Make the rounds that follow last ``latency_s`` seconds, one after the other."""
        # From 0 each: what is added up and subtracted again would be rounded.
        self._ticks = iter([tick for seconds in latency_s for tick in (0.0, seconds)])

    def __call__(self) -> float:
        return next(self._ticks)


PLAYBACK = Playback()


def nothing() -> None:
    """What is timed is over already."""


@pytest.mark.benchmark(timer=PLAYBACK)
def test_latency(series: Series, benchmark: BenchmarkFixture) -> None:
    latency_s = series.latency_s
    PLAYBACK.load(latency_s)
    benchmark.group = series.group
    benchmark.extra_info.update(series.extra_info)
    benchmark.pedantic(nothing, rounds=len(latency_s), iterations=1, warmup_rounds=0)
    if benchmark.enabled:
        assert benchmark.stats.stats.data == latency_s
    if series.failure:
        # It is shown, and not saved for others to be compared with.
        benchmark.has_error = True
        pytest.fail(series.failure, pytrace=False)
    if series.doubt:
        pytest.xfail(series.doubt)
