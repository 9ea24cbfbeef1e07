"""Worker processes: fresh for each job, honest about what went wrong, gone when the parent is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.artifacts.worker import WorkerPool
from harness.errors import ModelError, WorkerError

CALLS = 0


def report(request: dict[str, Any]) -> dict[str, Any]:
    global CALLS  # noqa: PLW0603  # shows whether a process was used before
    CALLS += 1
    return {"pid": os.getpid(), "calls": CALLS, "torch": "torch" in sys.modules, **request}


def fail(_: dict[str, Any]) -> dict[str, Any]:
    raise ModelError("broken", where="here", fix="mend it")


def crash(_: dict[str, Any]) -> dict[str, Any]:
    message = "an error that nobody foresaw"
    raise RuntimeError(message)


def die(_: dict[str, Any]) -> dict[str, Any]:
    os._exit(9)


def sleep(_: dict[str, Any]) -> dict[str, Any]:
    time.sleep(60)
    return {}


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def _run(pool: WorkerPool, name: str, **request: object) -> dict[str, Any]:
    return pool.run(f"test_worker:{name}", request, threads=1)


@pytest.fixture(scope="module")
def pool() -> Any:
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        with WorkerPool() as own:
            yield own
    finally:
        sys.path.remove(str(Path(__file__).parent))


def test_each_job_has_a_process_that_nothing_ran_in(pool: WorkerPool) -> None:
    first, second = _run(pool, "report", size=1), _run(pool, "report", size=2)

    assert first["pid"] != second["pid"]
    assert (first["calls"], second["calls"]) == (1, 1)
    assert (first["size"], second["size"]) == (1, 2)
    assert first["torch"], "PyTorch is imported once, in the server"


def test_an_error_of_the_tree_comes_back_as_itself(pool: WorkerPool) -> None:
    with pytest.raises(ModelError, match="broken") as caught:
        _run(pool, "fail")

    assert (caught.value.where, caught.value.fix) == ("here", "mend it")


def test_another_error_comes_back_with_its_words(pool: WorkerPool) -> None:
    with pytest.raises(WorkerError, match="RuntimeError: an error that nobody foresaw"):
        _run(pool, "crash")


def test_a_process_that_dies_is_an_error_and_the_next_job_runs(pool: WorkerPool) -> None:
    with pytest.raises(WorkerError, match="died without an answer"):
        _run(pool, "die")

    assert _run(pool, "report")["calls"] == 1


def test_modules_of_the_working_directory_shadow_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('not the json you look for')\n")
    monkeypatch.chdir(tmp_path)

    with WorkerPool() as own:
        assert _run(own, "report")["calls"] == 1


def test_closing_ends_the_server_and_its_jobs() -> None:
    pool = WorkerPool()
    _run(pool, "report")
    assert pool._server is not None
    server = psutil.Process(pool._server.pid)
    # The child that is waited for is the one that sleeps.
    _until(lambda: not server.children())
    thread = threading.Thread(target=_expect_death, args=(pool,))
    thread.start()
    _until(lambda: bool(server.children()))
    job = server.children()[0]

    pool.close()
    thread.join(timeout=120)

    assert not thread.is_alive()
    _until(lambda: not job.is_running() or job.status() == psutil.STATUS_ZOMBIE)
    with pytest.raises(WorkerError, match="interrupted"):
        _run(pool, "report")


def test_a_parent_that_is_killed_leaves_nothing_behind() -> None:
    script = (
        "import sys, threading, time\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from harness.artifacts.worker import WorkerPool\n"
        "pool = WorkerPool()\n"
        "pool.run('test_worker:report', {}, threads=1)\n"
        "print(pool._server.pid, flush=True)\n"
        "pool.run('test_worker:sleep', {}, threads=1)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        _until(lambda: bool(server.children()))
        family = [server, *server.children()]
        parent.kill()
    _until(lambda: not any(_is_alive(process) for process in family))


def _expect_death(pool: WorkerPool) -> None:
    with pytest.raises(WorkerError, match="died without an answer"):
        _run(pool, "sleep")


def _is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _until(condition: Any) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it did not happen within 30 s")
