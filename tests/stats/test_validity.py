"""Whether figures count: what fails, what is flagged, which blocks are rejected."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.states import Block, DeviceState, GpuState, HostState
from harness.stats.validity import (
    Judgement,
    Limits,
    RetryPolicy,
    judge,
    set_aside,
    should_retry,
)

UUID = "GPU-1"
OWN = 100
# Of what is unknown a reading may tell either.
RANKS = {"valid": 0, "unknown": 0, "flagged": 1, "invalid": 2}


def block(index: int, series: str = "vocoder", length_s: float = 1.0) -> Block:
    return Block(series, started_s=index * 2.0, ended_s=index * 2.0 + length_s, passes=10)


def gpu(at_s: float, *, host: HostState | None = None, **facts: Any) -> DeviceState:
    usual: dict[str, Any] = {
        "sm_clock_mhz": 1980.0,
        "clock_event_reasons": 0,
        "process_ids": (OWN,),
    }
    return DeviceState(at_s, host or HostState(), GpuState(**{"uuid": UUID, **usual, **facts}))


def cpu(at_s: float, **facts: Any) -> DeviceState:
    return DeviceState(at_s, HostState(**facts))


def readings(count: int, **facts: Any) -> list[DeviceState]:
    """Two in each of ``count`` blocks, and one between it and the next."""
    return [gpu(index * 2.0 + at, **facts) for index in range(count) for at in (0.2, 0.8, 1.5)]


BLOCKS = tuple(block(index) for index in range(20))
GOOD = readings(20)


def judged(states: list[DeviceState], blocks: tuple[Block, ...] = BLOCKS, **more: Any) -> Judgement:
    return judge(blocks, states, own_pids={OWN}, device_uuid=UUID, **more)


def whats(judgement: Judgement) -> str:
    return " | ".join(f"{f.level}: {f.what}" for f in judgement.validity.findings)


def rejected(judgement: Judgement) -> list[int]:
    return [index for index, found in enumerate(judgement.blocks) if found.rejected]


def changed(at: int, states: list[DeviceState] = GOOD, **facts: Any) -> list[DeviceState]:
    """``states`` with other facts of the GPU in the reading ``at``."""
    state = states[at]
    assert state.gpu is not None
    return [*states[:at], replace(state, gpu=replace(state.gpu, **facts)), *states[at + 1 :]]


def test_a_quiet_machine_is_valid_without_a_word() -> None:
    found = judged(GOOD, drivers=("580.1", "580.1"))

    assert found == Judgement(found.validity, BLOCKS)
    assert found.validity.findings == ()
    assert not should_retry(found)


def test_without_readings_validity_is_unknown_and_said_to_be() -> None:
    for states in (
        [],
        # Readings of another time are none.
        [gpu(-50.0), gpu(500.0)],
    ):
        found = judged(states)
        assert "unknown: there is no reading of the machine" in whats(found)
        assert found.validity.status == "unknown"
        assert not should_retry(found)
    bare = judged([cpu(b.started_s) for b in BLOCKS])
    assert "no reading of the GPU GPU-1" in whats(bare)
    assert bare.validity.status == "unknown"


def test_what_is_known_to_be_bad_is_invalid_also_without_readings() -> None:
    assert judged([], drivers=("1", "2")).validity.status == "invalid"


def test_readings_that_ended_early_are_flagged_with_the_reason() -> None:
    found = judged(GOOD[:9], problem="the telemetry process ended early (signal SIGKILL)")
    assert whats(found) == (
        "flag: readings of the machine are missing: the telemetry process ended early "
        "(signal SIGKILL)"
    )
    assert found.validity.status == "flagged"
    none = judged([], problem="the telemetry process ended early (signal SIGKILL)")
    assert "SIGKILL" in whats(none)
    assert none.validity.status == "unknown"
    assert not any("telemetry on" in finding.fix for finding in none.validity.findings)


def test_blocks_that_nothing_was_read_in_are_counted() -> None:
    assert "note: 17 of 20 blocks have no reading" in whats(judged(GOOD[:9]))


@pytest.mark.parametrize(
    ("bit", "name"),
    [
        (0x08, "hardware slowdown"),
        (0x20, "software thermal slowdown"),
        (0x40, "hardware thermal slowdown"),
        (0x80, "power brake"),
    ],
)
def test_a_hard_event_fails_the_run_and_rejects_the_block(bit: int, name: str) -> None:
    found = judged(changed(10, clock_event_reasons=bit))

    assert found.validity.status == "invalid"
    assert f"fail: the GPU held its clock back: {name} ({bit:#04x}) in 1 of 40" in whats(found)
    assert "in 1 of 20 blocks" in whats(found)
    assert rejected(found) == [3]
    assert found.blocks[3].rejected == f"{name} ({bit:#04x}) in 1 of 2 readings"
    assert should_retry(found)


def test_a_thermal_counter_tells_what_fell_between_two_readings() -> None:
    states = [gpu(s.monotonic_s, violation_s={"thermal": 5.0}) for s in GOOD]
    for index in range(10, len(states)):
        states = changed(index, states, violation_s={"thermal": 5.25})

    found = judged(states)

    assert "0.25 s under a thermal limit, by its counter" in whats(found)
    assert rejected(found) == [3]
    # A counter that begins anew has not risen.
    assert judged(changed(10, states[:10] + GOOD[10:], violation_s={"thermal": 0.0})).validity == (
        judged(GOOD).validity
    )


@pytest.mark.parametrize("bit", [0x01, 0x02, 0x10, 0x100])
def test_an_idle_gpu_or_set_clocks_are_no_events(bit: int) -> None:
    assert judged(readings(20, clock_event_reasons=bit)).validity.findings == ()


def test_the_software_power_cap_is_flagged_by_readings() -> None:
    found = judged(changed(10, clock_event_reasons=0x04))

    assert found.validity.status == "flagged"
    assert "the software power cap held the GPU's clock back (1 of 40 readings)" in whats(found)
    assert rejected(found) == []
    assert not should_retry(found)


def test_the_software_power_cap_is_flagged_by_its_counter() -> None:
    half = [gpu(s.monotonic_s, violation_s={"power": s.monotonic_s / 2}) for s in GOOD]
    rarely = [gpu(s.monotonic_s, violation_s={"power": s.monotonic_s / 200}) for s in GOOD]

    assert "flag: the software power cap held the GPU's clock back (50% of the time)" in whats(
        judged(half)
    )
    assert judged(rarely).validity.findings == ()


def test_a_foreign_process_fails_the_run_where_it_was_seen_within_a_block() -> None:
    found = judged(changed(10, process_ids=(OWN, 7, 5)))
    between = judged(changed(11, process_ids=(OWN, 7)))

    assert "fail: other processes were on the GPU: 5, 7" in whats(found)
    assert found.blocks[3].rejected == "other processes on the GPU: 5, 7"
    assert rejected(found) == [3]
    assert should_retry(found)
    assert between.validity.findings == ()


@pytest.mark.parametrize("drivers", [("580.1", "580.2"), ("a", "b")])
def test_another_driver_is_no_matter_of_waiting(drivers: tuple[str, str]) -> None:
    found = judged(GOOD, drivers=drivers)

    assert f"the GPU's driver changed during the run: {drivers[0]}, then {drivers[1]}" in whats(
        found
    )
    assert found.validity.status == "invalid"
    assert not should_retry(found)


def test_an_unknown_driver_is_not_another() -> None:
    assert judged(GOOD, drivers=("580.1", None)).validity.status == "valid"


def test_another_gpu_fails_the_run() -> None:
    found = judged(changed(10, uuid="GPU-2"))

    assert "fail: the GPU changed: GPU-1, then GPU-2" in whats(found)
    assert not should_retry(found)
    assert "the GPU changed: GPU-9, then GPU-1" in whats(judge(BLOCKS, GOOD, device_uuid="GPU-9"))


def test_a_block_at_another_clock_is_rejected_with_its_numbers() -> None:
    states = changed(9, changed(10, sm_clock_mhz=1755.0), sm_clock_mhz=1755.0)

    found = judged(states)

    assert rejected(found) == [3]
    assert found.blocks[3].rejected == (
        "SM clock 1755 MHz, -11.4% off the series' median of 1980 MHz"
    )
    assert found.validity.status == "flagged"
    assert "flag: 1 of 20 blocks (5%) are bad, no more than 10%; the first: SM clock" in whats(
        found
    )


def test_a_clock_within_two_per_cent_rejects_nothing() -> None:
    states = changed(9, changed(10, sm_clock_mhz=1945.0), sm_clock_mhz=1945.0)

    assert rejected(judged(states)) == []
    assert rejected(judged(states, limits=Limits(sm_clock=0.01))) == [3]


def test_more_than_a_tenth_rejected_is_invalid() -> None:
    states = GOOD
    for index in (0, 1, 3, 4):
        states = changed(index, states, sm_clock_mhz=1500.0)
    assert judged(states).validity.status == "flagged"
    for index in (6, 7):
        states = changed(index, states, sm_clock_mhz=1500.0)

    found = judged(states)

    assert rejected(found) == [0, 1, 2]
    assert "fail: 3 of 20 blocks (15%) are bad, more than 10%" in whats(found)
    assert should_retry(found)


def test_never_are_all_rejected() -> None:
    found = judged(readings(20, process_ids=(7,)))

    assert found.blocks == BLOCKS
    assert found.validity.status == "invalid"
    assert "every block of vocoder is bad; they are kept" in whats(found)


def test_one_series_that_is_bad_throughout_is_kept_beside_a_good_one() -> None:
    blocks = tuple(block(index, "vocoder" if index else "flow") for index in range(20))

    found = judged(changed(1, clock_event_reasons=0x40), blocks)

    assert rejected(found) == []
    assert "every block of flow is bad" in whats(found)


def test_series_of_unlike_work_may_each_have_a_clock() -> None:
    blocks = tuple(block(index, "fp16" if index < 14 else "fp32") for index in range(20))
    states = readings(14) + [gpu(s.monotonic_s, sm_clock_mhz=1700.0) for s in GOOD[42:]]

    found = judged(states, blocks)

    assert rejected(found) == []
    assert "flag: fp32 ran at 1700 MHz, the run's median is 1980 MHz" in whats(found)


def test_a_try_before_is_not_judged_again() -> None:
    states = changed(10, clock_event_reasons=0x40)
    first = judged(states[:15], BLOCKS[:5])
    aside = set_aside(first.blocks, "the GPU was hot")
    assert {b.rejected for b in aside} == {
        "measured again: the GPU was hot",
        "hardware thermal slowdown (0x40) in 1 of 2 readings",
    }

    found = judged(states, (*aside, *BLOCKS[5:]))

    assert found.blocks == (*aside, *BLOCKS[5:])
    assert found.validity.status == "valid"


def test_a_run_of_which_every_block_was_set_aside_is_invalid() -> None:
    assert judged(GOOD, set_aside(BLOCKS, "hot")).validity.status == "invalid"


def test_without_blocks_all_readings_count() -> None:
    assert judged(changed(2, clock_event_reasons=0x40), ()).validity.status == "invalid"
    assert judged(GOOD, ()).validity.findings == ()


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        (
            {"others_busy": 0.3},
            "other processes took 1% of all cores' time (median), 30% at worst",
        ),
        (
            {"steal": 0.04},
            "the hypervisor took 0% of the cores' time (median), 4% at worst",
        ),
    ],
)
def test_load_is_a_flag_where_it_is_common(facts: dict[str, float], what: str) -> None:
    quiet = [cpu(b.started_s, others_busy=0.01, steal=0.0) for b in BLOCKS]
    busy = [replace(s, host=replace(s.host, **facts)) for s in quiet]

    once = judge(BLOCKS, [*quiet[:18], *busy[18:]])
    often = judge(BLOCKS, [*quiet[:17], *busy[17:]])

    assert once.validity.findings == ()
    assert what in whats(often)
    assert "in 3 of 20 readings" in whats(often)
    assert often.validity.status == "flagged"
    assert often.blocks == BLOCKS
    assert not should_retry(often)


def test_a_processor_that_changes_its_clock_or_throttles_is_flagged() -> None:
    states = [cpu(b.started_s, clock_mhz=3000.0, throttle_count=4) for b in BLOCKS[:15]]
    states += [cpu(b.started_s, clock_mhz=2400.0, throttle_count=6) for b in BLOCKS[15:]]

    found = judge(BLOCKS, states)

    assert "the processor's clock was off its median of 3000 MHz by up to 20%" in whats(found)
    assert "the processor throttled 2 times for its heat" in whats(found)
    assert found.validity.status == "flagged"


def test_a_processor_that_tells_nothing_is_not_blamed() -> None:
    assert judge(BLOCKS, [cpu(b.started_s) for b in BLOCKS]).validity.findings == ()


def test_every_finding_says_what_to_do() -> None:
    bad = gpu(0.5, clock_event_reasons=0xEC, process_ids=(7,), uuid="GPU-7", sm_clock_mhz=500.0)
    found = judged([*GOOD, bad], drivers=("1", "2")).validity.findings

    assert len(found) >= 5
    assert all(f.what and f.fix for f in found)


def test_retries_are_bounded_and_wait_longer_each_time() -> None:
    found = judged(changed(10, clock_event_reasons=0x40))
    policy = RetryPolicy(max_retries=2, cool_down_s=20.0, max_cool_down_s=30.0)

    assert [should_retry(found, policy, retries=n) for n in range(4)] == [True, True, False, False]
    assert [policy.wait_s(n) for n in range(3)] == [20.0, 30.0, 30.0]
    assert not should_retry(found, RetryPolicy(max_retries=0))
    with pytest.raises(ValueError, match="negative"):
        RetryPolicy(cool_down_s=-1.0)


# Properties.

times = st.floats(-1.0, 12.0)
clocks = st.sampled_from([None, 1980.0, 1975.0, 1755.0, 345.0])
bits = st.sampled_from([None, 0, 0x01, 0x04, 0x08, 0x20, 0x40, 0x80, 0x44])
pids = st.sampled_from([None, (), (OWN,), (OWN, 7)])
hosts = st.builds(
    HostState,
    others_busy=st.sampled_from([None, 0.0, 0.5]),
    steal=st.sampled_from([None, 0.0, 0.2]),
    clock_mhz=st.sampled_from([None, 2500.0, 3500.0]),
    throttle_count=st.sampled_from([None, 0, 3]),
)
gpus = st.builds(
    GpuState,
    uuid=st.sampled_from([UUID, UUID, UUID, "GPU-2"]),
    sm_clock_mhz=clocks,
    clock_event_reasons=bits,
    process_ids=pids,
    violation_s=st.sampled_from([{}, {"thermal": 0.0}, {"thermal": 0.1, "power": 0.2}]),
)
any_states = st.lists(st.builds(DeviceState, times, hosts, st.none() | gpus), max_size=12)
any_blocks = st.lists(
    st.builds(block, st.integers(0, 5), st.sampled_from(["a", "b"])), max_size=6
).map(tuple)


@given(any_blocks, any_states)
def test_no_series_ends_without_a_block(blocks: tuple[Block, ...], states: Any) -> None:
    found = judged(states, blocks)

    assert [replace(b, rejected="") for b in found.blocks] == list(blocks)
    assert {b.series for b in found.blocks if not b.rejected} == {b.series for b in blocks}
    assert should_retry(found) <= (found.validity.status == "invalid")


@given(any_blocks, any_states, st.randoms(use_true_random=False))
def test_the_order_of_readings_changes_nothing(
    blocks: tuple[Block, ...], states: list[DeviceState], random: Any
) -> None:
    by_time = {state.monotonic_s: state for state in states}
    shuffled = list(by_time.values())
    random.shuffle(shuffled)

    before, after = judged(list(by_time.values()), blocks), judged(shuffled, blocks)

    assert before.blocks == after.blocks
    assert before.validity.status == after.validity.status


def worse(state: DeviceState, how: str) -> DeviceState:
    """``state`` with something bad that is no clock."""
    if how == "host":
        return replace(state, host=replace(state.host, others_busy=0.9, steal=0.9))
    if state.gpu is None:
        return state
    bad: dict[str, Any] = {
        "cap": {"clock_event_reasons": (state.gpu.clock_event_reasons or 0) | 0x04},
        "hot": {"clock_event_reasons": (state.gpu.clock_event_reasons or 0) | 0x40},
        "foreign": {"process_ids": (*(state.gpu.process_ids or ()), 8)},
        "other": {"uuid": "GPU-3"},
    }[how]
    return replace(state, gpu=replace(state.gpu, **bad))


kinds = st.sampled_from(["host", "cap", "hot", "foreign", "other"])


@given(any_blocks, any_states, st.data())
def test_worse_readings_never_make_it_more_valid(
    blocks: tuple[Block, ...], states: list[DeviceState], data: st.DataObject
) -> None:
    how = data.draw(st.lists(st.none() | kinds, min_size=len(states), max_size=len(states)))
    spoilt = [worse(s, h) if h else s for s, h in zip(states, how, strict=True)]

    before, after = judged(states, blocks), judged(spoilt, blocks)

    assert RANKS[after.validity.status] >= RANKS[before.validity.status]


@given(any_blocks, any_states, times, kinds)
def test_more_bad_readings_never_make_it_more_valid(
    blocks: tuple[Block, ...], states: list[DeviceState], at_s: float, how: str
) -> None:
    # Nothing but bad: a reading that also tells a clock moves the median of all.
    bare = DeviceState(at_s, HostState(), GpuState(UUID))

    before, after = judged(states, blocks), judged([*states, worse(bare, how)], blocks)

    assert RANKS[after.validity.status] >= RANKS[before.validity.status]


@given(any_blocks.filter(bool), any_states, clocks, st.sampled_from(["hot", "foreign", "other"]))
def test_a_hard_event_within_a_block_is_never_valid_whatever_the_clock(
    blocks: tuple[Block, ...], states: list[DeviceState], clock_mhz: float | None, how: str
) -> None:
    bare = DeviceState(blocks[0].started_s, HostState(), GpuState(UUID, sm_clock_mhz=clock_mhz))

    assert judged([*states, worse(bare, how)], blocks).validity.status == "invalid"
