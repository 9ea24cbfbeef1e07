"""Small files that speed up later builds, by key: timing caches, calibration caches.

They lie beside the cache's entries, since they grow with every build and are never what a result
consists of. A file is replaced whole, so that an interrupted build leaves the former one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.artifacts.cache import KEEP
from harness.errors import storage_errors
from harness.files import written_whole

if TYPE_CHECKING:
    from pathlib import Path

    from harness.artifacts.cache import Cache


def keepsake_path(cache: Cache, kind: str, key: str) -> Path:
    """Where the file of ``key`` lies; it need not exist."""
    return cache.root / KEEP / f"{kind}-{key}"


def keep(path: Path, content: bytes) -> None:
    """Put ``content`` in the place of what ``path`` holds.

    Raises:
        StorageError: it cannot be written.
    """
    with storage_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as scratch:
        scratch.write_bytes(content)
