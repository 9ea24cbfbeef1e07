"""Where a run of whole inferences keeps what was measured, and what of it counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.measure.causes import OUT_OF_SAMPLES, OUT_OF_TIME
from harness.measure.sampler import decide
from harness.stats.stopping import MedianPrecision
from harness.stats.ticks import clock_tick_s
from harness.stats.validity import DEFAULT_LIMITS, judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.measure.sampler import SamplingPlan
    from harness.measuring import Watch
    from harness.states import Block, Finding
    from harness.types import Measurement


class Kept:
    """What was measured, in lists that the run has, and judged by what ``watch`` has seen.

    Make it before measuring: the driver of that time is the one that it is held against.
    """

    def __init__(
        self,
        measurements: list[Measurement],
        blocks: list[Block],
        findings: list[Finding],
        watch: Watch,
    ) -> None:
        self.measurements = measurements
        self._blocks = blocks
        self._findings = findings
        self._watch = watch
        self._driver = watch.driver()
        watch.own_pids()

    def add(self, findings: Iterable[Finding]) -> None:
        """Keep what was found of the figures themselves."""
        self._findings.extend(findings)

    def judge(
        self, blocks: Sequence[Block], idling: Iterable[str] = ()
    ) -> dict[str, tuple[Block, ...]]:
        """Keep ``blocks`` and what is found; gives them by series, marked where they do not count.

        ``idling`` names series whose clock is not judged.
        """
        judgement = judge(
            sorted(blocks, key=lambda block: block.started_s),
            self._watch.states(),
            own_pids=self._watch.own_pids(),
            device_uuid=self._watch.device_uuid,
            drivers=(self._driver, self._watch.driver()),
            limits=replace(DEFAULT_LIMITS, idling=frozenset(idling)),
        )
        self._blocks.extend(judgement.blocks)
        self._findings.extend(judgement.validity.findings)
        found: dict[str, tuple[Block, ...]] = {}
        for block in judgement.blocks:
            found[block.series] = (*found.get(block.series, ()), block)
        return found


def cause_of(plan: SamplingPlan, counts: Iterable[int]) -> str:
    """What ended a series that nothing interrupted, by how many samples each has."""
    return OUT_OF_SAMPLES if min(counts, default=0) >= plan.sample_limit else OUT_OF_TIME


def kept_of(
    samples: Sequence[float], blocks: Sequence[Block], *, rejected: bool = False
) -> tuple[float, ...]:
    """Those of ``samples`` that lie in blocks that count, or in those that do not."""
    found: list[float] = []
    start = 0
    for block in blocks:
        if bool(block.rejected) == rejected:
            found.extend(samples[start : start + block.passes])
        start += block.passes
    return tuple(found)


def settle(
    samples: Sequence[float], blocks: Sequence[Block], plan: SamplingPlan, cause: str
) -> dict[str, Any]:
    """The fields of a measurement that tell its samples (seconds), and how well they are known.

    ``cause`` is why there are no more of them.
    """
    tick_s = clock_tick_s([samples])
    latency_s = kept_of(samples, blocks)
    passes = tuple(block.passes for block in blocks if not block.rejected)
    decision = decide(MedianPrecision(plan.rel_precision, tick_s), latency_s, passes, cause)
    return {
        "latency_s": latency_s,
        "rejected_latency_s": kept_of(samples, blocks, rejected=True),
        "block_passes": passes,
        "verdict": decision.status.value,
        "verdict_reason": decision.reason,
        "rel_precision": plan.rel_precision,
        "autocorrelation": decision.autocorrelation,
        "clock_tick_s": tick_s,
    }
