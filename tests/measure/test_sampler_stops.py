"""When sampling stops, and with what verdict: against a clock that makes its times up."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.measure.sampler import Sampling, SamplingPlan, SeriesResult, decide
from harness.stats.stopping import MedianPrecision, Status, TailInterval
from tests.measure.fakes import FakeClock, Wall, mirrored, two_modes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

AGES_S = 3_600.0
QUIET = 0.001


@pytest.fixture(autouse=True)
def brief_warm_up() -> None:
    """Here it takes as long as it is told, by a clock that takes no time."""


@pytest.fixture(autouse=True)
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    stand_in = Wall()
    monkeypatch.setattr("harness.measure.sampler.time", stand_in)
    monkeypatch.setattr("harness.measure.warmup.time", stand_in)
    return stand_in


def plan(**options: Any) -> SamplingPlan:
    """The command line's, but for the warm-up, and for time where the wall is moved by hand."""
    usual: dict[str, Any] = {"max_time_s": AGES_S, "warmup_s": 0.0, "block_s": 0.1}
    return SamplingPlan(**{**usual, **options})


def measure(clock: FakeClock, asked: SamplingPlan | None = None) -> dict[str, SeriesResult]:
    sampling = Sampling(clock.groups, asked or plan())
    sampling.run()
    return sampling.results()


def verdict(result: SeriesResult) -> tuple[Status, str, int]:
    return result.decision.status, result.decision.reason, len(result.latency_s)


def test_it_stops_at_the_first_look_where_all_series_are_quiet() -> None:
    clock = FakeClock({"a": 0.001, "b": 0.002}, {"c": 0.003}, noise=QUIET)
    for result in measure(clock).values():
        assert verdict(result) == (Status.CONVERGED, "precision", 32)
        assert result.is_steady
        estimate = result.decision.estimate
        assert estimate.upper - estimate.lower <= 2 * 0.005 * estimate.value


def test_all_go_on_for_the_one_that_is_noisy() -> None:
    noisy = {"c": mirrored(0.03, "c")}
    clock = FakeClock({"a": 0.001, "b": 0.002}, {"c": 0.003}, noise=QUIET, factors=noisy)
    results = measure(clock)
    (told,) = {verdict(result) for result in results.values()}
    status, reason, count = told
    assert (status, reason) == (Status.CONVERGED, "precision")
    # The design's 434 samples are of independent ones; mirrored ones take a few less or more.
    assert 200 < count < 1000
    rule = MedianPrecision()
    assert rule.next_look(count - 1) == count
    previous = max(look for look in itertools.takewhile(lambda n: n < count, looks()))
    assert rule.decide(results["c"].latency_s[:previous]).status is Status.GO_ON


def looks() -> itertools.chain[int]:
    """The sample counts at which a rule is asked, in order."""
    found = [0]
    while len(found) < 30:
        found.append(MedianPrecision().next_look(found[-1]))
    return itertools.chain(found[1:])


def test_an_asked_precision_that_is_coarser_takes_fewer_samples() -> None:
    taken = [
        len(measure(FakeClock({"a": 0.001}, noise=0.03), plan(rel_precision=rel))["a"].latency_s)
        for rel in (0.005, 0.02, 0.2)
    ]
    assert taken == sorted(taken, reverse=True)
    assert taken[0] > taken[1] > taken[2] == 32


def test_only_what_is_watched_is_waited_for() -> None:
    clock = FakeClock({"a": 0.001, "copy": 0.001}, noise=QUIET, factors={"copy": mirrored(0.3, "")})
    group = replace(clock.groups[0], watched=frozenset({"a"}))
    sampling = Sampling([group], plan())
    sampling.run()
    results = sampling.results()
    assert verdict(results["a"]) == (Status.CONVERGED, "precision", 32)
    # It was neither interrupted, nor was the time spent.
    assert verdict(results["copy"]) == (Status.INCONCLUSIVE, "not watched", 32)


def test_a_tail_waits_for_both_bounds_of_the_p99() -> None:
    result = measure(FakeClock({"a": 0.001}, noise=QUIET), plan(tail=True))["a"]
    assert verdict(result) == (Status.CONVERGED, "precision", 373)
    assert result.decision.estimate.quantile == 0.99
    assert result.decision.estimate.is_finite


