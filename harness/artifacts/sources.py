"""The files that an artifact is made from, and whether they have changed since."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.artifacts.opened import installed_folders
from harness.pipeline.fingerprint import hash_file, hash_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.artifacts.cache import Entry
    from harness.pipeline.declaration import Component
    from harness.pipeline.pipeline import Pipeline

OUTSIDE_SOURCES: Final = "outside_sources"
# In an entry's ``info``: the hash of all that it was made from, without what it was made by.
SOURCE_KEY: Final = "source_key"
# In it as well: what is told whenever the entry is used.
WARNINGS: Final = "warnings"
_HARNESS = Path(__file__).resolve().parent.parent


def source_hashes(pipeline: Pipeline, name: str) -> dict[str, str]:
    """The hash of every file that the component is made from, as far as the declaration tells.

    They are the folder's Python files, its weights or graph, and what its ``sources`` match.
    """
    files = sorted(_source_files(pipeline, name))
    return {os.path.relpath(path, pipeline.root): hash_file(path) for path in files}


def _source_files(pipeline: Pipeline, name: str) -> set[Path]:
    component = pipeline.components[name]
    paths = {path for path in pipeline.root.rglob("*.py") if "__pycache__" not in path.parts}
    # A name alone says little: editors leave dangling links that end in .py.
    paths = {path for path in paths if path.is_file()}
    for file in (component.weights, component.onnx):
        if file is not None:
            paths.add(pipeline.root / file)
    for pattern in component.sources:
        paths.update(path for path in pipeline.root.glob(pattern) if path.is_file())
    return paths


def component_facts(component: Component) -> dict[str, Any]:
    """What the declaration says that decides what a component computes, for a hash.

    The order of its inputs and outputs is told apart: forward() takes and gives them in that
    order, and a hash knows of no order of keys. Floors and words do not belong to it.
    """
    exclude = {"min_snr_db", "description"}
    return {
        **component.model_dump(mode="json", by_alias=True, exclude=exclude),
        "order": {"inputs": list(component.inputs), "outputs": list(component.outputs)},
    }


def pipeline_hash(pipeline: Pipeline) -> str:
    """The hash of all that decides what the pipeline computes: declaration, code and weights.

    Accuracy floors and words do not belong to it, nor do the versions of what runs it.
    """
    return hash_json(
        {
            "dimensions": pipeline.declaration.model_dump(mode="json")["dimensions"],
            "components": {
                name: component_facts(component) for name, component in pipeline.components.items()
            },
            "files": {name: source_hashes(pipeline, name) for name in pipeline.components},
        }
    )


def outside_sources(
    pipeline: Pipeline, names: Iterable[str], opened: Iterable[Path]
) -> dict[str, str]:
    """The hash of each file that the components' code uses and their declarations do not name.

    They are the loaded modules that are neither installed nor the folder's own, and the files of
    ``opened``. Those in the folder go by their path in it, the others by their whole path. A file
    that cannot be read is left out. For an entry's ``info``.
    """
    known = {path for name in names for path in _source_files(pipeline, name)}
    known.add(pipeline.manifest)
    found = {}
    for path in {*_outside_modules(pipeline), *opened} - known:
        is_own = path.is_relative_to(pipeline.root)
        try:
            found[os.path.relpath(path, pipeline.root) if is_own else str(path)] = hash_file(path)
        except OSError:
            continue
    return dict(sorted(found.items()))


def _outside_modules(pipeline: Pipeline) -> set[Path]:
    ignored = [*installed_folders(), _HARNESS, pipeline.root.resolve()]
    found = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and file.endswith(".py"):
            path = Path(file).resolve()
            if path.is_file() and not any(path.is_relative_to(folder) for folder in ignored):
                found.add(path)
    return found


def is_current(pipeline: Pipeline, entry: Entry) -> bool:
    """Whether the outside sources that the entry was made with are still the same."""
    outside = entry.info.get(OUTSIDE_SOURCES, {})
    return all(_hash_of(pipeline.root / path) == h for path, h in outside.items())


def changed_sources(pipeline: Pipeline, entry: Entry) -> list[str]:
    """The outside sources that the entry was made with, and that are others here.

    For an entry that another interpreter made. A file that is not here at all tells nothing: the
    entry may have been brought from another machine, and nothing here has replaced the file.
    """
    outside = entry.info.get(OUTSIDE_SOURCES, {})
    return [path for path, h in outside.items() if _hash_of(pipeline.root / path) not in {"", h}]


def _hash_of(path: Path) -> str:
    """The file's hash; empty where there is none, or none that can be read."""
    try:
        return hash_file(path) if path.is_file() else ""
    except OSError:
        return ""
