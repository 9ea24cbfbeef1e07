"""Take samples of several targets in turn, so that a drift of the machine touches all alike."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from harness.errors import OptionError
from harness.measure.causes import (
    INTERRUPTED,
    NOT_STEADY,
    NOT_WATCHED,
    OUT_OF_SAMPLES,
    OUT_OF_TIME,
)
from harness.measure.garbage import no_garbage_collection
from harness.measure.warmup import warm_up
from harness.states import Block
from harness.stats.stopping import Decision, MedianPrecision, Status, TailInterval, give_up
from harness.stats.ticks import clock_tick_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.measure.clock import Clock
    from harness.stats.stopping import StoppingRule

K = TypeVar("K")

DEFAULT_REL_PRECISION: Final = 0.005
DEFAULT_MAX_TIME_S: Final = 30.0
MAX_PASSES: Final = 64
_LEAST_BLOCKS: Final = 8
_DEFAULT_LIMIT: Final = 4000


@dataclass(frozen=True)
class SamplingPlan:
    """When to stop: when every series is known well enough, or the time or samples are spent.

    A median is known well enough when half its interval is at most ``rel_precision`` of it; with
    ``tail`` the p99 must have an interval as well. ``warmup_s`` is the least that is spent on each
    group before its samples count, ``max_warmup_s`` the most; ``block_s`` is about how long one
    group is measured before the next has its turn. ``tail`` as None is no, and not asked for. With
    no ``max_time_s`` it is the default, or
    what the mode asks for.
    """

    rel_precision: float = DEFAULT_REL_PRECISION
    tail: bool | None = None
    max_samples: int | None = None
    max_time_s: float | None = None
    warmup_s: float = 0.2
    max_warmup_s: float = 2.0
    block_s: float = 0.2

    def __post_init__(self) -> None:
        """Refuse limits that would measure nothing, or would never be met."""
        if self.max_samples is not None and self.max_samples < 1:
            what = f"{self.max_samples} samples"
            raise OptionError(what, where="--samples", fix="ask for 1 or more")
        if not self.time_limit_s > 0:
            what = f"{self.time_limit_s:g} s"
            raise OptionError(what, where="--max-time", fix="give more than 0 s")
        if not 0 < self.rel_precision < 1:
            what = f"{self.rel_precision:g} of the median"
            fix = "give more than 0 % and less than 100 %"
            raise OptionError(what, where="--rel-precision", fix=fix)

    @property
    def time_limit_s(self) -> float:
        """Seconds of measuring after which to stop."""
        return DEFAULT_MAX_TIME_S if self.max_time_s is None else self.max_time_s

    @property
    def sample_limit(self) -> int:
        """At most so many samples where no rule tells that there are enough."""
        return _DEFAULT_LIMIT if self.max_samples is None else self.max_samples

    def rule(self, tick_s: float) -> StoppingRule:
        """When a series of a clock of this tick is known well enough."""
        kind = TailInterval if self.tail else MedianPrecision
        return kind(rel_precision=self.rel_precision, clock_tick_s=tick_s)


@dataclass(frozen=True)
class Group(Generic[K]):
    """Targets that are launched one after the other, and the clock that times each.

    ``watched`` are those that must be known well enough, all of them by default; ``name`` is what
    records call the group. ``max_passes`` is at most how often each is launched in a block, where
    others have more.
    """

    targets: Mapping[K, Callable[[], None]]
    clock: Clock
    max_passes: int | None = None
    watched: frozenset[K] | None = None
    name: str = ""

    @property
    def required(self) -> frozenset[K]:
        """The targets that measuring goes on for."""
        return frozenset(self.targets) if self.watched is None else self.watched


@dataclass(frozen=True)
class SeriesResult:
    """What was measured of one target: its samples, in blocks, and how its rule ended.

    ``latency_s`` are seconds in the order measured; ``block_passes`` how many of them each block
    has; ``decision`` is over all of them.
    """

    latency_s: tuple[float, ...]
    block_passes: tuple[int, ...]
    decision: Decision
    clock_tick_s: float
    is_steady: bool


@dataclass
class _Taken(Generic[K]):
    """What a group has given so far."""

    group: Group[K]
    samples: dict[K, list[float]]
    blocks: list[Block] = field(default_factory=list)
    is_steady: bool = True

    @property
    def passes(self) -> tuple[int, ...]:
        """The length of each block."""
        return tuple(block.passes for block in self.blocks)


class Sampling(Generic[K]):
    """Measures ``groups`` of targets in rounds, a block of each.

    Within a block the targets of a group run one after the other, again and again, as the
    components of a pipeline do when it is used: a component that is launched in a loop of its own
    finds its data in the caches and its threads awake, and looks up to twice as fast as it is.

    All go on until the last is known well enough, or is seen never to be, having two even modes:
    what is compared is then of the same minutes.
    """

    def __init__(self, groups: Sequence[Group[K]], plan: SamplingPlan) -> None:
        self._plan = plan
        self._all = [_Taken(group, {key: [] for key in group.targets}) for group in groups]
        self._count = 0
        self._cause = INTERRUPTED

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Every complete block, in the order measured."""
        found = [block for taken in self._all for block in taken.blocks]
        return tuple(sorted(found, key=lambda block: block.started_s))

    def run(self, on_round: Callable[[float], None] = lambda _: None) -> None:
        """Measure until all is known well enough, or the time or the samples are spent.

        Every target gets a sample, however short the time. Whatever ends it, an interruption too,
        the blocks that were complete are in ``results()``. ``on_round`` is told how much of the
        plan is done, from 0 to 1.
        """
        warmed_s = [self._warm_up(taken) for taken in self._all]
        # What has few passes in any block does not make the blocks of the others shorter.
        pairs = zip(warmed_s, self._all, strict=True)
        pass_s = [seconds for seconds, taken in pairs if taken.group.max_passes is None]
        fitting = max(1, min(MAX_PASSES, int(self._plan.block_s / max(*pass_s, 1e-9))))
        started = time.monotonic()
        with no_garbage_collection():
            while not self._is_done(started, on_round):
                passes = block_length(self._count, self._next_look(), fitting)
                for taken in self._all:
                    _take_block(taken, min(passes, taken.group.max_passes or passes))
                self._count += passes

    def _warm_up(self, taken: _Taken[K]) -> float:
        group, plan = taken.group, self._plan
        launches = list(group.targets.values())
        found = warm_up(launches, group.clock, plan.warmup_s, plan.max_warmup_s)
        taken.is_steady = found.is_steady
        return found.pass_s

    def _next_look(self) -> int:
        look = self._plan.rule(0.0).next_look(self._count)
        return look if self._plan.max_samples is None else min(look, self._plan.max_samples)

    def _is_done(self, started: float, on_round: Callable[[float], None]) -> bool:
        plan = self._plan
        spent = (time.monotonic() - started) / plan.time_limit_s
        taken = 0.0 if plan.max_samples is None else self._count / plan.max_samples
        on_round(min(1.0, max(spent, taken)))
        if not self._count:
            return False
        if self._all_decided():
            self._cause = NOT_WATCHED
            return True
        if max(spent, taken) < 1.0:
            # What ends it before the next look is an interruption.
            return False
        self._cause = OUT_OF_SAMPLES if taken >= 1.0 else OUT_OF_TIME
        return True

    def _all_decided(self) -> bool:
        if self._count < self._plan.rule(0.0).next_look(self._count - 1):
            # Each look is one more chance to stop on luck: there are few of them.
            return False
        ticks = self._ticks_s()
        for taken in self._all:
            rule = self._plan.rule(ticks[taken.group.clock.name])
            for key in taken.group.required:
                if rule.decide(taken.samples[key], taken.passes).status is Status.GO_ON:
                    return False
        return True

    def _ticks_s(self) -> dict[str, float]:
        """The step of each clock, told from all that it has timed."""
        samples: dict[str, list[Sequence[float]]] = {}
        for taken in self._all:
            samples.setdefault(taken.group.clock.name, []).extend(taken.samples.values())
        return {name: clock_tick_s(series) for name, series in samples.items()}

    def results(self) -> dict[K, SeriesResult]:
        """What was measured, of each target that has a sample."""
        ticks = self._ticks_s()
        found = {}
        for taken in self._all:
            tick_s = ticks[taken.group.clock.name]
            passes = taken.passes
            for key, samples in taken.samples.items():
                if samples:
                    decision = decide(self._plan.rule(tick_s), samples, passes, self._why(taken))
                    found[key] = SeriesResult(
                        tuple(samples), passes, decision, tick_s, taken.is_steady
                    )
        return found

    def _why(self, taken: _Taken[K]) -> str:
        """The cause if one of a group's series is not known well enough."""
        return self._cause if taken.is_steady else NOT_STEADY


