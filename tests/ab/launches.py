"""Stand-ins for processes of an A/B: quick, and in this very process."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.cli import main
from harness.errors import WorkerError
from harness.handover import Order, read_answer, read_error
from harness.replicate import REPLICA_OPTION
from harness.types import Variant
from tests.report.devices import make_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from harness.types import Record

MEASURED = make_record(Variant("onnxruntime", "fp32"))


class MadeUpProcesses:
    """Each process measures ``latency_s`` times what ``factor`` says of its number."""

    def __init__(
        self,
        log: list[tuple[str, int | None, int]],
        name: str,
        factor: Callable[[int], float] = lambda _: 1.0,
        failures: Mapping[int, BaseException] | None = None,
    ) -> None:
        self.log, self.name, self.factor = log, name, factor
        self.failures = failures or {}

    def __call__(self, order: Order) -> Record:
        self.log.append((self.name, order.process, order.build))
        if order.process is None:
            return replace(MEASURED, measurements=(), record_id=self.name, phases_s={"build": 1.0})
        if order.process in self.failures:
            raise self.failures[order.process]
        factor = self.factor(order.process)
        measurements = tuple(
            replace(one, latency_s=tuple(factor * value for value in one.latency_s))
            for one in MEASURED.measurements
        )
        return replace(MEASURED, measurements=measurements)


@dataclass
class InThisProcess:
    """Carries out orders by the command line of this process, in place of a fresh one."""

    arguments: tuple[str, ...]
    folder: Path
    said: dict[str, str] = field(default_factory=dict)
    variables: Callable[[Order], Mapping[str, str]] = lambda _: {}

    def __call__(self, order: Order) -> Record:
        path = order.write(self.folder)
        with _set(self.variables(order)):
            code = main([*self.arguments, REPLICA_OPTION, str(path)])
        error = read_error(self.folder, order)
        if error is not None:
            raise error
        if code != 0:
            raise WorkerError(f"ended with {code}", where=order.name)
        return read_answer(self.folder, order)


@contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def in_this_process(monkeypatch: Any) -> None:
    """Let every A/B of this test measure here."""
    monkeypatch.setattr("harness.ab.experiment.CommandLauncher", InThisProcess)
