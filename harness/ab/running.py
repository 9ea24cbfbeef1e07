"""Measure two sides in pairs of fresh processes, until enough is known."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from harness.ab.schedule import BASE, HEAD, SIDES, Turn, turns_of_pair
from harness.errors import HarnessError
from harness.handover import Order
from harness.replicate import merge
from harness.stats.pairs import PairRule
from harness.types import MissingProcess, Replication

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.observer import Observer
    from harness.replicate import Launcher
    from harness.types import Record

# Of a rebuilt engine, so that what processes differ by is told apart from what builds differ by.
PROCESSES_A_BUILD: Final = 2
_FAILURES_IN_A_ROW: Final = 3


class Ended(enum.Enum):
    """Why no more pairs were measured."""

    CONCLUSIVE = "every verdict that matters is clear"
    PAIRS = "the most pairs are measured"
    TIME = "the time is spent"
    FAILURES = "three pairs in a row failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class PairPlan:
    """How many pairs: the looks of ``rule``, or what ``max_time_s`` seconds of them allow.

    With ``rebuilds`` each pair has engines of its own, built anew on both sides, and two processes
    of each side.
    """

    rule: PairRule = field(default_factory=PairRule)
    max_time_s: float | None = None
    rebuilds: bool = False

    @property
    def processes(self) -> int:
        """Of each side in a pair."""
        return PROCESSES_A_BUILD if self.rebuilds else 1


@dataclass
class SideRun:
    """One side while it is measured: what launches its processes, and what came of them.

    ``name`` is what messages call it, and ``series`` sets its builds apart from all others.
    ``slowed_by`` is the share by which its work is made slower on purpose.
    """

    name: str
    launch: Launcher
    series: str = ""
    slowed_by: float = 0.0
    prepared: Record | None = None
    done: list[tuple[Order, Record]] = field(default_factory=list)
    missing: list[MissingProcess] = field(default_factory=list)
    turns: dict[int, int] = field(default_factory=dict)

    def prepare(self, build: int, *, rebuilds: bool) -> None:
        """Export, build and check, as build number ``build``; once, or for each pair.

        Raises:
            HarnessError: it is impossible; the message names the side.
        """
        try:
            made = self.launch(Order(None, build, series=self.series if rebuilds else ""))
        except HarnessError as error:
            where = f"{self.name}: {error.where}" if error.where else self.name
            raise type(error)(error.what, where=where, fix=error.fix) from error
        if self.prepared is None:
            self.prepared = made
            return
        # Graphs are the same every time; engines are not.
        engines = tuple(engine for engine in made.engines if engine.build_s is not None)
        phases = {
            name: s + made.phases_s.get(name, 0.0) for name, s in self.prepared.phases_s.items()
        }
        self.prepared = replace(
            self.prepared, engines=(*self.prepared.engines, *engines), phases_s=phases
        )

    def measure(self, turn: Turn, build: int) -> None:
        """Take ``turn`` in a fresh process.

        Raises:
            HarnessError: it measured nothing.
        """
        self.turns[turn.process] = turn.number
        order = Order(turn.process, build)
        self.done.append((order, self.launch(order)))

    def miss(self, turn: Turn, build: int, reason: str) -> None:
        """Note that ``turn`` measured nothing."""
        self.turns[turn.process] = turn.number
        self.missing.append(MissingProcess(turn.process, build, reason))

    def record(self, experiment: str, plan: PairPlan, *, is_complete: bool = True) -> Record:
        """The record of this side, with all that was measured so far."""
        if self.prepared is None:
            raise RuntimeError("nothing is prepared")
        count = len(self.turns)
        replication = Replication(
            processes=plan.processes if plan.rebuilds else count,
            builds=-(-count // plan.processes) if plan.rebuilds else 1,
            missing=tuple(self.missing),
            experiment=experiment,
            turns=tuple(self.turns[process] for process in sorted(self.turns)),
            margin=plan.rule.margin,
            alpha=plan.rule.alpha,
            looks=plan.rule.looks,
            slowed_by=self.slowed_by,
        )
        return merge(self.prepared, self.done, replication, is_complete=is_complete)


def measure_pairs(
    sides: Mapping[str, SideRun],
    plan: PairPlan,
    is_clear: Callable[[], bool],
    observer: Observer,
    *,
    now_s: Callable[[], float] = time.monotonic,
) -> Ended:
    """Measure pairs until a look finds that all ``is_clear``; what ends it keeps whole pairs.

    Args:
        sides: by ``base`` and ``head``, prepared unless the plan rebuilds.
        plan: when to look, and how long to go on.
        is_clear: asked at each look, about what the sides hold then.
        observer: told of each pair.
        now_s: the time in seconds.

    Raises:
        HarnessError: no pair was complete before one failed.
        KeyboardInterrupt: before a pair was complete.
    """
    started_s, most = now_s(), plan.rule.looks[-1]
    complete = failed = pair = 0
    observer.phase(f"Measuring in up to {most} pairs of processes", most)
    try:
        while pair < most:
            spent_s = now_s() - started_s
            if pair and _is_late(spent_s / pair, spent_s, plan):
                return Ended.TIME
            problem = _measure_pair(sides, plan, pair)
            pair += 1
            told = f"{now_s() - started_s - spent_s:.1f} s" if problem is None else str(problem)
            observer.step(f"pair {pair}: {told}")
            if problem is not None:
                failed += 1
                if not complete:
                    raise problem
                if failed == _FAILURES_IN_A_ROW:
                    return Ended.FAILURES
                continue
            complete, failed = complete + 1, 0
            if complete in plan.rule.looks and is_clear():
                return Ended.CONCLUSIVE
    except KeyboardInterrupt as error:
        if not complete:
            what = "before a pair of processes was complete, so that there is no record"
            raise KeyboardInterrupt(what) from error
        return Ended.INTERRUPTED
    return Ended.PAIRS


def _is_late(pair_s: float, spent_s: float, plan: PairPlan) -> bool:
    """Whether another pair, which takes as long as those before, would not end in time."""
    return plan.max_time_s is not None and spent_s + pair_s > plan.max_time_s


def _measure_pair(sides: Mapping[str, SideRun], plan: PairPlan, pair: int) -> HarnessError | None:
    """Measure a pair; gives what it failed for, which is then noted on both sides."""
    build = pair + 1 if plan.rebuilds else 0
    turns = turns_of_pair(pair, plan.processes)
    doing = "a build"
    try:
        if plan.rebuilds:
            for name in SIDES if pair % 2 == 0 else reversed(SIDES):
                sides[name].prepare(build, rebuilds=True)
        for turn in turns:
            doing = f"process {turn.process} of {sides[turn.side].name}"
            sides[turn.side].measure(turn, build)
    except HarnessError as error:
        _drop(sides, turns, plan, f"{doing}: {error}")
        return error
    except KeyboardInterrupt:
        # Here, since between two pairs nothing is missing.
        _drop(sides, turns, plan, "interrupted")
        raise
    return None


def _drop(sides: Mapping[str, SideRun], turns: Sequence[Turn], plan: PairPlan, reason: str) -> None:
    """Take a pair that is not whole out again: what half of it measured has no other half."""
    for turn in turns:
        side = sides[turn.side]
        side.done = [
            (order, record) for order, record in side.done if order.process != turn.process
        ]
        side.miss(turn, turn.pair + 1 if plan.rebuilds else 0, reason)


def records_of(
    sides: Mapping[str, SideRun], experiment: str, plan: PairPlan, *, is_complete: bool = True
) -> tuple[Record, Record]:
    """The records of base and head, with what was measured so far."""
    base, head = (
        sides[side].record(experiment, plan, is_complete=is_complete) for side in (BASE, HEAD)
    )
    return base, head
