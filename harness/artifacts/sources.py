"""The files that an artifact is made from, and whether they have changed since."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.pipeline.fingerprint import hash_file

if TYPE_CHECKING:
    from harness.artifacts.cache import Entry
    from harness.pipeline.pipeline import Pipeline

OUTSIDE_SOURCES: Final = "outside_sources"
_HARNESS = Path(__file__).resolve().parent.parent


def source_hashes(pipeline: Pipeline, name: str) -> dict[str, str]:
    """The hash of every file that the component is made from, as far as the declaration tells.

    They are the folder's Python files, the component's weights, and what its ``sources`` match.
    """
    component = pipeline.components[name]
    paths = {path for path in pipeline.root.rglob("*.py") if "__pycache__" not in path.parts}
    # A name alone says little: editors leave dangling links that end in .py.
    paths = {path for path in paths if path.is_file()}
    if component.weights is not None:
        paths.add(pipeline.root / component.weights)
    for pattern in component.sources:
        paths.update(path for path in pipeline.root.glob(pattern) if path.is_file())
    return {os.path.relpath(path, pipeline.root): hash_file(path) for path in sorted(paths)}


def outside_sources(pipeline: Pipeline) -> dict[str, str]:
    """The hash of each loaded module that is neither installed nor the folder's own.

    That is a user's model code elsewhere, which no declaration names. For an entry's ``info``.
    """
    installed = [Path(path).resolve() for path in set(sysconfig.get_paths().values())]
    ignored = [*installed, _HARNESS, pipeline.root.resolve()]
    found = {}
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and file.endswith(".py"):
            path = Path(file).resolve()
            if path.is_file() and not any(path.is_relative_to(folder) for folder in ignored):
                found[str(path)] = hash_file(path)
    return found


def is_current(entry: Entry) -> bool:
    """Whether the outside modules that the entry was made with are still the same."""
    outside = entry.info.get(OUTSIDE_SOURCES, {})
    return all(Path(p).is_file() and hash_file(Path(p)) == h for p, h in outside.items())
