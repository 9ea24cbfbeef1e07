"""Measure in fresh processes, one after the other, and make one record of all.

Samples of one process are no independent samples of the program: memory lands elsewhere in each,
and a rebuilt engine may have other tactics. So the process, and the build, are what is repeated.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from harness.children import ended_in_order
from harness.errors import HarnessError, OptionError, WorkerError
from harness.handover import Order, read_answer, read_error
from harness.states import Finding, Validity
from harness.types import MissingProcess, Record, Replication

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import IO

    from harness.observer import Observer

REPLICA_OPTION: Final = "--replica"
_ROOT: Final = Path(__file__).resolve().parents[1]
_START: Final = (
    # This very harness, and no other module of the folder that it is in or of the working
    # directory, which might shadow others.
    "import sys; sys.path[:] = [*filter(None, sys.path)]; "
    f"sys.path.insert(0, {str(_ROOT)!r}); import harness; del sys.path[0]; "
    "from harness.cli import main; sys.exit(main())"
)
_PATIENCE_S: Final = 10.0
_STDERR_LINES: Final = 3
# So many processes are told by their numbers.
_FEW: Final = 3
_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d+)?")


class Launcher(Protocol):
    """Carries out an order in a fresh process."""

    def __call__(self, order: Order) -> Record:
        """Do it, and give its record.

        Raises:
            HarnessError: the very error that ended the process.
        """


@dataclass(frozen=True)
class CommandLauncher:
    """Starts ``harness`` anew, with the same ``arguments`` and an order in ``folder``.

    ``said`` keeps each line that a process wrote although it succeeded, such as a warning, with
    the name of the first that did. ``variables`` are set in the environment of an order's process.
    """

    arguments: tuple[str, ...]
    folder: Path
    said: dict[str, str] = field(default_factory=dict)
    variables: Callable[[Order], Mapping[str, str]] = lambda _: {}

    def __call__(self, order: Order) -> Record:
        """Start the process, wait for its end, and give its record.

        What prepares shows its progress itself; what measures is silent.

        Raises:
            HarnessError: the very error that ended it.
            WorkerError: it died without an answer.
            KeyboardInterrupt: after the process was ended as well.
        """
        path = order.write(self.folder)
        command = [sys.executable, "-c", _START, *self.arguments, REPLICA_OPTION, str(path)]
        if order.process is None:
            code = _run(command, None, self.variables(order))
            said = ""
        else:
            log = self.folder / f"{order.name}.log"
            with log.open("wb") as file:
                code = _run(command, file, self.variables(order))
            said = log.read_text(encoding="utf-8", errors="replace").strip()
        error = read_error(self.folder, order)
        if error is not None:
            raise error
        if code != 0:
            raise _death(order, code, said)
        for line in said.splitlines():
            self.said.setdefault(line, order.name)
        return read_answer(self.folder, order)


def _death(order: Order, code: int, said: str) -> WorkerError:
    """What is known of a process that left no answer."""
    what = f"the process ended with {code} and no answer"
    fix = "run it with --processes 1 to see more"
    if code < 0:
        with suppress(ValueError):
            what = f"the process was ended by signal {-code} ({signal.Signals(-code).name})"
        if -code == signal.SIGKILL:
            fix = "is there enough memory? the kernel's log tells whether it ran out"
    if order.process is not None:
        # What prepares has written to the terminal itself.
        what += f": {' | '.join(said.splitlines()[-_STDERR_LINES:]) or 'it wrote nothing'}"
    return WorkerError(what, where=order.name, fix=fix)


def _run(command: Sequence[str], log: IO[bytes] | None, variables: Mapping[str, str]) -> int:
    process = subprocess.Popen(  # noqa: S603  # our own interpreter and command
        command,
        stdin=subprocess.DEVNULL,
        stdout=log or subprocess.DEVNULL,
        stderr=log,
        env={**os.environ, **variables},
        # Ctrl-C reaches this process alone, which then ends the other in order.
        start_new_session=True,
    )
    with ended_in_order(process, _PATIENCE_S):
        return process.wait()


def check_replication(processes: int | None, builds: int, *, pins_tactics: bool) -> None:
    """Check that what was asked for means something.

    Raises:
        OptionError: it does not.
    """
    if processes is not None and processes < 1:
        raise OptionError(f"{processes} processes", where="--processes", fix="give 1 or more")
    if builds < 1:
        raise OptionError(f"{builds} builds", where="--builds", fix="give 1 or more")
    if pins_tactics and builds == 1:
        what = "nothing is built again"
        raise OptionError(what, where="--pin-tactics", fix="add --builds, or leave it out")


def order_of(processes: int, builds: int) -> tuple[Order, ...]:
    """The processes in the order in which they run: the builds in turn, and every other turn back.

    With two builds that is ABBA: a steady drift of the machine touches both alike.
    """
    turns = [
        range(builds) if turn % 2 == 0 else reversed(range(builds)) for turn in range(processes)
    ]
    found = [build for turn in turns for build in turn]
    return tuple(Order(process, build) for process, build in enumerate(found))


def measure_all(
    prepared: Record, replication: Replication, launch: Launcher, observer: Observer
) -> Record:
    """One record of all processes; one that fails after another has measured is missing in it.

    An interruption keeps what was complete. ``prepared`` is the record without measurements.

    Raises:
        HarnessError: the first process failed.
        KeyboardInterrupt: before any process was complete.
    """
    orders = order_of(replication.processes, replication.builds)
    done: list[tuple[Order, Record]] = []
    missing: list[MissingProcess] = []
    is_complete = True
    observer.phase(f"Measuring in {len(orders)} processes", len(orders))
    try:
        for order in orders:
            started = time.monotonic()
            try:
                record = launch(order)
            except HarnessError as error:
                if not done:
                    raise
                missing.append(MissingProcess(order.process or 0, order.build, str(error)))
                observer.step(f"{order.name}: {error}")
                continue
            done.append((order, record))
            spent_s = time.monotonic() - started
            observer.step(f"{order.name} of build {order.build}: {spent_s:.1f} s")
    except KeyboardInterrupt as error:
        if not done:
            what = "before a process was complete, so that there is no record"
            raise KeyboardInterrupt(what) from error
        is_complete = False
        left = orders[len(done) + len(missing) :]
        missing += [MissingProcess(o.process or 0, o.build, "interrupted") for o in left]
    replication = replace(replication, missing=tuple(missing))
    return merge(prepared, done, replication, is_complete=is_complete)


def merge(
    prepared: Record,
    done: Sequence[tuple[Order, Record]],
    replication: Replication,
    *,
    is_complete: bool = True,
) -> Record:
    """One record of what ``prepared`` describes and the processes of ``done`` have measured."""
    records = [record for _, record in done]
    phases = dict(prepared.phases_s)
    for record in records:
        for phase, seconds in record.phases_s.items():
            phases[phase] = phases.get(phase, 0.0) + seconds
    idle = (record.idle_power_w for record in records)
    # Where nothing is measured, no canary is opened.
    canaries = {name: c for r in records for name, c in r.environment.get("canary", {}).items()}
    return replace(
        prepared,
        environment={**prepared.environment, **({"canary": canaries} if canaries else {})},
        measurements=tuple(
            replace(measurement, process=order.process or 0, build=order.build)
            for order, record in done
            for measurement in record.measurements
        ),
        is_complete=is_complete and all(record.is_complete for record in records),
        phases_s=phases,
        telemetry=tuple(state for record in records for state in record.telemetry),
        blocks=tuple(block for record in records for block in record.blocks),
        validity=_worst(done),
        idle_power_w=next((power for power in idle if power is not None), None),
        replication=replication,
    )


def _worst(done: Sequence[tuple[Order, Record]]) -> Validity | None:
    """Every kind of finding once, with the processes that it is of where it is not of all."""
    found: dict[tuple[str, str], dict[Finding, list[int]]] = {}
    judged = [(order, record.validity) for order, record in done if record.validity is not None]
    for order, validity in judged:
        for finding in dict.fromkeys(validity.findings):
            # Of 30 processes, each tells of its own number of blocks.
            kind = (finding.level, _NUMBER.sub("#", finding.what))
            found.setdefault(kind, {}).setdefault(finding, []).append(order.process or 0)
    findings = tuple(_as_one(alike, len(judged)) for alike in found.values())
    return Validity(findings) if judged else None


def _as_one(alike: dict[Finding, list[int]], total: int) -> Finding:
    """One finding for those that differ in their numbers alone, with the first as the example."""
    first, processes = next(iter(alike)), sorted({p for its in alike.values() for p in its})
    if len(alike) == 1 and len(processes) == total:
        return first
    where = f"in {len(processes)} of {total} processes"
    if len(processes) <= _FEW:
        where = f"in process {', '.join(map(str, processes))}"
    if len(alike) > 1:
        where += f", for example in process {alike[first][0]}"
    return replace(first, what=f"{where}: {first.what}")
