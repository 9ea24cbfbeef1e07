"""``harness run --processes``: the process that is asked, and those that it starts."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from harness.backends.simulated import is_simulated
from harness.cli.progress import ProgressObserver
from harness.errors import EXIT_INTERRUPTED, EXIT_PASS, HarnessError, OptionError
from harness.handover import (
    Order,
    load_ready,
    read_order,
    save_ready,
    write_answer,
    write_error,
)
from harness.observer import SilentObserver
from harness.pipeline.restrict import restrict
from harness.ready import Builds
from harness.replicate import REPLICA_OPTION, CommandLauncher, check_replication, measure_all
from harness.runner import RunResult
from harness.types import Replication

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.backends.protocol import Backend
    from harness.observer import Observer
    from harness.options import RunOptions
    from harness.pipeline.pipeline import Pipeline
    from harness.ready import Ready
    from harness.runner import Run
    from harness.types import Variant

_NOTES, _AUDIO = "notes.json", "audio.npy"


def read_replication(
    processes: int | None, builds: int, *, pins_tactics: bool, backends: Sequence[Backend]
) -> Replication | None:
    """What the options ask for; None where this process measures itself.

    Raises:
        OptionError: it means nothing.
    """
    check_replication(processes, builds, pins_tactics=pins_tactics)
    if processes is not None and is_simulated(backends):
        fix = "leave it out, and simulate other seeds"
        raise OptionError("simulated processes are all the same", where="--processes", fix=fix)
    if builds > 1 and not any(backend.builds_engines for backend in backends):
        fix = "add --backend tensorrt or tensorrt-rtx, or leave it out"
        raise OptionError("no backend builds engines", where="--builds", fix=fix)
    if processes is None and builds == 1:
        return None
    return Replication(processes or 1, builds, pins_tactics)


def replicate(replication: Replication, arguments: tuple[str, ...]) -> RunResult:
    """Prepare in one process, measure in others, and give the result of all.

    Raises:
        HarnessError: preparing or the first process failed, by its own error.
    """
    with tempfile.TemporaryDirectory(prefix="harness-run-") as name:
        folder = Path(name)
        launch = CommandLauncher(arguments, folder)
        order = Order(None, builds=replication.builds, pins_tactics=replication.pins_tactics)
        prepared = launch(order)
        notes = json.loads((folder / _NOTES).read_text(encoding="utf-8"))
        audio = np.load(folder / _AUDIO) if (folder / _AUDIO).is_file() else None
        try:
            with ProgressObserver() as observer:
                record = measure_all(prepared, replication, launch, observer)
        finally:
            for line, process in launch.said.items():
                click.echo(f"{process}: {line}", err=True)
    return RunResult(record, notes["no_reference"], audio)


def answer(
    file: Path,
    make_run: Callable[[Observer, Ready | None], Run],
    pipeline: Pipeline,
    variants: Sequence[Variant],
    options: RunOptions,
) -> int:
    """Carry out the order in ``file``, and give the exit code; an error goes to who gave it."""
    order, folder = read_order(file), file.parent
    try:
        if order.process is None:
            _prepare(order, folder, make_run)
            return EXIT_PASS
        part = restrict(pipeline, options.components)
        ready = load_ready(folder / f"build-{order.build}", part, options.cases, variants)
        result = make_run(SilentObserver(), ready).execute()
    except HarnessError as error:
        write_error(folder, order, error)
        return error.exit_code
    if not result.record.is_complete:
        return EXIT_INTERRUPTED
    write_answer(folder, order, result.record)
    return EXIT_PASS


def _prepare(order: Order, folder: Path, make_run: Callable[[Observer, Ready | None], Run]) -> None:
    with ProgressObserver() as observer:
        builds = Builds(order.builds, order.pins_tactics, order.build, order.series)
        result, made = make_run(observer, None).rehearse(builds)
    for index, ready in zip(builds.indices, made, strict=True):
        save_ready(ready, folder / f"build-{index}")
    if result.audio is not None:
        np.save(folder / _AUDIO, result.audio)
    notes = {"no_reference": result.no_reference}
    (folder / _NOTES).write_text(json.dumps(notes), encoding="utf-8")
    write_answer(folder, order, result.record)


def without_order(arguments: Sequence[str]) -> tuple[str, ...]:
    """``arguments`` as the user gave them: what a process is ordered to do is no part of them."""
    given = list(arguments)
    if REPLICA_OPTION in given:
        position = given.index(REPLICA_OPTION)
        del given[position : position + 2]
    return tuple(given)
