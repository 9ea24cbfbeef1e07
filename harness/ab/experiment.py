"""Two commits against each other: each made once, then measured in turns."""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.ab.running import Ended, PairPlan, SideRun, measure_pairs, records_of
from harness.ab.schedule import BASE, HEAD
from harness.ab.side import Workplace, make_side
from harness.backends.simulated import VARIABLE
from harness.comparison.compare import compare_records
from harness.comparison.slight import is_waited_for
from harness.errors import HarnessError
from harness.replicate import CommandLauncher
from harness.states import FAIL
from harness.stats.pairs import PairRule, PairStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.ab.revisions import Revision
    from harness.backends.simulated import SimulationOptions
    from harness.comparison.model import Comparison, SeriesComparison
    from harness.handover import Order
    from harness.observer import Observer
    from harness.types import Record


@dataclass(frozen=True)
class Experiment:
    """How two sides are measured.

    ``simulation`` is that of made up times, each process with a seed of its own. ``wants`` tells
    which series must come out clear, however slight, in place of all that could matter; ``command``
    goes into the records, which ``keep`` is given before anything is made of them. ``made`` is
    called when both sides are checked out, installed and exported.
    """

    place: Workplace
    plan: PairPlan
    simulation: SimulationOptions | None = None
    wants: Callable[[SeriesComparison], bool] | None = None
    command: tuple[str, ...] = ()
    keep: Callable[[Record, Record], None] = lambda _base, _head: None
    made: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Outcome:
    """What came of it: a record for each side, what they say, and why no more was measured.

    ``said`` is what processes wrote although they measured.
    """

    base: Record
    head: Record
    comparison: Comparison
    ended: Ended
    said: tuple[str, ...] = ()

    @property
    def invalid(self) -> tuple[str, ...]:
        """Why the machine's state lets nothing be said of the two; empty where it does not."""
        return tuple(
            f"{side}: {finding.what}"
            for side, record in ((BASE, self.base), (HEAD, self.head))
            if record.validity is not None
            for finding in record.validity.findings
            if finding.level == FAIL
        )

    @property
    def status(self) -> PairStatus:
        """What is known of all series: of an invalid run nothing is."""
        return PairStatus.INCONCLUSIVE if self.invalid else self.comparison.status

    @property
    def is_simulated(self) -> bool:
        """Whether the times are made up."""
        return self.comparison.is_simulated


def run_experiment(
    base: Revision, head: Revision, experiment: Experiment, observer: Observer
) -> Outcome:
    """Make both sides, and measure them until enough is known.

    Raises:
        HarnessError: a side is impossible, or nothing could be measured of it.
        KeyboardInterrupt: before a pair was complete.
    """
    revisions = {BASE: base, HEAD: head}
    with tempfile.TemporaryDirectory(prefix="harness-ab-") as name:
        folder = Path(name)
        arguments = {
            side: make_side(revision, experiment.place, folder / side, observer)
            for side, revision in revisions.items()
        }
        experiment.made()
        labels = {side: str(revision) for side, revision in revisions.items()}
        return measure_sides(arguments, labels, experiment, folder, observer)


def measure_sides(
    arguments: Mapping[str, Sequence[str]],
    labels: Mapping[str, str],
    experiment: Experiment,
    folder: Path,
    observer: Observer,
) -> Outcome:
    """Measure what ``arguments`` of ``harness run`` say of ``base`` and ``head``.

    Raises:
        HarnessError: a side is impossible, or nothing could be measured of it.
        KeyboardInterrupt: before a pair was complete.
    """
    name = new_name()
    launches = {
        side: launcher_of(
            words, _made(folder / f"{side}-orders"), experiment, f"{side} {labels[side]}"
        )
        for side, words in arguments.items()
    }
    sides = {
        side: SideRun(labels[side], launch, f"{name}-{side}") for side, launch in launches.items()
    }
    if not experiment.plan.rebuilds:
        for run in sides.values():
            observer.phase(f"Preparing {run.name}", 1)
            run.prepare(0, rebuilds=False)
    outcome = measure_prepared(sides, experiment, name, observer)
    return replace(outcome, said=tuple(_lines(launches)))


