"""The files that an artifact is made from, and whether they have changed since."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.pipeline.fingerprint import hash_file, hash_json

if TYPE_CHECKING:
    from harness.artifacts.cache import Entry
    from harness.pipeline.pipeline import Pipeline

OUTSIDE_SOURCES: Final = "outside_sources"
# In an entry's ``info``: the hash of all that it was made from, without what it was made by.
SOURCE_KEY: Final = "source_key"
_PACKAGE_FOLDERS: Final = frozenset({"site-packages", "dist-packages"})
_HARNESS = Path(__file__).resolve().parent.parent


def source_hashes(pipeline: Pipeline, name: str) -> dict[str, str]:
    """The hash of every file that the component is made from, as far as the declaration tells.

    They are the folder's Python files, its weights or graph, and what its ``sources`` match.
    """
    component = pipeline.components[name]
    paths = {path for path in pipeline.root.rglob("*.py") if "__pycache__" not in path.parts}
    # A name alone says little: editors leave dangling links that end in .py.
    paths = {path for path in paths if path.is_file()}
    for file in (component.weights, component.onnx):
        if file is not None:
            paths.add(pipeline.root / file)
    for pattern in component.sources:
        paths.update(path for path in pipeline.root.glob(pattern) if path.is_file())
    return {os.path.relpath(path, pipeline.root): hash_file(path) for path in sorted(paths)}


def pipeline_hash(pipeline: Pipeline) -> str:
    """The hash of all that decides what the pipeline computes: declaration, code and weights.

    Accuracy floors and words do not belong to it, nor do the versions of what runs it.
    """
    return hash_json(
        {
            "dimensions": pipeline.declaration.model_dump(mode="json")["dimensions"],
            "components": {
                name: component.model_dump(
                    mode="json", by_alias=True, exclude={"min_snr_db", "description"}
                )
                for name, component in pipeline.components.items()
            },
            "files": {name: source_hashes(pipeline, name) for name in pipeline.components},
        }
    )


def outside_sources(pipeline: Pipeline) -> dict[str, str]:
    """The hash of each loaded module that is neither installed nor the folder's own.

    That is a user's model code elsewhere, which no declaration names. For an entry's ``info``.
    """
    ignored = [*_installed(), _HARNESS, pipeline.root.resolve()]
    found = {}
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and file.endswith(".py"):
            path = Path(file).resolve()
            if path.is_file() and not any(path.is_relative_to(folder) for folder in ignored):
                found[str(path)] = hash_file(path)
    return found


def _installed() -> list[Path]:
    """Folders of installed packages: also another environment's, which this one looks into."""
    shared = (path for path in sys.path if Path(path).name in _PACKAGE_FOLDERS)
    return [Path(path).resolve() for path in {*sysconfig.get_paths().values(), *shared}]


def is_current(entry: Entry) -> bool:
    """Whether the outside modules that the entry was made with are still the same."""
    outside = entry.info.get(OUTSIDE_SOURCES, {})
    return all(Path(p).is_file() and hash_file(Path(p)) == h for p, h in outside.items())


def changed_sources(entry: Entry) -> list[str]:
    """The outside modules that the entry was made with, and that are others here.

    For an entry that another interpreter made. A module that is not here at all tells nothing: the
    entry may have been brought from another machine, and nothing here has replaced the module.
    """
    outside = entry.info.get(OUTSIDE_SOURCES, {})
    return [p for p, h in outside.items() if Path(p).is_file() and hash_file(Path(p)) != h]
