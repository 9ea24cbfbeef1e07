"""One case: what the machine's state spoils is set aside or measured again, and energy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from harness.measure.sampler import SamplingPlan, SeriesResult, decide
from harness.measure.warmup import WarmedUp
from harness.measuring import (
    CaseMeasuring,
    EnergyTarget,
    OwnProcesses,
    Watch,
    measure_energy,
    split,
)
from harness.states import Block, DeviceState, GpuState, HostState
from harness.stats.energy import GPU, HOST
from harness.stats.stopping import MedianPrecision, Status
from harness.stats.validity import RetryPolicy
from tests.measure.fakes import FakeClock, Wall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UUID = "GPU-1"
POLICY = RetryPolicy(max_retries=2, cool_down_s=15.0)
BLOCK_S = 1.0
THERMAL = 0x40


@pytest.fixture(autouse=True)
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    stand_in = Wall()
    for module in ("measuring", "measure.sampler", "measure.warmup"):
        monkeypatch.setattr(f"harness.{module}.time", stand_in)
    return stand_in


def plan(**options: Any) -> SamplingPlan:
    """Eight rounds of 2 passes, or as many as ``max_samples`` asks for, after one of warm-up."""
    usual: dict[str, Any] = {"max_samples": 16, "max_time_s": 1e6, "block_s": 10.0}
    return SamplingPlan(**{**usual, "warmup_s": 0.0, "max_warmup_s": 0.0, **options})


@dataclass
class Machine:
    """Is read twice in every second of the wall; ``odd`` tells what is not as usual, and when."""

    wall: Wall
    odd: Callable[[float], dict[str, Any]] = lambda _: {}
    slept_s: list[float] = field(default_factory=list)
    drivers: list[str | None] = field(default_factory=lambda: ["580"])

    def states(self) -> tuple[DeviceState, ...]:
        found = []
        for step in range(1, int((self.wall.now_s - 1_000.0) * 2)):
            at_s = step / 2
            usual: dict[str, Any] = {
                "sm_clock_mhz": 1980.0,
                "clock_event_reasons": 0,
                "process_ids": (os.getpid(),),
            }
            gpu = GpuState(uuid=UUID, **{**usual, **self.odd(at_s)})
            found.append(DeviceState(1_000.0 + at_s, HostState(), gpu))
        return tuple(found)

    def driver(self) -> str | None:
        return self.drivers.pop(0) if len(self.drivers) > 1 else self.drivers[0]

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.wall.sleep(seconds)

    def watch(self) -> Watch:
        return Watch(self.states, UUID, self.driver)


def measuring(
    clock: FakeClock, machine: Machine, asked: SamplingPlan | None = None
) -> CaseMeasuring[str]:
    return CaseMeasuring(clock.groups, asked or plan(), machine.watch(), POLICY, machine.sleep)


def two_groups(wall: Wall, **options: Any) -> FakeClock:
    """Each block takes a second; those of a round are a and b, then c."""
    groups: tuple[dict[str, float], ...] = ({"a": 0.5, "b": 0.5}, {"c": 0.9})
    return FakeClock(*groups, wall=wall, block_wall_s=BLOCK_S, **options)


def during(start_s: float, end_s: float, **facts: Any) -> Callable[[float], dict[str, Any]]:
    return lambda at_s: facts if start_s < at_s < end_s else {}


def lengths(case: CaseMeasuring[str]) -> dict[str, tuple[int, int]]:
    """How many samples of each target count, and how many do not."""
    return {
        key: (len(measured.result.latency_s), len(measured.rejected_latency_s))
        for key, measured in case.series.items()
    }


def test_a_quiet_machine_leaves_all_as_it_was_measured(wall: Wall) -> None:
    clock = two_groups(wall)
    machine = Machine(wall)
    case = measuring(clock, machine)
    told: list[float] = []

    case.run(told.append)

    assert lengths(case) == dict.fromkeys("abc", (16, 0))
    for key, measured in case.series.items():
        assert measured.result.latency_s == clock.measured(key)
    assert [block.passes for block in case.blocks] == [2] * 16
    assert not any(block.rejected for block in case.blocks)
    assert case.validity.status == "valid"
    assert machine.slept_s == []
    assert (told[0], told[-1]) == (0.0, 1.0)


def test_samples_of_a_rejected_block_are_kept_apart(wall: Wall) -> None:
    clock = two_groups(wall)
    # Warm-up takes two seconds. Blocks are of a second each, a and b's and c's in turn; of the 20
    # rounds the third's first is disturbed, in one reading of three: 1 block in 40.
    machine = Machine(wall, during(6.2, 6.9, sm_clock_mhz=1500.0))
    case = measuring(clock, machine, plan(max_samples=60, block_s=3.0))

    case.run()

    (bad,) = [index for index, block in enumerate(case.blocks) if block.rejected]
    assert bad == 4
    assert case.blocks[bad].series == "a and b"
    assert "SM clock 1820 MHz, -8.1%" in case.blocks[bad].rejected
    assert case.validity.status == "flagged"
    for key in "ab":
        everything = clock.measured(key)
        measured = case.series[key]
        assert measured.rejected_latency_s == everything[6:9]
        assert measured.result.latency_s == everything[:6] + everything[9:]
        assert sum(measured.result.block_passes) == 57
        # It is judged anew, by what counts.
        assert measured.result.decision.estimate.count == 57
    assert lengths(case)["c"] == (60, 0)
    # No more than is right is no reason to measure again.
    assert machine.slept_s == []


def test_an_invalid_try_is_done_again_after_a_pause_and_its_samples_are_kept(wall: Wall) -> None:
    clock = two_groups(wall)
    # Hot for the whole of the first try, which takes 18 s.
    machine = Machine(wall, during(0.0, 19.0, clock_event_reasons=THERMAL))
    case = measuring(clock, machine)
    told: list[tuple[str, int]] = []

    case.run(on_wait=lambda text: told.append((text, len(machine.slept_s))))

    assert machine.slept_s == [15.0]
    # Before it waits.
    ((text, slept),) = told
    assert slept == 0
    assert text.startswith(
        "waiting 15 s for the machine to calm down, then measuring again: the GPU held its clock"
    )
    assert case.validity.status == "valid"
    assert lengths(case) == dict.fromkeys("abc", (16, 16))
    assert len(case.blocks) == 32
    for block in case.blocks[:16]:
        assert block.rejected.startswith("measured again: the GPU held its clock back")
    assert not any(block.rejected for block in case.blocks[16:])
    assert list(case.blocks) == sorted(case.blocks, key=lambda block: block.started_s)
    for measured in case.series.values():
        both = {*measured.result.latency_s, *measured.rejected_latency_s}
        assert len(both) == 32


def test_the_pauses_grow_and_the_tries_are_bounded_and_never_leave_nothing(wall: Wall) -> None:
    clock = two_groups(wall)
    machine = Machine(wall, during(0.0, 1e9, clock_event_reasons=THERMAL))
    case = measuring(clock, machine)

    case.run()

    assert machine.slept_s == [15.0, 30.0]
    assert case.validity.status == "invalid"
    # The last try is shown, bad as it is: a figure that does not count is still a figure.
    assert lengths(case) == dict.fromkeys("abc", (16, 32))
    assert len(case.blocks) == 48
    assert [bool(block.rejected) for block in case.blocks] == [True] * 32 + [False] * 16
    assert any("every block" in f.what for f in case.validity.findings)


def test_rejected_blocks_of_both_tries_are_kept_in_order(wall: Wall) -> None:
    clock = FakeClock({"a": 0.5}, wall=wall, block_wall_s=BLOCK_S)
    # All of the first try, and one block in 20 of the second, which begins at 37 s.
    asked = plan(max_samples=20, block_s=1.0)
    hot = during(0.0, 22.0, clock_event_reasons=THERMAL)
    slow = during(40.1, 40.9, sm_clock_mhz=1000.0)
    machine = Machine(wall, lambda at_s: {**hot(at_s), **slow(at_s)})
    case = measuring(clock, machine, asked)

    case.run()

    assert machine.slept_s == [15.0]
    assert lengths(case) == {"a": (19, 21)}
    everything = [seconds for name, seconds in clock.launched if name == "a"]
    # A pass of warm-up in each try.
    first, second = everything[1:21], everything[22:]
    lost = [s for s in second if s not in case.series["a"].result.latency_s]
    assert len(lost) == 1
    assert list(case.series["a"].rejected_latency_s) == [*first, *lost]


def test_another_driver_is_no_reason_to_wait(wall: Wall) -> None:
    machine = Machine(wall, drivers=["580", "590"])
    case = measuring(two_groups(wall), machine)

    case.run()

    assert case.validity.status == "invalid"
    assert "driver changed" in case.validity.findings[0].what
    assert machine.slept_s == []
    assert lengths(case) == dict.fromkeys("abc", (16, 0))


def test_a_foreign_process_makes_it_invalid_and_a_child_does_not(wall: Wall) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        for pid, status in ((child.pid, "valid"), (1, "invalid")):
            machine = Machine(wall, lambda _, pid=pid: {"process_ids": (os.getpid(), pid)})
            case = measuring(two_groups(wall), machine)
            case.run()
            assert case.validity.status == status


def test_without_readings_all_counts_and_it_is_said(wall: Wall) -> None:
    case = CaseMeasuring(two_groups(wall).groups, plan(), Watch(tuple), POLICY)
    case.run()
    (finding,) = case.findings
    assert (finding.level, case.validity.status) == ("unknown", "unknown")
    assert "no reading of the machine" in finding.what
    assert lengths(case) == dict.fromkeys("abc", (16, 0))


# Interrupted.


def test_a_child_that_an_interruption_ended_was_no_foreign_process(wall: Wall) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:

        def seen(_: float) -> dict[str, Any]:
            return {"process_ids": (os.getpid(), child.pid)}

        clock = two_groups(wall, fail_in_block=5)
        case = measuring(clock, Machine(wall, seen))

        def end_child(_: float) -> None:
            child.kill()
            child.wait()

        with pytest.raises(KeyboardInterrupt):
            case.run(end_child)

    assert case.validity.status == "valid"


def test_an_interruption_keeps_what_was_complete(wall: Wall) -> None:
    clock = two_groups(wall, fail_in_block=5)
    case = measuring(clock, Machine(wall))

    with pytest.raises(KeyboardInterrupt):
        case.run()

    assert lengths(case) == {"a": (4, 0), "b": (4, 0), "c": (2, 0)}
    assert {m.result.decision.reason for m in case.series.values()} == {"interrupted"}
    assert len(case.blocks) == 3
    assert case.validity.status == "valid"


def test_an_interruption_of_the_warm_up_leaves_nothing(wall: Wall) -> None:
    case = measuring(two_groups(wall, fail_in_block=1), Machine(wall))

    with pytest.raises(KeyboardInterrupt):
        case.run()

    assert case.series == {}
    assert case.blocks == ()


def test_an_interruption_of_the_pause_keeps_the_try_before(wall: Wall) -> None:
    machine = Machine(wall, during(0.0, 19.0, clock_event_reasons=THERMAL))

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    case = CaseMeasuring(two_groups(wall).groups, plan(), machine.watch(), POLICY, interrupt)
    with pytest.raises(KeyboardInterrupt):
        case.run()

    assert lengths(case) == dict.fromkeys("abc", (16, 0))
    assert case.validity.status == "invalid"


@pytest.mark.parametrize(
    ("blocks", "expected", "status"),
    [
        # In the warm-up, before the second group's first block, and after it: all of the try before
        # stands, bad as it was.
        (1, {"a": (16, 0), "b": (16, 0), "c": (16, 0)}, "invalid"),
        (3, {"a": (16, 2), "b": (16, 2), "c": (16, 0)}, "invalid"),
        (4, {"a": (16, 2), "b": (16, 2), "c": (16, 2)}, "invalid"),
    ],
)
def test_an_interrupted_second_try_never_takes_the_place_of_the_first(
    wall: Wall, blocks: int, expected: dict[str, tuple[int, int]], status: str
) -> None:
    # The first takes eighteen blocks, two of them to warm up.
    clock = two_groups(wall, fail_in_block=18 + blocks)
    machine = Machine(wall, during(0.0, 19.0, clock_event_reasons=THERMAL))
    case = measuring(clock, machine)

    with pytest.raises(KeyboardInterrupt):
        case.run()

    assert machine.slept_s == [15.0]
    assert lengths(case) == expected
    assert case.validity.status == status
    for measured in case.series.values():
        assert not set(measured.result.latency_s) & set(measured.rejected_latency_s)
    # Every sample is of a block, and counts if its block does.
    for group in clock.groups:
        passes = Counter[bool]()
        for block in case.blocks:
            if block.series == group.name:
                passes[bool(block.rejected)] += block.passes
        for key in group.targets:
            assert expected[key] == (passes[False], passes[True])


# By itself.


def result(*passes: int) -> SeriesResult:
    samples = tuple(1.0 + 0.001 * index for index in range(sum(passes)))
    decision = decide(MedianPrecision(), samples, passes, "time")
    return SeriesResult(samples, passes, decision, clock_tick_s=0.0, is_steady=True)


def blocks_of(*rejected: str) -> list[Block]:
    return [Block("a", float(at), at + 0.5, 1, why) for at, why in enumerate(rejected)]


def test_what_is_left_after_blocks_were_rejected_may_be_too_little() -> None:
    whole = SeriesResult(
        (1.0,) * 40,
        (20, 20),
        decide(MedianPrecision(), [1.0] * 40, (20, 20), "time"),
        0.0,
        is_steady=True,
    )
    assert whole.decision.status is Status.CONVERGED
    found = split(whole, blocks_of("", "hot"), MedianPrecision())
    assert found.result.decision.status is Status.INCONCLUSIVE
    assert found.result.decision.reason == "blocks rejected"
    assert (found.result.block_passes, len(found.rejected_latency_s)) == ((20,), 20)


@pytest.mark.parametrize("reasons", [("", "", ""), ("hot", "hot", "hot")])
def test_where_no_block_or_every_block_is_bad_nothing_is_set_aside(reasons: tuple[str]) -> None:
    whole = result(3, 4, 2)
    found = split(whole, blocks_of(*reasons), MedianPrecision())
    assert (found.result, found.rejected_latency_s) == (whole, ())


def test_blocks_are_cut_out_at_their_passes() -> None:
    whole = result(3, 4, 2)
    found = split(whole, blocks_of("", "hot", ""), MedianPrecision())
    assert found.rejected_latency_s == whole.latency_s[3:7]
    assert found.result.latency_s == whole.latency_s[:3] + whole.latency_s[7:]
    assert found.result.block_passes == (3, 2)


def test_blocks_that_are_not_those_of_the_result_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        split(result(3, 4, 2), blocks_of("hot", ""), MedianPrecision())


def test_own_processes_are_this_one_and_all_below() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as child:
        process = psutil.Process(child.pid)
        while not process.children():
            assert child.poll() is None
        (grandchild,) = process.children()
        own_pids = OwnProcesses()
        found = own_pids()
        assert {os.getpid(), child.pid, grandchild.pid} <= found
        assert os.getppid() not in found
    assert child.pid not in OwnProcesses()()
    assert child.pid in own_pids(), "its blocks are judged when it is gone"


# Energy.


@dataclass
class Counter100W:
    """A device that takes 100 W while it works, 20 W before, by a counter that moves in steps."""

    wall: Wall
    works_since_s: float = 1_000.0
    kept: Sequence[str] = (GPU, HOST)

    def states(self) -> tuple[DeviceState, ...]:
        found = []
        for step in range(int((self.wall.now_s - 990.0) * 20)):
            at_s = 990.0 + step / 20
            seen_s = int((at_s - 990.0) * 10) / 10
            joules = 20.0 * seen_s + 80.0 * max(0.0, seen_s + 990.0 - self.works_since_s)
            gpu = GpuState(UUID, energy_j=joules) if GPU in self.kept else None
            host = HostState(energy_j=joules / 2) if HOST in self.kept else HostState()
            found.append(DeviceState(at_s, host, gpu))
        return tuple(found)


@dataclass
class Working:
    """A clock of launches that take ``latency_s`` of the wall, queued until it waits for them."""

    wall: Wall
    latency_s: float
    queued: int = 0
    launched: int = 0
    name: str = "queued"
    is_simulated: bool = True

    def launch(self) -> None:
        self.queued += 1
        self.launched += 1

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        for launch in launches:
            launch()
        self.wall.now_s += self.queued * self.latency_s
        self.queued = 0
        return (self.latency_s,) * len(launches)

    def target(self, source: str) -> EnergyTarget:
        return EnergyTarget(self.launch, self, source)


def test_energy_is_the_counters_rise_over_the_launches(wall: Wall) -> None:
    machine, work = Counter100W(wall), Working(wall, 0.01)
    found, findings = measure_energy({"whole": work.target(GPU)}, Watch(machine.states))
    assert findings == ()
    # 100 W for 10 ms each, and the counter has steps.
    assert found == {"whole": pytest.approx(1.0, rel=0.05)}
    assert wall.now_s - 1_000.0 == pytest.approx(2.5, abs=0.4)
    assert work.launched * 0.01 == pytest.approx(wall.now_s - 1_000.0)


def test_each_target_goes_by_its_own_devices_counter(wall: Wall) -> None:
    machine = Counter100W(wall)
    works = {GPU: Working(wall, 0.01), HOST: Working(wall, 0.02)}
    targets = {s: work.target(s) for s, work in works.items()}
    found, _ = measure_energy(targets, Watch(machine.states))
    # The host's counter shows half as many watts, and its launches take twice as long.
    assert found[GPU] == pytest.approx(1.0, rel=0.05)
    assert found[HOST] == pytest.approx(1.0, rel=0.05)


def test_what_no_counter_tells_of_takes_no_time(wall: Wall) -> None:
    machine, work = Counter100W(wall, kept=(HOST,)), Working(wall, 0.01)
    assert measure_energy({"whole": work.target(GPU)}, Watch(machine.states)) == ({}, ())
    assert measure_energy({"whole": work.target(GPU)}, Watch(tuple)) == ({}, ())
    assert (work.launched, wall.now_s) == (0, 1_000.0)


def test_a_stretch_too_short_for_the_counter_gives_no_energy(wall: Wall) -> None:
    machine, work = Counter100W(wall), Working(wall, 0.01)
    watch = Watch(machine.states)
    assert measure_energy({"whole": work.target(GPU)}, watch, time_s=0.5) == ({}, ())
    assert work.launched > 0


def test_energy_that_another_process_took_a_part_of_is_left_out_with_the_reason(
    wall: Wall,
) -> None:
    machine, work = Counter100W(wall), Working(wall, 0.01)

    def states() -> tuple[DeviceState, ...]:
        return tuple(
            replace(s, gpu=replace(s.gpu, process_ids=(os.getpid(), 1)))
            for s in machine.states()
            if s.gpu is not None
        )

    found, (finding,) = measure_energy({"whole": work.target(GPU)}, Watch(states, UUID))

    assert found == {}
    assert finding.level == "flag"
    assert finding.what == "an energy is left out: other processes were on the GPU: 1"


# Readings that end early, and a warm-up that was not steady.


def test_why_readings_are_missing_is_a_finding(wall: Wall) -> None:
    machine = Machine(wall)
    watch = replace(machine.watch(), problem=lambda: "the telemetry process ended early")
    case = CaseMeasuring(two_groups(wall).groups, plan(), watch, POLICY, machine.sleep)

    case.run()

    (finding,) = case.findings
    assert "the telemetry process ended early" in finding.what
    assert case.validity.status == "flagged"


@pytest.mark.parametrize("is_steady", [True, False])
def test_what_converged_after_an_unsteady_warm_up_is_told_of(
    wall: Wall, monkeypatch: pytest.MonkeyPatch, is_steady: bool
) -> None:
    monkeypatch.setattr(
        "harness.measure.sampler.warm_up", lambda *_: WarmedUp(1.0, is_steady=is_steady)
    )
    clock = FakeClock({"a": 0.5}, {"c": 0.9}, noise=1e-5, wall=wall, block_wall_s=BLOCK_S)
    watched = [clock.groups[0], replace(clock.groups[1], watched=frozenset[str]())]
    machine = Machine(wall)
    case = CaseMeasuring(watched, plan(max_samples=60), machine.watch(), POLICY, machine.sleep)

    case.run()

    assert {m.result.decision.status for m in case.series.values()} == {Status.CONVERGED}
    whats = [finding.what for finding in case.findings if finding.level == "note"]
    # A group that nothing waits for is not named.
    told = "the warm-up ended unsteady, though the medians converged: a"
    assert whats == ([] if is_steady else [told])
