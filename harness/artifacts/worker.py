"""Do one piece of work in a process of its own, and bring its result or its error back.

A server process imports PyTorch once and forks a child for each job: every job has a process that
nothing ran in before, and only the first pays for the imports.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from harness import errors
from harness.errors import HarnessError, WorkerError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERVER: Final = "harness.artifacts.worker_server"
_START: Final = (
    f"import sys; sys.path[:] = [*filter(None, sys.path)]; from {_SERVER} import main; main()"
)
_ROOT: Final = Path(__file__).resolve().parents[2]
_STDERR_LINES: Final = 3
_CHUNK_BYTES: Final = 1 << 16


class WorkerPool:
    """The worker processes of one run; use it as a context manager, or ``close()`` it.

    The server starts with the first job.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._is_closed = False

    def __enter__(self) -> WorkerPool:  # noqa: PYI034  # typing.Self is not in Python 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, function: str, request: Mapping[str, Any], *, threads: int) -> dict[str, Any]:
        """Call ``function`` (``module:name``) on ``request`` in a new process.

        Request and result are JSON; ``threads`` bounds what the process may use.

        Raises:
            HarnessError: the very error that the function raised.
            WorkerError: the process died without an answer.
        """
        ours, theirs = socket.socketpair()
        with ours, tempfile.TemporaryFile() as log:
            with theirs:
                try:
                    socket.send_fds(self._connect(), [b"."], [theirs.fileno(), log.fileno()])
                except OSError as error:
                    what = "the server of worker processes is gone"
                    raise WorkerError(what, where=function, fix="is there memory?") from error
            job = {"function": function, "request": dict(request), "threads": threads}
            with suppress(OSError):
                ours.sendall(json.dumps(job).encode())
                ours.shutdown(socket.SHUT_WR)
            return _answer(function, _receive(ours), log)

    def _connect(self) -> socket.socket:
        with self._lock:
            if self._is_closed:
                raise WorkerError("the run was interrupted", where=_SERVER)
            if self._channel is None:
                self._channel, theirs = socket.socketpair()
                with theirs:
                    self._server = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                        # Not "-m", which would let the working directory's modules shadow others.
                        [sys.executable, "-c", _START],
                        stdin=theirs.fileno(),
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        env=_environment(),
                        # Ctrl-C reaches the parent alone, which then ends its workers in order.
                        start_new_session=True,
                    )
            return self._channel

    @property
    def is_closed(self) -> bool:
        """Whether no more jobs are taken."""
        return self._is_closed

    def close(self) -> None:
        """End the server and whatever it still runs, and start no more."""
        with self._lock:
            self._is_closed = True
            if self._channel is not None:
                self._channel.close()
            if self._server is not None:
                with suppress(ProcessLookupError):
                    os.killpg(self._server.pid, signal.SIGKILL)
                self._server.wait()


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        # A library that starts threads on import would not survive the fork.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
        # The harness itself may have been found in the working directory, which is left out.
        "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(_ROOT)]),
    }


def _receive(channel: socket.socket) -> bytes:
    parts = []
    with suppress(ConnectionError):
        while part := channel.recv(_CHUNK_BYTES):
            parts.append(part)
    return b"".join(parts)


def _answer(function: str, content: bytes, log: IO[bytes]) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError:
        log.seek(0)
        lines = log.read().decode(errors="replace").strip().splitlines()
        tail = " | ".join(lines[-_STDERR_LINES:]) or "it printed nothing"
        what = f"the process died without an answer: {tail}"
        raise WorkerError(what, where=function, fix="is there enough memory?") from None
    if "error" in answer:
        problem = answer["error"]
        kind = getattr(errors, problem["type"], HarnessError)
        raise kind(problem["what"], where=problem["where"], fix=problem["fix"])
    return dict(answer["result"])
