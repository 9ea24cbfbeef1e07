"""One run at a time works on one folder of results, and in one folder of environments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from harness.errors import StorageError
from harness.files import check_folder

if TYPE_CHECKING:
    from pathlib import Path

_NAME: Final = ".running.lock"


def hold_folders(results_dir: Path, env_dir: Path) -> list[FileLock]:
    """The locks of both folders, held; the kernel frees them when the process ends, however.

    All environments of ``env_dir`` have checkouts there that another run would change.

    Raises:
        StorageError: another run holds one of them, or a folder cannot be written.
    """
    held: list[FileLock] = []
    try:
        for folder, of in {results_dir: "on these results", env_dir: "in this env_dir"}.items():
            held.append(_hold(folder, of))
    except BaseException:
        release(held)
        raise
    return held


def release(held: list[FileLock]) -> None:
    """Let go of what is held."""
    for lock in held:
        lock.release()


def _hold(folder: Path, of: str) -> FileLock:
    check_folder(folder)
    lock = FileLock(folder / _NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        what = f"another run works {of}"
        fix = "wait until it has ended, or give this one a results_dir and an env_dir of its own"
        raise StorageError(what, where=str(folder), fix=fix) from error
    return lock
