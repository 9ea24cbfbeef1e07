"""What readings of the processor tell against figures that were measured on it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.states import FLAG, Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.states import HostState


@dataclass(frozen=True)
class HostLimits:
    """From where on something counts, as fractions.

    ``others_busy`` and ``steal``: of the time of all cores. ``clock``: off the run's median.
    ``readings``: how many must be over a limit.
    """

    others_busy: float = 0.05
    steal: float = 0.01
    clock: float = 0.05
    readings: float = 0.10


def host_findings(hosts: Sequence[HostState], limits: HostLimits) -> list[Finding]:
    """What is wrong with the processor by its readings, in the order of their time: flags all.

    On a shared machine other load is the rule, and figures are still of use.
    """
    found = [
        _over(
            hosts,
            lambda host: host.others_busy,
            limits.others_busy,
            limits.readings,
            "other processes took {median:.0%} of all cores' time (median), {worst:.0%} at worst, "
            "over {limit:.0%} in {count} of {total} readings",
            "end them, or measure on a machine of its own",
        ),
        _over(
            hosts,
            lambda host: host.steal,
            limits.steal,
            limits.readings,
            "the hypervisor took {median:.0%} of the cores' time (median), {worst:.0%} at worst, "
            "over {limit:.0%} in {count} of {total} readings",
            "measure on a machine whose cores are not shared",
        ),
    ]
    clocks = [host.clock_mhz for host in hosts if host.clock_mhz]
    if clocks:
        median_mhz = statistics.median(clocks)
        found.append(
            _over(
                hosts,
                lambda host: abs(host.clock_mhz / median_mhz - 1.0) if host.clock_mhz else None,
                limits.clock,
                limits.readings,
                f"the processor's clock was off its median of {median_mhz:.0f} MHz by up to "
                "{worst:.0%}, over {limit:.0%} in {count} of {total} readings",
                "set the governor to performance and turbo off (see harness doctor)",
            )
        )
    counts = [host.throttle_count for host in hosts if host.throttle_count is not None]
    rise = sum(max(0, after - before) for before, after in pairwise(counts))
    if rise:
        what = f"the processor throttled {rise} times for its heat"
        found.append([Finding(FLAG, what, "let it cool down, see to its cooling")])
    return [finding for some in found for finding in some]


def _over(
    hosts: Sequence[HostState],
    value_of: Callable[[HostState], float | None],
    limit: float,
    share: float,
    what: str,
    fix: str,
) -> list[Finding]:
    """A flag where more than ``share`` of the known values are over ``limit``."""
    known = [value for host in hosts if (value := value_of(host)) is not None]
    count = sum(value > limit for value in known)
    if not count or count <= share * len(known):
        return []
    told = what.format(
        median=statistics.median(known),
        worst=max(known),
        limit=limit,
        count=count,
        total=len(known),
    )
    return [Finding(FLAG, told, fix)]
