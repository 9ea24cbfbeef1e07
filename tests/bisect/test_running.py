"""What becomes of a step: judged, left open, skipped; and which of it is measured again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.ab.experiment import Experiment, measure_prepared
from harness.ab.running import Ended, PairPlan, SideRun
from harness.ab.side import Workplace
from harness.bisect.running import Benchmark, describe_step, run_bisection
from harness.bisect.search import Found, Search, Step
from harness.bisect.state import State
from harness.errors import (
    EngineError,
    HarnessError,
    MissingDependencyError,
    ModelError,
    StorageError,
    WorkerError,
)
from harness.history.exporting import ExportSizes
from harness.observer import SilentObserver
from harness.states import Finding, Validity
from harness.stats.pairs import PairRule
from harness.types import Artifact, Engine
from tests.ab.launches import MadeUpProcesses
from tests.history.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.ab.experiment import Outcome
    from harness.ab.revisions import Revision

RULE = PairRule(margin=0.01, looks=(8,))
FAILED = Validity((Finding("fail", "it throttled", "wait"),))


class Scene:
    """Three commits, of which the last two are a tenth slower; A/Bs are as in ``changes``."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        repository = Repository(folder / "repository")
        self.commits = [repository.commit(f"Number {n}", {"n.txt": str(n)}) for n in range(3)]
        place = Workplace(
            repository.root, "voice", (), (), ExportSizes(), folder / "cache", Path("python")
        )
        self.experiment = Experiment(place, PairPlan(RULE))
        self.state = State(place.cache, {"of": "this test"})
        self.changes: dict[int, object] = {}
        self.is_made_first = True
        self.measured: list[tuple[int, int]] = []
        self.told: list[str] = []
        monkeypatch.setattr("harness.bisect.running.run_experiment", self.run_experiment)

    def run_experiment(
        self, base: Revision, head: Revision, experiment: Experiment, observer: SilentObserver
    ) -> Outcome:
        places = tuple(self.commits.index(side.commit) for side in (base, head))
        self.measured.append((places[0], places[1]))
        change = self.changes.get(len(self.measured), lambda outcome: outcome)
        if self.is_made_first:
            experiment.made()
        if isinstance(change, HarnessError):
            raise change
        sides = {}
        for side, place in zip(("base", "head"), places, strict=True):
            level = 1.1 if place else 1.0
            launch = MadeUpProcesses([], side, lambda process, f=level: f + 1e-4 * process)  # type: ignore[misc]
            sides[side] = SideRun(side, launch)
            sides[side].prepare(0, rebuilds=False)
        outcome = measure_prepared(sides, experiment, f"x{len(self.measured)}", observer)
        return change(outcome)  # type: ignore[operator]

    def bisect(self) -> Found:
        return run_bisection(
            Search(self.commits, RULE.margin),
            self.state,
            Benchmark("encoder"),
            self.experiment,
            SilentObserver(),
            self.told.append,
        )

    @property
    def steps(self) -> list[Step]:
        return list(self.state.steps.values())

    def again(self) -> int:
        """How many steps another process would find."""
        return State(self.experiment.place.cache, {"of": "this test"}).load()


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


def as_invalid(outcome: Outcome) -> Outcome:
    return replace(outcome, head=replace(outcome.head, validity=FAILED))


def as_simulated(outcome: Outcome) -> Outcome:
    side = replace(outcome.comparison.head, is_simulated=True)
    return replace(outcome, comparison=replace(outcome.comparison, head=side))


def as_open(ended: Ended) -> Callable[[Outcome], Outcome]:
    """Too few pairs for an interval, as where ``ended`` came early."""

    def change(outcome: Outcome) -> Outcome:
        rows = tuple(
            replace(row, time=replace(row.time, status=type(row.time.status)("inconclusive")))
            for row in outcome.comparison.rows
        )
        return replace(outcome, ended=ended, comparison=replace(outcome.comparison, rows=rows))

    return change


def test_it_ends_at_the_first_slow_commit(scene: Scene) -> None:
    assert scene.bisect().culprit == scene.commits[1]
    assert scene.measured == [(0, 2), (0, 1), (0, 1)]
    assert all(step.is_final and step.status == "slower" for step in scene.steps)
    assert not any("SIMULATED" in line for line in scene.told)
    assert scene.again() == 3


