"""The program uv, which installs a commit's own project, and what it is told."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from harness.errors import MissingDependencyError
from harness.history.instrument import own_reason

if TYPE_CHECKING:
    from pathlib import Path

PROJECT_FILES: Final = ("pyproject.toml", "setup.py")
_LAST_LINES: Final = 6
_COMPLAINTS: Final = ("error", "fatal", "\N{MULTIPLICATION SIGN}")


def uv_program() -> str:
    """The path of uv.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        from uv import find_uv_bin  # noqa: PLC0415  # optional

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        path = shutil.which("uv")
        if path is None:
            what, fix = "uv is not installed", "pip install 'trt-harness[history]'"
            raise MissingDependencyError(what, fix=fix) from None
        return path


def uv_environment() -> dict[str, str]:
    """The environment that uv is run in: without what is meant for this interpreter alone.

    It starts the interpreter that it is told to, which another one's home would keep from starting.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}


def build_words(folder: Path | str, python: Path, out: Path | str, cache: Path) -> list[str]:
    """What uv is told to build the wheel of the project in ``folder`` into ``out``.

    Nothing is fetched: what builds it is the interpreter's own.
    """
    command = ["build", "--wheel", "--no-build-isolation", "--offline", "--no-config"]
    command += ["--cache-dir", str(cache), "--python", str(python), "--out-dir", str(out)]
    return [*command, str(folder)]


def reason_in(said: str) -> str:
    """Why a command failed, of what it wrote: the first lines that say so, else the last ones."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    own = own_reason(said)
    if own is not None:
        return own
    starts = [i for i, line in enumerate(lines) if line.lower().startswith(_COMPLAINTS)]
    told = lines[starts[0] :][:_LAST_LINES] if starts else lines[-_LAST_LINES:]
    return " | ".join(told) or "it wrote nothing"
