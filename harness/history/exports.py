"""Where commits export into: one cache for all commits whose installed project is the same.

The key of an export holds the pipeline's folder, and not the packages that its models import. Those
are fixed while an environment is, but the project itself is another one in every commit: what the
code of one commit has exported must never be taken for another's.
"""

from __future__ import annotations

import shutil
import time
import zipfile
from typing import TYPE_CHECKING, Final

from harness.pipeline.fingerprint import hash_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_FOLDER: Final = "exports"
_NO_PROJECT: Final = "no-project"
_KEY_LENGTH: Final = 16
# Of one project's export each; a whole pipeline may have hundreds of megabytes.
_KEPT_FOLDERS: Final = 6
# Each is read when one is looked for.
_KEPT_ENTRIES: Final = 200


def choose_exports(environment: Path, wheels: Sequence[Path]) -> Path:
    """The cache for a commit that has these wheels installed; those used long ago are removed."""
    root = environment / _FOLDER
    chosen = root / project_key(wheels)
    if environment.is_dir():
        chosen.mkdir(parents=True, exist_ok=True)
        # It is used now.
        chosen.touch()
        others = [path for path in root.iterdir() if path != chosen]
        by_age = sorted(others, key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in by_age[_KEPT_FOLDERS - 1 :]:
            shutil.rmtree(path, ignore_errors=True)
    return chosen


def has_project(exports: Path) -> bool:
    """Whether the commit that exports into this cache has a project that is installed."""
    return exports.name != _NO_PROJECT


def project_key(wheels: Sequence[Path]) -> str:
    """What is in the wheels, but for what only describes them; the same for the same code."""
    if not wheels:
        return _NO_PROJECT
    content = []
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            content += [
                (item.filename, item.CRC, item.file_size)
                for item in archive.infolist()
                if ".dist-info/" not in item.filename
            ]
    return hash_json(sorted(content))[:_KEY_LENGTH]


def limit_entries(cache: Path) -> None:
    """Remove the older half of a cache's entries where there are too many."""
    from harness.artifacts.cache import Cache  # noqa: PLC0415  # loads filelock and the like

    made_s = sorted(entry.created_unix_s for entry in Cache(cache).entries())
    if len(made_s) > _KEPT_ENTRIES:
        middle_s = made_s[-_KEPT_ENTRIES // 2]
        # A little more than its age: that one stays.
        Cache(cache).prune(older_than_s=time.time() - middle_s + 0.5)
