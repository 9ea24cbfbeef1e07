"""Telemetry in a process of its own, so that a reading never holds up the work that is measured.

No thread: a reading of NVML takes a lock of the driver, and a thread would take Python's as well.
The process writes its readings to a file without a name, which this one reads when it wants them:
neither waits for the other, and what was read outlives its reader.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from harness.measure.telemetry import DEFAULT_INTERVAL_S, decode_state

if TYPE_CHECKING:
    from harness.states import DeviceState

READY, PAUSE, RESUME = b"r", b"p", b"g"
_SERVER: Final = "harness.measure.telemetry_worker"
_START: Final = (
    f"import sys; sys.path[:] = [*filter(None, sys.path)]; from {_SERVER} import main; main()"
)
_ROOT: Final = Path(__file__).resolve().parents[2]
# NVML may load the driver first, which takes seconds where it is not kept loaded.
_START_S: Final = 30.0
_STOP_S: Final = 5.0
_CHUNK_BYTES: Final = 1 << 20
_STDERR_BYTES: Final = 2000


class TelemetryProcess:
    """Reads the machine every ``interval_s`` from ``start()`` to ``stop()``; a context manager.

    It never fails: where the process cannot start, or dies, ``problem`` says so and what was read
    is kept. It ends with this process, however that ends. Ctrl-C does not reach it.

    Args:
        gpu_uuid: the GPU to read; none by default.
        interval_s: between two readings.
        measured_pid: the process whose work, and whose children's, is not that of others; this one
            by default.
    """

    def __init__(
        self,
        gpu_uuid: str | None = None,
        *,
        interval_s: float = DEFAULT_INTERVAL_S,
        measured_pid: int | None = None,
    ) -> None:
        self._job = {
            "gpu_uuid": gpu_uuid,
            "interval_s": interval_s,
            "measured_pid": os.getpid() if measured_pid is None else measured_pid,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._lines: IO[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._offset = 0
        self._partial = b""
        self._states: list[DeviceState] = []
        self._unread = ""
        self._ended = ""

    def __enter__(self) -> TelemetryProcess:  # noqa: PYI034  # typing.Self is not in Python 3.10
        try:
            self.start()
        except BaseException:
            # Ctrl-C, while it was waited for.
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The number of the process; None before it is started and after it was stopped."""
        return None if self._process is None else self._process.pid

    @property
    def problem(self) -> str:
        """Why readings, or a part of them, are missing; empty where none are."""
        self._look_after()
        self._take()
        return "; ".join(filter(None, (self._unread, self._ended)))

    def start(self) -> None:
        """Start reading; returns when the first reading is there."""
        if self._process is not None:
            return
        self._states, self._unread, self._ended = [], "", ""
        self._lines = tempfile.TemporaryFile()  # noqa: SIM115  # closed by stop()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(_START_S)
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                    # Not "-m", which would let the working directory's modules shadow others.
                    [sys.executable, "-c", _START, json.dumps(self._job)],
                    stdin=theirs.fileno(),
                    stdout=self._lines,
                    stderr=self._log,
                    env=_environment(),
                    # Ctrl-C reaches the parent alone, which still takes the last readings.
                    start_new_session=True,
                )
            except OSError as error:
                self._ended = f"the telemetry process does not start: {error.strerror}"
        if self._process is not None and not self._answers(READY):
            # Its end of the channel closes a moment before it is over.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
            self._look_after()
            self._ended = self._ended or "the telemetry process does not answer"

    def states(self) -> tuple[DeviceState, ...]:
        """Every reading since ``start()``, also after ``stop()``."""
        self._take()
        return tuple(self._states)

    def pause(self) -> None:
        """Read nothing until ``resume()``; returns when no reading is under way."""
        self._tell(PAUSE)

    def resume(self) -> None:
        """Read again, at once and then every interval."""
        self._tell(RESUME)

    def stop(self) -> None:
        """End the process and take its last readings; it may be started anew."""
        self._look_after()
        process, self._process = self._process, None
        if self._channel is not None:
            # Its end is what the process goes by.
            self._channel.close()
        if process is not None:
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                # In a call of the driver that does not return, perhaps.
                process.kill()
                process.wait()
        self._take()
        for file in (self._lines, self._log):
            if file is not None:
                file.close()
        self._channel = self._lines = self._log = None
        self._offset, self._partial = 0, b""

    def _tell(self, command: bytes) -> None:
        if self._channel is None:
            return
        with suppress(OSError):
            self._channel.sendall(command)
            self._answers(command)
        self._look_after()

    def _answers(self, expected: bytes) -> bool:
        with suppress(OSError):
            return self._channel is not None and self._channel.recv(1) == expected
        return False

    def _look_after(self) -> None:
        """Note a process that ended by itself, once; asking for its status also lets it go."""
        if self._ended or self._process is None:
            return
        code = self._process.poll()
        if code is not None:
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            self._take()
            count = len(self._states)
            self._ended = f"the telemetry process ended early ({how}) after {count} readings"
            if message := self._last_words():
                self._ended += f": {message}"

    def _last_words(self) -> str:
        if self._log is None:
            return ""
        size = os.fstat(self._log.fileno()).st_size
        text = os.pread(self._log.fileno(), _STDERR_BYTES, max(0, size - _STDERR_BYTES))
        lines = text.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def _take(self) -> None:
        """Read what was written since; a line that is not whole yet waits for its end."""
        if self._lines is None:
            return
        while part := os.pread(self._lines.fileno(), _CHUNK_BYTES, self._offset):
            self._offset += len(part)
            *whole, self._partial = (self._partial + part).split(b"\n")
            for line in whole:
                self._take_line(line.decode())

    def _take_line(self, line: str) -> None:
        if line.startswith('{"problem"'):
            self._unread = json.loads(line)["problem"]
        else:
            self._states.append(decode_state(line))


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONWARNINGS": "ignore",
        # The harness itself may have been found in the working directory, which is left out.
        "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(_ROOT)]),
    }
