"""What the sampler takes of a series."""

from __future__ import annotations

import pytest

from harness.backends.protocol import Series
from harness.labels import Timing, label_series
from harness.measure.device_clock import HandOverClock, QueuedClock
from harness.types import COLD, GRAPH, HOT, Case, Variant
from tests.backends.tensorrt.fakes import FakeDevice

VARIANT = Variant("tensorrt", "fp16", "flag")


class Flushed(FakeDevice):
    """A device whose caches are flushed in no time."""

    def flush(self) -> None:
        """Nothing to wait for."""


def nothing() -> None:
    """Stand in for a launch."""


@pytest.mark.parametrize(("mode", "is_taken"), [(HOT, True), (COLD, False)])
def test_the_hosts_part_is_not_measured_cold_since_nothing_is_flushed_for_it(
    mode: str, is_taken: bool
) -> None:
    series = Series(GRAPH, {"host_enqueue": nothing}, HandOverClock(FakeDevice()))
    assert series.clock is not None
    timing = Timing(series.clock, 1, mode)

    labels, group = label_series(VARIANT, series, {}, Case(1.0, 1), timing)

    assert [key.component for key in labels] == ["host_enqueue"] * is_taken
    assert [*group.targets] == [*labels]


def test_the_rest_is_measured_cold() -> None:
    timing = Timing(QueuedClock(Flushed()), 1, COLD)
    targets = {"host_to_device": nothing, "encoder": nothing, "pipeline": nothing}

    labels, _ = label_series(VARIANT, Series(GRAPH, targets), {}, Case(1.0, 1), timing)

    assert [key.component for key in labels] == [*targets]
    assert {known.mode for known in labels.values()} == {COLD}
