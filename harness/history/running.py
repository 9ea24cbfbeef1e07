"""``harness history run``: asv over a range of commits, without questions, and resumed."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from harness.children import ended_in_order
from harness.errors import OptionError
from harness.history import told
from harness.history.appending import check_appendable
from harness.history.asv_machine import settle_machine
from harness.history.asv_project import open_project
from harness.history.instrument import EXPORT_PYTHON, asv_command
from harness.history.lock import hold_folders, release
from harness.history.mending import mend
from harness.history.places import Progress, read_progress, records_folder, short
from harness.history.rounds import APPENDING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.history.asv_project import AsvProject

Event = dict[str, Any]

_POLL_S: Final = 0.2
_PATIENCE_S: Final = 30.0
_LAST_LINES: Final = 8
# Phases that took less are not told.
_LEAST_TOLD_S: Final = 0.05
# What asv ends with where a benchmark failed: the run itself is complete.
_SOME_FAILED: Final = 2


@dataclass(frozen=True)
class RunRequest:
    """What to run: a range of commits as asv takes it, how many rounds of each, and where.

    ``retries_failed`` has commits tried again that could not be built or measured before,
    ``again`` has all of them measured anew, and ``export_python`` has another interpreter export
    them.
    """

    config: Path
    range_spec: str
    rounds: int = 1
    machine: str | None = None
    steps: int | None = None
    retries_failed: bool = False
    again: bool = False
    export_python: Path | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        for option, value in {"--rounds": self.rounds, "--steps": self.steps}.items():
            if value is not None and value < 1:
                raise OptionError(f"it is {value}", where=option, fix="give 1 or more")


@dataclass
class RunSummary:
    """What became of a run: measured rounds, why each failed commit did, seconds by phase."""

    measured: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    asv_problem: str = ""
    spent_s: dict[str, float] = field(default_factory=dict)
    _install_s: dict[str, float] = field(default_factory=dict)
    _count: int = 0
    _before: int = 0

    def begin(self, count: int) -> None:
        """Begin a round of ``count`` commits."""
        self._count, self._before = count, self.measured + len(self.failed)

    def installed(self, commit: str, seconds: float) -> None:
        """Note what installing ``commit`` took."""
        self._install_s[commit] = seconds

    def phases(self, commit: str, measured: Mapping[str, float]) -> dict[str, float]:
        """Seconds of a round by phase, added to those of the run."""
        phases = {"install": self._install_s.pop(commit, 0.0), **measured}
        for name, seconds in phases.items():
            self.spent_s[name] = self.spent_s.get(name, 0.0) + seconds
        return phases

    @property
    def place(self) -> str:
        """How far the round has come."""
        return f"{self.measured + len(self.failed) - self._before} of {self._count}"

    @property
    def has_failed(self) -> bool:
        """Whether anything was not as it was to be."""
        return bool(self.failed or self.asv_problem)


def run_history(request: RunRequest, say: Callable[[str], None]) -> RunSummary:
    """Measure every commit of the range that has not been, each round over all before the next.

    Raises:
        HarnessError: the range, the configuration or the machine file cannot be used, or another
            run works on the same results or in the same checkouts.
        KeyboardInterrupt: asv was ended as well; every finished round is kept.
    """
    if request.export_python is not None:
        # asv's plugin reads it, here and in asv's own process.
        os.environ[EXPORT_PYTHON] = str(request.export_python)
    project = open_project(request.config)
    held = hold_folders(project.results_dir, project.env_dir)
    try:
        machine = settle_machine(project.results_dir, request.machine)["machine"]
        names = project.environment_names()
        made = mend(project.results_dir, machine, names)
        if made:
            say(f"An interrupted run is mended: {len(made)} of asv's files made again")
        records = records_folder(project.results_dir, machine)
        commits = {
            name: project.commits(
                request.range_spec, request.steps, read_progress(records, name).keys()
            )
            for name in names
        }
    finally:
        # asv takes them itself, and holds them also where this process is killed.
        release(held)
    for line in project.warnings():
        say(line)
    summary = RunSummary()
    for environment_name, chosen in commits.items():
        _check_rounds(project, chosen, read_progress(records, environment_name), request)
    for environment_name, chosen in commits.items():
        for round_ in range(request.rounds):
            there = read_progress(records, environment_name)
            todo = [c for c in chosen if _is_open(c, there, round_, request, summary)]
            if not todo:
                continue
            if round_:
                # Also of those that were measured a moment ago: the plan may have been edited.
                check_appendable(todo, there, project.plan)
            say(f"Round {round_ + 1} of {request.rounds}: {len(todo)} commits, {environment_name}")
            summary.begin(len(todo))
            _run_round(project, machine, environment_name, todo, round_, summary, say)
            if summary.asv_problem:
                return summary
    return summary


def _check_rounds(
    project: AsvProject, commits: Sequence[str], there: dict[str, Progress], request: RunRequest
) -> None:
    """Check now, and not after hours, that what is to be appended may be."""
    if request.again:
        return
    summary = RunSummary()
    begun = [commit for commit in commits if there.get(short(commit), Progress()).rounds]
    is_open = [c for c in begun if _is_open(c, there, request.rounds - 1, request, summary)]
    if is_open:
        check_appendable(is_open, there, project.plan)


def _is_open(
    commit: str,
    there: dict[str, Progress],
    round_: int,
    request: RunRequest,
    summary: RunSummary,
) -> bool:
    """Whether this round of ``commit`` is still to be measured."""
    progress = there.get(short(commit), Progress())
    if short(commit) in summary.failed:
        return False
    if request.again:
        return True
    if progress.has_failed and not request.retries_failed:
        return False
    return progress.rounds <= round_


def _run_round(
    project: AsvProject,
    machine: str,
    environment_name: str,
    commits: Sequence[str],
    round_: int,
    summary: RunSummary,
    say: Callable[[str], None],
) -> None:
    with tempfile.TemporaryDirectory(prefix="harness-history-") as name:
        hashes, events = Path(name, "commits"), Path(name, "events")
        hashes.write_text("\n".join(commits), encoding="utf-8")
        events.touch()
        log = project.results_dir.parent / "asv.log"
        command = [*asv_command(), "run", f"HASHFILE:{hashes}", "--config", str(project.config)]
        command += ["--machine", machine, "--environment", environment_name]
        command += ["--record-samples", "--launch-method", "forkserver", "--show-stderr"]
        # Each round is a process of its own, and a run of asv of its own.
        command += ["-a", "rounds=1", *(["--append-samples"] if round_ else [])]
        environment = {**os.environ, told.VARIABLE: str(events)}
        environment.pop(APPENDING, None)
        if round_:
            environment[APPENDING] = "1"
        failed_before = len(summary.failed)
        with log.open("ab") as file:
            start = file.tell()
            process = _start_asv(command, environment, project.folder, file)
            code = _attend(process, _follow(events), lambda event: _say(event, summary, say))
        # Where asv calls something failed, and no commit has: a suite, or what asv made of it.
        is_told = code == _SOME_FAILED and len(summary.failed) > failed_before
        if code != 0 and not is_told:
            text = log.read_bytes()[start:].decode("utf-8", "replace").splitlines()
            lines = [line.strip() for line in text if line.strip()]
            summary.asv_problem = " | ".join(lines[-_LAST_LINES:]) or f"asv ended with {code}"


def _start_asv(
    command: Sequence[str], environment: dict[str, str], folder: Path, log: IO[bytes]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  # our own interpreter and command
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        # Ctrl-C reaches this process alone, which then ends asv in order.
        start_new_session=True,
    )


def _attend(
    process: subprocess.Popen[bytes],
    events: Iterator[Event | None],
    on_event: Callable[[Event], None],
) -> int:
    """Wait for the end of asv, and pass on what happens meanwhile; gives its exit code."""
    with ended_in_order(process, _PATIENCE_S):
        while True:
            code = process.poll()
            for event in iter(events.__next__, None):
                on_event(event)
            if code is not None:
                return code
            with suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_S)


def _follow(path: Path) -> Iterator[Event | None]:
    """The events of a file that is still written to; None where there are no more for now."""
    with path.open(encoding="utf-8") as file:
        rest = ""
        while True:
            rest += file.readline()
            if not rest.endswith("\n"):
                yield None
                continue
            yield json.loads(rest)
            rest = ""


def _say(event: Event, summary: RunSummary, say: Callable[[str], None]) -> None:
    """Keep what an event tells, and put it into words."""
    commit = short(str(event.get("commit", "")))
    if event["event"] == "failed":
        summary.failed[commit] = f"{event['stage']}: {event['reason']}"
        say(f"  {commit}  {summary.place}: failed to {event['stage']}: {event['reason']}")
    elif event["event"] == "installed":
        summary.installed(commit, event["seconds"])
    elif event["event"] == "measured":
        summary.measured += 1
        phases = summary.phases(commit, event["phases_s"]).items()
        told = [f"{name} {seconds:.1f} s" for name, seconds in phases if seconds >= _LEAST_TOLD_S]
        flags = "".join(f", flagged: {what}" for what in event.get("flagged", ()))
        say(f"  {commit}  {summary.place}: {event['seconds']:.1f} s ({', '.join(told)}){flags}")
