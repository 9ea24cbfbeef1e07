"""Processes that this one starts and waits for."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def git_environment() -> dict[str, str]:
    """The environment for git: in a git hook its own would point it at the hook's repository."""
    return {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}


@contextmanager
def ended_in_order(process: subprocess.Popen[bytes], patience_s: float) -> Iterator[None]:
    """Wait for ``process`` in the block; whatever ends that, the process does not outlive it.

    It is interrupted first, as by Ctrl-C, and killed where that takes longer than ``patience_s``.
    """
    try:
        yield
    except BaseException:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