def test_an_invalid_step_is_measured_once_more(scene: Scene) -> None:
    scene.changes = {1: as_invalid}
    assert scene.bisect().culprit == scene.commits[1]
    assert scene.measured == [(0, 2), (0, 2), (0, 1), (0, 1)]
    assert all(step.remarks == () for step in scene.steps)


def test_a_step_that_stays_invalid_is_open_and_not_kept(scene: Scene) -> None:
    scene.changes = {1: as_invalid, 2: as_invalid}
    found = scene.bisect()
    assert found.culprit == ""
    assert "it is open whether" in found.reason
    assert "invalid: head: it throttled" in found.reason
    (step,) = scene.steps
    assert (step.status, step.lower, step.is_final) == ("inconclusive", 0.0, False)
    assert "invalid: head: it throttled" in scene.told[0]
    assert scene.again() == 0


@pytest.mark.parametrize(
    ("ended", "kept"), [(Ended.TIME, 0), (Ended.FAILURES, 0), (Ended.PAIRS, 1)]
)
def test_what_the_time_left_open_is_measured_again(scene: Scene, ended: Ended, kept: int) -> None:
    scene.changes = {1: as_open(ended)}
    assert "it is open whether" in scene.bisect().reason
    assert scene.again() == kept


def test_what_was_clear_when_the_time_ended_is_kept(scene: Scene) -> None:
    scene.changes = {1: lambda outcome: replace(outcome, ended=Ended.TIME)}
    assert scene.bisect().culprit == scene.commits[1]
    assert scene.again() == 3


@pytest.mark.parametrize(
    ("error", "is_made", "kept"),
    [
        (WorkerError("its project cannot be built"), False, 2),
        (ModelError("forward() is wrong"), True, 2),
        (WorkerError("it was killed"), True, 1),
        (EngineError("out of memory"), True, 1),
    ],
)
def test_only_what_the_commit_is_wrong_in_is_skipped_for_good(
    scene: Scene, error: HarnessError, kept: int, *, is_made: bool
) -> None:
    scene.changes, scene.is_made_first = {2: error}, is_made
    found = scene.bisect()
    assert str(error) in found.reason
    assert scene.steps[1].skipped == str(error)
    assert scene.again() == kept


def test_what_this_machine_lacks_skips_no_commit(scene: Scene) -> None:
    scene.changes = {2: MissingDependencyError("uv is not installed")}
    with pytest.raises(MissingDependencyError):
        scene.bisect()
    assert scene.again() == 1


def test_made_up_times_are_told_to_be_that(scene: Scene) -> None:
    scene.changes = dict.fromkeys((1, 2, 3), as_simulated)
    scene.bisect()
    assert all(step.is_simulated for step in scene.steps)
    assert all("SIMULATED" in line for line in scene.told)


def test_one_build_a_side_is_told(scene: Scene) -> None:
    def built(outcome: Outcome) -> Outcome:
        sides = {
            name: replace(
                record,
                artifacts=(Artifact("encoder", "fp32", name, 1, None, None),),
                engines=(Engine("encoder", "tensorrt", "fp32", None, None, 1.0, 1, build_s=2.0),),
            )
            for name, record in (("base", outcome.base), ("head", outcome.head))
        }
        return replace(outcome, **sides)  # type: ignore[arg-type]

    scene.changes = {1: built}
    scene.bisect()
    assert "one build a side" in scene.told[0]
    assert "one build a side" not in scene.told[1]


def test_one_at_a_time_works_on_a_bisection(scene: Scene) -> None:
    other = State(scene.experiment.place.cache, {"of": "this test"})
    with scene.state.held():
        with pytest.raises(StorageError, match="is being measured by another process"):
            other.held().__enter__()
        # Another question is another bisection.
        with State(scene.experiment.place.cache, {"of": "another"}).held():
            pass
    with other.held():
        pass


def test_a_reason_that_would_move_the_cursor_is_shown() -> None:
    step = Step("a", "b", 0.01, skipped="\x1b[2J", remarks=())
    assert describe_step(step, ["a", "b"], 1).endswith(r"is skipped: \x1b[2J")
