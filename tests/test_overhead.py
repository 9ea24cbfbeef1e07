"""Blocks with telemetry and without: who is on when, how many there are, and what ends them."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness import overhead
from harness.backends.onnxruntime import OnnxRuntimeBackend
from harness.errors import MeasurementError, OptionError
from harness.observer import SilentObserver
from harness.overhead import OverheadOptions, measure_blocks, measure_overhead
from harness.pipeline.loader import load_pipeline
from harness.types import Case
from tests.devices import DeviceBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.artifacts.cache import Cache

CASE = Case(0.5, 1)


@pytest.fixture(autouse=True)
def short_warmup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overhead, "_WARMUP_S", 0.0)


class Switch:
    """Notes whether it is on, and how often it was set; ends by itself after ``lives`` times."""

    def __init__(self, lives: int = 10**6) -> None:
        self.is_on = True
        self.lives = lives
        self.times_set = 0

    @property
    def problem(self) -> str:
        return "no GPU; it ended" if self.lives <= 0 else "no GPU"

    def pause(self) -> None:
        self.is_on = False
        self.times_set += 1
        self.lives -= 1

    def resume(self) -> None:
        self.is_on = True
        self.times_set += 1
        self.lives -= 1


class SwitchClock:
    """Says that every launch takes 2 ms with the switch on and 1 ms without; sleeps as long."""

    name = "by the switch"
    is_simulated = True

    def __init__(self, switch: Switch) -> None:
        self.switch = switch

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        # It is set once before the warm-up, and before every block.
        assert gc.isenabled() == (self.switch.times_set == 1)
        for launch in launches:
            launch()
        time.sleep(1e-3 * len(launches))
        return (2e-3 if self.switch.is_on else 1e-3,) * len(launches)


def test_blocks_are_alike_and_alternate() -> None:
    switch, launched, told = Switch(), [0], [0.0]

    def launch() -> None:
        launched[0] += 1

    options = OverheadOptions(CASE, time_s=0.3, block_s=0.015, interval_s=0.01)
    blocks = measure_blocks(launch, SwitchClock(switch), switch, options, told.append)

    assert len(blocks) % 4 == 0
    levels = [round(float(np.median(block)) * 1e3) for block in blocks]
    expected = [1, 2, 2, 1, 2, 1, 1, 2] * len(blocks)
    assert levels == expected[: len(blocks)]
    assert len({len(block) for block in blocks}) == 1
    assert launched[0] == 16 + sum(map(len, blocks))
    assert told == sorted(told)
    assert gc.isenabled()


def test_there_is_one_group_however_short_the_time() -> None:
    switch = Switch()
    options = OverheadOptions(CASE, time_s=0.04, block_s=0.01, interval_s=0.01)

    assert len(measure_blocks(lambda: time.sleep(0.01), SwitchClock(switch), switch, options)) == 4


def test_telemetry_that_ends_meanwhile_ends_it() -> None:
    # What it could not read from the start on is no reason.
    switch = Switch(lives=3)
    options = OverheadOptions(CASE, time_s=60.0, block_s=0.01, interval_s=0.01)

    with pytest.raises(MeasurementError, match="it ended"):
        measure_blocks(lambda: None, SwitchClock(switch), switch, options)


def test_a_pipeline_is_measured_with_a_real_process_beside_it(
    onnx_toy: Callable[..., Path], shared_cache: Cache
) -> None:
    options = OverheadOptions(CASE, time_s=0.8, block_s=0.1, interval_s=0.01)
    pipeline = load_pipeline(onnx_toy())
    backend = OnnxRuntimeBackend(threads=1)

    found = measure_overhead(pipeline, backend, shared_cache, options, SilentObserver())

    assert (found.component, found.variant) == ("pipeline", "onnxruntime fp32, call")
    assert (found.clock, found.case, found.problem) == ("host", "0.5 s", "")
    assert found.groups >= 1
    assert found.group_s > 0
    assert found.readings >= 2 * found.groups, "one at the beginning of every block with it on"
    assert [effect.figure for effect in found.effects] == ["median", "p99"]
    assert all(effect.off > 0 and effect.on > 0 for effect in found.effects)


def test_a_component_on_a_device_is_timed_by_the_devices_clock(
    onnx_toy: Callable[..., Path], shared_cache: Cache, tmp_path: Path
) -> None:
    options = OverheadOptions(CASE, "decoder", time_s=0.4, block_s=0.1)
    pipeline = load_pipeline(onnx_toy())

    found = measure_overhead(
        pipeline, DeviceBackend(tmp_path), shared_cache, options, SilentObserver()
    )

    assert found.component == "decoder"
    assert found.variant.endswith(", graph"), "the first series that has it"
    assert found.clock != "host"


def test_a_component_that_is_not_there_is_told_before_anything_is_built(
    onnx_toy: Callable[..., Path], cache_of_nothing: Cache
) -> None:
    options = OverheadOptions(CASE, "vocoder")
    backend = OnnxRuntimeBackend(threads=1)

    with pytest.raises(OptionError, match="toy has no component 'vocoder'") as caught:
        measure_overhead(
            load_pipeline(onnx_toy()), backend, cache_of_nothing, options, SilentObserver()
        )
    assert caught.value.fix == "name one of: encoder, decoder, pipeline"
    assert list(cache_of_nothing.entries()) == []


@pytest.fixture
def cache_of_nothing(tmp_path: Path) -> Cache:
    from harness.artifacts.cache import Cache  # noqa: PLC0415

    return Cache(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"interval_s": 0.0}, "--interval"),
        ({"block_s": 0.05}, "--block"),
        ({"time_s": 1.9}, "--time"),
    ],
)
def test_times_in_which_nothing_can_be_told_are_refused(
    options: dict[str, float], where: str
) -> None:
    with pytest.raises(OptionError) as caught:
        OverheadOptions(CASE, **options)  # type: ignore[arg-type]
    assert caught.value.where == where