def test_looks_are_at_the_counts_of_the_rule_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    class Noting(MedianPrecision):
        def decide(self, samples: Sequence[float], passes: Sequence[int] = ()) -> Any:
            assert sum(passes) == len(samples)
            asked.append(len(samples))
            return super().decide(samples, passes)

    monkeypatch.setattr("harness.measure.sampler.MedianPrecision", Noting)
    # Blocks of 5 passes, so most of them end between two looks.
    measure(FakeClock({"a": 0.02}, noise=0.2), plan(max_samples=90))
    assert Counter(asked) == Counter([32, 40, 50, 63, 79, 90])


def test_a_round_that_ends_between_two_looks_is_no_look_though_the_time_is_spent(
    wall: Wall,
) -> None:
    # 10 rounds of 3 passes: all is quiet, but nobody has looked.
    clock = FakeClock({"a": 0.03}, noise=QUIET, wall=wall, block_wall_s=0.03)
    sampling = Sampling(clock.groups, plan(max_time_s=0.295, warmup_s=0.1))
    sampling.run()
    (result,) = sampling.results().values()
    assert verdict(result) == (Status.INCONCLUSIVE, "time", 30)


@pytest.mark.parametrize("tail", [False, True])
def test_time_that_is_spent_makes_it_inconclusive_and_keeps_value_and_interval(
    wall: Wall, tail: bool
) -> None:
    clock = FakeClock({"a": 0.02}, noise=0.2, wall=wall, block_wall_s=0.1)
    result = measure(clock, plan(max_time_s=5.0, max_warmup_s=0.0, tail=tail))["a"]
    assert verdict(result) == (Status.INCONCLUSIVE, "time", 50)
    estimate = result.decision.estimate
    assert min(result.latency_s) <= estimate.value <= max(result.latency_s)
    assert estimate.is_finite is not tail


def test_samples_that_are_spent_make_it_inconclusive() -> None:
    result = measure(FakeClock({"a": 0.02}), plan(max_samples=77, max_warmup_s=0.0))["a"]
    assert verdict(result) == (Status.INCONCLUSIVE, "samples", 77)


def test_few_samples_are_inconclusive_however_quiet() -> None:
    result = measure(FakeClock({"a": 0.02}, noise=0.0), plan(max_samples=5))["a"]
    assert verdict(result) == (Status.INCONCLUSIVE, "samples", 5)


@pytest.mark.parametrize("after", [1, 5, 40])
def test_an_interruption_is_told_as_such_before_and_after_a_look(after: int) -> None:
    clock = FakeClock({"a": 0.02}, fail_in_block=1 + after)
    sampling = Sampling(clock.groups, plan(max_samples=1000, max_warmup_s=0.0))
    with pytest.raises(KeyboardInterrupt):
        sampling.run()
    (result,) = sampling.results().values()
    assert result.decision.status is Status.INCONCLUSIVE
    assert result.decision.reason == "interrupted"
    assert len(result.latency_s) >= after


def test_a_partly_measured_round_has_the_verdict_of_what_each_series_has() -> None:
    # 4 passes to warm up, then blocks of 4: the first group has its 32, the second 28 of them.
    clock = FakeClock({"a": 0.02}, {"b": 0.02}, noise=QUIET, fail_in_block=2 * (4 + 7) + 1)
    sampling = Sampling(clock.groups, plan(block_s=0.09))
    with pytest.raises(KeyboardInterrupt):
        sampling.run()
    results = sampling.results()
    assert verdict(results["a"]) == (Status.CONVERGED, "precision", 32)
    assert verdict(results["b"]) == (Status.INCONCLUSIVE, "interrupted", 28)


def test_two_even_modes_end_it_before_the_time_does() -> None:
    modes = {"a": two_modes(0.02, "a")}
    result = measure(FakeClock({"a": 0.001, "b": 0.001}, noise=QUIET, factors=modes))["a"]
    status, reason, count = verdict(result)
    assert (status, reason) == (Status.INCONCLUSIVE, "bimodal")
    # Enough to tell that the weights are near even.
    assert 300 < count < 1000


@pytest.mark.parametrize("limits", [{"max_samples": 100}, {"max_time_s": 9.95}])
def test_two_even_modes_tell_more_than_the_limit_that_is_met(
    limits: dict[str, Any], wall: Wall
) -> None:
    clock = FakeClock({"a": 0.02}, factors={"a": two_modes(0.02, "a")}, wall=wall, block_wall_s=0.1)
    result = measure(clock, plan(max_warmup_s=0.0, **limits))["a"]
    assert result.decision.status is Status.INCONCLUSIVE
    assert result.decision.reason == "bimodal"


