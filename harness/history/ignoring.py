"""The ``.gitignore`` of a repository with a history: what the harness writes is no part of it."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.children import git_environment
from harness.errors import storage_errors
from harness.files import written_whole

if TYPE_CHECKING:
    from pathlib import Path

_NAME: Final = ".gitignore"
# Each line, and what must be ignored without it where it is not wanted.
_LINES: Final = {
    "/.asv/": (".asv/env/a",),
    "/reports/": ("reports/a.parquet", "reports/asv/results/a.json", "reports/asv/html/a.html"),
    "__pycache__/": ("benchmarks/__pycache__/a.pyc",),
}


@dataclass(frozen=True)
class Ignored:
    """The file ``path`` as it is to be, and the lines that it gets; none where it lacks none."""

    path: Path
    content: bytes
    lines: tuple[str, ...]
    is_new: bool


def to_ignore(folder: Path) -> Ignored:
    """What the ``.gitignore`` of ``folder`` is to hold: all that it holds, and the lines missing.

    Raises:
        StorageError: it cannot be read.
    """
    path = folder / _NAME
    with storage_errors(path):
        content = path.read_bytes() if path.exists() else b""
    lines = tuple(
        line for line, names in _LINES.items() if not _is_ignored(folder, line, names, content)
    )
    end = b"\r\n" if b"\r\n" in content else b"\n"
    gap = end if content and not content.endswith(b"\n") else b""
    added = b"".join(line.encode() + end for line in lines)
    return Ignored(path, content + gap + added if lines else content, lines, not content)


def write_ignored(found: Ignored) -> None:
    """Write the file, where it lacks lines.

    Raises:
        StorageError: it cannot be written.
    """
    if found.lines:
        with written_whole(found.path) as scratch:
            scratch.write_bytes(found.content)


def _is_ignored(folder: Path, line: str, names: tuple[str, ...], content: bytes) -> bool:
    """Whether git ignores all ``names`` already; in no repository, whether ``line`` is there."""
    # What one user ignores everywhere, others do not.
    command = ["git", "-C", str(folder), "-c", "core.excludesFile=", "check-ignore", "--no-index"]
    with suppress(OSError):
        done = subprocess.run(  # noqa: S603  # git, with our own arguments
            [*command, "--", *names],
            capture_output=True,
            text=True,
            check=False,
            env=git_environment(),
        )
        if done.returncode in {0, 1}:
            return len(done.stdout.splitlines()) == len(names)
    held = content.decode("utf-8", "replace").splitlines()
    return line.strip("/") in {one.strip().strip("/") for one in held}
