"""What comes of two prepared sides: also of an invalid run, and of one build a side."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.ab.experiment import Experiment, Outcome, measure_prepared
from harness.ab.revisions import Revision
from harness.ab.running import Ended, PairPlan, SideRun
from harness.ab.side import Workplace
from harness.ab.telling import describe_invalid, describe_sides, outcome_json
from harness.cli.ab import exit_code
from harness.comparison.built import single_builds
from harness.history.exporting import ExportSizes
from harness.observer import SilentObserver
from harness.states import Finding, Validity
from harness.stats.pairs import PairRule, PairStatus
from harness.types import Artifact, Engine
from tests.ab.launches import MadeUpProcesses
from tests.report.devices import COMPONENTS

if TYPE_CHECKING:
    from harness.comparison.model import SeriesComparison
    from harness.handover import Order
    from harness.types import Record

RULE = PairRule(margin=0.01, looks=(8, 12))
PLACE = Workplace(Path(), "voice", (), (), ExportSizes(), Path(), Path())
FAILED = Validity((Finding("flag", "a little warm", ""), Finding("fail", "it throttled", "wait")))


class Processes(MadeUpProcesses):
    """Slower by a tenth on the head, with a state of the machine, and built engines."""

    validity: Validity | None = None
    graph = "same"
    build_s: float | None = None

    def __call__(self, order: Order) -> Record:
        record = super().__call__(order)
        if order.process is not None:
            return replace(record, validity=self.validity)
        graph = Artifact("vocoder", "fp32", self.graph, 1, None, None)
        engine = Engine("vocoder", "tensorrt", "fp32", None, None, 1.0, 1, build_s=self.build_s)
        return replace(record, artifacts=(graph,), engines=(engine,))


def outcome_of(
    invalid: str = "", graphs: tuple[str, str] = ("a", "a"), build_s: float | None = None
) -> Outcome:
    sides = {}
    for side, factor, graph in zip(("base", "head"), (1.0, 1.1), graphs, strict=True):
        launch = Processes([], side, lambda process, f=factor: f + 0.0001 * process)  # type: ignore[misc]
        launch.validity = FAILED if side == invalid else None
        launch.graph, launch.build_s = graph, build_s
        sides[side] = SideRun(side, launch)
        sides[side].prepare(0, rebuilds=False)
    return measure_prepared(sides, Experiment(PLACE, PairPlan(RULE)), "x", SilentObserver())


def test_a_valid_run_has_the_verdict_of_its_rows() -> None:
    outcome = outcome_of()
    assert outcome.invalid == ()
    assert outcome.status is PairStatus.SLOWER
    assert exit_code(outcome) == 1
    assert describe_invalid(outcome) == []
    assert json.loads(outcome_json(outcome))["status"] == "slower"


@pytest.mark.parametrize("side", ["base", "head"])
def test_of_an_invalid_run_nothing_is_known(side: str) -> None:
    outcome = outcome_of(invalid=side)
    assert {row.status for row in outcome.comparison.rows} == {PairStatus.SLOWER}
    assert outcome.status is PairStatus.INCONCLUSIVE
    assert exit_code(outcome) == 3
    (line,) = describe_invalid(outcome)
    assert line.startswith(f"INVALID, so that nothing is known: {side}: it throttled.")
    told = json.loads(outcome_json(outcome))
    assert (told["status"], told["invalid"]) == ("inconclusive", [f"{side}: it throttled"])
    assert told["notes"][0] == line


def test_one_build_a_side_is_told_where_graphs_differ() -> None:
    outcome = outcome_of(graphs=("a", "b"), build_s=2.0)
    (finding,) = (one for one in outcome.comparison.findings if "one build a side" in one)
    assert finding == "one build a side of vocoder: a build's luck counts as the code's"
    assert json.loads(outcome_json(outcome))["single_builds"] == ["vocoder"]


@pytest.mark.parametrize(
    ("graphs", "build_s"),
    # The very same engine for both; or nothing was built at all.
    [(("a", "a"), 2.0), (("a", "b"), None)],
)
def test_one_build_a_side_is_no_matter_otherwise(
    graphs: tuple[str, str], build_s: float | None
) -> None:
    outcome = outcome_of(graphs=graphs, build_s=build_s)
    assert not any("one build" in one for one in outcome.comparison.findings)
    assert json.loads(outcome_json(outcome))["single_builds"] == []


def test_builds_that_were_made_anew_are_several() -> None:
    outcome = outcome_of(graphs=("a", "b"), build_s=2.0)
    assert outcome.head.replication is not None
    rebuilt = replace(outcome.head, replication=replace(outcome.head.replication, builds=8))
    assert single_builds(outcome.base, rebuilt) == ()


def test_the_records_tell_the_rule_of_the_last_look() -> None:
    class Interrupting(Processes):
        def __call__(self, order: Order) -> Record:
            if order.process == 9:
                raise KeyboardInterrupt
            return super().__call__(order)

    def uneven(process: int) -> float:
        return 1.0 + 0.01 * (-1) ** process

    sides = {"base": SideRun("base", Interrupting([], "base"))}
    sides["head"] = SideRun("head", Interrupting([], "head", uneven))
    for side in sides.values():
        side.prepare(0, rebuilds=False)
    plan = PairPlan(replace(RULE, margin=0.0, alpha=0.04))
    outcome = measure_prepared(sides, Experiment(PLACE, plan), "x", SilentObserver())

    assert outcome.ended is Ended.INTERRUPTED
    for record in (outcome.base, outcome.head):
        told = record.replication
        assert told is not None
        assert (told.margin, told.alpha, told.looks) == (0.0, 0.04, (8, 9))


def test_subjects_that_would_move_the_cursor_are_shown() -> None:
    hostile = "Mend it\x1b[2J [/red] \u202e"
    lines = describe_sides(
        Revision("main", "0" * 40, hostile), Revision("topic", "1" * 40, "Harmless")
    )
    assert lines[0].endswith(r"Mend it\x1b[2J [/red] \u202e")


class OneUnsteady(Processes):
    """One component takes ``share`` of what it did, and each process another time of ``spread``."""

    share = 1e-3
    spread = 0.2

    def __call__(self, order: Order) -> Record:
        record = super().__call__(order)
        if order.process is None:
            return record
        step = 7 if self.name == "base" else 3
        factor = self.share * (1.0 + self.spread * (step * order.process % 5))
        return replace(
            record,
            measurements=tuple(
                replace(one, latency_s=tuple(factor * value for value in one.latency_s))
                if one.component == COMPONENTS[0]
                else one
                for one in record.measurements
            ),
        )


def _unsteady_outcome(
    experiment: Experiment, share: float = 1e-3, spread: float = 0.2
) -> tuple[Outcome, SeriesComparison]:
    sides = {}
    for side in ("base", "head"):
        launch = OneUnsteady([], side)
        launch.share, launch.spread = share, spread
        sides[side] = SideRun(side, launch)
        sides[side].prepare(0, rebuilds=False)
    outcome = measure_prepared(sides, experiment, "x", SilentObserver())
    (row,) = (r for r in outcome.comparison.rows if r.series.component == COMPONENTS[0])
    return outcome, row


def test_nothing_waits_for_what_cannot_matter_and_will_not_be_known() -> None:
    outcome, coarse = _unsteady_outcome(Experiment(PLACE, PairPlan(RULE)))

    assert coarse.status is PairStatus.INCONCLUSIVE
    assert coarse.reason.startswith("slight: ")
    assert (outcome.ended, coarse.time.pairs) == (Ended.CONCLUSIVE, 8)
    assert outcome.status is PairStatus.SAME
    assert exit_code(outcome) == 0


def test_what_is_asked_for_is_waited_for_however_slight() -> None:
    outcome, coarse = _unsteady_outcome(
        Experiment(PLACE, PairPlan(RULE), wants=lambda row: row.series.component == COMPONENTS[0])
    )

    assert (coarse.status, coarse.slight) == (PairStatus.INCONCLUSIVE, "")
    assert (outcome.ended, coarse.time.pairs) == (Ended.PAIRS, 12)
    assert outcome.status is PairStatus.INCONCLUSIVE
    assert exit_code(outcome) == 3


def test_what_is_slight_and_may_yet_be_known_is_waited_for() -> None:
    """A component that is 1 % of the whole, in noise that more pairs get the better of."""
    rule = PairRule(margin=0.003, looks=(8, 12, 16, 20, 24, 28, 32))

    _, noisy = _unsteady_outcome(Experiment(PLACE, PairPlan(rule)), share=0.01, spread=0.0012)

    assert noisy.time.pairs > 8
    assert noisy.status is PairStatus.SAME


def test_nothing_waits_for_what_is_known_and_not_its_own() -> None:
    """A small component that is slower though its graph is the same: more pairs tell no more."""

    class SameGraph(OneUnsteady):
        def __call__(self, order: Order) -> Record:
            record = super().__call__(order)
            if order.process is not None:
                return record
            graph = Artifact(COMPONENTS[0], "fp32", "same", 1, None, None)
            return replace(record, artifacts=(graph,))

    sides = {}
    for side, share in (("base", 1e-3), ("head", 1.2e-3)):
        launch = SameGraph([], side)
        launch.share, launch.spread = share, 1e-4
        sides[side] = SideRun(side, launch)
        sides[side].prepare(0, rebuilds=False)

    outcome = measure_prepared(sides, Experiment(PLACE, PairPlan(RULE)), "x", SilentObserver())

    (row,) = (r for r in outcome.comparison.rows if r.series.component == COMPONENTS[0])
    assert row.time.status is PairStatus.SLOWER
    assert row.reason.startswith("slight: slower, though its graph is the same")
    assert (outcome.ended, row.time.pairs) == (Ended.CONCLUSIVE, 8)
    assert exit_code(outcome) == 0


def test_of_records_that_tell_of_no_graphs_no_build_is_told() -> None:
    outcome = outcome_of(graphs=("a", "b"), build_s=1.0)
    assert single_builds(outcome.base, outcome.head) == ("vocoder",)

    silent = [replace(one, artifacts=()) for one in (outcome.base, outcome.head)]

    assert single_builds(*silent) == ()