def test_modes_that_are_as_near_as_the_precision_asked_for_do_no_harm() -> None:
    modes = {"a": two_modes(0.004, "a")}
    result = measure(FakeClock({"a": 0.001}, factors=modes))["a"]
    assert result.decision.status is Status.CONVERGED


def test_what_never_gets_steady_is_told_of_it_where_it_does_not_converge() -> None:
    class Growing(FakeClock):
        def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
            factor = 1.01 ** len(self.blocks)
            return tuple(factor * latency_s for latency_s in super().time_block(launches))

    asked = plan(warmup_s=0.2, max_warmup_s=1.0, max_samples=100)
    growing = measure(Growing({"a": 0.002}, noise=0.0), asked)["a"]
    assert not growing.is_steady
    assert verdict(growing) == (Status.INCONCLUSIVE, "not steady", 100)


def test_a_pass_that_takes_all_of_the_warm_up_is_not_said_to_be_unsteady(wall: Wall) -> None:
    clock = FakeClock({"a": 5.0}, noise=0.0, wall=wall, block_wall_s=5.0)
    result = measure(clock, plan(warmup_s=0.2, max_warmup_s=2.0, max_time_s=30.0))["a"]
    assert verdict(result) == (Status.INCONCLUSIVE, "time", 6)


def test_a_step_of_the_clock_is_as_good_as_it_gets() -> None:
    """Samples of a clock of 0.5 us, of about 10 us: they will never tell 0.5 %."""

    class Coarse(FakeClock):
        def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
            return tuple(round(s * 2e6) / 2e6 for s in super().time_block(launches))

    result = measure(Coarse({"a": 1e-5}, noise=0.15), plan(max_samples=400))["a"]
    assert result.clock_tick_s == pytest.approx(5e-7)
    assert result.decision.status is Status.CONVERGED


def test_ticks_are_of_each_clock_by_name() -> None:
    coarse = FakeClock({"a": 0.001}, noise=0.0, name="coarse", factors={"a": steps(0.001)})
    fine = FakeClock({"b": 0.001, "c": 0.001}, noise=0.0, name="fine", factors={"b": steps(1e-5)})
    sampling = Sampling([*coarse.groups, *fine.groups], plan(max_samples=20))
    sampling.run()
    results = sampling.results()
    assert results["a"].clock_tick_s == pytest.approx(1e-6)
    # A series whose samples are all alike goes by what the clock has shown elsewhere.
    assert results["b"].clock_tick_s == results["c"].clock_tick_s == pytest.approx(1e-8)


def steps(size: float) -> itertools.cycle[float]:
    return itertools.cycle([1.0 + at * size for at in (0, 1, -1, 2, -2, 3, -3, 4, -4)])


def test_deciding_at_the_end_keeps_what_is_decided() -> None:
    quiet = [1.0] * 40
    assert decide(MedianPrecision(), quiet, (20, 20), "time").reason == "precision"
    # The median is known: it is the tail that the time was too short for.
    assert decide(TailInterval(), quiet, (20, 20), "time").reason == "tail: time"
    assert decide(TailInterval(), quiet[:20], (20,), "time").reason == "time"


def test_blocks_that_have_a_level_of_their_own_are_not_taken_for_so_many_samples() -> None:
    """Samples of one block are alike to 0.1 %, blocks differ by 2 %: it is blocks that count."""

    class Levels(FakeClock):
        def time_block(self, launches: Sequence[Callable[[], None]]) -> tuple[float, ...]:
            level = 1.0 + 0.02 * ((7 * len(self.blocks)) % 16) / 15
            return tuple(level * latency_s for latency_s in super().time_block(launches))

    levels = Levels({"a": 0.001}, noise=QUIET)
    alike = FakeClock({"a": 0.001}, noise=QUIET)
    found, other = (measure(clock, plan(max_samples=200))["a"] for clock in (levels, alike))
    assert verdict(other) == (Status.CONVERGED, "precision", 32)
    assert len(found.latency_s) > 32
    estimate = found.decision.estimate
    assert found.decision.autocorrelation > 0.5
    assert estimate.upper - estimate.lower > 0.004 * estimate.value
