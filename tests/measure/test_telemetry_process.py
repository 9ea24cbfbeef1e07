"""The process that reads: it starts, stops, pauses, dies, and never stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from harness.measure import telemetry_process
from harness.measure.telemetry_process import TelemetryProcess

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]


def wait_for(what: Callable[[], bool], seconds: float = 120.0) -> None:
    """A machine may be slow: only what never comes is a failure."""
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def pid_of(telemetry: TelemetryProcess) -> int:
    assert telemetry.pid is not None
    return telemetry.pid


def test_it_reads_this_machine_by_the_clock_of_this_process() -> None:
    before_s = time.monotonic()
    with TelemetryProcess(interval_s=0.02) as telemetry:
        assert telemetry.states(), "the first reading is there when it has started"
        wait_for(lambda: len(telemetry.states()) >= 5)
        during = telemetry.states()
    after = telemetry.states()

    times_s = [state.monotonic_s for state in after]
    assert before_s < times_s[0]
    assert times_s[-1] < time.monotonic()
    assert times_s == sorted(set(times_s))
    assert after[: len(during)] == during, "what was read is kept"
    assert telemetry.problem == ""
    assert all(state.gpu is None for state in after)
    assert all(state.host.load_average_1min is not None for state in after)


def test_stopping_leaves_no_process_and_it_can_be_started_anew() -> None:
    telemetry = TelemetryProcess()
    assert (telemetry.states(), telemetry.pid, telemetry.problem) == ((), None, "")
    telemetry.stop()

    telemetry.start()
    pid = pid_of(telemetry)
    telemetry.start()
    assert telemetry.pid == pid, "it runs already"
    telemetry.stop()
    telemetry.stop()

    assert not psutil.pid_exists(pid), "not even as a zombie"
    first = telemetry.states()
    with telemetry:
        assert telemetry.pid != pid
        assert set(first).isdisjoint(telemetry.states())


def test_one_that_dies_keeps_what_it_read_and_is_told_of() -> None:
    with TelemetryProcess(interval_s=0.02) as telemetry:
        wait_for(lambda: len(telemetry.states()) >= 3)
        pid = pid_of(telemetry)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: telemetry.problem != "")
        count = len(telemetry.states())

        assert count >= 3
        assert telemetry.problem == (
            f"the telemetry process ended early (signal SIGKILL) after {count} readings"
        )
        telemetry.pause()  # tells nobody, and waits for nobody
    assert not psutil.pid_exists(pid)
    assert len(telemetry.states()) == count


def test_one_that_cannot_start_is_told_of_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry_process, "_START", "raise SystemExit('no memory')")
    with TelemetryProcess() as telemetry:
        assert telemetry.states() == ()
        assert telemetry.problem == (
            "the telemetry process ended early (exit code 1) after 0 readings: no memory"
        )

    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with TelemetryProcess() as telemetry:
        assert (
            telemetry.problem == "the telemetry process does not start: No such file or directory"
        )


def test_an_interrupted_start_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry = TelemetryProcess()
    pids = []

    def interrupt(_: bytes) -> bool:
        pids.append(pid_of(telemetry))
        raise KeyboardInterrupt

    monkeypatch.setattr(telemetry, "_answers", interrupt)
    with pytest.raises(KeyboardInterrupt):
        telemetry.__enter__()

    assert telemetry.pid is None
    assert not psutil.pid_exists(pids[0])


def test_while_paused_it_reads_nothing() -> None:
    with TelemetryProcess(interval_s=0.01) as telemetry:
        telemetry.pause()
        held = telemetry.states()
        time.sleep(0.3)
        assert telemetry.states() == held
        telemetry.resume()
        wait_for(lambda: len(telemetry.states()) > len(held))


def test_ctrl_c_of_the_whole_group_does_not_end_it() -> None:
    # As a terminal does it: to every process of the group in front.
    code = """
import os, signal, time
from harness.measure.telemetry_process import TelemetryProcess
with TelemetryProcess(interval_s=0.01) as telemetry:
    try:
        os.killpg(0, signal.SIGINT)
        time.sleep(20)
    except KeyboardInterrupt:
        before = len(telemetry.states())
        os.kill(telemetry.pid, signal.SIGINT)
        limit = time.monotonic() + 120
        while len(telemetry.states()) == before and time.monotonic() < limit:
            time.sleep(0.01)
    print(len(telemetry.states()) > before, repr(telemetry.problem))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )

    assert done.stdout == "True ''\n"


@pytest.mark.parametrize("is_held_open", [False, True])
def test_it_ends_with_a_parent_that_is_killed(is_held_open: bool) -> None:
    # A child that the parent forks has all that it has open, the channel among it.
    code = f"""
import os, time
from harness.measure.telemetry_process import TelemetryProcess
telemetry = TelemetryProcess(interval_s=0.02)
telemetry.start()
child = os.fork() if {is_held_open} else 0
if {is_held_open} and child == 0:
    time.sleep(600)
print(telemetry.pid, child, flush=True)
time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, child = map(int, parent.stdout.readline().split())
        try:
            assert not is_gone(pid)
            parent.kill()
            parent.wait()
            wait_for(lambda: is_gone(pid))
        finally:
            if child:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)


def test_it_reads_the_gpu_where_nvml_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pynvml.py").write_text(
        "from tests.telemetry_fakes import *\n"
        "nvml = FakeNvml()\n"
        "def __getattr__(name): return getattr(nvml, name)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(ROOT))
    with TelemetryProcess("GPU-11111111-2222-3333-4444-555555555555") as telemetry:
        (state, *_) = telemetry.states()
        assert telemetry.problem == ""

    assert state.gpu is not None
    assert state.gpu.energy_j == pytest.approx(98_765.432)
    assert state.gpu.violation_s["power"] == 2.5


def test_a_gpu_that_cannot_be_read_is_told_of_and_the_processor_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pynvml.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with TelemetryProcess("GPU-0") as telemetry:
        pid = pid_of(telemetry)
        assert telemetry.states()[0].gpu is None
        problem = telemetry.problem
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: telemetry.problem != problem)

    assert problem.startswith("nvidia-ml-py is not installed")
    assert "ended early" in telemetry.problem, "the one does not hide the other"


def test_it_imports_nothing_that_runs_a_model() -> None:
    code = """
import sys
import harness.measure.telemetry_worker, harness.measure.host_state, harness.measure.nvml
print([m for m in ("numpy", "scipy", "onnx", "onnxruntime", "torch", "pandas") if m in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
