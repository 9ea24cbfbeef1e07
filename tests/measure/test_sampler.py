"""Sampling in turn, against a clock that makes its times up: order, blocks, what is kept."""

from __future__ import annotations

import gc
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import OptionError
from harness.measure.sampler import Sampling, SamplingPlan, SeriesResult, block_length
from harness.stats.stopping import next_look
from tests.measure.fakes import FakeClock, Wall, keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from harness.measure.sampler import Group

AGES_S = 3_600.0
NO_TIME_S = 1e-9

PIPELINES: tuple[dict[str, float], ...] = (
    {"fast.encode": 0.001, "fast.decode": 0.002},
    {"slow.encode": 0.03, "slow.decode": 5.0, "slow.extra": 0.04},
    {"medium": 0.03},
)


@pytest.fixture(autouse=True)
def brief_warm_up() -> None:
    """Here it takes as long as it is told, by a clock that takes no time."""


def counts(results: Mapping[str, SeriesResult]) -> dict[str, int]:
    return {key: len(result.latency_s) for key, result in results.items()}


def latencies(results: Mapping[str, SeriesResult]) -> dict[str, tuple[float, ...]]:
    return {key: result.latency_s for key, result in results.items()}


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
    monkeypatch.setattr("harness.measure.warmup.time", stand_in)
    return stand_in


def plan(max_samples: int | None = 100, max_time_s: float = AGES_S, **more: Any) -> SamplingPlan:
    """By default a warm-up of one pass, and blocks of about 0.1 s."""
    usual: dict[str, Any] = {"warmup_s": 0.0, "max_warmup_s": 0.0, "block_s": 0.1}
    return SamplingPlan(max_samples=max_samples, max_time_s=max_time_s, **{**usual, **more})


def measure(groups: Sequence[Group[str]], asked: SamplingPlan) -> dict[str, SeriesResult]:
    sampling = Sampling(groups, asked)
    sampling.run()
    return sampling.results()


# Whose turn it is.


def test_targets_of_a_group_run_in_order_pass_by_pass() -> None:
    clock = FakeClock({"c": 0.02, "a": 0.01, "b": 0.03})
    measure(clock.groups, plan(28, block_s=0.2))
    turns = [keys(block) for block in clock.after_warm_up()]
    assert turns == [["c", "a", "b"] * 3] * 9 + [["c", "a", "b"]]


def test_groups_take_turns_block_by_block() -> None:
    clock = FakeClock({"a": 0.02, "b": 0.02}, {"c": 0.04}, {"d": 0.01, "e": 0.03})
    measure(clock.groups, plan(10))
    turns = [keys(block) for block in clock.after_warm_up()]
    assert turns == [["a", "b"] * 2, ["c"] * 2, ["d", "e"] * 2] * 5


def test_slowest_group_sets_the_passes_of_all_blocks() -> None:
    clock = FakeClock({"fast": 0.001}, {"slow": 0.01, "slower": 0.02})
    measure(clock.groups, plan(24))
    turns = [keys(block) for block in clock.after_warm_up()]
    assert turns == [["fast"] * 3, ["slow", "slower"] * 3] * 8


def test_slowest_group_sets_the_passes_whatever_clock_times_it() -> None:
    host, device = FakeClock({"a": 0.001}), FakeClock({"b": 0.02})
    measure([*host.groups, *device.groups], plan(32, block_s=0.07))
    assert [keys(block) for block in host.after_warm_up()] == [["a"] * 3] * 10 + [["a"] * 2]
    assert [keys(block) for block in device.after_warm_up()] == [["b"] * 3] * 10 + [["b"] * 2]


def test_what_a_clock_does_beside_the_launches_counts_in_the_size_of_a_block(wall: Wall) -> None:
    # Such as flushing caches: a pass takes 1 ms by the clock and 20 ms in all.
    clock = FakeClock({"a": 0.001}, wall=wall, block_wall_s=0.02)
    measure(clock.groups, plan(32, block_s=0.07))
    assert [len(block) for block in clock.after_warm_up()] == [3] * 10 + [2]


def test_each_group_is_timed_by_its_own_clock() -> None:
    host = FakeClock({"a": 0.02, "b": 0.01}, {"e": 0.03}, name="host")
    device = FakeClock({"c": 0.01, "d": 0.04}, name="device")
    # Their turns alternate: host, device, host.
    results = measure([host.groups[0], *device.groups, host.groups[1]], plan(20))
    assert list(results) == ["a", "b", "c", "d", "e"]
    for clock, timed in ((host, ("a", "b", "e")), (device, ("c", "d"))):
        assert set(keys(clock.launched)) == set(timed)
        for key in timed:
            assert results[key].latency_s == clock.measured(key)
    assert counts(results) == dict.fromkeys("abcde", 20)


