"""Where the p99 of a whole pipeline is heading: one computation, whoever reads the records."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from harness.comparison.built import build_options
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.report.budget_spent import Prospect
from harness.stats.trend import fit_slope, outlook
from harness.types import Case

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.history.points import Environment
    from harness.types import Measurement, Record, Variant

# A trend is that of so many of the newest commits: what was long ago tells little of what comes.
MOST_COMMITS: Final = 200
_DAY_S: Final = 86_400.0
# By backend, precision and route.
Options = dict[tuple[str, str, str], str]


@dataclass(frozen=True)
class Way:
    """One series of a whole pipeline: what ran, at which size, and how the work arrived.

    It is one of another clock, of other threads, and of engines that were built by other
    ``options``, too.
    """

    variant: Variant
    case: Case
    mode: str
    streams: int
    simulated: bool
    threads: int
    clock: str
    options: str


@dataclass(frozen=True)
class Tail:
    """The p99 of one process, of a record of a history that counts."""

    environment: Environment
    pipeline: str
    commit: str
    unix_s: float
    record_id: str
    process: int
    way: Way
    p99_s: float


def way_of(measured: Measurement, options: Options) -> Way:
    """The series that a whole pipeline was ``measured`` for, of a record with those options."""
    variant, case = measured.variant, Case(measured.duration_s, measured.batch)
    return Way(
        *(variant, case, measured.mode, measured.streams, measured.simulated),
        *(measured.threads, measured.clock),
        options.get((variant.backend, variant.precision, variant.route), ""),
    )


def options_of(record: Record) -> Options:
    """What the engines of whole pipelines were built by, in the words of a query."""
    held: dict[tuple[str, str, str], dict[str, str]] = {}
    for one in record.engines:
        # Of several builds of one engine, the first.
        its = held.setdefault((one.backend, one.precision, one.route), {})
        given = build_options(one.details)
        its.setdefault(one.component, json.dumps(given, sort_keys=True) if given else "")
    return {
        kind: " ".join(
            f"{component} {options}"
            for component, options in sorted(its.items())
            if options and component != WHOLE_PIPELINE
        )
        for kind, its in held.items()
    }


def is_alike(one: Environment, own: Environment) -> bool:
    """Whether figures of ``one`` tell where those of ``own`` are heading.

    A record of no history names no machine: whatever has its fingerprint is alike then.
    """
    return one == own or (not own.machine and one.fingerprint == own.fingerprint)


def newest_commits(dates: Mapping[str, float]) -> set[str]:
    """Of commits, by their dates in seconds, those that a trend is of."""
    ordered = sorted(dates, key=lambda commit: (dates[commit], commit))
    return {*ordered[-MOST_COMMITS:]}


def prospect_of(tails: Iterable[Tail], way: Way | None, limit_s: float) -> Prospect:
    """Where ``way`` is heading, by ``tails`` of one pipeline and of environments that are alike.

    Of a record it is the median of the processes' p99, and of a commit that of its rounds. Commits
    are in the order of their dates. A way that is None, or was not measured, has no slope.
    """
    tails = list(tails)
    dates = {one.commit: one.unix_s for one in tails}
    newest = newest_commits(dates)
    found: dict[str, dict[str, dict[int, float]]] = {}
    for one in tails:
        if one.way == way and one.commit in newest and math.isfinite(one.p99_s):
            # A record may lie in two folders.
            its = found.setdefault(one.commit, {}).setdefault(one.record_id, {})
            its[one.process] = one.p99_s
    ordered = sorted(found, key=lambda commit: (dates[commit], commit))
    days = [dates[commit] / _DAY_S for commit in ordered]
    values_s = [
        median(median(processes.values()) for processes in found[commit].values())
        for commit in ordered
    ]
    by_commit, by_day = fit_slope(range(len(ordered)), values_s), fit_slope(days, values_s)
    looks = outlook(by_commit, limit_s), outlook(by_day, limit_s)
    return Prospect(len(ordered), by_commit, by_day, *looks)
