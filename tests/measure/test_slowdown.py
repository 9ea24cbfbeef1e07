"""A slowdown on purpose: inside the timed interval, on the host and on a device."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from harness.backends.protocol import Series
from harness.checks import Check
from harness.errors import OptionError
from harness.labels import Key, Timing, label_series
from harness.measure import slowdown
from harness.measure.clock import HostClock
from harness.measure.device_clock import EnqueueClock, HandOverClock, QueuedClock
from harness.measure.slowdown import Slowdown, read_slowdown, write_slowdown
from harness.types import CALL, Case, Variant

if TYPE_CHECKING:
    from pathlib import Path

TARGET = ("vocoder", "onnxruntime fp32", "1 s")
DELAYS = Slowdown({TARGET: 0.25})


class Device:
    """A stream on which a delay takes as long as it says, and each launch a second."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.queued: list[str] = []

    def record(self) -> float:
        self.queued.append("event")
        return self.now_s

    def is_past(self, event: float) -> bool:
        return False

    def elapsed_s(self, start: float, end: float) -> float:
        return end - start

    def delay(self, seconds: float) -> None:
        self.queued.append("delay")
        self.now_s += seconds

    def flush(self) -> None:
        pass

    def synchronize(self) -> None:
        pass

    def launch(self) -> None:
        self.queued.append("launch")
        self.now_s += 1.0


def _nothing() -> None:
    pass


@pytest.mark.parametrize("kind", [QueuedClock, EnqueueClock])
def test_on_a_device_it_is_a_kernel_between_the_events(kind: Any) -> None:
    device = Device()
    clock = kind(device)
    slowed = DELAYS.of(device.launch, clock, *TARGET)

    assert clock.time_block([slowed, device.launch]) == pytest.approx((1.25, 1.0))
    first = device.queued.index("launch")
    assert device.queued[first - 1 : first + 3] == ["event", "launch", "delay", "event"]


def test_on_the_host_it_is_a_loop_that_spins(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(slowdown, "spin", waited.append)
    slowed = DELAYS.of(_nothing, HostClock(), *TARGET)
    HostClock().time_block([slowed, slowed])
    assert waited == [0.25, 0.25]


def test_handing_over_is_not_slowed_by_the_device() -> None:
    # The host's part has a name of its own, and so no delay.
    clock = HandOverClock(Device())
    assert DELAYS.of(_nothing, clock, "host enqueue", *TARGET[1:]) is _nothing


def test_spinning_takes_as_long_as_it_says() -> None:
    started = time.perf_counter()
    slowdown.spin(0.002)
    assert time.perf_counter() - started >= 0.002


def test_only_what_is_named_is_slowed() -> None:
    clock = HostClock()
    for target in (("vocoder", "onnxruntime fp32", "2 s"), ("encoder", *TARGET[1:])):
        assert DELAYS.of(_nothing, clock, *target) is _nothing
    assert DELAYS.of(_nothing, clock, *TARGET) is not _nothing
    assert Slowdown({TARGET: 0.0}).of(_nothing, clock, *TARGET) is _nothing


def test_a_series_is_slowed_as_it_is_labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(slowdown, "spin", waited.append)
    series = Series(CALL, {"vocoder": _nothing, "encoder": _nothing})
    timing = Timing(HostClock(), 1, "hot", slowdown=DELAYS)
    variant = Variant("onnxruntime", "fp32")
    checks = {name: Check(load_s=0.0, first_s=0.0) for name in ("vocoder", "encoder")}

    _, group = label_series(variant, series, checks, Case(1.0, 1), timing)

    group.targets[Key(variant, "encoder")]()
    assert waited == []
    group.targets[Key(variant, "vocoder")]()
    assert waited == [0.25]


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_slowdown(DELAYS, tmp_path / "it.json")
    assert read_slowdown(tmp_path / "it.json") == DELAYS


@pytest.mark.parametrize("text", ["", "[1]", '[["a", "b", "c"]]', '[["a", "b", "c", "d"]]'])
def test_what_is_no_slowdown_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "it.json").write_text(text)
    with pytest.raises(OptionError, match="holds no slowdown"):
        read_slowdown(tmp_path / "it.json")