def block_length(count: int, look: int, fitting: int) -> int:
    """How many passes the next block has, ``count`` being taken and ``look`` the next look.

    A block may have a level of its own, and it takes several to know of that: the first look comes
    after eight. At most ``fitting``, which is what time allows.
    """
    return min(fitting, look - count, math.ceil(look / _LEAST_BLOCKS))


def decide(
    rule: StoppingRule, samples: Sequence[float], passes: Sequence[int], cause: str
) -> Decision:
    """What ``rule`` says of ``samples`` at the end: converged, or inconclusive for ``cause``."""
    decision = rule.decide(samples, passes)
    return give_up(decision, cause) if decision.status is Status.GO_ON else decision


def _take_block(taken: _Taken[K], passes: int) -> None:
    group = taken.group
    launches = [*group.targets.values()] * passes
    started_s = time.monotonic()
    latency_s = group.clock.time_block(launches)
    ended_s = time.monotonic()
    if len(latency_s) != len(launches):
        timed = f"{group.clock.name} timed {len(latency_s)} launches"
        message = f"{timed} of {len(launches)}"
        raise ValueError(message)
    for index, samples in enumerate(taken.samples.values()):
        samples.extend(latency_s[index :: len(group.targets)])
    taken.blocks.append(Block(group.name, started_s, ended_s, passes))