def test_canarys_group_gives_a_share_of_the_samples_that_the_others_do() -> None:
    clock = FakeClock({"a": 0.001}, {"canary": 0.001})
    first, canary = clock.groups
    limited = replace(canary, max_passes=8, watched=frozenset())
    results = measure([first, limited], plan(100))
    # An eighth of the next look, and never across it: 32, 40, 50, 63, 79, 98.
    passes = (*[4] * 8, *(5, 3), *(7, 3), *(8, 5), *(10, 6), *(13, 6), 2)
    assert results["a"].block_passes == passes
    assert results["canary"].block_passes == tuple(min(8, each) for each in passes)


# How many samples.


def test_every_target_gets_a_sample_however_short_the_time(wall: Wall) -> None:
    clock = FakeClock(*PIPELINES, wall=wall, block_wall_s=5.0)
    results = measure(clock.groups, plan(max_time_s=NO_TIME_S))
    assert counts(results) == dict.fromkeys(all_keys(PIPELINES), 1)
    assert [keys(block) for block in clock.after_warm_up()] == [list(group) for group in PIPELINES]


def test_time_that_runs_out_in_a_round_ends_the_loop_after_that_round(wall: Wall) -> None:
    clock = FakeClock({"a": 0.02}, {"b": 0.06}, {"c": 0.01}, wall=wall, block_wall_s=1.0)
    results = measure(clock.groups, plan(max_time_s=4.0))
    assert [keys(block) for block in clock.after_warm_up()] == [["a"], ["b"], ["c"]] * 2
    assert counts(results) == {"a": 2, "b": 2, "c": 2}


def test_warm_up_does_not_count_towards_the_time(wall: Wall) -> None:
    clock = FakeClock({"a": 0.06}, {"b": 0.06}, wall=wall, block_wall_s=1.0)
    asked = plan(max_time_s=2.5, warmup_s=50.0, max_warmup_s=50.0)
    assert counts(measure(clock.groups, asked)) == {"a": 2, "b": 2}


def test_each_target_ends_with_exactly_the_samples_asked_for() -> None:
    clock = FakeClock(*PIPELINES)
    results = measure(clock.groups, plan(100))
    assert counts(results) == dict.fromkeys(all_keys(PIPELINES), 100)
    assert list(results) == all_keys(PIPELINES)


