"""Energy from counters: of the simulated recording, and of states made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.states import DeviceState, GpuState, HostState
from harness.stats.energy import estimate_energy, estimate_idle_power_w
from tests.telemetry_fakes import UUID, simulate_h200

# Idle from 5000 s, working at 420 W from 5003 s, idle at 76 W from 5009 s.
STATES = simulate_h200()


def test_the_energy_of_work_is_its_power_by_its_time() -> None:
    found = estimate_energy(STATES, 5003.0, 5009.0)

    assert found.rel_error is not None
    assert found.rel_error < 0.025
    assert found.power_w == pytest.approx(420.0, rel=found.rel_error)
    assert found.energy_j == pytest.approx(6 * 420.0, rel=found.rel_error)
    assert found.per_inference_j(3000) == pytest.approx(0.84, rel=found.rel_error)
    assert (found.window_s, found.reason) == (6.0, "")


@pytest.mark.parametrize("interval_s", [0.03, 0.1, 0.25])
@pytest.mark.parametrize("begin_s", [5003.0, 5003.31, 5004.77])
def test_the_error_is_within_its_bound_however_often_it_is_read(
    interval_s: float, begin_s: float
) -> None:
    found = estimate_energy(simulate_h200(interval_s), begin_s, begin_s + 4.0)

    assert found.power_w is not None
    assert found.rel_error is not None
    assert found.power_w == pytest.approx(420.0, rel=found.rel_error)


def test_a_window_too_short_for_the_counter_has_no_energy_but_a_reason() -> None:
    found = estimate_energy(STATES, 5004.0, 5005.5)

    assert (found.energy_j, found.power_w, found.rel_error) == (None, None, None)
    assert found.per_inference_j(10) is None
    assert found.reason.startswith("the energy counter was seen to move over 1.")
    assert found.reason.endswith("and 2 s are needed")
    assert estimate_energy(STATES, 5004.0, 5005.5, min_window_s=1.0).power_w == pytest.approx(
        420.0, rel=0.1
    )


def test_without_a_counter_there_is_a_reason() -> None:
    none = [replace(state, gpu=None) for state in STATES]

    assert estimate_energy(none, 5003.0, 5009.0).reason == "the gpu shows no energy counter"
    assert estimate_energy(STATES, 1.0, 9.0).reason == "the gpu shows no energy counter"
    host = estimate_energy(STATES, 5003.0, 5009.0, source="host")
    assert host.reason == "the host shows no energy counter"


def test_a_counter_that_started_again_is_not_believed() -> None:
    states = [at(s, energy_j=1000.0 + s if s < 3 else 5.0 * s) for s in range(8)]

    assert estimate_energy(states, 0.0, 7.0).reason == "the gpu's energy counter started again"


def test_a_counter_that_begins_at_nothing_counts_from_there() -> None:
    states = [DeviceState(float(s), HostState(energy_j=30.0 * s), None) for s in range(6)]

    assert estimate_energy(states, 0.0, 5.0, source="host").power_w == 30.0


def test_nothing_that_is_counted_is_divided_by_no_inferences() -> None:
    assert estimate_energy(STATES, 5003.0, 5009.0).per_inference_j(0) is None


def test_the_idle_power_is_that_before_the_work() -> None:
    assert estimate_idle_power_w(STATES, 5003.0) == pytest.approx(76.0, rel=0.05)


def test_where_it_was_not_idle_for_long_the_power_readings_tell() -> None:
    states = [at(0.1 * i, power_w=power) for i, power in enumerate((80.0, 76.0, 76.5, 400.0))]

    assert estimate_idle_power_w(states, 0.25) == 76.5
    assert estimate_idle_power_w(states, 0.0) is None
    assert estimate_idle_power_w([at(0.0)], 1.0) is None
    assert estimate_idle_power_w(states, 0.25, source="host") is None


def at(monotonic_s: float, **gpu: float) -> DeviceState:
    return DeviceState(float(monotonic_s), HostState(), replace(GpuState(UUID), **gpu))  # type: ignore[arg-type]
