"""A Python of another environment that runs a backend for us, started and asked."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from harness import errors
from harness.backends.interpreter_server import ANSWER_ARRAYS, REQUEST_ARRAYS
from harness.errors import HarnessError, OptionError, WorkerError
from harness.files import load_arrays, save_arrays
from harness.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.backends.protocol import Backend

OPTION: Final = "--interpreter"
_SERVER: Final = "harness.backends.interpreter_server"
_START: Final = (
    # Not "-m", which would let the working directory's modules shadow others.
    "import sys; sys.path[:] = [*filter(None, sys.path)]; "
    "sys.version_info >= (3, 10) or sys.exit('Python 3.10 or newer is needed, this is ' + "
    f"sys.version.split()[0]); from {_SERVER} import main; main()"
)
_PACKAGE: Final = Path(__file__).resolve().parents[1]
_STDERR_LINES: Final = 3
# What tells this Python where it is, and is wrong for another.
_OURS: Final = frozenset({"PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONSTARTUP", "VIRTUAL_ENV"})
_LIBRARIES: Final = "LD_LIBRARY_PATH"


class Closable(Protocol):
    """A file or a socket."""

    def close(self) -> None:
        """Close it."""


@dataclass(frozen=True)
class BackendSpec:
    """A backend that can be made in any interpreter: its class, and what that is called with."""

    factory: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def make(self) -> Backend:
        """The backend, in this process."""
        module, _, name = self.factory.partition(":")
        made: Backend = getattr(importlib.import_module(module), name)(**self.arguments)
        return made


class InterpreterProcess:
    """One process of another Python, with one backend in it; it ends with us, or on close().

    Raises:
        OptionError: ``python`` cannot be started.
        WorkerError: it is no Python, or one that cannot run the harness.
        HarnessError: the backend cannot be made there.
    """

    def __init__(self, spec: BackendSpec, python: Path) -> None:
        self._python = python
        self._folder = Path(tempfile.mkdtemp(prefix="harness-"))
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process
        self._channel, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _start(python, self._folder, theirs, self._log)
            except OSError as error:
                self._log.close()
                self._channel.close()
                shutil.rmtree(self._folder, ignore_errors=True)
                what = f"{python} cannot be started: {error.strerror}"
                raise OptionError(what, where=OPTION, fix="name a Python") from error
        # However we end, short of being killed: then the channel's end ends it.
        self._answers = self._channel.makefile("r", encoding="utf-8")
        files = (self._answers, self._channel, self._log)
        self._end = weakref.finalize(self, _end, self._process, files, self._folder)
        hello = {"factory": spec.factory, "arguments": dict(spec.arguments)}
        try:
            self.about = self.ask("hello", folder=str(self._folder), **hello)
            _check_version(python, self.about["harness"])
        except BaseException:
            self.close()
            raise

    @property
    def is_closed(self) -> bool:
        """Whether it has ended, or was ended."""
        return not self._end.alive

    def ask(self, do: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401
        """One request and its answer.

        Raises:
            HarnessError: the very error that was raised there.
            WorkerError: the process died without an answer, or before.
        """
        if self.is_closed:
            raise WorkerError("its process has ended", where=str(self._python), fix="run again")
        try:
            with suppress(BrokenPipeError, ConnectionResetError):
                self._channel.sendall((json.dumps({"do": do, **request}) + "\n").encode())
            line = ""
            with suppress(ConnectionResetError):
                line = self._answers.readline()
        except BaseException:
            # An interruption: its answer would be taken for that of the next request.
            self.close()
            raise
        if not line.endswith("\n"):
            raise self._died(do)
        answer = json.loads(line)
        if "error" in answer:
            problem = answer["error"]
            kind = getattr(errors, problem["type"], HarnessError)
            raise kind(problem["what"], where=problem["where"], fix=problem["fix"])
        return dict(answer["result"])

    def ask_with(self, do: str, arrays: Mapping[str, Any], **request: Any) -> dict[str, Any]:  # noqa: ANN401
        """As :meth:`ask`, with arrays that the request is about."""
        save_arrays(self._folder / REQUEST_ARRAYS, arrays)
        return self.ask(do, **request)

    def answered_arrays(self) -> dict[str, Any]:
        """The arrays of the last answer."""
        return load_arrays(self._folder / ANSWER_ARRAYS)

    def _died(self, do: str) -> WorkerError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        tail = " | ".join(line.strip() for line in lines[-_STDERR_LINES:]) or "it printed nothing"
        self.close()
        what = f"{self._python} died at {do!r} (exit {self._process.returncode}): {tail}"
        return WorkerError(what, where=OPTION, fix="does this Python have what the backend needs?")

    def close(self) -> None:
        """End the process, whatever it does."""
        self._end()


def _check_version(python: Path, theirs: str) -> None:
    if theirs != __version__:
        what = f"{python} runs version {theirs} of the harness, not {__version__}"
        raise WorkerError(what, where=OPTION, fix="uninstall it there: this one's is lent to it")


def _start(
    python: Path, folder: Path, channel: socket.socket, log: IO[bytes]
) -> subprocess.Popen[bytes]:
    # Ours alone of what lies beside the harness: in an environment, that is everything installed
    # there, for another Python.
    (folder / "path").mkdir()
    (folder / "path" / _PACKAGE.name).symlink_to(_PACKAGE, target_is_directory=True)
    return subprocess.Popen(  # noqa: S603  # the Python that the user named, and our own module
        [python, "-c", _START],
        stdin=channel.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=log.fileno(),
        env=_environment(folder / "path"),
        # Ctrl-C reaches us alone, and we end it in order.
        start_new_session=True,
    )


def _environment(path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _OURS}
    if _LIBRARIES in kept:
        # Those of this Python's own folder are no use to another.
        own = (sys.prefix, sys.base_prefix)
        folders = [f for f in kept[_LIBRARIES].split(os.pathsep) if f and not f.startswith(own)]
        kept[_LIBRARIES] = os.pathsep.join(folders)
    return {**kept, "PYTHONPATH": str(path)}


def _end(process: subprocess.Popen[bytes], files: Iterable[Closable], folder: Path) -> None:
    for file in files:
        file.close()
    with suppress(subprocess.TimeoutExpired):
        # One that waits for us ends at once, with its own exit code; the others are ended.
        process.wait(timeout=0.2)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)
