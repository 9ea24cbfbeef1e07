"""What the harness itself writes into a working tree, which is no change of what is measured."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Final

# Where records and pages go unless another folder is named.
_REPORTS: Final = "reports"
# Nothing is imported from these: asv's environments, and what Python keeps of what it has read.
_NEVER_IMPORTED: Final = frozenset({".asv", "__pycache__"})


def is_output(path: str, top: Path) -> bool:
    """Whether ``path``, which git does not track, lies in a folder that the harness writes.

    It is as git tells it: from the ``top`` of the repository, a folder with a slash at its end. A
    folder of the same name with Python in it may be imported, and is none of the harness's.
    """
    *parents, name = PurePosixPath(path).parts
    is_folder = path.endswith("/")
    folders = {*parents, name} if is_folder else {*parents}
    if folders & _NEVER_IMPORTED:
        return True
    if _REPORTS not in folders:
        return False
    if is_folder:
        return next((top / path).rglob("*.py"), None) is None
    return not name.endswith(".py")
