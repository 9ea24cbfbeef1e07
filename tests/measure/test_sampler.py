"""Sampling in turn, against a clock that makes its times up."""

from __future__ import annotations

import gc
import math
from typing import TYPE_CHECKING, TypeAlias

import pytest

from harness.errors import OptionError
from harness.measure.sampler import Group, SamplingPlan, sample_in_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

Block: TypeAlias = "list[tuple[str, float]]"

AGES_S = 3_600.0
NO_TIME_S = 1e-9

PIPELINES: tuple[dict[str, float], ...] = (
    {"fast.encode": 0.001, "fast.decode": 0.002},
    {"slow.encode": 0.03, "slow.decode": 5.0, "slow.extra": 0.04},
    {"medium": 0.03},
)


class Wall:
    """Stands in for the sampler's ``time``: it advances only when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic(self) -> float:
        return self.now_s


class FakeClock:
    """Gives each target a latency of its own, slowly rising, and notes every launch and block.

    In the middle of the block number ``fail_in_block`` it raises ``failure``. Each block takes
    ``block_wall_s`` on the ``wall``.
    """

    name = "fake"
    is_simulated = True

    def __init__(
        self,
        *groups: Mapping[str, float],
        wall: Wall | None = None,
        block_wall_s: float = 0.0,
        fail_in_block: int | None = None,
        failure: type[BaseException] = KeyboardInterrupt,
    ) -> None:
        self.groups = [
            Group({key: self._launch(key, latency_s) for key, latency_s in group.items()}, self)
            for group in groups
        ]
        self.wall = wall or Wall()
        self.block_wall_s = block_wall_s
        self.fail_in_block = fail_in_block
        self.failure = failure
        self.launched: Block = []
        self.blocks: list[Block] = []
        self.was_collecting: list[bool] = []

    def _launch(self, key: str, latency_s: float) -> Callable[[], None]:
        def launch() -> None:
            self.launched.append((key, latency_s * (1.0 + 1e-6 * len(self.launched))))

        return launch

    def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
        before = len(self.launched)
        for index, launch in enumerate(launches):
            launch()
            if len(self.blocks) == self.fail_in_block and index == len(launches) // 2:
                raise self.failure
        self.wall.now_s += self.block_wall_s
        self.blocks.append(self.launched[before:])
        self.was_collecting.append(gc.isenabled())
        return tuple(latency_s for _, latency_s in self.blocks[-1])

    def after_warm_up(self, passes: int = 2) -> list[Block]:
        return self.blocks[passes * len(self.groups) :]

    def measured(self, key: str) -> list[float]:
        return [seconds for block in self.after_warm_up() for name, seconds in block if name == key]


def keys(block: Block) -> list[str]:
    return [key for key, _ in block]


def counts(samples: Mapping[str, Sequence[float]]) -> dict[str, int]:
    return {key: len(values) for key, values in samples.items()}


def all_keys(groups: Iterable[Mapping[str, float]]) -> list[str]:
    return [key for group in groups for key in group]


@pytest.fixture(autouse=True)
def garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.enable()
    yield
    if was_enabled:
        gc.enable()
    else:
        gc.disable()


@pytest.fixture(autouse=True)
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    stand_in = Wall()
    monkeypatch.setattr("harness.measure.sampler.time", stand_in)
    return stand_in


def plan(
    max_samples: int = 100,
    max_time_s: float = AGES_S,
    warmup_s: float = 0.0,
    block_s: float = 0.1,
) -> SamplingPlan:
    return SamplingPlan(max_samples, max_time_s, warmup_s, block_s)


def test_every_target_gets_a_sample_however_short_the_time(wall: Wall) -> None:
    clock = FakeClock(*PIPELINES, wall=wall, block_wall_s=5.0)
    samples: dict[str, list[float]] = {}
    sample_in_turn(clock.groups, plan(max_time_s=NO_TIME_S), samples)
    assert counts(samples) == dict.fromkeys(all_keys(PIPELINES), 1)
    assert [keys(block) for block in clock.after_warm_up()] == [list(group) for group in PIPELINES]


def test_time_that_runs_out_in_a_round_ends_the_loop_after_that_round(wall: Wall) -> None:
    clock = FakeClock({"a": 0.02}, {"b": 0.06}, {"c": 0.01}, wall=wall, block_wall_s=1.0)
    samples: dict[str, list[float]] = {}
    sample_in_turn(clock.groups, plan(max_time_s=4.0), samples)
    assert [keys(block) for block in clock.after_warm_up()] == [["a"], ["b"], ["c"]] * 2
    assert counts(samples) == {"a": 2, "b": 2, "c": 2}


def test_warm_up_does_not_count_towards_the_time(wall: Wall) -> None:
    clock = FakeClock({"a": 0.06}, {"b": 0.06}, wall=wall, block_wall_s=1.0)
    samples: dict[str, list[float]] = {}
    sample_in_turn(clock.groups, plan(max_time_s=2.5, warmup_s=50.0), samples)
    assert counts(samples) == {"a": 2, "b": 2}


def test_each_target_ends_with_exactly_the_samples_asked_for() -> None:
    clock = FakeClock(*PIPELINES)
    samples: dict[str, list[float]] = {}
    sample_in_turn(clock.groups, plan(max_samples=100), samples)
    assert counts(samples) == dict.fromkeys(all_keys(PIPELINES), 100)
    assert list(samples) == all_keys(PIPELINES)


@pytest.mark.parametrize("max_samples", [1, 2, 63, 64, 65, 129])
def test_last_block_is_cut_to_the_samples_that_are_missing(max_samples: int) -> None:
    clock = FakeClock({"a": 1e-6, "b": 2e-6})
    samples: dict[str, list[float]] = {}
    sample_in_turn(clock.groups, plan(max_samples=max_samples), samples)
    passes = [len(block) // 2 for block in clock.after_warm_up()]
    assert counts(samples) == {"a": max_samples, "b": max_samples}
    assert sum(passes) == max_samples
    assert passes[:-1] == [64] * (len(passes) - 1)


@pytest.mark.parametrize("max_samples", [1, 7, 50])
@pytest.mark.parametrize("max_time_s", [NO_TIME_S, 3.5, 20.0, AGES_S])
def test_all_series_are_equally_long_and_never_too_long(
    max_samples: int, max_time_s: float, wall: Wall
) -> None:
    clock = FakeClock(*PIPELINES, wall=wall, block_wall_s=1.0)
    samples: dict[str, list[float]] = {}
    asked = plan(max_samples=max_samples, max_time_s=max_time_s, block_s=20.0)
    sample_in_turn(clock.groups, asked, samples)
    assert list(samples) == all_keys(PIPELINES)
    (count,) = set(counts(samples).values())
    assert 1 <= count <= max_samples


def test_targets_of_a_group_run_in_order_pass_by_pass() -> None:
    clock = FakeClock({"c": 0.02, "a": 0.01, "b": 0.03})
    sample_in_turn(clock.groups, plan(max_samples=10, block_s=0.2), {})
    assert [keys(block) for block in clock.after_warm_up()] == [
        ["c", "a", "b"] * 3,
        ["c", "a", "b"] * 3,
        ["c", "a", "b"] * 3,
        ["c", "a", "b"],
    ]


def test_groups_take_turns_block_by_block() -> None:
    clock = FakeClock({"a": 0.02, "b": 0.02}, {"c": 0.04}, {"d": 0.01, "e": 0.03})
    sample_in_turn(clock.groups, plan(max_samples=10), {})
    turns = [keys(block) for block in clock.after_warm_up()]
    assert turns == [["a", "b"] * 2, ["c"] * 2, ["d", "e"] * 2] * 5


def test_slowest_group_sets_the_passes_of_all_blocks() -> None:
    clock = FakeClock({"fast": 0.001}, {"slow": 0.01, "slower": 0.02})
    sample_in_turn(clock.groups, plan(max_samples=9), {})
    turns = [keys(block) for block in clock.after_warm_up()]
    assert turns == [["fast"] * 3, ["slow", "slower"] * 3] * 3


def test_samples_are_the_times_of_the_blocks_in_the_order_measured() -> None:
    clock = FakeClock({"a": 0.02, "b": 0.01}, {"c": 0.03})
    samples: dict[str, list[float]] = {}
    sample_in_turn(clock.groups, plan(max_samples=20), samples)
    assert samples == {key: clock.measured(key) for key in ("a", "b", "c")}
    assert counts(samples) == {"a": 20, "b": 20, "c": 20}


def test_samples_already_there_are_kept() -> None:
    clock = FakeClock({"a": 0.02, "b": 0.02})
    samples = {"a": [9.0, 8.0, 7.0], "other": [5.0]}
    sample_in_turn(clock.groups, plan(max_samples=10), samples)
    assert samples == {
        "a": [9.0, 8.0, 7.0, *clock.measured("a")],
        "b": clock.measured("b"),
        "other": [5.0],
    }


def test_each_group_is_timed_by_its_own_clock() -> None:
    host, device = FakeClock({"a": 0.02, "b": 0.01}, {"e": 0.03}), FakeClock({"c": 0.01, "d": 0.04})
    samples: dict[str, list[float]] = {}
    # Their turns alternate: host, device, host.
    groups = [host.groups[0], *device.groups, host.groups[1]]
    sample_in_turn(groups, plan(max_samples=20), samples)
    assert list(samples) == ["a", "b", "c", "d", "e"]
    for clock, timed in ((host, ("a", "b", "e")), (device, ("c", "d"))):
        assert set(keys(clock.launched)) == set(timed)
        assert {key: samples[key] for key in timed} == {key: clock.measured(key) for key in timed}
    assert counts(samples) == dict.fromkeys("abcde", 20)


def test_slowest_group_sets_the_passes_whatever_clock_times_it() -> None:
    host, device = FakeClock({"a": 0.001}), FakeClock({"b": 0.02})
    sample_in_turn([*host.groups, *device.groups], plan(max_samples=10, block_s=0.11), {})
    assert [keys(block) for block in host.after_warm_up()] == [["a"] * 5] * 2
    assert [keys(block) for block in device.after_warm_up()] == [["b"] * 5] * 2


def test_clock_that_fails_leaves_the_whole_blocks_of_the_others() -> None:
    host, device = FakeClock({"a": 0.05}), FakeClock({"b": 0.05}, fail_in_block=3)
    samples: dict[str, list[float]] = {}
    with pytest.raises(KeyboardInterrupt):
        sample_in_turn([*host.groups, *device.groups], plan(block_s=0.11), samples)
    assert samples == {"a": host.measured("a"), "b": device.measured("b")}
    assert counts(samples) == {"a": 4, "b": 2}


def test_clock_that_loses_launches_is_named() -> None:
    class Losing(FakeClock):
        def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
            return super().time_block(launches)[:-1]

    clock = Losing({"a": 0.02, "b": 0.02})
    with pytest.raises(ValueError, match="fake timed 7 launches of 8"):
        sample_in_turn(clock.groups, plan(max_samples=10), {})


def test_warm_up_is_ended_by_the_seconds_of_the_clock_and_gives_no_samples() -> None:
    # The wall stands still.
    clock = FakeClock({"a": 0.01, "b": 0.02}, {"slow": 5.0})
    samples: dict[str, list[float]] = {}
    sample_in_turn(clock.groups, plan(max_samples=1, warmup_s=0.2), samples)
    warm_up, measured = clock.blocks[:-2], clock.blocks[-2:]
    assert [keys(block) for block in warm_up] == [["a", "b"]] * 7 + [["slow"]] * 2
    assert samples == {key: [latency_s] for block in measured for key, latency_s in block}


def test_warm_up_is_ended_by_the_wall_where_the_clock_never_advances(wall: Wall) -> None:
    clock = FakeClock({"a": 0.0, "b": 0.0}, {"c": 0.0}, wall=wall, block_wall_s=0.06)
    samples: dict[str, list[float]] = {}
    sample_in_turn(clock.groups, plan(max_samples=1, warmup_s=0.2), samples)
    assert [keys(block) for block in clock.blocks[:-2]] == [["a", "b"]] * 4 + [["c"]] * 4
    assert samples == {"a": [0.0], "b": [0.0], "c": [0.0]}


def test_clock_that_never_advances_gets_blocks_of_a_limited_size() -> None:
    clock = FakeClock({"a": 0.0})
    samples: dict[str, list[float]] = {}
    sample_in_turn(clock.groups, plan(max_samples=100), samples)
    assert [len(block) for block in clock.after_warm_up()] == [64, 36]
    assert counts(samples) == {"a": 100}


def test_size_of_a_block_comes_from_the_later_half_of_the_warm_up() -> None:
    class SlowStart(FakeClock):
        def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
            slow = 1_000.0 if not self.blocks else 1.0
            return tuple(slow * latency_s for latency_s in super().time_block(launches))

    clock = SlowStart({"a": 0.004, "b": 0.006})
    sample_in_turn(clock.groups, plan(block_s=0.101), {})
    assert keys(clock.after_warm_up()[0]) == ["a", "b"] * 10


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("fail_in_block", range(4, 10))
def test_interrupted_block_leaves_nothing_and_the_ones_before_stay_whole(
    failure: type[BaseException], fail_in_block: int
) -> None:
    clock = FakeClock(
        {"a": 0.02, "b": 0.03}, {"c": 0.04}, fail_in_block=fail_in_block, failure=failure
    )
    samples: dict[str, list[float]] = {}
    with pytest.raises(failure):
        sample_in_turn(clock.groups, plan(block_s=0.16), samples)
    whole = clock.after_warm_up()
    assert len(whole) == fail_in_block - 4
    assert len(clock.launched) > sum(len(block) for block in clock.blocks)
    assert samples == {key: clock.measured(key) for key in ("a", "b", "c")}
    first, second = (len(whole) + 1) // 2, len(whole) // 2
    assert counts(samples) == {"a": 3 * first, "b": 3 * first, "c": 3 * second}


@pytest.mark.parametrize("fail_in_block", range(4))
def test_interruption_of_the_warm_up_leaves_no_samples(fail_in_block: int) -> None:
    clock = FakeClock({"a": 0.02, "b": 0.03}, {"c": 0.04}, fail_in_block=fail_in_block)
    samples: dict[str, list[float]] = {}
    with pytest.raises(KeyboardInterrupt):
        sample_in_turn(clock.groups, plan(), samples)
    assert not any(samples.values())


@pytest.mark.parametrize("groups", [PIPELINES, ({"a": 0.02},)])
def test_progress_by_samples_rises_from_zero_to_one(groups: tuple[dict[str, float], ...]) -> None:
    clock = FakeClock(*groups)
    told: list[float] = []
    sample_in_turn(clock.groups, plan(), {}, on_round=told.append)
    assert told == sorted(told)
    assert len(told) > 2
    assert 0.0 < told[0] < 1.0
    assert told[-1] == 1.0


def test_progress_is_that_of_the_limit_which_is_nearer(wall: Wall) -> None:
    # A pass takes 1 s, and so does a round, of 3 samples of 10; in the third the wall jumps.
    clock = FakeClock({"a": 0.03}, wall=wall, block_wall_s=1.0)
    told: list[float] = []

    def on_round(done: float) -> None:
        told.append(done)
        if len(told) == 2:
            wall.now_s += 5.0

    sample_in_turn(clock.groups, plan(10, max_time_s=8.5, block_s=3.5), {}, on_round=on_round)
    assert told == pytest.approx([0.3, 0.6, 8.0 / 8.5, 1.0])


def test_progress_never_exceeds_one_when_the_time_is_long_over(wall: Wall) -> None:
    clock = FakeClock({"a": 0.02}, {"b": 5.0}, wall=wall, block_wall_s=5.0)
    told: list[float] = []
    sample_in_turn(clock.groups, plan(max_time_s=NO_TIME_S), {}, on_round=told.append)
    assert told == [1.0]


def test_garbage_is_not_collected_while_measuring_and_is_again_afterwards() -> None:
    clock = FakeClock({"a": 0.02}, {"b": 0.03})
    sample_in_turn(clock.groups, plan(max_samples=10), {})
    assert len(clock.was_collecting) > 4
    assert not any(clock.was_collecting[4:])
    assert gc.isenabled()


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("fail_in_block", [0, 6])
def test_garbage_is_collected_again_after_a_failure(
    failure: type[BaseException], fail_in_block: int
) -> None:
    clock = FakeClock({"a": 0.02}, {"b": 0.03}, fail_in_block=fail_in_block, failure=failure)
    with pytest.raises(failure):
        sample_in_turn(clock.groups, plan(), {})
    assert gc.isenabled()


def test_garbage_is_collected_again_after_a_failure_of_the_observer() -> None:
    clock = FakeClock({"a": 0.02})

    def fail(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample_in_turn(clock.groups, plan(), {}, on_round=fail)
    assert gc.isenabled()


def test_garbage_collection_that_was_off_stays_off() -> None:
    gc.disable()
    clock = FakeClock({"a": 0.02})
    sample_in_turn(clock.groups, plan(max_samples=10), {})
    assert not gc.isenabled()


@pytest.mark.parametrize("max_samples", [0, -1])
def test_plan_without_samples_is_refused(max_samples: int) -> None:
    with pytest.raises(OptionError, match=r"--samples: .*1 or more"):
        SamplingPlan(max_samples=max_samples)


@pytest.mark.parametrize("max_time_s", [0.0, -1.0, math.nan])
def test_plan_without_time_is_refused(max_time_s: float) -> None:
    with pytest.raises(OptionError, match=r"--max-time: .*more than 0 s"):
        SamplingPlan(max_time_s=max_time_s)


def test_default_plan_takes_the_samples_that_a_p99_needs() -> None:
    assert SamplingPlan().max_samples >= 368
