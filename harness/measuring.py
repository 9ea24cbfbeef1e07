"""Measure one case: sample it, watch the machine, judge, and measure again what was disturbed."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import psutil

from harness.measure.sampler import Sampling, SamplingPlan, SeriesResult, decide
from harness.states import FAIL, FLAG, NOTE, UNKNOWN, Block, Finding, Validity
from harness.stats.energy import counter_j, estimate_energy
from harness.stats.stopping import Status
from harness.stats.validity import (
    DEFAULT_POLICY,
    Judgement,
    RetryPolicy,
    judge,
    set_aside,
    should_retry,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.measure.clock import Clock
    from harness.measure.sampler import Group
    from harness.states import DeviceState
    from harness.stats.stopping import StoppingRule

K = TypeVar("K")

# The counter moves about every 0.1 s; its first and last steps are lost.
ENERGY_TIME_S: Final = 2.5
# So many that the wait at their end is a small part.
_QUEUED: Final = 31
_SIMULATED: Final = Validity(
    (
        Finding(
            UNKNOWN,
            "the times are simulated: there is no machine whose state could tell anything of them",
            "measure with another backend",
        ),
    )
)


class OwnProcesses:
    """This process and those that it has started: they are not foreign on the device.

    Also those that are gone: an interruption ends them before their blocks are judged.
    """

    def __init__(self) -> None:
        self._seen: frozenset[int] = frozenset()

    def __call__(self) -> frozenset[int]:
        """All that were there at this call or an earlier one, by their PIDs."""
        own = psutil.Process()
        self._seen |= {os.getpid(), *(child.pid for child in own.children(recursive=True))}
        return self._seen


@dataclass(frozen=True)
class Watch:
    """What is known of the machine: readings since the start, the GPU, its driver.

    ``states`` gives the readings so far. ``device_uuid`` is None where no GPU is measured, and
    ``driver`` gives the version of its driver now. ``problem`` says why readings are missing.
    ``is_of_nothing`` where all times are simulated: then no machine tells anything of them.
    ``own_pids`` gives the processes that are no others' on the GPU.
    """

    states: Callable[[], Sequence[DeviceState]]
    device_uuid: str | None = None
    driver: Callable[[], str | None] = lambda: None
    problem: Callable[[], str] = lambda: ""
    is_of_nothing: bool = False
    own_pids: Callable[[], frozenset[int]] = field(default_factory=OwnProcesses)


@dataclass(frozen=True)
class Measured:
    """What was measured of one target, and what of it does not count.

    ``result`` is of the samples that count; ``rejected_latency_s`` are the others, in seconds.
    """

    result: SeriesResult
    rejected_latency_s: tuple[float, ...]


class CaseMeasuring(Generic[K]):
    """Measures ``groups`` by ``plan``; what the machine's state spoilt is measured again.

    Whatever ends ``run()``, an interruption too, what was complete is in the results.
    """

    def __init__(
        self,
        groups: Sequence[Group[K]],
        plan: SamplingPlan,
        watch: Watch,
        policy: RetryPolicy = DEFAULT_POLICY,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._groups = groups
        self._plan = plan
        self._watch = watch
        self._policy = policy
        self._sleep = sleep
        self._driver = watch.driver()
        self._series: dict[K, Measured] = {}
        self._blocks: list[Block] = []
        self._validity = Validity()

    @property
    def series(self) -> Mapping[K, Measured]:
        """What was measured of each target."""
        return self._series

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Every block, in the order measured, those that do not count with the reason."""
        return tuple(self._blocks)

    @property
    def validity(self) -> Validity:
        """Whether the machine's state lets the last try count."""
        return self._validity

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of the validity, and which series converged after a warm-up that ended unsteady."""
        unsteady = [group.name for group in self._groups if self._is_unsteady(group)]
        if not unsteady:
            return self._validity.findings
        what = f"the warm-up ended unsteady, though the medians converged: {', '.join(unsteady)}"
        finding = Finding(NOTE, what, "measure again, to see whether they stay where they are")
        return (*self._validity.findings, finding)

    def _is_unsteady(self, group: Group[K]) -> bool:
        found = [self._series[key].result for key in group.required if key in self._series]
        return any(not one.is_steady and one.decision.status is Status.CONVERGED for one in found)

    def run(
        self,
        on_round: Callable[[float], None] = lambda _: None,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Measure, and as often as the policy allows again where the result is invalid.

        ``on_round`` is told how much of a try is done, from 0 to 1, and ``on_wait`` before each
        wait how long it is and why.
        """
        retries = 0
        while True:
            sampling = Sampling(self._groups, self._plan)
            self._watch.own_pids()
            is_whole = False
            try:
                sampling.run(on_round)
                is_whole = True
            finally:
                judgement = self._take(sampling, is_whole=is_whole)
            if not should_retry(judgement, self._policy, retries=retries):
                return
            wait_s = self._policy.wait_s(retries)
            on_wait(
                f"waiting {wait_s:g} s for the machine to calm down, then measuring again: "
                f"{_failure(judgement.validity)}"
            )
            self._sleep(wait_s)
            retries += 1

    def _judge(self, blocks: tuple[Block, ...]) -> Judgement:
        if self._watch.is_of_nothing:
            return Judgement(_SIMULATED, blocks)
        return judge(
            blocks,
            self._watch.states(),
            own_pids=self._watch.own_pids(),
            device_uuid=self._watch.device_uuid,
            drivers=(self._driver, self._watch.driver()),
            problem=self._watch.problem(),
        )

    def _take(self, sampling: Sampling[K], *, is_whole: bool) -> Judgement:
        judgement = self._judge(sampling.blocks)
        results = sampling.results()
        if self._series and not is_whole:
            # Interrupted: the try before is whole, and stands.
            self._keep_aside(judgement.blocks, results)
            return judgement
        self._put_aside()
        before = {key: measured.rejected_latency_s for key, measured in self._series.items()}
        by_group: dict[str, list[Block]] = {}
        for block in judgement.blocks:
            by_group.setdefault(block.series, []).append(block)
        for group in self._groups:
            for key in group.targets:
                if key in results:
                    rule = self._plan.rule(results[key].clock_tick_s)
                    kept = split(results[key], by_group.get(group.name, []), rule)
                    more = (*before.get(key, ()), *kept.rejected_latency_s)
                    self._series[key] = replace(kept, rejected_latency_s=more)
        self._blocks.extend(judgement.blocks)
        self._validity = judgement.validity
        return judgement

    def _put_aside(self) -> None:
        """What was measured before does not count any more, and is kept."""
        if not self._series:
            return
        why = _failure(self._validity)
        self._blocks = [*set_aside(self._blocks, why)]
        for key, measured in self._series.items():
            all_s = (*measured.rejected_latency_s, *measured.result.latency_s)
            self._series[key] = replace(measured, rejected_latency_s=all_s)

    def _keep_aside(self, blocks: Sequence[Block], results: Mapping[K, SeriesResult]) -> None:
        """Keep what was measured in a try that does not count."""
        why = "interrupted while it was measured again"
        self._blocks.extend(replace(block, rejected=block.rejected or why) for block in blocks)
        for key, result in results.items():
            measured = self._series[key]
            all_s = (*measured.rejected_latency_s, *result.latency_s)
            self._series[key] = replace(measured, rejected_latency_s=all_s)


