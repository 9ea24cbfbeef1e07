"""What may be asked of a run, from Python as well as by the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.api import benchmark_end_to_end_latency
from harness.arrivals import Arrival
from harness.errors import OptionError
from harness.measure.sampler import SamplingPlan
from harness.options import RunOptions
from harness.prepare import BuildOptions
from harness.types import COLD, CONCURRENT, HOT, PACED, Case

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CASES = (Case(0.5, 1),)
WHOLE = [Arrival(PACED), Arrival(CONCURRENT, None, 2)]


@pytest.mark.parametrize("arrival", WHOLE)
@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"canary": True}, "--canary"),
        ({"canary": False}, "--no-canary"),
        ({"energy": True}, "--energy"),
        ({"energy": False}, "--no-energy"),
        ({"sampling": SamplingPlan(tail=True)}, "--tail"),
        ({"sampling": SamplingPlan(tail=False)}, "--no-tail"),
    ],
)
def test_what_changes_nothing_where_whole_inferences_are_timed_is_refused(
    arrival: Arrival, given: dict[str, Any], where: str
) -> None:
    with pytest.raises(OptionError, match=f"no use in the mode {arrival.mode}") as caught:
        RunOptions(CASES, arrival=arrival, **given)
    assert caught.value.where == where


@pytest.mark.parametrize("arrival", WHOLE)
def test_what_is_left_open_is_not_measured_where_whole_inferences_are_timed(
    arrival: Arrival,
) -> None:
    options = RunOptions(CASES, arrival=arrival)
    assert (options.has_canary, options.has_energy) == (False, False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (True, True)),
        ({"canary": False}, (False, True)),
        ({"energy": False}, (True, False)),
        ({"arrival": Arrival(COLD)}, (True, False)),
        ({"arrival": Arrival(COLD), "energy": False}, (True, False)),
        ({"components": ("encoder",)}, (True, False)),
        ({"sampling": SamplingPlan(tail=False), "canary": True, "energy": True}, (True, True)),
    ],
)
def test_hot_and_cold_have_a_canary_and_hot_pipelines_energy(
    given: dict[str, Any], expected: tuple[bool, bool]
) -> None:
    options = RunOptions(CASES, **given)
    assert (options.has_canary, options.has_energy) == expected


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"arrival": Arrival(COLD)}, "with --mode cold no energy is measured"),
        ({"components": ("encoder",)}, "with --component no energy is measured"),
    ],
)
def test_energy_is_refused_where_there_is_none(given: dict[str, Any], why: str) -> None:
    with pytest.raises(OptionError, match=why) as caught:
        RunOptions(CASES, energy=True, **given)
    assert caught.value.where == "--energy"


@pytest.mark.parametrize("tail", [True, False])
def test_the_public_function_refuses_a_tail_that_nothing_waits_for(
    onnx_toy: Callable[..., Path], tail: bool
) -> None:
    with pytest.raises(OptionError, match="no use in the mode paced"):
        benchmark_end_to_end_latency(onnx_toy(), mode=PACED, tail=tail)
    assert SamplingPlan().tail is None
    assert Arrival().mode == HOT


def test_an_opset_that_nothing_is_exported_at_is_refused_before_anything_is_made() -> None:
    with pytest.raises(OptionError, match="opset 12 is not supported; choose one of 17, 18"):
        BuildOptions(opset=12)
