"""Carry out a search: each step an A/B of two commits in turns."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from harness.ab.experiment import run_experiment
from harness.ab.revisions import resolve, run_git
from harness.ab.running import Ended
from harness.bisect.search import Ask, Found, Search, Step
from harness.comparison.built import single_builds
from harness.errors import (
    ContractError,
    DeclarationError,
    FeatureUnavailableError,
    HarnessError,
    MissingDependencyError,
    ModelError,
    OptionError,
    StorageError,
    VerificationError,
)
from harness.percent import signed_percent
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.report.escaping import visible
from harness.stats.pairs import PairStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.ab.experiment import Experiment, Outcome
    from harness.ab.revisions import Revision
    from harness.bisect.state import State
    from harness.comparison.model import Series, SeriesComparison
    from harness.observer import Observer

_SEPARATORS: Final = re.compile(r"\s*[,/]\s*")
_SHOWN: Final = 8
# Of an A/B that the machine's state makes invalid.
_ATTEMPTS: Final = 2
# What is so wherever a commit is measured.
_OF_THE_COMMIT: Final = (DeclarationError, ModelError, ContractError, VerificationError)


@dataclass(frozen=True)
class Benchmark:
    """The series that is looked at: parts of its label, such as ``vocoder/onnxruntime fp32/1 s``.

    The first is the component.
    """

    name: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the name."""
        return tuple(part for part in _SEPARATORS.split(self.name.strip()) if part)

    def is_of(self, series: Series) -> bool:
        """Whether ``series`` has all parts of the name."""
        (component, *others) = self.parts or ("",)
        return component == series.component and set(others) <= set(_SEPARATORS.split(str(series)))

    def row_of(self, outcome: Outcome) -> SeriesComparison:
        """The one row that it is.

        Raises:
            OptionError: there is none, or there are several.
        """
        rows = [row for row in outcome.comparison.rows if self.is_of(row.series)]
        if len(rows) == 1:
            return rows[0]
        there = rows or outcome.comparison.rows
        what = f"{self.name!r} is {'several series' if rows else 'no series'} of both commits"
        fix = f"name one of: {'; '.join(str(row.series) for row in there)}"
        raise OptionError(what, where="--benchmark", fix=fix)


def commits_between(good: Revision, bad: Revision, repository: Path) -> tuple[str, ...]:
    """The commits from ``good`` to ``bad``, both among them, each the first parent of the next.

    Raises:
        OptionError: the good one is not before the bad one.
    """
    code, out, _ = run_git(
        repository, "rev-list", "--reverse", "--first-parent", f"{good.commit}..{bad.commit}"
    )
    commits = out.split()
    if code == 0 and commits:
        _, parent, _ = run_git(repository, "rev-parse", f"{commits[0]}^")
        if parent == good.commit:
            return (good.commit, *commits)
    what = f"{good} is not before {bad}, on the line of its first parents"
    _, shallow, _ = run_git(repository, "rev-parse", "--is-shallow-repository")
    fix = "git fetch --unshallow" if shallow == "true" else "name an earlier commit of that branch"
    raise OptionError(what, where=good.label, fix=fix)


def run_bisection(
    search: Search,
    state: State,
    benchmark: Benchmark,
    experiment: Experiment,
    observer: Observer,
    tell: Callable[[str], None],
) -> Found:
    """Measure until it is known; what ``state`` holds is not measured again.

    Raises:
        HarnessError: the good commit or the bad one cannot be measured, or a file not be written.
        KeyboardInterrupt: it was interrupted; all whole steps are kept.
    """
    search.steps = state.steps
    wants = replace(experiment, wants=lambda row: benchmark.is_of(row.series))
    while isinstance(found := search.next(), Ask):
        ends = {search.commits[0], search.commits[-1]}
        step = _measure(found, benchmark, wants, observer, can_skip=not {found.head} <= ends)
        state.add(step)
        tell(describe_step(step, search.commits, len(state.steps)))
    return found


def _measure(
    ask: Ask, benchmark: Benchmark, experiment: Experiment, observer: Observer, *, can_skip: bool
) -> Step:
    repository, plan = experiment.place.repository, experiment.plan
    rule = replace(plan.rule, margin=ask.margin)
    base, head = (resolve(commit, repository) for commit in (ask.base, ask.head))
    are_made = False

    def made() -> None:
        nonlocal are_made
        are_made = True

    own = replace(experiment, plan=replace(plan, rule=rule), made=made)
    try:
        outcome = _measure_valid(base, head, own, observer)
        row = benchmark.row_of(outcome)
    except (StorageError, MissingDependencyError, FeatureUnavailableError):
        # Of this machine, and of no commit.
        raise
    except HarnessError as error:
        if not can_skip:
            raise
        # What the commit itself is wrong in stays so; a process that was killed may yet measure.
        is_final = not are_made or isinstance(error, _OF_THE_COMMIT)
        return Step(ask.base, ask.head, ask.margin, skipped=str(error), is_final=is_final)
    return _step_of(ask, row, outcome)


def _measure_valid(
    base: Revision, head: Revision, experiment: Experiment, observer: Observer
) -> Outcome:
    """Measure, and once more where the machine's state makes it invalid."""
    for _ in range(_ATTEMPTS):
        outcome = run_experiment(base, head, experiment, observer)
        if outcome.ended is Ended.INTERRUPTED:
            raise KeyboardInterrupt("in the middle of a step")
        if not outcome.invalid:
            break
    return outcome


def _step_of(ask: Ask, row: SeriesComparison, outcome: Outcome) -> Step:
    found = row.time
    step = Step(
        *(ask.base, ask.head, ask.margin),
        ratio=found.ratio,
        pairs=found.pairs,
        record_ids=(outcome.base.record_id, outcome.head.record_id),
        remarks=_remarks(row, outcome),
        is_simulated=outcome.is_simulated,
    )
    if outcome.invalid:
        return replace(step, is_final=False)
    if row.status is not found.status:
        # Its interval tells of the clock, or may be chance.
        return replace(step, status=row.status.value)
    is_open = row.status is PairStatus.INCONCLUSIVE
    return replace(
        step,
        status=row.status.value,
        lower=found.lower,
        upper=found.upper,
        is_final=not (is_open and outcome.ended in {Ended.TIME, Ended.FAILURES}),
    )


def _remarks(row: SeriesComparison, outcome: Outcome) -> tuple[str, ...]:
    component = row.series.component
    single = single_builds(outcome.base, outcome.head)
    remarks = [f"invalid: {reason}" for reason in outcome.invalid]
    if row.status is not row.time.status:
        remarks.append(row.reason)
    if component in single or (component == WHOLE_PIPELINE and single):
        remarks.append("one build a side, so that a build's luck counts as the code's")
    return tuple(remarks)


def describe_step(step: Step, commits: Sequence[str], number: int) -> str:
    """One line for people."""
    base, head = step.base[:_SHOWN], step.head[:_SHOWN]
    place = f"{commits.index(step.head)} of {len(commits) - 1}"
    if step.skipped:
        return f"step {number}: {head} ({place}) is skipped: {visible(step.skipped)}"
    change = f"{signed_percent(step.ratio)} %"
    mark = " (SIMULATED)" if step.is_simulated else ""
    told = (
        f"step {number}{mark}: {head} ({place}) against {base}: {change} in {step.pairs} pairs, "
        f"{step.status} at a margin of {100.0 * step.margin:.2f} %"
    )
    return "; ".join((told, *map(visible, step.remarks)))