def _failure(validity: Validity) -> str:
    """The first reason why a try is invalid."""
    return next(finding.what for finding in validity.findings if finding.level == FAIL)


def split(result: SeriesResult, blocks: Sequence[Block], rule: StoppingRule) -> Measured:
    """``result`` without the samples of the rejected ones of ``blocks``, judged anew."""
    rejected = [bool(block.rejected) for block in blocks]
    if not any(rejected) or all(rejected):
        return Measured(result, ())
    kept: list[float] = []
    lost: list[float] = []
    start = 0
    for passes, is_rejected in zip(result.block_passes, rejected, strict=True):
        part = result.latency_s[start : start + passes]
        (lost if is_rejected else kept).extend(part)
        start += passes
    passes_kept = tuple(
        p for p, is_lost in zip(result.block_passes, rejected, strict=True) if not is_lost
    )
    decision = decide(rule, kept, passes_kept, "blocks rejected")
    return Measured(
        replace(result, latency_s=tuple(kept), block_passes=passes_kept, decision=decision),
        tuple(lost),
    )


@dataclass(frozen=True)
class EnergyTarget:
    """Whose energy is measured: what launches it, the clock that waits for it, whose counter."""

    launch: Callable[[], None]
    clock: Clock
    source: str


def measure_energy(
    targets: Mapping[K, EnergyTarget], watch: Watch, time_s: float = ENERGY_TIME_S
) -> tuple[dict[K, float], tuple[Finding, ...]]:
    """The energy (joules) of one launch of each target that a counter tells of.

    Each is launched for ``time_s`` without a pause, which takes the device's idle power as well.
    What no counter tells of is left out, and takes no time. So is what the machine spoilt, by the
    rules that samples go by: findings say why.
    """
    found = {}
    findings = []
    for key, target in targets.items():
        if not any(counter_j(state, target.source) is not None for state in watch.states()):
            continue
        energy_j, window = _energy_per_launch_j(target, watch, time_s)
        judgement = judge(
            [window], watch.states(), own_pids=watch.own_pids(), device_uuid=watch.device_uuid
        )
        if judgement.validity.status == "invalid":
            what = f"an energy is left out: {_failure(judgement.validity)}"
            findings.append(Finding(FLAG, what, "measure again"))
        elif energy_j is not None:
            found[key] = energy_j
    return found, tuple(findings)


def _energy_per_launch_j(
    target: EnergyTarget, watch: Watch, time_s: float
) -> tuple[float | None, Block]:
    # It waits for all that is queued before it.
    target.clock.time_block([target.launch])
    started_s = time.monotonic()
    count = 0
    while time.monotonic() - started_s < time_s:
        for _ in range(_QUEUED):
            target.launch()
        target.clock.time_block([target.launch])
        count += _QUEUED + 1
    ended_s = time.monotonic()
    found = estimate_energy(watch.states(), started_s, ended_s, source=target.source)
    return found.per_inference_j(count), Block("energy", started_s, ended_s, count)