@pytest.mark.parametrize("max_samples", [1, 2, 31, 32, 33, 129])
def test_last_block_is_cut_to_the_samples_that_are_missing(max_samples: int) -> None:
    clock = FakeClock({"a": 1e-6, "b": 2e-6})
    results = measure(clock.groups, plan(max_samples))
    assert counts(results) == {"a": max_samples, "b": max_samples}
    passes = [len(block) // 2 for block in clock.after_warm_up()]
    assert sum(passes) == max_samples
    assert all(result.block_passes == tuple(passes) for result in results.values())


@pytest.mark.parametrize("max_samples", [1, 7, 50])
@pytest.mark.parametrize("max_time_s", [NO_TIME_S, 3.5, 20.0, AGES_S])
def test_all_series_are_equally_long_and_never_too_long(
    max_samples: int, max_time_s: float, wall: Wall
) -> None:
    clock = FakeClock(*PIPELINES, wall=wall, block_wall_s=1.0)
    results = measure(clock.groups, plan(max_samples, max_time_s, block_s=20.0))
    assert list(results) == all_keys(PIPELINES)
    (count,) = set(counts(results).values())
    assert 1 <= count <= max_samples


def test_samples_are_the_times_of_the_blocks_in_the_order_measured() -> None:
    clock = FakeClock({"a": 0.02, "b": 0.01}, {"c": 0.03})
    results = measure(clock.groups, plan(20))
    assert latencies(results) == {key: clock.measured(key) for key in ("a", "b", "c")}
    assert counts(results) == {"a": 20, "b": 20, "c": 20}


def test_blocks_tell_whose_they_are_when_they_were_and_how_many_passes_they_have(
    wall: Wall,
) -> None:
    clock = FakeClock({"a": 0.02, "b": 0.02}, {"c": 0.04}, wall=wall, block_wall_s=0.05)
    sampling = Sampling(clock.groups, plan(9))
    sampling.run()
    told = [(block.series, block.passes, block.rejected) for block in sampling.blocks]
    assert told == [("a and b", 2, ""), ("c", 2, "")] * 4 + [("a and b", 1, ""), ("c", 1, "")]
    # After a pass of warm-up each.
    starts = [1_000.1 + 0.05 * index for index in range(10)]
    assert [block.started_s for block in sampling.blocks] == pytest.approx(starts)
    assert all(b.ended_s - b.started_s == pytest.approx(0.05) for b in sampling.blocks)


def test_however_quick_a_launch_is_its_blocks_are_of_a_limited_size() -> None:
    result = measure(FakeClock({"a": 1e-6}).groups, plan(1000))["a"]
    assert max(result.block_passes) == 64
    assert len(result.latency_s) == sum(result.block_passes) == 1000


def test_clock_that_never_advances_is_waited_for_no_longer_than_others() -> None:
    results = measure(FakeClock({"a": 0.0}).groups, plan(1000))
    assert results["a"].latency_s == (0.0,) * 32


@given(st.integers(0, 10**6), st.integers(1, 64), st.one_of(st.none(), st.integers(1, 10**6)))
def test_a_look_is_never_passed_and_the_first_comes_after_eight_blocks(
    count: int, fitting: int, most: int | None
) -> None:
    look = next_look(count) if most is None else min(next_look(count), count + most)

    passes = block_length(count, look, fitting)

    assert 1 <= passes <= fitting
    assert count + passes <= look
    # At least eight blocks of it make up what there is at a look.
    assert 8 * (passes - 1) < look


# What is not kept, and what is.


def test_clock_that_loses_launches_is_named() -> None:
    class Losing(FakeClock):
        def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
            return super().time_block(launches)[:-1]

    clock = Losing({"a": 0.02, "b": 0.02})
    with pytest.raises(ValueError, match="fake timed 3 launches of 4"):
        measure(clock.groups, plan(10))


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("fail_in_block", range(2, 8))
def test_interrupted_block_leaves_nothing_and_the_ones_before_stay_whole(
    failure: type[BaseException], fail_in_block: int
) -> None:
    clock = FakeClock(
        {"a": 0.02, "b": 0.03}, {"c": 0.04}, fail_in_block=fail_in_block, failure=failure
    )
    sampling = Sampling(clock.groups, plan(block_s=0.16))
    with pytest.raises(failure):
        sampling.run()
    whole = clock.after_warm_up()
    assert len(whole) == len(sampling.blocks) == fail_in_block - 2
    assert len(clock.launched) > sum(len(block) for block in clock.blocks)
    results = sampling.results()
    first, second = (len(whole) + 1) // 2, len(whole) // 2
    expected = {"a": 3 * first, "b": 3 * first, "c": 3 * second}
    # A target without a whole block has no result.
    assert counts(results) == {key: count for key, count in expected.items() if count}
    assert latencies(results) == {key: clock.measured(key) for key in results}
    for key, result in results.items():
        assert result.block_passes == (3,) * (second if key == "c" else first)
        assert result.decision.estimate.count == len(result.latency_s)


def test_clock_that_fails_leaves_the_whole_blocks_of_the_others() -> None:
    host, device = FakeClock({"a": 0.05}), FakeClock({"b": 0.05}, fail_in_block=2)
    sampling = Sampling([*host.groups, *device.groups], plan(block_s=0.11))
    with pytest.raises(KeyboardInterrupt):
        sampling.run()
    assert latencies(sampling.results()) == {"a": host.measured("a"), "b": device.measured("b")}
    assert counts(sampling.results()) == {"a": 4, "b": 2}


@pytest.mark.parametrize("fail_in_block", range(2))
def test_interruption_of_the_warm_up_leaves_no_samples(fail_in_block: int) -> None:
    clock = FakeClock({"a": 0.02, "b": 0.03}, {"c": 0.04}, fail_in_block=fail_in_block)
    sampling = Sampling(clock.groups, plan())
    with pytest.raises(KeyboardInterrupt):
        sampling.run()
    assert sampling.results() == {}
    assert sampling.blocks == ()


# The warm-up; see also test_warmup.py.


def test_warm_up_gives_no_samples_and_takes_the_seconds_of_each_group() -> None:
    # The wall stands still. A pass of 5 s is more than the most.
    clock = FakeClock({"a": 0.01, "b": 0.02}, {"slow": 5.0}, noise=0.0)
    results = measure(clock.groups, plan(1, warmup_s=0.2, max_warmup_s=2.0))
    warm_up, measured = clock.blocks[:-2], clock.blocks[-2:]
    assert [keys(block) for block in warm_up] == [["a", "b"]] * 7 + [["slow"]]
    assert latencies(results) == {key: (latency,) for block in measured for key, latency in block}


def test_size_of_a_block_comes_from_the_later_half_of_the_warm_up() -> None:
    class SlowStart(FakeClock):
        def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
            slow = 1_000.0 if not self.blocks else 1.0
            return tuple(slow * latency_s for latency_s in super().time_block(launches))

    clock = SlowStart({"a": 0.004, "b": 0.006}, noise=0.0)
    # 10 s, and as soon as the launches agree.
    measure(clock.groups, plan(warmup_s=0.1, max_warmup_s=20.0, block_s=0.0301))
    (first, *_) = (block for block in clock.blocks if len(block) > 2)
    assert keys(first) == ["a", "b"] * 3


# How much is done.


@pytest.mark.parametrize("groups", [PIPELINES, ({"a": 0.02},)])
def test_progress_by_samples_rises_from_zero_to_one(groups: tuple[dict[str, float], ...]) -> None:
    clock = FakeClock(*groups)
    told: list[float] = []
    Sampling(clock.groups, plan()).run(told.append)
    assert told == sorted(told)
    assert len(told) > 2
    assert (told[0], told[-1]) == (0.0, 1.0)
    assert 0.0 < told[1] < 1.0


def test_progress_is_that_of_the_limit_which_is_nearer(wall: Wall) -> None:
    # A pass takes 1 s, and so does a round, of 3 samples of 20; in the third the wall jumps.
    clock = FakeClock({"a": 0.03}, wall=wall, block_wall_s=1.0)
    told: list[float] = []

    def on_round(done: float) -> None:
        told.append(done)
        if len(told) == 3:
            wall.now_s += 5.0

    Sampling(clock.groups, plan(20, max_time_s=8.5, block_s=3.5)).run(on_round)
    assert told == pytest.approx([0.0, 0.15, 0.3, 8.0 / 8.5, 1.0])


def test_progress_never_exceeds_one_when_the_time_is_long_over(wall: Wall) -> None:
    clock = FakeClock({"a": 0.02}, {"b": 5.0}, wall=wall, block_wall_s=5.0)
    told: list[float] = []
    Sampling(clock.groups, plan(max_time_s=NO_TIME_S)).run(told.append)
    assert told == [0.0, 1.0]


# Garbage.


def test_garbage_is_not_collected_while_measuring_and_is_again_afterwards() -> None:
    clock = FakeClock({"a": 0.02}, {"b": 0.03})
    measure(clock.groups, plan(10))
    assert len(clock.was_collecting) > 4
    assert not any(clock.was_collecting[2:])
    assert gc.isenabled()


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("fail_in_block", [0, 6])
def test_garbage_is_collected_again_after_a_failure(
    failure: type[BaseException], fail_in_block: int
) -> None:
    clock = FakeClock({"a": 0.02}, {"b": 0.03}, fail_in_block=fail_in_block, failure=failure)
    with pytest.raises(failure):
        measure(clock.groups, plan())
    assert gc.isenabled()


def test_garbage_is_collected_again_after_a_failure_of_the_observer() -> None:
    clock = FakeClock({"a": 0.02})

    def fail(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Sampling(clock.groups, plan()).run(fail)
    assert gc.isenabled()


def test_garbage_collection_that_was_off_stays_off() -> None:
    gc.disable()
    clock = FakeClock({"a": 0.02})
    measure(clock.groups, plan(10))
    assert not gc.isenabled()


# What is refused.


@pytest.mark.parametrize("max_samples", [0, -1])
def test_plan_without_samples_is_refused(max_samples: int) -> None:
    with pytest.raises(OptionError, match=r"--samples: .*1 or more"):
        SamplingPlan(max_samples=max_samples)


@pytest.mark.parametrize("max_time_s", [0.0, -1.0, math.nan])
def test_plan_without_time_is_refused(max_time_s: float) -> None:
    with pytest.raises(OptionError, match=r"--max-time: .*more than 0 s"):
        SamplingPlan(max_time_s=max_time_s)


@pytest.mark.parametrize("rel_precision", [0.0, -0.1, 1.0, math.nan, math.inf])
def test_plan_of_a_precision_that_cannot_be_met_or_means_nothing_is_refused(
    rel_precision: float,
) -> None:
    with pytest.raises(OptionError, match=r"--rel-precision: .*more than 0 %"):
        SamplingPlan(rel_precision=rel_precision)
