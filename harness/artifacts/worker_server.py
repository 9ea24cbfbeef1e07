"""The process that forks a child for each job of a :class:`~harness.artifacts.worker.WorkerPool`.

It runs nothing itself but imports: what it forks is a process with PyTorch loaded and unused. It
ends, and its children with it, when its channel, which is its standard input, is closed.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from typing import Any, Final

from harness.errors import HarnessError

# What the jobs import, torch.onnx's exporter only on its first call (3 s of a job's 7 where this
# was tried). One that is missing here is told by the job that needs it.
_PRELOAD: Final = (
    "numpy",
    "onnx",
    "onnxruntime",
    "torch",
    "torch.export",
    "torch.onnx",
    "torch._dynamo",
    "torch._functorch.aot_autograd",
    "torch._inductor.decomposition",
    "onnxscript",
    "onnxscript.function_libs.torch_lib.ops",
    "harness.artifacts.export_worker",
)


def main() -> None:
    """Serve jobs until the channel is closed."""
    # No threads before the fork, and no module of the caller's working directory for one of ours.
    for module in _PRELOAD:
        with suppress(Exception):
            importlib.import_module(module)
    # The kernel reaps the children: nobody waits for them here.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as channel:
        while True:
            message, descriptors, _, _ = socket.recv_fds(channel, 1, 2)
            if not message:
                # The parent is gone, killed perhaps: its jobs are of no use any more.
                os.killpg(0, signal.SIGKILL)
            job, log = descriptors
            if os.fork() == 0:
                channel.close()
                _child(job, log)
            os.close(job)
            os.close(log)


def _child(job: int, log: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    with socket.socket(fileno=job) as connection:
        try:
            with connection.makefile("rb") as request:
                connection.sendall(json.dumps(_work(json.loads(request.read()))).encode())
        except BaseException:  # noqa: BLE001  # whatever it was, the log tells it to the parent
            # Before the connection closes: then the parent reads the log.
            traceback.print_exc()
            sys.stderr.flush()
    # Not sys.exit(): what the parent process registered to run at exit is not ours.
    os._exit(0)


def _work(job: dict[str, Any]) -> dict[str, Any]:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(job["threads"])
    module, _, name = job["function"].partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
        return {"result": dict(function(job["request"]))}
    except HarnessError as error:
        return {
            "error": {
                "type": type(error).__name__,
                "what": error.what,
                "where": error.where,
                "fix": error.fix,
            }
        }


if __name__ == "__main__":
    main()
