"""What the harness itself writes into a working tree, which is no change of what is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

# Where records and pages go unless another folder is named.
_REPORTS: Final = "reports"
# What the harness and asv write there; a pipeline's own weights and graphs are none of it.
_WRITTEN: Final = frozenset(
    {
        *(".parquet", ".json", ".jsonl", ".csv", ".txt", ".md", ".xml", ".lock", ".gz"),
        *(".html", ".css", ".js", ".ico", ".png", ".svg"),
    }
)
# Nothing is imported from these: asv's environments, and what Python keeps of what it has read.
_NEVER_IMPORTED: Final = frozenset({".asv", "__pycache__"})


def is_output(path: Path, folder: Path) -> bool:
    """Whether ``path``, which git does not track, is what the harness writes below ``folder``.

    A folder of the same name with other files in it is a pipeline's own, which may import or read
    them.
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
    files = (one for one in path.rglob("*") if one.is_file()) if is_folder else (path,)
    return all(file.suffix in _WRITTEN for file in files)
