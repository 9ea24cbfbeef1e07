"""Exports and references out of the cache of another interpreter, one that has PyTorch.

An entry's key holds the versions of what made it, so that an interpreter without PyTorch, or with
another one, has other keys. What the entry was made *from* is the same in both: that is its
``source_key``, and by it an entry is found here. Nothing is ever written or locked in that cache.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.artifacts.cache import Cache
from harness.artifacts.export import (
    KIND,
    OPSETS,
    check_opset,
    export_source_key,
    given_model,
    model_of,
)
from harness.artifacts.sources import SOURCE_KEY, changed_sources
from harness.errors import OptionError
from harness.pipeline.loader import shipped_pipelines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from harness.artifacts.cache import Entry
    from harness.artifacts.export import OnnxModel
    from harness.pipeline.pipeline import Pipeline

_OPTION: Final = "--artifacts"


@dataclass(frozen=True)
class ForeignCache:
    """The cache in ``folder``, which belongs to another interpreter and is only read."""

    folder: Path

    def __post_init__(self) -> None:
        """Refuse what is no cache, before anything is waited for.

        Raises:
            OptionError: there is no such folder, or there is no entry in it.
        """
        what = ""
        if not self.folder.is_dir():
            what = f"there is no folder {self.folder}"
        elif next(Cache(self.folder).entries(), None) is None:
            what = f"{self.folder} is no cache of exported graphs, or an empty one"
        if what:
            fix = "give the folder that 'harness build PIPELINE --cache DIR' filled with PyTorch"
            raise OptionError(what, where=_OPTION, fix=fix)

    def find_newest(
        self, kind: str, pipeline: Pipeline, label: str, source_key: str
    ) -> Entry | None:
        """The newest sound entry that was made from the very sources of ``source_key``."""
        for entry in self._labelled(kind, label):
            if entry.info.get(SOURCE_KEY) == source_key and not _problem(pipeline, entry):
                return entry
        return None

    def find_exports(self, pipeline: Pipeline, opset: int) -> dict[str, Entry]:
        """The entry of each component that is not given as ONNX; they are there, or it raises.

        Raises:
            OptionError: some are not there; it tells which, why, and how to make them.
        """
        check_opset(opset)
        found: dict[str, Entry] = {}
        missing: dict[str, list[str]] = {}
        for name, component in pipeline.components.items():
            if component.onnx is not None:
                continue
            key = export_source_key(pipeline, name, opset)
            entry = self.find_newest(KIND, pipeline, f"{pipeline.name}/{name}", key)
            if entry is None:
                missing.setdefault(self._why_missing(pipeline, name, opset), []).append(name)
            else:
                found[name] = entry
        if missing:
            told = ", ".join(f"{', '.join(names)} ({why})" for why, names in missing.items())
            what = f"{self.folder} lacks exports of {pipeline.name} at opset {opset}: {told}"
            command = self.command(pipeline, "build", "--opset", opset)
            fix = f"run `{command}` in the interpreter that has PyTorch"
            raise OptionError(what, where=_OPTION, fix=fix)
        return found

    def take_exports(
        self, pipeline: Pipeline, opset: int, *, on_done: Callable[[OnnxModel], None]
    ) -> dict[str, OnnxModel]:
        """The graph of every component, in order, where it lies; ``on_done`` is told of each.

        Raises:
            OptionError: some are not there; it tells which, why, and how to make them.
            ContractError: a graph that is given as ONNX is not what the declaration says.
        """
        entries = self.find_exports(pipeline, opset)
        models = {}
        for name in pipeline.components:
            entry = entries.get(name)
            model = given_model(pipeline, name) if entry is None else model_of(name, entry)
            models[name] = model
            on_done(model)
        return models

    def command(self, pipeline: Pipeline, verb: str, *options: object) -> str:
        """The command line that fills this cache, for a shell."""
        names = {root.resolve(): name for name, root in shipped_pipelines().items()}
        # By its name if it has one: the other interpreter may hold its own copy of the harness.
        pipeline_argument = names.get(pipeline.root.resolve(), str(pipeline.root))
        words = ["harness", verb, pipeline_argument, *options, "--cache", self.folder]
        return shlex.join(map(str, words))

    def _labelled(self, kind: str, label: str) -> list[Entry]:
        """Every entry of that kind and label, the newest first."""
        entries = (e for e in Cache(self.folder).entries() if (e.kind, e.label) == (kind, label))
        return sorted(entries, key=lambda entry: entry.created_unix_s, reverse=True)

    def _why_missing(self, pipeline: Pipeline, name: str, opset: int) -> str:
        held: Mapping[object, Entry] = {
            entry.info.get(SOURCE_KEY): entry
            for entry in reversed(self._labelled(KIND, f"{pipeline.name}/{name}"))
        }
        if not held:
            return "never exported"
        same = held.get(export_source_key(pipeline, name, opset))
        if same is not None:
            return _problem(pipeline, same)
        opsets = [str(o) for o in OPSETS if export_source_key(pipeline, name, o) in held]
        if opsets:
            return f"there at opset {', '.join(opsets)} only"
        return "there, but made from other code or by another version of the harness"


def _problem(pipeline: Pipeline, entry: Entry) -> str:
    """Why an entry that was made from the right sources is of no use; empty where it is."""
    changed = changed_sources(pipeline, entry)
    if changed:
        return f"made with another {changed[0]}"
    return f"damaged: {entry.damage()}" if entry.damage() else ""
