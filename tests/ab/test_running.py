"""Pairs of processes: how many, what becomes of those that fail, and the two records."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import pytest

from harness.ab.experiment import last_rule
from harness.ab.running import Ended, PairPlan, SideRun, measure_pairs, records_of
from harness.comparison.compare import compare_records
from harness.errors import EngineError
from harness.stats.pairs import PairRule, PairStatus, judge_pairs
from harness.store.parquet import read_record, write_record
from tests.ab.launches import MEASURED, MadeUpProcesses
from tests.devices import Notes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from harness.comparison.model import Comparison
    from harness.handover import Order
    from harness.types import Record

RULE = PairRule(looks=(8, 12, 16))


class Scene:
    """Two sides of made up processes, and a clock of which each look takes a second."""

    def __init__(
        self,
        head: Callable[[int], float] = lambda _: 1.0,
        failures: Mapping[str, Mapping[int, BaseException]] | None = None,
        plan: PairPlan | None = None,
    ) -> None:
        self.log: list[tuple[str, int | None, int]] = []
        self.plan = plan or PairPlan(RULE)
        self.notes = Notes()
        self.now_s = 0.0
        failures = failures or {}
        factors = {"base": lambda _: 1.0, "head": head}
        self.sides = {
            side: SideRun(
                side, MadeUpProcesses(self.log, side, factors[side], failures.get(side)), "x"
            )
            for side in factors
        }
        if not self.plan.rebuilds:
            for side in self.sides.values():
                side.prepare(0, rebuilds=False)

    def compare(self) -> Comparison:
        base, head = records_of(self.sides, "x", self.plan)
        return compare_records([base], [head], self.plan.rule)

    def run(self, is_clear: Callable[[], bool] | None = None) -> Ended:
        def all_clear() -> bool:
            return all(r.time.status is not PairStatus.INCONCLUSIVE for r in self.compare().rows)

        def now() -> float:
            self.now_s += 1.0
            return self.now_s

        clear = is_clear or all_clear
        return measure_pairs(self.sides, self.plan, clear, self.notes, now_s=now)

    @property
    def order(self) -> str:
        return "".join(name[0] for name, process, _ in self.log if process is not None)


def test_equal_sides_take_turns_and_end_at_the_first_look() -> None:
    scene = Scene()
    assert scene.run() is Ended.CONCLUSIVE
    assert scene.order == "bhhbhbbh" * 2
    assert {row.time.status for row in scene.compare().rows} == {PairStatus.SAME}
    # Each side was prepared once, before anything was measured.
    assert scene.log[:2] == [("base", None, 0), ("head", None, 0)]


def test_a_slower_head_is_told() -> None:
    scene = Scene(lambda process: 1.03 + 0.001 * (process % 3))
    assert scene.run() is Ended.CONCLUSIVE
    for row in scene.compare().rows:
        assert row.time.status is PairStatus.SLOWER
        assert row.time.ratio == pytest.approx(1.031, abs=0.001)
        assert row.head_s > row.base_s


def test_it_goes_on_while_that_is_open_and_then_ends() -> None:
    scene = Scene(lambda process: 1.002 + 0.01 * (-1) ** process)
    assert scene.run() is Ended.PAIRS
    assert len(scene.order) == 2 * RULE.looks[-1]


def test_looks_are_where_the_rule_says() -> None:
    scene, looks = Scene(), []

    def is_clear() -> bool:
        looks.append(len(scene.order) // 2)
        return False

    assert scene.run(is_clear) is Ended.PAIRS
    assert looks == [8, 12, 16]


def test_no_pair_is_begun_that_would_not_end_in_time() -> None:
    # A pair takes three seconds of this clock, with the looks at it before and after.
    scene = Scene(plan=PairPlan(RULE, max_time_s=10.0))
    assert scene.run() is Ended.TIME
    assert 4 <= len(scene.order) <= 8


def test_the_records_are_of_one_experiment_and_tell_the_turns(tmp_path: Path) -> None:
    scene = Scene()
    scene.run()
    base, head = records_of(scene.sides, "one", scene.plan)

    for record, turns in ((base, (0, 3, 5, 6, 8, 11, 13, 14)), (head, (1, 2, 4, 7, 9, 10, 12, 15))):
        replication = record.replication
        assert replication is not None
        assert (replication.experiment, replication.turns) == ("one", turns)
        assert (replication.processes, replication.builds, replication.missing) == (8, 1, ())
        # By which rule they were judged, for whoever judges them again.
        judged_by = (replication.margin, replication.alpha, replication.looks)
        assert judged_by == (RULE.margin, RULE.alpha, RULE.looks)
        assert replication.slowed_by == 0.0
        assert {m.process for m in record.measurements} == set(range(8))
        path = tmp_path / f"{record.record_id}.parquet"
        write_record(record, path)
        assert read_record(path) == record


def test_a_pair_of_which_one_fails_is_left_out_on_both_sides() -> None:
    scene = Scene(failures={"head": {2: EngineError("is damaged", where="encoder")}})
    assert scene.run() is Ended.CONCLUSIVE

    # One pair more makes up for it; of the third, the head comes first, and fails.
    assert len(scene.order) == 2 * 9 - 1
    for record in records_of(scene.sides, "x", scene.plan):
        assert record.replication is not None
        (missing,) = record.replication.missing
        assert missing.process == 2
        assert missing.reason == "process 2 of head: encoder: is damaged"
        assert len(record.replication.turns) == 9
        assert {m.process for m in record.measurements} == set(range(9)) - {2}


def test_the_first_failure_is_that_of_all() -> None:
    scene = Scene(failures={"base": {0: EngineError("is damaged")}})
    with pytest.raises(EngineError, match="is damaged"):
        scene.run()
    assert len(scene.order) == 1


def test_three_pairs_in_a_row_that_fail_end_it() -> None:
    failing = {number: EngineError(f"failure {number}") for number in (3, 4, 5)}
    scene = Scene(failures={"head": failing})
    assert scene.run() is Ended.FAILURES
    # What was whole is kept.
    for record in records_of(scene.sides, "x", scene.plan):
        assert {m.process for m in record.measurements} == {0, 1, 2}


def test_a_build_that_fails_takes_its_pair_with_it() -> None:
    plan = PairPlan(PairRule(margin=0.05, looks=(8,)), rebuilds=True)
    scene = Scene(plan=plan)
    launch = scene.sides["head"].launch

    def failing(order: Order) -> Record:
        if order.process is None and order.build == 3:
            raise EngineError("no tactic")
        return launch(order)

    scene.sides["head"].launch = failing
    assert scene.run() is Ended.PAIRS
    base, head = records_of(scene.sides, "x", plan)
    for record in (base, head):
        assert {m.build for m in record.measurements} == {1, 2, 4, 5, 6, 7, 8}
        assert record.replication is not None
        assert {(m.build, m.reason) for m in record.replication.missing} == {
            (3, "a build: head: no tactic")
        }


def test_an_interruption_keeps_whole_pairs() -> None:
    scene = Scene(failures={"base": {3: KeyboardInterrupt()}})
    assert scene.run() is Ended.INTERRUPTED
    # Of the pair BH nothing had been measured yet.
    assert scene.order == "bhhbhbb"
    for record in records_of(scene.sides, "x", scene.plan, is_complete=False):
        assert not record.is_complete
        assert {m.process for m in record.measurements} == {0, 1, 2}
        assert record.replication is not None
        assert [m.reason for m in record.replication.missing] == ["interrupted"]


def test_an_interruption_between_pairs_leaves_nothing_missing() -> None:
    def is_clear() -> bool:
        raise KeyboardInterrupt

    scene = Scene()
    assert scene.run(is_clear) is Ended.INTERRUPTED
    for record in records_of(scene.sides, "x", scene.plan, is_complete=False):
        assert record.replication is not None
        assert record.replication.missing == ()
        assert len(record.replication.turns) == len(record.measurements) // 3 == 8


def test_an_interruption_before_a_pair_is_complete_leaves_nothing() -> None:
    scene = Scene(failures={"head": {0: KeyboardInterrupt()}})
    with pytest.raises(KeyboardInterrupt, match="before a pair of processes was complete"):
        scene.run()


def test_a_side_that_cannot_be_prepared_is_named() -> None:
    def fail(_: object) -> None:
        raise EngineError("no such layer", where="vocoder", fix="mend it")

    side = SideRun("0123abcd", fail)  # type: ignore[arg-type]
    with pytest.raises(EngineError) as caught:
        side.prepare(0, rebuilds=False)
    assert str(caught.value) == "0123abcd: vocoder: no such layer; mend it"


def test_rebuilt_engines_have_two_processes_each_so_that_both_variances_are_told() -> None:
    plan = PairPlan(PairRule(margin=0.05, looks=(8,)), rebuilds=True)
    # A build is fast or slow by 1 %; the two processes of each differ by 0.1 %.
    scene = Scene(lambda p: (1.01 if p // 2 % 2 else 0.99) * (1.001 if p % 2 else 1.0), plan=plan)
    assert scene.run() is Ended.CONCLUSIVE

    builds = [(name, build) for name, process, build in scene.log if process is None]
    assert builds[:4] == [("base", 1), ("head", 1), ("head", 2), ("base", 2)]
    assert scene.order == "bhhbhbbh" * 4
    base, head = records_of(scene.sides, "x", plan)
    assert head.replication is not None
    assert (head.replication.processes, head.replication.builds) == (2, 8)
    assert {(m.process, m.build) for m in head.measurements} == {(p, p // 2 + 1) for p in range(16)}
    # What is judged is eight builds, not sixteen processes.
    assert {row.time.pairs for row in compare_records([base], [head], plan.rule).rows} == {8}


def test_a_pairs_latency_is_the_median_of_its_process() -> None:
    scene = Scene(lambda process: 2.0)
    scene.run()
    row = scene.compare().rows[0]
    (one,) = (m for m in MEASURED.measurements if m.component == row.series.component)
    assert row.base_s == pytest.approx(median(one.latency_s))
    assert row.head_s == pytest.approx(2.0 * median(one.latency_s))


@pytest.mark.parametrize(
    ("ended", "complete", "looks"),
    [
        (Ended.CONCLUSIVE, 8, (8, 12, 16)),
        (Ended.PAIRS, 16, (8, 12, 16)),
        # No later look is to come.
        (Ended.TIME, 9, (8, 9)),
        (Ended.TIME, 12, (8, 12)),
        (Ended.TIME, 5, (5,)),
        (Ended.PAIRS, 15, (8, 12, 15)),
        (Ended.INTERRUPTED, 3, (3,)),
    ],
)
def test_the_last_look_has_what_is_left_of_the_error(
    ended: Ended, complete: int, looks: tuple[int, ...]
) -> None:
    assert last_rule(RULE, ended, complete).looks == looks


def test_what_was_clear_at_a_look_is_so_one_pair_later() -> None:
    medians = [1.0 + 0.0001 * place for place in range(9)]
    slower = [1.01 * value for value in medians]
    assert judge_pairs(medians, slower, RULE).status is PairStatus.INCONCLUSIVE
    rule = last_rule(RULE, Ended.TIME, 9)
    assert judge_pairs(medians, slower, rule).status is PairStatus.SLOWER