def launcher_of(
    words: Sequence[str], orders: Path, experiment: Experiment, key: str
) -> CommandLauncher:
    """What starts processes with ``words``; made up times have the seeds of ``key``."""
    return CommandLauncher(tuple(words), orders, variables=_variables(experiment, key))


def new_name() -> str:
    """What an experiment is called: when it began, and what no other is called."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"


def measure_prepared(
    sides: Mapping[str, SideRun], experiment: Experiment, name: str, observer: Observer
) -> Outcome:
    """Measure sides that are prepared, as the experiment called ``name``.

    Raises:
        HarnessError: nothing could be measured of a side, or the records cannot be compared.
        KeyboardInterrupt: before a pair was complete.
    """
    plan, labels = experiment.plan, {side: run.name for side, run in sides.items()}

    def is_clear() -> bool:
        base, head = records_of(sides, name, plan)
        try:
            rows = _compared(base, head, experiment, plan, labels).rows
        except HarnessError:
            # More pairs change nothing: it is raised when the records are kept.
            return True
        return not any(_is_waited_for(row, experiment) for row in rows)

    ended = measure_pairs(sides, plan, is_clear, observer)
    complete = len(sides[BASE].done) // plan.processes
    # What the records tell is the rule that judges them here.
    last = replace(plan, rule=last_rule(plan.rule, ended, complete))
    records = records_of(sides, name, last, is_complete=ended is not Ended.INTERRUPTED)
    base, head = (
        replace(
            record,
            record_id=f"{name}-{side}",
            command=experiment.command or record.command,
        )
        for side, record in zip((BASE, HEAD), records, strict=True)
    )
    experiment.keep(base, head)
    comparison = _compared(base, head, experiment, last, labels)
    return Outcome(base, head, comparison, ended)


def last_rule(rule: PairRule, ended: Ended, complete: int) -> PairRule:
    """The rule for the last of the looks, at ``complete`` pairs.

    Where it is not the data that ended it but the time, no later look will need its share of the
    error: this one has all that is left. (What earlier looks have spent was less than the new rule
    takes them to have spent, so that the error of all is not above ``alpha``.)
    """
    if ended is not Ended.TIME and complete in rule.looks:
        return rule
    before = (look for look in rule.looks if look < complete)
    return replace(rule, looks=(*before, complete))


def _is_waited_for(row: SeriesComparison, experiment: Experiment) -> bool:
    """Whether more pairs are measured for ``row``; of what is wanted, however slight it is."""
    is_wanted = experiment.wants is None or experiment.wants(row)
    return is_wanted and is_waited_for(row, experiment.plan.rule)


def _compared(
    base: Record, head: Record, experiment: Experiment, plan: PairPlan, labels: Mapping[str, str]
) -> Comparison:
    names = (labels[BASE], labels[HEAD])
    # One machine, now: what differs all the same is told, and nothing is lost.
    found = compare_records([base], [head], plan.rule, across=True, labels=names)
    wants = experiment.wants
    if wants is None:
        return found
    rows = tuple(replace(row, slight="") if wants(row) else row for row in found.rows)
    return replace(found, rows=rows)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _variables(experiment: Experiment, side: str) -> Callable[[Order], Mapping[str, str]]:
    """What a process of ``side`` finds in its environment: the seed of made up times."""
    simulation = experiment.simulation

    def variables(order: Order) -> dict[str, str]:
        if simulation is None:
            return {}
        return {VARIABLE: json.dumps(asdict(simulation.mixed(side, order.process)))}

    return variables


def _lines(launches: Mapping[str, CommandLauncher]) -> Iterator[str]:
    for side, launch in launches.items():
        for line, process in launch.said.items():
            yield f"{side} {process}: {line}"
