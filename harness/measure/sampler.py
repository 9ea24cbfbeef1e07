"""Take samples of several targets in turn, so that a drift of the machine touches all alike."""

from __future__ import annotations

import gc
import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from harness.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.measure.clock import Clock

K = TypeVar("K")

DEFAULT_MAX_SAMPLES: Final = 400
DEFAULT_MAX_TIME_S: Final = 30.0
_MAX_PASSES: Final = 64


@dataclass(frozen=True)
class SamplingPlan:
    """When to stop: at ``max_samples`` of each target, or after the round that ends the time.

    ``warmup_s`` is spent on each group before its samples count; ``block_s`` is about how long one
    group is measured before the next has its turn.
    """

    max_samples: int = DEFAULT_MAX_SAMPLES
    max_time_s: float = DEFAULT_MAX_TIME_S
    warmup_s: float = 0.5
    block_s: float = 0.2

    def __post_init__(self) -> None:
        """Refuse limits that would measure nothing."""
        if self.max_samples < 1:
            what = f"{self.max_samples} samples"
            raise OptionError(what, where="--samples", fix="ask for 1 or more")
        if not self.max_time_s > 0:
            what = f"{self.max_time_s:g} s"
            raise OptionError(what, where="--max-time", fix="give more than 0 s")


@dataclass(frozen=True)
class Group(Generic[K]):
    """Targets that are launched one after the other, and the clock that times each.

    ``max_passes`` is at most how often each is launched in a block, where others have more.
    """

    targets: Mapping[K, Callable[[], None]]
    clock: Clock
    max_passes: int | None = None


def sample_in_turn(
    groups: Sequence[Group[K]],
    plan: SamplingPlan,
    samples: dict[K, list[float]],
    *,
    on_round: Callable[[float], None] = lambda _: None,
) -> None:
    """Measure ``groups`` of targets in rounds, a block of each; ``samples`` grows by whole blocks.

    Within a block the targets of a group run one after the other, again and again, as the
    components of a pipeline do when it is used: a component that is launched in a loop of its own
    finds its data in the caches and its threads awake, and looks up to twice as fast as it is.

    Every target gets a sample (seconds), however short the time. Whatever ends the loop, an
    interruption too, the blocks that were complete are in ``samples``; what it held before stays.
    ``on_round`` is told how much of the plan is done, from 0 to 1.
    """
    warmed_s = [_warm_up(list(g.targets.values()), g.clock, plan.warmup_s) for g in groups]
    # What has few passes in any block does not make the blocks of the others shorter.
    pass_s = [s for s, group in zip(warmed_s, groups, strict=True) if group.max_passes is None]
    for group in groups:
        for key in group.targets:
            samples.setdefault(key, [])
    taken = 0
    started = time.monotonic()
    with _no_garbage_collection():
        while True:
            missing = plan.max_samples - taken
            fitting = int(plan.block_s / max(*pass_s, 1e-9))
            passes = max(1, min(missing, fitting, _MAX_PASSES))
            for group in groups:
                own_passes = min(passes, group.max_passes or passes)
                launches = [*group.targets.values()] * own_passes
                latency_s = group.clock.time_block(launches)
                if len(latency_s) != len(launches):
                    timed = f"{group.clock.name} timed {len(latency_s)} launches"
                    message = f"{timed} of {len(launches)}"
                    raise ValueError(message)
                for index, key in enumerate(group.targets):
                    samples[key].extend(latency_s[index :: len(group.targets)])
            taken += passes
            spent = (time.monotonic() - started) / plan.max_time_s
            done = max(spent, taken / plan.max_samples)
            on_round(min(1.0, done))
            if done >= 1.0:
                return


def _warm_up(launches: Sequence[Callable[[], None]], clock: Clock, warmup_s: float) -> float:
    """Launch all in order until ``warmup_s`` has passed, at least twice; gives a pass's seconds."""
    pass_s: list[float] = []
    spent_s = 0.0
    started = time.monotonic()
    # The host's clock ends it too, since a simulated one may not advance.
    while len(pass_s) < 2 or max(spent_s, time.monotonic() - started) < warmup_s:  # noqa: PLR2004
        begun = time.monotonic()
        latency_s = sum(clock.time_block(launches))
        # What a clock does beside the launches, such as flushing caches, takes time as well.
        pass_s.append(max(latency_s, time.monotonic() - begun))
        spent_s += latency_s
    return statistics.median(pass_s[len(pass_s) // 2 :])


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
