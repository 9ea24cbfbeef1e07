"""Fresh processes: their order, what becomes of each, and the record that is made of all."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.errors import EngineError, OptionError, WorkerError
from harness.handover import Order, read_error, read_order, write_answer, write_error
from harness.replicate import CommandLauncher, check_replication, measure_all, merge, order_of
from harness.states import FLAG, NOTE, Block, Finding, Validity
from harness.store.parquet import read_record, write_record
from harness.types import Replication, Variant
from tests.devices import Notes
from tests.report.devices import make_record

if TYPE_CHECKING:
    from pathlib import Path

    from harness.types import Record

CPU = Variant("onnxruntime", "fp32")
MEASURED = make_record(CPU)
PREPARED = replace(MEASURED, measurements=(), phases_s={"build": 3.0})


class Launches:
    """Stands in for processes: each measures the same, but for those that end with an error."""

    def __init__(self, failures: dict[int, BaseException] | None = None) -> None:
        self.failures = failures or {}
        self.orders: list[Order] = []

    def __call__(self, order: Order) -> Record:
        self.orders.append(order)
        assert order.process is not None
        if order.process in self.failures:
            raise self.failures[order.process]
        blocks = (Block(f"block {order.process}", 0.0, 1.0, 4),)
        return replace(MEASURED, phases_s={"measure": 2.0}, blocks=blocks)


@pytest.mark.parametrize(
    ("processes", "builds", "expected"),
    [(3, 1, [0, 0, 0]), (1, 3, [0, 1, 2]), (2, 2, [0, 1, 1, 0]), (3, 2, [0, 1, 1, 0, 0, 1])],
)
def test_builds_take_turns_there_and_back(processes: int, builds: int, expected: list[int]) -> None:
    orders = order_of(processes, builds)

    assert [order.build for order in orders] == expected
    assert [order.process for order in orders] == list(range(len(expected)))


def test_one_record_holds_what_every_process_has_measured(tmp_path: Path) -> None:
    launch, notes = Launches(), Notes()
    record = measure_all(PREPARED, Replication(2, 2), launch, notes)

    assert [order.build for order in launch.orders] == [0, 1, 1, 0]
    assert {(m.process, m.build) for m in record.measurements} == {(0, 0), (1, 1), (2, 1), (3, 0)}
    assert len(record.measurements) == 4 * len(MEASURED.measurements)
    assert record.phases_s == {"build": 3.0, "measure": 8.0}
    assert [block.series for block in record.blocks] == [f"block {n}" for n in range(4)]
    assert record.is_complete
    assert record.validity is None
    assert record.replication == Replication(2, 2)
    assert len(notes.phases["Measuring in 4 processes"]) == 4
    write_record(record, tmp_path / "record.parquet")
    assert read_record(tmp_path / "record.parquet") == record


def test_a_process_that_fails_after_another_is_missing_with_its_reason(tmp_path: Path) -> None:
    launch = Launches({1: EngineError("is damaged", where="encoder")})
    record = measure_all(PREPARED, Replication(3, 1), launch, Notes())

    assert {m.process for m in record.measurements} == {0, 2}
    assert record.is_complete
    assert record.replication is not None
    (missing,) = record.replication.missing
    assert (missing.process, missing.build) == (1, 0)
    assert missing.reason == "encoder: is damaged"
    write_record(record, tmp_path / "record.parquet")
    assert read_record(tmp_path / "record.parquet") == record


def test_the_first_processs_error_is_that_of_the_run() -> None:
    launch = Launches({0: EngineError("is damaged", where="encoder")})

    with pytest.raises(EngineError, match="is damaged"):
        measure_all(PREPARED, Replication(3, 1), launch, Notes())
    assert len(launch.orders) == 1


def test_an_interruption_keeps_the_processes_that_were_complete() -> None:
    launch = Launches({2: KeyboardInterrupt()})
    record = measure_all(PREPARED, Replication(4, 1), launch, Notes())

    assert not record.is_complete
    assert {m.process for m in record.measurements} == {0, 1}
    assert len(launch.orders) == 3
    assert record.replication is not None
    told = [(one.process, one.build, one.reason) for one in record.replication.missing]
    assert told == [(2, 0, "interrupted"), (3, 0, "interrupted")]


def test_an_interruption_before_any_process_is_complete_leaves_nothing() -> None:
    with pytest.raises(KeyboardInterrupt, match="before a process was complete"):
        measure_all(PREPARED, Replication(2, 1), Launches({0: KeyboardInterrupt()}), Notes())


def test_the_worst_validity_is_that_of_all_and_tells_of_which_processes_it_is() -> None:
    common, rare = Finding(NOTE, "shared cores", "-"), Finding(FLAG, "power cap", "-")
    done = [
        (Order(0), replace(MEASURED, validity=Validity((common,)))),
        (Order(1), replace(MEASURED, validity=Validity((common, rare)))),
        (Order(2), replace(MEASURED, validity=Validity((common, rare)), idle_power_w=70.0)),
    ]
    merged = merge(PREPARED, done, Replication(3, 1))

    assert merged.idle_power_w == 70.0
    assert merged.validity is not None
    assert merged.validity.status == "flagged"
    assert [finding.what for finding in merged.validity.findings] == [
        "shared cores",
        "in process 1, 2: power cap",
    ]


@pytest.mark.parametrize(
    ("processes", "builds", "pins_tactics", "where"),
    [(0, 1, False, "--processes"), (None, 0, False, "--builds"), (3, 1, True, "--pin-tactics")],
)
def test_what_repeats_nothing_is_refused(
    processes: int | None, builds: int, pins_tactics: bool, where: str
) -> None:
    with pytest.raises(OptionError) as caught:
        check_replication(processes, builds, pins_tactics=pins_tactics)
    assert caught.value.where == where


def test_an_order_and_an_error_are_read_as_they_were_written(tmp_path: Path) -> None:
    order = Order(3, build=1, builds=2, pins_tactics=True)

    assert read_order(order.write(tmp_path)) == order
    assert read_error(tmp_path, order) is None
    write_error(tmp_path, order, EngineError("what", where="where", fix="fix"))
    error = read_error(tmp_path, order)
    assert isinstance(error, EngineError)
    assert str(error) == "where: what; fix"


def test_a_process_that_dies_without_an_answer_is_told_of_by_its_last_words(
    tmp_path: Path,
) -> None:
    launch = CommandLauncher(("run", "--no-such-option"), tmp_path)

    with pytest.raises(WorkerError, match=r"ended with 2 .*No such option"):
        launch(Order(0))


def test_each_process_finds_the_variables_of_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import os, pathlib\n"
        f"file = pathlib.Path({str(tmp_path)!r}, os.environ['WHICH'])\n"
        "file.write_text(os.environ['KEPT'])\n"
    )
    monkeypatch.setattr("harness.replicate._START", script)
    monkeypatch.setenv("KEPT", "that of all")
    launch = CommandLauncher((), tmp_path, variables=lambda order: {"WHICH": f"it-{order.process}"})
    for process in (0, 1):
        write_answer(tmp_path, Order(process), MEASURED)
        launch(Order(process))
        assert (tmp_path / f"it-{process}").read_text() == "that of all"


def test_a_process_is_ended_with_the_one_that_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "started"
    script = (
        f"import pathlib, time\npathlib.Path({str(marker)!r}).touch()\n"
        f"try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n"
        f"    pathlib.Path({str(marker)!r}).write_text('ended')\n"
    )
    monkeypatch.setattr("harness.replicate._START", script)

    def poll(*_: object) -> None:
        if marker.exists():
            # Once: what is raised while the other is waited for would end the waiting.
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, poll)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            CommandLauncher((), tmp_path)(Order(0))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, previous)
    assert marker.read_text() == "ended"


def test_findings_that_differ_in_numbers_alone_are_one_line() -> None:
    def record(process: int) -> Record:
        rejected = Finding(FLAG, f"{process + 1} of 40 blocks were rejected", "-")
        load = (Finding(NOTE, f"others took {process}.5 cores", "-"),) if process < 2 else ()
        return replace(MEASURED, validity=Validity((rejected, *load)))

    done = [(Order(process), record(process)) for process in range(30)]
    merged = merge(PREPARED, done, Replication(30, 1))

    assert merged.validity is not None
    assert [finding.what for finding in merged.validity.findings] == [
        "in 30 of 30 processes, for example in process 0: 1 of 40 blocks were rejected",
        "in process 0, 1, for example in process 0: others took 0.5 cores",
    ]


def test_levels_are_not_mixed() -> None:
    done = [
        (Order(0), replace(MEASURED, validity=Validity((Finding(FLAG, "2 blocks", "-"),)))),
        (Order(1), replace(MEASURED, validity=Validity((Finding(NOTE, "1 blocks", "-"),)))),
    ]
    merged = merge(PREPARED, done, Replication(2, 1))

    assert merged.validity is not None
    assert [f.level for f in merged.validity.findings] == [FLAG, NOTE]


def test_a_process_that_was_killed_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    monkeypatch.setattr("harness.replicate._START", script)

    with pytest.raises(WorkerError, match=r"ended by signal 9 \(SIGKILL\).*memory") as caught:
        CommandLauncher((), tmp_path)(Order(0))
    assert "it wrote nothing" in caught.value.what
    with pytest.raises(WorkerError) as prepared:
        CommandLauncher((), tmp_path)(Order(None))
    assert prepared.value.what == "the process was ended by signal 9 (SIGKILL)"


def test_what_a_process_that_succeeded_said_is_kept_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "import sys\nprint('warning: slow disk', file=sys.stderr)\n"
    monkeypatch.setattr("harness.replicate._START", script)
    launch = CommandLauncher((), tmp_path)

    for process in range(3):
        write_answer(tmp_path, Order(process), MEASURED)
        launch(Order(process))

    assert launch.said == {"warning: slow disk": "process-0"}
