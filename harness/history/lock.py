"""One run at a time works on one folder of results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from harness.errors import StorageError
from harness.files import check_folder

if TYPE_CHECKING:
    from pathlib import Path

_NAME: Final = ".running.lock"


def hold_results(results_dir: Path) -> FileLock:
    """The lock of ``results_dir``, held; the kernel frees it when the process ends, however.

    Raises:
        StorageError: another run holds it, or the folder cannot be written.
    """
    check_folder(results_dir)
    lock = FileLock(results_dir / _NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        what = "another run works on these results"
        fix = "wait until it has ended, or give this one another results_dir"
        raise StorageError(what, where=str(results_dir), fix=fix) from error
    return lock
