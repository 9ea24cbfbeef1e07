"""What the harness itself writes into a working tree, which is no change of what is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

# Where records and pages go unless another folder is named.
_REPORTS: Final = "reports"
# Nothing is imported from these: asv's environments, and what Python keeps of what it has read.
_NEVER_IMPORTED: Final = frozenset({".asv", "__pycache__"})


def is_output(path: Path, folder: Path) -> bool:
    """Whether ``path``, which git does not track, is what the harness writes below ``folder``.

    A folder of the same name with Python in it may be imported, and is none of the harness's.
    """
    if not path.is_relative_to(folder):
        return False
    is_folder = path.is_dir()
    parts = path.relative_to(folder).parts
    folders = frozenset(parts if is_folder else parts[:-1])
    if folders & _NEVER_IMPORTED:
        return True
    if _REPORTS not in folders:
        return False
    if is_folder:
        return next(path.rglob("*.py"), None) is None
    return path.suffix != ".py"
