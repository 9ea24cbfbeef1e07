"""Build a served page in a process of its own: its memory is given back, and it can be ended."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.dashboard.write import PAGE
from harness.errors import WorkerError
from harness.history.instrument import harness_command, own_reason

if TYPE_CHECKING:
    from harness.dashboard.write import DashboardOrder

REBUILD_OPTION: Final = "--rebuild"


class ChildBuilder:
    """Builds the page of ``order`` by ``harness dashboard`` in another process."""

    def __init__(self, order: DashboardOrder) -> None:
        self._words = words_of(order)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._is_over = False

    def build(self) -> bytes:
        """The page.

        Raises:
            WorkerError: it could not be built, with the reason that was given there.
        """
        try:
            with tempfile.TemporaryDirectory(prefix="trt-harness-") as name:
                command = [*harness_command(), "dashboard", REBUILD_OPTION, "--out", name]
                code, said = self._run([*command, *self._words])
                if code:
                    raise WorkerError(own_reason(said) or _last_line(said) or f"ended with {code}")
                return Path(name, PAGE).read_bytes()
        except OSError as error:
            raise WorkerError(f"cannot be built: {error}") from error

    def _run(self, command: list[str]) -> tuple[int, str]:
        with self._lock:
            if self._is_over:
                return 1, "harness: it is over"
            # A session of its own: Ctrl-C in the terminal is for the server, which ends it.
            self._process = subprocess.Popen(  # noqa: S603  # our own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        with self._process as process:
            _, said = process.communicate()
        return process.returncode, said

    def close(self) -> None:
        """End what is under way, and build nothing more."""
        with self._lock:
            self._is_over = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
                self._process.wait()


def _last_line(said: str) -> str:
    return said.strip().rpartition("\n")[2]


def words_of(order: DashboardOrder) -> list[str]:
    """The words of the command line that say what ``order`` does."""
    told = {
        "--repository": order.repository,
        "--cache": order.cache,
        "--title": order.title,
        "--commit-url": order.commit_url or "none",
    }
    words = [f"{name}={value}" for name, value in told.items() if value not in {None, ""}]
    return [*words, "--", *order.sources]
