"""The process of a :class:`~harness.measure.telemetry_process.TelemetryProcess`.

It imports little and sleeps between readings. It ends when its channel, which is its standard
input, is closed, as it is when the parent is gone, killed perhaps.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Final

from harness.measure.telemetry import MachineTelemetry, Telemetry, encode_state
from harness.measure.telemetry_process import PAUSE, READY, RESUME

# While paused, how often to see whether the parent is still there.
_PAUSED_S: Final = 5.0


def main() -> None:
    """Read until the channel is closed."""
    # The parent decides when it is over. Once it knows of us it may be killed at any moment.
    parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job = json.loads(sys.argv[1])
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as channel:
        telemetry = MachineTelemetry(job["gpu_uuid"], job["measured_pid"])
        if telemetry.problem:
            _write(json.dumps({"problem": telemetry.problem}))
        # What is loaded stays: it need not be looked through again and again.
        gc.collect()
        gc.freeze()
        _write(encode_state(telemetry.read()))
        channel.sendall(READY)
        serve(telemetry, channel, job["interval_s"], parent)


def serve(telemetry: Telemetry, channel: socket.socket, interval_s: float, parent: int) -> None:
    """Read every ``interval_s``, between commands to pause and to resume, until the end."""
    is_paused = False
    due_s = time.monotonic() + interval_s
    # A child that was forked off the parent may hold the channel open for longer than it lives.
    while os.getppid() == parent:
        left_s = _PAUSED_S if is_paused else max(0.0, due_s - time.monotonic())
        if select.select([channel], [], [], left_s)[0]:
            command = _command(channel)
            if not command:
                return
            is_paused = command == PAUSE
            if command == RESUME:
                due_s = time.monotonic()
            continue
        if is_paused:
            continue
        _write(encode_state(telemetry.read()))
        # What was slept through is not made up for.
        due_s = max(due_s + interval_s, time.monotonic())


def _command(channel: socket.socket) -> bytes:
    """What the parent says, answered with the same; nothing where the parent is gone."""
    try:
        command = channel.recv(1)
        channel.sendall(command)
    except OSError:
        return b""
    return command


def _write(line: str) -> None:
    os.write(sys.stdout.fileno(), f"{line}\n".encode())
