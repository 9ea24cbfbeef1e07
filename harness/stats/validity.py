"""Whether the machine's state lets figures count: findings, and the blocks that do not count.

Thresholds and their reasons are in docs/validity.md. Everything here is a function of the readings.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from harness.states import FAIL, FLAG, NOTE, UNKNOWN, Finding, Validity
from harness.stats.events import (
    POWER,
    SW_POWER_CAP,
    THERMAL,
    Timeline,
    foreign_processes,
    hard_events,
    reasons_of,
    uuids_of,
)
from harness.stats.host_load import HostLimits, host_findings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from harness.states import Block, DeviceState


@dataclass(frozen=True)
class Limits:
    """From where on something counts, as fractions; ``margin_s`` in seconds.

    ``sm_clock``: a block's SM clock off the median of its series. ``rejected``: blocks that do not
    count. ``power_cap``: time under the software power cap. ``margin_s``: how far from a block a
    reading still speaks for it. ``idling`` names series between whose samples the device idles, and
    may lower its clock: theirs is not judged.
    """

    sm_clock: float = 0.02
    rejected: float = 0.10
    power_cap: float = 0.01
    margin_s: float = 0.1
    idling: frozenset[str] = frozenset()
    host: HostLimits = field(default_factory=HostLimits)


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True)
class Judgement:
    """Whether the figures count, and the blocks with those marked that do not.

    ``may_pass`` is true where a cause of the failure may go away by waiting, as heat does; another
    driver does not.
    """

    validity: Validity
    blocks: tuple[Block, ...]
    may_pass: bool = False


@dataclass(frozen=True)
class RetryPolicy:
    """How often to measure again what was invalid, and how long (seconds) to wait before.

    The wait doubles from one time to the next, up to ``max_cool_down_s``.

    Raises:
        ValueError: a number is negative.
    """

    max_retries: int = 2
    cool_down_s: float = 15.0
    max_cool_down_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        if min(self.max_retries, self.cool_down_s, self.max_cool_down_s) < 0:
            message = f"{self} is negative"
            raise ValueError(message)

    def wait_s(self, retries: int) -> float:
        """The seconds to wait after ``retries`` earlier ones."""
        return float(min(self.cool_down_s * 2**retries, self.max_cool_down_s))


DEFAULT_POLICY: Final = RetryPolicy()


def should_retry(
    judgement: Judgement, policy: RetryPolicy = DEFAULT_POLICY, *, retries: int = 0
) -> bool:
    """Whether to wait ``policy.wait_s(retries)`` and measure again, after ``retries`` of them.

    Only what is invalid is, and only where waiting may help: a flagged run is as good as this
    machine gets.
    """
    is_invalid = judgement.validity.status == "invalid"
    return is_invalid and judgement.may_pass and retries < policy.max_retries


def set_aside(blocks: Sequence[Block], why: str) -> tuple[Block, ...]:
    """``blocks`` of a try that is done again: all rejected, those that were keep their reason."""
    return tuple(
        block if block.rejected else replace(block, rejected=f"measured again: {why}")
        for block in blocks
    )


def judge(  # each is one independent thing to hold the readings against
    blocks: Sequence[Block],
    states: Sequence[DeviceState],
    *,
    own_pids: Collection[int] = (),
    device_uuid: str | None = None,
    drivers: tuple[str | None, str | None] = (None, None),
    problem: str = "",
    limits: Limits = DEFAULT_LIMITS,
) -> Judgement:
    """Judge what was measured in ``blocks`` by readings of the machine.

    A block that is rejected already, in a try before, stays so, and readings around it do not
    count. Of every other series at least one block is kept: where none is good, all are, and the
    run is invalid. Without any block, all readings count.

    Args:
        blocks: what was measured when.
        states: readings of the machine, in any order, on the same clock.
        own_pids: the processes that measure, as NVML numbers them.
        device_uuid: the GPU that was measured; None where none was.
        drivers: the GPU driver's version before and after the run, None where it is not known.
        problem: why readings are missing, where that is known.
        limits: from where on something counts.
    """
    timeline = Timeline(states)
    live = [block for block in blocks if not block.rejected]
    near = {id(block): timeline.near(block, limits.margin_s) for block in live}
    seen = _unique(near.values()) if blocks else timeline.states
    findings = _identity(seen, device_uuid, drivers)
    is_lasting = bool(findings)
    if blocks and not live:
        findings.append(Finding(FAIL, "no block counts: all were rejected before", "measure again"))
    findings += _unknown(live, near, seen, device_uuid, problem)
    findings += _foreign(seen, own_pids)
    findings += _slowed(live, near, seen, timeline)
    rejected = _rejections(live, near, timeline, own_pids, limits)
    marked, of_blocks = _settle(live, rejected, limits)
    findings += of_blocks
    findings += _series_clocks(_busy(live, limits), near, limits)
    findings += _power_cap(live, seen, timeline, limits)
    hosts = [state.host for state in sorted(seen, key=lambda state: state.monotonic_s)]
    findings += host_findings(hosts, limits.host)
    return Judgement(
        Validity(tuple(findings)),
        tuple(marked.get(id(block), block) for block in blocks),
        may_pass=not is_lasting and any(finding.level == FAIL for finding in findings),
    )


def _busy(live: Sequence[Block], limits: Limits) -> list[Block]:
    """Those whose clock tells something."""
    return [block for block in live if block.series not in limits.idling]


def _unique(groups: Collection[list[DeviceState]]) -> list[DeviceState]:
    return list({id(state): state for group in groups for state in group}.values())


def _identity(
    seen: Sequence[DeviceState], device_uuid: str | None, drivers: tuple[str | None, str | None]
) -> list[Finding]:
    found = []
    uuids = uuids_of(seen)
    if device_uuid is not None:
        uuids = tuple(dict.fromkeys((device_uuid, *uuids)))
    if len(uuids) > 1:
        what = f"the GPU changed: {', then '.join(uuids)}"
        fix = "choose one with CUDA_VISIBLE_DEVICES, by its UUID, and measure again"
        found.append(Finding(FAIL, what, fix))
    before, after = drivers
    if None not in drivers and before != after:
        what = f"the GPU's driver changed during the run: {before}, then {after}"
        found.append(Finding(FAIL, what, "measure again, and update drivers between runs"))
    return found


def _unknown(
    live: Sequence[Block],
    near: Mapping[int, list[DeviceState]],
    seen: Sequence[DeviceState],
    device_uuid: str | None,
    problem: str,
) -> list[Finding]:
    found = []
    if problem:
        what = f"readings of the machine are missing: {problem}"
        found.append(Finding(FLAG, what, "mend that, and measure again"))
    if not seen:
        what = "there is no reading of the machine while it was measured"
        fix = "measure with telemetry on, to know whether the figures count"
        return [*found, Finding(UNKNOWN, what, "mend what kept it away" if problem else fix)]
    bare = sum(not near[id(block)] for block in live)
    # Where it is known why, reading more often would not help.
    if bare and not problem:
        what = f"{bare} of {len(live)} blocks have no reading of the machine: they count unseen"
        found.append(Finding(NOTE, what, "read the machine more often"))
    if device_uuid is not None and not uuids_of(seen):
        what = f"there is no reading of the GPU {device_uuid}"
        found.append(Finding(UNKNOWN, what, "pip install nvidia-ml-py, to read it through NVML"))
    return found


def _foreign(seen: Sequence[DeviceState], own_pids: Collection[int]) -> list[Finding]:
    pids = foreign_processes(seen, own_pids)
    if not pids:
        return []
    what = f"other processes were on the GPU: {', '.join(map(str, pids))}"
    fix = (
        "end them, or take another GPU; in a container without the host's PIDs, NVML may name this "
        "run by its PID outside (docker run --pid=host)"
    )
    return [Finding(FAIL, what, fix)]


def _slowed(
    live: Sequence[Block],
    near: Mapping[int, list[DeviceState]],
    seen: Sequence[DeviceState],
    timeline: Timeline,
) -> list[Finding]:
    touched = sum(
        bool(hard_events(near[id(block)], timeline.rises(block, THERMAL))) for block in live
    )
    rises = {rise for block in live for rise in timeline.rises(block, THERMAL)}
    events = hard_events(seen, sorted(rises, key=lambda rise: rise.started_s))
    if not events:
        return []
    where = f", in {touched} of {len(live)} blocks" if live else ""
    what = f"the GPU held its clock back: {'; '.join(events)}{where}"
    fix = "let it cool down, see to its cooling and power supply (nvidia-smi -q -d PERFORMANCE)"
    return [Finding(FAIL, what, fix)]


def _rejections(
    live: Sequence[Block],
    near: Mapping[int, list[DeviceState]],
    timeline: Timeline,
    own_pids: Collection[int],
    limits: Limits,
) -> dict[int, str]:
    """Why a block should not count, of those that should not."""
    found: dict[int, str] = {}
    by_series = _clocks(_busy(live, limits), near)
    medians = {series: statistics.median(clocks) for series, clocks in by_series.items()}
    for block in live:
        states = near[id(block)]
        reasons = hard_events(states, timeline.rises(block, THERMAL))
        pids = foreign_processes(states, own_pids)
        if pids:
            reasons.append(f"other processes on the GPU: {', '.join(map(str, pids))}")
        clocks = _sm_clocks(block, states)
        if clocks and block.series in medians:
            clock_mhz, median_mhz = statistics.fmean(clocks), medians[block.series]
            off = _off(clock_mhz, median_mhz)
            if abs(off) > limits.sm_clock:
                reasons.append(
                    f"SM clock {clock_mhz:.0f} MHz, {off:+.1%} off the series' median of "
                    f"{median_mhz:.0f} MHz"
                )
        if reasons:
            found[id(block)] = "; ".join(reasons)
    return found


def _settle(
    live: Sequence[Block], rejected: Mapping[int, str], limits: Limits
) -> tuple[dict[int, Block], list[Finding]]:
    """Mark what does not count, but never all of a series; and what that means for the run."""
    if not rejected:
        return {}, []
    findings = []
    good = {block.series for block in live if id(block) not in rejected}
    spoilt = [s for s in dict.fromkeys(block.series for block in live) if s not in good]
    marked = {
        id(block): replace(block, rejected=rejected[id(block)])
        for block in live
        if id(block) in rejected and block.series in good
    }
    if spoilt:
        what = f"every block of {', '.join(spoilt)} is bad; they are kept, and count for nothing"
        findings.append(Finding(FAIL, what, "mend what the other findings name, measure again"))
    share = len(rejected) / len(live)
    is_much = share > limits.rejected
    first = next(rejected[id(block)] for block in live if id(block) in rejected)
    what = (
        f"{len(rejected)} of {len(live)} blocks ({share:.0%}) are bad, "
        f"{'more' if is_much else 'no more'} than {limits.rejected:.0%}; the first: {first}"
    )
    fix = (
        "lock the clocks (nvidia-smi --lock-gpu-clocks), keep others off the machine"
        if is_much
        else "nothing: what is bad does not count"
    )
    findings.append(Finding(FAIL if is_much else FLAG, what, fix))
    return marked, findings


def _clocks(live: Sequence[Block], near: Mapping[int, list[DeviceState]]) -> dict[str, list[float]]:
    """The SM clocks (MHz) that were read during each series, of those with any."""
    found: dict[str, list[float]] = {}
    for block in live:
        clocks = _sm_clocks(block, near[id(block)])
        if clocks:
            found.setdefault(block.series, []).extend(clocks)
    return found


def _sm_clocks(block: Block, states: Sequence[DeviceState]) -> list[float]:
    """Those read within the block, or where none was, beside it."""
    within = [s for s in states if block.started_s <= s.monotonic_s <= block.ended_s]
    for some in (within, states):
        clocks = [s.gpu.sm_clock_mhz for s in some if s.gpu is not None and s.gpu.sm_clock_mhz]
        if clocks:
            return clocks
    return []


def _series_clocks(
    live: Sequence[Block], near: Mapping[int, list[DeviceState]], limits: Limits
) -> list[Finding]:
    """Series that ran at another clock than the run: true of each, unfair between them."""
    clocks = _clocks(live, near)
    if not clocks:
        return []
    median_mhz = statistics.median([mhz for some in clocks.values() for mhz in some])
    return [
        Finding(
            FLAG,
            f"{series} ran at {statistics.median(some):.0f} MHz, the run's median is "
            f"{median_mhz:.0f} MHz",
            "compare it with others in cycles, or lock the clocks (nvidia-smi --lock-gpu-clocks)",
        )
        for series, some in clocks.items()
        if abs(_off(statistics.median(some), median_mhz)) > limits.sm_clock
    ]


def _power_cap(
    live: Sequence[Block], seen: Sequence[DeviceState], timeline: Timeline, limits: Limits
) -> list[Finding]:
    rises = {rise for block in live for rise in timeline.rises(block, POWER)}
    spent_s = sum(rise.ended_s - rise.started_s for rise in rises)
    by_counter = sum(rise.rise_s for rise in rises) / spent_s if spent_s > 0.0 else 0.0
    known = [s for s in seen if s.gpu is not None and s.gpu.clock_event_reasons is not None]
    capped = sum(bool(reasons_of(state) & SW_POWER_CAP) for state in known)
    by_bits = capped / len(known) if known else 0.0
    if max(by_counter, by_bits) <= limits.power_cap:
        return []
    told = f"{by_counter:.0%} of the time" if by_counter > limits.power_cap else ""
    if by_bits > limits.power_cap:
        told += f"{', ' if told else ''}{capped} of {len(known)} readings"
    what = f"the software power cap held the GPU's clock back ({told})"
    fix = "compare in cycles; raise the limit, or lock a clock that it can hold (nvidia-smi -pl)"
    return [Finding(FLAG, what, fix)]


def _off(value: float, median: float) -> float:
    return value / median - 1.0
